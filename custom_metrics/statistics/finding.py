"""What a paired comparison shows, in one of four words that others make sentences of."""

from enum import StrEnum

from custom_metrics.statistics.paired import PairedComparison, of_counts
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


def could_turn(comparison: PairedComparison, margin: float, moved: float) -> bool:
    """Whether the ``finding`` would be another one if a share ``moved`` of the answers had turned, all one way."""
    turned, found = round(moved * comparison.n), finding(comparison, margin)
    both = comparison.base_correct - comparison.lost
    neither = comparison.n - both - comparison.gained - comparison.lost
    better = _turned_right(both, comparison.gained, comparison.lost, neither, turned)
    # Right answers that turn wrong are the same with right and wrong exchanged.
    worse = _turned_right(neither, comparison.lost, comparison.gained, both, turned)[::-1]
    return any(finding(of_counts(*counts), margin) is not found for counts in (better, worse))


def _turned_right(both: int, gained: int, lost: int, neither: int, turned: int) -> tuple[int, int, int, int]:
    """The counts after so many wrong answers have turned right: the lost ones first."""
    back = min(lost, turned)
    new = min(neither, turned - back)
    return both + back, gained + new, lost - back, neither - new
