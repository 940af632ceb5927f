"""What a paired comparison shows, in one of four words that others make sentences of."""

from enum import StrEnum

from custom_metrics.statistics.paired import PairedComparison
from custom_metrics.statistics.power import ALPHA


class Finding(StrEnum):
    """What a paired comparison shows; never simply "no loss"."""

    GAIN_SHOWN = "gain shown"
    LOSS_SHOWN = "loss shown"
    EQUIVALENT = "equivalent within the margin"
    NO_LOSS_SHOWN = "no loss shown"


def finding(comparison: PairedComparison, margin: float, *, alpha: float = ALPHA, p: float | None = None) -> Finding:
    """What the comparison shows; ``margin`` is the loss that still counts as none, as a fraction.

    A gain or loss shown comes first, even one within the margin. Equivalent means not inferior: the whole 95 %
    interval lies above ``-margin`` (Piaggio et al. 2012, JAMA 308:2594-2604). Give a corrected ``p`` where several
    tests are made; without it the comparison's own decides.
    """
    if comparison.difference and (comparison.p if p is None else p) <= alpha:
        return Finding.GAIN_SHOWN if comparison.difference > 0 else Finding.LOSS_SHOWN
    return Finding.EQUIVALENT if comparison.low > -margin else Finding.NO_LOSS_SHOWN
