"""Published predictions have no base: they are compared with one another, and every report says how."""

import re
from dataclasses import replace

import pytest

from custom_metrics.statistics.numbers import interval, p_text, percent
from fixtures.questions.plugin import BUILT_IN
from fixtures.report.article.paired_changes import changes
from fixtures.report.article.report import report
from fixtures.report.article.typesetting import typeset
from fixtures.report.figures import error_figure, group_figure
from fixtures.report.page import report_section
from fixtures.report.step_summary import step_summary
from fixtures.report.summary_lines import summary_lines
from fixtures.report.systems import foremost, pair_sentences
from fixtures.results.beneath import ErrorCount
from fixtures.results.conditions import Conditions
from tests.unit.test_html_report import Page
from tests.unit.test_paper import text_of

TWO = {"codes": range(160), "din": range(20, 110)}
FOUR = TWO | {"codex": range(150), "gpt": range(100)}


@pytest.fixture
def told(made_up_study, made_up_manifest):
    """``told(systems)``: what each report says of them, as one line with plain minus signs; and their summary."""

    def tell(systems, results_folder=""):
        known = [Conditions(suite="spider", adapter=slug, engine="recorded") for slug in systems]
        summary, rows = made_up_study(systems, {}, conditions=known)
        manifest = made_up_manifest(list(systems))
        sets = [one for one in manifest.score_sets if one.suite == "spider"]
        manifest = manifest.model_copy(update={"base_model": None, "score_sets": sets})
        texts = {
            "terminal": " ".join(line.text for line in summary_lines(summary, rows, BUILT_IN)),
            "step": step_summary(summary, rows, BUILT_IN),
            "page": Page(report_section(summary, rows, manifest, BUILT_IN)).text,
            "paper": text_of(typeset(report(summary, rows, manifest, BUILT_IN, (), results_folder))),
        }
        return {name: " ".join(text.replace("\u2212", "-").split()) for name, text in texts.items()}, summary

    return tell


def test_every_report_begins_with_who_is_ahead_and_has_interval_and_p_of_the_difference(told):
    texts, summary = told(TWO)
    (change,) = summary.changes("spider")
    found = summary.accuracy("spider", "codes")
    ahead = f"codes has the most of Spider dev right (80.0%, 95% interval {interval(found.low, found.high)})"
    pair = f"din against codes: SQL -35.0 points, {percent(90 / 200)} right instead of 80.0% (95% interval "
    pair += f"{interval(change.low, change.high, signed=True)}; p {p_text(change.p)}; 200 questions on 10 databases)"
    for name, text in texts.items():
        assert f"{ahead}, and every other is shown to be behind it." in text, name
        assert f"{pair}, worse by more than the margin of 5 points." in text, name
    assert texts["terminal"].index(ahead) < texts["terminal"].index("Spider dev, execution accuracy")


def test_nothing_is_asked_for_that_recorded_predictions_cannot_give(told):
    """A base or MMLU cannot be added to answers that were written down elsewhere."""
    texts, _ = told(TWO)
    said = "Recorded predictions answer Spider alone: of a gain over a base, or a cost, they say nothing."
    assert said in texts["page"] and said in texts["paper"]
    for text in texts.values():
        assert not re.search("No recommendation|Add base|-m mmlu|the cost is not known", text)
    of_a_base = "no base to compare with|The rule:|Changed answers|What moved the trade-off|miniature/mmlu, 4-shot"
    assert not re.search(of_a_base, texts["page"])


def test_of_many_systems_the_foremost_is_compared_with_those_behind_it(told):
    texts, summary = told(FOUR)
    (first, second, third), more = pair_sentences(summary, BUILT_IN, 2), pair_sentences(summary, BUILT_IN, 3)[2]
    assert first.startswith("codex against codes: ") and second.startswith("gpt against codes: ")
    assert third == "4 more pairs on Spider: the page (--html) has a table of all." and more.startswith(
        "din against codes: "
    )
    assert first.count("one of 6 that hold together") == 1
    assert "that it is ahead of codex is not shown" in texts["terminal"]


def test_of_twelve_systems_the_first_sentence_is_short_and_the_paper_has_those_of_the_foremost(told, made_up_manifest):
    """Its table had the first twelve of 66 pairs, which were those of whatever system was named first."""
    twelve = {f"system{n}": range(100 + n) for n in range(12)}
    texts, summary = told(twelve)
    assert "ahead of system10, system9, system8 and 8 more is not shown." in texts["terminal"]
    rows = changes(summary, BUILT_IN[0])["rows"]
    assert len(rows) == 11 and all("system11" in row[:2] for row in rows)
    assert "Paired changes on Spider, 11 of 66 pairs" in texts["paper"]


def test_a_legend_of_many_names_hides_nothing_that_is_drawn(told):
    """With twelve systems it lay across the points."""
    _, summary = told({f"a-system-with-a-name-{n}": range(100 + n) for n in range(12)})
    figure = group_figure(summary, BUILT_IN[0])
    figure.draw_without_rendering()
    (axes,), (legend,) = figure.axes, figure.legends
    assert not axes.get_window_extent().overlaps(legend.get_window_extent())
    assert axes.get_window_extent().height > 100


def test_a_figure_of_many_systems_and_classes_stands_on_one_page(told):
    """With twelve systems and sixteen classes both its ends lay beyond the paper's."""
    _, summary = told({f"a-system-with-a-name-{n}": range(100 + n) for n in range(12)})
    kinds = [
        ErrorCount(suite="spider", adapter="a-system-with-a-name-0", error_class=f"class {n}", count=1)
        for n in range(16)
    ]
    figure = error_figure(summary.model_copy(update={"errors": kinds}), BUILT_IN[0])
    assert figure.get_size_inches()[1] <= 8.6
    figure.draw_without_rendering()
    assert not figure.axes[0].get_window_extent().overlaps(figure.legends[0].get_window_extent())


def test_one_system_stands_alone_with_its_interval(told):
    texts, summary = told({"codes": range(160)})
    found = summary.accuracy("spider", "codes")
    said = f"codes has 80.0% of Spider dev right (95% interval {interval(found.low, found.high)}); there is nothing to"
    assert all(said in text for text in texts.values())
    assert "experiment made-up, recorded predictions: no model was asked" in texts["terminal"]
    assert "Experiment made-up, recorded predictions: no model was asked" in texts["page"]


def test_a_name_without_a_split_leaves_no_gap(made_up_study):
    known = [Conditions(suite="spider", adapter="codes", engine="recorded")]
    summary, _ = made_up_study({"codes": range(160)}, {}, conditions=known)
    assert " of shop right (" in foremost(summary, replace(BUILT_IN[0], dataset="shop", split=""))


def test_models_without_their_base_are_compared_and_the_base_is_missed(made_up_study):
    summary, rows = made_up_study(TWO, {slug: range(100) for slug in TWO})
    lines = " ".join(line.text for line in summary_lines(summary, rows, BUILT_IN))
    assert "din against codes: SQL -35.0 points" in lines and "din against codes: MMLU +0.0 points" in lines
    assert "The base was not asked Spider" in Page(report_section(summary, rows, None, BUILT_IN)).text


def test_the_command_that_makes_the_paper_again_names_the_folder_of_the_results(told):
    """``results/miniature`` is not where results on other data lie, nor where --results puts them."""
    texts, _ = told(TWO, "elsewhere/miniature-spider")
    assert "--report-from=elsewhere/miniature-spider" in texts["paper"]
