"""The technical report: what it says follows from the data, and what a model wrote stays text."""

import io
import json
import re
from types import SimpleNamespace

import pypdf
import pytest

from custom_metrics.statistics.numbers import interval, minus
from fixtures.questions.mmlu.suite import MMLU
from fixtures.questions.plugin import BUILT_IN
from fixtures.report.article.paired_changes import groups
from fixtures.report.article.report import report
from fixtures.report.article.typesetting import typeset
from fixtures.report.paper import pytest_configure, write_paper
from fixtures.report.writable import refuse_unwritable
from fixtures.study.plugin import study_key

BASE = {"base": range(50)}, {"base": range(120)}
GAIN = {**BASE[0], "cfg1": range(150)}
# What the two sides show, by what cfg1 has right: base has 50 of 200 Spider and 120 of 150 MMLU questions right.
NO_LOSS = GAIN, {**BASE[1], "cfg1": range(119)}
LOSS = GAIN, {**BASE[1], "cfg1": range(90)}
INCONCLUSIVE = GAIN, {**BASE[1], "cfg1": [*range(108), *range(120, 130)]}
NO_GAIN = {**BASE[0], "cfg1": range(52)}, LOSS[1]


@pytest.fixture
def manifest(made_up_manifest):
    """``manifest(summary)``: that of a run of the miniature with the summary's adapters."""
    return lambda summary: made_up_manifest(summary.adapters)


@pytest.fixture
def paper(made_up_study, manifest):
    """``paper(spider, mmlu, **frame)``: the report's pages as text, white space made single."""

    def pages(spider, mmlu, **frame):
        summary, rows = made_up_study(spider, mmlu, **frame)
        return pages_of(typeset(report(summary, rows, manifest(summary), BUILT_IN)))

    return pages


def pages_of(pdf):
    # Typst hyphenates at line ends.
    return [" ".join(page.extract_text().replace("-\n", "").split()) for page in pypdf.PdfReader(io.BytesIO(pdf)).pages]


def text_of(pdf):
    """All pages in a line, without their numbers: a page may end within a word."""
    pages = [page.extract_text().rstrip() for page in pypdf.PdfReader(io.BytesIO(pdf)).pages]
    return " ".join("\n".join(re.sub(r"\n\d+$", "", page) for page in pages).replace("-\n", "").split())


@pytest.mark.parametrize(
    ("study", "said", "never"),
    [
        pytest.param(
            NO_LOSS,
            [
                "On Spider cfg1 gained 50.0 points (95% interval +43.0 to +57.0; 200 questions on 10 databases;",
                "On MMLU cfg1 lost 0.7 points (95% interval −3.1 to +1.5; 150 questions within 6 fixed subjects;",
                "equivalent within the margin of 5 points: a loss of more than 2.6 points and a gain of more than 1.1",
                "cfg1 is better on SQL, and a loss of more than 5 points of MMLU is excluded",
                "Take cfg1.",
            ],
            ["paid for its gain", "is not excluded."],
            id="a-gain-and-no-loss",
        ),
        pytest.param(
            LOSS,
            [
                "On MMLU cfg1 lost 20.0 points",
                "worse by more than the margin of 5 points",
                "cfg1 paid for its gain: 50.0 points of SQL for 20.0 points of MMLU, 2.5 gained for each point lost.",
                "Every adapter that is better on SQL is worse on MMLU",
            ],
            ["of MMLU is excluded:", "Take cfg1"],
            id="a-gain-and-a-loss",
        ),
        pytest.param(
            INCONCLUSIVE,
            [
                "undecided at a margin of 5 points: a loss of up to 6.9 points is not excluded.",
                "cfg1 is better on SQL, but a loss of up to 6.9 points of MMLU is not excluded. About 881 questions",
                "Take cfg1 only if a loss of up to 6.9 points of MMLU can be accepted.",
                "cfg1 on MMLU: about 881 questions would decide it",
            ],
            ["of MMLU is excluded:", "paid for its gain", "equivalent within the margin of"],
            id="a-gain-and-nothing-known-of-a-loss",
        ),
        pytest.param(
            NO_GAIN,
            [
                "On Spider cfg1 gained 1.0 points",
                "no better than the margin of 5 points: a gain of more than 2.7 points is excluded",
                "cfg1 is not shown to be better on SQL, and the loss on MMLU comes on top of that.",
                "Stay with the base",
            ],
            ["paid for its gain", "Take cfg1"],
            id="no-gain-and-a-loss",
        ),
    ],
)
def test_the_text_follows_the_verdicts(study, said, never, paper):
    text = " ".join(paper(*study))
    assert [sentence for sentence in said if sentence not in text] == []
    assert [sentence for sentence in never if sentence in text] == []


def test_the_note_stands_on_the_first_page_and_the_numbers_are_those_of_the_summary(paper, made_up_study):
    first, *others = paper(*LOSS, note="This is made up. It says nothing.")
    assert "This is made up. It says nothing." in first
    summary, _ = made_up_study(*LOSS)
    sql, mmlu, found = (summary.accuracy(*of) for of in (("spider", "base"), ("mmlu", "base"), ("spider", "cfg1")))
    reaches = f"25.0% on Spider (95% interval {interval(sql.low, sql.high)}) and 80.0% on MMLU (95% interval "
    assert f"The base model reaches {reaches}{interval(mmlu.low, mmlu.high)})." in first
    text, shown = " ".join([first, *others]), interval(found.low, found.high)
    assert f"cfg1 150 / 200 0 75.0% {shown} 75.0% ({shown}) 75.0% ({shown})" in text
    assert "With cfg1, 25.0% of the SQL answers are still wrong (50 of 200; 95% interval 18.4 to 33.1)." in text
    assert "with an error of the database: 25. Rows that look like an answer" in text


def test_a_cause_is_named_only_where_one_setting_differs(made_up_study, manifest):
    study = {**GAIN, "cfg2": range(120)}, {**LOSS[1], "cfg2": range(120)}
    summary, rows = made_up_study(*study)
    several = manifest(summary)
    adapters = several.experiment["adapters"]
    other = several.experiment | {"adapters": adapters | {"cfg2": adapters["cfg1"] | {"epochs": 8.0}}}
    alone = several.model_copy(update={"experiment": other})
    many, one = (" ".join(pages_of(typeset(report(summary, rows, found, BUILT_IN)))) for found in (several, alone))
    assert "They differ in rank, alpha, learning rate and epochs: what caused it is not known." in many
    pairs = [summary.decided(suite.name, "cfg2", "cfg1") for suite in BUILT_IN]
    sql, mmlu = (f"(95% interval {minus(interval(pair.low, pair.high, signed=True))})" for pair in pairs)
    said = f"cfg2 against cfg1: SQL −15.0 points {sql} and MMLU +20.0 points {mmlu}. They differ in epochs alone"
    assert said in one


def test_failing_questions_follow_the_stated_rule(paper):
    text = " ".join(paper(*LOSS))
    # cfg1 is wrong from question 150 on; both its error classes are equally frequent, and names decide.
    assert "Question tiny3-0151, extra" in text
    assert "Question tiny3-0150, hard" in text and "tiny3-0152" not in text
    assert "rows, wrong filter" not in text and "Class wrong filter Reason rows" in text


def test_several_seeds_are_reported_with_their_deviation(paper):
    spider = BASE[0] | {f"cfg1-seed{seed}": range(140 + 2 * seed) for seed in (1, 2, 3)}
    mmlu = BASE[1] | {f"cfg1-seed{seed}": range(119) for seed in (1, 2, 3)}
    text = " ".join(paper(spider, mmlu))
    assert "Spider cfg1 3 72.0 ± 1.0 +47.0 ± 1.0" in text
    assert "the luck of one training run" not in text and "1, 2, 3" in text


@pytest.mark.parametrize(
    ("study", "said"),
    [
        pytest.param((GAIN, {}), "No answers to MMLU, so the cost is not known.", id="no-mmlu"),
        pytest.param(({}, LOSS[1]), "No answers to Spider, so the gain is not known.", id="no-spider"),
        pytest.param(({"cfg1": range(9)}, {"cfg1": range(9)}), "The base was not asked Spider", id="no-base"),
        pytest.param(BASE, "Only the base was asked Spider: there is nothing to compare it with.", id="base-only"),
    ],
)
def test_what_was_not_measured_is_said_and_not_guessed(study, said, paper):
    text = " ".join(paper(*study))
    assert said in text
    assert "No recommendation" in text and "paid for its gain" not in text


def test_all_errored_is_reported_as_such(made_up_study, manifest):
    summary, rows = made_up_study(*LOSS)
    rows = [row.errored("out of memory") for row in rows]
    nothing = {"n": 0, "correct": 0, "errored": 200, "complete": False, "conventions": {}}
    nothing |= dict.fromkeys(("accuracy", "low", "high", "standard_error"))
    emptied = {name: [] for name in ("comparisons", "seeds", "errors", "disagreements", "flips", "splits")}
    emptied["accuracies"] = [entry.model_copy(update=nothing) for entry in summary.accuracies]
    summary = summary.model_copy(update=emptied)
    text = " ".join(pages_of(typeset(report(summary, rows, manifest(summary), BUILT_IN))))
    assert "cfg1 on Spider is incomplete and not compared: 0 of 200 questions were scored, 200 errored." in text


def test_nothing_measured_is_an_error(made_up_study, manifest):
    summary, rows = made_up_study({}, {})
    with pytest.raises(ValueError, match="nothing was measured"):
        report(summary, rows, manifest(summary), BUILT_IN)


def test_what_a_model_wrote_stays_text(made_up_study, manifest):
    hostile = '#read("/etc/passwd") $x$ *b* `r` @ref <a> \\ // /* #sys.inputs \ud800'
    summary, rows = made_up_study(*LOSS, note=hostile.encode(errors="replace").decode())
    texts = dict.fromkeys(("question_text", "reply", "predicted_sql", "reason", "gold_sql"), hostile)
    rows = [row if row.suite == "mmlu" or row.right else row.judged(**texts) for row in rows]
    text = " ".join(pages_of(typeset(report(summary, rows, manifest(summary), BUILT_IN))))
    assert text.count('#read("/etc/passwd") $x$ *b* `r` @ref <a>') >= 5
    assert "root:" not in text


def test_an_adapter_may_be_called_anything(made_up_study, manifest):
    name = '#eval("1")$\\_*' + "x" * 60
    summary, rows = made_up_study({**BASE[0], name: range(99)}, {**BASE[1], name: range(99)})
    text = " ".join(pages_of(typeset(report(summary, rows, manifest(summary), BUILT_IN))))
    assert '#eval("1")$\\_*xxx' in text


@pytest.mark.slow
def test_a_large_study_stays_within_ten_pages(paper):
    names = [f"{name}-seed{seed}" for name in ("cfg1", "cfg2", "cfg3", "qlora1", "qlora2") for seed in (1, 2, 3)]
    spider = BASE[0] | {name: range(100 + 5 * place) for place, name in enumerate(names)}
    mmlu = BASE[1] | {name: range(90 + 2 * place) for place, name in enumerate(names)}
    assert len(paper(spider, mmlu)) <= 10


def test_the_same_data_gives_the_same_bytes(made_up_study, manifest):
    summary, rows = made_up_study(*LOSS)
    assert typeset(report(summary, rows, manifest(summary), BUILT_IN)) == typeset(
        report(summary, rows, manifest(summary), BUILT_IN)
    )


def test_a_paper_is_written_from_the_result_files(made_up_study, manifest, tmp_path):
    summary, rows = made_up_study(*LOSS)
    write_paper(tmp_path / "paper.pdf", summary, rows, manifest(summary), BUILT_IN)
    assert len(pages_of((tmp_path / "paper.pdf").read_bytes())) <= 10
    assert sorted(path.name for path in tmp_path.iterdir()) == ["paper.pdf"]


def test_a_path_that_cannot_be_written_is_refused_in_one_line(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file" / "paper.pdf"):
        options = {"paper": str(path)}
        here = SimpleNamespace(dir=tmp_path)
        stash = pytest.Stash()
        stash[study_key] = None  # something is evaluated
        config = SimpleNamespace(getoption=options.get, stash=stash, invocation_params=here)
        with pytest.raises(pytest.UsageError, match="--paper: .* cannot be written"):
            pytest_configure(config)
    refuse_unwritable("--paper", tmp_path / "new" / "paper.pdf")
    assert list((tmp_path / "new").iterdir()) == []


def test_categories_too_small_to_show_anything_are_undecided(made_up_study):
    """Three questions of a category, all alike: neither a loss nor its absence is shown."""
    summary, _ = made_up_study({"base": [0]}, {"base": range(9), "cfg1": range(9)}, {"spider": 1, "mmlu": 9})
    _, paragraph, table, *_ = groups(summary, MMLU)
    assert "No single category is shown to be worse." in str(paragraph)
    assert [row[-1] for row in table["rows"]] == ["undecided"] * 3


def test_every_reference_is_cited_and_none_that_is_not_there(made_up_study, manifest):
    """In the order in which they are cited; a study without LoRA's table does not refer to LoRA."""
    summary, rows = made_up_study(*LOSS)
    told = report(summary, rows, manifest(summary), BUILT_IN)
    *blocks, references = told["blocks"]
    cited = [int(n) for group in re.findall(r"\[([\d, ]+)\]", json.dumps(blocks)) for n in group.split(", ")]
    assert list(dict.fromkeys(cited)) == list(range(1, len(references["items"]) + 1))
    (gema,) = (number for number, item in enumerate(references["items"], 1) if "Gema" in item)
    assert f"labelled wrong [{gema}]" in json.dumps(blocks) and "[@" not in json.dumps(blocks)
    summary, rows = made_up_study({"cfg1": range(9), "cfg2": range(19)}, {})
    recorded = manifest(summary).model_copy(update={"base_model": None})
    assert not [item for item in report(summary, rows, recorded, BUILT_IN)["blocks"][-1]["items"] if "Hu" in item]
