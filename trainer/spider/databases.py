"""Database files by the names that questions call them: in folders of their own as Spider has them, or side by side."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from trainer.spider.archive import unpack
from trainer.spider.question import DATABASE_SUFFIXES

_LEVELS = 3  # ``dev_databases/dev_databases/NAME/``, as some programs unpack BIRD's
_MOST_FOLDERS = 10_000
_LOGS = {"-wal": bytes.fromhex("377f06"), "-journal": bytes.fromhex("d9d505f920a163d7")}  # what each begins with


def find_databases(folder: Path, split: str = "dev") -> dict[str, tuple[Path, ...]]:
    """Every database in a folder and some levels below, by name: its file, then the others of its test suite.

    A file's name without its suffix is the database's. Files beside ``NAME/NAME.sqlite`` are the test suite of
    ``NAME``: the same tables with other rows. Of databases of one name those in ``<split>_database`` or
    ``<split>_databases`` come first, then those in ``database``. A zip of one of these names is unpacked where there
    is no such folder, as BIRD comes.

    Raises:
        ZipError: such a zip cannot be unpacked or must not be.
    """
    found: dict[str, tuple[Path, ...]] = {}
    for path in _files(folder):
        found.setdefault(path.stem, (path,))
    order = (f"{split}_database", f"{split}_databases", "database", "databases")
    folders = {path.name: path for path in folders_in(folder)}
    for name in order:
        if name not in folders and folder.joinpath(f"{name}.zip").is_file():
            folders[name] = unpack(folder / f"{name}.zip")
    ranks = {name: rank for rank, name in enumerate(order)}
    for name in sorted(folders, key=lambda name: (ranks.get(name, len(ranks)), name)):
        for inner in _levels(folders[name]):
            found.update((database, files) for database, files in _in_one(inner).items() if database not in found)
    return found


def unseen_changes(database: Path) -> str:
    """What of a database stands beside its file, where nothing that opens the file alone sees it; empty: nothing.

    A write-ahead log has rows that were written last. A rollback journal has what a broken-off write must be undone
    with; one that is finished with has no header. See https://www.sqlite.org/fileformat2.html
    """
    for ending, begins in _LOGS.items():
        log = database.with_name(f"{database.name}{ending}")
        with contextlib.suppress(OSError), log.open("rb") as file:
            if file.read(len(begins)) == begins:
                return (
                    f"{str(database)!r} has changes that stand in {log.name!r} beside it and would not be seen. Close "
                    "the program that has it open, and write them into it: "
                    f'sqlite3 {database.name} "PRAGMA wal_checkpoint(TRUNCATE)"'
                )
    return ""


def _levels(folder: Path) -> Iterator[Path]:
    """``folder`` and the folders below it, level by level."""
    level = [folder]
    for _ in range(_LEVELS):
        yield from level
        level = [inner for folder in level for inner in folders_in(folder)][:_MOST_FOLDERS]


def _in_one(folder: Path) -> dict[str, tuple[Path, ...]]:
    files = _files(folder)
    own = next((path for path in files if path.stem == folder.name), None)
    if own is None:
        return {path.stem: (path,) for path in files}
    return {own.stem: (own, *(path for path in files if path != own))}


def _files(folder: Path) -> list[Path]:
    paths = [path for path in _shown(folder) if path.suffix.lower() in DATABASE_SUFFIXES and path.is_file()]
    paths.sort(key=lambda path: DATABASE_SUFFIXES.index(path.suffix.lower()))  # of one name the .sqlite counts
    return [path for path in paths if path.name != "Thumbs.db"]  # Windows' own


def folders_in(folder: Path) -> list[Path]:
    """The folders in a folder, but for hidden ones and what a Mac puts into a zip."""
    return [path for path in _shown(folder) if path.is_dir() and not path.name.startswith("__")]


def _shown(folder: Path) -> list[Path]:
    """What lies in a folder, hidden things left out; nothing where it may not be looked into."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except PermissionError:
        return []
