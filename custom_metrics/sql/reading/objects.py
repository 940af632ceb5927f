"""JSON as models write it: cut short, with trailing commas, single quotes or quotes that are not escaped."""

import re
from typing import NamedTuple

OBJECT_START = re.compile(r"""(?<!['"`\\])\{\s*["'][\w .-]{1,60}["']\s*:""")
_PIECE = re.compile(r"\s*(?:(?P<open>[{\[])|(?P<close>[}\]])|[,:]|(?P<string>[\"'])|[\w.+-]+)")
_STRINGS = {quote: re.compile(rf"(?:[^{quote}\\]|\\.)*+{quote}(?=\s*(?:[:,}}\]]|\Z))", re.DOTALL) for quote in "\"'"}
# The end of a string that holds quotes of its own: what follows is a key, or the end of the object.
_STRING_ENDS = {
    quote: re.compile(rf"{quote}(?=\s*(?:,\s*(?:[\"'][\w .-]{{1,60}}[\"']\s*:|[}}\]])|[}}\]]|\Z))") for quote in "\"'"
}
_KEY_ENDS = re.compile(r"\s*:")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|([\"'\\/bfnrt]))")
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class Field(NamedTuple):
    """A string of an object, decoded, and the nearest key before it."""

    key: str
    value: str


def read_object(text: str, start: int) -> tuple[list[Field], int]:
    """The strings of the object that begins at ``start``, at whatever depth, and where it ends."""
    fields: list[Field] = []
    key, depth, place = "", 0, start
    while piece := _PIECE.match(text, place):
        place = piece.end()
        if piece["string"]:
            value, place = _read_string(text, place, piece["string"])
            if _KEY_ENDS.match(text, place):
                key = value
            else:
                fields.append(Field(key, value))
        depth += bool(piece["open"]) - bool(piece["close"])
        if depth <= 0:
            break
    return fields, place


def _read_string(text: str, start: int, quote: str) -> tuple[str, int]:
    """The string behind the quote before ``start``; one without end goes on to the end of the text."""
    if found := _STRINGS[quote].match(text, start):
        return decoded(found.group()[:-1]), found.end()
    if found := _STRING_ENDS[quote].search(text, start):
        return decoded(text[start : found.start()]), found.end()
    return decoded(text[start:]), len(text)


def decoded(string: str) -> str:
    """What the inside of a string of JSON, or of a program, stands for; escapes that it does not know stay."""
    plain = _ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else _ESCAPED.get(found[2], found[2]), string)
    # A character beyond the first 65,536 is escaped as two surrogates.
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
