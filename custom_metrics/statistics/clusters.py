"""The error of a mean whose questions come in groups that resemble each other."""

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence


def clustered_standard_error(values: Sequence[float], groups: Sequence[Hashable]) -> float:
    """The standard error of the mean of ``values`` where those of one group (database, subject) resemble each other.

    ``values`` are scores, or differences between paired scores. Residuals are summed within each group before they
    are squared, with the factor G / (G - 1) for G groups. Source: Liang and Zeger 1986, Biometrika 73:13-22;
    for evaluations Miller 2024, arXiv:2411.00640. With groups of one this is the usual standard error.

    Raises:
        ValueError: different lengths, or fewer than two groups.
    """
    mean = sum(values) / len(values)
    sums: defaultdict[Hashable, float] = defaultdict(float)
    for value, group in zip(values, groups, strict=True):
        sums[group] += value - mean
    if len(sums) < 2:
        raise ValueError(f"expected at least two groups, got {list(sums)!r}")
    return math.sqrt(len(sums) / (len(sums) - 1) * sum(total**2 for total in sums.values())) / len(values)
