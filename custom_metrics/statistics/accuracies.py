"""What one accuracy says of other questions."""

import math
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

from custom_metrics.statistics.evidence import FEWEST_QUESTIONS, NO_VARIANCE, Design, mean_errors
from custom_metrics.statistics.intervals import Interval, exact_interval, wilson_interval

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def accuracy_intervals(
    right: "ArrayLike", clusters: Sequence[Hashable], *, stratified: bool = False
) -> list[tuple[Interval, float | None]]:
    """The 95 % interval and the standard error of each accuracy; ``right``, shape (k, n), holds 0 and 1.

    Errors are those of ``estimate_changes``. Wilson's interval on as many questions as have the same error, with t
    quantiles; Clopper and Pearson's with fewer than 30 questions, one cluster, or all right or all wrong. The standard
    error is None where it is not known.
    """
    import numpy
    from scipy.special import stdtrit

    values, n = numpy.asarray(right, float), len(clusters)
    errors = mean_errors(values, clusters, Design.STRATIFIED if stratified else Design.CLUSTERED)
    if errors is None:
        return [(exact_interval(count, n), None) for count in values.sum(axis=1).tolist()]
    quantiles = (-stdtrit(errors.df, 0.025)).tolist()
    found = []
    for mean, variance, quantile in zip(errors.mean.tolist(), errors.variance.tolist(), quantiles, strict=True):
        unlike = mean * (1 - mean) / (n - 1)
        scale = unlike / variance if variance > NO_VARIANCE else 1.0
        # More than were asked only where strata make them so.
        effective = n * (scale if stratified else min(1.0, scale))
        exact = n < FEWEST_QUESTIONS or variance <= NO_VARIANCE
        counts = mean * effective, effective
        interval = exact_interval(*counts) if exact else wilson_interval(*counts, quantile=quantile)
        found.append((interval, math.sqrt(variance)))
    return found
