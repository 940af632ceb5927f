"""Confidence intervals of one accuracy and of a paired difference, from counts of right answers.

scipy is imported where it is called, so that importing this module costs nothing.
"""

import math
from typing import NamedTuple


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


def wilson_interval(correct: int, n: int, confidence: float = 0.95) -> Interval:
    """The score interval of one accuracy, without continuity correction.

    Source: Wilson 1927, JASA 22:209-212; recommended by Brown, Cai and DasGupta 2001, Statistical Science 16:101-133.

    Raises:
        ValueError: ``n`` is 0, or ``correct`` is not within 0 to ``n``.
    """
    from scipy.stats import binomtest

    limits = binomtest(correct, n).proportion_ci(confidence_level=confidence, method="wilson")
    return Interval(float(limits.low), float(limits.high))


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
