"""What a CI job shows of a run: a gate that does not hold is annotated, colour is where it may be, JUnit is short."""

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

SPIDER = Path(__file__).parents[2] / "fixtures" / "miniature" / "spider"


def test_a_job_on_github(tmp_path, pytestconfig):
    gold = [entry["query"] for entry in json.loads((SPIDER / "dev.json").read_text())]
    (tmp_path / "wrong.sql").write_text(
        "".join(f"{sql if n % 2 else 'SELECT 0, 0, 0, 0'}\n" for n, sql in enumerate(gold))
    )
    command = [sys.executable, "-m", "pytest", "-m", "spider", f"--adapter={tmp_path / 'wrong.sql'}", "--color=yes"]
    command += [f"--results={tmp_path / 'results'}", f"--junitxml={tmp_path / 'junit.xml'}", "-p", "no:cacheprovider"]
    command += ["--gate=spider.wrong >= 0.9", "--gate=spider.wrong >= 0.1"]
    own = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(tmp_path / "page.md")}
    ended = subprocess.run(command, cwd=pytestconfig.rootpath, env=os.environ | own, capture_output=True, text=True)
    assert ended.returncode == 1
    annotated = [line for line in ended.stdout.splitlines() if line.startswith("::")]
    assert annotated == ["::error title=gate broken::spider.wrong >= 0.9: broken (0.5000, as counted)"]
    assert "\033[31mexit status 1: gate broken" in ended.stdout
    assert (
        "exit status 1: gate broken" in (tmp_path / "page.md").read_text()
        and "\033" not in (tmp_path / "page.md").read_text()
    )
    cases = list(ElementTree.parse(tmp_path / "junit.xml").iter("testcase"))
    names = {entry.get("name") for entry in cases[0].iter("property")}
    assert len(cases) == 200 and {"question", "assignment", "gold_sql"} <= names
    assert max(len(entry.get("value")) for case in cases for entry in case.iter("property")) <= 303


def test_no_colour_where_none_is_wanted(tmp_path, pytestconfig):
    (tmp_path / "none.sql").write_text("\n" * 200)
    command = [sys.executable, "-m", "pytest", "-m", "spider", f"--adapter={tmp_path / 'none.sql'}", "--max-samples=4"]
    command += [f"--results={tmp_path / 'results'}", "-p", "no:cacheprovider", "--gate=spider.none >= 0.9"]
    own = os.environ | {"NO_COLOR": "1", "FORCE_COLOR": "1"}
    ended = subprocess.run(command, cwd=pytestconfig.rootpath, env=own, capture_output=True, text=True)
    assert "exit status 1" in ended.stdout and "\033" not in ended.stdout
    assert not [line for line in ended.stdout.splitlines() if line.startswith("::")], "this is no job on GitHub"
