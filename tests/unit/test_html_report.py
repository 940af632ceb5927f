"""The report's section from made-up results: what stands in it, what is said to be missing, that texts stay texts."""

import json
import re
from html.parser import HTMLParser

import pytest

from fixtures.report.answer_data import CUT, answer_data
from fixtures.report.page import flip_tables, hyperparameters, report_section
from fixtures.report.recommendation import candidates, missing, recommendation
from fixtures.results.score_sets import ScoreSet
from fixtures.results.summary import summarise

HOSTILE = "</script></style><img src=x onerror=alert(1)>\"'&{{ 7 * 7 }}<!--"


class Page(HTMLParser):
    """The elements of a page, its text outside of scripts and styles, and the data embedded for the script."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text, self._inside, embedded = [], "", "", {}
        self.embedded = embedded
        self.feed(text)
        self.text = " ".join(self.text.split())

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


@pytest.fixture
def study(made_up_study, made_up_manifest):
    """``study(spider, mmlu)``: summary, rows and manifest of adapters and how many of their first answers are right."""

    def study(spider, mmlu, **frame):
        right = [{slug: range(number) for slug, number in numbers.items()} for numbers in (spider, mmlu)]
        summary, rows = made_up_study(*right, **frame)
        return summary, rows, made_up_manifest([*spider, *mmlu])

    return study


@pytest.fixture
def results(study):
    """cfg1 gained and lost nothing; cfg2 gained more, and lost."""
    return study({"base": 40, "cfg1": 100, "cfg2": 160}, {"base": 120, "cfg1": 120, "cfg2": 45})


def resummarise(summary, rows, manifest):
    """The summary of ``rows`` that were changed after it was made."""
    sets = [ScoreSet(**entry) for entry in manifest["score_sets"]]
    return summary | summarise(rows, summary["questions"], sets, 0.05), rows, manifest


def test_the_section_holds_every_part(results):
    page = Page(report_section(*results))
    identifiers = {attributes.get("id") for _, attributes in page.elements}
    assert {"verdict", "accuracy", "changes", "errors", "flips", "settings", "answers"} <= identifiers
    assert [tag for tag, _ in page.elements].count("svg") == 4
    assert "Take cfg1. SQL +30.0 points, MMLU +0.0: equivalent within the margin." in page.text
    assert "cfg2 gains 30.0 points more (p <0.001) and loses 50.0 on MMLU." in page.text
    assert len(page.answers["answers"]) == 1050


def test_texts_of_models_and_files_stay_texts(study):
    """Whatever a model writes, and whatever an adapter is called, cannot become markup, script or template."""
    hostile, harmless = (
        study({"base": 40, slug: 100}, {"base": 120, slug: 120}, note=text, notes=[text], gates=[_unjudged(text)])
        for slug, text in ((f"cfg1{HOSTILE}", HOSTILE), ("cfg1", "note"))
    )
    for row in hostile[1]:
        row.update(dict.fromkeys(("question_text", "reason"), HOSTILE))
        row.update(dict.fromkeys(("gold_sql", "predicted_sql", "reply"), HOSTILE) if row["suite"] == "spider" else {})
    hostile[2]["command"] = HOSTILE
    page = Page(report_section(*hostile))
    assert {tag for tag, _ in page.elements} == {tag for tag, _ in Page(report_section(*harmless)).elements}
    assert "onerror" not in {name for _, attributes in page.elements for name in attributes}
    assert HOSTILE in page.answers["answers"][0] and HOSTILE in page.answers["questions"][0]
    assert HOSTILE in page.text


def _unjudged(gate):
    return {"gate": gate, "value": None, "holds": None}


def test_the_section_needs_no_network(results):
    page = Page(report_section(*results))
    addresses = [a[name] for _, a in page.elements for name in ("src", "href", "xlink:href") if name in a]
    assert addresses and all(address.startswith("#") for address in addresses)
    assert not re.search(r"@import|url\((?!#)", page.embedded["style"])


@pytest.mark.parametrize(
    ("spider", "mmlu", "said"),
    [
        pytest.param({"base": 40, "cfg1": 100}, {}, "No answers to MMLU, so the cost is not known.", id="one-suite"),
        pytest.param(
            {"cfg1": 40, "cfg2": 100},
            {"cfg1": 120, "cfg2": 120},
            "The base was not asked Spider, so no gain can be computed.",
            id="no-base",
        ),
        pytest.param({"base": 40}, {"base": 120}, "there is nothing to compare it with.", id="only-the-base"),
    ],
)
def test_what_was_not_measured_is_said(study, spider, mmlu, said):
    text = Page(report_section(*study(spider, mmlu))).text
    assert said in text
    assert "No recommendation: it takes the base and an adapter, each complete on Spider and on MMLU." in text


def test_an_empty_selection_is_said(results):
    empty = results[0] | summarise([], results[0]["questions"], [], 0.05)
    assert "Nothing was measured: no question was answered in this run." in Page(report_section(empty, [], {})).text


def test_all_errored_is_counted_and_shown(results):
    summary, rows, manifest = results
    scored = ("assignment", "official", "bird", "correct", "predicted_sql", "reply", "chosen", "error_class")
    kept = [{name: value for name, value in row.items() if name not in scored} for row in rows]
    errored = [{**row, "status": "errored", "reason": "engine failed"} for row in kept]
    page = Page(report_section(*resummarise(summary, errored, manifest)))
    assert "cfg1 on MMLU is incomplete and not compared: 0 of 150 questions were scored, 150 errored." in page.text
    assert {answer[2] for answer in page.answers["answers"]} == {"errored"}


def test_one_missing_answer_makes_a_set_incomplete(results):
    summary, rows, manifest = results
    less, *_ = resummarise(summary, rows[:-1], manifest)
    assert missing(less) == ["cfg2 on MMLU is incomplete and not compared: 149 of 150 questions were scored."]


def test_without_a_gain_the_base_stays(study):
    summary, *_ = study({"base": 40, "cfg1": 43}, {"base": 120, "cfg1": 120})
    assert recommendation(summary) == ["Stay with the base: no adapter shows a gain on SQL."]


def test_where_every_gain_costs_no_choice_is_made(study):
    verdict, *each = recommendation(study({"base": 40, "cfg2": 100}, {"base": 120, "cfg2": 45})[0])
    assert verdict == "Every adapter that gained on SQL also lost on MMLU: whether that is worth it is yours to say."
    assert each == ["cfg2. SQL +30.0 points, MMLU -50.0: loss shown."]


def test_several_seeds_of_a_configuration_count_together(study):
    summary, *_ = study({"base": 40, "cfg1-seed1": 100, "cfg1-seed2": 160}, {})
    (candidate,) = candidates(summary)
    sql = candidate.sides["spider"]
    assert (candidate.name, sql.change, sql.said) == ("cfg1", pytest.approx(0.45), "gain shown at 2 of 2 seeds")
    assert sql.spread == "standard deviation 21.2 over 2 seeds"


def test_what_no_seed_shows_is_not_called_no_loss(study):
    summary, *_ = study({}, {"base": 100, "cfg1-seed1": 95, "cfg1-seed2": 96})
    (candidate,) = candidates(summary)
    assert re.fullmatch(r"no loss shown at any seed \(could miss up to \d\.\d points\)", candidate.sides["mmlu"].said)


def test_changed_answers_come_lost_first_with_both_answers(study):
    summary, rows, manifest = study({}, {"base": 100, "cfg2": 40})
    rows[0].update(correct=0, chosen="B")
    summary, rows, _ = resummarise(summary, rows, manifest)
    (table,) = flip_tables(summary, rows)
    assert (table["suite"], table["adapter"], table["lost"], table["gained"]) == ("mmlu", "cfg2", 60, 1)
    assert [flip["change"] for flip in table["rows"]] == ["lost"] * 60 + ["gained"]
    assert [table["rows"][0][name] for name in ("gold", "before", "after")] == ["A. a", "A. a", "B. b"]


def test_conventions_that_disagree_are_listed_with_the_reason(results):
    summary, rows, manifest = results
    wrong = next(row for row in rows if row["suite"] == "spider" and not row["assignment"])
    wrong.update(official=1, reason="right rows, columns in another order")
    text = Page(report_section(*resummarise(summary, rows, manifest))).text
    assert "right under one convention of execution accuracy and wrong under another: 1." in text
    assert "right rows, columns in another order" in text


def test_what_changed_since_the_earlier_run_is_shown(results):
    summary, rows, manifest = results
    compared = {**summary["comparisons"][0], "gained_questions": [], "lost_questions": ["tiny3-0003"]}
    unknown = {"suite": "mmlu", "adapter": "cfg2", "problem": "the earlier run has no scores of it"}
    text = Page(report_section(summary | {"earlier": [compared, unknown]}, rows, manifest)).text
    assert "Right to wrong: tiny3-0003" in text and "Wrong to right: none" in text
    assert "not compared: the earlier run has no scores of it" in text


def test_hyperparameters_are_those_of_evaluated_configurations(results):
    manifest = results[-1]
    found = hyperparameters(manifest)
    assert found["names"] == ["cfg1", "cfg2"]
    differing = {row["setting"]: row["values"] for row in found["rows"] if row["differs"]}
    assert differing["rank"] == ["16", "32"] and "dropout" not in differing
    assert hyperparameters({**manifest, "score_sets": []}) == {"names": [], "rows": []}


def test_a_long_reply_is_shown_whole_where_there_is_room(study):
    summary, rows, _ = study({"base": 40}, {})
    rows[0]["reply"] = "x" * 3000
    assert answer_data(summary, rows)["answers"][0][-1] == {"Reply": "x" * 3000}


@pytest.mark.parametrize("length", [80, 3000])
def test_3552_answers_fit_into_5_mb(study, length):
    """However long the queries and the replies are: they are cut, and say so, where there is no room."""
    totals = {"spider": 1034, "mmlu": 150}
    spider, mmlu = {"base": 200, "cfg1": 500, "cfg2": 800}, {"base": 120, "cfg1": 120, "cfg2": 45}
    summary, rows, manifest = study(spider, mmlu, questions=totals)
    for row in rows[:3102]:
        row.update(predicted_sql=f"{row['gold_sql']:<{length}}.", reply=f"{row['reply']:<{length}}.")
    section = report_section(summary, rows, manifest)
    answers = Page(section).answers["answers"]
    assert len(answers) == 3552
    assert answers[0][4].endswith(CUT) == (length > 80)
    assert len(section.encode()) < 4_900_000  # pytest-html's frame around it takes less than 0.1 MB
