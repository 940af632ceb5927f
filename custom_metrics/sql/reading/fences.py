"""Cuts a reply at what marks a part of it off from the rest: fences, objects of JSON, quotes of Markdown."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from custom_metrics.sql.reading.lexer import SQL_STRING
from custom_metrics.sql.reading.objects import OBJECT_START, Field, read_object

_FENCE = re.compile(r"(?P<mark>`{3,}|~{3,})")
_LANGUAGE = re.compile(
    r"[ \t]*(?P<word>[\w+#.-]{0,40})[ \t]*(?:\{[^}\"\n]{0,80}\}[ \t]*)?(?:\n|\Z)"
    r"|[ \t]*(?P<sql>\w{0,20}sql\w{0,20})(?=\s)",
    re.IGNORECASE,
)
_INFO = re.compile(r"[ \t]*\w")
_SQL_START = re.compile(r"(?:select|with|values|insert|update|delete|explain)\Z", re.IGNORECASE)
_MAY_BE_SQL = re.compile(r"select|with|values|insert|update|delete|create|drop|alter", re.IGNORECASE)
_OPENING = re.compile(rf"{SQL_STRING}|{_FENCE.pattern}|(?P<object>{OBJECT_START.pattern})")
# Quoted lines, and the prompts of SQLite's and other shells.
_QUOTED_LINES = re.compile(r"(?:^[ \t]*>.*(?:\n|\Z))+", re.MULTILINE)
_QUOTE_MARK = re.compile(r"^[ \t]*>[ \t]?", re.MULTILINE)
# A line of SQL, too, may begin with the sign: quotes begin with a word, behind an empty line or what announces them.
_QUOTED_START = re.compile(r"[ \t>]*(?:[`~]{3}|(?:select|with|values|explain)\b)", re.IGNORECASE)
_QUOTED_WORD = re.compile(r"[ \t>]*[^\W\d]")
_ANNOUNCED = re.compile(r"(?:\A|[:：][ \t*_]*\n[ \t]*\n?)\Z")
_EMPTY_LINE = re.compile(r"\n[ \t]*\n\Z")
_PROMPTS = re.compile(r"^[ \t]*(?:sqlite>|mysql>|\w+=[#>]|\.\.\.>) ", re.MULTILINE)
_MORE_PROMPTS = re.compile(r"^ {2,4}-> ?", re.MULTILINE)


# Struck out, in Markdown or HTML, within a paragraph.
_STRUCK = re.compile(
    rf"{SQL_STRING}|(?<!~)~~(?=[^\s~])(?:(?!~~|\n[ \t]*\n)[\s\S]){{1,2000}}(?<!\s)~~(?!~)"
    r"|<(?P<tag>del|strike)>(?:(?!</?(?:del|strike)>)[\s\S]){1,2000}</(?P=tag)>",
    re.IGNORECASE,
)


class Section(NamedTuple):
    """A part of a reply. ``language`` of a fence (None: no fence); ``fields`` of an object (None: no object)."""

    text: str
    language: str | None = None
    fields: list[Field] | None = None


def sections(text: str) -> Iterator[Section]:
    """The parts of ``text`` in order: each a fence, an object that may hold SQL, or plain text."""
    plain = place = 0
    while opening := _OPENING.search(text, place):
        if opening["string"]:
            place = opening.end()
            continue
        if opening["object"]:
            fields, place = read_object(text, opening.start())
            if any(_MAY_BE_SQL.search(field.value) for field in fields):
                yield Section(text[plain : opening.start()])
                yield Section(text[opening.start() : place], fields=fields)
                plain = place
            continue
        yield Section(text[plain : opening.start()])
        language, start = _language(text, opening.end())
        # An object in a fence may hold fences of its own.
        inner = OBJECT_START.search(text, start, start + 20)
        close = _close(text, read_object(text, inner.start())[1] if inner else start, opening["mark"])
        end = len(text) if close < 0 else close
        yield Section(text[start:end], language=language)
        place = end if close < 0 or _opens_next(text, close, opening["mark"]) else close + len(opening["mark"])
        plain = place
    yield Section(text[plain:])


def _close(text: str, start: int, mark: str) -> int:
    """Where the next ``mark`` that stands in no string of SQL begins; -1: nowhere."""
    found = re.compile(f"{SQL_STRING}|{mark}").finditer(text, start)
    return next((close.start() for close in found if not close["string"]), -1)


def _language(text: str, start: int) -> tuple[str, int]:
    """The language behind a fence's mark, in small letters, and where what it holds begins."""
    found = _LANGUAGE.match(text, start)
    if found is None or (found["word"] and _SQL_START.match(found["word"])):
        return "", start
    return (found["word"] or found["sql"] or "").lower(), found.end()


def _opens_next(text: str, place: int, mark: str) -> bool:
    """Whether the mark that ends a fence in truth opens the next: it begins a line and names a language."""
    before = text[max(0, place - 20) : place].rpartition("\n")
    return bool(before[1]) and not before[2].strip() and _INFO.match(text, place + len(mark)) is not None


def unquoted(text: str) -> str:
    """``text`` without the ``>`` of quoted lines, and without a shell's prompts."""
    if ">" not in text:
        return text
    text = _PROMPTS.sub("", _MORE_PROMPTS.sub("", text) if "mysql>" in text else text)
    return _QUOTED_LINES.sub(_without_marks, text)


def unstruck(text: str) -> str:
    """``text`` without what the model has struck out."""
    return _STRUCK.sub(lambda found: found["string"] or "\n", text)


def _without_marks(lines: re.Match) -> str:
    said, before = lines.group(), lines.string[max(0, lines.start() - 20) : lines.start()]
    is_quote = _QUOTED_START.match(said) or _ANNOUNCED.search(before)
    if not is_quote and not (_QUOTED_WORD.match(said) and _EMPTY_LINE.search(before)):
        return said
    return _QUOTE_MARK.sub("", said)
