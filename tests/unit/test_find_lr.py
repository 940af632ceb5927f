"""``--find-lr``: the rule on curves whose answer is known, the text plot, and a sweep of a tiny model."""

import json
import math

import pytest

from trainer.run import lora_run
from trainer.study.experiment import load_experiment
from trainer.training.find_lr import HIGHEST, LOWEST, STEPS, Sweep
from trainer.training.sweep_lines import sweep_lines

RATES = [LOWEST * (HIGHEST / LOWEST) ** (step / (STEPS - 1)) for step in range(STEPS)]


def valley(falls: float, rises: float) -> Sweep:
    """A loss of 1 that falls to 0.1 around one rate and rises to 2 around another, steps of a decade's third wide."""
    losses = []
    for rate in RATES:
        down = 1 / (1 + math.exp(-6 * math.log10(rate / falls)))
        up = 1 / (1 + math.exp(-6 * math.log10(rate / rises)))
        losses.append(math.exp(down * math.log(0.1) + up * math.log(20)))
    return Sweep(RATES, losses)


@pytest.fixture
def run(tmp_path):
    return lora_run(load_experiment("miniature"), "cfg1", results_dir=tmp_path)


@pytest.mark.parametrize("rises", [1e-3, 5e-3, 2e-2])
def test_a_tenth_of_the_rate_from_which_the_loss_rises_is_proposed(rises):
    assert valley(rises / 10, rises).proposed == pytest.approx(rises / 10, rel=0.35)


def test_one_bad_batch_moves_nothing():
    sweep = valley(1e-4, 5e-3)
    spiked = Sweep(sweep.rates, [loss * (5 if place == 40 else 1) for place, loss in enumerate(sweep.losses)])
    assert spiked.proposed == pytest.approx(sweep.proposed, rel=0.1)


def test_a_loss_that_never_falls_proposes_nothing(run):
    sweep = Sweep(RATES, [1.0] * STEPS)
    assert sweep.proposed is None
    assert "nothing proposed: the loss never fell" in sweep_lines(run, sweep)[-2]


def test_the_curve_is_shown_with_the_proposal_and_the_configured_rate(run):
    lines = sweep_lines(run, valley(5e-4, 5e-3))
    assert all(len(line) <= 80 for line in lines)
    assert sum(line.count("*") for line in lines) >= 50
    axis, mark = next((lines[place], lines[place + 1]) for place, line in enumerate(lines) if "+1e-5" in line)
    assert axis.index("+1e-4") < mark.index("^") < axis.index("+1e-3")
    assert lines[-3] == "  proposed: 0.00042, a tenth of the rate from which the loss rises (4.2e-03)"
    assert "configured: 0.002, " in lines[-2] and "times the proposal" in lines[-2]


def test_a_configured_rate_at_which_the_loss_rises_is_named(run):
    assert "the loss rises there: lower it" in sweep_lines(run, valley(1e-5, 1e-4))[-2]


def test_a_sweep_shows_its_curve_and_keeps_no_adapter(train, tmp_path, capsys):
    status, adapters = train("cfg1", "cfg1:7", "--find-lr", results=tmp_path)
    written = json.loads((tmp_path / "tiny" / "find-lr.json").read_text())
    out = capsys.readouterr().out
    assert status == 0
    assert not adapters.exists()
    assert list(written) == ["cfg1-seed42"]  # seeds share a configuration's rate
    own = written["cfg1-seed42"]
    assert own["configured"] == 1e-2 and (own["proposed"] is None or LOWEST / 10 <= own["proposed"] <= HIGHEST / 10)
    assert own["rates"][0] == LOWEST and len(own["rates"]) == len(own["losses"]) == len(own["smoothed"]) > 5
    assert "cfg1: loss at learning rates from 1e-05 to" in out and "configured: 0.01" in out
    train("cfg2", "--find-lr", results=tmp_path)
    assert list(json.loads((tmp_path / "tiny" / "find-lr.json").read_text())) == ["cfg1-seed42", "cfg2-seed42"]
