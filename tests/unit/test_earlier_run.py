"""``--compare`` on recorded predictions, through pytest: what changed, what cannot be compared, gates on it."""

import json
import re
import shutil

import pytest

from tests.processes import run_pytest
from trainer.spider.folder import open_spider

SOURCE = "fixtures/miniature/spider"


@pytest.fixture
def evaluate(tmp_path, pytestconfig):
    """``evaluate(wrong, *arguments)``: recorded gold as adapter ``rec``, the first ``wrong`` answers spoilt."""

    def evaluate(wrong, *arguments):
        questions = open_spider(str(pytestconfig.rootpath / SOURCE)).dev()
        lines = ["SELECT 1, 2, 3" if n < wrong else question.gold_sql for n, question in enumerate(questions)]
        (tmp_path / "rec.sql").write_text("".join(line + "\n" for line in lines))
        command = ["-q", "-m", "spider", f"--adapter={tmp_path / 'rec.sql'}", f"--results={tmp_path / 'now'}"]
        return run_pytest([*command, *arguments], cwd=pytestconfig.rootpath)

    return evaluate


def test_what_changed_since_an_earlier_run(evaluate, tmp_path):
    assert evaluate(0).returncode == 0
    shutil.move(tmp_path / "now", tmp_path / "old")
    same = evaluate(0, f"--compare={tmp_path / 'old'}", "--gate=spider.rec.regression <= 0")
    assert same.returncode == 0 and "no answer changed in 1 of 1 sets" in same.stdout
    worse = evaluate(8, f"--compare={tmp_path / 'old'}", "--gate=spider.rec.regression <= 0.03")
    assert worse.returncode == 1
    text = " ".join(worse.stdout.split())
    assert re.search(r"since the earlier run, spider rec: -4\.0 points \(95% interval -\d\S+ to \S+\d\), 0 g", text)
    assert "gate spider.rec.regression <= 0.03: BROKEN (0.0400, as counted" in text
    (entry,) = json.loads((tmp_path / "now" / "miniature" / "summary.json").read_text())["earlier"]
    assert len(entry["lost_questions"]) == 8 and entry["gained_questions"] == []
    assert entry["low"] <= entry["lower"] <= entry["difference"] == -0.04 <= entry["upper"] <= entry["high"]
    limit = -entry["difference"] + 0.0001
    gate = f"spider.rec.regression.upper <= {limit:.4f}"
    bounded = evaluate(8, f"--compare={tmp_path / 'old'}", f"--gate={gate}")
    assert bounded.returncode == 1
    number = f"{-entry['lower']:.4f}, the upper one-sided 95% bound"
    text = " ".join(bounded.stdout.split())
    assert f"gate {gate}: undecided ({number})" in text
    assert f"exit status 1: gate undecided: {gate} ({number})" in text


def test_runs_that_cannot_be_compared_say_so(evaluate, tmp_path):
    evaluate(0)
    shutil.move(tmp_path / "now", tmp_path / "old")
    other_rules = evaluate(0, f"--compare={tmp_path / 'old'}", "--sql-timeout=29")
    assert "asked other questions, or judged them by other rules" in " ".join(other_rules.stdout.split())
    partial = tmp_path / "old" / "miniature" / "scores.jsonl"
    partial.write_text("".join(partial.read_text().splitlines(keepends=True)[:50]))
    shutil.rmtree(tmp_path / "now")
    unjudged = evaluate(0, f"--compare={tmp_path / 'old'}", "--gate=spider.rec.regression <= 0")
    assert "did not measure all of its questions" in " ".join(unjudged.stdout.split())
    assert unjudged.returncode == 1 and "gate not judged" in unjudged.stdout


@pytest.mark.parametrize(("given", "problem"), [("nowhere", "no scores.jsonl in"), ("now", "is where this run writes")])
def test_a_folder_that_is_no_earlier_run(evaluate, tmp_path, given, problem):
    if given == "now":
        evaluate(0)
    refused = evaluate(0, f"--compare={tmp_path / given}")
    assert refused.returncode == 4 and problem in refused.stderr
