"""The short texts in the cells of a database file, read without running anything that the file holds."""

import contextlib
import functools
import re
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from trainer.spider.entries import SpiderDataError
from trainer.spider.schema import Schema, quoted

# What is read of large databases: counted, not timed, so that a file shows the same values on every machine.
MOST_ROWS = 100_000  # of a table, the first by rowid or primary key
MOST_CELLS = 2_000_000  # of a database
MOST_TEXTS = 25_000  # of a column, different ones
MOST_IN_ALL = 300_000  # of a database
LONGEST = 60  # characters; a cut text would be another value
_LARGEST_CELL = 1 << 20  # bytes that SQLite may load at once
_CHUNK = 50_000  # cells
# Views and virtual tables have no page of their own: reading them would run what the file says.
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0"
# What chat templates put around turns, as far as it is known: no value may end the turn that it stands in.
_MARKUP = re.compile(r"<[^\s<>]*>|<\||\|>|\[/?(INST|SYS)", re.IGNORECASE)


@dataclass(frozen=True)
class ColumnCells:
    """The different texts of a column, named as in the schema, sorted."""

    table: str
    column: str
    texts: tuple[str, ...]


def read_cells(database: Path, schema: Schema) -> list[ColumnCells]:
    """The texts of every column that ``schema`` shows and the file has, in the schema's order.

    Left out are numbers, blobs, NULLs, texts of more than ``LONGEST`` characters and those that ``is_showable``
    refuses; generated columns, views and virtual tables.

    Raises:
        SpiderDataError: it is no database, or damaged.
    """
    uri = f"{database.absolute().as_uri()}?mode=ro&immutable=1"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LARGEST_CELL)
            connection.text_factory = functools.partial(str, encoding="utf-8", errors="surrogateescape")
            connection.execute("PRAGMA trusted_schema = OFF")
            return list(_columns(connection, schema))
    except sqlite3.Error as error:
        raise SpiderDataError(f"{str(database)!r} is no SQLite database or is damaged: {error}.") from None


def is_showable(text: str) -> bool:
    """Whether a text can stand in one line of a prompt: printable, not blank, no piece of a chat template.

    Bytes that are no UTF-8, line breaks and control characters are not printable.
    """
    return text.isprintable() and bool(text.strip()) and not _MARKUP.search(text)


def _columns(connection: sqlite3.Connection, schema: Schema) -> Iterator[ColumnCells]:
    there = {name.lower(): name for (name,) in connection.execute(_TABLES)}
    cells, room = MOST_CELLS, MOST_IN_ALL
    for table in schema.tables:
        own = there.get(table.name.lower(), "")
        # Generated columns are none of these.
        rows = connection.execute("SELECT name FROM pragma_table_info(?)", (own,)).fetchall()
        stored = {name.lower(): name for (name,) in rows}
        shown = [column.name for column in table.columns if column.name.lower() in stored]
        if own and shown:
            most = min(MOST_ROWS, cells // len(shown))
            found, read = _texts(connection, own, [stored[name.lower()] for name in shown], most)
            cells -= read * len(shown)
            for name, texts in zip(shown, found, strict=True):
                kept = [text for text in texts if len(text) <= LONGEST and is_showable(text)][:room]
                room -= len(kept)
                yield ColumnCells(table.name, name, tuple(sorted(kept)))


def _texts(
    connection: sqlite3.Connection, table: str, columns: Sequence[str], most: int
) -> tuple[list[dict[str, None]], int]:
    """The different texts of each column, in the order of their rows, and how many rows were read."""
    try:
        return _read(connection, table, columns, most)
    except sqlite3.Error as error:
        _refuse_all_but_size(error)
    # A cell that must not be loaded ends its own column, and no other.
    return [_before_the_cell(connection, table, column, most) for column in columns], most


def _read(
    connection: sqlite3.Connection, table: str, columns: Sequence[str], most: int
) -> tuple[list[dict[str, None]], int]:
    found: list[dict[str, None]] = [{} for _ in columns]
    cursor, read = connection.execute(_query(table, columns, most)), 0
    while rows := cursor.fetchmany(max(1, _CHUNK // len(columns))):
        read += len(rows)
        for texts, own in zip(found, zip(*rows, strict=True), strict=True):
            if len(texts) < MOST_TEXTS:
                texts.update(dict.fromkeys(own))
    return [dict.fromkeys(islice(filter(None, texts), MOST_TEXTS)) for texts in found], read


def _before_the_cell(connection: sqlite3.Connection, table: str, column: str, most: int) -> dict[str, None]:
    """The texts of the longest run of first rows that can be read; a driver may lose the row before an error."""
    found: dict[str, None] = {}
    least = 0
    while least < most:
        middle = (least + most + 1) // 2
        try:
            (found,), _ = _read(connection, table, [column], middle)
            least = middle
        except sqlite3.Error as error:
            _refuse_all_but_size(error)
            most = middle - 1
    return found


def _refuse_all_but_size(error: sqlite3.Error) -> None:
    if error.sqlite_errorcode != sqlite3.SQLITE_TOOBIG:
        raise error


def _query(table: str, columns: Sequence[str], most: int) -> str:
    """An index would give the rows in its own order. What is no text is not loaded, and of texts no more is given.

    ``substr`` ends at a zero byte, which would make another text of one that holds any.
    """
    names = map(quoted, columns)
    wanted = (
        f"CASE WHEN typeof({name}) = 'text' AND NOT instr({name}, char(0)) THEN substr({name}, 1, {LONGEST + 1}) END"
        for name in names
    )
    return f"SELECT {', '.join(wanted)} FROM {quoted(table)} NOT INDEXED LIMIT {most}"
