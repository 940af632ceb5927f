"""Small simulations of what ``tests/bench/test_coverage.py`` measures at length: errors are as rare as is said.

Bounds leave three standard errors of so few repeats; what is drawn is the same each time.
"""

import numpy
import pytest

from custom_metrics.statistics import Finding, estimate_changes, finding
from tests.made_up_answers import beyond_chance, held, like_mmlu, like_spider


@pytest.mark.parametrize(
    ("make", "repeats", "truth"),
    [
        pytest.param(like_spider, 700, {"gained": [0.10], "lost": [0.05]}, id="spider"),
        pytest.param(
            like_spider,
            500,
            {"gained": [0.2], "lost": [0.1], "seeds": 3, "seed_deviation": 0.02},
            id="spider-three-seeds",
        ),
        pytest.param(like_mmlu, 150, {"gained": [0.01], "lost": [0.03]}, id="mmlu-few-changes"),
    ],
)
def test_an_interval_covers_in_95_of_100_cases(make, repeats, truth):
    found = held(make, repeats, **truth)
    assert 0.93 < found.covered < 0.99
    assert not beyond_chance(found.below, 0.05, repeats)
    assert not beyond_chance(found.above, 0.05, repeats)


def test_a_family_misses_in_5_of_100_cases():
    """Without correction one of four changes would be missed in 15."""
    found = held(like_spider, 150, gained=[0.1] * 4, lost=[0.1] * 4)
    for share in (found.interval_missed, found.lower_missed, found.upper_missed, found.p_small):
        assert not beyond_chance(share, 0.05, 150)
    assert found.interval_missed > 0


def test_seeds_count_for_what_they_vary():
    """Of two trainings that differ by 2 points: taken for one and the same, they would be missed more often."""
    rng, missed, missed_by_questions = numpy.random.default_rng(1), 0, 0
    for _ in range(400):
        made = like_spider(rng, [0.2], [0.1], seeds=2, seed_deviation=0.03)
        (change,) = estimate_changes(made.changes, made.clusters)
        (questions,) = estimate_changes([made.changes[0].mean(axis=0)], made.clusters)
        missed += not change.low <= made.truth[0] <= change.high
        missed_by_questions += not questions.low <= made.truth[0] <= questions.high
    assert not beyond_chance(missed / 400, 0.05, 400)
    assert missed_by_questions > missed + 20


def test_more_questions_decide_and_a_loss_within_the_margin_is_none():
    undecided = []
    for n in (150, 1500, 13_500):
        rng, found = numpy.random.default_rng(n), []
        for _ in range(25):
            made = like_mmlu(rng, [0.045], [0.055], sizes=[n // 3] * 3)
            found.append(finding(estimate_changes(made.changes, made.clusters, stratified=True)[0], 0.02))
        undecided.append(found.count(Finding.UNDECIDED))
    assert undecided[0] > undecided[1] > undecided[2] == 0
    assert all(one.keeps for one in found)
