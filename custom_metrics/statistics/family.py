"""Several comparisons at once: how much wider each interval must be for all of them to hold together.

numpy and scipy are imported where they are called, so that importing this module costs nothing.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy

# Draws of all statistics together, and draws at the least: these meet a level of 0.05 to within 0.002.
_NUMBERS, _DRAWS = 4_000_000, 12_000
_MANY = 60  # degrees of freedom, from which on variances are as good as known where it is asked how much wider


class Family:
    """The joint distribution of k t statistics, k at least 1, under the hypotheses that all true means are 0.

    ``scores``, shape (k, units): products of rows are covariances (``clusters.MeanErrors``). ``variance``, shape (k,):
    those of the means, at least the rows' own. ``df``: the degrees of freedom that they share.

    Max-t: random weights on the clusters or questions, the same for all comparisons, keep how they go together, and
    the largest of the k statistics is what counts. Sources: Westfall and Young 1993, Resampling-Based Multiple
    Testing; Hothorn, Bretz and Westfall 2008, Biometrical Journal 50:346-363. Unlike in a multivariate t distribution,
    each statistic has a variance estimate of its own; two of these go together as much as the square of the means'
    correlation, as in a Wishart distribution. A single estimate for all would err in 7 of 100 families of eight
    where this errs in 5. Drawn from a fixed seed. One comparison alone is Student's t, to the digit.
    """

    def __init__(self, scores: "numpy.ndarray", variance: "numpy.ndarray", df: float):
        import numpy

        self._df, self._largest, self._highest = df if df < _MANY else numpy.inf, None, None
        if len(scores) < 2:
            return
        rng = numpy.random.default_rng(0)
        root = _products(scores / numpy.sqrt(variance)[:, None])
        own = numpy.sqrt(numpy.maximum(1 - (root**2).sum(axis=1), 0))  # what no other comparison shares, such as seeds
        # Single precision: it is finer than the draws' own error by far.
        root, own = root.astype(numpy.float32), own.astype(numpy.float32)
        divided = _Variances(root, df) if df < _MANY else None
        largest, highest = [], []
        some = min(20_000, max(_DRAWS, _NUMBERS // len(root)) // 10)
        for _ in range(10):
            drawn = rng.standard_normal((some, root.shape[1]), numpy.float32) @ root.T
            if own.max() > 1e-3:
                drawn += rng.standard_normal(drawn.shape, numpy.float32) * own
            if divided:
                drawn /= divided.draw(rng, some)
            high = drawn.max(axis=1)
            largest.append(numpy.maximum(high, -drawn.min(axis=1)))
            highest.append(high)
        self._largest, self._highest = (numpy.sort(numpy.concatenate(found)) for found in (largest, highest))

    def two_sided_level(self, alpha: float) -> float:
        """The level for each comparison at which none of their intervals misses, but for a share ``alpha``."""
        from scipy.special import stdtr

        return alpha if self._largest is None else min(alpha, 2 * float(stdtr(self._df, -_above(self._largest, alpha))))

    def one_sided_level(self, alpha: float) -> float:
        """The same for bounds of one side."""
        from scipy.special import stdtr

        return alpha if self._highest is None else min(alpha, float(stdtr(self._df, -_above(self._highest, alpha))))

    def adjusted(self, p: "numpy.ndarray") -> "numpy.ndarray":
        """Two-sided p of each comparison, corrected for their number; never below it, and never 0."""
        import numpy
        from scipy.special import stdtrit

        if self._largest is None:
            return p
        beyond = len(self._largest) - self._largest.searchsorted(-stdtrit(self._df, p / 2))
        return numpy.maximum(p, (beyond + 1) / (len(self._largest) + 1))


class _Variances:
    """Draws of standard errors over the true ones, as if ``df`` normal values made each, correlated as ``root``'s rows.

    A normal value for each, correlated as the squares are, becomes the chi-square value that is as rare.
    """

    def __init__(self, root: "numpy.ndarray", df: float):
        import numpy
        from scipy.special import chdtri, ndtr

        columns = root.shape[1]
        if columns * (columns + 1) // 2 < len(root):
            # Products of all pairs of columns have the squares of the rows' products.
            one, two = numpy.triu_indices(columns)
            self._root = root[:, one] * root[:, two] * numpy.where(one == two, 1, 2**0.5).astype(numpy.float32)
        else:
            self._root = _root((root @ root.T) ** 2).astype(numpy.float32)
        self._own = numpy.sqrt(numpy.maximum(1 - (self._root**2).sum(axis=1), 0))
        # For values from -8 to 8, a thousandth apart.
        self._scale = numpy.sqrt(chdtri(df, ndtr(numpy.linspace(8, -8, 16001))) / df).astype(numpy.float32)

    def draw(self, rng: "numpy.random.Generator", count: int) -> "numpy.ndarray":
        """``count`` draws of each, (count, k)."""
        import numpy

        drawn = rng.standard_normal((count, self._root.shape[1]), numpy.float32) @ self._root.T
        if self._own.max() > 1e-3:
            drawn += rng.standard_normal(drawn.shape, numpy.float32) * self._own
        return self._scale[((drawn.clip(-7.999, 7.999) + 8) * 1000).astype(numpy.int32)]


def _products(rows: "numpy.ndarray") -> "numpy.ndarray":
    """A matrix with the same products of rows, of as few columns as that takes."""
    return rows if rows.shape[1] <= rows.shape[0] else _root(rows @ rows.T)


def _root(matrix: "numpy.ndarray") -> "numpy.ndarray":
    """A matrix whose rows have these products."""
    import numpy

    values, vectors = numpy.linalg.eigh(matrix)
    kept = values > 1e-9
    return vectors[:, kept] * numpy.sqrt(values[kept])


def _above(ordered: "numpy.ndarray", alpha: float) -> float:
    """What so few draws are above, that ``adjusted`` is at most ``alpha`` for just as few."""
    return float(ordered[len(ordered) - max(1, int(alpha * (len(ordered) + 1)))])
