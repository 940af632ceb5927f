"""Changes of answers drawn from a stated truth: what the statistics say of them can be held against it.

Shaped like Spider dev (20 databases of their sizes, whose questions resemble each other) and like MMLU (fixed
subjects). All configurations are compared with the same base answers. Differences are fractions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy

from custom_metrics.statistics import estimate_changes

# Questions of each of Spider dev's databases.
SPIDER_SIZES = (4, 15, 16, 18, 30, 30, 38, 40, 40, 42, 45, 56, 62, 62, 78, 80, 82, 84, 92, 120)
LIKENESS = 1.55  # how many times larger the error of a difference is on Spider dev than if databases did not matter
BASE_ACCURACY = 0.6
UNIFORMITY = (0.4, 1.0, 1.6)  # how many more answers change in one fixed subject than in another, repeated
SAME = 0.7  # the share of questions on which luck is the same for all trainings of one configuration
TOGETHER = 0.5  # the share of databases in which all configurations fare alike


@dataclass(frozen=True)
class MadeUp:
    """``changes``: of each configuration, (seeds, n) of -1, 0 and 1; ``truth``: what an estimate of each is about.

    That is the mean over all trainings where there are several, and this very training's where there is one.
    """

    changes: list[numpy.ndarray]
    clusters: numpy.ndarray
    truth: list[float]


def like_spider(
    rng: numpy.random.Generator,
    gained: Sequence[float],
    lost: Sequence[float],
    *,
    seeds: int = 1,
    seed_deviation: float = 0.0,
    sizes: Sequence[int] = SPIDER_SIZES,
) -> MadeUp:
    """Of each configuration the shares of answers ``gained`` and ``lost`` in the mean over all possible databases.

    ``seed_deviation``: of the true change between trainings.
    """
    gained, lost, clusters = numpy.array(gained), numpy.array(lost), numpy.repeat(numpy.arange(len(sizes)), sizes)
    shape = len(gained), len(sizes)
    common = rng.uniform(-1, 1, shape[1])
    swing = numpy.where(rng.random(shape) < TOGETHER, common, rng.uniform(-1, 1, shape))
    swing *= swing_of(gained, lost)[:, None]
    return _draw(rng, gained[:, None] + swing, lost[:, None] - swing, gained - lost, clusters, seeds, seed_deviation)


def swing_of(gained: numpy.ndarray, lost: numpy.ndarray) -> numpy.ndarray:
    """How far shares may be off in one database, evenly, for errors on Spider dev to be ``LIKENESS`` times as large."""
    squares = (numpy.array(SPIDER_SIZES) ** 2).sum() / sum(SPIDER_SIZES)
    unlike = gained + lost - (gained - lost) ** 2
    return numpy.minimum(numpy.sqrt(0.75 * (LIKENESS**2 - 1) * unlike / squares), 0.95 * numpy.minimum(gained, lost))


def like_mmlu(
    rng: numpy.random.Generator,
    gained: Sequence[float],
    lost: Sequence[float],
    *,
    seeds: int = 1,
    seed_deviation: float = 0.0,
    sizes: Sequence[int] = (50, 50, 50),
) -> MadeUp:
    """The shares of answers ``gained`` and ``lost`` over these subjects; in some more changes than in others."""
    uneven = numpy.resize(UNIFORMITY, len(sizes))
    uneven = uneven * sum(sizes) / (uneven * sizes).sum()
    clusters = numpy.repeat(numpy.arange(len(sizes)), sizes)
    rates = [numpy.outer(share, uneven) for share in (gained, lost)]
    return _draw(rng, *rates, numpy.subtract(gained, lost), clusters, seeds, seed_deviation)


def _draw(
    rng: numpy.random.Generator,
    gained: numpy.ndarray,
    lost: numpy.ndarray,
    difference: numpy.ndarray,
    clusters: numpy.ndarray,
    seeds: int,
    seed_deviation: float,
) -> MadeUp:
    """With shares by configuration and cluster, ``difference`` over all; a training's luck moves what is gained."""
    k, n = len(gained), len(clusters)
    base = rng.random(n) < BASE_ACCURACY
    training = rng.normal(0, seed_deviation, (k, seeds)) if seed_deviation else numpy.zeros((k, seeds))
    same = rng.random((k, 1, n))
    luck = numpy.where(rng.random((k, seeds, n)) < SAME, same, rng.random((k, seeds, n))) if seeds > 1 else same
    gains = ~base & (luck < (gained[:, None, clusters] + training[:, :, None]) / (1 - BASE_ACCURACY))
    losses = base & (luck < lost[:, None, clusters] / BASE_ACCURACY)
    truth = difference + (training[:, 0] if seeds == 1 else 0)
    return MadeUp(list(gains.astype(float) - losses), clusters, truth.tolist())


@dataclass(frozen=True)
class Held:
    """Of made-up changes as shares of ``repeats``: what their estimates held.

    By change: ``covered`` by the interval, truth below ``lower`` and above ``upper``. By family: one interval at least
    that misses, and one bound of either side, and one p of at most 0.05, which is an error only where nothing changed.
    """

    repeats: int
    covered: float
    below: float
    above: float
    interval_missed: float
    lower_missed: float
    upper_missed: float
    p_small: float


def held(make: Callable[..., MadeUp], repeats: int, seed: int = 0, **truth) -> Held:
    """``make`` is ``like_spider`` or ``like_mmlu``, ``truth`` its arguments."""
    rng, found = numpy.random.default_rng(seed), []
    for _ in range(repeats):
        made = make(rng, **truth)
        estimates = estimate_changes(made.changes, made.clusters, stratified=make is like_mmlu)
        found.append(
            [
                (e.low <= true <= e.high, true < e.lower, true > e.upper, e.p <= 0.05)
                for e, true in zip(estimates, made.truth, strict=True)
            ]
        )
    table = numpy.array(found)
    covered, below, above = table[:, :, :3].mean(axis=(0, 1)).tolist()
    missed = (~table[:, :, 0]).any(axis=1).mean()
    lower, upper, small = table[:, :, 1:].any(axis=1).mean(axis=0).tolist()
    return Held(repeats, covered, below, above, float(missed), lower, upper, small)


def beyond_chance(share: float, most: float, repeats: int) -> bool:
    """Whether ``share`` is above ``most`` by more than three standard errors of so many repeats."""
    return share > most + 3 * (most * (1 - most) / repeats) ** 0.5
