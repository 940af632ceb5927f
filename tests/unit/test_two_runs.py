"""Two pytest runs at once on one answer store: nothing is answered twice, and a killed one is not waited for."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter

import pytest

from fixtures.store.answer_store import answer_key
from fixtures.store.claims import Claims

HOLDER = """
import pathlib, sys, time
from fixtures.store.answer_store import answer_key
from fixtures.store.claims import Claims

with Claims(pathlib.Path(sys.argv[1])).awaited(answer_key(q=1)):
    print("claimed", flush=True)
    time.sleep(60)
"""

# Writes down every prompt that the model was asked in this process.
ASKED = """
import os
from fixtures.engines.transformers_engine import TransformersEngine

plain = TransformersEngine.log_likelihoods

def asked(self, prompts, *rest, **options):
    with open(os.environ["ASKED"], "a") as file:
        file.writelines(f"{hash(prompt.text)}\\n" for prompt in prompts)
    return plain(self, prompts, *rest, **options)

TransformersEngine.log_likelihoods = asked
"""


@pytest.fixture
def holder(tmp_path, pytestconfig):
    """A process that has claimed one answer."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "claims")]
    process = subprocess.Popen(command, cwd=pytestconfig.rootpath, stdout=subprocess.PIPE)
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_claim_ends_with_its_process(holder, tmp_path):
    claims = Claims(tmp_path / "claims")
    assert not claims.take(answer_key(q=1))
    assert claims.take(answer_key(q=2))
    os.kill(holder.pid, signal.SIGKILL)
    with claims.awaited(answer_key(q=1)):
        assert claims.take(answer_key(q=1))
    claims.close()


@pytest.fixture
def start(tmp_path, pytestconfig):
    """``start(name)`` starts a run of 150 questions in batches of 5; what it asks is written to a file of that name."""
    (tmp_path / "asked.py").write_text(ASKED)
    command = [sys.executable, "-m", "pytest", "-p", "asked", "-m", "mmlu", "--adapter=base", "--batch-size=5"]
    command += [f"--results={tmp_path}/results"]
    processes = []

    def start(name):
        environment = {"PYTHONPATH": f"{tmp_path}:{pytestconfig.rootpath}", "ASKED": str(tmp_path / name)}
        # The same prompt has the same hash in both runs.
        environment = {**os.environ, **environment, "PYTHONHASHSEED": "0"}
        process = subprocess.Popen(
            command,
            cwd=pytestconfig.rootpath,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()


def asked(path):
    return path.read_text().splitlines() if path.is_file() else []


def stored(tmp_path):
    """How many answers a sound store has."""
    with sqlite3.connect(tmp_path / "results" / "miniature" / "answers.sqlite") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        (count,) = connection.execute("SELECT count(*) FROM answers").fetchone()
    connection.close()
    return count


@pytest.mark.slow
def test_two_runs_ask_every_question_once(start, tmp_path):
    for process in [start("first"), start("second")]:
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output
    times = Counter(asked(tmp_path / "first") + asked(tmp_path / "second"))
    assert (len(times), set(times.values())) == (150, {1})
    assert stored(tmp_path) == 150


@pytest.mark.slow
def test_what_a_killed_run_was_asking_the_other_asks(start, tmp_path):
    """kill -9 of the one that is ahead: the other neither waits for it nor asks again what it had answered."""
    runs = {name: start(name) for name in ("first", "second")}
    while not (ahead := [name for name in runs if len(asked(tmp_path / name)) >= 20]):
        assert all(process.poll() is None for process in runs.values())
        time.sleep(0.01)
    killed = runs.pop(ahead[0])
    os.killpg(killed.pid, signal.SIGKILL)
    (other,) = runs.values()
    output, _ = other.communicate(timeout=120)
    assert other.returncode == 0, output
    times = Counter(asked(tmp_path / "first") + asked(tmp_path / "second"))
    again = {prompt for prompt, count in times.items() if count > 1}
    assert len(times) == 150
    assert again <= set(asked(tmp_path / ahead[0])[-5:])
    assert stored(tmp_path) == 150
