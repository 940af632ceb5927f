"""What the tokens read so far make of a statement: which part they are in, and whether it could end with them."""

from collections.abc import Sequence

from custom_metrics.sql.reading.lexer import Token
from custom_metrics.sql.reading.lines import Clause
from custom_metrics.sql.reading.prose import is_keyword
from custom_metrics.sql.reading.with_header import WithHeader

_QUERIES = frozenset({"select", "with", "values"})
_WRITES = frozenset({"insert", "replace", "update", "delete"})
_HOLD_QUERIES = frozenset({"insert", "replace", "explain"})  # and CREATE ... AS
_CLAUSES: dict[str, Clause] = {
    "select": "select",
    "from": "from",
    "join": "from",
    "on": "condition",
    "where": "condition",
    "having": "condition",
    "group": "tail",
    "order": "tail",
    "limit": "tail",
}
# What is selected from nothing, beside numbers and strings: the results of functions, and these.
_CONSTANTS = frozenset({"(", "null", "current_date", "current_time", "current_timestamp"})
# Keywords that can be the last of a statement.
_ENDINGS = frozenset({"null", "end", "asc", "desc", "isnull", "notnull"})


class Progress:
    """A statement as far as it has been read. ``kept`` are its tokens, without spaces and comments.

    ``has_operand``: the last token is one that a statement can end with. ``broken``: two words stand where SQL has one.
    """

    def __init__(self) -> None:
        self.kept: list[Token] = []
        self.clause: Clause = "start"
        self.depth = 0
        self.header: WithHeader | None = None
        self.selects = 0
        self.has_operand = False
        self.broken = False
        self._first = self._main = ""
        self._cases = 0
        self._opened: list[int] = []  # the brackets that are open, by their number in ``kept``
        self._closers: dict[int, int] = {}  # the bracket that closes each of them

    @property
    def could_end(self) -> bool:
        return self.has_operand and self.depth == 0 and self._cases == 0 and self.header is None

    @property
    def is_query(self) -> bool:
        return self._first in _QUERIES and self._main not in _WRITES

    @property
    def is_bracketed(self) -> bool:
        """Whether it is a query in brackets, which have closed."""
        return self.depth == 0 and self.clause == "start" and self.has_operand and self.kept[0].text == "("

    @property
    def selects_something(self) -> bool:
        """A bare column is selected from nothing: ``SELECT name`` is a piece of a query, ``SELECT 1`` is one."""
        if self._main != "select" or self.clause != "select":
            return True
        return any(token.kind in ("number", "string") or token.lower in _CONSTANTS for token in self.kept)

    def take(self, token: Token) -> None:
        word = token.lower if token.kind == "word" else ""
        if self.header and self.depth == 0:
            self.header.take(token)
            self.header = None if self.header.ended else self.header
        elif word == "with" and not self.kept:
            self.header = WithHeader()
        self._count_brackets(token)
        if word:
            self._take_word(word)
        is_operand = _is_operand(token, self.has_operand)
        if self.has_operand and is_operand and self.clause in ("condition", "tail"):
            self.broken |= word != "" and not is_keyword(word)
        self.has_operand = is_operand
        self.kept.append(token)

    def give_back(self, count: int) -> None:
        """Undo the last ``count`` tokens, which are joints (``joints_of``), behind an operand."""
        for token in self.kept[-count:]:
            if token.text == "(":
                self.depth -= 1
                self._opened.pop()
        del self.kept[-count:]
        self.has_operand = True

    def unwrapped(self) -> Sequence[Token]:
        """The tokens without the brackets around all of them, and without those in front that never close."""
        first, last = 0, len(self.kept)
        while self.kept[first].text == "(" and self._closers.get(first, last - 1) == last - 1:
            last -= first in self._closers
            self.depth -= first not in self._closers
            first += 1
        return self.kept[first:last]

    def _count_brackets(self, token: Token) -> None:
        if token.text == "(":
            self.depth += 1
            self._opened.append(len(self.kept))
        elif token.text == ")":
            self.depth -= 1
            self._closers[self._opened.pop()] = len(self.kept)

    def _take_word(self, word: str) -> None:
        self._first = self._first or word
        self.selects += word == "select"
        self._cases += (word == "case") - (word == "end" and self._cases > 0)
        if self.depth:
            return
        if word in ("select", "values", *_WRITES):
            self._main = self._main or word
        if not self.is_query:
            holds_query = word == "as" or {self._first, self._main} & _HOLD_QUERIES or self.clause == "holder"
            self.clause = "holder" if holds_query else "write"
        elif word in _CLAUSES and not (word == "on" and self.clause == "select"):
            self.clause = _CLAUSES[word]


def is_operand(token: Token) -> bool:
    return _is_operand(token, after_operand=False)


def _is_operand(token: Token, after_operand: bool) -> bool:
    if token.kind == "word":
        return not is_keyword(token.text) or token.lower in _ENDINGS
    if token.text == "*":
        return not after_operand
    return token.text == ")" or token.kind not in ("operator", "other")
