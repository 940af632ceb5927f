"""Written replies beside the letters: counted, paired question by question, told of, and never the verdict."""

import pytest

from custom_metrics.written_choice import Kind
from fixtures.questions.mmlu_generated.row import MmluGeneratedRow
from fixtures.questions.mmlu_generated.suite import MMLU_GENERATED
from fixtures.questions.plugin import BESIDE, BUILT_IN
from fixtures.report.article.report import abstract, report
from fixtures.report.article.typesetting import typeset
from fixtures.report.candidates import Ruling, candidates, recommend
from fixtures.report.missing import missing
from fixtures.report.page import report_section
from fixtures.report.sentences import recommendation
from fixtures.report.step_summary import step_summary
from fixtures.report.summary_lines import summary_lines
from fixtures.report.written import forgotten
from fixtures.results.summary import summarise
from fixtures.results.types import Summary

SUITES = (*BUILT_IN, *BESIDE)
BETTER = {"base": range(100), "cfg1": range(150)}


def written(row, right, kind):
    chosen = ("A" if right else "B") if kind is Kind.ANSWER else None
    asked = {name: getattr(row, name) for name in ("subject", "category", "question_text", "choices", "gold")}
    return MmluGeneratedRow(
        suite="mmlu_generated",
        adapter=row.adapter,
        question=row.question,
        **asked,
        reply=chosen or ("SELECT 1" if kind is Kind.SQL else "Hm."),
        reply_kind=kind,
        chosen=chosen,
        correct=int(chosen == "A"),
        reason=None if chosen == "A" else "wrong",
        status="scored",
    )


@pytest.fixture
def studied(made_up_study, made_up_manifest):
    """``studied(sql, none, letters)``: a summary and its rows; of cfg1's replies the last are so many SQL, and none.

    The others are as right as the letters are, of which cfg1 has ``letters`` of 150, the base 100 in both ways.
    """

    def study(sql=0, none=0, letters=100, total=150):
        _, rows = made_up_study(
            BETTER, {"base": range(100), "cfg1": range(letters)}, questions={"spider": 200, "mmlu": total}
        )
        for row in [row for row in rows if row.suite == "mmlu"]:
            left = total - int(row.number) if row.adapter == "cfg1" else total + 1
            kind = Kind.SQL if left <= sql else Kind.NONE if left <= sql + none else Kind.ANSWER
            rows.append(written(row, row.right, kind))
        sets = made_up_manifest(["base", "cfg1"]).score_sets
        sets += [one.model_copy(update={"suite": "mmlu_generated"}) for one in sets if one.suite == "mmlu"]
        totals = {"spider": 200, "mmlu": total, "mmlu_generated": total}
        frame = {"revisions": dict.fromkeys(totals, "0123")}
        return Summary(experiment="replies", **summarise(rows, SUITES, sets, totals, 0.05), **frame), rows

    return study


def test_replies_are_counted_by_kind_and_paired_with_the_letters(studied):
    summary, _ = studied(sql=60, none=10, letters=120)
    base, tuned = summary.replies
    assert (base.adapter, base.answers, base.in_both, base.only_beside, base.in_neither) == ("base", 150, 100, 0, 50)
    assert tuned.kinds == {"answer": 80, "SQL": 60, "several answers": 0, "no answer": 10}
    assert (tuned.correct, tuned.accuracy_of_answers) == (80, 1.0)
    assert (tuned.in_both, tuned.only_beside, tuned.only_here, tuned.in_neither) == (80, 40, 0, 30)
    assert tuned.paired == 150


def test_without_the_letters_replies_are_counted_alone(studied):
    _, rows = studied(sql=60)
    own = [row for row in rows if row.suite == "mmlu_generated"]
    (base, tuned) = summarise(own, SUITES, [], {"mmlu_generated": 150}, 0.05)["replies"]
    assert (tuned.answers, tuned.paired, tuned.in_both, base.answers) == (90, 0, 0, 150)


def test_an_adapter_that_replies_with_sql_is_told_of_though_its_letters_show_no_loss(studied):
    summary, _ = studied(sql=60)
    assert forgotten(summary, SUITES) == [
        "Careful: cfg1 has forgotten how to answer. Of its replies to MMLU in chat 40.0% are SQL (of the base's 0.0%), "
        "and 40.0% choose no option (0.0%); its letters show no loss."
    ]
    assert recommendation(summary, SUITES)[-1:] == forgotten(summary, SUITES)


def test_where_the_letters_show_it_too_that_is_said(studied):
    (said,) = forgotten(studied(none=60, letters=50)[0], SUITES)
    assert said.endswith(
        "0.0% are SQL (of the base's 0.0%), and 40.0% choose no option (0.0%); its letters show a loss, too."
    )


@pytest.mark.parametrize("few", [{"sql": 14}, {"sql": 20, "total": 29}], ids=["under a tenth", "under 30 questions"])
def test_little_is_not_told_of(studied, few):
    assert forgotten(studied(**few)[0], SUITES) == []


def test_the_verdict_goes_by_the_letters(studied):
    """A loss in chat alone changes no ruling, and stands beside it."""
    kept, lost = (studied(sql=sql)[0] for sql in (0, 100))
    assert lost.decided("mmlu_generated", "cfg1").verdict.loses
    rulings = [recommend(candidates(summary, SUITES), SUITES) for summary in (kept, lost)]
    assert rulings[0].ruling is rulings[1].ruling and rulings[1].ruling in (Ruling.TAKE, Ruling.IF_ACCEPTED)
    first, *_ = recommendation(lost, SUITES)
    assert first == recommendation(kept, SUITES)[0] and first.startswith("Take cfg1")


def test_nobody_misses_it_where_it_was_not_asked(made_up_study):
    summary, _ = made_up_study(BETTER, BETTER)
    assert missing(summary, SUITES) == [] and summary.replies == []
    assert not any("in chat" in sentence for sentence in abstract(summary, SUITES))
    assert not any("in chat" in line.text for line in summary_lines(summary, [], SUITES))


def test_every_report_shows_it(studied, made_up_manifest):
    summary, rows = studied(sql=60, letters=120)
    line = (
        "cfg1: 90 of 150 replies answer (60 SQL); 60.0% right, of answers 100.0% (95% interval 96.0 to 100.0); right "
        "in both ways 90, letters only 30, chat only 0, neither 30"
    )
    printed = " ".join(" ".join(line.text for line in summary_lines(summary, rows, SUITES)).split())
    assert line in printed
    assert line in " ".join(step_summary(summary, rows, SUITES).split())
    page = report_section(summary, rows, None, SUITES)
    assert "MMLU in chat: what the replies are, and the same questions by letters" in page
    assert (
        "<td>90</td><td>60</td><td>0</td><td>0</td><td>60.0%</td><td>100.0% (96.0 to 100.0)</td><td>90</td><td>30</td>"
        in page
    )
    assert "has forgotten how to answer" in page and "Why SQL and MMLU in chat are wrong" in page
    blocks = report(summary, rows, made_up_manifest(["base", "cfg1"]), SUITES)
    tables = {block.get("label"): block for block in blocks["blocks"]}
    shown = ["cfg1", "150", "90", "60", "0", "0", "60.0%", "100.0% (96.0 to 100.0)", "90", "30", "0", "30"]
    assert tables["mmlu_generated-replies"]["rows"][1] == shown
    assert MMLU_GENERATED.beside and typeset(blocks).startswith(b"%PDF")
