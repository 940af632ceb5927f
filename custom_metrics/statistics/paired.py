"""Base against tuned on these very questions: ``gained`` were wrong before and right after, ``lost`` the other way.

What holds for other questions and databases is ``estimates``'s to say. Differences are fractions between -1 and 1.
scipy is imported where it is called, so that importing this module costs nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from custom_metrics.statistics.intervals import tango_ends

if TYPE_CHECKING:
    import numpy
    from numpy.typing import ArrayLike

SMALLEST = 5e-324  # of all numbers above 0: no p is 0, however many answers changed
NORMAL_QUANTILE = 1.959964  # of an end of the 95 % interval


@dataclass(frozen=True)
class PairedComparison:
    """Base against tuned on the same ``n`` questions, taken one by one, as if none resembled another.

    ``difference`` is tuned minus base accuracy, ``low`` to ``high`` Tango's 95 % interval, ``p`` McNemar's mid-p.
    ``percentage_change`` is None where base got nothing right.
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


def compare_paired(base: Sequence[int], tuned: Sequence[int]) -> PairedComparison:
    """Compare right (1) and wrong (0) answers of base and tuned, question by question in the same order.

    Raises:
        ValueError: different lengths, no questions, or a score other than 0 and 1.
    """
    pairs = list(zip(base, tuned, strict=True))
    if not pairs or not {score for pair in pairs for score in pair} <= {0, 1}:
        raise ValueError(f"expected a 0 or 1 for at least one question, got {len(pairs)} pairs: {pairs[:3]!r} ...")
    gained, lost, right = pairs.count((0, 1)), pairs.count((1, 0)), pairs.count((1, 1))
    low, high = tango_ends(gained, lost, len(pairs), NORMAL_QUANTILE)
    return PairedComparison(
        n=len(pairs),
        gained=gained,
        lost=lost,
        base_correct=right + lost,
        tuned_correct=right + gained,
        difference=(gained - lost) / len(pairs),
        low=float(low),
        high=float(high),
        p=float(mcnemar_mid_p(gained, lost)),
        percentage_change=percentage_change((right + lost) / len(pairs), (right + gained) / len(pairs)),
    )


def mcnemar_mid_p(gained: "ArrayLike", lost: "ArrayLike") -> "numpy.ndarray":
    """The two-sided mid-p of the conditional test that gains and losses are equally likely; 1.0 if there are none.

    The exact p less half the probability of just this outcome. Source: Fagerland, Lydersen and Laake 2013, BMC Medical
    Research Methodology 13:91, who recommend it over McNemar's exact test, which is needlessly conservative.
    """
    import numpy
    from scipy.special import betainc

    fewer, changed = numpy.minimum(gained, lost), numpy.add(gained, lost)
    # Twice P(X <= fewer) less P(X = fewer), for X of changed coins: P(X <= fewer) and P(X < fewer). As a beta integral,
    # whose arguments must be above 0.
    some, below = numpy.maximum(changed, 1), numpy.maximum(fewer, 1)
    p = betainc(some - fewer, fewer + 1, 0.5) + numpy.where(fewer > 0, betainc(some - below + 1, below, 0.5), 0.0)
    return numpy.where(changed > 0, numpy.clip(p, SMALLEST, 1.0), 1.0)


def percentage_change(base_accuracy: float, tuned_accuracy: float) -> float | None:
    """100 x (tuned - base) / base, in per cent of the base accuracy; None where base is 0.

    >>> round(percentage_change(0.64, 0.60), 2)
    -6.25
    """
    return 100 * (tuned_accuracy - base_accuracy) / base_accuracy if base_accuracy else None
