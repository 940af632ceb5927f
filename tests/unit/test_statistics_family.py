"""Several changes at once: published critical values, scipy, and the two ends between which families lie."""

import numpy
import pytest
from scipy.stats import t

from custom_metrics.statistics import estimate_changes
from custom_metrics.statistics.family import Family
from tests.made_up_answers import like_spider


def against_one(k):
    """Scores of ``k`` groups that are compared with the same group, all of one size: correlations of one half."""
    scores = numpy.zeros((k, k + 1))
    scores[:, 0], scores[range(k), range(1, k + 1)] = -1, 1
    return scores / 2**0.5


# Dunnett 1964, Biometrics 20:482-491, table II: two-sided critical values at 5 %, for 20 and infinitely many degrees.
DUNNETT = [(2, 2.38, 2.21), (3, 2.54, 2.35), (4, 2.65, 2.44), (5, 2.73, 2.51)]


@pytest.mark.parametrize(("k", "few", "many"), DUNNETT)
def test_critical_values_are_dunnetts(k, few, many):
    """His groups share one estimate of variance; with few degrees each having its own needs a bit more."""
    assert t.isf(Family(against_one(k), numpy.ones(k), 1e6).two_sided_level(0.05) / 2, 1e6) == pytest.approx(
        many, abs=0.025
    )
    own = t.isf(Family(against_one(k), numpy.ones(k), 20).two_sided_level(0.05) / 2, 20)
    assert few - 0.015 < own < few + 0.06


def test_p_values_are_those_of_scipys_dunnett():
    from scipy.stats import dunnett

    rng = numpy.random.default_rng(4)
    control, *groups = (rng.normal(shift, 1, 500) for shift in (0, 0.05, 0.13, 0.16))
    reference = dunnett(*groups, control=control)
    family = Family(against_one(3), numpy.ones(3), 1996)
    alone = 2 * t.sf(numpy.abs(reference.statistic), 1996)
    assert [family.adjusted(p) for p in alone] == pytest.approx(list(reference.pvalue), abs=0.01)


@pytest.mark.parametrize("df", [1, 5, 14, 1000])
@pytest.mark.parametrize("k", [2, 8])
def test_changes_that_have_nothing_in_common_are_corrected_as_sidak_does(k, df):
    family = Family(numpy.eye(k), numpy.ones(k), df)
    assert 1 - (1 - family.two_sided_level(0.05)) ** k == pytest.approx(0.05, abs=0.006)
    assert 1 - (1 - family.one_sided_level(0.05)) ** k == pytest.approx(0.05, abs=0.006)


@pytest.mark.parametrize("df", [1, 14, 1000])
def test_the_same_change_again_is_corrected_for_nothing(df):
    family = Family(numpy.ones((4, 3)) / 3**0.5, numpy.ones(4), df)
    assert family.two_sided_level(0.05) == pytest.approx(0.05, abs=0.005)
    assert family.adjusted(0.05) == pytest.approx(0.05, abs=0.005)
    # Draws alone would now and then make an interval narrower than that of one change.
    assert family.two_sided_level(0.05) <= 0.05 <= family.adjusted(0.05)
    assert family.one_sided_level(0.05) <= 0.05


def test_statistics_with_variances_of_their_own_equal_a_wishart_distributions():
    """What the draws stand for, made directly: means, and variances from 14 normal vectors as correlated as those."""
    k, df, rng = 4, 14, numpy.random.default_rng(5)
    scores = against_one(k) * 0.8 + numpy.pad(numpy.eye(k), ((0, 0), (1, 0))) * 0.2
    scores /= numpy.sqrt((scores**2).sum(axis=1, keepdims=True))
    means = rng.standard_normal((60_000, k + 1)) @ scores.T
    squares = sum((rng.standard_normal((60_000, k + 1)) @ scores.T) ** 2 for _ in range(df))
    largest = numpy.abs(means / numpy.sqrt(squares / df)).max(axis=1)
    level = Family(scores, numpy.ones(k), df).two_sided_level(0.05)
    assert t.isf(level / 2, df) == pytest.approx(numpy.quantile(largest, 0.95), abs=0.04)


def test_one_change_is_students_t_to_the_digit():
    family = Family(numpy.ones((1, 3)), numpy.ones(1), 14)
    assert (family.two_sided_level(0.05), family.one_sided_level(0.05), family.adjusted(0.031)) == (0.05, 0.05, 0.031)


def test_what_seeds_add_is_shared_by_none():
    """Half of the variance is of the questions, which are the same: correlations of one half, as Dunnett's."""
    family = Family(numpy.ones((3, 1)), numpy.full(3, 2.0), 1e6)
    assert t.isf(family.two_sided_level(0.05) / 2, 1e6) == pytest.approx(2.35, abs=0.025)


@pytest.mark.parametrize("k", [2, 5])
@pytest.mark.parametrize("alpha", [0.05, 0.0123, 0.3])
def test_p_is_at_most_alpha_just_where_the_interval_leaves_no_change_out(k, alpha):
    """At the critical value itself and at the draws beside it."""
    family = Family(against_one(k), numpy.ones(k), 14)
    critical = t.isf(family.two_sided_level(alpha) / 2, 14)
    for shift in (-1e-3, -1e-6, 1e-6, 1e-3):
        assert (family.adjusted(2 * t.sf(critical + shift, 14)) <= alpha) == (shift > 0)


def test_no_p_is_zero_and_the_smallest_says_how_many_were_drawn():
    assert Family(against_one(3), numpy.ones(3), 14).adjusted(1e-200) == pytest.approx(1 / 200_001)


@pytest.mark.parametrize("stratified", [False, True])
def test_more_changes_never_narrow_an_interval(stratified):
    made = like_spider(numpy.random.default_rng(6), [0.1] * 6, [0.08] * 6)
    before = None
    for k in (1, 2, 4, 6):
        estimate = estimate_changes(made.changes[:k], made.clusters, stratified=stratified)[0]
        if before:
            assert estimate.low < before.low and before.high < estimate.high
            assert estimate.lower < before.lower and before.upper < estimate.upper
            assert estimate.p >= before.p
        before = estimate


def test_a_family_of_which_one_has_few_changes_holds_together():
    """Its share of the error is its own, the rest is left to the others."""
    made = like_spider(numpy.random.default_rng(7), [0.1] * 2, [0.05] * 2)
    two = estimate_changes(made.changes, made.clusters)
    three = estimate_changes([*made.changes, numpy.zeros(1034)], made.clusters)
    assert [estimate.family for estimate in three] == [3, 3, 3]
    assert three[2].few and three[2].low < 0 < three[2].high
    assert three[0].low < two[0].low and three[0].p > two[0].p
    alone = estimate_changes([numpy.zeros(1034)], made.clusters)[0]
    assert three[2].low < alone.low


def test_a_large_family_takes_seconds():
    """All pairs of 25 configurations: 300 changes."""
    import time

    made = like_spider(numpy.random.default_rng(8), [0.1] * 25, [0.05] * 25)
    pairs = [one - other for place, one in enumerate(made.changes) for other in made.changes[:place]]
    start = time.perf_counter()
    assert len(estimate_changes(pairs, made.clusters)) == 300
    assert time.perf_counter() - start < 20
