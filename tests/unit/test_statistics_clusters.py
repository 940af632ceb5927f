"""Errors of means by cluster and by stratum: other libraries, formulas by hand, and the general matrices."""

import math

import numpy
import pytest
from scipy.stats import ttest_1samp

from custom_metrics.statistics import estimate_changes
from custom_metrics.statistics.clusters import clustered_errors, stratified_errors
from tests.made_up_answers import SPIDER_SIZES, like_spider


@pytest.fixture
def rng():
    return numpy.random.default_rng(3)


def test_clusters_of_one_question_have_the_error_of_hc2(rng):
    api = pytest.importorskip("statsmodels.api")
    values = rng.integers(-1, 2, 40).astype(float)
    errors = clustered_errors(values[None], range(40))
    fit = api.OLS(values, numpy.ones(40)).fit(cov_type="HC2")
    assert math.sqrt(errors.variance[0]) == pytest.approx(fit.bse[0])
    assert errors.df[0] == pytest.approx(39)


@pytest.mark.parametrize(("clusters", "size"), [(2, 30), (5, 7), (20, 50)])
def test_clusters_of_one_size_have_the_t_test_of_their_means(rng, clusters, size):
    values = rng.integers(-1, 2, (clusters, size)).astype(float)
    (change,) = estimate_changes([values.ravel()], numpy.repeat(range(clusters), size))
    reference = ttest_1samp(values.mean(axis=1), 0)
    interval = reference.confidence_interval()
    assert change.degrees_of_freedom == pytest.approx(clusters - 1)
    assert (change.low, change.high) == pytest.approx((interval.low, interval.high))
    assert change.p == pytest.approx(reference.pvalue)
    one_sided = ttest_1samp(values.mean(axis=1), 0, alternative="greater").confidence_interval()
    assert change.lower == pytest.approx(one_sided.low)


def by_matrices(values, sizes, resemblance=None):
    """Variance and degrees of freedom by Bell and McCaffrey's matrices for a regression on a constant alone.

    The working covariance has ``resemblance`` between questions of a cluster (Imbens and Kolesar 2016, section IV);
    None: as much as makes the variance as much larger as it was found to be.
    """
    n, ends = sum(sizes), numpy.cumsum(sizes)
    design, clusters = numpy.ones((n, 1)), [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
    hat = design @ design.T / n
    residuals, parts, vectors = values - values.mean(), [], []
    for own in clusters:
        eigenvalues, axes = numpy.linalg.eigh(numpy.eye(own.stop - own.start) - hat[own, own])
        adjusted = axes @ numpy.diag(eigenvalues**-0.5) @ axes.T
        parts.append((design[own].T @ adjusted @ residuals[own])[0] / n)
        vectors.append((numpy.eye(n) - hat)[own].T @ adjusted @ design[own][:, 0] / n)
    variance = sum(part**2 for part in parts)
    if resemblance is None:
        times = variance / (residuals @ residuals / n**2)
        resemblance = min(1, max(0, (times - 1) / (sum(size**2 for size in sizes) / n - 1)))
    working = numpy.eye(n)
    for own in clusters:
        working[own, own] += resemblance * (1 - numpy.eye(own.stop - own.start))
    form = numpy.array(vectors) @ working @ numpy.array(vectors).T
    return variance, numpy.trace(form) ** 2 / (form**2).sum()


@pytest.mark.parametrize("sizes", [(3, 9), (1, 2, 3, 50), (4, 15, 16, 18, 30, 30), SPIDER_SIZES])
def test_unequal_clusters_have_what_the_general_matrices_give(rng, sizes):
    effects = numpy.repeat(rng.normal(0, 0.3, len(sizes)), sizes)
    values = numpy.round(effects + rng.normal(0, 0.5, sum(sizes))).clip(-1, 1)
    errors = clustered_errors(values[None], numpy.repeat(range(len(sizes)), sizes))
    assert (errors.variance[0], errors.df[0]) == pytest.approx(by_matrices(values, sizes))


def test_unlike_questions_have_bell_and_mccaffreys_degrees_of_freedom(rng):
    """Where clusters are more alike than chance, a working covariance without any resemblance is left."""
    values = numpy.tile([1.0, -1.0], sum(SPIDER_SIZES) // 2)
    errors = clustered_errors(values[None], numpy.repeat(range(20), SPIDER_SIZES))
    assert errors.df[0] == pytest.approx(by_matrices(values, SPIDER_SIZES, resemblance=0)[1])
    assert errors.df[0] == pytest.approx(14.07, abs=0.01)


def test_scores_have_the_covariance_of_two_means(rng):
    """A difference of two changes has the error that their scores give it."""
    made = like_spider(rng, [0.1, 0.2], [0.05, 0.1])
    one, other = (change[0] for change in made.changes)
    errors = clustered_errors(numpy.array([one, other, one - other]), made.clusters)
    assert errors.scores[0] - errors.scores[1] == pytest.approx(errors.scores[2])
    assert (errors.scores**2).sum(axis=1) == pytest.approx(errors.variance)


def test_strata_equal_the_formulas_of_cochran_and_of_welch_and_satterthwaite(rng):
    sizes, strata = [20, 50, 8], numpy.repeat(["philosophy", "law", "anatomy"], [20, 50, 8])
    values = rng.integers(-1, 2, 78).astype(float)
    errors = stratified_errors(values[None], strata)
    parts = [
        (size / 78) ** 2 * values[strata == name].var(ddof=1) / size
        for name, size in zip(["philosophy", "law", "anatomy"], sizes, strict=True)
    ]
    assert errors.variance[0] == pytest.approx(sum(parts))
    df = sum(parts) ** 2 / sum(part**2 / (size - 1) for part, size in zip(parts, sizes, strict=True))
    assert errors.df[0] == pytest.approx(df)


def test_two_strata_have_welchs_degrees_of_freedom(rng):
    """Equal weights: a mean of two strata errs as their difference does."""
    weight = pytest.importorskip("statsmodels.stats.weightstats")
    one, other = rng.integers(-1, 2, 30).astype(float), rng.integers(0, 2, 30).astype(float)
    errors = stratified_errors(numpy.concatenate([one, other])[None], [0] * 30 + [1] * 30)
    _, _, df = weight.ttest_ind(one, other, usevar="unequal")
    assert errors.df[0] == pytest.approx(df)


def test_a_stratum_of_one_question_is_no_reason_to_stop(rng):
    values = rng.integers(-1, 2, 31).astype(float)
    errors = stratified_errors(values[None], [0] * 30 + [1])
    assert errors.variance[0] == pytest.approx(values.var(ddof=1) / 31)
    assert errors.df[0] == pytest.approx(30)


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["1", 1, "a", 2.5], id="text-and-numbers"),
        pytest.param([("a", 1), ("a", 2), ("b", 1), ("b", 2)], id="tuples"),
        pytest.param([None, "none", "", 0], id="none"),
    ],
)
@pytest.mark.parametrize("stratified", [False, True])
def test_clusters_may_have_any_names(rng, names, stratified):
    """numpy takes 1 and "1" for the same, pairs for two columns, and cannot sort None among words."""
    values = rng.integers(-1, 2, 80).astype(float)
    named, numbered = ([list(some)[place % 4] for place in range(80)] for some in (names, range(4)))
    assert estimate_changes([values], named, stratified=stratified) == estimate_changes(
        [values], numbered, stratified=stratified
    )


def test_all_of_mmlu_as_clusters_of_one_fits_into_memory(rng):
    """A matrix of 14,042 questions by as many clusters has 1.6 GB."""
    import tracemalloc

    tracemalloc.start()
    errors = clustered_errors(rng.integers(-1, 2, (2, 14_042)).astype(float), range(14_042))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert errors.df == pytest.approx([14_041] * 2)
    assert peak < 50e6
