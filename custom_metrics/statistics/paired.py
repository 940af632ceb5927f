"""Base against tuned on the same questions: ``gained`` were wrong before and right after, ``lost`` the other way round.

Differences are fractions between -1 and 1. scipy is imported where it is called, so that importing this module costs
nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from custom_metrics.statistics.intervals import paired_interval
from custom_metrics.statistics.power import smallest_visible_difference


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


def compare_paired(base: Sequence[int], tuned: Sequence[int]) -> PairedComparison:
    """Compare right (1) and wrong (0) answers of base and tuned, question by question in the same order.

    Raises:
        ValueError: different lengths, no questions, or a score other than 0 and 1.
    """
    pairs = list(zip(base, tuned, strict=True))
    if not pairs or not {score for pair in pairs for score in pair} <= {0, 1}:
        raise ValueError(f"expected a 0 or 1 for at least one question, got {len(pairs)} pairs: {pairs[:3]!r} ...")
    return of_counts(pairs.count((1, 1)), pairs.count((0, 1)), pairs.count((1, 0)), pairs.count((0, 0)))


def of_counts(both: int, gained: int, lost: int, neither: int) -> PairedComparison:
    """The same from the numbers of pairs: right twice, right only after, right only before, never right."""
    n = both + gained + lost + neither
    low, high = paired_interval(both, gained, lost, neither)
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


def mcnemar_exact(gained: int, lost: int) -> float:
    """The two-sided p of the exact conditional test that gains and losses are equally likely; 1.0 if there are none.

    Source: McNemar 1947, Psychometrika 12:153-157, in the exact form of Fagerland, Lydersen and Laake 2013,
    BMC Medical Research Methodology 13:91.
    """
    from scipy.stats import binomtest

    return float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


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
