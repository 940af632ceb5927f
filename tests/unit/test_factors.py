"""What moved the trade-off: a cause is named only where one setting differs, in whichever report."""

import json

import pytest

from fixtures.questions.plugin import BUILT_IN
from fixtures.report.article.report import report
from fixtures.report.article.typesetting import typeset
from fixtures.report.factors import factors
from fixtures.report.page import report_section
from fixtures.report.summary_lines import summary_lines
from tests.unit.test_html_report import Page
from tests.unit.test_paper import text_of
from trainer.keeping.state import trained_with
from trainer.run import lora_run
from trainer.study.experiment import load_experiment

RIGHT = {"base": (range(50), range(120)), "cfg1": (range(150), range(119)), "cfg2": (range(100), range(60))}
SCALED = RIGHT | {"cfg2-x0.5": (range(120), range(100))}
IDENTITY = {"base_model.weights": "w", "adapter.rank": 16, "adapter.alpha": 32.0, "data": "d", "method": 1}


@pytest.fixture
def told(made_up_study, made_up_manifest):
    """``told(right, trained, **settings)``: the sentences on a study.

    ``trained`` has what was recorded of adapters; ``settings`` what cfg2 has other than cfg1 in the experiment.
    """

    def told(right=RIGHT, trained=None, asked=None, **settings):
        summary, rows = made_up_study(*({slug: own[place] for slug, own in right.items()} for place in (0, 1)))
        manifest = made_up_manifest(summary.adapters)
        first = manifest.experiment["adapters"]["cfg1"]
        experiment = manifest.experiment | {"adapters": {"cfg1": first, "cfg2": first | settings}}
        records = {
            slug: one.model_copy(update={"trained": (trained or {}).get(slug.partition("-")[0], {})})
            for slug, one in manifest.adapters.items()
        }
        sets = [one.model_copy(update={"asked": (asked or {}).get(one.adapter, "")}) for one in manifest.score_sets]
        manifest = manifest.model_copy(update={"experiment": experiment, "adapters": records, "score_sets": sets})
        return factors(summary, manifest, BUILT_IN), (summary, rows, manifest, BUILT_IN)

    return told


def test_one_setting_that_differs_is_named_as_the_cause(told):
    (said,), _ = told(epochs=8.0)
    assert said.startswith("cfg2 against cfg1: SQL -25.0 points (95% interval ")
    assert said.endswith("They differ in epochs alone; besides it, only the luck of training could have moved these.")


def test_of_several_settings_none_is_named_as_the_cause(told):
    (said,), _ = told(rank=64, alpha=128.0, learning_rate=6e-4)
    assert "They differ in rank, alpha and learning rate: what caused it is not known." in said
    assert "alone" not in said


def test_a_setting_that_changes_no_weights_does_not_count(told):
    (said,), _ = told(epochs=8.0, micro_batch_size=4, gradient_checkpointing=True)
    assert "They differ in epochs alone" in said


def test_a_cause_of_nothing_is_none(told):
    right = RIGHT | {"cfg2": (range(151), range(119))}
    (said,), _ = told(right, epochs=8.0)
    assert said.endswith("They differ in epochs alone, which is not shown to have moved anything.")


def test_a_scale_that_was_not_recorded_by_itself_is_in_the_spec(told):
    """As in manifests of before the dial."""
    _, (summary, _, manifest, _) = told(SCALED)
    specs = {"cfg2-x0.5": "cfg2*0.5"}
    records = {
        slug: one.model_copy(update={"scale": "", "dial": "", "spec": specs.get(slug, slug)})
        for slug, one in manifest.adapters.items()
    }
    said = factors(summary, manifest.model_copy(update={"adapters": records}), BUILT_IN)
    (scaled,) = [one for one in said if "x0.5" in one]
    assert scaled.endswith("They are the same weights and differ in scale alone.")


def test_a_scale_is_a_setting_too(told):
    """cfg2 at half its scale differs from cfg1 in its epochs and in its scale: neither is named."""
    said, _ = told(SCALED, epochs=8.0)
    assert len(said) == 2 and not any(
        "cfg2-x0.5 against cfg1:" in one or "cfg1 against cfg2-x0.5:" in one for one in said
    )
    assert any(one.startswith("cfg2-x0.5 against cfg2: ") or one.startswith("cfg2 against cfg2-x0.5: ") for one in said)
    assert said[0].startswith("cfg2 against cfg1: ")
    (scaled,) = [one for one in said if "x0.5" in one]
    assert scaled.endswith("They are the same weights and differ in scale alone.")


def test_a_checkpoint_differs_in_its_steps(made_up_study, made_up_manifest):
    slugs = ("cfg1", "cfg1@step-20")
    right = [{"base": range(50), slugs[0]: range(150), slugs[1]: range(100)} for _ in BUILT_IN]
    summary, _ = made_up_study(*right)
    (said,) = factors(summary, made_up_manifest(summary.adapters), BUILT_IN)
    assert "They differ in training steps alone" in said


def test_what_was_recorded_of_a_training_goes_before_what_the_experiment_says_now(told):
    """An experiment that was changed since, or training questions that were left out, are no secret causes."""
    trained = {"cfg1": IDENTITY, "cfg2": IDENTITY | {"adapter.rank": 64, "data": "other"}}
    (said,), _ = told(trained=trained, epochs=8.0)
    assert "They differ in rank and training questions: what caused it is not known." in said
    (said,), _ = told(trained=trained | {"cfg2": IDENTITY | {"adapter.rank": 64, "seed": 7}}, epochs=8.0)
    assert "They differ in rank alone" in said


def test_what_was_recorded_of_one_alone_is_not_compared_with_the_experiment(told):
    (said,), _ = told(trained={"cfg1": IDENTITY}, epochs=8.0)
    assert "They differ in epochs alone" in said


def test_a_section_that_only_one_has_is_one_decision_and_what_differs_within_it_is_not(told):
    replay = {"adapter.replay.share": 0.05, "adapter.replay.source": "self", "adapter.replay.texts": "t"}
    (said,), _ = told(trained={"cfg1": IDENTITY, "cfg2": IDENTITY | replay})
    assert "They differ in replay alone" in said
    other = replay | {"adapter.replay.share": 0.1, "adapter.replay.texts": "u"}
    (said,), _ = told(trained={"cfg1": IDENTITY | replay, "cfg2": IDENTITY | other})
    assert "They differ in replay share and replay texts: what caused it is not known." in said


def test_adapters_that_were_asked_in_another_way_differ_in_that(told):
    (said,), _ = told(asked={"cfg1": "three exemplars", "cfg2": "none"}, epochs=8.0)
    assert "They differ in epochs and how they were asked: what caused it is not known." in said
    (said,), _ = told(asked={"cfg2": "none"}, epochs=8.0)
    assert "They differ in epochs alone" in said


def test_what_only_one_prompt_shows_is_one_decision_with_all_that_follows_from_it(told):
    """Values change how an adapter is asked and what is hashed of its training: neither is a further cause."""
    shown = {"prompt.values": 2, "prompt.samples": 2, "prompt.method": 1, "prompt.databases": "d"}
    asked = {"cfg1": "none", "cfg2": "none+values"}
    (said,), _ = told(trained={"cfg1": IDENTITY, "cfg2": IDENTITY | shown}, asked=asked)
    assert "They differ in what the prompt shows alone" in said
    (said,), _ = told(asked=asked, prompt={"keys": True, "samples": 2, "values": 2})
    assert "They differ in what the prompt shows alone" in said
    (said,), _ = told(asked=asked, prompt={"keys": True, "samples": 2, "values": 2}, epochs=8.0)
    assert "They differ in epochs and what the prompt shows: what caused it is not known." in said
    (said,), _ = told(asked=asked | {"cfg2": "three+values"}, prompt={"keys": True, "samples": 2, "values": 2})
    assert "They differ in what the prompt shows and how they were asked: what caused it is not known." in said


def test_what_differs_between_two_prompts_is_named(told):
    one = {"prompt.values": 2, "prompt.samples": 0, "prompt.method": 1, "prompt.databases": "d"}
    asked = {"cfg1": "none+one", "cfg2": "none+two"}
    trained = {"cfg1": IDENTITY | one, "cfg2": IDENTITY | one | {"prompt.samples": 2}}
    (said,), _ = told(trained=trained, asked=asked)
    assert "They differ in samples in the prompt alone" in said
    (said,), _ = told(trained=trained | {"cfg2": IDENTITY | one | {"prompt.databases": "e"}}, asked=asked)
    assert "They differ in the databases whose values the prompt shows alone" in said


def test_a_prompt_that_spells_out_what_is_usual_is_no_difference(told):
    (said,), _ = told(prompt={"keys": True, "samples": 0, "values": 0})
    assert said.endswith("They were trained with the same settings.")


def test_of_what_this_experiment_did_not_train_nothing_is_said(made_up_study, made_up_manifest):
    right = [{"base": range(50), "cfg1": range(150), "mine": range(100)} for _ in BUILT_IN]
    summary, _ = made_up_study(*right)
    (said,) = factors(summary, made_up_manifest(summary.adapters), BUILT_IN)
    assert said.startswith("No two configurations of this experiment were compared")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"epochs": 8.0}, "They differ in epochs alone"),
        ({"epochs": 8.0, "rank": 64}, "They differ in rank and epochs: what caused it is not known."),
    ],
    ids=["one-factor", "two-factors"],
)
def test_page_and_paper_say_the_same_of_causes_and_the_terminal_nothing(told, settings, sentence):
    said, study = told(**settings)
    page = Page(report_section(*study)).text
    paper = text_of(typeset(report(*study))).replace("\u2212", "-")
    printed = " ".join(line.text for line in summary_lines(study[0], study[1], BUILT_IN))
    for text in (page, paper):
        assert all(one in text for one in said) and sentence in text
        assert sum(text.count(cause) for cause in ("differ in epochs alone", "what caused it is not known")) == 1
    assert not any(cause in printed for cause in ("differ in", "caused", "because"))


def test_pairs_of_one_factor_come_first_and_the_others_are_counted(told, made_up_study, made_up_manifest):
    names = [f"cfg{n}" for n in range(1, 8)]
    right = [{"base": range(50), **{name: range(60 + 10 * n) for n, name in enumerate(names)}} for _ in BUILT_IN]
    summary, _ = made_up_study(*right)
    manifest = made_up_manifest(summary.adapters)
    first = manifest.experiment["adapters"]["cfg1"]
    adapters = {name: first | {"rank": 8 + n, "alpha": 16.0 + n} for n, name in enumerate(names)}
    adapters["cfg7"] = adapters["cfg6"] | {"epochs": 9.0}
    experiment = manifest.experiment | {"adapters": adapters}
    said = factors(summary, manifest.model_copy(update={"experiment": experiment}), BUILT_IN)
    assert said[0].startswith("cfg7 against cfg6: ") and "epochs alone" in said[0]
    assert said[-1] == "Of 11 more pairs nothing is said here." and len(said) == 11


def test_a_training_is_remembered_as_it_was_recorded(tmp_path):
    run = lora_run(load_experiment("miniature"), "cfg1", results_dir=tmp_path)
    run.output_dir.mkdir(parents=True)
    assert trained_with(run.output_dir) == {}
    (run.output_dir / "run.json").write_text(json.dumps({"identity": {"adapter.rank": 16}}))
    assert trained_with(run.output_dir)["adapter.rank"] == 16
    for damaged in ("{", "[]", '{"identity": 3}'):
        (run.output_dir / "run.json").write_text(damaged)
        assert trained_with(run.output_dir) == {}
