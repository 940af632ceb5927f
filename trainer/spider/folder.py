"""Spider as it lies on disk: questions, schemas and databases, from a folder or from the official zip."""

import functools
from dataclasses import dataclass
from pathlib import Path

from trainer.spider.archive import unpack
from trainer.spider.entries import DAMAGED, REMEDY, SpiderDataError, read_entries
from trainer.spider.schema import Schema, load_schemas
from trainer.study.experiment import resolve


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
            raise SpiderDataError(f"Spider database {db_id!r} not found: no file {str(path)!r}. {REMEDY}")
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
                    f"which tables.json does not have. {DAMAGED}"
                )
        return questions


def open_spider(source: str | Path) -> SpiderFolder:
    """Spider from its folder, or from the official zip, which is unpacked once, beside itself.

    Raises:
        SpiderDataError: nothing there, or damaged. ZipError: a zip that cannot be unpacked or must not be.
    """
    path = resolve(source)
    if not path.exists():
        raise SpiderDataError(f"Spider not found: no folder or zip {str(source)!r}. {REMEDY}")
    root = path if path.is_dir() else unpack(path)
    for name in ("tables.json", "dev.json"):
        if not (root / name).is_file():
            raise SpiderDataError(f"Spider not found in {str(source)!r} (no {name}). {REMEDY}")
    return SpiderFolder(root, load_schemas(root / "tables.json"))


def load_questions(path: Path) -> list[SpiderQuestion]:
    """The questions of ``dev.json`` or a file of its shape, in file order. Raises SpiderDataError."""
    return read_entries(path, lambda i, entry: SpiderQuestion(i, entry["db_id"], entry["question"], entry["query"]))
