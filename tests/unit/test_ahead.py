"""Answers that are known before the first test are judged beside pytest's work, with the verdicts of judging there."""

import json
import os
import sqlite3
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from custom_metrics.sql import execution
from custom_metrics.sql.execution import run_query
from fixtures.adapters.adapter import Adapter
from fixtures.questions.suite import Unmeasurable
from fixtures.scores.ahead import _judging_ahead
from fixtures.study.study import Places, Study
from fixtures.study.tasks import Task
from tests.processes import run_pytest
from tests.vllm_stub import VllmStub
from trainer.prompts import Prompt
from trainer.study.base_model import load_tokenizer
from trainer.study.experiment import load_experiment

SPIDER = Path(__file__).parents[2] / "fixtures" / "miniature" / "spider"
ENDLESS_CTE = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
WRONG = {3: "SELECT 1", 60: "SELEC name", 150: "", 151: "SELECT 1; SELECT 2", 152: "DELETE FROM x"}
# Prints how many answers this process judges itself, on a machine of so many processors.
COUNTED = """
import os

import pytest

from fixtures.questions.spider.questions import SpiderQuestions
from fixtures.store.kept import let_go

os.cpu_count = lambda: int(os.environ["PROCESSORS"])
judged, plain = [], SpiderQuestions.judge


def judge(self, question, *rest):
    if os.getpid() == parent:
        judged.append(question.id)
    return plain(self, question, *rest)


parent, SpiderQuestions.judge = os.getpid(), judge


def pytest_sessionfinish():
    print("judged here:", len(judged))
    let_go()  # these runs end without what runs at exit
"""


@pytest.fixture
def evaluated(pytestconfig, tmp_path):
    """``evaluated(name, processors, *arguments)``: what a run prints, and the folder of its results."""
    gold = [entry["query"] for entry in json.loads((SPIDER / "dev.json").read_text())]
    recorded = tmp_path / "recorded.sql"
    recorded.write_text("".join(f"{WRONG.get(index, sql)}\n" for index, sql in enumerate(gold)))
    (tmp_path / "counted.py").write_text(COUNTED)

    def run(name, processors, *arguments, adapter=recorded):
        root, results = pytestconfig.rootpath, tmp_path / name
        own = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{root}", "PROCESSORS": str(processors)}
        asked = ["-m", "spider", f"--adapter={adapter}", f"--results={results}", *arguments]
        ended = run_pytest(
            ["-o", f"pythonpath=. {tmp_path}", "-s", "-p", "counted", *asked],
            cwd=root,
            environment=os.environ | own | {"XDG_CACHE_HOME": str(results)},
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert ended.stderr == ""
        return ended.stdout, results / "miniature"

    return run


def test_files_are_those_of_a_run_that_judges_in_its_tests(evaluated):
    said, alone = evaluated("alone", 1)
    assert "judged here: 200" in said
    said, ahead = evaluated("ahead", 2)
    assert "judged here: 0" in said
    for name in ("scores.jsonl", "summary.json"):
        assert (ahead / name).read_bytes() == (alone / name).read_bytes()
    assert kept_keys(ahead) == kept_keys(alone) != set()


def kept_keys(results):
    """Of what is kept for the next run."""
    with sqlite3.connect(results.parent / "text-to-sql-evaluation" / "kept.sqlite") as connection:
        keys = {key for (key,) in connection.execute("SELECT key FROM kept")}
    connection.close()
    return keys


@pytest.fixture(scope="module")
def server():
    """One that replies at once, rightly, wrongly or with no SQL, to each prompt its own."""
    gold = [entry["query"] for entry in json.loads((SPIDER / "dev.json").read_text())]
    tokenizer = load_tokenizer(load_experiment("miniature").base_model)
    said = [tokenizer(sql, add_special_tokens=False)["input_ids"] for sql in (*gold[:3], *WRONG.values())]
    name = load_experiment("miniature").base_model.id
    stub = VllmStub(tokenizer, lambda request: (said[sum(request["prompt"]) % len(said)], None), models=[name])
    yield stub
    stub.stop()


def test_what_a_server_answers_is_judged_while_it_goes_on(evaluated, server):
    """And not for a second time where it is kept, once somebody has it."""
    asked = {"adapter": "base"}
    said, alone = evaluated("alone", 1, f"--engine={server.url}", **asked)
    assert "judged here: 200" in said
    said, ahead = evaluated("ahead", 2, f"--engine={server.url}", **asked)
    assert "judged here: 0" in said
    rows = (ahead / "scores.jsonl").read_bytes()
    assert rows == (alone / "scores.jsonl").read_bytes() and rows.count(b'"assignment": 1') > 0
    said, ahead = evaluated("ahead", 2, f"--engine={server.url}", **asked)
    assert "judged here: 200" in said and (ahead / "scores.jsonl").read_bytes() == rows


@pytest.mark.parametrize(
    ("processors", "arguments", "judged"),
    [
        pytest.param(2, ["--count=2"], 200, id="each asked twice"),
        pytest.param(2, ["--max-samples=50"], 50, id="few"),
        pytest.param(2, ["-n", "2"], 0, id="workers judge"),
    ],
)
def test_what_is_not_found_ahead_is_judged_where_it_is_asked_for(processors, arguments, judged, evaluated):
    said, _ = evaluated("run", processors, *arguments)
    assert f"judged here: {judged}" in said


class Questions:
    """Of a suite whose rows are texts; ``judge`` does what ``doing`` has for a question."""

    def __init__(self, **doing):
        self._doing = doing

    def recorded(self, path):
        return {f"q{number}": {"sql": "x" * 5_000} for number in range(300)}

    def judge(self, question, row, answer):
        return self._doing.get(question.id, lambda: f"{row} {answer['sql']}")()


def raising(error):
    def judge():
        raise error

    return judge


@pytest.fixture
def ahead(tmp_path):
    """``ahead(kind, **doing)``: what a study of 300 answers, recorded ones, is judged by ahead, and its tasks."""

    def start(kind="recorded", **doing):
        adapter = Adapter("file.sql", "file", kind)
        places = Places(tmp_path, tmp_path, tmp_path / "results")
        study = Study(None, (), {"made": Questions(**doing)}, (adapter,), places)
        suite, asked = SimpleNamespace(name="made"), [SimpleNamespace(id=f"q{number}") for number in range(300)]
        tasks = [Task(suite, adapter, question, Prompt(), row=question.id) for question in asked]
        return _judging_ahead(study, tasks), tasks

    return start


def test_each_task_gets_its_own_row_once_in_whatever_order(ahead):
    judging, tasks = ahead()
    with judging as found:
        for task in (tasks[200], tasks[0], tasks[299]):
            assert found.found(task).split()[0] == task.question.id
            assert found.found(task) is None


def test_what_cannot_be_measured_says_so_and_what_fails_is_left_to_the_test(ahead):
    judging, tasks = ahead(q1=raising(Unmeasurable("gold fails")), q2=raising(ValueError("a fault")), q3=lambda: open)
    with judging as found:
        with pytest.raises(Unmeasurable, match="gold fails"):
            found.found(tasks[1])
        assert found.found(tasks[2]) is None
        assert found.found(tasks[4])


@pytest.mark.parametrize("broken", [lambda: os._exit(1), lambda: os.kill(os.getpid(), 9)], ids=["ends", "killed"])
def test_a_process_that_ends_leaves_the_rest_to_the_tests(broken, ahead):
    judging, tasks = ahead(q7=broken)
    with judging as found:
        assert all(found.found(task) is None for task in tasks[7:])


def test_answers_are_judged_as_they_are_given(ahead):
    judging, tasks = ahead("folder")
    with judging as found:
        assert found.found(tasks[0]) is None  # not answered yet
        for task in tasks[200:150:-1]:
            found.judge(task, {"sql": f"y {task.question.id}"})
        assert [found.found(task) for task in tasks[180:200]] == [f"q{n} y q{n}" for n in range(180, 200)]
        assert found.found(tasks[150]) is found.found(tasks[199]) is None


def test_a_process_that_ends_while_answers_are_given_leaves_them_to_the_tests(ahead):
    judging, tasks = ahead("folder", q7=lambda: os._exit(1))
    with judging as found:
        for task in tasks:
            found.judge(task, {"sql": "y" * 5_000})
        assert all(found.found(task) is None for task in tasks[7:])
        found.judge(tasks[8], {"sql": ""})
        assert found.found(tasks[8]) is None


def test_the_process_is_not_held_up_by_a_reader_that_is_behind(ahead, tmp_path):
    """A pipe holds some dozen rows; while DeepEval is imported, hundreds are judged."""
    judging, tasks = ahead(q299=(tmp_path / "last").touch)
    with judging as found:
        deadline = time.monotonic() + 30
        while not (tmp_path / "last").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert (tmp_path / "last").exists()
        assert found.found(tasks[298]).startswith("q298 x")


def test_a_session_that_ends_early_leaves_no_process_and_no_query_behind(ahead, tiny_database, tmp_path):
    def endless():
        run_query(tiny_database, "SELECT 1")
        (tmp_path / "pids").write_text(f"{os.getpid()} {execution._sandbox._process.pid}")
        run_query(tiny_database, ENDLESS_CTE, timeout_s=60)

    judging, _ = ahead(q0=endless)
    begun = time.monotonic()
    with judging:
        while not (tmp_path / "pids").exists() or not (tmp_path / "pids").read_text():
            time.sleep(0.01)
    for pid in map(int, (tmp_path / "pids").read_text().split()):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert time.monotonic() - begun < 8
