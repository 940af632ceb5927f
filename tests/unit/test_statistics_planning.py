"""What a plan promises against simulation, and how many questions decide."""

import math
from dataclasses import replace
from statistics import NormalDist

import numpy
import pytest
from scipy.stats import binomtest, t

from custom_metrics.statistics import Enough, Finding, Plan, enough_to_decide, estimate_changes, finding
from tests.made_up_answers import like_mmlu, like_spider


def test_a_plan_of_many_unlike_questions_is_the_normal_approximation():
    """Connor 1987, Biometrics 43:207-211: (1.96 + 0.84) x sqrt(discordance / n); one-sided 1.645."""
    plan = Plan(14_042, 0.1)
    error, normal = math.sqrt(0.1 / 14_042), NormalDist().inv_cdf
    assert plan.standard_error == error
    assert plan.half_width == pytest.approx(normal(0.975) * error, rel=1e-3)
    assert plan.smallest_shown == pytest.approx((normal(0.975) + normal(0.8)) * error, rel=1e-3)
    assert plan.smallest_margin == pytest.approx((normal(0.95) + normal(0.8)) * error, rel=1e-3)


def simulated(rng, n, gained, lost, clusters, repeats=4000):
    """Estimates of unlike questions in clusters of one size: how they are drawn needs no simulation of clusters."""
    shares = [gained, lost, 1 - gained - lost]
    counts = rng.multinomial(n // clusters, shares, (repeats, clusters))
    means = (counts[..., 0] - counts[..., 1]) / (n // clusters)
    return means.mean(axis=1), means.std(axis=1, ddof=1) / math.sqrt(clusters)


@pytest.mark.parametrize(("n", "clusters"), [(1000, 20), (1000, 6), (3000, 300)])
def test_what_a_plan_calls_shown_is_shown_four_times_in_five(n, clusters):
    """By the t interval, which ``test_statistics_clusters`` shows these clusters to have."""
    plan = Plan(n, 0.2, clusters)
    change = plan.smallest_shown
    # Of the discordance, a large change leaves less variance: as the plan has it, put back.
    discordance = 0.2 + change**2
    means, errors = simulated(
        numpy.random.default_rng(1), n, (discordance + change) / 2, (discordance - change) / 2, clusters
    )
    shown = int((means - t.isf(0.025, clusters - 1) * errors > 0).sum())
    assert binomtest(shown, len(means), 0.8).proportion_ci(0.999).low < 0.82
    assert 0.78 < shown / len(means) < 0.83


@pytest.mark.parametrize(("n", "clusters"), [(1000, 20), (3000, 300)])
def test_within_the_smallest_margin_no_change_is_shown_to_be_four_times_in_five(n, clusters):
    plan = Plan(n, 0.2, clusters)
    means, errors = simulated(numpy.random.default_rng(2), n, 0.1, 0.1, clusters)
    kept = (means - t.isf(0.05, clusters - 1) * errors > -plan.smallest_margin).mean()
    assert 0.78 < kept < 0.83


def test_a_plan_for_three_subjects_holds_by_the_products_own_finding():
    plan = Plan(150, 0.2)
    rng, kept = numpy.random.default_rng(3), 0
    for _ in range(200):
        made = like_mmlu(rng, [0.1], [0.1])
        (change,) = estimate_changes(made.changes, made.clusters, stratified=True)
        kept += finding(change, plan.smallest_margin).keeps
    assert 0.71 < kept / 200 < 0.89


def test_families_clusters_likeness_and_seeds_make_a_plan_show_less():
    plan = Plan(1034, 0.15)
    worse = [
        Plan(1034, 0.15, family=4),
        Plan(1034, 0.15, clusters=20),
        Plan(1034, 0.15, design_effect=2.4),
        Plan(1034, 0.15, seeds=3, seed_deviation=0.01),
        Plan(500, 0.15),
        Plan(1034, 0.3),
    ]
    for other in worse:
        assert other.smallest_shown > plan.smallest_shown
        assert other.smallest_margin > plan.smallest_margin
        assert other.half_width > plan.half_width
    assert Plan(1034, 0.15, seed_deviation=0.01).standard_error == plan.standard_error


def test_trainings_add_their_variance_over_their_number():
    plan = Plan(1000, 0.1, design_effect=2.0, seeds=4, seed_deviation=0.02)
    assert plan.standard_error == pytest.approx(math.sqrt(0.1 * 2 / 1000 + 0.02**2 / 4))


@pytest.mark.parametrize("plan", [Plan(150, 0.1), Plan(150, 0.3, family=3)])
def test_so_many_questions_have_the_margin(plan):
    needed = plan.questions_for(0.02)
    assert needed > plan.n
    again = Plan(needed, plan.discordance, family=plan.family)
    assert again.smallest_margin == pytest.approx(0.02, rel=0.02)


@pytest.mark.parametrize("gain", [False, True])
@pytest.mark.parametrize("true", [-0.03, -0.02, -0.005, 0.0, 0.015])
def test_with_enough_questions_no_result_is_undecided(true, gain):
    """Clusters of one size, as many more of them as it says: whatever then comes out is a finding."""
    rng = numpy.random.default_rng(4)
    made = like_spider(rng, [0.08], [0.08], sizes=[25] * 20)
    (pilot,) = estimate_changes(made.changes, made.clusters)
    enough = enough_to_decide(pilot, 0.02, gain=gain)
    undecided = 0
    for _ in range(20):
        # Ten in a hundred more, as the next error may be larger than the one seen.
        sizes = [25] * math.ceil(1.1 * enough.clusters)
        made = like_spider(rng, [0.08 + true / 2], [0.08 - true / 2], sizes=sizes)
        (change,) = estimate_changes(made.changes, made.clusters)
        undecided += finding(change, 0.02, gain=gain) is Finding.UNDECIDED
    assert undecided == 0


@pytest.mark.parametrize("gain", [False, True])
def test_enough_is_where_the_same_error_cannot_leave_it_open(gain):
    """The interval of an estimate moved anywhere, shrunk as more questions shrink it, always decides."""
    made = like_spider(numpy.random.default_rng(5), [0.1], [0.1])
    (pilot,) = estimate_changes(made.changes, made.clusters)
    enough = enough_to_decide(pilot, 0.02, gain=gain)
    shrunk = math.sqrt(pilot.n / enough.questions)
    for middle in numpy.linspace(-0.06, 0.06, 241):
        ends = {e: middle + shrunk * (getattr(pilot, e) - pilot.difference) for e in ("low", "high", "lower", "upper")}
        assert finding(replace(pilot, **ends), 0.02, gain=gain) is not Finding.UNDECIDED


def test_enough_asks_for_clusters_only_where_others_would_be_asked():
    made = like_mmlu(numpy.random.default_rng(6), [0.05], [0.05])
    (fixed,) = estimate_changes(made.changes, made.clusters, stratified=True)
    (drawn,) = estimate_changes(made.changes, made.clusters)
    assert enough_to_decide(fixed, 0.02).clusters is None
    assert enough_to_decide(drawn, 0.02).clusters > 3


def test_what_is_decided_needs_no_more_and_too_few_are_never_enough():
    made = like_spider(numpy.random.default_rng(7), [0.1], [0.1])
    (change,) = estimate_changes(made.changes, made.clusters)
    assert enough_to_decide(change, 0.9) == Enough(1034, 20)
    (few,) = estimate_changes([[1, 0, -1, 0, 0, 1, 0]], ["one"] * 7)
    assert finding(few, 2.0) is Finding.UNDECIDED
    assert enough_to_decide(few, 2.0) == Enough(30, 2)
