"""What a run does beside asking a model: nothing that it does not use is opened or imported, and nothing done twice."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.test_golden_values import SAMPLES, write_answers
from tests.vllm_stub import VllmStub
from trainer.study.base_model import load_tokenizer
from trainer.study.experiment import load_experiment

SPIDER = Path(__file__).parents[2] / "fixtures" / "miniature" / "spider"
SLOW = ("torch", "transformers", "peft", "deepeval", "hypothesis", "sqlglot", "anyio", "httpx2", "scipy.stats")
# A plugin that writes down which files this process opened for reading, and which of the slow modules it imported.
WATCH = """
import json, os, sys

opened = []


def heard(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, os.PathLike)):
        if not (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR):
            opened.append(str(os.fspath(arguments[0])))


sys.addaudithook(heard)


def pytest_unconfigure():
    imported = [name for name in {slow!r} if name in sys.modules]
    with open({out!r}, "w") as file:
        json.dump({{"opened": opened, "imported": imported}}, file)
"""


@pytest.fixture
def watched(tmp_path, pytestconfig):
    """``watched(*arguments)`` runs pytest and returns the files it opened and the slow modules it imported."""
    out = tmp_path / "watched.json"
    (tmp_path / "watch.py").write_text(WATCH.format(slow=SLOW, out=str(out)))

    def run(*arguments):
        command = [sys.executable, "-m", "pytest", "-q", "-p", "watch", f"--results={tmp_path}/results", *arguments]
        own = {"PYTHONPATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
        ended = subprocess.run(command, cwd=pytestconfig.rootpath, env=os.environ | own, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        found = json.loads(out.read_text())
        return [pytestconfig.rootpath / path for path in found["opened"]], found["imported"]

    return run


@pytest.fixture
def recorded(tmp_path):
    """A file of recorded predictions for the miniature, of which every third is wrong."""
    gold = [entry["query"] for entry in json.loads((SPIDER / "dev.json").read_text())]
    path = tmp_path / "recorded.sql"
    path.write_text(
        "".join(f"{sql if n % 3 else sql.replace('SELECT', 'SELECT 1,', 1)}\n" for n, sql in enumerate(gold))
    )
    return path


def test_mmlu_alone_opens_nothing_of_spider_and_parses_no_sql(watched):
    opened, imported = watched("--collect-only", "-m", "mmlu")
    assert any(path.match("mmlu/test/*.csv") for path in opened), "the hook hears what is opened"
    assert not [path for path in opened if path.is_relative_to(SPIDER)]
    assert not imported


def test_spider_alone_opens_nothing_of_mmlu(watched):
    opened, _ = watched("--collect-only", "-m", "spider")
    assert SPIDER / "dev.json" in opened
    assert not [path for path in opened if path.suffix == ".csv"]


def test_recorded_predictions_import_no_torch_and_read_no_training_questions(watched, recorded):
    opened, imported = watched("-m", "spider", f"--adapter={recorded}")
    assert not {"hypothesis", "torch", "transformers", "scipy.stats"} & set(imported)
    assert not [path for path in opened if path.name == "train_spider.json"]


def test_a_run_that_a_server_answers_imports_no_torch(watched, tmp_path):
    experiment = load_experiment("miniature")
    tokenizer, names = load_tokenizer(experiment.base_model), [experiment.base_model.id]
    stub = VllmStub(tokenizer, lambda request: ([5], None), models=names)
    try:
        _, imported = watched("-m", "spider", "--adapter=base", "--max-samples=2", f"--engine={stub.url}")
    finally:
        stub.stop()
    assert {"transformers", "httpx2"} <= set(imported) and "torch" not in imported
    assert len(stub.requests) == 3


def test_a_second_run_parses_nothing_reads_each_row_file_once_and_says_the_same(watched, recorded, tmp_path):
    results = tmp_path / "results" / "miniature"
    _, first = watched("-m", "spider", f"--adapter={recorded}")
    rows = (results / "scores.jsonl").read_bytes()
    opened, second = watched("-m", "spider", f"--adapter={recorded}")
    assert "sqlglot" in first and "sqlglot" not in second
    assert [path.parent.name for path in opened if path.suffix == ".jsonl"] == ["scores"]
    assert (results / "scores.jsonl").read_bytes() == rows


def test_what_a_suite_said_stays_in_the_manifest_of_a_run_that_does_not_open_it(watched, recorded, tmp_path):
    """Own data have a name of their own, which the suite's own name must not replace."""
    (tmp_path / "results" / "miniature").mkdir(parents=True)
    write_answers(tmp_path / "results")
    # Of other data than the experiment's own, results have a folder of their own.
    own = (tmp_path / "results" / "miniature").rename(tmp_path / "results" / "miniature-shop")
    shop = tmp_path / "shop"
    shop.mkdir()
    entry = json.loads((SPIDER / "dev.json").read_text())[0]
    database = next((SPIDER / "database" / entry["db_id"]).glob("*.sqlite"))
    (shop / "shop.sqlite").write_bytes(database.read_bytes())
    (shop / "questions.json").write_text(json.dumps([{"question": entry["question"], "sql": entry["query"]}]))
    (tmp_path / "one.sql").write_text(entry["query"] + "\n")
    watched("-m", "spider", f"--spider={shop}", f"--adapter={tmp_path / 'one.sql'}")
    before = json.loads((own / "manifest.json").read_text())
    assert not (tmp_path / "results" / "miniature").exists()
    assert before["spider_called"]["dataset"] == "shop" and len(before["chosen"]["spider"]) == 1
    watched("-m", "mmlu", f"--spider={shop}", "--adapter=base", f"--max-samples={SAMPLES}", "--replay")
    after = json.loads((own / "manifest.json").read_text())
    assert after["spider_called"] == before["spider_called"]
    assert after["chosen"].keys() == {"spider", "mmlu"} and after["chosen"]["spider"] == before["chosen"]["spider"]


@pytest.fixture
def ended_with(recorded, tmp_path, pytestconfig):
    """``ended_with(plugin, *arguments)``: what recorded predictions print beside a plugin of this text and a test."""
    (tmp_path / "test_other.py").write_text("def test_one_gives_two(): assert 1 + 1 == 2\n")

    def run(plugin, *arguments):
        (tmp_path / "told.py").write_text(plugin)
        command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "told", f"--results={tmp_path}/results"]
        command += [*arguments, f"--adapter={recorded}", "--max-samples=3", "tests/test_spider.py"]
        own = os.environ | {"PYTHONPATH": str(tmp_path)}
        ended = subprocess.run(
            [*command, str(tmp_path / "test_other.py")],
            cwd=pytestconfig.rootpath,
            env=own,
            capture_output=True,
            text=True,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    return run


OTHER_TESTS = ("-k", "test_spider or test_one_gives_two")


@pytest.mark.parametrize(
    ("asked", "captured"),
    [
        pytest.param(["-m", "spider"], False, id="only questions"),
        pytest.param(["-m", "spider", "--log-level=INFO"], True, id="logs asked for"),
        pytest.param(OTHER_TESTS, True, id="other tests as well"),
    ],
)
def test_logs_are_captured_where_somebody_may_read_them(asked, captured, ended_with):
    """pytest would give every logger of torch a handler, six times a question."""
    told = "print('captured:', session.config.pluginmanager.has_plugin('logging-plugin'))"
    printed = ended_with(f"def pytest_sessionfinish(session):\n    {told}\n", *asked)
    assert f"captured: {captured}" in printed


@pytest.mark.parametrize(
    ("asked", "imports", "settled"),
    [
        pytest.param(["-m", "spider"], "gc", True, id="only questions"),
        pytest.param(OTHER_TESTS, "gc", False, id="other tests as well"),
        pytest.param(["-m", "spider"], "gc, torch", False, id="a model may be there"),
    ],
)
def test_what_stays_is_no_garbage_to_look_for_unless_other_tests_run(asked, imports, settled, ended_with):
    """Of questions, tests and DeepEval's modules there are a million objects, which the collector would go through.

    A model that is no longer needed is found by the collector alone, as PEFT's refer to themselves.
    """
    told = "print('settled:', gc.get_freeze_count() > 10_000, gc.isenabled())"
    printed = ended_with(f"import {imports}\n\ndef pytest_sessionfinish(session):\n    {told}\n", *asked)
    assert f"settled: {settled} True" in printed
