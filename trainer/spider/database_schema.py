"""The schema that a database file tells itself, for data without a tables.json, in the words of tables.json."""

import contextlib
import re
import sqlite3
from collections.abc import Iterator
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
# What FTS3 to FTS5 and R*Tree call their parts.
_SHADOWS = ("data", "idx", "content", "docsize", "config", "segments", "segdir", "stat", "node", "rowid", "parent")
# A name as SQLite takes it, in any of its quotes; a comment is none, and may hold a quote.
_NAME = re.compile(
    r"""
    --[^\n]* | /\*.*?(?:\*/|\Z)
  | (?P<name> "(?:[^"]|"")*" | '(?:[^']|'')*' | `(?:[^`]|``)*` | \[[^\]]*\] | [\w$\x80-\U0010ffff]+ )
    """,
    re.VERBOSE | re.DOTALL,
)
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
    texts = {kind: {name: sql or "" for name, its, sql in found if its == kind} for kind in ("table", "view")}
    left_out = _shadows(texts["table"]) | _intricate(texts["view"])
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


def _shadows(names: dict[str, str]) -> set[str]:
    """Of tables and their SQL, those in which virtual tables keep what they hold.

    Told by their names: ``pragma_table_list`` would write out every view of the file.
    """
    virtual = [name for name, sql in names.items() if sql.lower().startswith("create virtual")]
    return {f"{name}_{part}" for name in virtual for part in _SHADOWS} & names.keys()


def _intricate(views: dict[str, str]) -> set[str]:
    """Views that stand on more than one other view, and what stands on them: SQLite writes each out where it is named.

    A few such could double without end. ``views`` are their statements by name.
    """
    names = {name.lower(): name for name in views}
    used = {
        name: [names[word] for word in _named_in(sql) if word in names and names[word] != name]
        for name, sql in views.items()
        if len(sql) <= _MOST_CHARACTERS
    }
    users: dict[str, set[str]] = {name: set() for name in views}
    for name, others in used.items():
        for other in others:
            users[other].add(name)
    found = {name for name in views if len(used.get(name, (name, name))) > 1}
    waiting = list(found)
    while waiting:
        new = users[waiting.pop()] - found
        found |= new
        waiting += new
    return found


def _named_in(sql: str) -> Iterator[str]:
    """Whatever may be a name in ``sql``, without its quotes, in small letters."""
    for match in _NAME.finditer(sql):
        name = match["name"] or ""
        quote = name[:1]
        if quote in ('"', "'", "`"):
            name = name[1:-1].replace(2 * quote, quote)
        yield name.strip("[]").lower()


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
