"""Where a statement may begin, and how firmly the text around it says that it is one."""

import re
from enum import IntEnum
from typing import NamedTuple

_SOME_TABLE = r"(?:(?:temp|temporary|unique|virtual|or\s+replace)\s+)*(?:table|view|index|trigger|database)\s"
# Brackets before a query may belong to it, as in a set operation.
_START = re.compile(
    r"(?P<comment>(?:^|;)[ \t]*--[^\n]*|/\*[\s\S]*?(?:\*/|\Z))"
    r"|(?:(?<![\w@.])|(?<=\\[nrt]))(?:\(\s*){0,8}(?P<start>(?:select|with)\b|values\s*\(\s*(?=['\"\d(+-]|null\b)"
    r"|explain\s+(?:query\s+plan\s+)?(?:select|with|values)\b|(?:insert|replace)\s+(?:or\s+\w+\s+)?into\s"
    r"|update\s+(?:or\s+\w+\s+)?\S{1,100}\s+set\s|delete\s+from\s"
    rf"|(?:create|drop|alter)\s+{_SOME_TABLE}|truncate\s+table\s|pragma\s+\w|attach\s+(?:database\s+)?['\"(]"
    r"|detach\s+database\s|vacuum(?=\s*(?:;|\Z|into\b)))",
    re.IGNORECASE | re.MULTILINE,
)
_LOOK_BACK = 60
_LONG_QUOTES = ("'''", '"""', "``")
_QUOTES = ("\\'", '\\"', "`", "'", '"', "“", "‘", "«", "$$", "$")
_CALL = re.compile(r"(?:\w\(|[:=：])\s*[fr]?\Z")
_LABEL = re.compile(r"(?:[:：→]|=>?|->)\s*[*_]*\s*\Z")
_LINE = re.compile(r"[\s\ufeff\u200b>*_#|•·-]*\Z")
_ITEM = re.compile(r"\s*(?:[-*+•·]|\d+[.)]|\(?[a-z\d]\))\s+[*_]*\Z")
_OPENED = re.compile(r"[>{\[$]\s*\Z")
# What stands before a query within another: such a query alone answers nothing.
_BEFORE_BRACKET = frozenset("as materialized in exists from join any some not".split())
_BEFORE_QUERY = frozenset("union all intersect except".split())
_TAG = re.compile(r"<[^<>\s][^<>]*>\Z")


class Offered(IntEnum):
    """How firmly a statement is offered: within a sentence or a list, as text of its own, marked as SQL."""

    MENTIONED = 1
    SAID = 2
    MARKED = 3


class Start(NamedTuple):
    """A place where a statement may begin, with brackets or a keyword. ``quote`` stands right before it.

    ``in_sentence``: so do words.
    """

    place: int
    keyword: str
    offered: Offered
    quote: str
    in_sentence: bool


def next_start(text: str, place: int) -> Start | None:
    """The first start in ``text`` from ``place`` on, outside comments."""
    for found in _START.finditer(text, place):
        if found["comment"] is None and not _is_within_sql(_before(text, found.start("start"))):
            return _start(text, found)
    return None


def _before(text: str, place: int) -> str:
    return text[max(0, place - _LOOK_BACK) : place]


def _is_within_sql(before: str) -> bool:
    said = before.rstrip().rstrip("( \t\r\n").rstrip()
    word = said.split()[-1].lower() if said else ""
    if "(" not in before[len(said) :]:
        return word in _BEFORE_QUERY
    return word in _BEFORE_BRACKET or (said[-1:] in tuple("=<>,") and _TAG.search(said) is None)


def _start(text: str, found: re.Match) -> Start:
    before, quote = _cut_quote(_before(text, found.start()))
    # An escaped line break is one.
    line = before.replace("\\n", "\n").rpartition("\n")[2]
    offered, in_sentence = Offered.SAID, False
    if _OPENED.search(line):
        offered = Offered.MARKED
    elif _ITEM.match(line):
        offered = Offered.MENTIONED
    elif not (_LINE.match(line) or _LABEL.search(line) or (quote and _CALL.search(line))):
        offered, in_sentence = Offered.MENTIONED, True
    return Start(found.start(), found["start"].split(None, 1)[0], offered, quote, in_sentence)


def _cut_quote(before: str) -> tuple[str, str]:
    """What stands before a quote at the end of ``before``, and the quote; a long one may have a line to itself."""
    stripped = before.rstrip()
    if stripped.endswith(_LONG_QUOTES):
        return stripped.rstrip(stripped[-1]), stripped[-1] * (3 if stripped[-1] != "`" else 2)
    quote = next((quote for quote in _QUOTES if before.endswith(quote)), "")
    return before.removesuffix(quote), quote
