"""Database files by the names that questions call them: in folders of their own as Spider has them, or side by side."""

from collections.abc import Iterator
from pathlib import Path

from trainer.spider.archive import unpack
from trainer.spider.question import DATABASE_SUFFIXES


def find_databases(folder: Path, split: str = "dev") -> dict[str, tuple[Path, ...]]:
    """Every database in a folder and two levels below, by name: its file, then the others of its test suite.

    A file's name without its suffix is the database's. Files beside ``NAME/NAME.sqlite`` are the test suite of
    ``NAME``: the same tables with other rows. Of databases of one name those in ``<split>_database`` or
    ``<split>_databases`` come first, then those in ``database``. Databases that are still in a zip of that name are
    unpacked.

    Raises:
        ZipError: such a zip cannot be unpacked or must not be.
    """
    found: dict[str, tuple[Path, ...]] = {}
    for path in _files(folder):
        found.setdefault(path.stem, (path,))
    for place in sorted(_folders(folder, unpacking=True), key=lambda path: _preference(path.name, split)):
        for inner in (place, *_folders(place)):
            for name, files in _in_one(inner).items():
                found.setdefault(name, files)
    return found


def _preference(name: str, split: str) -> tuple[int, str]:
    order = (f"{split}_database", f"{split}_databases", "database", "databases")
    return (order.index(name) if name in order else len(order), name)


def _in_one(folder: Path) -> dict[str, tuple[Path, ...]]:
    files = list(_files(folder))
    own = next((path for path in files if path.stem == folder.name), None)
    if own is None:
        return {path.stem: (path,) for path in files}
    return {own.stem: (own, *(path for path in files if path != own))}


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in DATABASE_SUFFIXES and not path.name.startswith(".") and path.is_file():
            yield path


def _folders(folder: Path, *, unpacking: bool = False) -> list[Path]:
    """The folders in a folder; ``unpacking`` also those in its zips of databases, as BIRD comes."""
    paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    folders = [path for path in paths if path.is_dir()]
    names = {path.name for path in folders}
    zips = [path for path in paths if path.suffix == ".zip" and "database" in path.stem and path.stem not in names]
    return folders + ([unpack(path) for path in zips] if unpacking else [])
