"""Spider's files: questions, schemas and databases, from a folder or from the official zip."""

import contextlib
import functools
import json
import sqlite3
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from trainer.spider.archive import unpack
from trainer.study.experiment import Experiment, ExperimentError, resolve

_REMEDY = 'Download Spider and pass --spider DIR_OR_ZIP (see README, "Data").'
_DAMAGED = "The copy is damaged; download Spider again."


class SpiderDataError(ExperimentError):
    """Spider's files are missing or damaged; the message names the file and the remedy."""


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


@dataclass(frozen=True, eq=False)
class SpiderFolder:
    """Spider as it lies in ``root``; question files are read when first asked for."""

    root: Path
    schemas: dict[str, Schema]

    def dev(self) -> list[SpiderQuestion]:
        """The questions of ``dev.json``, in file order. Raises SpiderDataError."""
        return list(self._dev)

    def train(self) -> list[SpiderQuestion]:
        """The questions of ``train_spider.json``, then those of ``train_others.json`` where it is present."""
        return list(self._train)

    def database_path(self, db_id: str) -> Path:
        """The SQLite file of a database. Raises SpiderDataError when it is missing."""
        path = self.root / "database" / db_id / f"{db_id}.sqlite"
        if not path.is_file():
            raise SpiderDataError(f"Spider database {db_id!r} not found: no file {str(path)!r}. {_REMEDY}")
        return path

    @functools.cached_property
    def _dev(self) -> list[SpiderQuestion]:
        return self._questions("dev.json")

    @functools.cached_property
    def _train(self) -> list[SpiderQuestion]:
        # The databases of the two files differ, so that ids stay distinct.
        others = self._questions("train_others.json") if (self.root / "train_others.json").is_file() else []
        return self._questions("train_spider.json") + others

    def _questions(self, name: str) -> list[SpiderQuestion]:
        questions = load_questions(self.root / name)
        for question in questions:
            if question.db_id not in self.schemas:
                raise SpiderDataError(
                    f"{str(self.root / name)!r}: question {question.index} is on database {question.db_id!r}, "
                    f"which tables.json does not have. {_DAMAGED}"
                )
        return questions


def open_spider(source: str | Path) -> SpiderFolder:
    """Spider from its folder, or from the official zip, which is unpacked once, beside itself.

    Raises:
        SpiderDataError: nothing there, or damaged. ZipError: a zip that cannot be unpacked or must not be.
    """
    path = resolve(source)
    if not path.exists():
        raise SpiderDataError(f"Spider not found: no folder or zip {str(source)!r}. {_REMEDY}")
    root = path if path.is_dir() else unpack(path)
    for name in ("tables.json", "dev.json"):
        if not (root / name).is_file():
            raise SpiderDataError(f"Spider not found in {str(source)!r} (no {name}). {_REMEDY}")
    return SpiderFolder(root, load_schemas(root / "tables.json"))


def load_schemas(tables_json: Path) -> dict[str, Schema]:
    """Every schema of a ``tables.json`` by database name. Raises SpiderDataError."""
    return {schema.db_id: schema for schema in _parsed(tables_json, lambda index, entry: _schema(entry))}


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
    """The questions of ``dev.json`` or a file of its shape, in file order. Raises SpiderDataError."""
    return _parsed(path, lambda i, entry: SpiderQuestion(i, entry["db_id"], entry["question"], entry["query"]))


def _parsed(path: Path, parse: Callable[[int, dict], Any]) -> list:
    """``parse(place, entry)`` of every entry of a JSON list.

    Raises:
        SpiderDataError: no such file, not a JSON list, or an entry that is not what ``parse`` needs.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SpiderDataError(f"Spider's {path.name} not found in {str(path.parent)!r}. {_REMEDY}") from None
    except ValueError as error:  # JSON and UTF-8 errors alike
        raise SpiderDataError(f"{str(path)!r} is not valid JSON: {error}. {_DAMAGED}") from None
    if not isinstance(entries, list):
        raise SpiderDataError(f"{str(path)!r} is not a JSON list but {type(entries).__name__}. {_DAMAGED}")
    return [_entry(path, place, entry, parse) for place, entry in enumerate(entries)]


def _entry(path: Path, place: int, entry: dict, parse: Callable[[int, dict], Any]) -> Any:
    try:
        return parse(place, entry)
    except KeyError as error:
        problem = f"lacks {error}"
    except (IndexError, TypeError, ValueError) as error:
        problem = f"is malformed ({error})"
    raise SpiderDataError(f"{str(path)!r}: entry {place} {problem}. {_DAMAGED}")


def exemplars(spider: SpiderFolder, experiment: Experiment, num_shots: int | None = None) -> list[SpiderQuestion]:
    """The solved questions of the base model's prompt: the experiment's own list, or drawn with its seed.

    Drawn ones come from training databases with short schemas (up to the median), one a database. The first
    ``k`` of them are the same whatever ``num_shots`` (default: the experiment's).

    Raises:
        SpiderDataError: an id that is no training question, or fewer exemplars than asked for.
    """
    wanted = experiment.spider.num_shots if num_shots is None else num_shots
    if not wanted:
        return []
    found = _listed(spider, experiment.spider.exemplars) or _drawn(spider, experiment.seed, wanted)
    if len(found) < wanted:
        raise SpiderDataError(
            f"{wanted} exemplars wanted, {len(found)} found. Lower spider.num_shots or list more exemplars."
        )
    return found[:wanted]


def _listed(spider: SpiderFolder, ids: tuple[str, ...]) -> list[SpiderQuestion]:
    questions = {question.id: question for question in spider.train()} if ids else {}
    unknown = [name for name in ids if name not in questions]
    if unknown:
        raise SpiderDataError(
            f"spider.exemplars: {unknown[0]!r} is no training question. "
            f"Ids are database and place, e.g. {next(iter(questions))!r}."
        )
    return [questions[name] for name in ids]


def _drawn(spider: SpiderFolder, seed: int, wanted: int) -> list[SpiderQuestion]:
    questions = spider.train()
    databases = sorted({question.db_id for question in questions})
    median = statistics.median(_length(spider.schemas[name]) for name in databases)
    rng, drawn = Random(f"exemplars {seed}"), []
    rng.shuffle(databases)
    for name in databases:
        if len(drawn) < wanted and _length(spider.schemas[name]) <= median:
            own = [question for question in questions if question.db_id == name]
            rng.shuffle(own)
            drawn += [question for question in own if _compiles(spider.schemas[name], question.gold_sql)][:1]
    return drawn


def _length(schema: Schema) -> int:
    """Characters in all names, which a schema's prompt grows with."""
    return sum(len(table.name) + sum(len(column.name) for column in table.columns) for table in schema.tables)


def _compiles(schema: Schema, sql: str) -> bool:
    """Whether SQLite accepts the query on empty tables of this schema; nothing is run."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        try:
            for table in schema.tables:
                columns = ", ".join(_quoted(column.name) for column in table.columns)
                connection.execute(f"CREATE TABLE {_quoted(table.name)} ({columns})")
            connection.execute(f"EXPLAIN {sql}")
        except sqlite3.Error:
            return False
    return True


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
