"""``--paper`` as people call it, in processes of their own, on recorded predictions: no model is needed."""

import json
from pathlib import Path

import pypdf
import pytest

from tests.processes import run_pytest

SPIDER = Path(__file__).parents[2] / "fixtures" / "miniature" / "spider"


@pytest.fixture
def run(pytestconfig):
    def run(*arguments):
        return run_pytest(arguments, cwd=pytestconfig.rootpath)

    return run


@pytest.mark.slow
def test_a_run_writes_the_paper_and_the_result_files_give_the_same_one(run, tmp_path):
    gold = [entry["query"] for entry in json.loads((SPIDER / "dev.json").read_text())]
    (tmp_path / "recorded.sql").write_text("\n".join(["SELECT 1", *gold[1:]]))
    first, again = tmp_path / "first.pdf", tmp_path / "new" / "again.pdf"
    evaluation = ("-m", "spider", f"--adapter={tmp_path}/recorded.sql", f"--results={tmp_path}", "-n", "2")
    result = run(*evaluation, f"--paper={first}")
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"technical report: {first}" in result.stdout
    result = run(f"--report-from={tmp_path}/miniature", f"--paper={again}")
    assert result.returncode == 0, result.stdout + result.stderr
    assert again.read_bytes() == first.read_bytes()
    text = " ".join("".join(page.extract_text() for page in pypdf.PdfReader(first).pages).split())
    assert "The answers were recorded elsewhere" in text
    assert "Predictions recorded elsewhere, judged by execution" in text and "or a cost, they say nothing." in text
    # Both queries were run again for their rows; how they were asked for is not known.
    assert "Gold rows (" in text and "Predicted rows (1,) Class" in text
    assert "CREATE TABLE" not in text and "Write one SQLite query" not in text and "Base model" not in text


def test_without_an_evaluation_there_is_nothing_to_write_about(run, tmp_path):
    result = run("tests/unit/test_paper.py", f"--paper={tmp_path}/paper.pdf")
    assert result.returncode == pytest.ExitCode.USAGE_ERROR
    assert '--paper: nothing is evaluated. Add -m "spider or mmlu", or --report-from=DIR' in result.stderr


def test_a_path_that_cannot_be_written_ends_the_run_before_it_starts(run, tmp_path):
    result = run("-m", "spider", f"--paper={tmp_path}", f"--results={tmp_path}/results")
    assert result.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: --paper: '{tmp_path}' cannot be written" in result.stderr
    assert "collected" not in result.stdout
