import re
import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def help_text(pytestconfig):
    command = [sys.executable, "-m", "pytest", "--help"]
    return subprocess.run(command, cwd=pytestconfig.rootpath, capture_output=True, text=True, check=True).stdout


def test_every_option_stands_under_one_heading_and_in_the_readme(help_text, pytestconfig):
    section = help_text.split("text-to-SQL specialisation: gain on Spider, cost on MMLU:\n")[1].split("\n\n")[0]
    options = set(re.findall(r"^  (--[a-z-]+)", section, re.MULTILINE))
    table = (pytestconfig.rootpath / "README.md").read_text().split("## Every option")[1].split("\n## ")[0]
    assert len(options) >= 14
    assert options == set(re.findall(r"^\| `(--[a-z-]+)", table, re.MULTILINE))


def test_every_option_of_the_trainer_explains_itself_and_is_in_the_readme(pytestconfig):
    command = [sys.executable, "-m", "trainer", "--help"]
    text = subprocess.run(command, cwd=pytestconfig.rootpath, capture_output=True, text=True, check=True).stdout
    options = set(re.findall(r"^  (--[a-z-]+)", text, re.MULTILINE))
    assert len(options) >= 13
    for option in options:
        assert re.search(rf"^  {option}\b[^\n]*\n? +\w", text, re.MULTILINE), option
    table = (pytestconfig.rootpath / "README.md").read_text().split("option of `python -m trainer`")[1].split("\n\n")[0]
    assert options == set(re.findall(r"^\| `(--[a-z-]+)", table, re.MULTILINE))
