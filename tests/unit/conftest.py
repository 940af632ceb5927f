"""What several unit tests stand on."""

import sqlite3
from pathlib import Path

import pytest


@pytest.fixture
def tiny_database(tmp_path: Path) -> Path:
    """A database of 400 singers and 100 concerts, alone in its folder."""
    path = tmp_path / "database" / "tiny.sqlite"
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.executescript("""
            CREATE TABLE singer (singer_id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, country TEXT, age INTEGER);
            CREATE TABLE concert (concert_id INTEGER PRIMARY KEY, singer_id INTEGER, year INTEGER);
            CREATE INDEX concert_singer ON concert (singer_id);
            CREATE VIEW adults AS SELECT * FROM singer WHERE age > 20;
        """)
        singers = [(number, f"Singer {number}", f"Country {number % 20}", number % 50 + 10) for number in range(1, 401)]
        connection.executemany("INSERT INTO singer VALUES (?, ?, ?, ?)", singers)
        concerts = [(number, number * 3, 2000 + number % 20) for number in range(1, 101)]
        connection.executemany("INSERT INTO concert VALUES (?, ?, ?)", concerts)
    connection.close()
    return path
