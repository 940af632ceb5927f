"""The sentences that reports have printed until now; goes with ``custom_metrics/statistics/legacy.py``."""

import pytest

from custom_metrics.statistics import LossVerdict, compare_paired, describe_verdict, loss_verdict


@pytest.mark.parametrize(
    ("n", "gained", "lost", "verdict", "text"),
    [
        pytest.param(150, 2, 14, LossVerdict.LOSS_SHOWN, "loss shown", id="loss"),
        pytest.param(150, 6, 9, LossVerdict.NO_LOSS_SHOWN, "no loss shown (could miss up to 7.3 points)", id="open"),
        pytest.param(14042, 700, 704, LossVerdict.EQUIVALENT, "equivalent within the margin", id="equivalent"),
        pytest.param(14042, 100, 200, LossVerdict.LOSS_SHOWN, "loss shown", id="loss-within-the-margin"),
        pytest.param(150, 30, 2, LossVerdict.EQUIVALENT, "equivalent within the margin", id="gain"),
        pytest.param(4, 0, 2, LossVerdict.NO_LOSS_SHOWN, "no loss shown (4 questions cannot show any)", id="too-few"),
    ],
)
def test_verdict(n, gained, lost, verdict, text):
    unchanged = [1] * (n - gained - lost)
    comparison = compare_paired([0] * gained + [1] * lost + unchanged, [1] * gained + [0] * lost + unchanged)
    assert loss_verdict(comparison, margin=0.02) is verdict
    assert describe_verdict(verdict, comparison) == text


def test_a_corrected_p_can_withdraw_the_loss():
    comparison = compare_paired([1] * 7 + [1] * 43, [0] * 7 + [1] * 43)
    assert loss_verdict(comparison, margin=0.02) is LossVerdict.LOSS_SHOWN
    assert loss_verdict(comparison, margin=0.02, p=6 * comparison.p) is LossVerdict.NO_LOSS_SHOWN
