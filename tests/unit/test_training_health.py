"""Trainings that go wrong say so: by their curve, in the progress line, in ``run.json``, in the exit status."""

import json
import math
import random
from itertools import pairwise
from types import SimpleNamespace

import pytest

from tests.tiny_training import SAMPLES, record_of
from trainer.study.experiment import EXPERIMENTS
from trainer.training.health import Trouble, explained, judge_curve, recorded_health, remedy

# Measured on the miniature, every step: cfg1 at its own rate of 2e-3, and at five times that.
CFG1 = [0.193, 0.113, 0.077, 0.03, 0.075, 0.046, 0.032, 0.009, 0.026, 0.018, 0.033, 0.033, 0.041, 0.019, 0.022, 0.044,
        0.05, 0.016, 0.046, 0.028, 0.015, 0.009, 0.009, 0.009, 0.034, 0.012, 0.029, 0.024, 0.009, 0.147, 0.009, 0.016,
        0.02, 0.017, 0.006, 0.056, 0.008, 0.006, 0.014, 0.022, 0.006, 0.028, 0.011, 0.008, 0.076, 0.003, 0.051, 0.026,
        0.009, 0.003, 0.003, 0.007, 0.009, 0.014, 0.013, 0.021, 0.013, 0.008, 0.027, 0.001, 0.009, 0.006, 0.001, 0.031,
        0.003, 0.049, 0.014, 0.016, 0.022, 0.043, 0.004, 0.008, 0.01, 0.009, 0.006]  # fmt: skip
FIVE_TIMES = [0.193, 0.074, 0.047, 0.062, 0.161, 0.059, 0.143, 0.171, 0.154, 0.13, 0.162, 0.19, 0.23, 0.207, 0.225,
              0.311, 0.174, 0.174, 0.19, 0.126, 0.125, 0.165, 0.141, 0.175, 0.174, 0.248, 0.23, 0.148, 0.245, 0.342,
              0.103, 0.144, 0.126, 0.138, 0.116, 0.206, 0.097, 0.079, 0.076, 0.187, 0.136, 0.166, 0.085, 0.107, 0.158,
              0.124, 0.133, 0.133, 0.126, 0.081, 0.115, 0.085, 0.064, 0.049, 0.162, 0.138, 0.098, 0.204, 0.081, 0.069,
              0.059, 0.062, 0.035, 0.063, 0.034, 0.104, 0.046, 0.063, 0.038, 0.089, 0.037, 0.041, 0.065, 0.015,
              0.04]  # fmt: skip

# Of Qwen2.5-Coder-1.5B, trained on Spider at 6e-4 and rank 64: the median of every ten steps of 775.
AT_6E_4 = [0.24, 0.25, 0.34, 0.35, 0.37, 0.38, 0.33, 0.3, 0.44, 0.33, 0.4, 0.38, 0.41, 0.38, 0.36, 0.49, 0.37, 0.36,
          0.34, 0.32, 0.41, 0.39, 0.31, 0.42, 0.29, 0.28, 0.33, 0.28, 0.52, 0.32, 0.28, 0.32, 0.3, 0.24, 0.31, 0.29,
          0.28, 0.21, 0.22, 0.21, 0.16, 0.18, 0.21, 0.16, 0.16, 0.19, 0.19, 0.17, 0.16, 0.13, 0.13, 0.14, 0.1, 0.15,
          0.12, 0.09, 0.1, 0.13, 0.11, 0.11, 0.07, 0.12, 0.08, 0.07, 0.08, 0.06, 0.07, 0.07, 0.07, 0.05, 0.08, 0.07,
          0.06, 0.05, 0.07, 0.07, 0.07, 0.08]  # fmt: skip


def noisy(levels: list[float], seed: int = 0) -> list[float]:
    """Batches that differ by a fifth, as those of real questions do."""
    draws = random.Random(seed)
    return [level * math.exp(draws.gauss(0, 0.2)) for level in levels]


def fall(start: float, end: float, steps: int) -> list[float]:
    return [end + (start - end) * math.exp(-6 * step / steps) for step in range(steps)]


def tenfold(levels: list[float]) -> list[float]:
    return [level for level in levels for _ in range(10)]


LEARNED = fall(0.6, 0.1, 220)


@pytest.mark.parametrize(
    ("losses", "troubles"),
    [
        pytest.param(CFG1, [], id="miniature"),
        pytest.param(FIVE_TIMES, [Trouble.SPIKED], id="miniature-five-times-the-rate"),
        pytest.param(FIVE_TIMES[:40], [Trouble.DIVERGED], id="miniature-before-it-came-back"),
        pytest.param(tenfold(AT_6E_4), [Trouble.SPIKED], id="spider-at-6e-4"),
        pytest.param(tenfold(AT_6E_4[:30]), [Trouble.DIVERGED], id="spider-at-6e-4-before-it-came-back"),
        pytest.param(noisy(LEARNED + [2.6] * 45 + [0.1] * 35), [Trouble.SPIKED], id="late-and-back"),
        pytest.param(noisy(LEARNED + [2.6] * 70 + [0.1] * 12), [Trouble.SPIKED], id="back-just-before-its-end"),
        pytest.param(noisy(LEARNED + [2.6] * 10), [Trouble.DIVERGED], id="in-its-last-ten-steps"),
        pytest.param(noisy([0.01] * 60 + [0.4] * 20 + [0.01] * 60), [Trouble.SPIKED], id="known-before-and-spiked"),
        pytest.param(noisy(LEARNED + [2.6] * 5 + [0.1] * 60), [], id="one-block"),
        pytest.param(noisy([1.0] * 5 + [3.0] * 95), [Trouble.DIVERGED], id="above-its-start"),
        pytest.param(noisy(fall(0.6, 0.1, 60) + [2.6] * 60), [Trouble.DIVERGED], id="to-2.6-as-in-the-first-study"),
        pytest.param([1.0] + [8.0] * 30, [Trouble.DIVERGED], id="within-the-first-steps"),
        pytest.param(noisy([0.8] * 100), [Trouble.NEVER_LEARNED], id="flat"),
        pytest.param(fall(1.0, 0.1, 60) + [0.4] * 20, [Trouble.ABOVE_BEST], id="far-above-its-best"),
        pytest.param([1.0, math.nan, *[1.0] * 30], [Trouble.NOT_FINITE], id="nan"),
        pytest.param([1.0, math.inf], [Trouble.NOT_FINITE], id="infinite-at-once"),
        pytest.param(CFG1[20:], [], id="known-before"),
        pytest.param([1.0, *[0.3] * 40], [], id="learned-at-once"),
        pytest.param([1.0, 5.0, 9.0, 12.0], [], id="too-short-to-tell"),
        pytest.param([], [], id="nothing"),
    ],
)
def test_a_curve_says_how_the_training_went(losses, troubles):
    assert list(judge_curve(losses).troubles) == troubles


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("steps", [20, 60, 400])
def test_noise_is_no_trouble(seed, steps):
    losses = noisy(fall(1.2, 0.15, steps), seed)
    assert judge_curve(losses).troubles == ()
    assert not any(judge_curve(losses[:done], ended=False).troubles for done in range(0, steps, 7))


def test_gradients_explode_by_their_norm_before_clipping():
    losses, calm = fall(1.0, 0.2, 60), [0.5] * 60
    rising = [0.5 * 1.1**step for step in range(60)]
    assert judge_curve(losses, calm).troubles == ()
    assert judge_curve(losses, rising).troubles == (Trouble.EXPLODING,)
    assert judge_curve(losses, [30.0] * 60).troubles == ()  # large throughout: the model's own way
    assert judge_curve(losses, [*calm[:-1], math.inf]).troubles == ()  # float16's scaler
    assert not judge_curve(losses, rising).failed


def test_a_training_that_goes_on_is_named_for_what_cannot_wait():
    assert judge_curve([0.8] * 40, ended=False).troubles == ()
    first = next(done for done in range(75) if judge_curve(FIVE_TIMES[:done], ended=False).troubles)
    assert first <= 25


@pytest.mark.parametrize("seed", range(10))
def test_what_is_said_of_a_running_training_stays_until_it_is_over(seed):
    """It comes once and goes once, however much batches differ."""
    losses = noisy(tenfold(AT_6E_4), seed)
    wrong = [bool(judge_curve(losses[:done], ended=False).troubles) for done in range(len(losses))]
    assert [now for before, now in pairwise(wrong) if now is not before] == [True, False]
    norms = [0.5] * 30 + [9.0, 9.0, 12.0, 12.0, 12.0] * 10 + [0.5] * 40
    wrong = [bool(judge_curve([0.1] * done, norms[:done], ended=False).troubles) for done in range(len(norms))]
    assert [now for before, now in pairwise(wrong) if now is not before] == [True, False]


def test_gradients_that_explode_late_are_named_and_those_that_calmed_down_are_not():
    losses = fall(1.0, 0.2, 200)
    assert judge_curve(losses, [0.5] * 185 + [80.0] * 15).troubles == (Trouble.EXPLODING,)
    assert judge_curve(losses, [0.5] * 150 + [80.0] * 28 + [0.5] * 22).troubles == ()


def test_what_went_wrong_is_said_with_its_numbers():
    assert explained(judge_curve(FIVE_TIMES)) == (
        "it spiked on the way (loss 0.19 at its start, 0.046 at its best, 0.24 at its highest around step 28, 0.062 at "
        "its end)"
    )
    running = explained(judge_curve(FIVE_TIMES[:30], ended=False), ended=False)
    assert running.startswith("it is diverging (loss 0.19 at its start") and running.endswith(" now)")
    assert explained(judge_curve(CFG1)) == ""


def test_the_remedy_is_that_of_the_trouble():
    lower = "Lower learning_rate or raise warmup_steps"
    assert remedy(judge_curve(FIVE_TIMES)) == (
        f"What the model knew before may have suffered in it. Where it has, {lower[0].lower()}{lower[1:]}"
    )
    assert remedy(judge_curve(FIVE_TIMES[:40])) == remedy(judge_curve([1.0, math.nan])) == lower
    assert remedy(judge_curve([0.8] * 100)) == "Raise learning_rate or epochs"
    above = judge_curve([0.3] * 5 + [0.42] * 100)
    assert (above.troubles, remedy(above)) == ((Trouble.NEVER_LEARNED,), lower)


@pytest.mark.parametrize(
    "contents",
    ["", "[]", "{}", '{"training": null}', '{"training": {"loss": "abc"}}', '{"training": {"loss": []}}',
     '{"training": {"loss": [1], "grad_norm": 3}}', '{"training": {"loss": [[1]]}}'],
)  # fmt: skip
def test_a_record_without_a_curve_says_nothing(tmp_path, contents):
    (tmp_path / "run.json").write_text(contents)
    assert recorded_health(tmp_path) is None


def test_a_record_of_before_is_judged_by_its_losses(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"training": {"loss": FIVE_TIMES}}))
    assert recorded_health(tmp_path).troubles == (Trouble.SPIKED,)
    assert recorded_health(tmp_path, steps=40).troubles == (Trouble.DIVERGED,)
    assert recorded_health(tmp_path, steps=8).troubles == ()


def test_divergence_stands_in_the_progress_line_at_once(capsys):
    from trainer.training.progress import StepReport

    report = StepReport("cfg1 seed 42", [1] * 75, visible=True)
    state, arguments = SimpleNamespace(global_step=0, log_history=[]), SimpleNamespace(fp16=False, output_dir="")
    report.on_train_begin(arguments, state, None)
    for loss in FIVE_TIMES[:25]:
        state.log_history.append({"loss": loss})
        report.on_log(arguments, state, None, logs={"loss": loss, "grad_norm": 1.0})
    report.close()
    assert "CAREFUL: it is diverging (loss 0.19 at its start" in capsys.readouterr().err


def test_a_training_is_recorded_with_its_health_and_ends_in_status_0(train, capsys):
    status, adapters = train("cfg1")
    record = record_of(adapters / "cfg1-seed42-n8")
    assert status == 0
    assert (record["health"]["steps"], record["health"]["troubles"]) == (2, [])
    assert len(record["training"]["grad_norm"]) == len(record["training"]["loss"]) == 2
    assert all(norm > 0 for norm in record["training"]["grad_norm"])
    assert "CAREFUL" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("losses", "expected", "said"), [(FIVE_TIMES[:40], 1, "it diverged"), (FIVE_TIMES, 0, "it spiked on the way")]
)
def test_an_adapter_whose_training_diverged_is_named_and_the_status_is_1(train, capsys, losses, expected, said):
    """Each time that it is asked for: a job that runs the same command again must not turn green."""
    _, adapters = train("cfg1")
    record = record_of(adapters / "cfg1-seed42-n8")
    record["training"]["loss"] = losses
    (adapters / "cfg1-seed42-n8" / "run.json").write_text(json.dumps(record))
    status, _ = train("cfg1", results=adapters.parents[1])
    out = capsys.readouterr().out
    assert status == expected
    assert "cfg1 seed 42: already trained" in out and f"cfg1 seed 42: CAREFUL: {said} (loss 0.19 at" in out
    assert f"--max-train-samples {SAMPLES} --find-lr" in out


@pytest.mark.slow
def test_the_miniature_diverges_at_ten_times_its_rate(tmp_path, capsys):
    """Twenty-four steps; at its own rate the same training is well."""
    from trainer.__main__ import main

    for rate, status in (("2e-2", 1), ("2e-3", 0)):
        path = tmp_path / f"rate{rate}.toml"
        text = (EXPERIMENTS / "miniature.toml").read_text().replace("batch_size = 16", "batch_size = 4")
        path.write_text(text.replace("learning_rate = 2e-3\nepochs = 1", f"learning_rate = {rate}\nepochs = 8"))
        options = ["--experiment", str(path), "--results", str(tmp_path), "--max-train-samples", "12"]
        assert main(["cfg1", *options]) == status
        captured = capsys.readouterr()
        assert ("CAREFUL: it diverged" in captured.out) == ("CAREFUL: it is diverging" in captured.err) == bool(status)
