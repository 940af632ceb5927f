"""What a change shows, by a stated margin and one interval; others make sentences of it."""

from enum import StrEnum
from typing import Protocol


class Finding(StrEnum):
    """What is known of a change. The margin is the loss that still counts as none, and the gain that counts as much."""

    BETTER_THAN_MARGIN = "better by more than the margin"
    BETTER = "better"
    EQUIVALENT = "equivalent within the margin"
    NO_WORSE = "no worse than the margin"
    NO_BETTER = "no better than the margin"
    WORSE = "worse"
    WORSE_THAN_MARGIN = "worse by more than the margin"
    UNDECIDED = "undecided"

    @property
    def gains(self) -> bool:
        """Whether a gain is shown."""
        return self in (Finding.BETTER, Finding.BETTER_THAN_MARGIN)

    @property
    def loses(self) -> bool:
        """Whether a loss is shown."""
        return self in (Finding.WORSE, Finding.WORSE_THAN_MARGIN)

    @property
    def keeps(self) -> bool:
        """Whether a loss of more than the margin is excluded."""
        return self.gains or self in (Finding.NO_WORSE, Finding.EQUIVALENT)


class Few(StrEnum):
    """Why no difference can be shown: there is too little to estimate an error from."""

    QUESTIONS = "questions"  # fewer than 30
    CLUSTERS = "clusters"  # one, so how much they differ is not known
    CHANGES = "changes"  # fewer than five answers changed
    ALIKE = "alike"  # every answer changed, all the same way
    NONE = ""


class Bounded(Protocol):
    """A change with its 95 % interval, ``low`` to ``high``, and its one-sided 95 % bounds, ``lower`` and ``upper``."""

    low: float
    high: float
    lower: float
    upper: float
    few: Few


def finding(change: Bounded, margin: float, *, gain: bool = False) -> Finding:
    """What ``change`` shows; ``margin`` is a fraction, ``gain`` whether a gain is looked for and not a loss.

    Better or worse: the 95 % interval lies on that side of 0, or of the margin. No worse (no better) than the margin:
    the one-sided 95 % bound lies within it (Piaggio et al. 2012, JAMA 308:2594-2604). Equivalent: both bounds do
    (Schuirmann 1987, Journal of Pharmacokinetics and Biopharmaceutics 15:657-680), which comes before better and worse;
    it is not asked where a gain is looked for. A loss
    within the margin, which some questions show to be worse, is no worse or equivalent with more of them. Nothing is
    shown with ``Few`` questions or one cluster, and no difference where few answers changed.
    """
    if change.few in (Few.QUESTIONS, Few.CLUSTERS):
        return Finding.UNDECIDED
    shows = not change.few
    if shows and change.low > margin:
        return Finding.BETTER_THAN_MARGIN
    if shows and change.high < -margin:
        return Finding.WORSE_THAN_MARGIN
    if not gain and -margin < change.lower and change.upper < margin:
        return Finding.EQUIVALENT
    if shows and change.low > 0:
        return Finding.BETTER
    if gain and shows and change.high < 0:
        return Finding.WORSE
    if gain and change.upper < margin:
        return Finding.NO_BETTER
    if not gain and change.lower > -margin:
        return Finding.NO_WORSE
    return Finding.WORSE if shows and change.high < 0 else Finding.UNDECIDED
