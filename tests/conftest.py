"""What tests of several folders stand on: real data, which is not part of the product, and results made up."""

import json
import os
import shutil
from collections.abc import Callable, Container, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from custom_metrics.sql.official_rewrites import recorded_prediction
from fixtures.results.score_sets import ScoreSet
from fixtures.results.summary import GROUPS, summarise
from trainer.study.experiment import load_experiment

VARIABLE = "TEXT_TO_SQL_PARITY_DATA"
_TOTALS = {"spider": 200, "mmlu": 150}


@dataclass(frozen=True)
class ParityData:
    """The folder, with ``spider/``, ``predictions/`` and ``official_verdicts/`` in it."""

    folder: Path

    def questions(self) -> list[dict]:
        """Spider dev: db_id, question and query among the keys."""
        return json.loads((self.folder / "spider" / "dev.json").read_text(encoding="utf-8"))

    def database(self, db_id: str) -> Path:
        return self.folder / "spider" / "database" / db_id / f"{db_id}.sqlite"

    def systems(self) -> list[str]:
        """The published systems, by name."""
        return sorted(path.stem for path in (self.folder / "predictions").glob("*.sql"))

    def predictions(self, system: str) -> list[str]:
        """One predicted query per question, in dev order."""
        lines = (self.folder / "predictions" / f"{system}.sql").read_text(encoding="utf-8").removesuffix("\n")
        return [recorded_prediction(line) for line in lines.split("\n")]

    def verdicts(self, system: str) -> list[dict]:
        """What the official evaluator said: index, db_id, hardness and verdict of each question."""
        lines = (self.folder / "official_verdicts" / f"{system}.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="session")
def parity_data() -> ParityData:
    """The data that the environment names. Read only."""
    if VARIABLE not in os.environ:
        pytest.skip(f"{VARIABLE} is not set: it names the folder with spider/, predictions/ and official_verdicts/")
    return ParityData(Path(os.environ[VARIABLE]))


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium, the one the system has: Playwright's own would be a download."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no chromium, chromium-browser or google-chrome is installed: the report is not tried in a browser")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        # As root, Chromium starts without its sandbox only.
        browser = driver.chromium.launch(executable_path=found, chromium_sandbox=os.geteuid() != 0)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def made_up_study() -> Callable[..., tuple[dict, list[dict]]]:
    """``made_up_study(spider, mmlu, **frame)``: summary and rows of adapters and the numbers of their right answers.

    200 Spider and 150 MMLU questions, so that a difference can be shown, or as many as ``questions`` says by suite.
    ``cfg1-seed7`` is ``cfg1`` at seed 7. Wrong Spider answers have no SQL where the question's number is odd, else a
    wrong filter.
    """

    def study(
        spider: dict[str, Container[int]], mmlu: dict[str, Container[int]], questions: dict[str, int] = _TOTALS, **frame
    ) -> tuple[dict, list[dict]]:
        made = [_spider_row(slug, n, n in right) for slug, right in spider.items() for n in range(questions["spider"])]
        made += [_mmlu_row(slug, n, n in right) for slug, right in mmlu.items() for n in range(questions["mmlu"])]
        sets = [_score_set(suite, slug) for suite, slugs in (("spider", spider), ("mmlu", mmlu)) for slug in slugs]
        head = {"experiment": "made-up", "note": "", "notes": [], "questions": questions}
        end = {"gates": [], "selected": len(made), "partial": False, "exit": {"status": 0, "reason": "all measured"}}
        return head | summarise(made, questions, sets, 0.05) | end | frame, made

    return study


@pytest.fixture(scope="session")
def made_up_manifest() -> Callable[[Sequence[str]], dict]:
    """``made_up_manifest(slugs)``: the manifest of a study of the miniature's configurations."""
    experiment = load_experiment("miniature").model_dump(mode="json")

    def manifest(slugs: Sequence[str]) -> dict:
        return {
            "command": "pytest -m 'spider or mmlu'",
            "experiment": experiment,
            "base_model": {"weights": "0123", "tokenizer": "4567"},
            "adapters": {slug: {"spec": slug, "seed": 42, "weights": "89ab"} for slug in slugs},
            "versions": {"torch": "2.13.0"},
            "python": "3.11.9",
            "sqlite": "3.46.0",
            "git_commit": None,
            "hardware": {"machine": "x86_64", "gpus": []},
            "score_sets": [asdict(_score_set(suite, slug)) for suite in GROUPS for slug in slugs],
        }

    return manifest


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
