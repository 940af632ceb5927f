"""What tests of several folders stand on: real data, which is not part of the product, and results made up."""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from custom_metrics.official_rewrites import recorded_prediction
from fixtures.score_sets import ScoreSet
from fixtures.summary import summarise
from trainer.experiment import Experiment, load_experiment

VARIABLE = "TEXT_TO_SQL_PARITY_DATA"


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
def made_up_results():
    """``made_up_results(adapters, spider=40, mmlu=30)``: summary, rows and manifest of a run that never took place.

    Every adapter is right more often on SQL than the one before it, and ``cfg2`` less often on MMLU than the base.
    """
    experiment = load_experiment("miniature")

    def results(adapters=("base", "cfg1", "cfg2"), spider=40, mmlu=30):
        rows = [
            *(
                _spider_row(slug, n, n % 10 < 2 + 3 * place)
                for place, slug in enumerate(adapters)
                for n in range(spider)
            ),
            *(_mmlu_row(slug, n, n % 10 < (3 if slug == "cfg2" else 8)) for slug in adapters for n in range(mmlu)),
        ]
        present = dict.fromkeys((row["suite"], row["adapter"]) for row in rows)
        sets = [ScoreSet(suite, slug, "settings", "judged", "base", "weights", slug, 42) for suite, slug in present]
        totals = {"spider": spider, "mmlu": mmlu}
        frame = {"experiment": "miniature", "note": "Made up.", "notes": [], "questions": totals, "gates": []}
        end = {"selected": len(rows), "partial": False, "exit": {"status": 0, "reason": "all questions measured"}}
        summary = frame | summarise(rows, totals, sets, experiment.mmlu.margin) | end
        return summary, rows, _manifest(experiment, adapters, sets)

    return results


def _spider_row(slug: str, n: int, right: bool) -> dict:
    gold = f"SELECT name FROM singer WHERE age > {n} ORDER BY name"
    predicted = gold if right else gold.replace(">", ">=")
    return {
        "suite": "spider",
        "adapter": slug,
        "question": f"concert_singer-{n:04d}",
        "index": n,
        "db_id": f"concert_singer_{n % 4}",
        "hardness": ("easy", "medium", "hard", "extra")[n % 4],
        "question_text": f"Which singers are older than {n}?",
        "gold_sql": gold,
        "reply": f"```sql\n{predicted}\n```",
        "predicted_sql": predicted,
        **dict.fromkeys(("assignment", "official", "bird"), int(right)),
        "reason": "same result" if right else f"rows: 3, gold has 2; filter: gold has age > {n}, predicted age >= {n}",
        "error_class": None if right else "wrong filter",
        "status": "scored",
    }


def _mmlu_row(slug: str, n: int, right: bool) -> dict:
    return {
        "suite": "mmlu",
        "adapter": slug,
        "question": f"astronomy-{n:04d}",
        "subject": ("astronomy", "philosophy", "sociology")[n % 3],
        "category": ("stem", "humanities", "social_sciences")[n % 3],
        "question_text": f"The moon number {n} goes around which body?",
        "choices": ["Mars", "Uranus", "Jupiter", "Neptune"],
        "gold": "B",
        "chosen": "B" if right else "C",
        "correct": int(right),
        "log_likelihoods": [-9.0, -0.5, -1.5, -8.0],
        "generated": " B" if right else " C",
        "letter_mass": 0.98,
        "scoring": "letter",
        "status": "scored",
    }


def _manifest(experiment: Experiment, adapters: Sequence[str], sets: Sequence[ScoreSet]) -> dict:
    return {
        "command": "pytest -m 'spider or mmlu'",
        "experiment": experiment.model_dump(mode="json"),
        "base_model": {"weights": "0123", "tokenizer": "4567"},
        "adapters": {slug: {"spec": slug, "seed": 42, "weights": "0123456789abcdef"} for slug in adapters},
        "versions": {"torch": "2.13.0"},
        "python": "3.11.9",
        "sqlite": "3.46.0",
        "git_commit": None,
        "hardware": {"machine": "x86_64", "gpus": []},
        "score_sets": [asdict(score_set) for score_set in sets],
    }
