"""Shipped studies as people replay them: pytest in processes of its own, without a model or what computes one."""

import html
import json
import os
import shutil
import sqlite3

import pytest

from fixtures.store.answer_store import AnswerStore
from tests.processes import run_pytest

# A machine of so many processors, and what is there at the end: objects that are not searched for garbage.
TOLD = """
import gc, os

from fixtures.store.kept import let_go

os.cpu_count = lambda: int(os.environ["PROCESSORS"])


def pytest_sessionfinish():
    print("settled:", gc.get_freeze_count() > 10_000, gc.isenabled())
    let_go()  # these runs end without what runs at exit
"""


@pytest.fixture
def run(shipped, tmp_path, pytestconfig):
    """``run(*arguments)``: pytest on a sealed machine that has the study as ``miniature``'s; results under tmp_path."""
    shutil.copytree(shipped, tmp_path / "studies" / "miniature")

    def run(*arguments):
        given = ["-p", "tests.sealed_machine", f"--results={tmp_path}/results", *arguments]
        return run_pytest(given, cwd=pytestconfig.rootpath, environment=os.environ | {"STUDIES": f"{tmp_path}/studies"})

    return run


def test_a_study_is_replayed_where_nothing_is_but_the_data(run, shipped, tmp_path):
    """No torch, no transformers, no tokenizer, no hub, no answer: the table of the study, and reports of it."""
    reports = [f"--html={tmp_path}/report.html", "--self-contained-html", f"--paper={tmp_path}/paper.pdf"]
    ended = run("--replay", "--adapter=base,cfg1", "-m", "spider or mmlu", *reports)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "study: miniature, 1,400 recorded answers; no model is loaded" in ended.stdout
    assert "note: the answers are those of the study miniature, of which a part is shown" in ended.stdout
    here, study = (
        json.loads(path.read_text()) for path in (results(tmp_path) / "summary.json", shipped / "summary.json")
    )
    own = [entry for entry in study["accuracies"] if entry["adapter"] in ("base", "cfg1", "cfg1-seed7")]
    assert here["accuracies"] == own != []
    assert "(errored" not in ended.stdout and "exit status 0: all 1050 questions measured" in ended.stdout
    assert (tmp_path / "paper.pdf").read_bytes()[:5] == b"%PDF-" and (tmp_path / "report.html").stat().st_size > 100_000
    assert len((results(tmp_path) / "scores.jsonl").read_text().splitlines()) == 1050


@pytest.mark.parametrize("named", ["miniature", "elsewhere.zip"])
def test_a_study_is_replayed_by_its_name_and_from_a_file(run, shipped, tmp_path, named):
    if named.endswith(".zip"):
        named = shutil.make_archive(str(tmp_path / "elsewhere"), "zip", shipped)
    ended = run(f"--replay-from={named}", "-m", "mmlu")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "no model is loaded" in ended.stdout and (results(tmp_path) / "summary.json").is_file()


def test_a_replayed_study_goes_to_others_as_a_run_does(run, tmp_path):
    """The tracker is a module that writes down what it is given."""
    (tmp_path / "trackio.py").write_text(
        "import pathlib\ndef init(project, name=None, config=None): pass\ndef finish(): pass\n"
        f"def log(metrics): pathlib.Path({str(tmp_path / 'tracked')!r}).write_text(repr(metrics))\n"
    )
    forms = [f"--export=csv={tmp_path}/csv", f"--export=lm-eval={tmp_path}/harness", "--report-to=trackio"]
    ended = run("-o", f"pythonpath=. {tmp_path}", "--replay", "--adapter=base,cfg1", "-m", "mmlu", *forms)
    assert ended.returncode == 0 and "note: no export" not in ended.stdout, ended.stdout + ended.stderr
    assert len((tmp_path / "csv" / "mmlu.csv").read_text().splitlines()) > 450
    assert sorted(path.name for path in (tmp_path / "harness").iterdir()) == ["base", "cfg1", "cfg1-seed7"]
    assert "'mmlu/cfg1-seed7/accuracy': 0.8" in (tmp_path / "tracked").read_text()


def test_what_several_processes_judge_is_kept_by_all_and_settled(run, tmp_path, monkeypatch):
    (tmp_path / "told.py").write_text(TOLD)
    found = []
    for processors in (1, 2):
        monkeypatch.setenv("PROCESSORS", str(processors))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / f"cache{processors}"))
        ended = run("-o", f"pythonpath=. {tmp_path}", "-s", "-p", "told", "--replay", "--adapter=base", "-m", "spider")
        assert ended.returncode == 0 and "settled: True True" in ended.stdout, ended.stdout + ended.stderr
        with sqlite3.connect(tmp_path / f"cache{processors}" / "text-to-sql-evaluation" / "kept.sqlite") as connection:
            found.append({key for (key,) in connection.execute("SELECT key FROM kept")})
        connection.close()
    assert found[0] == found[1] != set()


def results(tmp_path):
    return tmp_path / "results" / "miniature" / "replayed"


def test_answers_of_ones_own_come_before_a_shipped_study(run, tmp_path):
    """A store that holds none, as one of a run of recorded predictions, does not."""
    store = AnswerStore(tmp_path / "results" / "miniature" / "answers.sqlite")
    assert "study: miniature" in run("--replay", "--adapter=base", "-m", "mmlu").stdout
    store.put({b"key": {"reply": "SELECT 1"}})
    store.close()
    ended = run("--replay", "--adapter=base", "-m", "mmlu", "--max-samples=1", "-q")
    assert "no stored answer" in ended.stdout and "study: " not in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["--replay-from=nobody"], "--replay-from: no study 'nobody'. Shipped: miniature;", id="unknown"),
        pytest.param(["--replay", "--shots=0"], "--shots: the answers of a study are replayed as they", id="shots"),
        pytest.param(["--replay", "--dial=cfg1"], "--dial: the answers of a study are replayed as they", id="dial"),
        pytest.param(["--replay", "--adapter=cfg9"], "'cfg9' is not in the study.", id="unknown-adapter"),
        pytest.param(["--replay", "-m", "mmlu_generated"], "has no answers to what is selected", id="unknown-suite"),
        pytest.param(["--replay", "--spider=nowhere"], "nowhere", id="no-data"),
        pytest.param(
            ["--replay-from=miniature", "--experiment=llama-3-8b"],
            "is another experiment than 'miniature'",
            id="experiment",
        ),
    ],
)
def test_what_cannot_be_replayed_ends_in_one_line(run, arguments, said):
    ended = run(*arguments)
    assert ended.returncode == pytest.ExitCode.USAGE_ERROR, ended.stdout + ended.stderr
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("ERROR: ")]
    assert said in line


def test_numbers_of_a_study_are_shown_without_the_data(run, shipped, told, tmp_path):
    ended = run(f"--report-from={shipped}", f"--html={tmp_path}/page.html", "--self-contained-html")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "the numbers are those of the study made-up, as it was shipped" in ended.stdout
    page = (tmp_path / "page.html").read_text()
    assert "No answer changed" not in page and page.count("Single answers are listed where the study is replayed") == 2
    assert 'id="evaluation"' in page and "80.5%" in page
    assert [row.question for row in told.rows if html.escape(row.asked_text) in page] == []
    assert "every score" not in ended.stdout
    ended = run(f"--report-from={shipped}", f"--paper={tmp_path}/paper.pdf")
    assert "note: no technical report: it quotes questions" in ended.stdout and not (tmp_path / "paper.pdf").exists()
