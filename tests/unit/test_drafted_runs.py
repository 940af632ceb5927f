"""Runs over a dial: what is drafted is kept, resumed and replayed as if nothing were, by one process or by workers."""

import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

# Counts the tokens that are decoded one by one; with DRAFTED=no the engine takes no drafts.
COUNTED = """
import os

def pytest_fixture_setup(fixturedef, request):
    if fixturedef.argname != "engine":
        return
    from fixtures.engines.reply_rows import ReplyRows
    from fixtures.engines.transformers_engine import TransformersEngine

    if os.environ["DRAFTED"] == "no":
        TransformersEngine._drafted = lambda *_: {}
    step = ReplyRows.step

    def counted(self, model, rows, width):
        with open(os.environ["STEPS"], "a") as file:
            file.write(f"{rows}\\n")
        return step(self, model, rows, width)

    ReplyRows.step = counted
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory, pytestconfig):
    """A folder of results with ``cfg1``, trained on a few questions: 10 s."""
    results = tmp_path_factory.mktemp("trained")
    command = [sys.executable, "-m", "trainer", "cfg1", f"--results={results}", "--max-train-samples=64"]
    subprocess.run(command, cwd=pytestconfig.rootpath, check=True, capture_output=True)
    return results


@pytest.fixture
def run(tmp_path, trained, pytestconfig):
    """``run(*arguments, drafted=True)``: the answers that are stored then, the scores, and the tokens decoded."""
    results = shutil.copytree(trained, tmp_path / "results")
    (tmp_path / "counted.py").write_text(COUNTED)

    def run(*arguments, drafted=True):
        steps = tmp_path / "steps"
        steps.write_text("")
        own = {"PYTHONPATH": str(tmp_path), "STEPS": str(steps), "DRAFTED": "yes" if drafted else "no"}
        command = [sys.executable, "-m", "pytest", "-p", "counted", "-m", "spider", "--max-train-samples=64"]
        command += ["--adapter=cfg1*0.5,cfg1*0.75,cfg1", "--max-samples=24", f"--results={results}", *arguments]
        ended = subprocess.run(
            command, cwd=pytestconfig.rootpath, capture_output=True, text=True, timeout=300, env=os.environ | own
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        scores = (results / "miniature" / "scores.jsonl").read_bytes()
        return stored(results), scores, sum(map(int, steps.read_text().split()))

    return run


def stored(results):
    """Every stored answer by its key."""
    with sqlite3.connect(results / "miniature" / "answers.sqlite") as connection:
        found = dict(connection.execute("SELECT key, answer FROM answers"))
    connection.close()
    return {key: json.loads(answer) for key, answer in found.items()}


def forget(results, keys):
    with sqlite3.connect(results / "miniature" / "answers.sqlite") as connection:
        connection.executemany("DELETE FROM answers WHERE key = ?", [(key,) for key in keys])
    connection.close()


def test_answers_of_a_dial_are_those_without_drafts_and_take_fewer_steps(run, tmp_path):
    answers, scores, steps = run(drafted=False)
    assert len(answers) == 3 * 24 and len({json.dumps(one) for one in answers.values()}) > 24
    forget(tmp_path / "results", answers)
    drafted = run()
    assert drafted[:2] == (answers, scores)
    assert drafted[2] < 0.7 * steps
    # Some of what was said is there already, of whatever point; two workers ask for the rest.
    forget(tmp_path / "results", random.Random(1).sample(sorted(answers), 50))
    assert run("-n", "2", "--batch-size=5")[:2] == (answers, scores)
    assert run("--replay") == (answers, scores, 0)
