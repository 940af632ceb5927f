"""Every formula against published worked examples, an independent library, or complete enumeration."""

import math
import sys
from itertools import product

import pytest

from custom_metrics.statistics import (
    Finding,
    clustered_standard_error,
    compare_paired,
    finding,
    holm,
    mcnemar_exact,
    over_seeds,
    paired_interval,
    percentage_change,
    wilson_interval,
)

# Newcombe 1998, Statistics in Medicine 17:857-872, table I, method 3 (score interval without continuity correction).
WILSON = [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0000, 0.1611), (1, 29, 0.0061, 0.1718)]

# Cells (both, gained, lost, neither), the interval of method 10 and the exact McNemar p, where published.
# bentur, cavo: Fagerland, Lydersen and Laake, Statistical Analysis of Contingency Tables (2017), chapter 8.
# altman: Altman, Machin, Bryant and Gardner, Statistics with Confidence (2000), chapter 6.
PAIRED = [
    pytest.param((1, 1, 7, 12), (-0.507, -0.026), 0.0703, id="bentur"),
    pytest.param((59, 6, 16, 80), (-0.1186, -0.0046), 0.052479, id="cavo"),
    pytest.param((14, 5, 0, 22), (0.011, 0.226), None, id="altman"),
]


def test_import_is_light():
    """Reports and the terminal import this on every run, scores or not."""
    import subprocess

    code = "import sys, custom_metrics.statistics; print('scipy' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


@pytest.mark.parametrize(("correct", "n", "low", "high"), WILSON)
def test_wilson_interval_equals_published_examples(correct, n, low, high):
    assert wilson_interval(correct, n) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("n", [1, 50, 150, 1034])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_wilson_interval_equals_statsmodels(n, confidence):
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    for correct in {0, n // 3, n - 1, n}:
        reference = proportion.proportion_confint(correct, n, alpha=1 - confidence, method="wilson")
        assert wilson_interval(correct, n, confidence) == pytest.approx(reference, abs=1e-12)


@pytest.mark.parametrize(("correct", "n"), [(0, 0), (5, 4), (-1, 4)])
def test_wilson_interval_refuses_impossible_counts(correct, n):
    with pytest.raises(ValueError):
        wilson_interval(correct, n)


@pytest.mark.parametrize(("cells", "interval", "p"), PAIRED)
def test_paired_interval_equals_published_examples(cells, interval, p):
    digits = max(len(str(limit).partition(".")[2]) for limit in interval)
    assert paired_interval(*cells) == pytest.approx(interval, abs=0.5001 * 10**-digits)
    assert p is None or mcnemar_exact(cells[1], cells[2]) == pytest.approx(p, abs=1e-4)


def test_paired_interval_turns_round_with_the_question():
    low, high = paired_interval(59, 6, 16, 80)
    assert paired_interval(59, 16, 6, 80) == pytest.approx((-high, -low))


@pytest.mark.parametrize("cells", [(10, 0, 0, 0), (0, 0, 0, 10), (0, 10, 0, 0), (5, 0, 0, 5), (1, 0, 0, 0)])
def test_paired_interval_is_sound_at_the_edge(cells):
    """Zero margins divide by zero in the correlation; perfect agreement still leaves uncertainty."""
    low, high = paired_interval(*cells)
    assert -1 <= low <= (cells[1] - cells[2]) / sum(cells) <= high <= 1
    assert low < high


@pytest.mark.parametrize("shares", [(0.6, 0.05, 0.1, 0.25), (0.5, 0.2, 0.1, 0.2), (0.4, 0.1, 0.25, 0.25)])
def test_paired_interval_covers_the_truth(shares):
    """Enumerates every table of 16 questions: the 95 % interval holds the true difference about 95 % of the time."""
    n, covered = 16, 0.0
    for both, gained, lost in product(range(n + 1), repeat=3):
        if (neither := n - both - gained - lost) < 0:
            continue
        low, high = paired_interval(both, gained, lost, neither)
        if low <= shares[1] - shares[2] <= high:
            covered += multinomial((both, gained, lost, neither), shares)
    assert 0.94 < covered < 0.995


def multinomial(counts, shares):
    """The probability of the counts of a table under the shares of its cells."""
    ways = math.factorial(sum(counts))
    for count in counts:
        ways //= math.factorial(count)
    return ways * math.prod(share**count for share, count in zip(shares, counts, strict=True))


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (0, 5), (0, 6), (3, 9), (40, 22), (7, 7)])
def test_mcnemar_exact_equals_statsmodels(gained, lost):
    tables = pytest.importorskip("statsmodels.stats.contingency_tables")
    reference = tables.mcnemar([[20, lost], [gained, 9]], exact=True).pvalue if gained + lost else 1.0
    assert mcnemar_exact(gained, lost) == pytest.approx(reference, abs=1e-12)


def test_six_one_way_changes_are_the_fewest_that_count():
    assert mcnemar_exact(0, 5) > 0.05 > mcnemar_exact(0, 6)


@pytest.mark.parametrize(
    ("base", "tuned", "change"), [(0.5, 0.6, 20.0), (0.64, 0.60, -6.25), (0.5, 0.0, -100.0), (0.0, 0.3, None)]
)
def test_percentage_change(base, tuned, change):
    assert percentage_change(base, tuned) == (change if change is None else pytest.approx(change))


@pytest.mark.parametrize(
    "p_values", [[0.01, 0.04, 0.03], [0.01, 0.02, 0.03, 0.04, 0.05], [0.5, 0.6, 0.9], [0.001, 0.001], [0.2], []]
)
def test_holm_equals_statsmodels(p_values):
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    reference = multitest.multipletests(p_values, method="holm")[1] if p_values else []
    assert holm(p_values) == pytest.approx(list(reference))


def test_compare_paired_counts_each_question():
    comparison = compare_paired([1, 1, 1, 0, 0, 1], [1, 0, 1, 1, 0, 0])
    assert (comparison.n, comparison.gained, comparison.lost) == (6, 1, 2)
    assert (comparison.base_correct, comparison.tuned_correct) == (4, 3)
    assert comparison.difference == pytest.approx(-1 / 6)
    assert comparison.percentage_change == pytest.approx(-25)
    assert (comparison.low, comparison.high) == paired_interval(2, 1, 2, 1)
    assert comparison.p == mcnemar_exact(1, 2)


@pytest.mark.parametrize(("base", "tuned"), [([], []), ([1, 0], [1]), ([1, 2], [1, 0]), ([1, None], [1, 0])])
def test_compare_paired_refuses_what_is_not_paired_scores(base, tuned):
    with pytest.raises(ValueError):
        compare_paired(base, tuned)


@pytest.fixture
def compared():
    """``compared(n, gained, lost)``: a comparison of ``n`` questions, of which as many were gained and lost."""

    def compare(n, gained, lost):
        unchanged = [1] * (n - gained - lost)
        return compare_paired([0] * gained + [1] * lost + unchanged, [1] * gained + [0] * lost + unchanged)

    return compare


@pytest.mark.parametrize(
    ("n", "gained", "lost", "shown"),
    [
        pytest.param(150, 2, 14, Finding.LOSS_SHOWN, id="loss"),
        pytest.param(150, 6, 9, Finding.NO_LOSS_SHOWN, id="open"),
        pytest.param(150, 9, 6, Finding.NO_LOSS_SHOWN, id="open-though-more-were-gained"),
        pytest.param(150, 0, 0, Finding.NO_LOSS_SHOWN, id="open-though-nothing-changed"),
        pytest.param(14042, 700, 704, Finding.EQUIVALENT, id="equivalent"),
        pytest.param(14042, 100, 200, Finding.LOSS_SHOWN, id="loss-within-the-margin"),
        pytest.param(14042, 200, 100, Finding.GAIN_SHOWN, id="gain-within-the-margin"),
        pytest.param(150, 30, 2, Finding.GAIN_SHOWN, id="gain"),
        pytest.param(4, 0, 2, Finding.NO_LOSS_SHOWN, id="too-few"),
    ],
)
def test_finding(compared, n, gained, lost, shown):
    assert finding(compared(n, gained, lost), margin=0.02) is shown


def test_a_corrected_p_can_withdraw_the_loss(compared):
    comparison = compared(50, 0, 7)
    assert finding(comparison, margin=0.02) is Finding.LOSS_SHOWN
    assert finding(comparison, margin=0.02, p=6 * comparison.p) is Finding.NO_LOSS_SHOWN


def test_a_corrected_p_can_withdraw_the_gain(compared):
    """What is left of it is that nothing was lost beyond the margin."""
    comparison = compared(50, 7, 0)
    assert finding(comparison, margin=0.02) is Finding.GAIN_SHOWN
    assert finding(comparison, margin=0.02, p=6 * comparison.p) is Finding.EQUIVALENT


@pytest.mark.parametrize(("alpha", "shown"), [(0.05, Finding.LOSS_SHOWN), (0.001, Finding.NO_LOSS_SHOWN)])
def test_alpha_is_how_much_p_may_be(compared, alpha, shown):
    assert finding(compared(50, 0, 7), margin=0.02, alpha=alpha) is shown


def test_no_difference_is_neither_gain_nor_loss(compared):
    assert finding(compared(150, 5, 5), margin=0.2, alpha=1.0) is Finding.EQUIVALENT


def test_clustered_standard_error_equals_statsmodels():
    api = pytest.importorskip("statsmodels.api")
    scores = [1, 1, 0, 1, 0, 0, 0, 1, 1, 1, -1, 0]
    groups = [0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 3]
    fit = api.OLS(scores, [1.0] * len(scores)).fit(cov_type="cluster", cov_kwds={"groups": groups})
    assert clustered_standard_error(scores, groups) == pytest.approx(fit.bse[0])


def test_clustered_standard_error_of_single_questions_is_the_usual_one():
    scores = [1, 0, 0, 1, 1]
    assert clustered_standard_error(scores, range(5)) == pytest.approx(math.sqrt(0.3 / 5))


def test_clustered_standard_error_needs_two_groups():
    with pytest.raises(ValueError, match="two groups"):
        clustered_standard_error([1, 0], ["concert_singer", "concert_singer"])


def test_over_seeds_gives_the_sample_standard_deviation():
    spread = over_seeds([0.60, 0.64, 0.62], 150)
    assert spread.seeds == 3
    assert (spread.mean, spread.standard_deviation) == pytest.approx((0.62, 0.02))
    assert spread.sampling_error == pytest.approx(math.sqrt(0.62 * 0.38 / 150))


def test_one_seed_has_no_spread():
    assert over_seeds([0.6], 150).standard_deviation is None
