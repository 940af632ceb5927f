"""Terminal, page and paper show the same sentences of one study, and these show all that a verdict stands on."""

import re
from dataclasses import replace

import pytest

from custom_metrics.statistics.numbers import interval, percent, points, size
from fixtures.questions.plugin import BUILT_IN
from fixtures.report.article.report import report
from fixtures.report.article.typesetting import typeset
from fixtures.report.page import report_section
from fixtures.report.reading import how_to_read
from fixtures.report.sentences import candidate_sentences, recommendation
from fixtures.report.step_summary import step_summary
from fixtures.report.summary_lines import summary_lines
from fixtures.results.points import Point
from fixtures.results.score_sets import ScoreSet
from fixtures.results.summary import summarise
from tests.unit.sums import SUMS, ClassedSumRow, sum_rows
from tests.unit.test_html_report import Page
from tests.unit.test_paper import text_of

SPIDER = {"base": range(40), **{f"cfg1-seed{n}": range(2 * n, 104 + 6 * n) for n in (1, 2, 3)}, "cfg2": range(1, 162)}
MMLU = {"base": range(110), **{f"cfg1-seed{n}": range(n, 109 + n) for n in (1, 2, 3)}, "cfg2": range(100)}


@pytest.fixture(params=[0, 60], ids=["two-suites", "three-suites"])
def study(made_up_study, made_up_manifest, request):
    """Summary, rows, manifest and suites of two configurations, one of them at three seeds, and sums where asked."""
    summary, rows = made_up_study(SPIDER, MMLU)
    manifest, suites, total = made_up_manifest(summary.adapters), BUILT_IN, request.param
    if total:
        right = dict(zip(summary.adapters, (45, 43, 44, 42, 24), strict=True))
        rows = [*rows, *(row for slug in right for row in sum_rows(slug, right[slug], ClassedSumRow, total))]
        trained = {one.adapter: one for one in manifest.score_sets}
        sets = [ScoreSet(**trained[slug].model_dump() | {"suite": SUMS.name, "judged": "sums"}) for slug in right]
        manifest = manifest.model_copy(update={"score_sets": [*manifest.score_sets, *sets]})
        suites, totals = (*suites, replace(SUMS, groups=("small", "large"))), summary.questions | {SUMS.name: total}
        summary = summary.model_copy(update=summarise(rows, suites, manifest.score_sets, totals, 0.05))
    return summary, rows, manifest, suites


@pytest.fixture
def shown(study):
    """What each report shows, as one line of text with plain minus signs."""
    summary, rows, manifest, suites = study
    texts = {
        "terminal": " ".join(line.text for line in summary_lines(summary, rows, suites)),
        "step": step_summary(summary, rows, suites),
        "page": Page(report_section(*study)).text,
        "paper": text_of(typeset(report(*study))),
    }
    return {name: " ".join(text.replace("\u2212", "-").split()) for name, text in texts.items()}


def test_every_report_has_the_same_sentences(study, shown):
    summary, *_, suites = study
    said = candidate_sentences(summary, suites)
    assert [candidate.name for candidate, *_ in said] == ["cfg1", "cfg2"]
    for name, text in shown.items():
        for _, plain, quoted in said:
            assert plain in text, name
            assert (quoted in text) == (name in ("page", "paper"))
        assert recommendation(summary, suites)[0] in text, name
    assert all(part in shown["page"] and part in shown["paper"] for part in recommendation(summary, suites))


def test_every_report_has_the_numbers_of_the_summary(study, shown):
    summary, *_, suites = study
    for suite in suites:
        for slug in summary.adapters:
            found = summary.accuracy(suite.name, slug)
            cells = {
                "terminal": rf"{slug[:6]}\S* +{found.n} {found.correct} 0 {percent(found.accuracy)}",
                "page": rf"{slug} ?{found.n} ?{found.correct} ?0 ?{percent(found.accuracy)}",
                "paper": rf"{slug} {found.correct} / {found.n} 0 {percent(found.accuracy)}",
            }
            for name, cell in cells.items():
                assert re.search(cell, shown[name]), (name, cell)
        for change in summary.changes(suite.name):
            ends = interval(change.low, change.high, signed=True)
            assert ends in shown["page"] and ends in shown["paper"]
            assert interval(change.lower, change.upper, signed=True) in shown["page"]


def test_a_sentence_shows_all_that_a_verdict_stands_on(study):
    """For every suite number, interval, margin, questions, clusters and trainings."""
    summary, *_, suites = study
    for candidate, *sentences in candidate_sentences(summary, suites):
        for suite in suites:
            found = summary.decided(suite.name, candidate.name)
            for sentence in sentences:
                assert f"{points(found.difference)} points" in sentence
                assert interval(found.low, found.high, signed=True) in sentence
                assert re.search(rf"\b{found.n}( questions|, standard|, posterior)", sentence)
                clusters = f"{found.clusters} (fixed )?{suite.cluster_title}s"
                assert re.search(clusters, sentence) or found.clusters == found.n
            assert sentences[0].count("margin") >= len(suites) and "margin of 5 points" in sentences[1]
        trainings = "mean of 3 trainings, standard deviation" if candidate.name == "cfg1" else "one training, another"
        assert [sentence.count(trainings) for sentence in sentences] == [len(suites)] * 2


def test_one_training_beside_the_seeds_of_another_may_differ_by_as_much(study):
    summary, *_, suites = study
    _, (_, plain, quoted) = candidate_sentences(summary, suites)
    for suite in suites:
        spread = next(e for e in summary.seeds if (e.suite, e.configuration) == (suite.name, "cfg1"))
        said = f"one training, another seed may differ by {size(spread.change_deviation)} points as cfg1's do"
        assert said in plain and said in quoted


def test_of_what_has_no_strength_no_other_seed_is_spoken(study):
    """It is the base model, which half of an adapter is not."""
    summary, *_, suites = study
    for scale, spoken in ((0.0, 0), (0.5, len(suites))):
        points = [Point(adapter="cfg2", dial="cfg1", first=scale, last=scale)]
        _, (_, plain, _) = candidate_sentences(summary.model_copy(update={"points": points}), suites)
        assert plain.count("another seed may differ") == spoken


def test_no_word_is_used_that_the_report_does_not_define(study, shown):
    summary, *_, suites = study
    reading = how_to_read(summary, suites)
    for word, meaning in reading.items():
        assert word in shown["page"] and meaning in shown["page"]
        assert word in shown["paper"] and meaning in shown["paper"]
    assert {"shown", "equivalent within the margin", "undecided"} <= reading.keys()
    for name, text in shown.items():
        text = text.split("References")[0] if name == "paper" else text
        assert not re.search(r"\b(real(ly)?|significan\w+|Holm|power)\b", text, re.IGNORECASE), name
        for found in re.finditer(r"\bequivalen\w+(?! within the margin)", text, re.IGNORECASE):
            raise AssertionError(text[found.start() - 60 : found.end() + 60])
