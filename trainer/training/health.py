"""Whether a training went well, from its curve of losses and gradient norms alone. Imports no torch.

Best and end are medians over a window, a fifth of the steps and ten at the least: the loss of a step is that of its
batch alone, and on a task that is nearly learned one hard question multiplies it by ten. The thresholds are our own.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from itertools import accumulate
from pathlib import Path
from statistics import median
from typing import Any

from trainer.study.outside import read_json

_WINDOW = 10  # steps at the least
_FEWEST = 2 * _WINDOW  # steps: with fewer a window is most of the training, and nothing is said but that one is NaN
# The first loss is that of the base model, and the only one. Its batch may be a lucky one, so that those of the first
# steps count up to twice as much; no more, since a training may diverge within them.
_BLOCK, _LUCK = 5, 2.0
# Loss at the end against that at the start: batches differ by some 20 %, so half as much again is no chance.
_DIVERGED = 1.5
# Or at some time, for two blocks of steps, the loss was twice its best so far, and more than half of its fall was lost
# again. On the miniature it is 23 % at 4e-3, where training ends well, and 84 % at 1e-2.
_LOST_AGAIN = 0.5
# Of what was learned, and beside the best: what the last fifth of the steps may lie above it.
_LOST_AT_THE_END, _ABOVE_BEST = 0.25, 2.0
# The shares by which the loss must have fallen from the median of the first steps, or else from the first one, which
# is of one batch only; but most of a fall may be within those steps.
_LEARNED, _LEARNED_AT_ONCE = 0.05, 0.25
# A start below this counts as this: the task was known before, and what is left are single hard questions.
_KNOWN = 0.05
# Gradients of such a norm are clipped to a tenth or less where max_grad_norm is 1, its default; ten times their own
# norm at the start sets a rise apart from a model whose gradients are large throughout.
_EXPLODED, _EXPLODED_TIMES = 10.0, 10.0


class Trouble(StrEnum):
    """What may be wrong with a training, the gravest first."""

    NOT_FINITE = "not finite"
    DIVERGED = "diverged"
    EXPLODING = "exploding gradients"
    NEVER_LEARNED = "never learned"
    ABOVE_BEST = "ended far above its best"


# After these the trainer's exit status is 1: the weights are worth less than those in the middle of the training, or
# none. The others are warnings.
FAILURES = frozenset({Trouble.NOT_FINITE, Trouble.DIVERGED})
_MEANT = {
    Trouble.NOT_FINITE: "its loss was no number",
    Trouble.DIVERGED: "it diverged",
    Trouble.EXPLODING: "its gradients exploded",
    Trouble.NEVER_LEARNED: "it never learned",
    Trouble.ABOVE_BEST: "it ended far above its best",
}


@dataclass(frozen=True)
class Health:
    """A curve in few numbers: the smoothed loss at its ``start``, ``best`` and ``end``, None of too short a curve.

    ``highest``: to where it rose after it had fallen. ``grad_norm``: at the end, before clipping; None where it was not
    recorded.
    """

    steps: int
    start: float | None = None
    best: float | None = None
    highest: float | None = None
    end: float | None = None
    grad_norm: float | None = None
    troubles: tuple[Trouble, ...] = ()

    @property
    def failed(self) -> bool:
        return not FAILURES.isdisjoint(self.troubles)

    @property
    def record(self) -> dict[str, Any]:
        """As ``run.json`` has it."""
        return {**asdict(self), "troubles": [str(trouble) for trouble in self.troubles]}


def judge_curve(losses: Sequence[float], grad_norms: Sequence[float] = (), *, ended: bool = True) -> Health:
    """The health of a training with these losses and gradient norms, one a step.

    Without ``ended`` the training goes on, and only what cannot wait is named. Norms that are no numbers are left out:
    in float16 those of some steps overflow by design.
    """
    steps = len(losses)
    if not all(map(math.isfinite, losses)):
        return Health(steps, troubles=(Trouble.NOT_FINITE,))
    if steps < _FEWEST:
        return Health(steps)
    window = max(_WINDOW, steps // 5)
    start, end = max(losses[0], min(median(losses[:_BLOCK]), _LUCK * losses[0])), median(losses[-window:])
    # Windows overlap by three quarters; one from every step on would cost a long training time at each step.
    ends = [*range(window, steps, max(1, window // 4)), steps]
    best = min(start, *(median(losses[last - window : last]) for last in ends))
    level = max(start, _KNOWN)
    risen = _risen(losses, level)
    norms = [norm for norm in grad_norms if math.isfinite(norm)]
    norm = median(norms[-window:]) if len(norms) >= _FEWEST else None
    found = []
    if risen is not None or end > _DIVERGED * level:
        found.append(Trouble.DIVERGED)
    if norm is not None and norm > max(_EXPLODED, _EXPLODED_TIMES * median(norms[:_BLOCK])):
        found.append(Trouble.EXPLODING)
    if ended and Trouble.DIVERGED not in found:
        slow = end > (1 - _LEARNED) * median(losses[:_BLOCK]) and end > (1 - _LEARNED_AT_ONCE) * level
        found += [Trouble.NEVER_LEARNED] if slow else _of_the_end(level, best, end)
    return Health(steps, start, best, risen, end, norm, tuple(found))


def _risen(losses: Sequence[float], start: float) -> float | None:
    """The highest loss, held for two blocks of steps, at which more than half of what was learned was lost again."""
    blocks = [median(losses[place : place + _BLOCK]) for place in range(0, len(losses) - _BLOCK + 1, _BLOCK)]
    held = map(min, blocks[1:], blocks[2:])
    bests = accumulate(blocks, min)
    risen = [
        now
        for now, best in zip(held, bests, strict=False)
        if now > _ABOVE_BEST * best and now - best > _LOST_AGAIN * (start - best)
    ]
    return max(risen, default=None)


def _of_the_end(start: float, best: float, end: float) -> list[Trouble]:
    above = end > _ABOVE_BEST * best and end - best > _LOST_AT_THE_END * (start - best)
    return [Trouble.ABOVE_BEST] if above else []


def explained(health: Health) -> str:
    """What went wrong with the numbers that show it, ``it diverged (loss 1.5 at its start, ...)``; empty where all went
    well.
    """
    said = " and ".join(_MEANT[trouble] for trouble in health.troubles)
    return f"{said} ({numbers(health)})" if health.troubles and health.start is not None else said


def numbers(health: Health) -> str:
    """``loss 0.19 at its start, 0.0086 at its best, 0.009 at its end``; empty of too short a curve."""
    if health.start is None:
        return ""
    at = {"start": health.start, "best": health.best, "highest after a fall": health.highest, "end": health.end}
    said = "loss " + ", ".join(f"{value:.2g} at its {name}" for name, value in at.items() if value is not None)
    exploding = Trouble.EXPLODING in health.troubles and health.grad_norm is not None
    return f"{said}; gradient norm {health.grad_norm:.2g} at its end" if exploding else said


def remedy(health: Health) -> str:
    """What to change before it is trained again."""
    slow = Trouble.NEVER_LEARNED in health.troubles
    return "Raise learning_rate or epochs" if slow else "Lower learning_rate or raise warmup_steps"


def recorded_health(folder: Path, steps: int | None = None) -> Health | None:
    """The health of what ``folder/run.json`` records, of its first ``steps``; None where it has no curve.

    The curve is judged anew, so that adapters trained before are judged by the same rule.
    """
    try:
        training = read_json(folder / "run.json")["training"]
        losses = _numbers(training["loss"])
        norms = _numbers([math.nan if norm is None else norm for norm in training.get("grad_norm", [])])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return judge_curve(losses[:steps], norms[:steps]) if losses else None


def _numbers(values: Any) -> list[float]:
    """Raises TypeError, ValueError: it is no list of numbers."""
    return [float(value) for value in values]
