"""Power against complete enumeration and published approximations."""

from math import comb

import pytest

from custom_metrics.statistics import mcnemar_exact, paired_power, questions_needed, smallest_visible_difference


@pytest.mark.parametrize(("n", "difference", "discordance"), [(30, 0.3, 0.4), (24, 0.25, 0.25), (40, 0.1, 0.3)])
def test_paired_power_equals_enumeration(n, difference, discordance):
    """Adds up every outcome in which the test itself shows a gain."""
    gain, loss = (discordance + difference) / 2, (discordance - difference) / 2
    shown = sum(
        comb(n, gained) * comb(n - gained, lost) * gain**gained * loss**lost * (1 - discordance) ** (n - gained - lost)
        for gained in range(n + 1)
        for lost in range(n + 1 - gained)
        if gained > lost and mcnemar_exact(gained, lost) <= 0.05
    )
    assert paired_power(n, difference, discordance) == pytest.approx(shown, abs=1e-8)


@pytest.mark.parametrize(
    ("n", "discordance", "points"), [(150, 0.10, 7.2), (50, 0.10, 12.5), (1034, 0.15, 3.4), (14042, 0.10, 0.7)]
)
def test_smallest_visible_difference_is_near_the_normal_approximation(n, discordance, points):
    """Connor 1987, Biometrics 43:207-211; its answer for 50 questions exceeds the discordance, which cannot be."""
    visible = smallest_visible_difference(n, discordance)
    assert paired_power(n, visible, max(discordance, visible)) == pytest.approx(0.8, abs=1e-3)
    assert points - 0.05 <= 100 * visible <= points * 1.25


def test_smallest_visible_difference_is_not_zero_where_no_answer_changed():
    visible = smallest_visible_difference(150, 0.0)
    assert sum(comb(150, k) * visible**k * (1 - visible) ** (150 - k) for k in range(6)) == pytest.approx(0.2, abs=1e-3)


def test_five_questions_show_nothing():
    assert smallest_visible_difference(5, 0.4) is None


def test_questions_needed_is_near_connors_example():
    """Shares 0.45 and 0.05: 23 pairs by the normal approximation, a few more by the exact test."""
    needed = questions_needed(0.40, 0.50)
    assert 23 <= needed <= 27
    assert paired_power(needed - 1, 0.40, 0.50) < 0.8 <= paired_power(needed, 0.40, 0.50)


def test_questions_needed_inverts_the_smallest_visible_difference():
    assert questions_needed(smallest_visible_difference(1034, 0.15), 0.15) == pytest.approx(1034, rel=0.02)


def test_no_number_of_questions_shows_no_difference():
    assert questions_needed(0.0, 0.1) is None
