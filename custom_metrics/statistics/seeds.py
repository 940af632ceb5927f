"""One configuration trained from several seeds: how far its accuracy moves."""

import math
from collections.abc import Sequence
from typing import NamedTuple


class SeedSpread(NamedTuple):
    """Accuracy over training seeds: their mean and sample standard deviation, which is None for a single seed."""

    seeds: int
    mean: float
    standard_deviation: float | None


def over_seeds(accuracies: Sequence[float]) -> SeedSpread:
    mean = math.fsum(accuracies) / len(accuracies)
    deviation = None
    if len(accuracies) > 1:
        deviation = math.sqrt(math.fsum((accuracy - mean) ** 2 for accuracy in accuracies) / (len(accuracies) - 1))
    return SeedSpread(len(accuracies), mean, deviation)
