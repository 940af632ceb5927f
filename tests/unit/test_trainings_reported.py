"""A training that went wrong is named beside the numbers, in every view; the measurement stands all the same."""

import json
import sys

import pytest

from fixtures.adapters.specs import parse_adapters
from fixtures.questions.plugin import BUILT_IN
from fixtures.report.article.method import methodology
from fixtures.report.model_card import model_card
from fixtures.report.page import report_section
from fixtures.report.sentences import recommendation
from fixtures.report.summary_lines import summary_lines
from fixtures.results.curve import Curve, curve_of
from fixtures.results.manifest import Manifest
from fixtures.results.summary import summarise
from fixtures.results.types import Summary
from fixtures.study.training import progress_shown, train_missing
from trainer.study.experiment import load_experiment
from trainer.training.health import Trouble

CAREFUL = (
    "Careful: the training of cfg1 went wrong: it diverged (loss 0.6 at its start, 0.1 at its best, 2.6 at its end). "
    "Its numbers are those of these weights, not of what the configuration can do. "
    "Lower learning_rate or raise warmup_steps and train it again."
)
WELL = Curve(steps=80, start=0.6, best=0.1, end=0.1)
DIVERGED = Curve(steps=80, start=0.6, best=0.1, end=2.6, troubles=[Trouble.DIVERGED])
SPIKED = Curve(steps=80, start=0.6, best=0.1, highest=2.6, highest_step=23, end=0.1, troubles=[Trouble.SPIKED])


@pytest.fixture
def study(made_up_study, made_up_manifest):
    """``study(cfg1=DIVERGED)``: summary, rows and manifest of base and two configurations, trained like this."""

    def make(**trainings):
        _, rows = made_up_study(*[{"base": range(100), "cfg1": range(110), "cfg2": range(105)}] * 2)
        manifest = made_up_manifest(["base", "cfg1", "cfg2"])
        measured = summarise(rows, BUILT_IN, manifest.score_sets, {"spider": 200, "mmlu": 150}, 0.05)
        revisions = dict.fromkeys(("spider", "mmlu"), "0123")
        return Summary(experiment="curves", trainings=trainings, revisions=revisions, **measured), rows, manifest

    return make


def test_a_training_that_went_wrong_is_part_of_the_verdict_in_every_view(study):
    summary, rows, manifest = study(cfg1=DIVERGED, cfg2=WELL)
    assert CAREFUL in recommendation(summary, BUILT_IN)
    printed = " ".join(" ".join(line.text for line in summary_lines(summary, rows, BUILT_IN)).split())
    assert CAREFUL in printed
    assert CAREFUL in report_section(summary, rows, manifest, BUILT_IN)


def test_a_training_that_spiked_ended_well_and_is_told_of(study):
    summary, rows, manifest = study(cfg1=SPIKED, cfg2=WELL)
    said = (
        "Careful: the training of cfg1 ended well, but it spiked on the way (loss 0.6 at its start, 0.1 at its best, "
        "2.6 at its highest around step 23, 0.1 at its end). What the model knew before may have suffered in it. Where "
        "it has, lower learning_rate or raise warmup_steps and train it again."
    )
    assert said in recommendation(summary, BUILT_IN)
    assert '"0.6 to 0.1 (spiked)"' in json.dumps(methodology(summary, rows, manifest, BUILT_IN))


def test_the_scales_of_one_adapter_are_one_training(made_up_study):
    slugs = ["base", "cfg1-x0", "cfg1-x0.5", "cfg1"]
    trainings = dict.fromkeys(slugs[1:], DIVERGED)
    summary, _ = made_up_study(*[{slug: range(100) for slug in slugs}] * 2, trainings=trainings)
    assert [said for said in recommendation(summary, BUILT_IN) if "went wrong" in said] == [CAREFUL]


def test_a_card_says_so_of_its_own_adapter(study, tmp_path):
    experiment = load_experiment("miniature")
    summary, *_ = study(cfg1=DIVERGED, cfg2=WELL)
    cards = [model_card(one, experiment, summary, BUILT_IN) for one in parse_adapters([], experiment, tmp_path)[1:]]
    assert ["the training of cfg1 went wrong" in card for card in cards] == [True, False]


def test_the_paper_has_the_losses_beside_the_settings(study):
    summary, rows, manifest = study(cfg1=DIVERGED, cfg2=WELL)
    said = json.dumps(methodology(summary, rows, manifest, BUILT_IN))
    assert '"training loss, first to last", "0.6 to 2.6 (diverged)", "0.6 to 0.1"' in said


@pytest.mark.parametrize("trainings", [{}, {"cfg1": WELL}, {"other": DIVERGED}, {"cfg1": Curve(steps=4)}])
def test_nothing_is_said_of_trainings_that_went_well_or_are_not_known(study, trainings):
    summary, rows, _ = study(**trainings)
    assert not any("training" in text for text in recommendation(summary, BUILT_IN))
    assert "went wrong" not in " ".join(line.text for line in summary_lines(summary, rows, BUILT_IN))


def test_a_manifest_of_before_has_no_curves(made_up_manifest):
    contents = made_up_manifest(["base", "cfg1"]).model_dump(mode="json")
    for record in contents["adapters"].values():
        del record["training"]
    assert Manifest(**contents).adapters["cfg1"].training is None


@pytest.fixture
def adapter(tmp_path):
    (found,) = parse_adapters(["cfg1"], load_experiment("miniature"), tmp_path)
    return found


def write_losses(folder, losses):
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"training": {"loss": losses}}))


def test_the_curve_is_that_of_run_json_to_the_step_of_a_checkpoint(adapter, tmp_path):
    assert curve_of(adapter) is None
    write_losses(adapter.folder, [1.0, *[0.2] * 30, *[5.0] * 30])
    (checkpoint,) = parse_adapters(["cfg1@step-30"], load_experiment("miniature"), tmp_path)
    (folder,) = parse_adapters([str(adapter.folder)], load_experiment("miniature"), tmp_path)
    assert curve_of(adapter).troubles == curve_of(folder).troubles == [Trouble.DIVERGED]
    assert (curve_of(checkpoint).steps, curve_of(checkpoint).troubles) == (30, [])


@pytest.mark.parametrize(("leaves", "fails"), [("an adapter", False), ("nothing", True)])
def test_a_run_goes_on_after_a_training_that_diverged(adapter, tmp_path, monkeypatch, pytestconfig, leaves, fails):
    """The trainer's status is 1 then too, as where the loss became no number and there is nothing to evaluate."""
    folder = adapter.folder
    made = f"mkdir -p {folder}\ntouch {folder}/adapter_model.safetensors\n" if leaves == "an adapter" else ""
    trainer = tmp_path / "python"
    trainer.write_text(f"#!/bin/sh\n{made}exit 1\n")
    trainer.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(trainer))
    if fails:
        with pytest.raises(pytest.UsageError, match=r"training of cfg1 failed \(exit status 1\)"):
            train_missing([adapter], progress_shown(pytestconfig))
    else:
        train_missing([adapter], progress_shown(pytestconfig))
