"""What a change shows, by its interval and the margin; and when nothing can be shown."""

from types import SimpleNamespace

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from custom_metrics.statistics import Design, Few, Finding, estimate_changes, finding
from custom_metrics.statistics.finding import Bounded


def change(low, lower, upper, high, few=Few.NONE) -> Bounded:
    return SimpleNamespace(low=low, lower=lower, upper=upper, high=high, few=few)


SHOWN = [
    pytest.param((0.03, 0.035, 0.06, 0.07), "better by more than the margin", None, id="far-above"),
    pytest.param((0.01, 0.012, 0.06, 0.07), "better", None, id="above"),
    pytest.param((0.005, 0.006, 0.010, 0.011), "equivalent within the margin", "better", id="above-within-the-margin"),
    pytest.param(
        (-0.01, -0.009, 0.009, 0.01), "equivalent within the margin", "no better than the margin", id="within"
    ),
    pytest.param(
        (-0.021, -0.019, 0.019, 0.021), "equivalent within the margin", "no better than the margin", id="bounds"
    ),
    pytest.param((-0.01, -0.009, 0.03, 0.04), "no worse than the margin", "undecided", id="open-above"),
    pytest.param((-0.04, -0.03, 0.009, 0.01), "undecided", "no better than the margin", id="open-below"),
    pytest.param((-0.04, -0.03, 0.03, 0.04), "undecided", None, id="open"),
    pytest.param(
        (-0.011, -0.01, -0.006, -0.005), "equivalent within the margin", "worse", id="below-within-the-margin"
    ),
    pytest.param((-0.04, -0.03, -0.006, -0.005), "worse", None, id="below"),
    pytest.param((-0.07, -0.06, -0.04, -0.03), "worse by more than the margin", None, id="far-below"),
    pytest.param((0.0, 0.001, 0.04, 0.05), "no worse than the margin", "undecided", id="just-not-above"),
]


@pytest.mark.parametrize(("ends", "kept", "gained"), SHOWN)
def test_finding(ends, kept, gained):
    assert finding(change(*ends), 0.02) == kept
    assert finding(change(*ends), 0.02, gain=True) == (gained or kept)


@pytest.mark.parametrize("gain", [False, True])
def test_only_margin_and_sign_matter_so_a_loss_turns_round_to_a_gain(gain):
    """What holds of worse holds of better, but for what is asked: no worse or no better than the margin."""
    turned = {
        Finding.BETTER: Finding.WORSE,
        Finding.BETTER_THAN_MARGIN: Finding.WORSE_THAN_MARGIN,
        Finding.EQUIVALENT: Finding.EQUIVALENT,
    }
    for case in SHOWN:
        ends = case.values[0]
        found = finding(change(*ends), 0.02, gain=gain)
        if found in turned and (gain or found is not Finding.BETTER):
            assert finding(change(*(-end for end in reversed(ends))), 0.02, gain=gain) is turned[found]


def test_every_finding_is_reached():
    found = {finding(change(*case.values[0]), 0.02, gain=gain) for case in SHOWN for gain in (False, True)}
    assert found == set(Finding)


def test_what_findings_say_of_gain_loss_and_keeping():
    says = {one: (one.gains, one.loses, one.keeps) for one in Finding}
    assert [one for one, (gains, _, _) in says.items() if gains] == [Finding.BETTER_THAN_MARGIN, Finding.BETTER]
    assert [one for one, (_, loses, _) in says.items() if loses] == [Finding.WORSE, Finding.WORSE_THAN_MARGIN]
    assert [one for one, (_, _, keeps) in says.items() if not keeps] == [
        Finding.NO_BETTER,
        Finding.WORSE,
        Finding.WORSE_THAN_MARGIN,
        Finding.UNDECIDED,
    ]


@pytest.mark.parametrize("few", [Few.QUESTIONS, Few.CLUSTERS])
@pytest.mark.parametrize("gain", [False, True])
def test_too_few_questions_or_one_cluster_decide_nothing(few, gain):
    for case in SHOWN:
        assert finding(change(*case.values[0], few), 0.02, gain=gain) is Finding.UNDECIDED


@pytest.mark.parametrize("few", [Few.CHANGES, Few.ALIKE])
def test_few_changes_can_be_within_the_margin_and_show_no_difference(few):
    assert finding(change(-0.01, -0.009, 0.009, 0.01, few), 0.02) is Finding.EQUIVALENT
    assert finding(change(0.03, 0.031, 0.06, 0.07, few), 0.02) is Finding.NO_WORSE
    assert finding(change(-0.07, -0.06, -0.04, -0.03, few), 0.02) is Finding.UNDECIDED
    assert finding(change(-0.07, -0.06, -0.04, -0.03, few), 0.02, gain=True) is Finding.NO_BETTER


MADE = [
    pytest.param([1] * 29, range(29), Few.QUESTIONS, id="29-questions"),
    pytest.param([1], [0], Few.QUESTIONS, id="one-question"),
    pytest.param([1] * 20 + [0] * 80, [0] * 100, Few.CLUSTERS, id="one-cluster"),
    pytest.param([1] * 4 + [0] * 96, range(100), Few.CHANGES, id="four-changes"),
    pytest.param([0] * 14_042, range(14_042), Few.CHANGES, id="none"),
    pytest.param([1] * 40, range(40), Few.ALIKE, id="all-gained"),
    pytest.param([-1] * 40, range(40), Few.ALIKE, id="all-lost"),
    pytest.param(([1] * 5 + [0] * 25) * 3, [0] * 30 + [1] * 30 + [2] * 30, Few.ALIKE, id="clusters-to-the-digit-alike"),
    pytest.param([1] * 30 + [0] * 70, range(100), Few.NONE, id="enough"),
    pytest.param([1] * 5 + [0] * 25, range(30), Few.NONE, id="just-enough"),
    pytest.param([1] * 20 + [0] * 80, [0] * 50 + [1] * 50, Few.NONE, id="two-clusters"),
]


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("scores", "clusters", "few"), MADE)
def test_few_are_said_to_be_few_and_show_no_difference(scores, clusters, few, sign):
    (estimate,) = estimate_changes([sign * numpy.array(scores)], clusters)
    assert estimate.few is few
    assert estimate.design is Design.CLUSTERED
    ordered(estimate)
    for margin in (0.001, 0.02, 0.5):
        for gain in (False, True):
            found = finding(estimate, margin, gain=gain)
            assert not few or not (found.gains or found.loses)


@pytest.mark.parametrize("scores", [[1] * 29, [1] * 4 + [0] * 96, [-1] * 40, [1]])
def test_few_in_fixed_subjects_show_no_difference_either(scores):
    (estimate,) = estimate_changes([scores], [place % 3 for place in range(len(scores))], stratified=True)
    assert estimate.few
    ordered(estimate)
    assert not finding(estimate, 0.01).gains and not finding(estimate, 0.01).loses


def ordered(estimate):
    assert -1 <= estimate.difference <= 1
    assert estimate.low <= estimate.lower <= estimate.difference <= estimate.upper <= estimate.high
    assert 0 < estimate.p <= 1


@settings(deadline=None, max_examples=150, derandomize=True)
@given(
    counts=some.lists(
        some.tuples(some.integers(0, 8), some.integers(0, 8), some.integers(0, 40)), min_size=1, max_size=6
    ),
    margin=some.sampled_from([0.01, 0.02, 0.05, 0.1]),
    stratified=some.booleans(),
    gain=some.booleans(),
)
def test_four_times_the_same_answers_leave_nothing_undecided_that_was_decided(counts, margin, stratified, gain):
    """With four times the clusters, or the questions of each subject: more of the same only takes out of the open."""
    scores = [score for gained, lost, same in counts for score in [1] * gained + [-1] * lost + [0] * same]
    clusters = [place for place, count in enumerate(counts) for _ in range(sum(count))]
    if not scores:
        return
    four = clusters * 4 if stratified else [(time, place) for time in range(4) for place in clusters]
    (once,) = estimate_changes([scores], clusters, stratified=stratified)
    (again,) = estimate_changes([scores * 4], four, stratified=stratified)
    if finding(once, margin, gain=gain) is not Finding.UNDECIDED:
        assert finding(again, margin, gain=gain) is not Finding.UNDECIDED
