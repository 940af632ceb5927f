"""Whether a training went well, from its curve of losses and gradient norms alone. Imports no torch.

Best and end are medians over a window, a fifth of the steps and ten at the least: the loss of a step is that of its
batch alone, and on a task that is nearly learned one hard question multiplies it by ten. The thresholds are our own.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from trainer.study.outside import read_json

_WINDOW = 10  # steps at the least
_FEWEST = 2 * _WINDOW  # steps: with fewer a window is most of the training, and nothing is said but that one is NaN
# The first loss is that of the base model, and the only one. Its batch may be a lucky one, so that those of the first
# steps count up to twice as much; no more, since a training may diverge within them.
_BLOCK, _LUCK = 5, 2.0
# Loss against that at the start: batches differ by some 20 %, so half as much again is no chance.
_CHANCE, _NO_CHANCE = 1.2, 1.5
# A rise begins where for two blocks of steps the loss is above that; or is twice its best so far, with more than half
# of its fall lost again. On the miniature it is 23 % at 4e-3, where training ends well, and 84 % at 1e-2.
_ABOVE_BEST, _LOST_AGAIN = 2.0, 0.5
# And it is over where for six blocks the loss has been below its start, and has a quarter of its fall to make up at
# most, or what batches differ by: one lucky block is no return, and a bound far below the other keeps what is said of a
# running training from coming and going.
_RETURN = 6
_LOST_AT_THE_END = 0.25
# The shares by which the loss must have fallen from the median of the first steps, or else from the first one, which
# is of one batch only; but most of a fall may be within those steps.
_LEARNED, _LEARNED_AT_ONCE = 0.05, 0.25
# A start below this counts as this: the task was known before, and what is left are single hard questions.
_KNOWN = 0.05
# Gradients of such a norm are clipped to a tenth or less where max_grad_norm is 1, its default; ten times their own
# norm at the start sets a rise apart from a model whose gradients are large throughout. It is over at half of that.
_EXPLODED, _EXPLODED_TIMES = 10.0, 10.0


class Trouble(StrEnum):
    """What may be wrong with a training, the gravest first."""

    NOT_FINITE = "not finite"
    DIVERGED = "diverged"
    EXPLODING = "exploding gradients"
    NEVER_LEARNED = "never learned"
    ABOVE_BEST = "ended far above its best"
    SPIKED = "spiked"


# After these the trainer's exit status is 1: the weights are worth less than those in the middle of the training, or
# none. The others are warnings.
FAILURES = frozenset({Trouble.NOT_FINITE, Trouble.DIVERGED})
_MEANT = {
    Trouble.NOT_FINITE: "its loss was no number",
    Trouble.DIVERGED: "it diverged",
    Trouble.EXPLODING: "its gradients exploded",
    Trouble.NEVER_LEARNED: "it never learned",
    Trouble.ABOVE_BEST: "it ended far above its best",
    Trouble.SPIKED: "it spiked on the way",
}
_MEANT_NOW = {Trouble.DIVERGED: "it is diverging", Trouble.EXPLODING: "its gradients are exploding"}


@dataclass(frozen=True)
class Health:
    """A curve in few numbers: the smoothed loss at its ``start``, ``best`` and ``end``, None of too short a curve.

    ``highest``: to where it rose, around ``highest_step``, where it diverged or spiked. ``grad_norm``: at the end,
    before clipping; None where it was not recorded.
    """

    steps: int
    start: float | None = None
    best: float | None = None
    highest: float | None = None
    highest_step: int | None = None
    end: float | None = None
    grad_norm: float | None = None
    troubles: tuple[Trouble, ...] = ()

    @property
    def failed(self) -> bool:
        return not FAILURES.isdisjoint(self.troubles)

    @property
    def ended_well(self) -> bool:
        """Whether all that is to be said of it was over at its end."""
        return set(self.troubles) <= {Trouble.SPIKED}

    @property
    def record(self) -> dict[str, Any]:
        """As ``run.json`` has it."""
        return {**asdict(self), "troubles": [str(trouble) for trouble in self.troubles]}


class _Rise(NamedTuple):
    """The blocks of a rise, and the value below which it is over."""

    blocks: range
    bound: float
    over: bool


def judge_curve(losses: Sequence[float], grad_norms: Sequence[float] = (), *, ended: bool = True) -> Health:
    """The health of a training with these losses and gradient norms, one a step.

    Without ``ended`` the training goes on: what cannot wait is named, until it is over. Norms that are no numbers are
    left out: in float16 those of some steps overflow by design.
    """
    steps = len(losses)
    if not all(map(math.isfinite, losses)):
        return Health(steps, troubles=(Trouble.NOT_FINITE,))
    if steps < _FEWEST:
        return Health(steps)
    window = max(_WINDOW, steps // 5)
    start = max(losses[0], min(median(losses[:_BLOCK]), _LUCK * losses[0]))
    level = max(start, _KNOWN)
    blocks = _blocks(losses)
    rises = _rises(blocks, start, lambda best: _loss_bounds(level, best))
    end = _end(losses, rises)
    # Windows overlap by three quarters; one from every step on would cost a long training time at each step.
    ends = [*range(window, steps, max(1, window // 4)), steps]
    best = min(start, end, *(median(losses[last - window : last]) for last in ends))
    found = []
    if _is_up(rises, end, _loss_bounds(level, best)[0], ended=ended):
        found.append(Trouble.DIVERGED)
    norm, exploding = _norm(grad_norms, ended=ended)
    found += [Trouble.EXPLODING] if exploding else []
    if ended and Trouble.DIVERGED not in found:
        slow = end > (1 - _LEARNED) * median(losses[:_BLOCK]) and end > (1 - _LEARNED_AT_ONCE) * level
        found += [Trouble.NEVER_LEARNED] if slow else _of_the_end(level, best, end)
        found += [Trouble.SPIKED] if rises else []
    place = max((place for rise in rises for place in rise.blocks), key=blocks.__getitem__, default=None)
    highest, at = (None, None) if place is None else (blocks[place], _BLOCK * place + _BLOCK // 2 + 1)
    return Health(steps, start, best, highest, at, end, norm, tuple(found))


def _blocks(values: Sequence[float]) -> list[float]:
    return [median(values[place : place + _BLOCK]) for place in range(0, len(values) - _BLOCK + 1, _BLOCK)]


def _loss_bounds(level: float, best: float) -> tuple[float, float]:
    """Where a rise from ``best`` begins, and where it is over, in a training that began at ``level``."""
    fall = level - best
    return (
        min(max(_ABOVE_BEST * best, best + _LOST_AGAIN * fall), _NO_CHANCE * level),
        min(max(_NO_CHANCE * best, best + _LOST_AT_THE_END * fall), level),
    )


def _rises(blocks: Sequence[float], best: float, bounds: Callable[[float], tuple[float, float]]) -> list[_Rise]:
    """Where ``blocks`` rose from their best so far, at first ``best``; the last rise may not be over."""
    found, first = [], None
    for place in range(1, len(blocks)):
        begins, over = bounds(best)
        if first is None:
            if min(blocks[place - 1 : place + 1]) > begins:
                first = place - 1
            else:
                best = min(best, blocks[place - 1])
        elif max(blocks[max(0, place + 1 - _RETURN) : place + 1]) <= over:
            found.append(_Rise(range(first, place + 1 - _RETURN), over, over=True))
            first = None
    return found if first is None else [*found, _Rise(range(first, len(blocks)), bounds(best)[1], over=False)]


def _end(values: Sequence[float], rises: Sequence[_Rise]) -> float:
    """The median of the last window. Where there was a rise in it, of what is behind; where one goes on, of the last
    ten or twenty steps, the higher: neither its beginning nor a few lucky steps may hide it.
    """
    first = len(values) - max(_WINDOW, len(values) // 5)
    risen = _BLOCK * rises[-1].blocks.stop if rises else 0
    if risen <= first or rises[-1].over:
        return median(values[max(first, risen) :])
    return max(median(values[-_WINDOW:]), median(values[-_FEWEST:]))


def _is_up(rises: Sequence[_Rise], end: float, begins: float, *, ended: bool) -> bool:
    """Whether the last rise goes on; of a training that ended, its end decides, also where none was held."""
    going_on = bool(rises) and not rises[-1].over
    return end > (rises[-1].bound if going_on else begins) if ended else going_on


def _norm(grad_norms: Sequence[float], *, ended: bool) -> tuple[float | None, bool]:
    """The gradients' norm at the end, and whether it exploded."""
    norms = [norm for norm in grad_norms if math.isfinite(norm)]
    if len(norms) < _FEWEST:
        return None, False
    begins = max(_EXPLODED, _EXPLODED_TIMES * median(norms[:_BLOCK]))
    rises = _rises(_blocks(norms), 0.0, lambda _: (begins, begins / 2))
    end = _end(norms, rises)
    return end, _is_up(rises, end, begins, ended=ended)


def _of_the_end(start: float, best: float, end: float) -> list[Trouble]:
    above = end > _ABOVE_BEST * best and end - best > _LOST_AT_THE_END * (start - best)
    return [Trouble.ABOVE_BEST] if above else []


def explained(health: Health, *, ended: bool = True) -> str:
    """What went wrong with the numbers that show it, ``it diverged (loss 1.5 at its start, ...)``; empty where all went
    well. Without ``ended`` in words for a training that goes on.
    """
    meant = _MEANT if ended else {**_MEANT, **_MEANT_NOW}
    said = " and ".join(meant[trouble] for trouble in health.troubles)
    shown = _shown(health, "at its end" if ended else "now")
    return f"{said} ({shown})" if said and shown else said


def _shown(health: Health, end: str) -> str:
    """``loss 0.19 at its start, 0.0086 at its best, 0.009 at its end``; empty of too short a curve."""
    if health.start is None:
        return ""
    highest = "at its highest" + (f" around step {health.highest_step}" if health.highest_step else "")
    values = (health.start, health.best, health.highest, health.end)
    places = ("at its start", "at its best", highest, end)
    pairs = zip(values, places, strict=True)
    said = "loss " + ", ".join(f"{value:.2g} {place}" for value, place in pairs if value is not None)
    exploding = Trouble.EXPLODING in health.troubles and health.grad_norm is not None
    return f"{said}; gradient norm {health.grad_norm:.2g} {end}" if exploding else said


def remedy(health: Health) -> str:
    """What to change before it is trained again."""
    if health.ended_well:
        told = "What the model knew before may have suffered in it. Where it has, lower"
    elif _is_slow(health):
        return "Raise learning_rate or epochs"
    else:
        told = "Lower"
    return f"{told} learning_rate or raise warmup_steps"


def _is_slow(health: Health) -> bool:
    """Whether it wants more training: a loss that stays above its start, or has been far above, wants a lower rate."""
    if Trouble.NEVER_LEARNED not in health.troubles or Trouble.SPIKED in health.troubles:
        return False
    return health.start is None or health.end is None or health.end <= _CHANCE * health.start


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
