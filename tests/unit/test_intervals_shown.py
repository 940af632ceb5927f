"""Wherever a report tells an accuracy, a share or a change, its 95 % interval or its bound stands with it."""

import json
import re

import pytest

from custom_metrics.statistics import accuracy_intervals
from custom_metrics.statistics.numbers import interval, points
from fixtures.adapters.specs import parse_adapters
from fixtures.questions.plugin import BUILT_IN
from fixtures.report.article.introduction import abstract
from fixtures.report.article.practice import practice
from fixtures.report.article.report import report
from fixtures.report.model_card import model_card
from fixtures.report.page import report_section
from fixtures.report.sentences import recommendation, since_earlier
from fixtures.report.step_summary import step_summary
from fixtures.report.summary_lines import summary_lines
from fixtures.results.since import Since
from fixtures.results.summary import summarise
from tests.unit.test_html_report import Page
from trainer.study.experiment import load_experiment

SPIDER = {"base": range(40), "cfg1": range(120), "cfg2": range(110), "cfg3": range(100), "cfg4": range(90)}
MMLU = {slug: range(right) for slug, right in zip(SPIDER, (110, 108, 90, 60, 100), strict=True)}


@pytest.fixture(scope="module")
def study(made_up_study, made_up_manifest):
    """Five adapters, of whose right answers the official evaluator takes every fourth for wrong."""
    summary, rows = made_up_study(SPIDER, MMLU)
    manifest = made_up_manifest(summary.adapters)
    rows = [
        row.model_copy(update={"official": 0}) if row.suite == "spider" and row.order % 4 == 0 else row for row in rows
    ]
    found = summarise(rows, BUILT_IN, manifest.score_sets, summary.questions, 0.05)
    return summary.model_copy(update=found), rows, manifest


def test_the_terminal_has_the_interval_of_every_change(study):
    """The fourth candidate has no sentence there, and had its change and p alone."""
    summary, rows, _ = study
    lines = [line.text for line in summary_lines(summary, rows, BUILT_IN)]
    assert max(map(len, lines)) <= 80
    text = " ".join(" ".join(lines).split())
    changes = [change for suite in BUILT_IN for change in summary.changes(suite.name) if change.against == "base"]
    assert len(changes) == 8
    for change in changes:
        assert f"{points(change.difference)} {interval(change.low, change.high, signed=True)}" in text, change.adapter


def test_no_column_of_the_table_touches_the_next(study):
    summary, rows, _ = study
    lines = [line.text for line in summary_lines(summary, rows, BUILT_IN)]
    heads = [line for line in lines if line.startswith("  adapter")]
    assert heads and all(len(line) <= 80 for line in heads)
    assert {word for line in heads for word in re.split(r"\s+(?!interval)", line.strip())} == {
        "adapter", "n", "right", "errored", "accuracy", "95% interval", "change",
    }  # fmt: skip


def test_accuracies_by_other_conventions_have_intervals_of_their_own(study):
    summary, rows, manifest = study
    page, paper = Page(report_section(*study, BUILT_IN)).text, json.dumps(report(*study, BUILT_IN))
    for slug in summary.adapters:
        own = [row for row in rows if (row.suite, row.adapter) == ("spider", slug)]
        ((ends, _),) = accuracy_intervals([[row.official for row in own]], [row.db_id for row in own])
        entry = summary.accuracy("spider", slug)
        assert entry.convention_intervals["official"] == pytest.approx((ends.low, ends.high))
        shown = interval(ends.low, ends.high)
        assert shown != interval(entry.low, entry.high)
        assert shown in page and f"({shown})" in paper


def test_the_verdict_has_the_interval_of_every_change_that_it_names(study):
    summary, *_ = study
    said = recommendation(summary, BUILT_IN)
    named = [text for text in said if re.search(r"[+-]\d+\.\d", text)]
    assert named
    for text in named:
        for sign in re.findall(r"(?:SQL|MMLU) ([+-]\d+\.\d)", text):
            assert re.search(rf"{re.escape(sign)}(?: points)? \(95% interval ", text), text
    losing = [text for text in said if "and loses" in text]
    assert losing and all(re.search(r"on MMLU \(95% interval ", text) for text in losing)


def test_the_paper_has_intervals_of_the_base_of_kinds_of_errors_and_of_what_is_still_wrong(study):
    summary, rows, _ = study
    base = summary.accuracy("spider", "base")
    shown = interval(base.low, base.high)
    assert f"The base model reaches 20.0% on Spider (95% interval {shown})" in " ".join(abstract(summary, BUILT_IN))
    told = json.dumps(report(*study, BUILT_IN), ensure_ascii=False)
    assert f"answers 40 of 200 questions right (20.0%, 95% interval {shown})" in told
    (kinds,) = [b for b in report(*study, BUILT_IN)["blocks"] if b.get("label") == "spider-kinds"]
    cells = [cell for row in kinds["rows"][:-1] for cell in row[1:]]
    assert all(re.fullmatch(r"\d+ \(\d+\.\d%, \d+\.\d to \d+\.\d\)", cell) for cell in cells)
    wrong = interval(1 - summary.accuracy("spider", "cfg1").high, 1 - summary.accuracy("spider", "cfg1").low)
    assert f"(80 of 200; 95% interval {wrong})" in json.dumps(practice(summary, rows, BUILT_IN))


def test_the_card_and_the_jobs_page_say_what_the_numbers_in_brackets_are(study, tmp_path):
    summary, rows, _ = study
    experiment = load_experiment("miniature")
    (adapter,) = parse_adapters(["cfg1"], experiment, tmp_path)
    revisions = {suite.name: "0123" for suite in BUILT_IN}
    card = model_card(adapter, experiment, summary.model_copy(update={"revisions": revisions}), BUILT_IN)
    for suite in BUILT_IN[:2]:
        change = summary.change(suite.name, "cfg1")
        shown = interval(change.low, change.high, signed=True)
        assert f"{points(change.difference)} points (95 % interval {shown})" in card
    assert "| | SQL, points (95% interval) | MMLU, points (95% interval) |" in step_summary(summary, rows, BUILT_IN)


def test_a_mean_over_seeds_has_its_interval_on_the_page(made_up_study, made_up_manifest):
    three = {f"cfg1-seed{seed}": range(100 + seed) for seed in (1, 2, 3)}
    summary, rows = made_up_study({"base": range(40)} | three, {"base": range(110)} | three)
    page = Page(report_section(summary, rows, made_up_manifest(summary.adapters), BUILT_IN)).text
    table = page[page.index("Over training seeds") :]
    for suite in BUILT_IN[:2]:
        change = summary.decided(suite.name, "cfg1")
        assert interval(change.low, change.high, signed=True) in table[:600]


def test_what_changed_since_an_earlier_run_is_told_with_what_its_ends_are():
    ends = {"low": -0.03, "high": 0.01, "lower": -0.02, "upper": 0.0, "p": 0.2, "regression": 0.01}
    lists = {"gained_questions": [], "lost_questions": []}
    entry = Since(suite="spider", adapter="cfg1", n=200, gained=2, lost=4, difference=-0.01, **ends, **lists)
    assert since_earlier(entry) == "-1.0 points (95% interval -3.0 to +1.0), 2 gained, 4 lost"
