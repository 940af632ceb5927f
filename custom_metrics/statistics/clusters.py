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
    which makes the variance unbiased where questions do not resemble each other; Satterthwaite's degrees of freedom.
    Sources: Bell and McCaffrey 2002, Survey Methodology 28:169-181; Pustejovsky and Tipton 2018, Journal of Business
    and Economic Statistics 36:672-683. With clusters of one this is the usual standard error, with clusters of one
    size the t test of their means.
    """
    import numpy

    codes = numpy.unique(numpy.asarray(clusters), return_inverse=True)[1]
    sizes = numpy.bincount(codes)
    n, members = len(codes), numpy.eye(len(sizes))[codes]
    mean = values.mean(axis=1)
    share = sizes / n
    scores = (values @ members - mean[:, None] * sizes) / (n * numpy.sqrt(1 - share))
    # The quadratic form's matrix for questions that do not resemble each other, in units of their variance / n.
    form = -numpy.outer(share, share) / numpy.sqrt(numpy.outer(1 - share, 1 - share))
    numpy.fill_diagonal(form, share)
    df = numpy.full(len(values), 1 / (form**2).sum())
    return MeanErrors(mean, (scores**2).sum(axis=1), df, scores)


def stratified_errors(values: "numpy.ndarray", strata: Sequence[Hashable]) -> MeanErrors:
    """Of means over other questions of these very ``strata``; ``values`` (k, n), of at least two questions.

    Every stratum has its own mean and variance; Satterthwaite's degrees of freedom. Where a stratum has one question
    alone, all are taken together. Sources: Cochran 1977, Sampling Techniques, sections 5.3 to 5.4.
    """
    import numpy

    codes = numpy.unique(numpy.asarray(strata), return_inverse=True)[1]
    if numpy.bincount(codes).min() < 2:
        codes = numpy.zeros_like(codes)
    sizes = numpy.bincount(codes)
    n, members = len(codes), numpy.eye(len(sizes))[codes]
    residuals = values - (values @ members / sizes)[:, codes]
    scores = residuals * numpy.sqrt(sizes / (sizes - 1))[codes] / n
    parts = scores**2 @ members
    variance, spread = parts.sum(axis=1), (parts**2 / (sizes - 1)).sum(axis=1)
    df = numpy.divide(variance**2, spread, out=numpy.full(len(values), n - 1.0), where=spread > 0)
    return MeanErrors(values.mean(axis=1), variance, df, scores)
