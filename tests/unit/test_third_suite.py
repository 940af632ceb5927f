"""A suite that a plugin brings is asked, scored, summarised, gated and shown, and no file of ours knows of it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.report_page import embedded
from tests.unit.test_golden_values import write_adapter

PLUGIN = Path(__file__).parents[1] / "third_suite.txt"


@pytest.fixture(scope="module")
def finished(tmp_path_factory, pytestconfig):
    """The folder of a finished run of the third suite alone, for base and cfg1, and what the run printed. Read only."""
    folder = tmp_path_factory.mktemp("third")
    (folder / "arithmetic.py").write_text(PLUGIN.read_text())
    write_adapter(folder)
    command = [sys.executable, "-m", "pytest", "-p", "arithmetic", "-m", "arithmetic"]
    command += ["--adapter=base,cfg1", f"--results={folder}", "--gate=arithmetic.cfg1.loss <= 0.5"]
    command += [f"--html={folder}/report.html", "--self-contained-html", f"--paper={folder}/paper.pdf"]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    ended = subprocess.run(command, cwd=pytestconfig.rootpath, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder, ended.stdout


def test_it_is_asked_and_scored(finished):
    lines = (finished[0] / "miniature" / "scores.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["question"] for row in rows if row["adapter"] == "cfg1"] == [f"sum-{n:04d}" for n in range(20)]
    assert {(row["suite"], row["status"], row["schema_version"]) for row in rows} == {("arithmetic", "scored", 1)}


def test_it_is_summarised_and_gated(finished):
    summary = json.loads((finished[0] / "miniature" / "summary.json").read_text())
    groups = [(e["adapter"], e["group"], e["n"]) for e in summary["accuracies"]]
    assert groups[:3] == [("base", "all", 20), ("base", "small", 10), ("base", "large", 10)]
    (change,) = [c for c in summary["comparisons"] if c["group"] == "all"]
    assert (change["suite"], change["against"], change["difference"]) == ("arithmetic", "base", 0.0)
    judged = {"gate": "arithmetic.cfg1.loss <= 0.5", "value": 0.0, "holds": True}
    assert summary["gates"] == [judged | {"measured": "as counted", "undecided": False}]
    manifest = json.loads((finished[0] / "miniature" / "manifest.json").read_text())
    assert len(manifest["chosen"]["arithmetic"]) == 20


def test_the_terminal_shows_it(finished):
    printed = finished[1]
    assert "Sums, most likely option" in printed
    assert re.search(r"^  cfg1 +20 +\d+ +0 +\d+\.\d% .*\+0\.0   1\.000$", printed, re.MULTILINE)
    assert "cfg1: sums +0.0 points, " in printed
    assert "exit status 0: all 40 questions measured, 1 gates hold" in printed


def test_the_page_and_the_paper_show_it(finished):
    page = (finished[0] / "report.html").read_text()
    assert "Sums, most likely option" in page and "sum-0007" in str(embedded(finished[0] / "report.html"))
    assert (finished[0] / "paper.pdf").read_bytes().startswith(b"%PDF")


def test_without_the_plugin_its_results_are_left_alone(finished, pytestconfig, tmp_path):
    """A run that cannot read them keeps them, and a report says what it leaves out."""
    folder = tmp_path / "results"
    shutil.copytree(finished[0], folder)
    results = folder / "miniature"
    before = (results / "scores.jsonl").read_text()

    def run(*arguments, plugin=()):
        command = [sys.executable, "-m", "pytest", *plugin, *arguments]
        environment = {**os.environ, "PYTHONPATH": str(folder)}
        ended = subprocess.run(command, cwd=pytestconfig.rootpath, env=environment, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    run("-m", "mmlu", "--adapter=base", "--max-samples=2", f"--results={folder}")
    assert len(list((results / "scores").glob("arithmetic-*.jsonl"))) == 2
    assert (results / "scores.jsonl").read_text().endswith(before)
    with_it = run(f"--report-from={results}", plugin=("-p", "arithmetic"))
    assert re.search(r"^  cfg1 +20 +\d+ +0 ", with_it, re.MULTILINE) and "left out" not in with_it
    without = run(f"--report-from={results}")
    assert "left out is arithmetic, a suite of a plugin that is not loaded: add -p PLUGIN" in without
    assert "Sums" not in without
    run("-m", "mmlu", "--adapter=base", "--max-samples=2", f"--results={tmp_path}/more", f"--compare={results}")


FAULTS = """
from dataclasses import replace

WAYS = {
    2: dict(chosen="A", correct=None),
    3: dict(chosen="A"),
    4: dict(chosen="A", correct=2),
    5: dict(chosen="A", correct=0, terms=99),
    6: dict(chosen="A", correct=0, text="huge"),
}


class FaultyRow(SumRow):
    JUDGED = ("chosen",)

    group = property(lambda self: self.text if self.text == "huge" else SumRow.group.fget(self))


class Faulty(Sums):
    def row(self, question, adapter):
        text = "huge" if question.n == 6 else "a sum"
        return FaultyRow(suite="faulty", adapter=adapter, question=question.id, terms=question.n, text=text, gold="B")

    def judge(self, question, row, answer):
        return row.judged(**WAYS.get(question.n, dict(chosen="A", correct=0)))


class Long(Sums):
    def prompts(self, questions, tuned):
        return [Prompt(text="1 + 2 = 3. " * 3000) for q in questions]


def _suite(name, questions, row=SumRow):
    return replace(ARITHMETIC, name=name, open=lambda experiment, options: questions, row=row, tests=Path(__file__))


def pytest_text_to_sql_suites():
    return [ARITHMETIC, _suite("long", Long()), _suite("faulty", Faulty(), FaultyRow)]


@pytest.mark.long
def test_long(task, score, record_score):
    record_score(score)


@pytest.mark.faulty
def test_faulty(task, score, record_score):
    record_score(score)
"""


def test_what_a_suite_gets_wrong_is_errored_and_not_counted(pytestconfig, tmp_path):
    """A score that is none, a changed question, a group of no table; and another suite with the same ids is well."""
    (tmp_path / "faults.py").write_text(PLUGIN.read_text() + FAULTS)
    command = [sys.executable, "-m", "pytest", "-p", "faults", "-m", "faulty or long", "--adapter=base"]
    ended = subprocess.run(
        [*command, f"--results={tmp_path}"],
        cwd=pytestconfig.rootpath,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "exit status 1: 25 questions errored" in ended.stdout
    rows = [json.loads(line) for line in (tmp_path / "miniature" / "scores.jsonl").read_text().splitlines()]
    reasons = {row["question"]: row.get("reason") for row in rows if row["suite"] == "faulty"}
    assert {name for name, reason in reasons.items() if reason} == {f"sum-{n:04d}" for n in range(2, 7)}
    assert "judging changed what was asked: terms" in reasons["sum-0005"]
    assert "sum-0006 is of the size 'huge': no small, large" in reasons["sum-0006"]
    assert all("tokens" in row["reason"] for row in rows if row["suite"] == "long")


@pytest.mark.parametrize(
    ("fact", "owner"), [("exemplars", "spider"), ("chosen", "the manifest"), ("score_sets", "the manifest")]
)
def test_a_fact_that_would_replace_another_is_refused_before_a_model_loads(pytestconfig, tmp_path, fact, owner):
    changed = PLUGIN.read_text().replace('"twenty sums", {}', f'"twenty sums", {{"{fact}": ["mine"]}}')
    assert fact in changed
    (tmp_path / "named_alike.py").write_text(changed)
    command = [sys.executable, "-m", "pytest", "-p", "named_alike", "-m", "arithmetic", f"--results={tmp_path}"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    ended = subprocess.run(command, cwd=pytestconfig.rootpath, env=environment, capture_output=True, text=True)
    assert ended.returncode == 4
    said = f"ERROR: suite 'arithmetic' calls a fact '{fact}', as does {owner}. Give it another name"
    assert said in ended.stderr.splitlines()
