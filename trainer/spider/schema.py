"""The schemas of Spider's databases, from ``tables.json``."""

from dataclasses import dataclass
from pathlib import Path

from trainer.spider.entries import read_entries


@dataclass(frozen=True)
class Column:
    """A column; ``type`` is tables.json's: text, number, time, boolean or others."""

    name: str
    type: str


@dataclass(frozen=True)
class ForeignKey:
    """``column`` of the table that holds the key refers to ``other_column`` of ``other_table``."""

    column: str
    other_table: str
    other_column: str


@dataclass(frozen=True)
class Table:
    """A table with its keys, names as in the database."""

    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    foreign_keys: tuple[ForeignKey, ...]


@dataclass(frozen=True)
class Schema:
    """One database's tables, in the order of tables.json."""

    db_id: str
    tables: tuple[Table, ...]


def load_schemas(tables_json: Path) -> dict[str, Schema]:
    """Every schema of a ``tables.json`` by database name. Raises SpiderDataError."""
    return {schema.db_id: schema for schema in read_entries(tables_json, lambda index, entry: _schema(entry))}


def _schema(entry: dict) -> Schema:
    table_names, columns = entry["table_names_original"], entry["column_names_original"]
    # A composite key is a list inside the list in newer copies of tables.json, and absent in older ones.
    primary = {index for key in entry["primary_keys"] for index in (key if isinstance(key, list) else [key])}

    def foreign_keys(table_index: int) -> tuple[ForeignKey, ...]:
        pairs = [(here, there) for here, there in entry["foreign_keys"] if columns[here][0] == table_index]
        return tuple(ForeignKey(columns[h][1], table_names[columns[t][0]], columns[t][1]) for h, t in pairs)

    def table(table_index: int, name: str) -> Table:
        own = [index for index, (owner, _) in enumerate(columns) if owner == table_index]
        return Table(
            name=name,
            columns=tuple(Column(columns[index][1], entry["column_types"][index]) for index in own),
            primary_key=tuple(columns[index][1] for index in own if index in primary),
            foreign_keys=foreign_keys(table_index),
        )

    return Schema(entry["db_id"], tuple(table(index, name) for index, name in enumerate(table_names)))


def quoted(name: str) -> str:
    """``name`` in double quotes, as SQL takes any name, keywords too."""
    return '"' + name.replace('"', '""') + '"'
