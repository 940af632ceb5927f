"""Where a statement that begins behind a quote ends: inline code, a string of a program, speech."""

import itertools
import re
from collections.abc import Iterator

_CLOSING = {"“": "”", "‘": "’", "«": "»"}
_LONG = ("'''", '"""', "``")
_SQL_STRING = re.compile(r"[\"'](?:select|with)\b", re.IGNORECASE)
_SEAM = re.compile(r"([\"'])[ \t]*(?:\+[ \t]*)?\\?\n[ \t]*(?:\+[ \t]*)?[fr]?\1(?=[^\s\"',)])")
_LONGEST = 4_000  # what is looked through for the end of a quote
_MOST_NAMES = 40


def joined(text: str) -> str:
    """``text`` with strings of a program put together that stand on lines of their own: SQL never has two in a row."""
    return _SEAM.sub("", text) if _SQL_STRING.search(text) else text


def quote_ends(text: str, start: int, quote: str) -> Iterator[int]:
    """Where the quote before ``start`` may close, the likeliest first; the end of the text where it is none.

    A string that is not escaped holds quotes of its own kind: it is tried up to the first of them, then to the last of
    the line. Who asks takes the first end that makes a whole statement.
    """
    if not quote:
        yield len(text)
    elif quote.startswith(_LONG):
        close = text.find(quote, start)
        yield len(text) if close < 0 else close
    elif quote == "`":
        yield _inline_code_end(text, start)
    else:
        yield from _string_ends(text, start, _CLOSING.get(quote, quote))


def _inline_code_end(text: str, start: int) -> int:
    """Quoted names have their backticks in pairs: an odd one, not before a name, ends the code."""
    found = re.compile("`").finditer(text, start)
    for number, backtick in enumerate(itertools.islice(found, _MOST_NAMES)):
        if number % 2 == 0 and not text[backtick.end() : backtick.end() + 1].isalnum():
            return backtick.start()
    return len(text)


def _string_ends(text: str, start: int, close: str) -> Iterator[int]:
    line_end = text.find("\n", start, start + _LONGEST)
    line_end = min(len(text), start + _LONGEST) if line_end < 0 else line_end
    first = text.find(close, start, start + _LONGEST)
    while first > 0 and text[first - 1] == "\\":
        first = text.find(close, first + 1, start + _LONGEST)
    last = text.rfind(close, start, line_end)
    yield len(text) if first < 0 else first
    if last > first:
        yield last
