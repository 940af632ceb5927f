"""A suite that a plugin brings is asked, scored, summarised, gated and shown, and no file of ours knows of it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

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
    assert summary["gates"] == [{"gate": "arithmetic.cfg1.loss <= 0.5", "value": 0.0, "holds": True}]
    manifest = json.loads((finished[0] / "miniature" / "manifest.json").read_text())
    assert len(manifest["chosen"]["arithmetic"]) == 20


def test_the_terminal_shows_it(finished):
    printed = finished[1]
    assert "Sums, most likely option" in printed
    assert re.search(r"^  cfg1 +20 +\d+ +0 +\d+\.\d% .*\+0\.0   1\.000$", printed, re.MULTILINE)
    assert "cfg1: sums +0.0: " in printed
    assert "exit status 0: all 40 questions measured, 1 gates hold" in printed


def test_the_page_and_the_paper_show_it(finished):
    page = (finished[0] / "report.html").read_text()
    assert "Sums, most likely option" in page and "sum-0007" in page
    assert (finished[0] / "paper.pdf").read_bytes().startswith(b"%PDF")


def test_without_the_plugin_its_results_are_left_alone(finished, pytestconfig, tmp_path):
    command = [sys.executable, "-m", "pytest", "-m", "mmlu", "--adapter=base", "--max-samples=2"]
    ended = subprocess.run(
        [*command, f"--results={finished[0]}"], cwd=pytestconfig.rootpath, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert len(list((finished[0] / "miniature" / "scores").glob("arithmetic-*.jsonl"))) == 2
