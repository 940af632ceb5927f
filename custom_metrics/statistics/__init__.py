"""Intervals, paired tests and verdicts for accuracies that are counts of right answers.

Accuracies and differences are fractions between 0 and 1 (a point is 0.01). Base against tuned is always paired by
question: ``gained`` questions were wrong before and right after, ``lost`` the other way round. scipy is imported
where it is called, so that importing this module costs nothing.
"""

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from custom_metrics.statistics.power import smallest_visible_difference

ALPHA = 0.05  # what is shown has a p of at most this


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


class LossVerdict(StrEnum):
    """What a comparison says about a loss; never simply "no loss"."""

    LOSS_SHOWN = "loss shown"
    NO_LOSS_SHOWN = "no loss shown"
    EQUIVALENT = "equivalent within the margin"


@dataclass(frozen=True)
class PairedComparison:
    """Base against tuned on the same ``n`` questions.

    ``difference`` is tuned minus base accuracy, ``low`` to ``high`` its interval, ``p`` McNemar's.
    ``percentage_change`` is None where base got nothing right; ``smallest_visible`` is None where no difference
    could have been shown with so few questions.
    """

    n: int
    gained: int
    lost: int
    base_correct: int
    tuned_correct: int
    difference: float
    low: float
    high: float
    p: float
    percentage_change: float | None
    smallest_visible: float | None

    @property
    def discordance(self) -> float:
        """The share of questions whose answer changed either way."""
        return (self.gained + self.lost) / self.n


class SeedSpread(NamedTuple):
    """Accuracy over training seeds; see ``over_seeds``."""

    seeds: int
    mean: float
    standard_deviation: float | None
    sampling_error: float


def wilson_interval(correct: int, n: int, confidence: float = 0.95) -> Interval:
    """The score interval of one accuracy, without continuity correction.

    Source: Wilson 1927, JASA 22:209-212; recommended by Brown, Cai and DasGupta 2001, Statistical Science 16:101-133.

    Raises:
        ValueError: ``n`` is 0, or ``correct`` is not within 0 to ``n``.
    """
    from scipy.stats import binomtest

    limits = binomtest(correct, n).proportion_ci(confidence_level=confidence, method="wilson")
    return Interval(float(limits.low), float(limits.high))


def mcnemar_exact(gained: int, lost: int) -> float:
    """The two-sided p of the exact conditional test that gains and losses are equally likely; 1.0 if there are none.

    Source: McNemar 1947, Psychometrika 12:153-157, in the exact form of Fagerland, Lydersen and Laake 2013,
    BMC Medical Research Methodology 13:91.
    """
    from scipy.stats import binomtest

    return float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


def paired_interval(both: int, gained: int, lost: int, neither: int, confidence: float = 0.95) -> Interval:
    """The interval of tuned minus base accuracy, from the four cells of the paired table.

    Newcombe's method 10: the Wilson intervals of both accuracies, squared and added, with a continuity-corrected
    correlation between them. Source: Newcombe 1998, Statistics in Medicine 17:2635-2650.
    """
    n = both + gained + lost + neither
    tuned, base = (both + gained) / n, (both + lost) / n
    tuned_low, tuned_high = wilson_interval(both + gained, n, confidence)
    base_low, base_high = wilson_interval(both + lost, n, confidence)
    correlation = _corrected_correlation(both, gained, lost, neither)

    def distance(first: float, second: float) -> float:
        return math.sqrt(max(0.0, first**2 - 2 * correlation * first * second + second**2))

    return Interval(
        tuned - base - distance(tuned - tuned_low, base_high - base),
        tuned - base + distance(tuned_high - tuned, base - base_low),
    )


def _corrected_correlation(both: int, gained: int, lost: int, neither: int) -> float:
    scale = math.sqrt((both + gained) * (lost + neither) * (both + lost) * (gained + neither))
    if not scale:
        return 0.0
    product = both * neither - gained * lost
    if product > 0:
        product = max(product - (both + gained + lost + neither) / 2, 0.0)
    return product / scale


def percentage_change(base_accuracy: float, tuned_accuracy: float) -> float | None:
    """100 x (tuned - base) / base, in per cent of the base accuracy; None where base is 0.

    >>> round(percentage_change(0.64, 0.60), 2)
    -6.25
    """
    return 100 * (tuned_accuracy - base_accuracy) / base_accuracy if base_accuracy else None


def holm(p_values: Sequence[float]) -> list[float]:
    """The p values adjusted for their number, in the order given. Source: Holm 1979, Scand. J. Statistics 6:65-70.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def compare_paired(base: Sequence[int], tuned: Sequence[int]) -> PairedComparison:
    """Compare right (1) and wrong (0) answers of base and tuned, question by question in the same order.

    Raises:
        ValueError: different lengths, no questions, or a score other than 0 and 1.
    """
    pairs = list(zip(base, tuned, strict=True))
    if not pairs or not {score for pair in pairs for score in pair} <= {0, 1}:
        raise ValueError(f"expected a 0 or 1 for at least one question, got {len(pairs)} pairs: {pairs[:3]!r} ...")
    n, gained, lost, both = len(pairs), pairs.count((0, 1)), pairs.count((1, 0)), pairs.count((1, 1))
    low, high = paired_interval(both, gained, lost, n - both - gained - lost)
    return PairedComparison(
        n=n,
        gained=gained,
        lost=lost,
        base_correct=both + lost,
        tuned_correct=both + gained,
        difference=(gained - lost) / n,
        low=low,
        high=high,
        p=mcnemar_exact(gained, lost),
        percentage_change=percentage_change((both + lost) / n, (both + gained) / n),
        smallest_visible=smallest_visible_difference(n, (gained + lost) / n),
    )


def loss_verdict(
    comparison: PairedComparison, margin: float, *, alpha: float = ALPHA, p: float | None = None
) -> LossVerdict:
    """What the comparison shows; ``margin`` is the loss that still counts as none, as a fraction.

    A loss shown comes first, even one within the margin. Equivalent means not inferior: the whole 95 % interval lies
    above ``-margin`` (Piaggio et al. 2012, JAMA 308:2594-2604). Give a corrected ``p`` where several tests are made.
    """
    if comparison.lost > comparison.gained and (comparison.p if p is None else p) <= alpha:
        return LossVerdict.LOSS_SHOWN
    return LossVerdict.EQUIVALENT if comparison.low > -margin else LossVerdict.NO_LOSS_SHOWN


def describe_verdict(verdict: LossVerdict, comparison: PairedComparison) -> str:
    """The verdict as it is printed: "no loss shown" never stands without what it could have missed."""
    if verdict is not LossVerdict.NO_LOSS_SHOWN:
        return str(verdict)
    if comparison.smallest_visible is None:
        return f"{verdict} ({comparison.n} questions cannot show any)"
    return f"{verdict} (could miss up to {100 * comparison.smallest_visible:.1f} points)"


def clustered_standard_error(values: Sequence[float], groups: Sequence[Hashable]) -> float:
    """The standard error of the mean of ``values`` where those of one group (database, subject) resemble each other.

    ``values`` are scores, or differences between paired scores. Residuals are summed within each group before they
    are squared, with the factor G / (G - 1) for G groups. Source: Liang and Zeger 1986, Biometrika 73:13-22;
    for evaluations Miller 2024, arXiv:2411.00640. With groups of one this is the usual standard error.

    Raises:
        ValueError: different lengths, or fewer than two groups.
    """
    mean = sum(values) / len(values)
    sums: defaultdict[Hashable, float] = defaultdict(float)
    for value, group in zip(values, groups, strict=True):
        sums[group] += value - mean
    if len(sums) < 2:
        raise ValueError(f"expected at least two groups, got {list(sums)!r}")
    return math.sqrt(len(sums) / (len(sums) - 1) * sum(total**2 for total in sums.values())) / len(values)


def over_seeds(accuracies: Sequence[float], n: int) -> SeedSpread:
    """Mean and sample standard deviation over seeds (None for a single seed), against the error of asking n questions.

    ``sampling_error`` is the binomial standard error of the mean accuracy with ``n`` questions. A standard deviation
    well below it means that the choice of questions, which all seeds share, moves the accuracy more than the seed does.
    """
    mean = math.fsum(accuracies) / len(accuracies)
    deviation = None
    if len(accuracies) > 1:
        deviation = math.sqrt(math.fsum((accuracy - mean) ** 2 for accuracy in accuracies) / (len(accuracies) - 1))
    return SeedSpread(len(accuracies), mean, deviation, math.sqrt(mean * (1 - mean) / n))
