"""The evaluations as people run them, in processes of their own, on recorded predictions: no model is needed."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from custom_metrics.sql.hardness import hardness
from tests.processes import run_pytest

SPIDER = Path(__file__).parents[2] / "fixtures" / "miniature" / "spider"
FIRST = json.loads((SPIDER / "dev.json").read_text())[0]
WRONG = {3: "SELECT 1", 60: "SELEC name", 150: ""}


@pytest.fixture(scope="module")
def predictions(tmp_path_factory):
    """A file of recorded predictions: the gold SQL, with three wrong answers."""
    gold = [entry["query"] for entry in json.loads((SPIDER / "dev.json").read_text())]
    path = tmp_path_factory.mktemp("predictions") / "recorded.sql"
    path.write_text("".join(f"{WRONG.get(index, sql)}\n" for index, sql in enumerate(gold)))
    return path


@pytest.fixture
def run(pytestconfig, tmp_path, predictions):
    """``run(*arguments)`` runs pytest on the recorded predictions, results under ``tmp_path``."""

    def run(*arguments, adapter=predictions, program=None):
        arguments = [*arguments, f"--adapter={adapter}", f"--results={tmp_path}/results"]
        if program is None:
            return run_pytest(arguments, cwd=pytestconfig.rootpath)
        command = [sys.executable, *program, *arguments]
        return subprocess.run(command, cwd=pytestconfig.rootpath, capture_output=True, text=True, timeout=120)

    return run


def scores(folder, name="miniature"):
    return [json.loads(line) for line in (folder / "results" / name / "scores.jsonl").read_text().splitlines()]


def test_wrong_answers_are_failed_tests_and_the_run_still_succeeds(run, tmp_path):
    result = run("-m", "spider")
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(r"197 passed.* 3 wrong", result.stdout)
    assert "FAILURES" not in result.stdout and "short test summary" not in result.stdout
    rows = scores(tmp_path)
    assert [row["index"] for row in rows if not row["assignment"]] == sorted(WRONG)
    assert {row["status"] for row in rows} == {"scored"}
    assert {row["error_class"] for row in rows if row["assignment"]} == {None}


def test_two_workers_write_the_same_file(run, tmp_path):
    assert run("-m", "spider").returncode == 0
    alone = (tmp_path / "results" / "miniature" / "scores.jsonl").read_bytes()
    shutil.rmtree(tmp_path / "results")
    assert run("-m", "spider", "-n", "2").returncode == 0
    assert (tmp_path / "results" / "miniature" / "scores.jsonl").read_bytes() == alone


def test_stopping_at_the_first_wrong_answer_keeps_the_failing_status(run):
    result = run("-m", "spider", "-x")
    assert result.returncode == 1
    assert re.search(r"exit status 1: \d+ questions were not run", result.stdout)


def test_last_failed_runs_the_wrong_ones_again_and_wipes_nothing(run, tmp_path):
    run("-m", "spider", "-o", f"cache_dir={tmp_path}/cache")
    before = scores(tmp_path)
    result = run("--lf", "-o", f"cache_dir={tmp_path}/cache")
    assert re.search(r"3 wrong in", result.stdout)
    assert result.returncode == 0
    assert scores(tmp_path) == before


def test_last_failed_of_other_adapters_is_refused(run, tmp_path, predictions):
    """pytest would find none of them and run everything."""
    cache = ["-o", f"cache_dir={tmp_path}/cache"]
    run("-m", "spider", *cache)
    other = tmp_path / "other.sql"
    shutil.copy(predictions, other)
    result = run("--lf", *cache, adapter=other)
    assert result.returncode == pytest.ExitCode.USAGE_ERROR
    assert "--lf: the last wrong answers are of another adapter" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max-samples=0"], "'0' is not a whole number of 1 or more"),
        (["--batch-size=-1"], "'-1' is not a whole number of 1 or more"),
        (["--gate=spider.recorded >= 60"], "60 is no fraction"),
        (["--gate=spider.cfg1 >= 0.6"], "'cfg1' is not evaluated"),
    ],
)
def test_values_that_would_measure_nothing_are_refused(arguments, message, run):
    result = run("-m", "spider", *arguments)
    assert result.returncode == pytest.ExitCode.USAGE_ERROR
    assert message in result.stderr


def test_a_damaged_results_folder_is_named_before_anything_runs(run, tmp_path):
    run("-m", "spider", "--max-samples=2")
    (tmp_path / "results" / "miniature" / "manifest.json").write_text("{")
    result = run("-m", "spider", "--max-samples=2")
    assert result.returncode == pytest.ExitCode.USAGE_ERROR
    assert "manifest.json' is damaged" in result.stderr


@pytest.mark.parametrize(
    ("selection", "count"),
    [
        (["-k", "recorded and 0150"], 1),
        ([f"tests/test_spider.py::test_spider[recorded-{FIRST['db_id']}-0000-{hardness(FIRST['query'])}]"], 1),
        (["-m", "spider", "--max-samples=7"], 7),
    ],
    ids=["keyword", "node-id", "max-samples"],
)
def test_a_selection_is_labelled_partial(selection, count, run, tmp_path):
    result = run(*selection)
    assert result.returncode == 0, result.stdout + result.stderr
    assert len(scores(tmp_path)) == count
    assert "partial selection:" in result.stdout and "incomplete, of 200" in result.stdout


@pytest.mark.parametrize(("gate", "status"), [("spider.recorded >= 0.98", 0), ("spider.recorded >= 0.99", 1)])
def test_a_gate_decides_the_status(gate, status, run):
    result = run("-m", "spider", f"--gate={gate}")
    assert result.returncode == status
    assert f"gate {gate}: {'BROKEN' if status else 'holds'} (0.9850, as counted" in result.stdout


def test_a_gate_that_cannot_be_judged_is_not_passed_over(run):
    result = run("-m", "spider", "--max-samples=5", "--gate=spider.recorded >= 0")
    assert result.returncode == 1
    assert "not judged" in result.stdout


def test_a_broken_gold_query_is_errored_and_fails_the_run(run, tmp_path):
    damaged = tmp_path / "spider"
    shutil.copytree(SPIDER, damaged)
    dev = json.loads((damaged / "dev.json").read_text())
    dev[10]["query"] = "SELECT no_such_column FROM nowhere"
    (damaged / "dev.json").write_text(json.dumps(dev))
    result = run("-m", "spider", f"--spider={damaged}")
    assert result.returncode == 1
    assert "exit status 1: 1 questions errored" in result.stdout
    (errored,) = [row for row in scores(tmp_path, "miniature-spider") if row["status"] == "errored"]
    assert errored["index"] == 10
    assert "gold SQL failed on database 'hotel_stays.sqlite': no such table: nowhere." in errored["reason"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-m", "spider", "--adapter=cfg9"], "unknown adapter 'cfg9'. Did you mean"),
        (["-m", "spider", "--experiment=minature"], "unknown experiment 'minature'. Did you mean 'miniature'?"),
        (["-m", "spider", "--spider=nowhere"], "Spider not found: no folder or zip 'nowhere'"),
        (["-m", "spider", "--mmlu=nowhere"], "MMLU not found in 'nowhere'"),
        (["-m", "spider", "--gate=spider.cfg1.regression <= 0.1"], "is measured against an earlier run. Add --compare"),
        (["-m", "mmlu", "--mmlu-shots=9"], "--mmlu-shots: 9: Input should be less than or equal to 5"),
        (["-m", "mmlu", "--mmlu-subjects=philosofy"], "category 'philosofy'. Did you mean 'philosophy'?"),
        (["-m", "mmlu", "--mmlu-per-category=60"], "12 questions wanted, 10 found"),
        (["-m", "spider", "--gate=spider is good"], "gate 'spider is good' cannot be read"),
        (["-m", "spider", "--shots=99"], "--shots: 99: Input should be less than or equal to 16"),
        (["-m", "spider", "--results=pytest.ini"], "cannot be written"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_bad_input_is_one_line_before_anything_runs(arguments, message, run, pytestconfig):
    result = run_pytest(arguments, cwd=pytestconfig.rootpath)
    assert result.returncode == pytest.ExitCode.USAGE_ERROR
    assert message in result.stderr
    assert "Traceback" not in result.stderr + result.stdout


def test_deepeval_shows_its_table_and_looks_up_no_name(run, tmp_path, predictions, monkeypatch):
    """DeepEval's command queues telemetry before any file of ours is read; nothing of it may leave the machine."""
    (tmp_path / "sitecustomize.py").write_text(
        "import socket\n"
        "def refuse(host, *rest, **more):\n"
        f"    open({str(tmp_path / 'looked-up')!r}, 'a').write(f'{{host}}\\n')\n"
        "    raise OSError('no network in this test')\n"
        "socket.getaddrinfo = refuse\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    program = ["-c", "import sys; from deepeval.cli.main import app; sys.argv[0] = 'deepeval'; app()"]
    result = run("test", "run", "tests/test_spider.py", "--max-samples=20", program=program)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Execution" in result.stdout and "recorded-0000" in result.stdout
    assert re.search(r"Test Results \(20 total tests\)", result.stdout)
    assert not (tmp_path / "looked-up").exists(), (tmp_path / "looked-up").read_text()
