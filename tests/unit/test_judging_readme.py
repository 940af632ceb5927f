"""What the README of ``custom_metrics`` prints and tabulates is what comes out."""

import os
import re
import subprocess
import sys

import pytest

from custom_metrics.errors.analysis import ErrorClass
from custom_metrics.sql.verdict import gold_result, judge_sql
from custom_metrics.statistics import __all__ as statistics_names


@pytest.fixture(scope="module")
def readme(pytestconfig) -> str:
    return (pytestconfig.rootpath / "custom_metrics" / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def examples(readme, pytestconfig, tmp_path_factory):
    """The folder in which the examples ran in a process each, and for each what it printed and what the README says."""
    folder, pairs = tmp_path_factory.mktemp("readme"), []
    own = {"PYTHONPATH": str(pytestconfig.rootpath), "DEEPEVAL_TELEMETRY_OPT_OUT": "1", "HOME": str(folder)}
    for code, printed in re.findall(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```)?", readme, re.DOTALL):
        command = [sys.executable, "-c", code]
        ended = subprocess.run(command, cwd=folder, env=os.environ | own, capture_output=True, text=True)
        pairs.append((ended.stdout if ended.returncode == 0 else ended.stderr, printed))
    return folder, pairs


def test_examples_print_what_the_readme_says(examples):
    _, pairs = examples
    assert len(pairs) == 2
    assert [ended for ended, _ in pairs] == [printed for _, printed in pairs]


def test_conventions_differ_where_the_readme_says(examples, readme):
    folder, _ = examples
    rows = re.findall(r"^\| `(.+)` \| `(.+)` \| (\d) \| (\d) \| (\d) \|$", readme, re.MULTILINE)
    assert len(rows) == 5
    for gold_sql, predicted_sql, *scores in rows:
        verdict = judge_sql(predicted_sql, gold_result(folder / "singers.sqlite", gold_sql))
        assert [verdict.assignment, verdict.official, verdict.bird] == list(map(int, scores)), predicted_sql


def test_every_error_class_is_explained_in_order(readme):
    table = readme.split("## Error classes")[1].split("\n## ")[0]
    assert re.findall(r"^\| (.+?) \|", table, re.MULTILINE)[1:] == list(map(str, ErrorClass))


def test_every_statistic_is_in_the_table(readme):
    table = readme.split("## Statistics")[1]
    cells = re.findall(r"^\| (`.+?`) \|", table, re.MULTILINE)
    functions = {name for name in statistics_names if name.islower()}
    assert set(re.findall(r"\w+", " ".join(cells))) == functions
