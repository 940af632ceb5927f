"""The report's section from made-up results: what stands in it, what is said to be missing, and that texts stay texts."""

import json
import re
from html.parser import HTMLParser

import pytest

from fixtures.report.answer_data import CUT, answer_data
from fixtures.report.page import flip_tables, hyperparameters, report_section
from fixtures.report.recommendation import candidates, missing, recommendation
from fixtures.score_sets import ScoreSet
from fixtures.summary import summarise

HOSTILE = "</script></style><img src=x onerror=alert(1)>\"'&{{ 7 * 7 }}<!--"


class Page(HTMLParser):
    """The elements of a page, its text outside of scripts and styles, and the data embedded for the script."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text, self._inside, embedded = [], "", "", {}
        self.embedded = embedded
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._inside = dict(attrs).get("id", tag) if tag in ("script", "style") else self._inside

    def handle_endtag(self, tag):
        self._inside = "" if tag in ("script", "style") else self._inside

    def handle_data(self, data):
        if self._inside:
            self.embedded[self._inside] = self.embedded.get(self._inside, "") + data
        else:
            self.text += data

    @property
    def answers(self):
        return json.loads(self.embedded["answer-data"])


def resummarise(summary, rows, manifest):
    """The summary of ``rows`` that were changed after it was made."""
    present = dict.fromkeys((row["suite"], row["adapter"]) for row in rows)
    sets = [ScoreSet(suite, slug, "s", "j", "b", "w", slug, 42) for suite, slug in present]
    return summary | summarise(rows, summary["questions"], sets, 0.05), rows, manifest


def without(results, *, suite=None, adapter=None):
    summary, rows, manifest = results
    rows = [row for row in rows if row["suite"] != suite and row["adapter"] != adapter]
    return resummarise(summary, rows, manifest)


def test_the_section_holds_every_part(made_up_results):
    page = Page(report_section(*made_up_results()))
    identifiers = {attributes.get("id") for _, attributes in page.elements}
    assert {"verdict", "accuracy", "changes", "errors", "flips", "settings", "answers"} <= identifiers
    assert "Take cfg1. SQL +30.0 points, MMLU +0.0: no loss shown (could miss up to" in page.text
    assert "cfg2 gains 30.0 points more" in page.text and "and loses 50.0 on MMLU" in page.text
    assert len(page.answers["answers"]) == 210


def test_texts_of_models_and_files_stay_texts(made_up_results):
    """Whatever a model writes, and whatever an adapter is called, cannot become markup, script or template."""
    summary, rows, manifest = made_up_results(("base", f"cfg1{HOSTILE}"))
    for row in rows:
        row.update(dict.fromkeys(("question_text", "reason"), HOSTILE))
        row.update(dict.fromkeys(("gold_sql", "predicted_sql", "reply"), HOSTILE) if row["suite"] == "spider" else {})
    manifest["command"] = HOSTILE
    summary = {**resummarise(summary, rows, manifest)[0], "note": HOSTILE, "notes": [HOSTILE]}
    summary["gates"] = [{"gate": HOSTILE, "value": None, "holds": None}]
    page = Page(report_section(summary, rows, manifest))
    plain = Page(report_section(*made_up_results(("base", "cfg1"))))
    assert {tag for tag, _ in page.elements} - {tag for tag, _ in plain.elements} == {"ul", "li", "code"}  # the gate
    assert "onerror" not in {name for _, attributes in page.elements for name in attributes}
    assert HOSTILE in page.answers["answers"][0] and HOSTILE in page.answers["questions"][0]
    assert HOSTILE in page.text


def test_the_section_needs_no_network(made_up_results):
    page = Page(report_section(*made_up_results()))
    addresses = [a[name] for _, a in page.elements for name in ("src", "href", "xlink:href") if name in a]
    assert addresses and all(address.startswith("#") for address in addresses)
    assert not re.search(r"@import|url\((?!#)", page.embedded["style"])


@pytest.mark.parametrize(
    ("absent", "said"),
    [
        pytest.param({"suite": "mmlu"}, "No answers to MMLU, so the cost is not known.", id="one-suite"),
        pytest.param({"adapter": "base"}, "The base was not asked Spider, so no gain can be computed.", id="no-base"),
    ],
)
def test_what_was_not_measured_is_said(made_up_results, absent, said):
    results = without(made_up_results(), **absent)
    text = Page(report_section(*results)).text
    assert said in text
    assert "No recommendation: it takes the base and an adapter, each complete on Spider and on MMLU." in text


def test_an_empty_selection_is_said(made_up_results):
    summary, _, _ = made_up_results()
    empty = summary | summarise([], summary["questions"], [], 0.05)
    assert "Nothing was measured: no question was answered in this run." in Page(report_section(empty, [], {})).text


def test_all_errored_is_counted_and_shown(made_up_results):
    summary, rows, manifest = made_up_results()
    scored = ("assignment", "official", "bird", "correct", "predicted_sql", "reply", "chosen", "error_class")
    kept = [{name: value for name, value in row.items() if name not in scored} for row in rows]
    errored = [{**row, "status": "errored", "reason": "engine failed"} for row in kept]
    page = Page(report_section(*resummarise(summary, errored, manifest)))
    assert "cfg1 on MMLU is incomplete and not compared: 0 of 30 questions were scored, 30 errored." in page.text
    assert {answer[2] for answer in page.answers["answers"]} == {"errored"}


def test_one_missing_answer_makes_a_set_incomplete(made_up_results):
    summary, rows, manifest = made_up_results()
    results = resummarise(summary, rows[:-1], manifest)
    assert missing(results[0]) == ["cfg2 on MMLU is incomplete and not compared: 29 of 30 questions were scored."]


def test_without_a_gain_the_base_stays(made_up_results):
    summary, _, _ = made_up_results(("base", "cfg1"), spider=4)
    assert recommendation(summary) == ["Stay with the base: no adapter shows a gain on SQL."]


def test_where_every_gain_costs_no_choice_is_made(made_up_results):
    verdict, *each = recommendation(made_up_results(("base", "cfg2"))[0])
    assert verdict == "Every adapter that gained on SQL also lost on MMLU: whether that is worth it is yours to say."
    assert each == ["cfg2. SQL +30.0 points, MMLU -50.0: loss shown."]


def test_several_seeds_of_a_configuration_count_together(made_up_results):
    summary, rows, _ = made_up_results(("base", "cfg1-seed1", "cfg1-seed2"))
    sets = [
        ScoreSet(suite, slug, "s", "j", "b", "w", slug.partition("-")[0], None if slug == "base" else int(slug[-1]))
        for suite, slug in dict.fromkeys((row["suite"], row["adapter"]) for row in rows)
    ]
    (candidate,) = candidates(summary | summarise(rows, summary["questions"], sets, 0.05))
    sql = candidate.sides["spider"]
    assert (candidate.name, sql.change, sql.said) == ("cfg1", pytest.approx(0.45), "gain shown at 2 of 2 seeds")
    assert sql.spread == "standard deviation 21.2 over 2 seeds"


def test_changed_answers_come_lost_first_with_both_answers(made_up_results):
    summary, rows, _ = made_up_results()
    tables = {(table["suite"], table["adapter"]): table for table in flip_tables(summary, rows)}
    assert (tables["mmlu", "cfg2"]["lost"], tables["mmlu", "cfg2"]["gained"]) == (15, 0)
    first = tables["mmlu", "cfg2"]["rows"][0]
    assert (first["change"], first["gold"], first["before"], first["after"]) == (
        "lost",
        "B. Uranus",
        "B. Uranus",
        "C. Jupiter",
    )


def test_conventions_that_disagree_are_listed_with_the_reason(made_up_results):
    summary, rows, manifest = made_up_results()
    wrong = next(row for row in rows if row["suite"] == "spider" and not row["assignment"])
    wrong.update(official=1, reason="right rows, columns in another order")
    text = Page(report_section(*resummarise(summary, rows, manifest))).text
    assert "right under one convention of execution accuracy and wrong under another: 1." in text
    assert "right rows, columns in another order" in text


def test_hyperparameters_are_those_of_evaluated_configurations(made_up_results):
    _, _, manifest = made_up_results()
    found = hyperparameters(manifest)
    assert found["names"] == ["cfg1", "cfg2"]
    differing = {row["setting"]: row["values"] for row in found["rows"] if row["differs"]}
    assert differing["rank"] == ["16", "32"] and "dropout" not in differing
    assert hyperparameters({**manifest, "score_sets": []}) == {"names": [], "rows": []}


def test_a_long_reply_is_shown_whole_where_there_is_room(made_up_results):
    summary, rows, _ = made_up_results(("base",))
    rows[0]["reply"] = "x" * 3000
    assert answer_data(summary, rows)["answers"][0][-1] == {"Reply": "x" * 3000}


@pytest.mark.parametrize("length", [80, 3000])
def test_3552_answers_fit_into_5_mb(made_up_results, length):
    """However long the queries and the replies are: they are cut, and say so, where there is no room."""
    summary, rows, manifest = made_up_results(spider=1034, mmlu=150)
    for row in rows[:3102]:
        row.update(predicted_sql=f"{row['predicted_sql']:<{length}}.", reply=f"{row['reply']:<{length}}.")
    section = report_section(summary, rows, manifest)
    answers = Page(section).answers["answers"]
    assert len(answers) == 3552
    assert answers[0][4].endswith(CUT) == (length > 80)
    assert len(section.encode()) < 4_900_000  # pytest-html's frame around it takes less than 0.1 MB
