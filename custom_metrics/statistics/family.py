"""Several comparisons at once: how much wider each interval must be for all of them to hold together.

numpy and scipy are imported where they are called, so that importing this module costs nothing.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy

_DRAWS = 20_000  # a level of 0.05 is met to within 0.0015


class Family:
    """The joint distribution of k t statistics, k at least 1, under the hypotheses that all true means are 0.

    ``scores``, shape (k, units): products of rows are covariances (``clusters.MeanErrors``). ``variance``, shape (k,):
    those of the means, at least the rows' own. ``df``: the degrees of freedom that they share.

    Max-t: random weights on the clusters or questions, the same for all comparisons, keep how they go together, and
    the largest of the k statistics is what counts. Sources: Westfall and Young 1993, Resampling-Based Multiple
    Testing; Hothorn, Bretz and Westfall 2008, Biometrical Journal 50:346-363 (the multivariate t distribution).
    Weights are drawn from a fixed seed. One comparison alone is Student's t, to the digit.
    """

    def __init__(self, scores: "numpy.ndarray", variance: "numpy.ndarray", df: float):
        import numpy

        self._df, self._largest, self._highest = df, None, None
        if len(scores) < 2:
            return
        rng = numpy.random.default_rng(0)
        root = _root(scores / numpy.sqrt(variance)[:, None])
        # What no other comparison shares, such as the luck of its seeds.
        own = numpy.sqrt(numpy.maximum(1 - (root**2).sum(axis=1), 0)).astype(numpy.float32)
        root = root.astype(numpy.float32)
        largest, highest = [], []
        for _ in range(10):
            # Single precision: it is finer than the draws' own error by far.
            drawn = rng.standard_normal((_DRAWS // 10, root.shape[1]), numpy.float32) @ root.T
            if own.max() > 1e-3:
                drawn += rng.standard_normal(drawn.shape, numpy.float32) * own
            scale = numpy.sqrt(rng.chisquare(df, len(drawn)) / df)
            high = drawn.max(axis=1)
            largest.append(numpy.maximum(high, -drawn.min(axis=1)) / scale)
            highest.append(high / scale)
        self._largest, self._highest = (numpy.sort(numpy.concatenate(found)) for found in (largest, highest))

    def two_sided_level(self, alpha: float) -> float:
        """The level for each comparison at which none of their intervals misses, but for a share ``alpha``."""
        from scipy.stats import t

        return alpha if self._largest is None else 2 * float(t.sf(_quantile(self._largest, 1 - alpha), self._df))

    def one_sided_level(self, alpha: float) -> float:
        """The same for bounds of one side."""
        from scipy.stats import t

        return alpha if self._highest is None else float(t.sf(_quantile(self._highest, 1 - alpha), self._df))

    def adjusted(self, p: "numpy.ndarray") -> "numpy.ndarray":
        """Two-sided p of each comparison, corrected for their number; never below it, and never 0."""
        import numpy
        from scipy.stats import t

        if self._largest is None:
            return p
        beyond = len(self._largest) - self._largest.searchsorted(t.isf(p / 2, self._df))
        return numpy.maximum(p, (beyond + 1) / (len(self._largest) + 1))


def _root(rows: "numpy.ndarray") -> "numpy.ndarray":
    """A matrix with the same products of rows, of as few columns as that takes."""
    import numpy

    if rows.shape[1] <= rows.shape[0]:
        return rows
    values, vectors = numpy.linalg.eigh(rows @ rows.T)
    return vectors * numpy.sqrt(numpy.maximum(values, 0))


def _quantile(ordered: "numpy.ndarray", probability: float) -> float:
    import numpy

    return float(numpy.quantile(ordered, probability))
