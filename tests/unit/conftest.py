"""What several unit tests stand on."""

import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from fixtures.score_sets import ScoreSet
from fixtures.summary import GROUPS, summarise

_TOTALS = {"spider": 200, "mmlu": 150}


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


@pytest.fixture
def made_up_study() -> Callable[..., tuple[dict, list[dict]]]:
    """``made_up_study(spider, mmlu, **frame)``: summary and rows of adapters and the numbers of their right answers.

    200 Spider and 150 MMLU questions, so that a difference can be shown. ``cfg1-seed7`` is ``cfg1`` at seed 7. Wrong
    Spider answers have no SQL where the question's number is odd, else a wrong filter.
    """

    def study(spider: dict[str, Iterable[int]], mmlu: dict[str, Iterable[int]], **frame) -> tuple[dict, list[dict]]:
        made = [_spider_row(slug, n, n in right) for slug, right in spider.items() for n in range(_TOTALS["spider"])]
        made += [_mmlu_row(slug, n, n in right) for slug, right in mmlu.items() for n in range(_TOTALS["mmlu"])]
        sets = [_score_set(suite, slug) for suite, slugs in (("spider", spider), ("mmlu", mmlu)) for slug in slugs]
        head = {"experiment": "made-up", "note": "", "notes": [], "questions": _TOTALS}
        end = {"gates": [], "selected": len(made), "partial": False, "exit": {"status": 0, "reason": "all measured"}}
        return head | summarise(made, _TOTALS, sets, 0.05) | end | frame, made

    return study


def _score_set(suite: str, slug: str) -> ScoreSet:
    configuration, _, seed = slug.partition("-seed")
    trained = {"configuration": configuration, "seed": None if slug == "base" else int(seed or 42)}
    return ScoreSet(suite, slug, f"settings of {slug}", f"judged {suite}", "base", f"weights of {slug}", **trained)


def _spider_row(slug: str, n: int, right: bool) -> dict:
    predicted = "SELECT name FROM singer" if right else None if n % 2 else "SELECT name FROM singer WHERE age > 1"
    outcome = (
        ("same result", None) if right else ("no SQL in the reply", "no SQL") if n % 2 else ("rows", "wrong filter")
    )
    return {
        "suite": "spider",
        "adapter": slug,
        "question": f"tiny{n % 5}-{n:04d}",
        "index": n,
        "db_id": f"tiny{n % 5}",
        "hardness": GROUPS["spider"][1][n % 4],
        "question_text": f"What are the names of the singers in concert {n}?",
        "gold_sql": "SELECT name FROM singer",
        "reply": predicted or "I cannot say.",
        "predicted_sql": predicted,
        **dict.fromkeys(("assignment", "official", "bird"), int(right)),
        **dict(zip(("reason", "error_class"), outcome, strict=True)),
        "status": "scored",
    }


def _mmlu_row(slug: str, n: int, right: bool) -> dict:
    category = GROUPS["mmlu"][1][n % 3]
    return {
        "suite": "mmlu",
        "adapter": slug,
        "question": f"{category}-{n:04d}",
        "subject": f"{category} {n % 2}",
        "category": category,
        "question_text": f"Which letter comes first in list {n}?",
        "choices": ["a", "b", "c", "d"],
        "gold": "A",
        "chosen": "A" if right else "B",
        "generated": " A" if right else " B",
        "letter_mass": 0.95,
        "log_likelihoods": [-0.1, -3.0, -4.0, -5.0],
        "scoring": "letter",
        "correct": int(right),
        "status": "scored",
    }
