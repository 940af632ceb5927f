"""Reports made again from result files, in processes of their own as people run them."""

import json
import re
import shutil
from pathlib import Path

import pytest

from fixtures.questions.plugin import BUILT_IN
from fixtures.report.rebuild import earlier_summary
from fixtures.results.folder import ResultsError
from tests.processes import run_pytest
from tests.report_page import embedded

SPIDER = Path(__file__).parents[2] / "fixtures" / "miniature" / "spider"


@pytest.fixture(scope="module")
def run(pytestconfig):
    def run(*arguments):
        return run_pytest(["-q", *arguments], cwd=pytestconfig.rootpath)

    return run


@pytest.fixture(scope="module")
def finished(run, tmp_path_factory):
    """The folder of a finished run, ``report.html`` in it, and what the run printed. Read only."""
    folder = tmp_path_factory.mktemp("finished")
    gold = [entry["query"] for entry in json.loads((SPIDER / "dev.json").read_text())]
    (folder / "recorded.sql").write_text("\n".join(["SELECT '</script>'", *gold[1:]]))
    result = run(
        "-m",
        "spider",
        f"--adapter={folder}/recorded.sql",
        f"--results={folder}",
        f"--html={folder}/report.html",
        "--self-contained-html",
        "-n",
        "2",
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return folder, result.stdout


def section(output):
    """The lines of our section that speak of scores."""
    return [line for line in output.splitlines() if re.match(r"  (recorded|  easy)|exit status|wrong:", line)]


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "two-workers"])
def test_reports_are_made_again(run, finished, tmp_path, workers):
    folder, printed = finished
    result = run(f"--report-from={folder}/miniature", f"--html={tmp_path}/again.html", *workers)
    assert result.returncode == 0, result.stdout + result.stderr
    assert section(result.stdout) == section(printed) != []
    assert "note: made again from the result files" in result.stdout
    assert embedded(tmp_path / "again.html") == embedded(folder / "report.html")


def test_the_report_has_our_rows_and_not_pytest_htmls(finished):
    folder, _ = finished
    assert len(embedded(folder / "report.html")["answers"]) == 200
    blob = re.search(r'data-jsonblob="([^"]*)"', (folder / "report.html").read_text())[1]
    assert json.loads(blob.replace("&#34;", '"'))["tests"] == {}


def test_other_tests_keep_their_rows(run, tmp_path):
    run("tests/unit/test_reading.py", f"--html={tmp_path}/report.html", "--self-contained-html")
    text = (tmp_path / "report.html").read_text()
    assert "test_the_readme_has_the_reports_words_and_no_others" in text
    assert 'id="evaluation"' not in text


def test_a_folder_without_results_is_refused_in_one_line(run, tmp_path):
    result = run(f"--report-from={tmp_path}")
    assert result.returncode == pytest.ExitCode.USAGE_ERROR
    absent = f"ERROR: --report-from: {str(tmp_path)!r} has no scores.jsonl, summary.json, manifest.json."
    assert result.stderr.strip() == f'{absent} Results are made by: pytest -m "spider or mmlu"'


def test_the_folder_of_all_results_names_the_one_to_pass(finished):
    folder, _ = finished
    with pytest.raises(ResultsError, match=rf"Pass one experiment's folder: --report-from={folder}/miniature"):
        earlier_summary(folder, BUILT_IN)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(lambda lines: ["{"], "Expecting property name", id="not-json"),
        pytest.param(lambda lines: [*lines, lines[0]], "answers a question twice", id="duplicate"),
        pytest.param(lambda lines: [line.replace("recorded", "other") for line in lines], "different runs", id="mixed"),
    ],
)
def test_damaged_results_are_refused(finished, tmp_path, change, said):
    for name in ("scores.jsonl", "summary.json", "manifest.json"):
        shutil.copy(finished[0] / "miniature" / name, tmp_path)
    scores = tmp_path / "scores.jsonl"
    scores.write_text("\n".join(change(scores.read_text().splitlines())))
    with pytest.raises(ResultsError, match=f"cannot be read.*{said}"):
        earlier_summary(tmp_path, BUILT_IN)


def test_results_of_before_files_had_a_version_get_todays_reports(finished, tmp_path):
    """Statistics come from the rows; of the old summary what it alone knows is kept."""
    folder = finished[0] / "miniature"
    for name in ("scores.jsonl", "manifest.json"):
        text = (folder / name).read_text()
        (tmp_path / name).write_text(text.replace('"schema_version": 1, ', "").replace('  "schema_version": 1,\n', ""))
    now = json.loads((folder / "summary.json").read_text())
    old = {name: now[name] for name in ("experiment", "note", "questions", "revisions", "selected", "partial")}
    old |= {"notes": ["spider/base: other settings"], "gates": [], "accuracies": [{"official": 0.5}]}
    old |= {"exit": {"status": 1, "reason": "3 questions errored"}}
    (tmp_path / "summary.json").write_text(json.dumps(old))
    summary, rows, _ = earlier_summary(tmp_path, BUILT_IN)
    assert (len(rows), summary.accuracy("spider", "recorded").correct, summary.exit.status) == (200, 199, 1)
    assert "of that run: exit status 1: 3 questions errored" in summary.problems
