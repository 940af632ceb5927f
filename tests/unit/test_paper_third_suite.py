"""A suite of which no file of the report knows is told of in the technical report as ours are."""

import re
from dataclasses import replace

import pytest

from fixtures.questions.mmlu.suite import MMLU
from fixtures.questions.plugin import BUILT_IN
from fixtures.questions.prose import Evidence, Prose, Steps
from fixtures.questions.suite import Side
from fixtures.report.article.report import report
from fixtures.report.article.typesetting import typeset
from fixtures.results.score_sets import ScoreSet
from fixtures.results.summary import summarise
from tests.unit.sums import SUMS, ClassedSumRow, sum_rows
from tests.unit.test_paper import LOSS, NO_LOSS, pages_of


def test_a_third_suite_without_groups_or_prose_has_its_tables(made_up_study, made_up_manifest):
    """Nothing of it is known to the report but its value."""
    bare = {"groups": (), "prose": type(MMLU.prose)(), "splitting": None, "facts": None, "side": Side.COST}
    chess = replace(MMLU, name="chess", short="chess", dataset="Chess puzzles", **bare)
    summary, rows = made_up_study(*LOSS)
    renamed = [row.model_copy(update={"suite": "chess"}) if row.suite == "mmlu" else row for row in rows]
    of_chess = {
        name: [
            entry.model_copy(update={"suite": "chess"}) if entry.suite == "mmlu" else entry
            for entry in getattr(summary, name)
            if getattr(entry, "group", "all") == "all"
        ]
        for name in ("accuracies", "comparisons", "seeds", "flips")
    }
    of_chess["questions"] = {"spider": 200, "chess": 150}
    found = summary.model_copy(update=of_chess | {"splits": [], "clusters": []})
    text = " ".join(pages_of(typeset(report(found, renamed, made_up_manifest(summary.adapters), (BUILT_IN[0], chess)))))
    assert "Cost: accuracy on Chess puzzles" in text and "Paired changes on Chess puzzles" in text
    assert "cfg1 paid for its gain: 50.0 points of SQL for 20.0 points of chess" in text
    assert "Cost is measured on Chess puzzles: 150 questions." in text and "MMLU" not in text.split("References")[0]


@pytest.fixture
def with_sums(made_up_study, made_up_manifest):
    """``with_sums(study, right, suite, total)``: the text of a report on a study and ``total`` sums more.

    ``right``: how many of them each adapter has right.
    """

    def text(study, right, suite=SUMS, total=20):
        summary, rows = made_up_study(*study)
        sums = [row for slug, number in right.items() for row in sum_rows(slug, number, ClassedSumRow, total)]
        hashes = dict.fromkeys(("settings", "judged", "base", "weights"), "cdef")
        sets = made_up_manifest(summary.adapters).score_sets
        sets += [ScoreSet(suite=suite.name, adapter=slug, **hashes) for slug in right]
        found, suites, totals = [*rows, *sums], (*BUILT_IN, suite), summary.questions | {suite.name: total}
        summary = summary.model_copy(update=summarise(found, suites, sets, totals, 0.05))
        told = report(
            summary, found, made_up_manifest(summary.adapters).model_copy(update={"score_sets": sets}), suites
        )
        return " ".join(pages_of(typeset(told)))

    return text


def test_what_two_suites_cost_is_one_verdict(with_sums):
    """What was kept on one is not "nothing stands against the gain" where a loss is shown on the other."""
    text = with_sums(NO_LOSS, {"base": 45, "cfg1": 24}, total=60)
    paid = "cfg1 paid for its gain: 50.0 points of SQL for 35.0 points of sums, 1.4 gained for each point lost. Such"
    assert paid in text and "nothing stands against" not in text and "Take cfg1" not in text
    assert "Every adapter that is better on SQL is worse on sums: whether" in text
    assert "Fig. 3 and Fig. 4 set gain against cost" in text and "Sums by size" not in text
    text = with_sums(LOSS, {"base": 45, "cfg1": 24}, total=60)
    assert "paid for its gain: 50.0 points of SQL for 20.0 points of MMLU and 35.0 points of sums. Such" in text
    text = with_sums(NO_LOSS, {"base": 45, "cfg1": 60}, total=60)
    assert "cfg1 is better on SQL, and a loss of more than 5 points of MMLU and sums is excluded" in text
    assert "Such a price" not in text


def test_twenty_questions_of_one_suite_leave_the_whole_undecided(with_sums):
    text = with_sums(NO_LOSS, {"base": 15, "cfg1": 8})
    assert "20 questions: nothing is shown with fewer than 30" in text and "paid for its gain" not in text
    assert "cfg1 on Sums: about" not in text  # ten more, and not the thousands that a margin would take
    assert re.search(r"Take cfg1 only if a loss of up to \d\d\.\d points of sums can be accepted\.", text)


def test_a_third_suite_alone_makes_a_report(with_sums):
    text = with_sums(({}, {}), {"base": 15, "cfg1": 20})
    assert "On Sums cfg1 gained 25.0 points" in text and "No recommendation" in text
    assert "A question that could not be measured is errored" in text
    assert "Execution accuracy is the share" not in text and "Error analysis" not in text


@pytest.mark.parametrize(
    ("brought", "said"),
    [
        pytest.param({"data": lambda rows, settings, total: f"{total} sums, {settings}."}, "20 sums, {}.", id="data"),
        pytest.param(
            {"metric": lambda settings: Steps("Sums are added;", (), ("Reply", "Sum"), "The way of a sum", "Done.")},
            "Sums are added; Fig. 1 shows the way of one answer. Done.",
            id="metric-of-one-score",
        ),
        pytest.param(
            {"evidence": lambda rows, _: Evidence(tuple({"Predicted": f"{r.number}\x1b[31m"} for r in rows))},
            "Question sum-0008 Predicted 0008?[31m Class off by one Reason another sum",
            id="evidence",
        ),
        pytest.param(
            {}, "Question sum-0008 Question text 8 + 2 Gold B. 10 Predicted C Class off by one", id="no-evidence"
        ),
    ],
)
def test_a_plugins_suite_may_bring_any_part_of_the_prose(with_sums, brought, said):
    """The experiment has no section for it."""
    suite = replace(SUMS, error_classes=True, prose=Prose(**brought))
    text = with_sums(({}, {}), {"base": 15, "cfg1": 8}, suite)
    assert said in text and text.count("ERROR ANALYSIS") + text.count("Error analysis") == 1


def test_two_suites_of_the_gain_may_name_their_groups_alike(with_sums):
    suite = replace(SUMS, side=Side.GAIN, groups=("",), group_title="hardness", metric="BLEU score")
    assert "BLEU score by hardness" in with_sums(LOSS, {"base": 15, "cfg1": 8}, suite)
