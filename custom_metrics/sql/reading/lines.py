"""Whether a line goes on with the statement before it."""

import re
from typing import Literal, Protocol

from custom_metrics.sql.reading.lexer import Token
from custom_metrics.sql.reading.prose import is_keyword, label_at, prose_line

# The part of a query that a line is in, outside brackets. Other statements are one part, with a query in it (holder) or
# without.
Clause = Literal["start", "select", "from", "condition", "tail", "holder", "write"]

_TAIL = "where group having order limit offset union intersect except minus window fetch qualify for"
_SOURCES = "as join left right full inner outer cross natural on using indexed straight_join lateral set"
_EXPRESSION = (
    "and or not in is like glob regexp match between isnull notnull collate escape ilike rlike similar div mod xor "
    "over filter asc desc nulls"
)
_GO_ON: dict[Clause, frozenset[str]] = {
    "start": frozenset(f"{_TAIL} {_EXPRESSION}".split()),
    "select": frozenset(f"from into {_TAIL} {_SOURCES} {_EXPRESSION}".split()),
    "from": frozenset(f"{_TAIL} {_SOURCES} not".split()),
    "condition": frozenset(f"{_TAIL} {_SOURCES} {_EXPRESSION}".split()) - {"as"},
    "tail": frozenset(f"{_TAIL} {_EXPRESSION}".split()),
    "holder": frozenset(f"{_TAIL} {_SOURCES} {_EXPRESSION} values select with default returning".split()),
    "write": frozenset(f"from into {_TAIL} {_SOURCES} {_EXPRESSION} returning".split()),
}
_STARTS = frozenset("select with values explain insert replace update delete create drop alter pragma".split())
_LONE_ALIAS = re.compile(r"\w+[ \t]*\n\s*(?:where|join|left|inner|on|group|order|limit|union|except|intersect)\b", re.I)
# Signs of Markdown at the start of a line: bullets before words (but not before a call); rules and tables; results.
_BULLET = re.compile(r"[-*+>] +(?:[`\"'*]|[^\W\d](?!\w*\s*\())")
_RULE = re.compile(r"//|/\s*(?:\n|\Z)|[-=*_+~|]{2,}\s*(?:\n|\Z)|\+-|\|(?!\|)|=>|->[ \t]*\d+ [a-z]")
# Behind a keyword, the rest of a label: "Limit:"; behind one that begins sentences, with words: "In short:".
_LABEL_END = re.compile(r" ?(?::(?![:=\w])|：)")
_LONG_LABEL_END = re.compile(r"(?: [^\W\d_]+){0,2}:(?![:=\w])")
_SENTENCE_STARTS = frozenset("in as on or and".split())
_SENTENCE = re.compile(r"[A-Z][a-z]+ [^\n]*\.[ \t]*(?:\n|\Z)")
# "or" between two queries; within one, SELECT never stands behind it without a bracket.
_OTHER_QUERY = re.compile(r"or\b[^\n()]{0,30}\n\s*(?:select|with)\b", re.IGNORECASE)
# A line of a few words between two queries.
_BETWEEN = re.compile(r"(?:[^\W\d_]+[ \t,.]*+){1,5}\n\s*(?:select|with)\b", re.IGNORECASE)
_NUMBERED = re.compile(r"\d+[.)](?:\s|\Z)")


class Before(Protocol):
    """What stands before a line. ``could_end``: it is whole without the line. ``has_operand``: so is its last part."""

    kept: list[Token]
    clause: Clause
    has_operand: bool

    @property
    def could_end(self) -> bool: ...


def goes_on(text: str, token: Token, before: Before, *, marked: bool) -> bool:
    """Whether the line that begins with ``token`` belongs to the statement ``before`` it.

    Where that could not end, only English ends it, or a label behind an operand. ``marked``: the text is marked as SQL,
    so that a line that SQLite would not understand is the model's mistake, and not English.
    """
    clause = before.clause
    if not before.could_end:
        return token.kind != "word" or not _is_english(text, token, may_be_label=before.has_operand)
    if token.kind == "word":
        return _word_goes_on(text, token, clause, marked)
    if token.kind == "operator":
        if token.text == "(":
            return marked or clause in ("holder", "write")
        if token.text == "." or _RULE.match(text, token.start):
            return False
        return marked or not _is_bullet(text, token, before)
    if token.kind == "number" and _NUMBERED.match(text, token.start):
        return False
    return marked and token.kind != "other"


def _is_bullet(text: str, token: Token, before: Before) -> bool:
    """Whether a sign that may be an operator begins an item of a list: columns before it ask for an operator."""
    if _BULLET.match(text, token.start) is None:
        return False
    asks = before.clause == "select" or (before.clause == "condition" and before.kept[-1].kind in ("word", "name"))
    return not asks or label_at(text, token.end + 1) or prose_line(text, token.end + 1)


def _word_goes_on(text: str, token: Token, clause: Clause, marked: bool) -> bool:
    word = token.lower
    if word in _GO_ON[clause]:
        return not _is_english(text, token)
    if word in _STARTS or not marked:
        return clause == "from" and _LONE_ALIAS.match(text, token.start) is not None
    return not is_keyword(word) and not _BETWEEN.match(text, token.start) and not _is_english(text, token)


def _is_english(text: str, token: Token, *, may_be_label: bool = True) -> bool:
    """A line of English or a label. One that begins with a keyword in capitals is SQL, whatever follows."""
    if _OTHER_QUERY.match(text, token.start):
        return True
    if is_keyword(token.text) and token.text.isupper():
        return False
    if may_be_label and _is_label(text, token):
        return True
    return _SENTENCE.match(text, token.start) is not None or prose_line(text, token.start)


def _is_label(text: str, token: Token) -> bool:
    if not is_keyword(token.text):
        return label_at(text, token.start)
    end = _LONG_LABEL_END if token.lower in _SENTENCE_STARTS else _LABEL_END
    return end.match(text, token.end) is not None
