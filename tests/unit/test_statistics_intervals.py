"""Intervals of one accuracy and of a paired difference: published examples, other libraries, brute force."""

import math

import numpy
import pytest
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import binomtest, norm, t

from custom_metrics.statistics import accuracy_intervals, wilson_interval
from custom_metrics.statistics.intervals import altham_p, altham_quantile, exact_interval, tango_ends

# Newcombe 1998, Statistics in Medicine 17:857-872, table I, method 3 (score interval without continuity correction).
WILSON = [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0000, 0.1611), (1, 29, 0.0061, 0.1718)]
# The same table, method 5 (Clopper and Pearson).
EXACT = [(81, 263, 0.2527, 0.3676), (15, 148, 0.0578, 0.1617), (0, 20, 0.0000, 0.1684), (1, 29, 0.0009, 0.1776)]


@pytest.mark.parametrize(("correct", "n", "low", "high"), WILSON)
def test_wilson_interval_equals_published_examples(correct, n, low, high):
    assert wilson_interval(correct, n) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("n", [1, 50, 150, 1034, 14042])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_wilson_interval_equals_statsmodels(n, confidence):
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    for correct in {0, n // 3, n - 1, n}:
        reference = proportion.proportion_confint(correct, n, alpha=1 - confidence, method="wilson")
        quantile = norm.isf((1 - confidence) / 2)
        assert wilson_interval(correct, n, quantile=quantile) == pytest.approx(reference, abs=1e-12)


@pytest.mark.parametrize(("correct", "n"), [(0, 0), (5, 4), (-1, 4)])
def test_wilson_interval_refuses_impossible_counts(correct, n):
    with pytest.raises(ValueError):
        wilson_interval(correct, n)


@pytest.mark.parametrize(("correct", "n", "low", "high"), EXACT)
def test_exact_interval_equals_published_examples(correct, n, low, high):
    assert exact_interval(correct, n) == pytest.approx((low, high), abs=5.1e-5)


@pytest.mark.parametrize("n", [1, 7, 150])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_exact_interval_equals_scipy(n, confidence):
    for correct in {0, 1, n // 2, n}:
        reference = binomtest(correct, n).proportion_ci(confidence, "exact")
        assert exact_interval(correct, n, confidence) == pytest.approx((reference.low, reference.high), abs=1e-9)


def test_tango_equals_a_published_example():
    """Airway hyper-responsiveness before and after transplantation, Bentur 2009: 1 gained and 7 lost of 21.

    In Fagerland, Lydersen and Laake, Statistical Analysis of Contingency Tables (2017), table 8.6.
    """
    assert numpy.ravel(tango_ends(1, 7, 21, 1.959964)) == pytest.approx((-0.517, -0.026), abs=5e-4)


def score(difference, gained, lost, n):
    """The score statistic with the likeliest shares under a difference, searched for numerically."""

    def against(share_lost):
        shares = numpy.array([share_lost + difference, share_lost, 1 - 2 * share_lost - difference])
        return -(numpy.array([gained, lost, n - gained - lost]) * numpy.log(numpy.maximum(shares, 1e-300))).sum()

    bounds = (max(0.0, -difference), (1 - difference) / 2)
    likeliest = minimize_scalar(against, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x
    return (gained - lost - n * difference) / math.sqrt(n * (2 * likeliest + difference - difference**2))


@pytest.mark.parametrize(("gained", "lost", "n"), [(1, 7, 21), (6, 16, 161), (40, 20, 160), (3, 0, 50), (20, 130, 150)])
@pytest.mark.parametrize("quantile", [1.645, 1.96, 3.1])
def test_tango_equals_the_score_test_turned_round_by_brute_force(gained, lost, n, quantile):
    low, high = map(float, tango_ends(gained, lost, n, quantile))
    seen = (gained - lost) / n
    below = brentq(lambda d: score(d, gained, lost, n) - quantile, -1 + 1e-9, seen - 1e-9)
    above = brentq(lambda d: score(d, gained, lost, n) + quantile, seen + 1e-9, 1 - 1e-9)
    assert (low, high) == pytest.approx((below, above), abs=2e-5)


@pytest.mark.parametrize(("gained", "lost", "n"), [(0, 0, 10), (10, 0, 10), (0, 10, 10), (1, 0, 1), (0, 0, 14042)])
def test_tango_is_sound_at_the_edge(gained, lost, n):
    low, high = tango_ends(gained, lost, n, 1.96)
    assert -1 <= low <= (gained - lost) / n <= high <= 1
    assert low < high


def test_tango_takes_many_at_once():
    gained, lost = numpy.array([1, 40]), numpy.array([7, 20])
    together = tango_ends(gained, lost, numpy.array([21, 160]), 1.96)
    alone = [tango_ends(1, 7, 21, 1.96), tango_ends(40, 20, 160, 1.96)]
    assert numpy.transpose(together) == pytest.approx(numpy.array(alone))


@pytest.mark.parametrize(("gained", "lost", "n"), [(0, 0, 150), (3, 1, 150), (0, 4, 40), (1, 0, 1), (2.5, 1.5, 80.5)])
def test_altham_equals_draws_from_the_dirichlet_distribution(gained, lost, n):
    shares = numpy.random.default_rng(0).dirichlet([gained + 1, lost + 1, n - gained - lost + 1], 400_000)
    differences = shares[:, 0] - shares[:, 1]
    for probability in (0.025, 0.5, 0.95):
        below = (differences < altham_quantile(gained, lost, n, probability)).mean()
        assert below == pytest.approx(probability, abs=4 * math.sqrt(probability * (1 - probability) / 400_000) + 3e-4)
    assert altham_p(gained, lost, n) == pytest.approx(
        2 * min((differences < 0).mean(), (differences > 0).mean()), abs=4e-3
    )


def test_an_accuracy_of_unlike_questions_has_wilsons_interval():
    """Every question its own cluster: n - 1 degrees of freedom, and hardly another number of questions."""
    right = [1] * 40 + [0] * 60
    ((interval, error),) = accuracy_intervals([right], range(100))
    assert error == pytest.approx(math.sqrt(0.4 * 0.6 / 99))
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    alpha = 2 * norm.sf(t.isf(0.025, 99))
    # 1 - 1/n of p (1 - p) is what an unbiased variance makes of it.
    assert interval == pytest.approx(proportion.proportion_confint(40, 100, alpha, method="wilson"), abs=1e-3)


def test_an_accuracy_of_like_questions_has_that_of_fewer():
    """Ten databases answered all right or all wrong say as much as ten questions."""
    right = numpy.repeat([1, 0, 1, 1, 0, 0, 1, 1, 1, 0], 20)
    ((interval, error),) = accuracy_intervals([right], numpy.repeat(range(10), 20))
    assert error == pytest.approx(math.sqrt(0.6 * 0.4 / 9))
    n = 9 * 200 / 199
    assert interval == pytest.approx(wilson_interval(0.6 * n, n, quantile=t.isf(0.025, 9)))


def test_strata_take_their_own_differences_out():
    """Cochran 1977, section 5.3: only what varies within a subject counts."""
    right = [1] * 45 + [0] * 5 + [0] * 45 + [1] * 5
    subjects = ["easy"] * 50 + ["hard"] * 50
    ((strata, error),) = accuracy_intervals([right], subjects, stratified=True)
    assert error == pytest.approx(math.sqrt(2 * 0.9 * 0.1 / 49) / 2)
    ((clusters, _),) = accuracy_intervals([right], range(100))
    assert clusters.low < strata.low < 0.5 < strata.high < clusters.high


@pytest.mark.parametrize(
    ("right", "clusters", "known"),
    [
        pytest.param([1, 0] * 10, list(range(20)), True, id="few-questions"),
        pytest.param([1, 0] * 30, ["one"] * 60, False, id="one-cluster"),
        pytest.param([1] * 60, list(range(60)), True, id="all-right"),
        pytest.param([0] * 60, list(range(60)), True, id="all-wrong"),
        pytest.param([1], ["one"], False, id="one-question"),
    ],
)
def test_the_exact_interval_stands_in(right, clusters, known):
    ((interval, error),) = accuracy_intervals([right], clusters)
    reference = binomtest(sum(right), len(right)).proportion_ci(0.95, "exact")
    assert interval == pytest.approx((reference.low, reference.high), abs=1e-3 if error else 1e-9)
    assert (error is not None) is known


def test_many_accuracies_at_once_are_as_each_alone():
    right = numpy.random.default_rng(1).random((5, 200)) < 0.6
    databases = numpy.arange(200) % 7
    assert accuracy_intervals(right, databases) == [accuracy_intervals([row], databases)[0] for row in right]
