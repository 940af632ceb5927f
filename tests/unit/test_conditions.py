"""What a row depends on stands with it, and rows of one table that differ in it say so in every report."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from fixtures.adapters.specs import parse_adapters
from fixtures.questions.plugin import BUILT_IN
from fixtures.questions.spider.suite import SPIDER
from fixtures.report.article.report import report
from fixtures.report.article.typesetting import typeset
from fixtures.report.depends import differing, in_a_line, trained_in_part
from fixtures.report.page import report_section
from fixtures.report.sentences import recommendation
from fixtures.report.summary_lines import summary_lines
from fixtures.results.conditions import Conditions, conditions_of, training_of
from fixtures.results.score_sets import ScoreSet, current_sets
from fixtures.study.overrides import results_name
from tests.unit.test_html_report import Page
from tests.unit.test_paper import text_of
from trainer.study.experiment import load_experiment

FULL = {"dtype": "bfloat16", "engine": "transformers", "measured": "2026-11-27"}


@pytest.fixture
def study(made_up_study):
    """Summary and rows of base, cfg1, trained on 50 questions, and cfg2, which another day's run has asked."""
    own = {"base": {"shots": 3}, "cfg1": {"trained_on": 50, "cut_short": True, "shots": 0}}
    own |= {"cfg2": {"trained_on": 1600, "shots": 0, "measured": "2026-11-20"}}
    conditions = [Conditions(suite="spider", adapter=slug, **FULL | fields) for slug, fields in own.items()]
    right = {"base": range(60), "cfg1": range(150), "cfg2": range(140)}
    return made_up_study(right, {slug: range(110) for slug in right}, conditions=conditions)


def test_rows_that_differ_say_in_what_and_what_was_cut_short_is_part_of_the_verdict(study, made_up_manifest):
    summary, rows = study
    differ = (
        "rows differ in: shots 3 (base), 0 (cfg1 and cfg2); training questions 50 (cfg1), 1,600 (cfg2); measured on "
        "2026-11-27 (base and cfg1), 2026-11-20 (cfg2)"
    )
    assert differing(summary, SPIDER) == [differ]
    (cut,) = trained_in_part(summary)
    assert cut.startswith("Careful: cfg1 was trained on 50 questions only (--max-train-samples)")
    assert cut in recommendation(summary, BUILT_IN)
    manifest = made_up_manifest(["base", "cfg1", "cfg2"])
    shown = {
        "terminal": " ".join(line.text for line in summary_lines(summary, rows, BUILT_IN)),
        "page": Page(report_section(summary, rows, manifest, BUILT_IN)).text,
        "paper": text_of(typeset(report(summary, rows, manifest, BUILT_IN))),
    }
    for name, text in shown.items():
        text = " ".join(text.split())
        assert differ in text.replace("Rows", "rows") and cut in text, name
    assert "transformersbfloat16050" in shown["page"].replace(" ", ""), "the page has what each row depends on"


def test_rows_that_are_alike_say_nothing(made_up_study):
    conditions = [Conditions(suite="spider", adapter=slug, shots=0, **FULL) for slug in ("base", "cfg1")]
    summary, _ = made_up_study({"base": {1}, "cfg1": {2}}, {}, conditions=conditions)
    assert differing(summary, SPIDER) == [] and trained_in_part(summary) == []
    assert in_a_line(conditions[0]) == "engine transformers; dtype bfloat16; shots 0; measured on 2026-11-27"


@pytest.mark.parametrize(("most", "found"), [(50, (50, True)), (None, (900, False)), (2000, (900, False))])
def test_an_adapters_record_says_how_many_questions_it_was_trained_on(tmp_path, most, found):
    (adapter,) = parse_adapters(["cfg1"], load_experiment("miniature"), tmp_path)
    adapter.folder.mkdir(parents=True)
    record = {"max_train_samples": most, "data": {"questions": min(most or 900, 900)}}
    (adapter.folder / "run.json").write_text(json.dumps(record))
    assert tuple(training_of(adapter).values()) == found
    elsewhere = replace(adapter, kind="folder", run=None, folder=tmp_path)
    assert training_of(elsewhere) == {}


def score_set(adapter, weights, configuration="", seed=None, suite="spider"):
    known = {"settings": "s", "judged": "j", "base": "llama", "configuration": configuration, "seed": seed}
    return ScoreSet(suite=suite, adapter=adapter, weights=weights, **known)


def test_an_earlier_run_keeps_the_day_of_its_rows():
    sets = [score_set("base", ""), score_set("cfg9", "w")]
    earlier = [Conditions(suite="spider", adapter=name, measured="2026-11-20") for name in ("base", "cfg9", "gone")]
    base = SimpleNamespace(dtype="float32", quantisation="nf4")
    asked = {"spider": SimpleNamespace(num_shots=lambda tuned: 0 if tuned else 3)}
    suite = replace(SPIDER, shots=lambda questions, tuned: questions.num_shots(tuned))
    (adapter,) = parse_adapters(["base"], load_experiment("miniature"), None)
    now = SimpleNamespace(suites=[suite], adapters=[adapter], asked=asked, questions=asked, endpoint=None)
    now.experiment = SimpleNamespace(base_model=base)
    first, second = conditions_of(now, sets, {"spider/base"}, earlier)
    assert (first.shots, first.dtype, first.engine) == (3, "float32, nf4", "transformers")
    assert first.measured > "2026-11-20" and second.measured == "2026-11-20"


@pytest.mark.parametrize(
    ("earlier", "stays"),
    [
        (score_set("old-name", "new*1"), False),  # the same weights under another name
        (score_set("other", "others*1"), True),
        (score_set("cfg1-x0.5", "old*0.5", "cfg1*0.5", 42), False),  # a scale of what was trained again since
        (score_set("cfg1-x0.5", "new*0.5", "cfg1*0.5", 42), True),
        (score_set("cfg1-seed7", "old*1", "cfg1", 7), True),
        (score_set("cfg1-step-20", "old*1", "cfg1@step-20", 42), True),
    ],
)
def test_what_was_renamed_or_trained_again_is_no_row_of_its_own(earlier, stays):
    now = score_set("cfg1", "new*1", "cfg1", 42)
    assert (earlier in current_sets([earlier], [now])) is stays


@pytest.mark.parametrize(
    ("experiment", "given", "name"),
    [
        ("miniature", {}, "miniature"),
        ("miniature", {"spider": "fixtures/miniature/spider"}, "miniature"),
        ("miniature", {"spider": "data/spider_data.zip"}, "miniature-spider_data"),
        ("miniature", {"spider": "my shop", "mmlu": "cais/mmlu"}, "miniature-my_shop-mmlu"),
        # Its data are the reader's, wherever they have them.
        ("llama-3-8b", {"spider": "/elsewhere/spider_data.zip"}, "llama-3-8b"),
    ],
)
def test_other_data_than_an_experiment_brings_have_results_of_their_own(experiment, given, name):
    assert results_name(load_experiment(experiment), BUILT_IN, given) == name
