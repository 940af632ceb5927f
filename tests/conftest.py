"""What tests of several folders stand on: real data, which is not part of the product, and results made up."""

import gc
import json
import os
import shutil
import sys
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import pytest

from custom_metrics.sql.official_rewrites import recorded_prediction
from fixtures.adapters.scale import parse_scale
from fixtures.questions.mmlu.row import MmluRow
from fixtures.questions.plugin import BUILT_IN
from fixtures.questions.row import Row
from fixtures.questions.spider.row import SpiderRow
from fixtures.results.gates import Exit
from fixtures.results.manifest import AdapterRecord, BaseRecord, Hardware, Manifest
from fixtures.results.points import Point
from fixtures.results.score_sets import ScoreSet
from fixtures.results.summary import summarise
from fixtures.results.types import Summary
from fixtures.study.tasks import task_of
from trainer.study.experiment import load_experiment

VARIABLE = "TEXT_TO_SQL_PARITY_DATA"
# Files that take half a minute or more, the longest first. Workers get whole files (--dist loadfile): the long ones go
# first, so that none is left to one worker at the end while the other has nothing to do.
LONG_FILES = (
    "test_lm_evaluation_harness.py",
    "test_batch_independence.py",
    "test_real_weights.py",
    "test_trainer_resume.py",
    "test_model_runs.py",
    "test_endpoint_runs.py",
    "test_colab_notebook.py",
    "test_template_runs.py",
    "test_prompt_runs.py",
    "test_architectures.py",
    "test_trade_off.py",
    "test_two_runs.py",
    "test_mmlu_generated.py",
    "test_evaluation_runs.py",
    "test_official_evaluator.py",
    "test_html_report.py",
    "test_html_opened.py",
    "test_html_browser.py",
)
# Imported when a test first needs them, hundreds of thousands of objects each.
LARGE_LIBRARIES = ("transformers.modeling_utils", "peft", "trl", "deepeval.metrics", "lm_eval")
_settled: set[str] = set()
_TOTALS = {"spider": 200, "mmlu": 150}


def pytest_configure(config: pytest.Config) -> None:
    # xdist would put the files with the most tests first, which are not the long ones.
    config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(LONG_FILES)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    # What an evaluation settles is the product's own, and no conftest of the suite's tests may change it.
    if session.items and all(task_of(item) is None for item in session.items):
        _settle("collection")


def pytest_runtest_setup() -> None:
    if _settled:
        _settle(*(name for name in LARGE_LIBRARIES if name in sys.modules))


def _settle(*what: str) -> None:
    """Not search again and again for garbage what stays: with each model that is loaded the collector goes through all.

    That takes a second with thousands of tests and large libraries, and hundreds of models are loaded.
    """
    if not _settled.issuperset(what):
        _settled.update(what)
        gc.collect()
        gc.freeze()


@dataclass(frozen=True)
class ParityData:
    """The folder, with ``spider/``, ``predictions/`` and ``official_verdicts/`` in it."""

    folder: Path

    def questions(self, name: str = "dev.json") -> list[dict]:
        """Spider dev, or another file of its questions: db_id, question and query among the keys."""
        return json.loads((self.folder / "spider" / name).read_text(encoding="utf-8"))

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
def made_up_study() -> Callable[..., tuple[Summary, list[Row]]]:
    """``made_up_study(spider, mmlu, **frame)``: summary and rows of adapters and the numbers of their right answers.

    200 Spider questions on ten databases, which differ as if they had been drawn, and 150 of MMLU, so that a difference
    can be shown, or as many as ``questions`` says by suite; the margin is 5 points.
    ``cfg1-seed7`` is ``cfg1`` at seed 7, ``cfg1-x0.5`` half of it. Wrong Spider answers have no SQL where the
    question's number is odd, else a wrong filter. ``frame`` are further fields of the summary.
    """

    def study(
        spider: dict[str, Container[int]], mmlu: dict[str, Container[int]], questions: dict[str, int] = _TOTALS, **frame
    ) -> tuple[Summary, list[Row]]:
        made = [_spider_row(slug, n, n in right) for slug, right in spider.items() for n in range(questions["spider"])]
        made += [_mmlu_row(slug, n, n in right) for slug, right in mmlu.items() for n in range(questions["mmlu"])]
        sets = [_score_set(suite, slug) for suite, slugs in (("spider", spider), ("mmlu", mmlu)) for slug in slugs]
        ended = {"selected": len(made), "exit": Exit(status=0, selected=len(made))}
        points = [_point(slug) for slug in dict.fromkeys((*spider, *mmlu)) if slug != "base"]
        measured = summarise(made, BUILT_IN, sets, questions, 0.05, points=points)
        return Summary(**{"experiment": "made-up", **measured, **ended, **frame}), made

    return study


@pytest.fixture(scope="session")
def made_up_manifest() -> Callable[[Sequence[str]], Manifest]:
    """``made_up_manifest(slugs)``: the manifest of a study of the miniature's configurations."""
    experiment = load_experiment("miniature").model_dump(mode="json")

    def manifest(slugs: Sequence[str]) -> Manifest:
        return Manifest(
            command="pytest -m 'spider or mmlu'",
            experiment=experiment,
            base_model=BaseRecord(weights="0123", tokenizer="4567"),
            adapters={slug: _record(slug) for slug in slugs},
            versions={"torch": "2.13.0"},
            python="3.11.9",
            sqlite="3.46.0",
            hardware=Hardware(machine="x86_64", gpus=[]),
            score_sets=[_score_set(suite.name, slug) for suite in BUILT_IN for slug in slugs],
        )

    return manifest


def _point(slug: str) -> Point:
    dial, _, scale = slug.partition("-x")
    acting = parse_scale(scale or "1")
    return Point(adapter=slug, dial=dial, first=acting.first, last=acting.last, part=acting.part)


def _record(slug: str) -> AdapterRecord:
    dial, _, scale = slug.partition("-x")
    scaled = {"dial": dial, "scale": scale or "1"} if slug != "base" else {}
    return AdapterRecord(spec=slug, seed=42, weights=f"weights of {dial}*{scale or 1}", **scaled)


def _score_set(suite: str, slug: str) -> ScoreSet:
    unscaled, scaled, scale = slug.partition("-x")
    configuration, _, seed = unscaled.partition("-seed")
    configuration += f"*{scale}" if scaled else ""
    trained = {"configuration": configuration, "seed": None if slug == "base" else int(seed or 42)}
    hashes = {"settings": f"settings of {slug}", "judged": f"judged {suite}", "base": "base"}
    return ScoreSet(suite=suite, adapter=slug, **hashes, weights=f"weights of {slug}", **trained)


def _spider_row(slug: str, n: int, right: bool) -> SpiderRow:
    predicted = "SELECT name FROM singer" if right else None if n % 2 else "SELECT name FROM singer WHERE age > 1"
    outcome = (
        ("same result", None) if right else ("no SQL in the reply", "no SQL") if n % 2 else ("rows", "wrong filter")
    )
    database = f"tiny{crc32(str(n).encode()) % 10}"
    return SpiderRow(
        suite="spider",
        adapter=slug,
        question=f"{database}-{n:04d}",
        index=n,
        db_id=database,
        hardness=BUILT_IN[0].groups[n % 4],
        question_text=f"What are the names of the singers in concert {n}?",
        gold_sql="SELECT name FROM singer",
        reply=predicted or "I cannot say.",
        predicted_sql=predicted,
        **dict.fromkeys(("assignment", "official", "bird"), int(right)),
        **dict(zip(("reason", "error_class"), outcome, strict=True)),
        status="scored",
    )


def _mmlu_row(slug: str, n: int, right: bool) -> MmluRow:
    category = BUILT_IN[1].groups[n % 3]
    return MmluRow(
        suite="mmlu",
        adapter=slug,
        question=f"{category}-{n:04d}",
        subject=f"{category} {n % 2}",
        category=category,
        question_text=f"Which letter comes first in list {n}?",
        choices=("a", "b", "c", "d"),
        gold="A",
        scoring="letter",
        chosen="A" if right else "B",
        correct=int(right),
        log_likelihoods=(-0.1, -3.0, -4.0, -5.0),
        generated=" A" if right else " B",
        letter_mass=0.95,
        status="scored",
    )
