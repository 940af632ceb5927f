"""A suite of which no file of the report knows stands on the page as ours do."""

from dataclasses import replace

import pytest

from fixtures.questions.plugin import BUILT_IN
from fixtures.report.page import report_section
from fixtures.results.score_sets import ScoreSet
from tests.unit.sums import SUMS, sum_rows
from tests.unit.test_html_report import Page, resummarise


@pytest.fixture(params=[("small", "large"), ()], ids=["groups", "no-groups"])
def three_suites(made_up_study, made_up_manifest, request):
    """A study of ours with a third suite: base 15 of 20 sums right, cfg1 all."""
    summary, rows = made_up_study({"base": range(40), "cfg1": range(100)}, {"base": range(120), "cfg1": range(120)})
    manifest = made_up_manifest(["base", "cfg1"])
    suites = (*BUILT_IN, replace(SUMS, groups=request.param))
    sets = [
        ScoreSet(suite="arithmetic", adapter=slug, settings=slug, judged="sums", base="base", weights=slug)
        for slug in ("base", "cfg1")
    ]
    manifest = manifest.model_copy(update={"score_sets": [*manifest.score_sets, *sets]})
    summary = summary.model_copy(update={"questions": summary.questions | {"arithmetic": 20}})
    rows = [*rows, *sum_rows("base", 15), *sum_rows("cfg1", 20)]
    return *resummarise(summary, rows, manifest, suites), suites


def test_a_third_suite_has_its_table_its_card_and_its_answers(three_suites):
    suite = three_suites[-1][-1]
    page = Page(report_section(*three_suites))
    assert "Sums, most likely option" in page.text
    assert "sums +25.0 points 75.0% to 100.0% undecided at a margin of 5 points" in page.text
    assert ("The same by size" in page.text) == bool(suite.groups)
    assert ("By hardness, category and size" in page.text) == bool(suite.groups)
    assert "questions of one database or subject or first term together" in page.text
    assert "cfg1 on sums: 0 right to wrong, 5 wrong to right" in page.text
    shown = {"name": "arithmetic", "short": "sums", "cluster": "First term", "code": False}
    assert page.answers["suites"][2] == shown
    asked = [question[1:] for question in page.answers["questions"] if question[0] == 2]
    assert asked[7] == ["sum-0007", "small", "7 plus", "7 + 2", "B. 9", "sum-0007"]
    assert page.answers["groups"][-2:] == ["small", "large"]
    wrong = page.answers["answers"][-21]
    assert wrong[2:] == ["wrong", "", "C", "", -1, {}]
