"""Base against tuned: on these very questions, and as estimates of what holds on others; over several seeds."""

import math
import subprocess
import sys
from dataclasses import replace

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy.stats import binom, t

from custom_metrics.statistics import (
    Design,
    Few,
    compare_paired,
    estimate_changes,
    mcnemar_mid_p,
    over_seeds,
    percentage_change,
)
from custom_metrics.statistics.intervals import tango_ends
from tests.made_up_answers import SPIDER_SIZES, like_mmlu, like_spider


def test_import_is_light():
    """Reports and the terminal import this on every run, scores or not."""
    code = "import sys, custom_metrics.statistics; print('scipy' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


@pytest.mark.parametrize(
    ("gained", "lost", "p"), [pytest.param(1, 7, 0.039, id="bentur"), pytest.param(6, 16, 0.035, id="cavo")]
)
def test_mid_p_equals_published_examples(gained, lost, p):
    """Fagerland, Lydersen and Laake 2013, BMC Medical Research Methodology 13:91, table 6."""
    assert mcnemar_mid_p(gained, lost) == pytest.approx(p, abs=5e-4)


@pytest.mark.parametrize(("gained", "lost"), [(0, 5), (0, 6), (3, 9), (40, 22), (7, 7), (1, 0)])
def test_mid_p_is_the_exact_p_less_half_of_what_was_seen(gained, lost):
    tables = pytest.importorskip("statsmodels.stats.contingency_tables")
    exact = tables.mcnemar([[20, lost], [gained, 9]], exact=True).pvalue
    # At a tie the two halves of the exact p overlap, and statsmodels cuts at 1.
    seen = float(binom.pmf(gained, gained + lost, 0.5))
    assert mcnemar_mid_p(gained, lost) == pytest.approx(1.0 if gained == lost else exact - seen, abs=1e-12)


def test_mid_p_equals_the_binomial_distribution_s_for_all_counts():
    lost, gained = numpy.meshgrid(range(60), range(60))
    fewer, changed = numpy.minimum(lost, gained), lost + gained
    p = 2 * binom.cdf(fewer, changed, 0.5) - binom.pmf(fewer, changed, 0.5)
    p[0, 0] = 1.0
    assert mcnemar_mid_p(gained, lost) == pytest.approx(p, rel=1e-12)


@pytest.mark.parametrize("changed", [6, 15, 40])
def test_mid_p_is_small_by_chance_about_as_often_as_it_says(changed):
    """Enumerates what even chances make of so many changed answers; mid-p may err a little, the exact p never."""
    often = sum(
        binom.pmf(gained, changed, 0.5)
        for gained in range(changed + 1)
        if mcnemar_mid_p(gained, changed - gained) <= 0.05
    )
    assert 0.02 < often < 0.055


def test_no_p_is_zero():
    assert mcnemar_mid_p(0, 14_042) > 0
    assert mcnemar_mid_p(0, 0) == 1.0
    (change,) = estimate_changes([numpy.repeat([1, 0], [14_000, 42])], range(14_042))
    assert 0 < change.p < 1e-300


@pytest.mark.parametrize(
    ("base", "tuned", "change"), [(0.5, 0.6, 20.0), (0.64, 0.60, -6.25), (0.5, 0.0, -100.0), (0.0, 0.3, None)]
)
def test_percentage_change(base, tuned, change):
    assert percentage_change(base, tuned) == (change if change is None else pytest.approx(change))


def test_compare_paired_counts_each_question():
    comparison = compare_paired([1, 1, 1, 0, 0, 1], [1, 0, 1, 1, 0, 0])
    assert (comparison.n, comparison.gained, comparison.lost) == (6, 1, 2)
    assert (comparison.base_correct, comparison.tuned_correct) == (4, 3)
    assert comparison.difference == pytest.approx(-1 / 6)
    assert comparison.percentage_change == pytest.approx(-25)
    assert (comparison.low, comparison.high) == pytest.approx(tuple(map(float, tango_ends(1, 2, 6, 1.959964))))
    assert comparison.p == mcnemar_mid_p(1, 2)


@pytest.mark.parametrize(("base", "tuned"), [([], []), ([1, 0], [1]), ([1, 2], [1, 0]), ([1, None], [1, 0])])
def test_compare_paired_refuses_what_is_not_paired_scores(base, tuned):
    with pytest.raises(ValueError):
        compare_paired(base, tuned)


def test_over_seeds_gives_the_sample_standard_deviation():
    assert over_seeds([0.60, 0.64, 0.62]) == pytest.approx((3, 0.62, 0.02))
    assert over_seeds([0.6]).standard_deviation is None


@pytest.mark.parametrize("make", [like_spider, like_mmlu])
@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_seeds_add_their_variance_with_satterthwaites_degrees(make, seeds):
    """By hand: the mean's variance over questions, and that of the trainings' means over their number."""
    made = make(numpy.random.default_rng(seeds), [0.15], [0.1], seeds=seeds, seed_deviation=0.02)
    stack, fixed = made.changes[0], make is like_mmlu
    (change,) = estimate_changes([stack], made.clusters, stratified=fixed)
    (questions,) = estimate_changes([stack.mean(axis=0)], made.clusters, stratified=fixed)
    own, more = questions.standard_error**2, stack.mean(axis=1).var(ddof=1) / seeds
    assert (change.seeds, change.difference) == (seeds, pytest.approx(stack.mean()))
    assert change.standard_error**2 == pytest.approx(own + more)
    df = (own + more) ** 2 / (own**2 / questions.degrees_of_freedom + more**2 / (seeds - 1))
    assert change.degrees_of_freedom == pytest.approx(df)
    if not fixed:
        assert change.high - change.difference == pytest.approx(t.isf(0.025, df) * change.standard_error)


@pytest.mark.parametrize("stratified", [False, True])
def test_seeds_with_one_result_add_nothing(stratified):
    made = like_spider(numpy.random.default_rng(1), [0.15], [0.1])
    (one,) = estimate_changes(made.changes, made.clusters, stratified=stratified)
    (three,) = estimate_changes([numpy.repeat(made.changes[0], 3, axis=0)], made.clusters, stratified=stratified)
    for name in ("difference", "standard_error", "degrees_of_freedom", "low", "high", "lower", "upper", "p"):
        assert getattr(three, name) == pytest.approx(getattr(one, name), abs=1e-12), name
    assert (one.seeds, three.seeds) == (1, 3)


def test_within_takes_the_questions_that_a_change_is_about():
    made = like_spider(numpy.random.default_rng(2), [0.1], [0.05])
    easy = numpy.arange(1034) % 3 == 0
    some_, everything = estimate_changes(made.changes * 2, made.clusters, within=[easy, numpy.ones(1034)])
    alone = estimate_changes([made.changes[0][:, easy]], made.clusters[easy])[0]
    assert (some_.n, some_.clusters, everything.n) == (alone.n, alone.clusters, 1034)
    assert (some_.difference, some_.standard_error) == pytest.approx((alone.difference, alone.standard_error))
    assert some_.low < alone.low < alone.high < some_.high


@pytest.mark.parametrize(
    ("changes", "clusters", "within"),
    [
        pytest.param([], [], None, id="nothing"),
        pytest.param([], [1, 2], None, id="no-change"),
        pytest.param([[]], [], None, id="no-question"),
        pytest.param([[1, 0, 0]], [1, 2], None, id="other-length"),
        pytest.param([[1, 0]], [1, 2], [[False, False]], id="none-of-the-questions"),
        pytest.param([[1, 0]], [1, 2], [[True, True]] * 2, id="within-of-another-number"),
    ],
)
def test_estimate_changes_refuses_what_does_not_fit(changes, clusters, within):
    with pytest.raises(ValueError, match="expected"):
        estimate_changes(changes, clusters, within=within)


def test_an_estimate_can_be_widened_by_what_was_not_counted():
    made = like_spider(numpy.random.default_rng(3), [0.1], [0.05])
    (change,) = estimate_changes(made.changes, made.clusters)
    wider = change.widened(0.01, 0.02)
    assert (change.low - wider.low, change.lower - wider.lower) == pytest.approx((0.01, 0.01))
    assert (wider.high - change.high, wider.upper - change.upper) == pytest.approx((0.02, 0.02))
    assert replace(wider, low=change.low, lower=change.lower, high=change.high, upper=change.upper) == change
    assert (change.widened(3, 3).low, change.widened(3, 3).high) == (-1, 1)


def test_all_of_mmlu_takes_no_longer_than_a_moment():
    made = like_mmlu(numpy.random.default_rng(4), [0.05] * 3, [0.05] * 3, sizes=[246] * 57)
    (change, *_) = estimate_changes(made.changes, made.clusters, stratified=True)
    assert (change.n, change.clusters, change.few, change.design) == (14_022, 57, Few.NONE, Design.STRATIFIED)
    assert 0.003 < change.high - change.difference < 0.008


CHANGES = some.lists(
    some.tuples(some.integers(0, 12), some.integers(0, 12), some.integers(0, 60)), min_size=1, max_size=6
)


def made_of(counts, shift=0):
    scores = [score for gained, lost, same in counts for score in [1] * gained + [-1] * lost + [0] * same]
    clusters = [place for place, count in enumerate(counts) for _ in range(sum(count))]
    return numpy.roll(scores, shift), clusters


@settings(deadline=None, max_examples=150, derandomize=True)
@given(counts=CHANGES, family=some.integers(1, 3), stratified=some.booleans())
def test_estimates_are_in_order_and_p_agrees_with_the_interval(counts, family, stratified):
    scores, clusters = made_of(counts)
    if not clusters:
        return
    changes = [numpy.roll(scores, 7 * place) for place in range(family)]
    for e in estimate_changes(changes, clusters, stratified=stratified):
        # In tenths of a millionth: searched for, not calculated.
        assert e.low <= e.lower + 1e-7 and e.upper <= e.high + 1e-7
        assert e.lower - 1e-7 <= e.difference <= e.upper + 1e-7
        assert 0 < e.p <= 1
        if abs(e.p - 0.05) > 1e-5:
            assert (e.p <= 0.05) is not (e.low <= 0 <= e.high)


@settings(deadline=None, max_examples=100, derandomize=True)
@given(counts=CHANGES, stratified=some.booleans())
def test_base_and_tuned_exchanged_turn_everything_round(counts, stratified):
    scores, clusters = made_of(counts)
    if not clusters:
        return
    (there,) = estimate_changes([scores], clusters, stratified=stratified)
    (back,) = estimate_changes([-numpy.array(scores)], clusters, stratified=stratified)
    assert (back.low, back.lower, back.difference) == pytest.approx(
        (-there.high, -there.upper, -there.difference), abs=1e-6
    )
    assert (back.high, back.upper, back.p) == pytest.approx((-there.low, -there.lower, there.p), abs=1e-6)


def test_the_order_of_questions_does_not_matter():
    made = like_spider(numpy.random.default_rng(5), [0.1], [0.05])
    order = numpy.random.default_rng(6).permutation(sum(SPIDER_SIZES))
    (one,) = estimate_changes(made.changes, made.clusters)
    (other,) = estimate_changes([made.changes[0][:, order]], made.clusters[order])
    assert (one.low, one.high, one.p) == pytest.approx((other.low, other.high, other.p))
    assert math.isfinite(one.degrees_of_freedom)
