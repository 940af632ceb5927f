"""The schema that a database file tells itself, for data without a tables.json, in the words of tables.json."""

import contextlib
import re
import sqlite3
from pathlib import Path

from trainer.spider.entries import SpiderDataError
from trainer.spider.schema import Column, ForeignKey, Schema, Table, quoted

# Spider's own rule for the types of tables.json: preprocess/get_tables.py of github.com/taoyds/spider.
_TYPES = {
    "text": ("char", "text", "var"),
    "number": ("int", "numeric", "decimal", "number", "id", "real", "double", "float"),
    "time": ("date", "time", "year"),
    "boolean": ("boolean",),
}
_WORD = re.compile(r"\w+")
_MOST_CHARACTERS = 100_000  # of a view
_TABLES = """
    SELECT name, type, sql FROM sqlite_master
    WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid
"""


def read_schema(db_id: str, database: Path) -> Schema:
    """Tables and views of a SQLite file in the order of their making. Nothing of it is run.

    Raises:
        SpiderDataError: it is no database, or damaged.
    """
    uri = f"{database.absolute().as_uri()}?mode=ro&immutable=1"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
            # Names may be in another encoding than the file says.
            connection.text_factory = lambda text: text.decode(errors="replace")
            connection.execute("PRAGMA trusted_schema = OFF")
            return Schema(db_id, tuple(_tables(connection)))
    except sqlite3.Error as error:
        raise SpiderDataError(f"{str(database)!r} is no SQLite database or is damaged: {error}.") from None


def _tables(connection: sqlite3.Connection) -> list[Table]:
    found = connection.execute(_TABLES).fetchall()
    left_out = _shadows(connection) | _intricate({name: sql or "" for name, kind, sql in found if kind == "view"})
    primary = {name.lower(): _primary(connection, name) for name, kind, _ in found if kind == "table"}
    tables = []
    for name, kind, _ in found:
        if name in left_out:
            continue
        try:
            columns = connection.execute("SELECT name, type FROM pragma_table_info(?)", (name,)).fetchall()
        except sqlite3.Error:  # a view of what is gone, a virtual table of an extension
            continue
        keys = _foreign_keys(connection, name, primary) if kind == "table" else ()
        named = tuple(Column(column, _type(declared)) for column, declared in columns)
        tables.append(Table(name, named, primary.get(name.lower(), ()), keys))
    return tables


def _shadows(connection: sqlite3.Connection) -> set[str]:
    """The tables in which virtual tables keep what they hold; an old SQLite does not tell them."""
    try:
        return {name for (name,) in connection.execute("SELECT name FROM pragma_table_list WHERE type = 'shadow'")}
    except sqlite3.Error:
        return set()


def _intricate(views: dict[str, str]) -> set[str]:
    """The views that stand on more than one other view: SQLite writes each out, and a few could double without end."""
    names = {name.lower() for name in views}
    mentions = {name: sum(word.lower() in names for word in _WORD.findall(sql)) for name, sql in views.items()}
    # Its own name stands there, too.
    return {name for name, count in mentions.items() if count > 2 or len(views[name]) > _MOST_CHARACTERS}


def _primary(connection: sqlite3.Connection, table: str) -> tuple[str, ...]:
    with contextlib.suppress(sqlite3.Error):
        rows = connection.execute("SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk", (table,))
        return tuple(name for (name,) in rows)
    return ()


def _foreign_keys(
    connection: sqlite3.Connection, table: str, primary: dict[str, tuple[str, ...]]
) -> tuple[ForeignKey, ...]:
    """In the order of their making. A key that names no column refers to the other table's primary key."""
    rows = connection.execute(f"PRAGMA foreign_key_list({quoted(table)})").fetchall()
    found = []
    for _, place, other, column, other_column, *_ in sorted(rows, key=lambda row: (-row[0], row[1])):
        own = primary.get(other.lower(), ())
        target = other_column or (own[place] if place < len(own) else None)
        if target:
            found.append(ForeignKey(column, other, target))
    return tuple(found)


def _type(declared: str) -> str:
    declared = declared.lower() or "text"
    return next((name for name, words in _TYPES.items() if any(word in declared for word in words)), "others")
