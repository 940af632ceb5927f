"""Where a statement that begins at a given place ends, and whether it is whole.

SQL has no end mark that replies keep to, so the end is found from its tokens: a semicolon, a bracket closed too many,
a mark that SQL never has; a line that cannot go on with it (``lines``); English. Tokens that SQLite would refuse stay,
as they are the model's mistake, and what is missing stays away, as in a reply cut short: nothing is mended.
"""

import re
from typing import NamedTuple

from custom_metrics.sql.reading.lexer import Token, tokens, written
from custom_metrics.sql.reading.lines import goes_on
from custom_metrics.sql.reading.progress import Progress, is_operand
from custom_metrics.sql.reading.prose import is_english, is_keyword, label_at, prose_at

# A query in brackets is followed by these, where it is not all there is.
_AFTER_BRACKETS = frozenset({"union", "intersect", "except", "order", "limit"})
# After SELECT, these go on in English or in a pattern: "SELECT is needed", "SELECT <columns>".
_NOT_SELECTED = frozenset({"<", ",", ")", ".", "=", ":", "is", "or", "and", "in", "as", "on", "by", "where"})
_BEFORE_NAMES = frozenset({"select", "distinct", "from", "join"})
# What joins English to SQL that is whole without it: "FROM singer (this lists ...", "FROM singer, which ...".
_JOINTS = frozenset({",", "(", "-", "as"})
# In a condition these are SQL gone wrong ("WHERE age is the highest"), unless a value stands before them.
_WORD_JOINTS = frozenset({"and", "or", "is", "in", "on", "not", "like", "with"})
_CELL_END = re.compile(r"\|[ \t]*(?:\n|\Z)")
_SLASHES = re.compile(r"//+ +[^\W\d]")  # the comment of another language
_OTHER_SCRIPT = re.compile(r"[^\W\da-zA-Z\u00c0-\u024f]+\Z")
_REMARK = re.compile(r"\(\d+ [a-z]+\)", re.IGNORECASE)  # (6 rows)
_SENTENCE_END = re.compile(r"\.(?:\s*\Z|[\"'_)]|\*\*|\s*\n|\s+(?=[A-Z]))")
_TEXT_END = re.compile(r"\.\s*\Z")
# A string, and the closing quote of what it stands in: SQLite takes both for one quote in the string.
_STRAY_QUOTE = re.compile(r"((['\"])[^'\"]*\2)\2{1,3}[\s})\].;`]*")


class Statement(NamedTuple):
    """``sql``, from ``start`` to ``end``. Brackets around the whole of it are left out.

    ``read_to``: where the next may begin; comments stand between. ``whole``: nothing is open, and it selects from
    something. ``query``: it reads (SELECT, WITH, VALUES), and does no more.
    """

    sql: str
    start: int
    end: int
    read_to: int
    whole: bool
    query: bool


class NotSql(Exception):
    """No statement begins there; none begins before ``place``."""

    def __init__(self, place: int) -> None:
        super().__init__(place)
        self.place = place


def read_statement(text: str, start: int, end: int, *, marked: bool) -> Statement:
    """The statement that begins at ``start`` of ``text`` and ends before ``end``.

    ``marked``: the text is marked as SQL, as in a fence; else English may go on at any place.

    Raises:
        NotSql: it is none.
    """
    return _Reader(text, end, marked).read(start)


class _Reader:
    """Reads one statement. ``all``: what was read, with spaces and comments between tokens."""

    def __init__(self, text: str, limit: int, marked: bool) -> None:
        self.text, self.limit, self.marked = text, limit, marked
        self.progress = Progress()
        self.all: list[Token] = []
        self.is_open = False  # it ends in a string without end
        self.script_seen = False  # it has a word without Latin letters

    def read(self, start: int) -> Statement:
        progress, gap, read_to = self.progress, [], start
        for token in tokens(self.text, start, self.limit):
            if token.kind in ("space", "comment"):
                gap.append(token)
                read_to = token.end
                continue
            if progress.kept and self._ends_before(token, new_line=any("\n" in passed.text for passed in gap)):
                break
            is_last = token.kind == "open"
            token = self._rest_of_string(token) if is_last else token
            self.all += [*gap, token]
            progress.take(token)
            self.script_seen = self.script_seen or _OTHER_SCRIPT.match(token.text) is not None
            gap, read_to = [], token.end
            if is_last:
                break
        if progress.header and not progress.header.named:
            raise NotSql(read_to)
        kept = progress.unwrapped()
        return Statement(
            sql=written([token for token in self.all if kept[0].start <= token.start <= kept[-1].start]),
            start=kept[0].start,
            end=self.all[-1].end,
            read_to=max(read_to, self.all[-1].end),
            whole=progress.could_end and not self.is_open and progress.selects_something,
            query=progress.is_query,
        )

    def _ends_before(self, token: Token, *, new_line: bool) -> bool:
        progress = self.progress
        if token.text == ";" or (token.text == ")" and progress.depth == 0) or token.kind == "mark":
            return True
        if token.kind == "open" and progress.has_operand:
            return True
        self._check_beginning(token)
        if progress.header and progress.depth == 0 and not progress.header.expects(token):
            return True
        if progress.is_bracketed:
            return token.lower not in _AFTER_BRACKETS
        if (new_line or not self.marked) and self._changes_script(token):
            return True
        if new_line:
            return not goes_on(self.text, token, progress, marked=self.marked)
        return not self.marked and self._turns_to_english(token)

    def _changes_script(self, token: Token) -> bool:
        """Whether prose begins at ``token`` that needs no word of English: Chinese, say, behind a query without any."""
        is_other = token.kind == "word" and not self.script_seen and _OTHER_SCRIPT.match(token.text) is not None
        return is_other and self.progress.could_end and self.progress.clause != "select"

    def _check_beginning(self, token: Token) -> None:
        """Raises NotSql where ``token`` shows that what was read, SELECT or WITH, was a word of English."""
        progress, is_word = self.progress, False
        if progress.selects == 1 and progress.kept[-1].lower == "select":
            is_word = token.lower in _NOT_SELECTED or (token.kind == "other" and not self.marked)
        elif progress.header and not progress.header.named and progress.depth == 0:
            is_word = not progress.header.expects(token)
        if is_word:
            raise NotSql(token.start)

    def _turns_to_english(self, token: Token) -> bool:
        """Whether English, or what else is no SQL, goes on at ``token`` on the same line."""
        if token.kind == "word" and not is_keyword(token.text):
            return self._word_turns_to_english(token)
        if not self.progress.has_operand:
            return False
        is_adjacent = self.progress.kept[-1].end == token.start
        takes_no_name = self.progress.clause in ("condition", "tail")
        takes_value = self.progress.clause not in ("from", "tail")
        if token.kind == "other" or (token.raw == "–" and self.progress.clause in ("from", "tail")):
            return True
        if token.text == ".":
            end = (_SENTENCE_END if is_adjacent else _TEXT_END).match(self.text, token.start, self.limit)
            return end is not None and not self.progress.broken
        if token.text == "|":
            return _CELL_END.match(self.text, token.start, self.limit) is not None
        if token.text == "(":
            return _REMARK.match(self.text, token.start, self.limit) is not None
        if token.text == "=" and not takes_value:
            return self.progress.could_end and self.text.startswith(">", token.end)
        if token.text == "/":
            return self.progress.could_end and _SLASHES.match(self.text, token.start, self.limit) is not None
        return (is_adjacent or takes_no_name) and token.kind == "name" and token.text[0] == "["

    def _word_turns_to_english(self, token: Token) -> bool:
        if self.progress.has_operand:
            return label_at(self.text, token.start) or prose_at(self.text, token.start)
        if not is_english(token.text) or not prose_at(self.text, token.start):
            return False
        if self.progress.kept[-1].lower in _BEFORE_NAMES:
            raise NotSql(token.start)
        return self._give_back_joints()

    def _give_back_joints(self) -> bool:
        """Whether SQL that could end stands before the joints that were read last; they are then given back."""
        kept, count = self.progress.kept, 0
        while count < len(kept) and kept[-1 - count].lower in _JOINTS | _WORD_JOINTS:
            count += 1
        if count in (0, len(kept)) or not is_operand(kept[-1 - count]):
            return False
        has_words = any(token.lower in _WORD_JOINTS for token in kept[-count:])
        if has_words and self.progress.clause == "condition" and kept[-1 - count].kind not in ("number", "string"):
            return False
        self.progress.give_back(count)
        del self.all[self.all.index(kept[-1]) + 1 :]
        return True

    def _rest_of_string(self, token: Token) -> Token:
        """A string without end is the end of a reply that was cut; in other text it spoils no more than its line."""
        stop = self.limit if self.marked else self.text.find("\n", token.start, self.limit)
        said = self.text[token.start : self.limit if stop < 0 else stop].rstrip()
        stray = _STRAY_QUOTE.fullmatch(said)
        self.is_open = stray is None
        said = stray[1] if stray else said
        return Token("open", said, token.start, token.start + len(said), said)
