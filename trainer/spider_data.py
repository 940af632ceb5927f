"""Spider's files: questions, schemas and databases, from a folder or from the official zip."""

import json
from dataclasses import dataclass
from pathlib import Path


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


@dataclass(frozen=True)
class SpiderQuestion:
    """One question; ``index`` is its 0-based place in its file, which published predictions follow."""

    index: int
    db_id: str
    question: str
    gold_sql: str

    @property
    def id(self) -> str:
        """Database and place, e.g. ``concert_singer-0001``."""
        return f"{self.db_id}-{self.index:04d}"


def load_schemas(tables_json: Path) -> dict[str, Schema]:
    """Every schema of a ``tables.json`` by database name."""
    return {entry["db_id"]: _schema(entry) for entry in json.loads(tables_json.read_text(encoding="utf-8"))}


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


def load_questions(path: Path) -> list[SpiderQuestion]:
    """The questions of ``dev.json``, ``train_spider.json`` or a file of their shape, in file order."""
    entries = json.loads(path.read_text(encoding="utf-8"))
    return [SpiderQuestion(i, entry["db_id"], entry["question"], entry["query"]) for i, entry in enumerate(entries)]


@dataclass(frozen=True)
class SpiderFolder:
    """Spider's files in one folder (placeholder for the full version being written)."""

    root: Path
    schemas: dict[str, Schema]

    def dev(self) -> list[SpiderQuestion]:
        return load_questions(self.root / "dev.json")

    def train(self) -> list[SpiderQuestion]:
        return load_questions(self.root / "train_spider.json")

    def database_path(self, db_id: str) -> Path:
        return self.root / "database" / db_id / f"{db_id}.sqlite"

    def __hash__(self) -> int:
        return hash(self.root)


def open_spider(source):
    from trainer.experiment import resolve

    root = resolve(source)
    return SpiderFolder(root, load_schemas(root / "tables.json"))


def exemplars(folder, experiment, count=3):
    return folder.train()[: 40 * count : 40]
