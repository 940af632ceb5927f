"""The seconds around model work: what commands take beside their model, against imports, empty tests and SQL alone.

Each command is timed several times, in turn with its floors, since a machine is rarely alone; the least is printed.
"""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from tests.unit.test_golden_values import write_adapter
from trainer.spider.folder import open_spider

pytestmark = pytest.mark.bench

REPEATS = 3
SYSTEM = "codes-7b"
REPLAYED = ("codes-7b", "dail-sql-gpt4", "gpt4-zero-shot")  # as the replies of base and two adapters
IMPORTS = [sys.executable, "-c", "import torch, transformers"]
# One query of din-sql-codex takes the whole time limit.
# Files an answer for every task that is collected: those of the systems, and log-likelihoods that favour some letter.
FILL = """
import json, os
from fixtures.answers.keys import base_parts, task_key
from fixtures.store.answer_store import AnswerStore
from fixtures.study.plugin import study_key
from fixtures.study.tasks import tasks_of


def pytest_collection_finish(session):
    study = session.config.stash[study_key]
    replies = json.load(open(os.environ["REPLIES"]))
    store = AnswerStore(study.places.answers)
    base = base_parts(study.experiment.base_model, store, may_load=False, engine=study.engine)
    answers = {}
    for number, task in enumerate(tasks_of(session.items)):
        if task.wanted.options:
            said = {"log_likelihoods": [-1.0 - (number + place) % 4 for place in range(4)], "generated": " A"}
        else:
            said = {"reply": replies[study.slugs.index(task.adapter.slug)][task.question.index]}
        answers[task_key(task, base)] = said
    store.put(answers)
    store.close()
"""
# Adds up the time in which the model answers.
OWN = """
import atexit, os, time
from contextlib import contextmanager

spent = 0.0


@contextmanager
def counted():
    global spent
    began = time.perf_counter()
    yield
    spent += time.perf_counter() - began


def pytest_fixture_setup(fixturedef, request):
    if fixturedef.argname != "engine":
        return
    from fixtures.answers import obtaining

    plain = obtaining.Answers._answers

    def answers(self, tasks, engine):
        found = plain(self, tasks, engine)
        while True:
            with counted():
                answer = next(found, None)
            if answer is None:
                return
            yield answer

    obtaining.Answers._answers = answers


def pytest_unconfigure():
    with open(os.environ["SPENT"], "w") as file:
        file.write(str(spent))
"""


@pytest.fixture
def timed(pytestconfig, tmp_path):
    """``timed(command, **environment)``: seconds of one command, which must succeed."""

    def run(command, **environment):
        own = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONPATH": str(tmp_path)} | environment
        began = time.perf_counter()
        ended = subprocess.run(command, cwd=pytestconfig.rootpath, env=os.environ | own, capture_output=True, text=True)
        took = time.perf_counter() - began
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return took

    return run


def evaluation(*arguments) -> list[str]:
    return [sys.executable, "-m", "pytest", "-q", *map(str, arguments)]


def two_adapters(folder: Path) -> list[Path]:
    """Two that differ in their last weight, as if others had trained them."""
    made = []
    for name, last in (("one", 0), ("two", 1)):
        write_adapter(folder / "trained")
        path = shutil.copytree(folder / "trained" / "miniature" / "adapters" / "cfg1-seed42", folder / name)
        shutil.rmtree(folder / "trained")
        (path / "run.json").unlink()
        weights = path / "adapter_model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1] + bytes([last]))
        made.append(path)
    return made


def empty_tests(folder: Path, count: int) -> list[str]:
    """pytest on as many tests that do nothing, without what is not pytest's own."""
    source = f"import pytest\n@pytest.mark.parametrize('n', range({count}))\ndef test_empty(n): pass\n"
    (folder / "test_empty.py").write_text(source)
    return evaluation(f"--rootdir={folder}", "-p", "no:deepeval", folder / "test_empty.py")


def sql_alone(parity_data, systems: Sequence[str]) -> float:
    """Seconds of all gold queries and the systems' predictions on SQLite, once each: no limits, nothing compared."""
    spider = open_spider(parity_data.folder / "spider")
    files = [spider.database_path(question.db_id) for question in spider.dev()]
    texts = [[question.gold_sql for question in spider.dev()], *map(parity_data.predictions, systems)]
    began = time.perf_counter()
    opened = {file: sqlite3.connect(f"{file.as_uri()}?mode=ro&immutable=1", uri=True) for file in files}
    for connection in opened.values():
        connection.text_factory = bytes
    for text in texts:
        for file, sql in zip(files, text, strict=True):
            with suppress(sqlite3.Error):
                opened[file].execute(sql).fetchall()
    took = time.perf_counter() - began
    for connection in opened.values():
        connection.close()
    return took


def test_scoring_and_replaying_on_real_data(parity_data, timed, tmp_path, capsys):
    """1,034 recorded predictions, and 3,552 stored answers of three adapters to both suites; first, and once more."""
    spider = f"--spider={parity_data.folder / 'spider'}"
    recorded = parity_data.folder / "predictions" / f"{SYSTEM}.sql"
    score = evaluation("-m", "spider", f"--adapter={recorded}", spider, f"--results={tmp_path / 'scored'}")
    adapters = two_adapters(tmp_path)
    (tmp_path / "fill.py").write_text(FILL)
    replies = tmp_path / "replies.json"
    replies.write_text(json.dumps([parity_data.predictions(system) for system in REPLAYED]))
    asked = f"--adapter=base,{','.join(map(str, adapters))}"
    both = ["-m", "spider or mmlu", asked, spider, f"--results={tmp_path / 'replayed'}"]
    timed(evaluation("-p", "fill", "--collect-only", *both), REPLIES=str(replies))
    replay = evaluation(*both, "--replay")
    few, many = empty_tests(tmp_path, 1034), tmp_path / "many"
    many.mkdir()
    many = empty_tests(many, 3552)
    alone = {"scored": [], "replayed": []}
    seconds = {name: [] for name in ("1,034 empty", "scored", "scored again", "3,552 empty", "replayed", "again")}
    for _ in range(REPEATS):
        alone["scored"].append(sql_alone(parity_data, [SYSTEM]))
        alone["replayed"].append(sql_alone(parity_data, REPLAYED))
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        for name, command in zip(seconds, (few, score, score, many, replay, replay), strict=True):
            if name == "replayed":
                shutil.rmtree(tmp_path / "cache", ignore_errors=True)
            seconds[name].append(timed(command))
    least = {name: min(found) for name, found in seconds.items()}
    with capsys.disabled():
        print("\n1,034 predictions and 3,552 stored answers, real Spider")
        for name, floor in (("scored", "1,034 empty"), ("scored again", "1,034 empty")):
            print(f"{name:14}{least[name]:7.1f} s{least[name] / least[floor]:7.1f} times as many empty tests")
        for name, times in alone.items():
            print(
                f"{name:14}{least[name]:7.1f} s{least[name] / min(times):7.1f} times its SQL alone, {min(times):.2f} s"
            )
        for name, floor in (("replayed", "3,552 empty"), ("again", "3,552 empty")):
            print(f"{name:14}{least[name]:7.1f} s{least[name] / least[floor]:7.1f} times as many empty tests")


def test_beside_a_small_model(timed, tmp_path, capsys):
    """The miniature's base: 150 questions of MMLU, and six of both suites, without what the model itself takes."""
    (tmp_path / "own.py").write_text(OWN)
    spent = tmp_path / "spent"
    (tmp_path / "own.py").write_text(OWN)
    commands = {
        "150 of MMLU": evaluation("-p", "own", "-m", "mmlu", "--adapter=base"),
        "six of both": evaluation("-p", "own", "-m", "spider or mmlu", "--adapter=base", "--max-samples=3"),
    }
    floors, found = [], {name: [] for name in commands}
    for number in range(REPEATS):
        floors.append(timed(IMPORTS))
        for place, (name, command) in enumerate(commands.items()):
            whole = timed([*command, f"--results={tmp_path / f'{number}-{place}'}"], SPENT=str(spent))
            model = float(spent.read_text())
            found[name].append((whole - model, whole, model))
    with capsys.disabled():
        print(f"\nimport torch, transformers: {min(floors):.1f} s")
        for name, times in found.items():
            beside, whole, model = min(times)
            print(f"{name}: {whole:.1f} s, of which the model {model:.1f} s", end="; ")
            print(f"beside it {beside:.1f} s, {beside / min(floors):.1f} times the imports")
