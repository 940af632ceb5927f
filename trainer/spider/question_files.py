"""Files of questions as people have them: JSON, JSON lines, CSV, and gold SQL with its database. Found, and read."""

import csv
import io
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trainer.spider.entries import REMEDY, SpiderDataError
from trainer.spider.question import SpiderQuestion, has_sql, is_question, named_fields, read_question
from trainer.study.outside import parse_json, read_exactly, read_lines, read_text
from trainer.study.settings import resolve

SUFFIXES = (".json", ".jsonl", ".csv", ".tsv")
GOLD_SUFFIXES = (".sql", ".txt")
# What is asked unless another file is named: Spider's and BIRD's dev split, and of mini-dev the SQLite one.
STANDARD = ("dev.json", "mini_dev_sqlite.json", "dev.jsonl", "dev.csv")
TRAINING = ("train_spider.json", "train.json", "train.jsonl", "train.csv")
_OTHERS = "train_others.json"
_DELIMITERS = (",", ";", "\t")
_BEGINNING = 1 << 16  # bytes that hold a table's titles
_MOST_FILES = 100
_MOST_BYTES = 1 << 28  # of a file that nobody named; Spider's training questions have 24 million
_SPREADSHEETS = (".xlsx", ".xls", ".ods")


def load_questions(path: Path, database: str = "") -> list[SpiderQuestion]:
    """The questions of a file, in its order; ``database`` is the one meant where none is named.

    Of questions without SQL the gold SQL is taken from the file beside them that is named for it: ``dev_gold.sql``.

    Raises:
        SpiderDataError: it cannot be read, or an entry is no question; names file, place and reason.
    """
    told, questions = path.suffix.lower() in SUFFIXES, []
    for index, (place, entry) in enumerate(_with_gold(path, list(_read(path))) if told else _read(path)):
        try:
            questions.append(read_question(index, entry, database=database, told=told))
        except ValueError as error:
            raise SpiderDataError(f"{str(path)!r}: {place} {error}. Mend it, or get the file again.") from None
    if not questions:
        raise SpiderDataError(f"{str(path)!r} holds no question. {REMEDY}")
    return questions


def _with_gold(path: Path, entries: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    gold = path.with_name(f"{path.stem}_gold.sql")
    if not gold.is_file() or any(has_sql(entry) for _, entry in entries):
        return entries
    lines = [entry for _, entry in _read(gold)]
    if len(lines) != len(entries):
        raise SpiderDataError(
            f"{str(path)!r} has {len(entries)} questions without SQL, and {gold.name} beside it {len(lines)} queries."
        )
    return [(place, _joined(entry, line)) for (place, entry), line in zip(entries, lines, strict=True)]


def _joined(entry: Any, gold: Mapping[str, str]) -> Any:
    """An entry with its gold SQL, and with the database that stands there where it names none."""
    return {"db_id": gold["db_id"], **entry, "query": gold["query"]} if isinstance(entry, Mapping) else entry


def split_of(path: Path) -> str:
    """``dev``, ``test`` or ``train``: by the file's name; Spider's ``test_data/dev.json`` is of the test split."""
    if path.parent.name == "test_data":
        return "test"
    return next((name for name in ("test", "train") if path.name.lower().startswith(name)), "dev")


def training_files(folder: Path) -> list[Path]:
    """The files of training questions in a folder: Spider's, else one of another name."""
    found = [folder / name for name in TRAINING if (folder / name).is_file()][:1]
    others = folder / _OTHERS
    return [*found, others] if found and found[0].name == TRAINING[0] and others.is_file() else found


def question_files(folder: Path) -> list[Path]:
    """The files in a folder that hold questions with their SQL, but for those of training and of other databases."""
    left_out = ("train", "tables", "mysql", "postgres")
    return [
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in SUFFIXES
        and not path.name.startswith(".")
        and not any(word in path.name.lower() for word in left_out)
        and _holds_questions(path)
    ]


def gold_files(folder: Path) -> list[Path]:
    """The files of gold SQL with its databases, a line a question: ``dev_gold.sql``."""
    found = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in GOLD_SUFFIXES]
    return [path for path in found if "gold" in path.name.lower() and not path.name.startswith((".", "train"))]


def choose_file(folder: Path, named: str = "") -> Path:
    """The file of the questions that are asked: the one ``named``, else the standard one, else the only one.

    ``named`` is a name in the folder, with or without its suffix, or a path elsewhere.

    Raises:
        SpiderDataError: there is none or more than one; names those that there are.
    """
    if named:
        return _named(folder, named)
    for name in STANDARD:
        if (folder / name).is_file():
            return folder / name
    found = question_files(folder) or gold_files(folder)
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(path.name for path in found)
        raise SpiderDataError(
            f"{len(found)} files of questions in {str(folder)!r}: {names}. "
            f"Choose one: --spider-questions={found[0].name}"
        )
    raise SpiderDataError(
        f"Spider not found in {str(folder)!r} (no dev.json). {REMEDY} Own questions: a CSV, JSON or JSONL file with "
        f"the columns question, sql and db_id, beside their databases.{_seen(folder)}"
    )


def _seen(folder: Path) -> str:
    """What lies in a folder in which no questions were found, and what can be done with it."""
    paths = [path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(".")]
    others = [path.name for path in paths if path.suffix.lower() in SUFFIXES]
    said = [f"No questions with SQL can be read out of {', '.join(others[:5])}."] if others else []
    for path in paths[:_MOST_FILES]:
        if path.suffix.lower() in _SPREADSHEETS:
            said.append(f"Save {path.name} as CSV.")
        elif path.suffix.lower() == ".zip":
            said.append(f"Pass what is packed in it: --spider={shlex.quote(str(path))}")
    return "".join(f" {sentence}" for sentence in said)


def _named(folder: Path, named: str) -> Path:
    places = [folder / named, *(folder / f"{named}{suffix}" for suffix in SUFFIXES), resolve(named)]
    found = next((path for path in places if path.is_file()), None)
    if found is None:
        names = ", ".join(path.name for path in question_files(folder)) or "none"
        raise SpiderDataError(f"no file of questions {named!r} in {str(folder)!r}. It has: {names}.")
    return found


def _holds_questions(path: Path) -> bool:
    try:
        if path.stat().st_size > _MOST_BYTES:
            return False
        if path.suffix.lower() not in (".csv", ".tsv"):
            return any(is_question(entry) for _, entry in _read(path))
        with path.open("rb") as file:
            delimiter, text = _table(file.read(_BEGINNING).decode("utf-8-sig", errors="replace"))
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        return {"question", "query"} <= named_fields(next((row for row in rows if any(row)), []))
    except (OSError, ValueError, csv.Error):
        return False


def _read(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every entry and where it stands. Raises SpiderDataError."""
    readers = {".json": _read_json, ".jsonl": _read_json_lines, ".csv": _read_csv, ".tsv": _read_csv}
    try:
        yield from readers.get(path.suffix.lower(), _read_gold)(path)
    except FileNotFoundError:
        raise SpiderDataError(f"Spider's {path.name} not found in {str(path.parent)!r}. {REMEDY}") from None
    except OSError as error:
        raise SpiderDataError(f"{str(path)!r} cannot be read: {error.strerror or error}. {REMEDY}") from None
    except ValueError as error:
        problem = str(error) if isinstance(error, SpiderDataError) else f"{str(path)!r} cannot be read: {error}"
        raise SpiderDataError(problem) from None


def _read_json(path: Path) -> Iterator[tuple[str, Any]]:
    """A list; or lines of JSON under the other name."""
    try:
        entries = parse_json(read_text(path))
    except ValueError as error:
        if "Extra data" in str(error):
            yield from _read_json_lines(path)
            return
        raise ValueError(f"not valid JSON: {error}. Mend it, or get the file again") from None
    if is_question(entries):
        entries = [entries]
    if not isinstance(entries, list):
        raise ValueError(f"not a JSON list but {type(entries).__name__}")
    yield from ((f"entry {place}", entry) for place, entry in enumerate(entries))


def _read_json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(read_lines(path), start=1):
        if line.strip():
            try:
                yield f"line {number}", parse_json(line)
            except ValueError as error:
                raise ValueError(f"line {number} is not valid JSON: {error}") from None


def _read_csv(path: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Rows by their header; Excel's semicolons and its ``sep=;`` line are taken as they are meant."""
    delimiter, text = _table(read_exactly(path))
    rows = enumerate(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True), start=1)
    header: list[str] = []
    number = 0
    try:
        for number, row in rows:
            if not any(cell.strip() for cell in row):
                continue
            if not header:
                header = row
                continue
            if any(cell.strip() for cell in row[len(header) :]):
                raise ValueError(
                    f"row {number} has {len(row)} cells, the header {len(header)}: put a cell that holds "
                    f"{delimiter!r} in double quotes"
                )
            yield f"row {number}", dict(zip(header, row, strict=False))
    except csv.Error as error:
        raise ValueError(f"it is no table from row {number + 1} on: {error}") from None


def _table(text: str) -> tuple[str, str]:
    """What separates a table's cells, and the table: by its ``sep=`` line, else what makes most of its titles known."""
    first, _, rest = text.partition("\n")
    first = first.rstrip("\r")
    if first.lower().startswith("sep=") and len(first) == 5:
        return first[4], rest
    titles = text.lstrip("\r\n").partition("\n")[0].strip("\r").replace('"', "")
    return max(_DELIMITERS, key=lambda sign: len(named_fields(titles.split(sign)))), text


def _read_gold(path: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    for number, line in enumerate(read_lines(path), start=1):
        if line.strip():
            sql, _, db_id = line.strip().rpartition("\t")
            yield f"line {number}", {"query": sql or db_id, "db_id": db_id if sql else ""}
