"""The verdict as reports have printed it until now; goes once they use ``Finding``."""

from enum import StrEnum

from custom_metrics.statistics.finding import Finding, finding
from custom_metrics.statistics.paired import PairedComparison
from custom_metrics.statistics.power import ALPHA


class LossVerdict(StrEnum):
    """What a comparison says about a loss; never simply "no loss"."""

    LOSS_SHOWN = "loss shown"
    NO_LOSS_SHOWN = "no loss shown"
    EQUIVALENT = "equivalent within the margin"


def loss_verdict(
    comparison: PairedComparison, margin: float, *, alpha: float = ALPHA, p: float | None = None
) -> LossVerdict:
    """As ``finding``, with a gain shown judged by the margin alone."""
    found = finding(comparison, margin, alpha=alpha, p=p)
    if found is Finding.GAIN_SHOWN:
        return LossVerdict.EQUIVALENT if comparison.low > -margin else LossVerdict.NO_LOSS_SHOWN
    return LossVerdict(found)


def describe_verdict(verdict: LossVerdict, comparison: PairedComparison) -> str:
    """The verdict as it is printed: "no loss shown" never stands without what it could have missed."""
    if verdict is not LossVerdict.NO_LOSS_SHOWN:
        return str(verdict)
    if comparison.smallest_visible is None:
        return f"{verdict} ({comparison.n} questions cannot show any)"
    return f"{verdict} (could miss up to {100 * comparison.smallest_visible:.1f} points)"
