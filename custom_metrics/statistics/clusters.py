"""Errors of means over questions that resemble each other: of the same database, or of the same fixed subjects.

numpy is imported where it is called, so that importing this module costs nothing. Below, k means are over n questions.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy


@dataclass(frozen=True)
class MeanErrors:
    """``mean``, ``variance`` and ``df`` (degrees of freedom) of k means, shape (k,) each.

    ``scores``: what every cluster or question brings to each mean, shape (k, clusters or questions): the covariance of
    two means is the product of their scores, and of one with itself the ``variance``.
    """

    mean: "numpy.ndarray"
    variance: "numpy.ndarray"
    df: "numpy.ndarray"
    scores: "numpy.ndarray"


def clustered_errors(values: "numpy.ndarray", clusters: Sequence[Hashable]) -> MeanErrors:
    """Of means over questions like these in clusters like these; ``values`` (k, n), ``clusters`` of the n questions.

    CR2: residuals are summed within each of at least two clusters and divided by sqrt(1 - share of the questions),
    which makes the variance unbiased where questions do not resemble each other. Satterthwaite's degrees of freedom,
    for questions that resemble each other as much as these seem to. Sources: Bell and McCaffrey 2002, Survey
    Methodology 28:169-181; Imbens and Kolesar 2016, Review of Economics and Statistics 98:701-712, section IV. With
    clusters of one this is the usual standard error, with clusters of one size the t test of their means.
    """
    import numpy

    codes = numbered(clusters)
    sizes = numpy.bincount(codes)
    n, mean = len(codes), values.mean(axis=1)
    share = sizes / n
    scores = (_sums(values, codes) - mean[:, None] * sizes) / (n * numpy.sqrt(1 - share))
    variance = (scores**2).sum(axis=1)
    return MeanErrors(mean, variance, _clustered_df(sizes, variance, values.var(axis=1) / n), scores)


def _clustered_df(sizes: "numpy.ndarray", variance: "numpy.ndarray", unlike: "numpy.ndarray") -> "numpy.ndarray":
    """Degrees of freedom of each ``variance``, where questions that do not resemble each other would have ``unlike``.

    Of the quadratic form in cluster sums whose variances are sizes x (1 + resemblance x (sizes - 1)): its expectation
    squared, over half its variance. With the matrix of its parts' covariances, that is trace squared over the sum of
    squares; the matrix has rank two but for its diagonal, so neither takes more than sums over clusters.
    """
    import numpy

    n, share = sizes.sum(), sizes / sizes.sum()
    largest = (sizes**2).sum() / n - 1
    times = numpy.divide(variance, unlike, out=numpy.ones(len(variance)), where=unlike > 0)
    resemblance = numpy.clip((times - 1) / largest, 0, 1) if largest > 0 else numpy.zeros(len(times))
    spread = sizes * (1 + resemblance[:, None] * (sizes - 1))
    total = spread.sum(axis=1)
    # Parts: D - p q' - q p' + total p p', each divided by the root of 1 - share, of which p is share's and q spread's.
    p, q = share / numpy.sqrt(1 - share), spread / numpy.sqrt(1 - share)
    pp, pq, qq = (p**2).sum(), (q * p).sum(axis=1), (q**2).sum(axis=1)
    diagonal, beside = spread / (1 - share), -2 * p * q + total[:, None] * p**2
    squares = 2 * pp * qq + 2 * pq**2 - 4 * total * pq * pp + (total * pp) ** 2
    squares += (diagonal**2 + 2 * diagonal * beside).sum(axis=1)
    return (diagonal + beside).sum(axis=1) ** 2 / squares


def stratified_errors(values: "numpy.ndarray", strata: Sequence[Hashable]) -> MeanErrors:
    """Of means over other questions of these very ``strata``; ``values`` (k, n), of at least two questions.

    Every stratum has its own mean and variance; Satterthwaite's degrees of freedom. Where a stratum has one question
    alone, all are taken together. Sources: Cochran 1977, Sampling Techniques, sections 5.3 to 5.4.
    """
    import numpy

    codes = numbered(strata)
    if numpy.bincount(codes).min() < 2:
        codes = numpy.zeros_like(codes)
    sizes = numpy.bincount(codes)
    n = len(codes)
    residuals = values - (_sums(values, codes) / sizes)[:, codes]
    scores = residuals * numpy.sqrt(sizes / (sizes - 1))[codes] / n
    parts = _sums(scores**2, codes)
    variance, spread = parts.sum(axis=1), (parts**2 / (sizes - 1)).sum(axis=1)
    df = numpy.divide(variance**2, spread, out=numpy.full(len(values), n - 1.0), where=spread > 0)
    return MeanErrors(values.mean(axis=1), variance, df, scores)


def numbered(names: Sequence[Hashable]) -> "numpy.ndarray":
    """A number from 0 for each of ``names``, the same for equal ones. numpy would take 1 and "1" for the same."""
    import numpy

    numbers: dict[Hashable, int] = {}
    return numpy.array([numbers.setdefault(name, len(numbers)) for name in names], int)


def _sums(values: "numpy.ndarray", codes: "numpy.ndarray") -> "numpy.ndarray":
    """Of each row of ``values`` the sum in each cluster; a matrix of memberships would not fit for many clusters."""
    import numpy

    return numpy.array([numpy.bincount(codes, weights=row) for row in values])
