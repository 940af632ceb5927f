"""Files as people bring them: byte-order marks, other encodings, damage; and pytest with other plugins and places."""

import json
import os
import shutil
import sqlite3
import zipfile
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from fixtures.questions.spider.recorded import recorded_predictions
from fixtures.questions.spider.suite import SPIDER
from fixtures.questions.suite import QuestionsError
from fixtures.results.files import read_rows
from fixtures.store.answer_store import AnswerStore
from fixtures.store.telling import StoreError
from fixtures.study import training
from tests.processes import run_pytest
from trainer.mmlu.sources import MmluError, MmluFile, MmluFolder
from trainer.spider.folder import open_spider
from trainer.study.experiment import EXPERIMENTS, ExperimentError, load_experiment
from trainer.study.settings import REPOSITORY

MINIATURE = Path(__file__).parents[2] / "fixtures" / "miniature"
MARK = b"\xef\xbb\xbf"
DEEP = "[" * 100_000


def marked(path):
    path.write_bytes(MARK + path.read_bytes())


def test_a_byte_order_mark_changes_no_question(tmp_path):
    mmlu = shutil.copytree(MINIATURE / "mmlu", tmp_path / "mmlu")
    spider = shutil.copytree(MINIATURE / "spider", tmp_path / "spider")
    for path in [*mmlu.rglob("*.csv"), *spider.glob("*.json")]:
        marked(path)
    ours, theirs = MmluFolder(MINIATURE / "mmlu"), MmluFolder(mmlu)
    assert [theirs.test(subject) for subject in theirs.subjects] == [ours.test(subject) for subject in ours.subjects]
    assert theirs.exemplars("philosophy", 4) == ours.exemplars("philosophy", 4)
    ours, theirs = open_spider(MINIATURE / "spider"), open_spider(spider)
    assert (theirs.dev(), theirs.train(), theirs.schemas) == (ours.dev(), ours.train(), ours.schemas)
    toml = tmp_path / "miniature.toml"
    toml.write_bytes(MARK + (EXPERIMENTS / "miniature.toml").read_bytes())
    assert load_experiment(str(toml)) == load_experiment("miniature").model_copy(update={"argument": str(toml)})


@pytest.mark.parametrize("suffix", [".sql", ".jsonl"])
def test_a_byte_order_mark_changes_no_prediction(suffix, tmp_path):
    questions = open_spider(MINIATURE / "spider").dev()[:3]
    path = tmp_path / f"one{suffix}"
    lines = [q.gold_sql if suffix == ".sql" else json.dumps({"index": q.index, "sql": q.gold_sql}) for q in questions]
    path.write_text("".join(f"{line}\n" for line in lines))
    plain = recorded_predictions(str(path), questions)
    marked(path)
    assert recorded_predictions(str(path), questions) == plain


def test_other_encodings_are_named(tmp_path):
    path = tmp_path / "questions.jsonl"
    path.write_text("{}", encoding="utf-16")
    with pytest.raises(MmluError, match="questions.jsonl cannot be read: it is UTF-16: save it as UTF-8"):
        MmluFile(path)
    with pytest.raises(QuestionsError, match="it is UTF-16"):
        recorded_predictions(str(path), [])
    with pytest.raises(ExperimentError, match="it is UTF-16"):
        load_experiment(str(path))


def test_what_is_nested_too_deeply_is_named(tmp_path):
    spider = shutil.copytree(MINIATURE / "spider", tmp_path / "spider", ignore=shutil.ignore_patterns("database"))
    for name in ("dev.json", "tables.json"):
        kept = (spider / name).read_text()
        (spider / name).write_text(DEEP)
        with pytest.raises(ExperimentError, match=f"{name}.*nested too deeply"):
            open_spider(spider).dev()
        (spider / name).write_text(kept)
    for path in (tmp_path / "a.jsonl", tmp_path / "a.toml"):
        path.write_text(DEEP if path.suffix == ".jsonl" else f"a = {DEEP}")
    with pytest.raises(ValueError, match="line 1: it is nested too deeply"):
        read_rows(tmp_path / "a.jsonl", (SPIDER,))
    with pytest.raises(QuestionsError, match=r"a.jsonl.*line 1.*nested too deeply"):
        recorded_predictions(str(tmp_path / "a.jsonl"), [])
    with pytest.raises(ExperimentError, match="nested too deeply"):
        load_experiment(str(tmp_path / "a.toml"))


def _foreign(path):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE answers (id INTEGER, text TEXT)")
    connection.close()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        pytest.param(lambda path: path.write_bytes(b"garbage" * 999), "Move it away", id="garbage"),
        pytest.param(_foreign, "Move it away", id="another-program"),
        pytest.param(lambda path: path.mkdir(), "move it away", id="folder"),
    ],
)
def test_an_answer_store_that_is_none_is_named_with_what_to_do(damage, said, tmp_path):
    damage(tmp_path / "answers.sqlite")
    with pytest.raises(StoreError, match=f"answers.sqlite' .*{said}"):
        AnswerStore(tmp_path / "answers.sqlite")


@pytest.fixture
def run(tmp_path, pytestconfig):
    """``run(*arguments)``: pytest on recorded predictions, the third of them wrong."""
    gold = [entry["query"] for entry in json.loads((MINIATURE / "spider" / "dev.json").read_text())]
    path = tmp_path / "recorded.sql"
    path.write_text("".join(f"{sql if place != 2 else 'SELECT 1'}\n" for place, sql in enumerate(gold)))

    def run(*arguments, cwd=pytestconfig.rootpath):
        return run_pytest([*arguments, f"--adapter={path}", f"--results={tmp_path}/results"], cwd=cwd)

    return run


FULL = """
import errno
from pathlib import Path

replace = Path.replace

def full(self, target):
    if Path(target).name == "scores.jsonl":
        raise OSError(errno.ENOSPC, "No space left on device")
    return replace(self, target)

Path.replace = full
"""


def test_a_full_disk_leaves_the_old_files_and_says_what_was_measured(run, tmp_path):
    assert run("-m", "spider").returncode == 0
    files = [tmp_path / "results" / "miniature" / name for name in ("scores.jsonl", "summary.json", "manifest.json")]
    before = [path.read_bytes() for path in files]
    (tmp_path / "full.py").write_text(FULL)
    ended = run("-m", "spider", "-o", f"pythonpath=. {tmp_path}", "-p", "full")
    assert ended.returncode == 1 and "Traceback" not in ended.stdout + ended.stderr
    assert "No space left on device" in ended.stdout and "spider recorded 199 of 200 right" in ended.stdout
    assert [path.read_bytes() for path in files] == before
    assert not list((tmp_path / "results").rglob("*.part"))


@pytest.mark.parametrize("plugin", ["cacheprovider", "capture", "terminal", "junitxml", "logging", "tmpdir", "xdist"])
def test_pytest_without_one_of_its_plugins_measures_the_same(plugin, run, tmp_path):
    ended = run("-p", f"no:{plugin}", "-m", "spider", "--max-samples=4")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert len((tmp_path / "results" / "miniature" / "scores.jsonl").read_text().splitlines()) == 4


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_a_question_asked_twice_counts_once(workers, run):
    ended = run("-m", "spider", "--count=2", *workers)
    assert ended.returncode == 0 and "all 200 questions measured" in ended.stdout


def test_failed_attempts_are_no_passed_tests(run, tmp_path):
    run("-m", "spider", "--reruns=2", f"--junitxml={tmp_path}/junit.xml")
    (suite,) = ElementTree.parse(tmp_path / "junit.xml").getroot()
    cases = list(suite.iter("testcase"))
    assert len(cases) == 200 and sum(case.find("failure") is not None for case in cases) == 1


def test_another_root_folder_is_no_hindrance(run, pytestconfig, tmp_path):
    root = pytestconfig.rootpath
    given = ["-c", root / "pytest.ini", f"--rootdir={root.parent}", root / "tests" / "test_spider.py"]
    ended = run(*given, "--max-samples=4", cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_with_a_broken_member_is_named_and_leaves_nothing(method, tmp_path):
    path = tmp_path / "spider.zip"
    with zipfile.ZipFile(path, "w", method) as file:
        file.writestr("spider/dev.json", json.dumps(list(range(5000))))
    contents = bytearray(path.read_bytes())
    contents[200:400] = bytes(200)
    path.write_bytes(contents)
    with pytest.raises(ExperimentError, match=r"spider.zip'.*(damaged|unpacked)"):
        open_spider(path)
    assert [one.name for one in tmp_path.iterdir()] == ["spider.zip"]


def test_a_training_finds_what_the_user_put_on_the_path(monkeypatch):
    started = {}

    class Process:
        def __init__(self, command, *, cwd, env):
            started.update(env)

        def wait(self):
            return 0

    monkeypatch.setattr(training.subprocess, "Popen", Process)
    monkeypatch.setenv("PYTHONPATH", "/theirs")
    adapter = SimpleNamespace(needs_training=True, spec="cfg1", run=SimpleNamespace(max_train_samples=None))
    monkeypatch.setattr(training, "train_command", lambda missing: "python -m trainer")
    training.train_missing([adapter], nullcontext)
    assert started["PYTHONPATH"].split(os.pathsep) == [str(REPOSITORY), "/theirs"]
