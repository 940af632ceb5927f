"""What ``--find-lr`` shows: the curve as a small text plot, the proposal, and the configured rate beside it."""

import math

from trainer.run import LoraRun
from trainer.training.find_lr import Sweep

_COLUMNS, _ROWS = 60, 12


def sweep_lines(run: LoraRun, sweep: Sweep) -> list[str]:
    """The plot and what follows from it, in lines of at most 80 columns."""
    return [f"{run.adapter}: loss at learning rates from {sweep.rates[0]:.0e} to {sweep.rates[-1]:.1e}",
            *_plot(sweep), *_said(sweep, run)]  # fmt: skip


def _plot(sweep: Sweep) -> list[str]:
    """Smoothed losses as ``*`` on logarithmic axes; ``^`` under the rate that is proposed."""
    logs, rates = [math.log(loss) for loss in sweep.smoothed], [math.log10(rate) for rate in sweep.rates]
    low, high = min(logs), max(logs)
    rows = [[" "] * _COLUMNS for _ in range(_ROWS)]
    for rate, loss in zip(rates, logs, strict=True):
        rows[_place(loss, high, low, _ROWS)][_place(rate, rates[0], rates[-1], _COLUMNS)] = "*"
    labels = {0: f"{math.exp(high):.2g}", _ROWS - 1: f"{math.exp(low):.2g}"}
    lines = [f"  {labels.get(place, ''):>8} |{''.join(row)}".rstrip() for place, row in enumerate(rows)]
    return [*lines, _axis(rates), *_mark(sweep, rates)]


def _axis(rates: list[float]) -> str:
    """A cross and its exponent at every power of ten."""
    axis = ["-"] * _COLUMNS
    for exponent in range(math.ceil(rates[0]), math.floor(rates[-1]) + 1):
        label = f"+1e{exponent}"
        place = _place(exponent, rates[0], rates[-1], _COLUMNS)
        if place + len(label) <= _COLUMNS:
            axis[place : place + len(label)] = label
    return f"  {'':>8} |{''.join(axis)}"


def _mark(sweep: Sweep, rates: list[float]) -> list[str]:
    if sweep.proposed is None:
        return []
    return [f"  {'':>8}  {' ' * _place(math.log10(sweep.proposed), rates[0], rates[-1], _COLUMNS)}^ proposed"]


def _place(value: float, first: float, last: float, count: int) -> int:
    """Which of ``count`` places between ``first`` and ``last`` a value has."""
    share = (value - first) / (last - first) if last != first else 0.0
    return min(count - 1, max(0, round(share * (count - 1))))


def _said(sweep: Sweep, run: LoraRun) -> list[str]:
    configured = run.settings.learning_rate
    if sweep.proposed is None:
        return ["  nothing proposed: the loss never fell", f"  configured: {configured:g}"]
    times = configured / sweep.proposed
    beside = f"{times:.2g} times the proposal" if round(times, 1) != 1 else "the proposal itself"
    if configured >= sweep.rises_at:
        beside += ", and the loss rises there: lower it"
    end = ", the last" if sweep.rises_at == sweep.rates[-1] else ""
    return [
        f"  proposed: {sweep.proposed:g}, a tenth of the rate from which the loss rises ({sweep.rises_at:.1e}{end})",
        f"  configured: {configured:g}, {beside}",
        "  a guide to the order of magnitude (Smith 2017, arXiv 1506.01186; fastai)",
    ]
