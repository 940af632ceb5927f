"""The evaluations with the miniature's model: answers kept, resumed, replayed, shared by workers."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from trainer.study.experiment import EXPERIMENTS

pytestmark = pytest.mark.slow


@pytest.fixture
def command(tmp_path):
    """``command(*arguments)`` is the command line that evaluates the base model, results under ``tmp_path``."""
    return lambda *arguments: [
        sys.executable,
        "-m",
        "pytest",
        "--adapter=base",
        f"--results={tmp_path}/results",
        *arguments,
    ]


@pytest.fixture
def run(command, pytestconfig):
    """``run(*arguments)`` runs that command and returns the finished process."""

    def run(*arguments, **environment):
        environment = {**os.environ, **environment}
        return subprocess.run(
            command(*arguments), cwd=pytestconfig.rootpath, capture_output=True, text=True, timeout=300, env=environment
        )

    return run


def scores(tmp_path):
    return (tmp_path / "results" / "miniature" / "scores.jsonl").read_bytes()


def stored(tmp_path):
    """Every stored answer by its key."""
    store = tmp_path / "results" / "miniature" / "answers.sqlite"
    if not store.is_file():
        return {}
    connection = sqlite3.connect(store)
    try:
        return dict(connection.execute("SELECT key, answer FROM answers"))
    except sqlite3.OperationalError:  # the table is not there yet
        return {}
    finally:
        connection.close()


def test_a_killed_run_goes_on_where_it_stopped(run, command, tmp_path, pytestconfig):
    """kill -9 in the middle of generation: what was answered is not asked again."""
    arguments = ["-m", "mmlu", "--batch-size=5"]
    process = subprocess.Popen(
        command(*arguments),
        cwd=pytestconfig.rootpath,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while process.poll() is None and not stored(tmp_path):
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = stored(tmp_path)
    assert 0 < len(before) < 150
    # An answer that only the store can have given shows that it was taken from there.
    key = next(iter(before))
    marked = {**json.loads(before[key]), "generated": "kept"}
    with sqlite3.connect(tmp_path / "results" / "miniature" / "answers.sqlite") as connection:
        connection.execute("UPDATE answers SET answer = ? WHERE key = ?", (json.dumps(marked), key))
    connection.close()
    assert run(*arguments).returncode == 0
    assert len(stored(tmp_path)) == 150
    assert sum(json.loads(line)["generated"] == "kept" for line in scores(tmp_path).splitlines()) == 1
    manifest = json.loads((tmp_path / "results" / "miniature" / "manifest.json").read_text())
    assert manifest["batch_check"] == {}, "in float32 nothing is asked twice"


def test_a_replay_needs_no_torch_and_gives_the_same_scores(run, tmp_path):
    arguments = ["-m", "spider or mmlu", "--max-samples=4"]
    assert run(*arguments).returncode == 0
    first = scores(tmp_path)
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name in ('torch', 'transformers', 'tokenizers', 'peft'):\n"
        "            raise ImportError(f'{name} must not be imported')\n"
        "sys.meta_path.insert(0, Refuse())\n"
    )
    result = run(*arguments, "--replay", PYTHONPATH=str(tmp_path))
    assert result.returncode == 0, result.stdout
    assert scores(tmp_path) == first


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "two-workers"])
def test_a_replay_errors_what_was_never_answered(run, workers):
    result = run("-m", "mmlu", "--max-samples=3", "--replay", *workers)
    assert result.returncode == 1
    assert "3 errored: no stored answer. Run" in result.stdout


def test_two_workers_answer_as_one_does(run, tmp_path):
    """Same replies, letters and verdicts, log-likelihoods within 1e-4, generated afresh by each."""
    arguments = ["-m", "spider or mmlu", "--max-samples=10", "--batch-size=4"]
    assert run(*arguments).returncode == 0
    alone = [json.loads(line) for line in scores(tmp_path).splitlines()]
    (tmp_path / "results").rename(tmp_path / "earlier")
    assert run(*arguments, "-n", "2").returncode == 0
    shared = [json.loads(line) for line in scores(tmp_path).splitlines()]
    for one, two in zip(alone, shared, strict=True):
        assert one.pop("log_likelihoods", []) == pytest.approx(two.pop("log_likelihoods", []), abs=1e-4)
        assert one.pop("letter_mass", 0) == pytest.approx(two.pop("letter_mass", 0), abs=1e-4)
        assert one == two


def test_answers_that_change_in_low_precision_are_counted(run, tmp_path):
    """By two workers, and counted again from what is stored; the scores are those of the answers given together."""
    experiment = tmp_path / "miniature.toml"
    text = (EXPERIMENTS / "miniature.toml").read_text()
    experiment.write_text(text.replace('dtype = "float32"', 'dtype = "bfloat16"'))
    arguments = ["-m", "spider or mmlu", "--max-samples=8", "--check-batches=4"]
    assert run(f"--experiment={experiment}", *arguments, "-n", "2").returncode == 0
    first, manifest = scores(tmp_path), tmp_path / "results" / "miniature" / "manifest.json"
    check = json.loads(manifest.read_text())["batch_check"]
    assert check.keys() == {"spider/base", "mmlu/base"}
    replies = {json.loads(line).get("reply") for line in first.splitlines()}
    alone = [json.loads(answer) for answer in stored(tmp_path).values()]
    for counts in check.values():
        assert (counts["asked"], counts["batch_size"]) == (4, 64)
    assert len(alone) == 2 * (8 + 4)
    assert check["spider/base"]["changed"] >= len({answer["reply"] for answer in alone if "reply" in answer} - replies)
    assert run(f"--experiment={experiment}", *arguments, "--replay").returncode == 0
    assert (scores(tmp_path), json.loads(manifest.read_text())["batch_check"]) == (first, check)


def test_shots_start_a_set_of_their_own(run, tmp_path):
    assert run("-m", "spider", "--max-samples=4").returncode == 0
    result = run("-m", "spider", "--max-samples=4", "--shots=0")
    assert result.returncode == 0
    assert "spider/base: other settings than last time, kept as a set of its own" in result.stdout
    assert len(list((tmp_path / "results" / "miniature" / "scores").glob("spider-base-*.jsonl"))) == 2
