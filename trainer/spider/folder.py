"""Questions, schemas and databases as they lie on disk, in a folder or a zip: Spider, its variants, BIRD, own ones."""

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from trainer.spider.archive import unpack
from trainer.spider.database_schema import read_schema
from trainer.spider.databases import find_databases, folders_in, unseen_changes
from trainer.spider.entries import ELSEWHERE, REMEDY, SpiderDataError
from trainer.spider.question import DATABASE_SUFFIXES, SpiderQuestion
from trainer.spider.question_files import (
    GOLD_SUFFIXES,
    STANDARD,
    SUFFIXES,
    TRAINING,
    choose_file,
    gold_files,
    load_questions,
    question_files,
    split_of,
    training_files,
)
from trainer.spider.schema import Schema, load_schemas
from trainer.study.experiment import did_you_mean
from trainer.study.settings import resolve

__all__ = ["SpiderFolder", "SpiderQuestion", "load_questions", "open_spider"]

_LEVELS = 3  # below the folder given, at which its data may lie
_MOST_FOLDERS = 300


@dataclass(frozen=True, eq=False)
class SpiderFolder:
    """Spider, or data of its kind, as it lies in ``root``; question files are read when first asked for.

    ``questions`` is the file of those that are asked, ``databases`` are the files of each database by its name.
    ``schemas`` has what tables.json tells; of other databases that questions are on it gets what their file tells.
    Without ``evidence`` the questions are read as if their data set had none.
    """

    root: Path
    schemas: dict[str, Schema]
    questions: Path | None = None
    databases: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    evidence: bool = True
    tables: Path | None = None  # the file that told the schemas

    def dev(self) -> list[SpiderQuestion]:
        """The questions that are asked, in file order: ``dev.json``, or the file named. Raises SpiderDataError."""
        return list(self._dev)

    def asked(self) -> list[SpiderQuestion]:
        """As ``dev``, whether or not their databases are there."""
        return list(self._asked)

    def train(self) -> list[SpiderQuestion]:
        """The questions of ``train_spider.json``, then those of ``train_others.json`` where it is present.

        Raises:
            SpiderDataError: there are none (a ``train.json``, ``.jsonl`` or ``.csv`` does too), or they are damaged.
        """
        return list(self._train)

    @property
    def has_training_questions(self) -> bool:
        return bool(training_files(self.root))

    def database_path(self, db_id: str) -> Path:
        """The SQLite file of a database. Raises SpiderDataError when it is missing or not all of it would be seen."""
        return self.database_files(db_id)[0]

    def database_files(self, db_id: str) -> tuple[Path, ...]:
        """As ``database_path``, and behind it the other files of its test suite. Raises SpiderDataError."""
        if db_id not in self.databases or not self.databases[db_id][0].is_file():
            path = self.root / "database" / db_id / f"{db_id}.sqlite"
            hint = did_you_mean(db_id, self.databases)
            missing = sum(not self.databases.get(name) for name in {question.db_id for question in self._asked})
            more = f" {missing} databases are missing in all." if missing > 1 else ""
            raise SpiderDataError(
                f"Spider database {db_id!r} not found: no file {str(path)!r}.{more}{hint} {ELSEWHERE}"
            )
        if unseen := next(filter(None, map(unseen_changes, self.databases[db_id])), ""):
            raise SpiderDataError(unseen)
        return self.databases[db_id]

    @property
    def _only_database(self) -> str:
        """The database that questions mean which name none; empty where there are several."""
        return next(iter(self.databases)) if len(self.databases) == 1 else ""

    @functools.cached_property
    def _asked(self) -> list[SpiderQuestion]:
        return self._spelt(load_questions(self.questions, self._only_database))

    @functools.cached_property
    def _dev(self) -> list[SpiderQuestion]:
        return self._placed(self.questions, self._asked)

    @functools.cached_property
    def _train(self) -> list[SpiderQuestion]:
        # The databases of Spider's two files differ, so that ids stay distinct.
        found = training_files(self.root)
        if not found:
            raise SpiderDataError(
                f"{TRAINING[0]} not found in {str(self.root)!r}, nor {', '.join(TRAINING[1:])}: there are no questions "
                "to train on or to draw exemplars from. Bring one, or train on other data first."
            )
        read = {path: self._spelt(load_questions(path, self._only_database)) for path in found}
        return [question for path, questions in read.items() for question in self._placed(path, questions)]

    def _spelt(self, questions: list[SpiderQuestion]) -> list[SpiderQuestion]:
        """The questions, databases named as their files are where that is in other capitals."""
        files = _by_small_letters(self.databases)
        names = {question.db_id for question in questions} - self.databases.keys()
        other = {name: files[name.casefold()] for name in names if name.casefold() in files}
        return [replace(q, db_id=other[q.db_id]) if q.db_id in other else q for q in questions] if other else questions

    def _placed(self, path: Path, questions: list[SpiderQuestion]) -> list[SpiderQuestion]:
        """The questions of a file once the schema of each is known. Raises SpiderDataError."""
        unknown = [q for q in questions if q.db_id not in self.schemas and q.db_id not in self.databases]
        if unknown:
            first, names = unknown[0], {question.db_id for question in unknown}
            more = f" ({len(unknown)} questions are on {len(names)} such databases)" if len(unknown) > 1 else ""
            raise SpiderDataError(
                f"{str(path)!r}: question {first.index} is on database {first.db_id!r}, which neither tables.json nor "
                f"a file in {str(self.root)!r} has{more}.{did_you_mean(first.db_id, self.databases)} {ELSEWHERE}"
            )
        for db_id in {question.db_id for question in questions} - self.schemas.keys():
            self.schemas[db_id] = read_schema(db_id, self.databases[db_id][0])
        return questions if self.evidence else [replace(question, evidence="") for question in questions]


def find_spider(source: str | Path) -> Path:
    """The folder or file that ``source`` names. Raises SpiderDataError where there is none."""
    path = resolve(source)
    if not path.exists():
        raise SpiderDataError(f"Spider not found: no folder or zip {str(source)!r}. {REMEDY}")
    return path


def open_spider(source: str | Path, questions: str = "", *, evidence: bool = True) -> SpiderFolder:
    """The data in a folder or zip, which is unpacked once, beside itself; or beside the file of questions named.

    ``questions`` names the file to ask where it is not the standard one: by its name there, or by its path elsewhere,
    as for a variant of Spider's questions on Spider's own databases.

    Raises:
        SpiderDataError: nothing there, or damaged. ZipError: a zip that cannot be unpacked or must not be.
    """
    path = find_spider(source)
    if path.is_file() and path.suffix.lower() in (*SUFFIXES, *GOLD_SUFFIXES):
        path, questions = path.parent, questions or path.name
    elif path.is_file() and path.suffix.lower() in (*DATABASE_SUFFIXES, ".xlsx", ".xls", ".ods"):
        raise SpiderDataError(
            f"{str(source)!r} holds no questions that can be read. Pass the folder that has the database and, as CSV, "
            "the questions."
        )
    elif path.is_file():
        path = unpack(path)
    try:
        return _opened(path, questions, evidence)
    except OSError as error:
        raise SpiderDataError(f"{error.filename!r} cannot be read: {error.strerror}.") from None


def _opened(folder: Path, questions: str, evidence: bool) -> SpiderFolder:
    root = _data_folder(folder, questions)
    chosen = choose_file(root, questions)
    split = split_of(chosen)
    # A file of questions that lies elsewhere may have brought databases, as Spider-DK does.
    places = list(dict.fromkeys([chosen.parent, root]))
    databases: dict[str, tuple[Path, ...]] = {}
    for place in places:
        databases = find_databases(place, split) | databases
    tables = next((found for place in places for found in [_tables(place, split)] if found), None)
    files = _by_small_letters(databases)
    schemas = load_schemas(tables) if tables else {}
    schemas = {name if name in databases else files.get(name.casefold(), name): of for name, of in schemas.items()}
    return SpiderFolder(root, schemas, chosen, databases, evidence, tables)


def _by_small_letters(databases: Iterable[str]) -> dict[str, str]:
    """Names by their small letters, without those of which several differ in capitals alone."""
    names = [name.casefold() for name in databases]
    return {small: name for small, name in zip(names, databases, strict=True) if names.count(small) == 1}


def _tables(folder: Path, split: str) -> Path | None:
    """The file that tells the schemas; where there is none, the databases do."""
    named = [folder / f"{split}_tables.json", folder / "tables.json", folder / "dev_tables.json"]
    return next((path for path in named if path.is_file()), None)


def _data_folder(folder: Path, questions: str) -> Path:
    """``folder``, or the one below it in which the data lie; ``folder`` where nothing is found, so that it is named.

    Raises:
        SpiderDataError: there are several.
    """
    names = (questions, *(f"{questions}{suffix}" for suffix in SUFFIXES)) if questions else STANDARD
    if Path(questions).is_absolute():
        names = ()  # it is in no folder by that name

    def has_questions(place: Path) -> bool:
        if any((place / name).is_file() for name in names):
            return True
        return not questions and bool(question_files(place) or gold_files(place))

    found = _below(folder, has_questions)
    if not found and questions and resolve(questions).is_file():
        # Databases are found some levels below, tables.json is not.
        found = _below(folder, lambda place: _tables(place, "dev") is not None) or [folder]
    if len(found) > 1:
        shown = ", ".join(repr(str(place)) for place in found[:4])
        raise SpiderDataError(f"{len(found)} folders in {str(folder)!r} hold questions: {shown}. Pass one of them.")
    return found[0] if found else folder


def _below(folder: Path, holds: Callable[[Path], bool]) -> list[Path]:
    """The folders that hold what is looked for, at the first level that has any."""
    level = [folder]
    for _ in range(_LEVELS + 1):
        found = [place for place in level if holds(place)]
        if found:
            return found
        level = [inner for place in level for inner in folders_in(place)][:_MOST_FOLDERS]
    return []
