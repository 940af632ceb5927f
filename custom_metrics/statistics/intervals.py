"""Confidence intervals of one accuracy, and of a paired difference from the counts of changed answers.

numpy and scipy are imported where they are called, so that importing this module costs nothing. Counts may be
fractions: those of as many questions as would have had the same error if they did not resemble each other.
"""

import math
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


def wilson_interval(correct: float, n: float, *, quantile: float = 1.959964) -> Interval:
    """The score interval of one accuracy, without continuity correction; ``quantile``: of the 95 % interval's end.

    Sources: Wilson 1927, JASA 22:209-212; recommended by Brown, Cai and DasGupta 2001, Statistical Science 16:101-133,
    and on an effective number of questions by Franco et al. 2019, Journal of Survey Statistics and Methodology
    7:334-364.

    Raises:
        ValueError: ``n`` is 0, or ``correct`` is not within 0 to ``n``.
    """
    if not 0 <= correct <= n or not n:
        raise ValueError(f"expected 0 to n right answers of at least one, got {correct} of {n}")
    share, square = correct / n, quantile**2
    middle, half = share + square / (2 * n), quantile * math.sqrt(share * (1 - share) / n + square / (4 * n**2))
    low, high = (middle - half) / (1 + square / n), (middle + half) / (1 + square / n)
    return Interval(max(0.0, low) if correct else 0.0, min(1.0, high) if correct < n else 1.0)


def exact_interval(correct: float, n: float, confidence: float = 0.95) -> Interval:
    """The interval of one accuracy that covers at least so often, whatever it is.

    Sources: Clopper and Pearson 1934, Biometrika 26:404-413; on an effective number of questions Korn and Graubard
    1998, Survey Methodology 24:193-201.
    """
    from scipy.special import betainccinv, betaincinv

    tail = (1 - confidence) / 2
    low = float(betaincinv(correct, n - correct + 1, tail)) if correct else 0.0
    return Interval(low, float(betainccinv(correct + 1, n - correct, tail)) if correct < n else 1.0)


def tango_ends(
    gained: "numpy.ndarray", lost: "numpy.ndarray", n: "numpy.ndarray", quantile: "numpy.ndarray"
) -> tuple["numpy.ndarray", "numpy.ndarray"]:
    """Both ends of the score interval of (gained - lost) / n; ``quantile`` is that of one end. Shapes broadcast.

    All differences that the score test does not reject, whose variance is estimated under each of them. Source: Tango
    1998, Statistics in Medicine 17:891-908.
    """
    import numpy

    gained, lost, n, quantile = numpy.broadcast_arrays(*(numpy.asarray(x, float) for x in (gained, lost, n, quantile)))
    seen = (gained - lost) / n

    def statistic(difference: numpy.ndarray) -> numpy.ndarray:
        linear = (2 * n - gained + lost) * difference - gained - lost
        constant = -lost * difference * (1 - difference)
        # The share lost that is likeliest under this difference.
        share = (numpy.sqrt(numpy.maximum(linear**2 - 8 * n * constant, 0)) - linear) / (4 * n)
        variance = n * (2 * share + difference * (1 - difference))
        return (gained - lost - n * difference) / numpy.sqrt(numpy.maximum(variance, 1e-300))

    def end(outside: float, sign: float) -> numpy.ndarray:
        out, inside = numpy.full(seen.shape, outside), seen.copy()
        for _ in range(50):  # to 1e-15
            middle = (out + inside) / 2
            rejected = sign * statistic(middle) > quantile
            out, inside = numpy.where(rejected, middle, out), numpy.where(rejected, inside, middle)
        return (out + inside) / 2

    return end(-1.0, 1.0), end(1.0, -1.0)


def altham_quantile(gained: float, lost: float, n: float, probability: float) -> float:
    """The quantile of (gained - lost) / n where nothing was known before: all three shares equally likely.

    The posterior of a Dirichlet distribution with a count of one for gained, lost and unchanged each. Source: Altham
    1971, Biometrika 58:561-576. With few changed answers its bounds err less often than the score interval's.
    """
    import numpy
    from scipy.optimize import brentq

    def missing(difference: float) -> float:
        return _below(difference, gained, lost, n) - probability

    # Most of the time is saved by not searching all of -1 to 1.
    middle, total = (gained - lost) / n, n + 3
    reach = 6 * math.sqrt((gained + lost + 2) / total**2) + 6 / total
    ends = max(numpy.nextafter(-1.0, 0), middle - reach), min(numpy.nextafter(1.0, 0), middle + reach)
    if missing(ends[0]) > 0 or missing(ends[1]) < 0:
        ends = numpy.nextafter(-1.0, 0), numpy.nextafter(1.0, 0)
    return float(brentq(missing, *ends, xtol=1e-6))


def altham_p(gained: float, lost: float, n: float) -> float:
    """Twice the smaller of the probabilities that there is a gain and that there is a loss; see ``altham_quantile``."""
    below = _below(0.0, gained, lost, n)
    return 2 * min(below, 1 - below)


def _below(difference: float, gained: float, lost: float, n: float) -> float:
    """The probability of a smaller difference: over the shares that may have changed, that of how many were gained."""
    import numpy
    from scipy.special import betainc

    share, weights = _shares(gained + lost, n)
    return float(betainc(gained + 1, lost + 1, numpy.clip((1 + difference / share) / 2, 0, 1)) @ weights)


@lru_cache(maxsize=8)
def _shares(changed: float, n: float) -> tuple["numpy.ndarray", "numpy.ndarray"]:
    """Shares that may change, and how likely: Gauss's nodes, which lie close together where the tails are.

    Kept, since one change is asked for its four ends in a row.
    """
    from scipy.special import betaincinv

    nodes, weights = _nodes()
    return betaincinv(changed + 2, n - changed + 1, (nodes + 1) / 2), weights / 2


@lru_cache
def _nodes() -> tuple["numpy.ndarray", "numpy.ndarray"]:
    """Gauss's for -1 to 1, with their weights."""
    import numpy

    return numpy.polynomial.legendre.leggauss(64)
