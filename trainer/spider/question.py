"""A question and its gold SQL, read from an entry whose fields are found by the names that data sets give them."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PureWindowsPath
from typing import Any

# By field, in small letters without what separates words; of several that an entry has the first counts. Spider's "sql"
# is a parsed tree beside "query", and Spider-Syn has the question of before beside its own.
NAMES = {
    "question": ("spidersynquestion", "question", "questiontext", "naturallanguagequestion", "utterance"),
    "query": ("query", "sql", "goldsql", "goldquery", "sqlquery", "gold"),
    "db_id": ("dbid", "database", "databaseid", "databasename", "dbname", "db"),
    "evidence": ("evidence", "hint", "externalknowledge"),
    "difficulty": ("difficulty", "hardness"),
}
DATABASE_SUFFIXES = (".sqlite", ".sqlite3", ".db", ".db3")


@dataclass(frozen=True)
class SpiderQuestion:
    """One question; ``index`` is its 0-based place in its file, which published predictions follow.

    ``evidence`` is what the data set tells beside the question, and ``hardness`` what it says of that, in small
    letters; both mostly empty. A file of gold SQL alone has no ``question``.
    """

    index: int
    db_id: str
    question: str
    gold_sql: str
    evidence: str = ""
    hardness: str = ""

    @property
    def id(self) -> str:
        """Database and place, e.g. ``concert_singer-0001``."""
        return f"{self.db_id}-{self.index:04d}"


def read_question(index: int, entry: Mapping[str, Any], *, database: str = "", told: bool = True) -> SpiderQuestion:
    """The question of one entry. ``database`` is the one meant where none is named; ``told``: it must have a text.

    Raises:
        ValueError: a field is missing, empty or no text; says which, and what the entry has.
    """
    found = _texts(entry)
    db_id = _without_suffix(found.get("db_id", "")) or database
    missing = [name for name in ("question", "query") if not found.get(name) and (told or name != "question")]
    if missing or not db_id:
        raise ValueError(_lacks(missing[0] if missing else "db_id", entry))
    "".join(found.values()).encode()  # half a surrogate pair, which JSON can hold, is no text
    difficulty = " ".join(found.get("difficulty", "").lower().split())
    return SpiderQuestion(
        index, db_id, found.get("question", ""), found["query"], found.get("evidence", "").strip(), difficulty
    )


def is_question(entry: object) -> bool:
    """Whether an entry has a question and its SQL."""
    return isinstance(entry, Mapping) and all(_texts(entry).get(name) for name in ("question", "query"))


def has_sql(entry: object) -> bool:
    """Whether an entry has gold SQL."""
    return isinstance(entry, Mapping) and bool(_texts(entry).get("query"))


def named_fields(header: list[str]) -> set[str]:
    """Which of our fields a table's header has."""
    return {field for field, names in NAMES.items() if any(_letters(title) in names for title in header)}


def _texts(entry: Mapping[str, Any]) -> dict[str, str]:
    """The entry's texts by our fields; what is no text, or blank, is left out."""
    if not isinstance(entry, Mapping):
        raise ValueError(f"is malformed ({type(entry).__name__}, not an object)")
    given = {}
    for name, value in entry.items():
        if isinstance(name, str) and isinstance(value, str) and value.strip():
            given.setdefault(_letters(name), value)
    chosen = {field: next((name for name in names if name in given), "") for field, names in NAMES.items()}
    return {field: given[name] for field, name in chosen.items() if name}


@functools.lru_cache(maxsize=1024)  # thousands of entries have the same few names
def _letters(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())


def _lacks(field: str, entry: Mapping[str, Any]) -> str:
    blank = [name for name in entry if isinstance(name, str) and _letters(name) in NAMES[field]]
    if blank:
        return f"has no text in {blank[0]!r}"
    others = ", ".join(name for name in NAMES[field] if name != _letters(field))
    return f"lacks {field!r} (or {others}); it has {', '.join(map(str, entry))[:300] or 'nothing'}"


def _without_suffix(db_id: str) -> str:
    """``shop`` where a spreadsheet names the file, ``data/shop.sqlite``."""
    db_id = db_id.strip()
    path = PureWindowsPath(db_id)  # which takes both kinds of slash
    return path.stem if path.suffix.lower() in DATABASE_SUFFIXES else db_id
