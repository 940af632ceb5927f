"""Text-to-SQL data in the shapes in which people have them, built small: two databases and six questions."""

import csv
import io
import json
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path

SHOP = """
    CREATE TABLE item (item_id INTEGER PRIMARY KEY, name TEXT, price REAL, bought DATE);
    CREATE TABLE sale (sale_id INTEGER PRIMARY KEY, item_id INTEGER REFERENCES item (item_id), pieces INTEGER);
    INSERT INTO item VALUES (1, 'lamp', 30.5, '2024-01-01'), (2, 'chair', 80, '2024-02-01'), (3, 'desk', 200, NULL);
    INSERT INTO sale VALUES (1, 1, 4), (2, 2, 1), (3, 1, 2);
"""
ZOO = """
    CREATE TABLE animal (animal_id INTEGER PRIMARY KEY, name TEXT, species TEXT, weight REAL);
    INSERT INTO animal VALUES (1, 'Ada', 'ape', 40), (2, 'Bo', 'bear', 300), (3, 'Cy', 'crane', 5);
"""
SCRIPTS = {"shop": SHOP, "zoo": ZOO}
QUESTIONS = [
    ("shop", "How many items are there?", "SELECT count(*) FROM item"),
    ("shop", "What are the names of items over 50?", "SELECT name FROM item WHERE price > 50"),
    ("shop", "How many pieces of the lamp were sold?", "SELECT sum(pieces) FROM sale WHERE item_id = 1"),
    ("zoo", "How many animals are there?", "SELECT count(*) FROM animal"),
    ("zoo", "Which species does Bo have?", "SELECT species FROM animal WHERE name = 'Bo'"),
    ("zoo", "What is the lightest animal's name?", "SELECT name FROM animal ORDER BY weight LIMIT 1"),
]
GOLD = [sql for _, _, sql in QUESTIONS]


def database(path: Path, script: str = "") -> Path:
    """A SQLite file; ``script`` is that of the database which its name, or its folder's, names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as connection:
        connection.executescript(script or SCRIPTS.get(path.stem) or SCRIPTS[path.parent.name])
    connection.close()
    return path


def databases(folder: Path, suffix: str = ".sqlite") -> None:
    """Both, each in a folder of its own."""
    for name in SCRIPTS:
        database(folder / name / f"{name}{suffix}")


def entries(
    question: str = "question",
    query: str = "query",
    db_id: str = "db_id",
    further: Callable[[int], dict] = lambda n: {},
) -> list[dict]:
    """The questions, their fields named as given, with what ``further`` adds by their place."""
    return [{db_id: db, question: asked, query: sql} | further(n) for n, (db, asked, sql) in enumerate(QUESTIONS)]


def tables() -> list[dict]:
    """What tables.json says of both databases."""
    return [
        {
            "db_id": "shop",
            "table_names_original": ["item", "sale"],
            "column_names_original": [
                [-1, "*"],
                *([0, name] for name in ("item_id", "name", "price", "bought")),
                *([1, name] for name in ("sale_id", "item_id", "pieces")),
            ],
            "column_types": ["text", "number", "text", "number", "time", "number", "number", "number"],
            "primary_keys": [1, [5]],
            "foreign_keys": [[6, 1]],
        },
        {
            "db_id": "zoo",
            "table_names_original": ["animal"],
            "column_names_original": [[-1, "*"], *([0, name] for name in ("animal_id", "name", "species", "weight"))],
            "column_types": ["text", "number", "text", "text", "number"],
            "primary_keys": [1],
            "foreign_keys": [],
        },
    ]


def write_json(path: Path, value: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def table_text(rows: list[dict], delimiter: str = ",", newline: str = "\n") -> str:
    """Rows as a spreadsheet saves them, the names of the first as header."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter, lineterminator=newline)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def spider(folder: Path, **files: list) -> Path:
    """Spider's dev split: ``dev.json``, ``tables.json``, ``database/``; ``files`` are further ones by their stem."""
    write_json(folder / "tables.json", tables())
    databases(folder / "database")
    for name, value in ({"dev": entries()} | files).items():
        write_json(folder / f"{name}.json", value)
    return folder


def zipped(folder: Path, archive: Path, prefix: str = "", separator: str = "/") -> Path:
    """``folder``'s files in a zip, under ``prefix``, their names written with ``separator``."""
    with zipfile.ZipFile(archive, "w") as opened:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            member = zipfile.ZipInfo("placeholder")
            member.filename = f"{prefix}{path.relative_to(folder).as_posix()}".replace("/", separator)
            opened.writestr(member, path.read_bytes())
    return archive


def spreadsheet(folder: Path, text: str, *names: str, encoding: str = "utf-8") -> Path:
    """``questions.csv`` with ``text`` beside the databases: those named, or both."""
    folder.mkdir()
    (folder / "questions.csv").write_text(text, encoding=encoding, newline="")
    for name in names or SCRIPTS:
        database(folder / name if "." in name else folder / f"{name}.sqlite")
    return folder
