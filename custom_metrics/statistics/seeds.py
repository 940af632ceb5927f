"""One configuration trained from several seeds: how far its accuracy moves."""

import math
from collections.abc import Sequence
from typing import NamedTuple


class SeedSpread(NamedTuple):
    """Accuracy over training seeds; see ``over_seeds``."""

    seeds: int
    mean: float
    standard_deviation: float | None
    sampling_error: float


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
