"""Several commands at once on one results folder: all end whole, and the files hold the rows of all."""

import errno
import fcntl
import json
import os
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fixtures.store.locks import alone, undisturbed
from tests.processes import run_pytest

SPIDER = Path(__file__).parents[2] / "fixtures" / "miniature" / "spider"
GOLD = [entry["query"] for entry in json.loads((SPIDER / "dev.json").read_text())]

# Ends every run at the same moment, and makes each take its time between reading and writing.
TOGETHER = """
import os, time
from pathlib import Path

import pytest

from fixtures.results import folder, score_sets

folder_of_all, runs = Path(os.environ["TOGETHER"]), int(os.environ["RUNS"])

def slowly(read):
    def read_slowly(*arguments):
        found = read(*arguments)
        time.sleep(0.2)
        return found

    return read_slowly

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session):
    if not hasattr(session.config, "workerinput"):
        folder.read_manifest = slowly(folder.read_manifest)
        score_sets.read_rows = slowly(score_sets.read_rows)
        (folder_of_all / str(os.getpid())).touch()
        deadline = time.monotonic() + 60
        while len(list(folder_of_all.iterdir())) < runs and time.monotonic() < deadline:
            time.sleep(0.01)
    return (yield)
"""


# Ends the run as a kill -9 would, just before it replaces the file that the environment names.
KILLED = """
import os, signal
from pathlib import Path

replace = Path.replace

def kill(self, target):
    if Path(target).name == os.environ["KILLED_AT"]:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, target)

Path.replace = kill
"""


@pytest.fixture
def at_once(tmp_path, pytestconfig):
    """``at_once(*commands)`` starts them all and lets them end together; what each ended with."""
    (tmp_path / "together.py").write_text(TOGETHER)
    rounds = iter(range(9))

    def at_once(*commands):
        meeting = tmp_path / f"round{next(rounds)}"
        meeting.mkdir()
        path = f"{tmp_path}{os.pathsep}{pytestconfig.rootpath}"
        environment = {**os.environ, "PYTHONPATH": path, "TOGETHER": str(meeting), "RUNS": str(len(commands))}

        def run(command):
            arguments = [*command, f"--results={tmp_path}/results", "-p", "together"]
            # Forked runs see the folder that they import from on their own path.
            return run_pytest(
                ["-o", f"pythonpath=. {tmp_path}", *arguments], cwd=pytestconfig.rootpath, environment=environment
            )

        with ThreadPoolExecutor(len(commands)) as threads:
            return list(threads.map(run, commands))

    return at_once


@pytest.fixture
def predictions(tmp_path):
    """``predictions(name, right)``: a file of recorded predictions of which so many are right."""

    def predictions(name, right=200):
        path = tmp_path / f"{name}.sql"
        path.write_text("".join(f"{sql if place < right else 'SELECT 1'}\n" for place, sql in enumerate(GOLD)))
        return f"--adapter={path}"

    return predictions


def found(tmp_path):
    """Rows and right answers by adapter, as the rows, the summary and the manifest say."""
    folder = tmp_path / "results" / "miniature"
    rows = [json.loads(line) for line in (folder / "scores.jsonl").read_text().splitlines()]
    summary, manifest = (json.loads((folder / f"{name}.json").read_text()) for name in ("summary", "manifest"))
    assert not list(folder.rglob("*.part"))
    assert manifest["adapters"].keys() == {one["adapter"] for one in manifest["score_sets"]}
    of_summary = {e["adapter"]: (e["n"], e["correct"]) for e in summary["accuracies"] if e["group"] == "all"}
    counted = Counter(row["adapter"] for row in rows)
    assert counted.keys() == manifest["adapters"].keys()
    assert of_summary == {a: (n, sum(r["assignment"] for r in rows if r["adapter"] == a)) for a, n in counted.items()}
    return of_summary


def test_systems_measured_at_once_all_stand_in_the_files(at_once, predictions, tmp_path):
    one, two, three = predictions("one", 200), predictions("two", 150), predictions("three", 20)
    for ended in at_once(["-m", "spider", one], ["-m", "spider", two, "-n", "2"], ["-m", "spider", three]):
        assert ended.returncode == 0, ended.stdout + ended.stderr
    assert {name: asked for name, (asked, _) in found(tmp_path).items()} == {"one": 200, "two": 200, "three": 200}


def test_parts_of_one_system_measured_at_once_make_the_whole(at_once, predictions, tmp_path):
    one = predictions("one")
    halves = [["-m", "spider", "-k", "easy or medium"], ["-m", "spider", "-k", "hard or extra"]]
    for ended in at_once(*([*half, one] for half in halves)):
        assert ended.returncode == 0, ended.stdout + ended.stderr
    assert found(tmp_path) == {"one": (200, found(tmp_path)["one"][1])}
    summary = json.loads((tmp_path / "results" / "miniature" / "summary.json").read_text())
    assert all(entry["complete"] for entry in summary["accuracies"])


def test_reports_of_runs_at_once_on_one_path_are_whole(at_once, predictions, tmp_path, monkeypatch):
    page, step = tmp_path / "report.html", tmp_path / "step.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(step))
    reports = [f"--html={page}", "--self-contained-html", f"--paper={tmp_path}/paper.pdf"]
    ends = at_once(*(["-m", "spider", predictions(name), *reports] for name in ("one", "two")))
    assert [ended.returncode for ended in ends] == [0, 0], ends
    assert page.read_text().count("</html>") == 1 and page.read_text().rstrip().endswith("</html>")
    assert (tmp_path / "paper.pdf").read_bytes().startswith(b"%PDF")
    assert step.read_text().count("## What the specialisation gained") == 2


@pytest.mark.parametrize("name", ["scores.jsonl", "manifest.json", "summary.json"])
def test_a_run_killed_while_it_writes_leaves_whole_files_and_no_others(name, predictions, tmp_path, pytestconfig):
    (tmp_path / "killed.py").write_text(KILLED)
    plain = ["-m", "spider", "--max-samples=20", f"--results={tmp_path}/results"]
    assert run_pytest([*plain, predictions("one")], cwd=pytestconfig.rootpath).returncode == 0
    before = found(tmp_path)
    killed = ["-o", f"pythonpath=. {tmp_path}", "-p", "killed", *plain, predictions("two", 3)]
    ended = run_pytest(killed, cwd=pytestconfig.rootpath, environment={**os.environ, "KILLED_AT": name})
    assert ended.returncode == -signal.SIGKILL
    ended = run_pytest([*plain, predictions("two", 3)], cwd=pytestconfig.rootpath)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert found(tmp_path).keys() == {"one", "two"} and found(tmp_path)["one"] == before["one"]


def test_locks_that_a_filesystem_lacks_are_done_without(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with alone(tmp_path / "lock") as locked, undisturbed(tmp_path / "lock"):
        assert not locked


def test_what_a_model_answered_is_still_said_to_be_its_own(at_once, predictions, tmp_path):
    """Whichever of the two ends last: base model, note and the questions of the suite that only the other asked."""
    mmlu = ["-m", "mmlu", "--adapter=base", "--mmlu-subjects=philosophy", "--mmlu-per-category=2"]
    for ended in at_once(mmlu, ["-m", "spider", predictions("one")]):
        assert ended.returncode == 0, ended.stdout + ended.stderr
    folder = tmp_path / "results" / "miniature"
    summary, manifest = (json.loads((folder / f"{name}.json").read_text()) for name in ("summary", "manifest"))
    assert manifest["base_model"]["weights"] and manifest["adapters"].keys() == {"base", "one"}
    assert summary["questions"] == {"spider": 200, "mmlu": len(manifest["chosen"]["mmlu"])}
    assert {name.rpartition("-")[0] for name in manifest["chosen"]["mmlu"]} == {"philosophy"}
    assert {entry["suite"]: entry["complete"] for entry in summary["accuracies"]} == {"mmlu": True, "spider": True}
    assert "miniature" in summary["note"]
