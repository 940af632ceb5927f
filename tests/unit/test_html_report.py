"""The report's section from made-up results: what stands in it, what is said to be missing, that texts stay texts."""

import re
from html.parser import HTMLParser
from random import Random
from string import printable

import pytest

from custom_metrics.statistics import Finding
from custom_metrics.statistics.numbers import interval
from fixtures.questions.mmlu.suite import MMLU
from fixtures.questions.plugin import BUILT_IN
from fixtures.questions.spider.suite import SPIDER
from fixtures.report.answer_data import CUT, answer_data
from fixtures.report.answer_tables import SHOWN, flip_tables
from fixtures.report.article.method import methodology
from fixtures.report.candidates import candidates
from fixtures.report.missing import missing
from fixtures.report.page import report_section
from fixtures.report.sentences import recommendation
from fixtures.report.settings import Hyperparameters, hyperparameters
from fixtures.report.verdicts import uncertainty, verdict
from fixtures.results.gates import JudgedGate
from fixtures.results.summary import summarise
from fixtures.results.types import Incomparable, Since
from tests.report_page import unpacked
from trainer.study.settings import ReplaySettings

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
        return unpacked(self.embedded["answer-data"])


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


def resummarise(summary, rows, manifest, suites=BUILT_IN):
    """The summary of ``rows`` that were changed after it was made."""
    computed = summarise(rows, suites, manifest.score_sets, summary.questions, 0.05)
    return summary.model_copy(update=computed), rows, manifest


def changed(rows, place, **fields):
    """``rows`` with some fields of one of them changed."""
    return [row.model_copy(update=fields) if place == number else row for number, row in enumerate(rows)]


def ends(summary, suite, adapter):
    """The interval of an adapter's change, as reports write it."""
    found = summary.decided(suite, adapter)
    return interval(found.low, found.high, signed=True)


def test_the_section_holds_every_part(results):
    page = Page(report_section(*results, BUILT_IN))
    identifiers = {attributes.get("id") for _, attributes in page.elements}
    assert {"verdict", "accuracy", "changes", "errors", "flips", "settings", "answers"} <= identifiers
    assert [tag for tag, _ in page.elements].count("svg") == 4
    assert "Take cfg1 (chosen among 2, and corrected for it)." in page.text
    sql, mmlu = (f"(95% interval {ends(results[0], suite, 'cfg1')})" for suite in ("spider", "mmlu"))
    said = (
        f"SQL +30.0 points {sql}, better by more than the margin of 5 points; 30 of the 60 answers gained are format. "
    )
    assert f"{said}MMLU +0.0 {mmlu}, equivalent within the margin of 5" in page.text
    between = results[0].decided("spider", "cfg2", "cfg1")
    shown = interval(between.low, between.high, signed=True)
    assert f"cfg2 gains 30.0 points more (95% interval {shown}) and loses 50.0 on MMLU (95% interval " in page.text
    assert len(page.answers["answers"]) == 1050


def test_texts_of_models_and_files_stay_texts(study):
    """Whatever a model writes, and whatever an adapter is called, cannot become markup, script or template."""
    hostile, harmless = (
        study({"base": 40, slug: 100}, {"base": 120, slug: 120}, note=text, problems=[text], gates=[_unjudged(text)])
        for slug, text in ((f"cfg1{HOSTILE}", HOSTILE), ("cfg1", "note"))
    )
    summary, rows, manifest = hostile
    rows = [row.model_copy(update=_texts(row)) for row in rows]
    page = Page(report_section(summary, rows, manifest.model_copy(update={"command": HOSTILE}), BUILT_IN))
    assert {tag for tag, _ in page.elements} == {tag for tag, _ in Page(report_section(*harmless, BUILT_IN)).elements}
    assert "onerror" not in {name for _, attributes in page.elements for name in attributes}
    assert HOSTILE in page.answers["answers"][0] and HOSTILE in page.answers["questions"][0]
    assert HOSTILE in page.text


def _unjudged(gate):
    return JudgedGate(gate=gate, value=None, holds=None)


def _texts(row):
    code = ("gold_sql", "predicted_sql", "reply") if row.suite == SPIDER.name else ()
    return dict.fromkeys(("question_text", "reason", *code), HOSTILE)


def test_the_section_needs_no_network(results):
    page = Page(report_section(*results, BUILT_IN))
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
    text = Page(report_section(*study(spider, mmlu), BUILT_IN)).text
    assert said in text
    assert "No recommendation: it takes the base and an adapter, each complete on Spider and on MMLU." in text


def test_an_empty_selection_is_said(results):
    empty = results[0].model_copy(update=summarise([], BUILT_IN, [], results[0].questions, 0.05))
    said = "Nothing was measured: no question was answered in this run."
    assert said in Page(report_section(empty, [], None, BUILT_IN)).text


def test_all_errored_is_counted_and_shown(results):
    summary, rows, manifest = results
    errored = [row.errored("engine failed") for row in rows]
    page = Page(report_section(*resummarise(summary, errored, manifest), BUILT_IN))
    assert "cfg1 on MMLU is incomplete and not compared: 0 of 150 questions were scored, 150 errored." in page.text
    assert {answer[2] for answer in page.answers["answers"]} == {"errored"}


def test_one_missing_answer_makes_a_set_incomplete(results):
    summary, rows, manifest = results
    less, *_ = resummarise(summary, rows[:-1], manifest)
    assert missing(less, BUILT_IN) == ["cfg2 on MMLU is incomplete and not compared: 149 of 150 questions were scored."]


def test_without_a_gain_the_base_stays(study):
    summary, *_ = study({"base": 40, "cfg1": 43}, {"base": 120, "cfg1": 120})
    assert recommendation(summary, BUILT_IN) == ["Stay with the base: no adapter is shown to be better on SQL."]


def test_where_every_gain_costs_no_choice_is_made(study):
    summary, *_ = study({"base": 40, "cfg2": 100}, {"base": 120, "cfg2": 45})
    ruling, *each = recommendation(summary, BUILT_IN)
    assert ruling == "Every adapter that is better on SQL is worse on MMLU: whether that is worth it is yours to say."
    sql, mmlu = (f"(95% interval {ends(summary, suite, 'cfg2')})" for suite in ("spider", "mmlu"))
    gain = (
        f"SQL +30.0 points {sql}, better by more than the margin of 5 points; 30 of the 60 answers gained are format."
    )
    assert each == [f"cfg2: {gain} MMLU -50.0 {mmlu}, worse by more than the margin of 5 points."]


def test_several_seeds_of_a_configuration_count_together(study):
    summary, *_ = study({"base": 40, "cfg1-seed1": 100, "cfg1-seed2": 160}, {})
    (candidate,) = candidates(summary, BUILT_IN)
    sql = candidate.standings["spider"]
    assert (candidate.name, sql.change) == ("cfg1", pytest.approx(0.45))
    # Two trainings 30 points apart say next to nothing of a third.
    assert sql.verdict is Finding.UNDECIDED
    said = "200 questions on 10 databases; mean of 2 trainings, standard deviation 21.2 points"
    assert uncertainty(sql).endswith(said)


def test_a_loss_that_is_not_shown_is_not_called_none(study):
    summary, *_ = study({}, {"base": 100, "cfg1-seed1": 95, "cfg1-seed2": 96})
    (candidate,) = candidates(summary, BUILT_IN)
    said = verdict(candidate.standings["mmlu"].found, MMLU, summary.margin)
    assert said.startswith("undecided at a margin of 5 points: a loss of up to 5.9 points is not excluded")


def test_changed_answers_come_lost_first_with_both_answers(study):
    summary, rows, manifest = study({}, {"base": 100, "cfg2": 40})
    summary, rows, _ = resummarise(summary, changed(rows, 0, correct=0, chosen="B"), manifest)
    (table,) = flip_tables(summary, rows, BUILT_IN)
    assert (table.suite.name, table.adapter, table.lost, table.gained) == ("mmlu", "cfg2", 60, 1)
    assert [answer.flip.change for answer in table.answers] == ["lost"] * SHOWN + ["gained"]
    first = table.answers[0]
    assert [first.gold, first.before, first.after] == ["A. a", "A. a", "B. b"]


def test_conventions_that_disagree_are_listed_with_the_reason(results):
    summary, rows, manifest = results
    wrong = next(place for place, row in enumerate(rows) if row.suite == SPIDER.name and not row.right)
    rows = changed(rows, wrong, official=1, reason="right rows, columns in another order")
    page = Page(report_section(*resummarise(summary, rows, manifest), BUILT_IN))
    assert "right under one convention of execution accuracy and wrong under another: 1." in page.text
    assert "right rows, columns in another order" in page.text
    assert page.answers["differ"] == [wrong]


def test_what_changed_since_the_earlier_run_is_shown(results):
    summary, rows, manifest = results
    change = {name: value for name, value in summary.comparisons[0] if name in Since.model_fields}
    compared = Since(**change, regression=0.0, gained_questions=[], lost_questions=["tiny3-0003"])
    unknown = Incomparable(suite="mmlu", adapter="cfg2", problem="absent")
    summary = summary.model_copy(update={"earlier": [compared, unknown]})
    text = Page(report_section(summary, rows, manifest, BUILT_IN)).text
    assert "Right to wrong: tiny3-0003" in text and "Wrong to right: none" in text
    assert "not compared: the earlier run has no scores of it" in text


def test_hyperparameters_are_those_of_evaluated_configurations(results):
    manifest = results[-1]
    found = hyperparameters(manifest)
    assert "None" not in {value for setting in found.settings for value in setting.values}
    assert found.names == ["cfg1", "cfg2"]
    differing = {setting.name: setting.values for setting in found.settings if setting.differs}
    assert differing["rank"] == ["16", "32"] and "dropout" not in differing
    assert hyperparameters(manifest.model_copy(update={"score_sets": []})) == Hyperparameters([], [])


def test_replay_is_one_setting_that_differs(results):
    """On the page and in the report, in words; a manifest of before has no such setting."""
    summary, rows, manifest = results
    known = manifest.experiment["adapters"]
    replayed = {**known["cfg1"], "replay": ReplaySettings(source="general.jsonl").model_dump(mode="json")}
    experiment = {**manifest.experiment, "adapters": {"cfg1": {**known["cfg1"]}, "cfg2": replayed}}
    now = manifest.model_copy(update={"experiment": experiment})
    (differing,) = [setting for setting in hyperparameters(now).settings if setting.differs]
    assert differing.name == "replay" and differing.values[1].startswith("share 0.05, source general.jsonl")
    assert "5.0% of general.jsonl" in str(methodology(summary, rows, now, BUILT_IN))
    for settings in experiment["adapters"].values():
        del settings["replay"]
    assert "replay (share of the tokens)" in str(methodology(summary, rows, now, BUILT_IN))


def test_a_long_reply_is_shown_whole_where_there_is_room(study):
    summary, rows, _ = study({"base": 40}, {})
    rows = changed(rows, 0, reply="x" * 3000)
    assert answer_data(summary, rows, BUILT_IN)["answers"][0][-1] == {"Reply": "x" * 3000}


@pytest.mark.parametrize("length", [80, 3000])
def test_3552_answers_fit_into_2_mb(study, length):
    """However long the replies are: they are cut, and say so, where there is no room."""
    totals = {"spider": 1034, "mmlu": 150}
    spider, mmlu = {"base": 200, "cfg1": 500, "cfg2": 800}, {"base": 120, "cfg1": 120, "cfg2": 45}
    summary, rows, manifest = study(spider, mmlu, questions=totals)
    # Without any pattern, as of a model that has gone astray: nothing that compresses.
    random = Random(1)
    for place, row in enumerate(rows[:3102]):
        rows[place] = row.model_copy(update={"reply": "".join(random.choices(printable[:90], k=length))})
    section = report_section(summary, rows, manifest, BUILT_IN)
    answers = Page(section).answers["answers"]
    assert len(answers) == 3552
    assert answers[0][7]["Reply"].endswith(CUT) == (length > 80)
    assert len(section.encode()) < 1_900_000  # pytest-html's frame around it takes less than 0.1 MB
