"""Which option log-likelihoods choose, and what is refused."""

import math

import numpy
import pytest

from custom_metrics.multiple_choice import choose_cloze, choose_letter, letter_mass


@pytest.mark.parametrize("position", range(4))
def test_the_most_likely_letter_is_chosen(position):
    log_likelihoods = [-3.0] * 4
    log_likelihoods[position] = -1.0
    assert choose_letter(log_likelihoods) == "ABCD"[position]


def test_a_tie_goes_to_the_first_option():
    """numpy's argmax, which lm-evaluation-harness uses, takes the first of equal values."""
    tied = [-2.0, -1.0, -1.0, -1.0]
    assert choose_letter(tied) == "ABCD"[numpy.argmax(tied)] == "B"
    assert choose_cloze([-4.0, -2.0, -6.0, -8.0], [4, 2, 6, 8]) == "A"


def test_cloze_divides_by_length():
    """Summed log-likelihoods alone would always favour the shortest option."""
    log_likelihoods = [-6.0, -10.0, -30.0, -40.0]
    assert choose_letter(log_likelihoods) == "A"
    assert choose_cloze(log_likelihoods, [5, 20, 10, 10]) == "B"


def test_an_impossible_letter_is_not_chosen():
    assert choose_letter([-math.inf, -math.inf, -50.0, -math.inf]) == "C"


def test_letter_mass_sums_probabilities():
    log_likelihoods = [math.log(0.4), math.log(0.1), math.log(0.05), -math.inf]
    assert letter_mass(log_likelihoods) == pytest.approx(0.55)


@pytest.mark.parametrize("log_likelihoods", [[-1.0, math.nan, -2.0, -3.0], [-1.0, -2.0, -3.0], []])
@pytest.mark.parametrize("rule", [choose_letter, letter_mass, lambda values: choose_cloze(values, [1, 1, 1, 1])])
def test_what_is_not_four_numbers_is_refused(rule, log_likelihoods):
    """max() would return an arbitrary letter where a log-likelihood is NaN."""
    with pytest.raises(ValueError, match="four log-likelihoods"):
        rule(log_likelihoods)


@pytest.mark.parametrize("lengths", [[3, 0, 2, 2], [3, 2, 2]])
def test_lengths_must_be_four_and_positive(lengths):
    with pytest.raises(ValueError, match="lengths"):
        choose_cloze([-1.0, -2.0, -3.0, -4.0], lengths)
