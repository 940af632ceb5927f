"""Changes of accuracy as estimates of what holds beyond these questions, several at once.

numpy and scipy are imported where they are called, so that importing this module costs nothing. Differences are
fractions: a point is 0.01.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from custom_metrics.statistics.evidence import Design, Evidence, gather
from custom_metrics.statistics.family import Family
from custom_metrics.statistics.finding import Few
from custom_metrics.statistics.intervals import altham_p, altham_quantile, tango_ends
from custom_metrics.statistics.paired import SMALLEST

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

ALPHA = 0.05  # of an interval, and of a bound
_FEW_FOR_TANGO = 30  # changes, below which the score interval alone errs up to 8 % on one side


@dataclass(frozen=True)
class Estimate:
    """A change of accuracy with what it leaves open.

    ``n`` questions in ``clusters``; ``seeds``: over how many trainings it is a mean. ``low`` to ``high``: the 95 %
    interval; ``lower`` and ``upper``: one-sided 95 % bounds; ``p``: two-sided, of no change. All three hold for all of
    a ``family`` of so many changes together. ``few``: why they are not of the usual kind, see ``estimate_changes``.
    """

    n: int
    clusters: int
    seeds: int
    family: int
    design: Design
    difference: float
    standard_error: float
    degrees_of_freedom: float
    low: float
    high: float
    lower: float
    upper: float
    p: float
    few: Few = Few.NONE

    def widened(self, down: float, up: float) -> "Estimate":
        """The same where the true answers may lie so much lower or higher than the ones that were counted."""
        lowered = {name: max(-1.0, getattr(self, name) - down) for name in ("low", "lower")}
        return replace(self, **lowered, **{name: min(1.0, getattr(self, name) + up) for name in ("high", "upper")})


def estimate_changes(
    changes: Sequence["ArrayLike"],
    clusters: Sequence[Hashable],
    *,
    stratified: bool = False,
    within: "Sequence[ArrayLike] | None" = None,
) -> list[Estimate]:
    """What each of ``changes`` shows, one or more, as one family: of 100 such families 95 have no interval that misses.

    A change is an array of tuned minus base score (-1, 0 or 1) of n questions, or of shape (seeds, n) for several
    trainings, of which the mean is estimated. ``clusters``: to which each question belongs. ``within``: for each change
    the questions that it is about, as n truth values (default: all).

    - Error by clusters (CR2, Satterthwaite) with t intervals; ``stratified``: within these very clusters, with Tango's
      score interval on as many questions as have the same error, and t quantiles, which for 50 questions of each of
      three subjects errs less often than the t interval, and below 30 changed answers not within Altham's posterior
      either. Chosen by simulation: ``tests/bench/test_coverage.py``.
    - Several seeds: their variance over their number is added, with Satterthwaite's degrees of freedom of the sum.
    - The family: ``Family``.
    - Altham's posterior on as many questions as have the same error at least, where a t interval would not hold: fewer
      than 30 questions, a single cluster, fewer than five answers that changed, or all changed alike. Corrected by
      Bonferroni.

    Raises:
        ValueError: no change, arrays that do not fit ``clusters``, or a change without a question.
    """
    import numpy

    stacks = [numpy.atleast_2d(numpy.asarray(change, float)) for change in changes]
    if not stacks or not len(clusters) or any(stack.shape[1] != len(clusters) for stack in stacks):
        shapes = [stack.shape for stack in stacks]
        raise ValueError(f"expected changes of {len(clusters)} questions, one at least, got arrays of {shapes}")
    if within is not None and (len(within) != len(stacks) or not all(any(mask) for mask in within)):
        raise ValueError(f"expected at least one question for each of {len(stacks)} changes within the {len(clusters)}")
    found = gather(stacks, clusters, within, Design.STRATIFIED if stratified else Design.CLUSTERED)
    few = found.few()
    estimates = _usual(found, [place for place, reason in enumerate(few) if not reason])
    estimates |= {place: _exact(found, place, reason) for place, reason in enumerate(few) if reason}
    return [estimates[place] for place in range(len(stacks))]


def _usual(found: Evidence, places: list[int]) -> dict[int, Estimate]:
    """By t intervals or score intervals, with these changes' share of the error that the whole family may make."""
    import numpy
    from scipy.special import stdtr, stdtrit

    if not places:
        return {}
    family = Family(found.scores[places], found.variance[places], float(found.question_df[places].min()))
    share = len(places) / len(found.n)
    mean, variance, df = found.mean[places], found.variance[places], found.df[places]
    levels = family.two_sided_level(share * ALPHA) / 2, family.one_sided_level(share * ALPHA)
    quantiles = [-stdtrit(df, level) for level in levels]
    if found.design is Design.CLUSTERED:
        widths = [quantile * numpy.sqrt(variance) for quantile in quantiles]
        (low, high), (lower, upper) = ((mean - width, mean + width) for width in widths)
        statistic = mean / numpy.sqrt(variance)
    else:
        scale = found.unlike()[places] / variance
        gained, lost, n = (scale * count[places] for count in (found.gained, found.lost, found.n))
        (low, high), (lower, upper) = (tango_ends(gained, lost, n, quantile) for quantile in quantiles)
        statistic = (gained - lost) / numpy.sqrt(gained + lost)
    alone = numpy.maximum(2 * stdtr(df, -numpy.abs(statistic)), SMALLEST)
    if found.design is Design.STRATIFIED:
        tails = [stdtr(df, -quantile) for quantile in quantiles]
        for i in ((gained + lost) < _FEW_FOR_TANGO).nonzero()[0]:
            counts = gained[i], lost[i], n[i]
            for below, above, tail in ((low, high, tails[0][i]), (lower, upper, tails[1][i])):
                below[i] = min(below[i], altham_quantile(*counts, tail))
                above[i] = max(above[i], altham_quantile(*counts, 1 - tail))
            alone[i] = max(alone[i], altham_p(*counts))
    p = numpy.minimum(1.0, family.adjusted(alone) / share)
    ends = {"low": low, "high": high, "lower": lower, "upper": upper, "p": p}
    return {
        place: _estimate(found, place, **{name: float(values[i]) for name, values in ends.items()})
        for i, place in enumerate(places)
    }


def _exact(found: Evidence, place: int, reason: Few) -> Estimate:
    """By Altham's posterior, on fewer questions where those of a cluster resemble each other."""
    variance, unlike, family = float(found.variance[place]), float(found.unlike()[place]), len(found.n)
    scale = min(1.0, unlike / variance) if variance and unlike else 1.0
    counts = [scale * float(count[place]) for count in (found.gained, found.lost, found.n)]
    tails = {"low": ALPHA / 2, "lower": ALPHA}
    below = {name: altham_quantile(*counts, tail / family) for name, tail in tails.items()}
    above = {
        name: altham_quantile(*counts, 1 - tails[of] / family) for name, of in (("high", "low"), ("upper", "lower"))
    }
    # The posterior lies nearer to 0 than what was seen, and leaves that out where all answers changed alike.
    seen = float(found.mean[place])
    ends = {name: min(end, seen) for name, end in below.items()} | {name: max(end, seen) for name, end in above.items()}
    p = min(1.0, max(family * altham_p(*counts), SMALLEST))
    return _estimate(found, place, **ends, p=p, few=reason)


def _estimate(found: Evidence, place: int, **concluded: float | Few) -> Estimate:
    return Estimate(
        n=int(found.n[place]),
        clusters=int(found.clusters[place]),
        seeds=int(found.seeds[place]),
        family=len(found.n),
        design=found.design,
        difference=float(found.mean[place]),
        standard_error=math.sqrt(found.variance[place]),
        degrees_of_freedom=float(found.df[place]),
        **concluded,
    )
