"""How often what the statistics say is wrong, on made-up answers whose truth is known; and what an old rule made of it.

The old rule took every question for itself and one test at a time: a gain or a loss was shown by an exact McNemar p of
at most 0.05, and of the configurations with a gain the largest was taken whose MMLU showed no loss.
"""

import numpy
import pytest
from scipy.stats import binom

from custom_metrics.statistics import Finding, estimate_changes, finding
from tests.made_up_answers import SPIDER_SIZES, beyond_chance, held, like_mmlu, like_spider

pytestmark = pytest.mark.bench

MARGIN = 0.02
ALONE = [
    (like_spider, 2000, {"gained": [0.10], "lost": [0.05]}),
    (like_spider, 2000, {"gained": [0.04], "lost": [0.04]}),
    (like_spider, 2000, {"gained": [0.20], "lost": [0.10], "seeds": 2, "seed_deviation": 0.0}),
    (like_spider, 2000, {"gained": [0.20], "lost": [0.10], "seeds": 2, "seed_deviation": 0.02}),
    (like_spider, 2000, {"gained": [0.20], "lost": [0.10], "seeds": 3, "seed_deviation": 0.01}),
    (like_spider, 2000, {"gained": [0.20], "lost": [0.10], "seeds": 3, "seed_deviation": 0.02}),
    (like_spider, 2000, {"gained": [0.20], "lost": [0.10], "seeds": 5, "seed_deviation": 0.01}),
    (like_mmlu, 600, {"gained": [0.05], "lost": [0.05]}),
    (like_mmlu, 600, {"gained": [0.03], "lost": [0.07]}),
    (like_mmlu, 600, {"gained": [0.01], "lost": [0.03]}),
    (like_mmlu, 600, {"gained": [0.10], "lost": [0.10], "seeds": 3, "seed_deviation": 0.02}),
]
TOGETHER = [
    (like_spider, 1000, {"gained": [0.1] * 2, "lost": [0.1] * 2}),
    (like_spider, 1000, {"gained": [0.1] * 4, "lost": [0.1] * 4}),
    (like_spider, 1000, {"gained": [0.1] * 8, "lost": [0.1] * 8}),
    (like_spider, 700, {"gained": [0.12] * 4, "lost": [0.12] * 4, "seeds": 3, "seed_deviation": 0.01}),
    (like_mmlu, 400, {"gained": [0.05] * 2, "lost": [0.05] * 2}),
    (like_mmlu, 250, {"gained": [0.05] * 4, "lost": [0.05] * 4}),
]


def words(make, truth):
    """``Spider 4 x +5.0, 3 seeds 1.0``."""
    gained, lost = truth["gained"], truth["lost"]
    seeds = f", {truth['seeds']} seeds {100 * truth['seed_deviation']:.0f}" if "seeds" in truth else ""
    return f"{make.__name__[5:]} {len(gained)} x {100 * gained[0]:.0f} - {100 * lost[0]:.0f}{seeds}"


def test_errors(capsys):
    """95 % intervals cover in 95 of 100 cases, alone and as a family; the table is in ``custom_metrics/README.md``."""
    too_often = []
    with capsys.disabled():
        print(
            f"\n{'points':34}{'repeats':>8}{'covered':>9}{'bounds missed':>16}{'p <= 0.05':>11}   families: any missed"
        )
        for make, repeats, truth in ALONE + TOGETHER:
            found = held(make, repeats, **truth)
            family = [found.interval_missed, found.lower_missed, found.upper_missed]
            one = len(truth["gained"]) == 1
            print(f"{words(make, truth):34}{repeats:8}{found.covered:9.1%}{found.below:9.1%}{found.above:7.1%}", end="")
            print(
                f"{found.p_small:11.1%}   " + ("" if one else " ".join(f"{share:.1%}" for share in family)), flush=True
            )
            errors = [found.below, found.above, 1 - found.covered] if one else [*family, found.p_small]
            too_often += [words(make, truth)] * any(beyond_chance(share, 0.05, repeats) for share in errors)
    assert too_often == []


def sizes_of(n):
    """Spider dev's databases with fewer questions each, or more databases of their sizes."""
    if n < sum(SPIDER_SIZES):
        return [max(1, round(size * n / sum(SPIDER_SIZES))) for size in SPIDER_SIZES]
    return numpy.resize(SPIDER_SIZES, round(20 * n / sum(SPIDER_SIZES)))


def exact_mcnemar(change):
    """Two-sided."""
    gained, lost = int((change == 1).sum()), int((change == -1).sum())
    return min(1.0, 2 * float(binom.cdf(min(gained, lost), gained + lost, 0.5)))


def test_more_questions_decide(capsys):
    """Shares of 100: undecided falls with n; a loss within the margin was shown the more often the more were asked."""
    sizes = (150, 500, 1500, 5000, 14_000)
    rows = {name: [] for name in ("MMLU, no change: undecided", "Spider, +4: undecided")}
    rows |= {f"MMLU, -1 of a margin of 2: {name}": [] for name in ("old 'loss shown'", "worse", "undecided")}
    for n in sizes:
        rng = numpy.random.default_rng(n)
        shares = dict.fromkeys(rows, 0)
        for _ in range(100):
            same, less = (like_mmlu(rng, [gained], [0.1 - gained], sizes=[n // 3] * 3) for gained in (0.05, 0.045))
            more = like_spider(rng, [0.12], [0.08], sizes=sizes_of(n))
            kept, small = (estimate_changes(m.changes, m.clusters, stratified=True)[0] for m in (same, less))
            (gain,) = estimate_changes(more.changes, more.clusters)
            small = finding(small, MARGIN)
            change = less.changes[0][0]
            holds = [
                finding(kept, MARGIN) is Finding.UNDECIDED,
                finding(gain, MARGIN, gain=True) is Finding.UNDECIDED,
                exact_mcnemar(change) <= 0.05 and change.mean() < 0,
                small.loses,
                small is Finding.UNDECIDED,
            ]
            for name, hold in zip(rows, holds, strict=True):
                shares[name] += hold / 100
        for name, share in shares.items():
            rows[name].append(share)
    with capsys.disabled():
        print(f"\n{'n':46}" + "".join(f"{n:8,}" for n in sizes))
        for name, found in rows.items():
            print(f"{name:46}" + "".join(f"{share:8.0%}" for share in found))
    *undecided, old, worse, left = rows.values()
    for falling in (*undecided, left):
        assert all(later <= earlier + 0.1 for earlier, later in zip(falling, falling[1:], strict=False))
        assert falling[-1] < 0.05
    assert old[-1] > 0.9 and worse[-1] < 0.05


# Of four configurations the shares gained and lost on Spider, then on MMLU, and which may be taken.
MIXED = [
    ((0.10, 0.10), (0.05, 0.05)),
    ((0.12, 0.07), (0.05, 0.05)),
    ((0.13, 0.06), (0.045, 0.055)),
    ((0.15, 0.05), (0.03, 0.08)),
]
SOUND = {1, 2}
NOTHING = [((0.10, 0.10), (0.05, 0.05))] * 4


def taken(configurations, rng, n):
    """Which configuration the old rule and the new one take, None for none; of one question set, each."""
    (gained, lost), (up, down) = (zip(*(one[part] for one in configurations), strict=True) for part in (0, 1))
    spider, mmlu = like_spider(rng, gained, lost), like_mmlu(rng, up, down, sizes=[n // 3] * 3)
    old = [
        exact_mcnemar(change) <= 0.05 and change.mean() > 0 and not (exact_mcnemar(kept) <= 0.05 and kept.mean() < 0)
        for change, kept in zip(spider.changes, mmlu.changes, strict=True)
    ]
    gains = estimate_changes(spider.changes, spider.clusters)
    keeps = estimate_changes(mmlu.changes, mmlu.clusters, stratified=True)
    new = [
        finding(gain, MARGIN, gain=True).gains and finding(kept, MARGIN).keeps
        for gain, kept in zip(gains, keeps, strict=True)
    ]
    order = sorted(range(len(gains)), key=lambda place: -gains[place].difference)
    return tuple(next((place for place in order if may[place]), None) for may in (old, new))


def test_recommendations(capsys):
    """Wrong: no true gain, or a true loss beyond the margin. Where nothing can be known the new rule takes none."""
    repeats, wrong_new = 100, []
    with capsys.disabled():
        print(f"\n{'recommended':46}{'old: wrong':>10}{'none':>7}{'new: wrong':>13}{'none':>7}")
        for title, configurations, sound in (
            ("one sound by 5, one by 7", MIXED, SOUND),
            ("none gains", NOTHING, set()),
        ):
            for n in (150, 1500, 14_040):
                rng = numpy.random.default_rng(n)
                found = [taken(configurations, rng, n) for _ in range(repeats)]
                shares = []
                for rule in zip(*found, strict=True):
                    wrong = sum(place is not None and place not in sound for place in rule) / repeats
                    shares += [wrong, rule.count(None) / repeats]
                wrong_new.append(shares[2])
                title_n, (old, old_none, new, new_none) = f"{title}; {n:,} MMLU questions", shares
                print(f"{title_n:46}{old:10.0%}{old_none:7.0%}{new:13.0%}{new_none:7.0%}", flush=True)
    assert not any(beyond_chance(share, 0.05, repeats) for share in wrong_new)
