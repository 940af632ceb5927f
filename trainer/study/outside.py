"""Text and JSON that people bring: read as they were meant, or refused in one line; and shown as text, not obeyed."""

import codecs
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

_OTHER_ENCODINGS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}

# What a CI runner obeys in a job's log: GitHub's ``::name::`` where a line begins, its older ``##[name]`` anywhere.
_COMMAND = re.compile(r"^(\s*):(?=:)", re.MULTILINE)
_OLD_COMMAND = re.compile(r"##(?=\[)")


def read_text(path: Path) -> str:
    """As ``read_exactly``, every line break written as a newline."""
    return read_exactly(path).replace("\r\n", "\n").replace("\r", "\n")


def read_exactly(path: Path) -> str:
    """The text of a UTF-8 file, without the byte-order mark that some programs begin it with.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not UTF-8, or no text; names the line.
    """
    contents = path.read_bytes()
    # Those of UTF-32 begin with those of UTF-16.
    for mark, encoding in _OTHER_ENCODINGS.items():
        if contents.startswith(mark):
            raise ValueError(f"it is {encoding}: save it as UTF-8")
    if b"\0" in contents:
        raise ValueError("it holds zero bytes: it is no text, or UTF-16. Save it as UTF-8")
    try:
        return contents.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = contents.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line} is not UTF-8 (byte {contents[error.start]:#04x}): save it as UTF-8") from None


def read_lines(path: Path) -> list[str]:
    """The lines of a text as ``read_text`` reads it; what stands behind the last line break is one more.

    Files joined to one keep their byte-order marks at the start of what was their first line; those are left out too.
    """
    # Not splitlines: it would also cut at a form feed or U+2028 within a string.
    return [line.removeprefix("\ufeff") for line in read_text(path).split("\n")]


def parse_json(text: str, *, pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """As ``json.loads``, but what is nested too deeply to be read is a ValueError like all else that is no JSON.

    ``pairs_hook`` makes every object from its names and values.
    """
    try:
        return json.loads(text, object_pairs_hook=pairs_hook)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_json(path: Path) -> Any:
    """The JSON document in a file. Raises OSError, and ValueError where it is none."""
    return parse_json(read_text(path))


def harmless(text: str) -> str:
    """``text`` with its lines as they are, and without what a terminal or a CI runner would obey.

    >>> harmless("  ::error::stop\\x1b[31m ##[group]")
    '  : :error::stop?[31m ## [group]'
    """
    kept = "".join(character if character.isprintable() or character == "\n" else "?" for character in text)
    return _OLD_COMMAND.sub("## ", _COMMAND.sub(r"\1: ", kept))
