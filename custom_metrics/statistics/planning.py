"""What so many questions, databases and seeds can show, before anything is trained.

scipy is imported where it is called, so that importing this module costs nothing.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

from custom_metrics.statistics.estimates import ALPHA, Estimate
from custom_metrics.statistics.evidence import FEWEST_QUESTIONS, Design

_POWER = 0.8


class Enough(NamedTuple):
    """How many questions decide, and in how many clusters; None where more of them would not be asked."""

    questions: int
    clusters: int | None


def enough_to_decide(estimate: Estimate, margin: float, *, gain: bool = False) -> Enough:
    """With how many questions the result could not be undecided, however it came out.

    Of as many clusters more as questions, with as many changed answers as here: the interval shrinks with the square
    root of both, and must be shorter than the margin. At least 30 questions in two clusters; ``gain`` as in
    ``finding``.
    """
    length = estimate.upper - estimate.low if gain else estimate.high - estimate.lower
    times = max(1.0, (length / margin) ** 2)
    clustered = estimate.design is Design.CLUSTERED
    questions = max(math.ceil(times * estimate.n), FEWEST_QUESTIONS)
    return Enough(questions, max(math.ceil(times * estimate.clusters), 2) if clustered else None)


@dataclass(frozen=True)
class Plan:
    """A comparison that is yet to be made: ``n`` questions, of which a share ``discordance`` will change.

    ``clusters``: None where these very clusters are asked of. ``design_effect``: how many times larger than for
    questions that do not resemble each other the variance is. ``seed_deviation``: of the change between trainings, as a
    fraction; counts from two ``seeds`` on. ``family``: how many changes are to hold together.
    """

    n: int
    discordance: float
    clusters: int | None = None
    design_effect: float = 1.0
    seeds: int = 1
    seed_deviation: float = 0.01
    family: int = 1

    @property
    def standard_error(self) -> float:
        trainings = self.seed_deviation**2 / self.seeds if self.seeds > 1 else 0.0
        return math.sqrt(self.discordance * self.design_effect / self.n + trainings)

    @property
    def half_width(self) -> float:
        """Of the 95 % interval."""
        return self._quantile(ALPHA / 2) * self.standard_error

    @property
    def smallest_shown(self) -> float:
        """The smallest true change that is shown four times in five."""
        return (self._quantile(ALPHA / 2) + self._quantile(1 - _POWER, 1)) * self.standard_error

    @property
    def smallest_margin(self) -> float:
        """The smallest margin that a change of 0 is shown to be within, four times in five."""
        return (self._quantile(ALPHA) + self._quantile(1 - _POWER, 1)) * self.standard_error

    def questions_for(self, margin: float) -> int | None:
        """With how many questions the ``smallest_margin`` is ``margin``; of as many clusters more.

        None where no number would do: what the trainings differ by is too much already.
        """
        wanted = (margin / (self._quantile(ALPHA) + self._quantile(1 - _POWER, 1))) ** 2
        of_questions = self.discordance * self.design_effect / self.n
        left = wanted - (self.standard_error**2 - of_questions)
        return math.ceil(self.n * of_questions / left) if left > 0 else None

    def _quantile(self, tail: float, family: int | None = None) -> float:
        """Student's, corrected for the family by Bonferroni: how changes will go together is not known yet."""
        from scipy.special import stdtrit

        return -float(stdtrit((self.clusters or self.n) - 1, tail / (family or self.family)))
