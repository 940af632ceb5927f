"""What limits the numbers is counted beside them, and stands in the verdict where it is much."""

import numpy
import pytest

from custom_metrics.statistics import Finding
from fixtures.questions.mmlu.suite import MMLU
from fixtures.questions.plugin import BUILT_IN
from fixtures.questions.spider.suite import SPIDER
from fixtures.report.caveats import caveats, limits, notes
from fixtures.report.page import report_section
from fixtures.report.sentences import recommendation
from fixtures.report.summary_lines import summary_lines
from fixtures.report.verdicts import verdict
from fixtures.results.answering import CheckedPath, Rounding, moved_by_chance
from fixtures.results.summary import summarise
from fixtures.results.types import Summary


@pytest.fixture
def limited(made_up_study, made_up_manifest):
    """``limited(cut, tied, moved)``: a summary of base and cfg1, so many of cfg1's answers limited, and its rows."""

    def study(cut=0, tied=0, moved=0):
        _, rows = made_up_study({"base": range(100), "cfg1": range(120)}, {"base": range(100), "cfg1": range(93)})
        noted = []
        for row in rows:
            number = int(row.number)
            own = row.adapter == "cfg1"
            field = {"cut": own and number < cut} if row.suite == "spider" else {"tied": own and number < tied}
            noted.append(row.model_copy(update=field))
        rounding = [
            Rounding(suite="mmlu", adapter="cfg1", asked=100, changed=9, low=0.05, high=0.16, gained=moved, lost=0)
        ]
        sets = made_up_manifest(["base", "cfg1"]).score_sets
        measured = summarise(noted, BUILT_IN, sets, {"spider": 200, "mmlu": 150}, 0.05, rounding if moved else ())
        return Summary(experiment="limits", **measured), noted

    return study


def test_counts_stand_beside_the_accuracy(limited):
    summary, rows = limited(cut=3, tied=2)
    assert summary.accuracy("spider", "cfg1").cut == 3
    assert summary.accuracy("mmlu", "cfg1").tied == 2
    printed = "\n".join(line.text for line in summary_lines(summary, rows, BUILT_IN))
    assert "cut at the limit of new tokens: 0, 3" in printed
    assert "tied, given to the first option: 0, 2" in printed
    assert "Careful" not in printed
    assert "Cut at the limit of new tokens: 0, 3." in report_section(summary, rows, None, BUILT_IN)


def test_much_of_it_is_part_of_the_verdict(limited):
    summary, rows = limited(cut=62, tied=12)
    said = caveats(summary, BUILT_IN)
    assert said[0].startswith("Careful: 31.0% of cfg1's replies to Spider were cut at the limit of new tokens")
    assert "Raise spider.max_new_tokens" in said[0]
    assert said[1].startswith("Careful: 8.0% of cfg1's answers to MMLU are ties")
    assert recommendation(summary, BUILT_IN)[-2:] == said
    assert "replies to Spider were cut at the limit" in report_section(summary, rows, None, BUILT_IN)


def test_what_is_not_known_is_not_counted(made_up_study):
    summary, _ = made_up_study({"base": range(10)}, {"base": range(10)})
    assert summary.accuracy("spider", "base").cut is None
    assert limits(summary, SPIDER) == []


def test_rounding_and_ties_widen_the_interval_and_say_so(limited):
    steady, _ = limited(moved=1)
    assert limits(steady, MMLU)[-1] == (
        "changed when computed alone as well (cfg1), with 95% interval: 9 of 100 (4.8 to 16.2%); that moves an "
        "accuracy by 1.6 points"
    )
    plain, rounded, tied = (
        study.change("mmlu", "cfg1") for study, _ in (limited(), limited(moved=3), limited(tied=96))
    )
    assert plain.verdict is Finding.WORSE and "wider" not in verdict(plain, MMLU, 0.05)
    # Three of 100 answers turned, of 150 then 4.5: each up or down, and 1.96 standard deviations of their sum are 4.2.
    assert (rounded.low, rounded.high) == pytest.approx((plain.low - 0.0277, plain.high + 0.0277), abs=1e-4)
    assert rounded.verdict is Finding.UNDECIDED and rounded.difference == plain.difference
    wider = "its interval is wider by 2.8 points down and 2.8 up for ties and rounding"
    assert verdict(rounded, MMLU, 0.05).endswith(wider)
    # Of the 96 ties 93 count as right, and 3 as wrong: all might have gone the other way.
    assert (tied.widened_down, tied.widened_up) == pytest.approx((93 / 150, 3 / 150))
    assert tied.low == pytest.approx(plain.low - 93 / 150)
    assert "62.0 points down and 2.0 up" in verdict(tied, MMLU, 0.05)


def test_of_many_adapters_it_is_a_line(limited):
    study, _ = limited(moved=1)
    names = ["base", *(f"cfg{number}" for number in range(1, 6))]
    accuracy, noted = study.accuracy("mmlu", "cfg1"), study.rounding[0]
    many = study.model_copy(
        update={
            "accuracies": [accuracy.model_copy(update={"adapter": name}) for name in names],
            "rounding": [noted.model_copy(update={"adapter": name}) for name in names],
            "paths": [
                CheckedPath(adapter=name, checked=8, largest=0.0, problem="", notes=["packed"]) for name in names
            ],
        }
    )
    assert limits(many, MMLU)[-1] == (
        "changed when computed alone as well, with 95% interval: 9, 9, 9, 9, 9, 9, in all 54 of 600 (7.0 to 11.6%); "
        "that moves an accuracy by 1.6 points at most"
    )
    assert "all adapters: packed" in notes(many)


def test_what_rounding_turns_one_way_alone_is_no_chance(limited):
    one_way, _ = limited(moved=6)
    change = one_way.change("mmlu", "cfg1")
    assert (change.widened_down, change.widened_up) == pytest.approx((0.0392, 0.0992), abs=1e-4)


def test_a_few_checks_of_many_answers_tell_of_a_few_points_only():
    """Two of 33 that turned were taken for six points of any number of answers."""
    assert moved_by_chance(2 / 33, 4_800) < 0.007


@pytest.mark.parametrize(("turned", "n"), [(0.01, 1_034), (0.06, 4_800), (0.2, 150)])
def test_so_far_does_rounding_move_an_accuracy(turned, n):
    draws = numpy.random.default_rng(0)
    lost = draws.binomial(n, turned, 20_000)
    moved = (lost - 2 * draws.binomial(lost, 0.5)) / n
    assert (abs(moved) <= moved_by_chance(turned, n)).mean() == pytest.approx(0.95, abs=0.02)


def test_another_path_and_what_adapters_brought_are_notes():
    summary = Summary(
        experiment="notes",
        paths=[
            CheckedPath(adapter="base", checked=8, largest=1.3, problem="the fast path differs", notes=["a template"]),
            CheckedPath(adapter="cfg1", checked=8, largest=0.0, problem="", notes=["a template"]),
        ],
        adapter_notes={"cfg1": ["made for a copy"]},
    )
    assert notes(summary) == [
        "base: answered by plain Transformers, one question at a time, since the fast path differs",
        "cfg1: made for a copy",
        "base and cfg1: a template",
    ]
