"""What answers say of several changes of accuracy before anything is concluded: means, errors, how they go together.

numpy is imported where it is called, so that importing this module costs nothing. Below, k changes are of n questions.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from custom_metrics.statistics.clusters import MeanErrors, clustered_errors, numbered, stratified_errors
from custom_metrics.statistics.finding import Few

if TYPE_CHECKING:
    import numpy

FEWEST_QUESTIONS, FEWEST_CHANGES = 30, 5
NO_VARIANCE = 1e-12  # below it, all of the values are the same


class Design(StrEnum):
    """What the questions stand for."""

    CLUSTERED = "clustered"  # questions like these, in clusters like these
    STRATIFIED = "stratified"  # questions like these, in these very clusters


@dataclass(frozen=True)
class Evidence:
    """On k changes: each field has shape (k,), ``scores`` (k, clusters or questions), see ``MeanErrors``.

    ``gained`` and ``lost`` count changed answers, as means over ``seeds``. ``variance`` and ``df`` include what several
    trainings add, ``question_df`` are those of the questions alone.
    """

    design: Design
    n: "numpy.ndarray"
    clusters: "numpy.ndarray"
    seeds: "numpy.ndarray"
    gained: "numpy.ndarray"
    lost: "numpy.ndarray"
    mean: "numpy.ndarray"
    variance: "numpy.ndarray"
    df: "numpy.ndarray"
    question_df: "numpy.ndarray"
    scores: "numpy.ndarray"

    def few(self) -> list[Few]:
        """Why the usual intervals would not hold, by change."""
        checks = [
            (Few.QUESTIONS, self.n < FEWEST_QUESTIONS),
            (Few.CHANGES, self.gained + self.lost < FEWEST_CHANGES),
            (Few.ALIKE, self.variance < NO_VARIANCE),
        ]
        if self.design is Design.CLUSTERED:
            checks.insert(1, (Few.CLUSTERS, self.clusters < 2))
        return [next((why for why, holds in checks if holds[place]), Few.NONE) for place in range(len(self.n))]

    def unlike(self) -> "numpy.ndarray":
        """The variance that one training would have if no question resembled another, by change."""
        share, mean = (self.gained + self.lost) / self.n, (self.gained - self.lost) / self.n
        return (share - mean**2) / (self.n - 1).clip(1)


def gather(
    stacks: Sequence["numpy.ndarray"],
    clusters: Sequence[Hashable],
    within: "Sequence[numpy.ndarray] | None",
    design: Design,
) -> Evidence:
    """What ``stacks``, changes of shape (seeds, n), say; each of the questions that ``within`` has for it."""
    import numpy

    means = numpy.array([stack.mean(axis=0) for stack in stacks])
    codes = numbered(clusters)
    k, size = means.shape
    masks = numpy.ones((k, size), bool) if within is None else numpy.asarray(within, bool)
    n, groups = masks.sum(axis=1), numpy.zeros(k, int)
    variance, df = numpy.zeros(k), numpy.ones(k)
    scores = numpy.zeros((k, codes.max() + 1 if design is Design.CLUSTERED else size))
    for places in _alike(masks):
        asked = masks[places[0]]
        errors = mean_errors(means[numpy.ix_(places, asked)], codes[asked], design)
        own = numpy.unique(codes[asked])
        groups[places] = len(own)
        if errors is not None:
            variance[places], df[places] = errors.variance, errors.df
            units = own if design is Design.CLUSTERED else asked.nonzero()[0]
            scores[numpy.ix_(places, units)] = errors.scores
    counted = [[((stack == sign) & mask).sum() / len(stack) for sign in (1, -1)] for stack, mask in zip(stacks, masks)]
    gained, lost = numpy.array(counted).T
    seeds = numpy.array([len(stack) for stack in stacks])
    extra = numpy.array([_of_seeds(stack[:, mask]) for stack, mask in zip(stacks, masks, strict=True)])
    total = variance + extra
    spread = variance**2 / df + extra**2 / numpy.maximum(seeds - 1, 1)
    return Evidence(
        design=design,
        n=n,
        clusters=groups,
        seeds=seeds,
        gained=gained,
        lost=lost,
        mean=(means * masks).sum(axis=1) / n,
        variance=total,
        df=numpy.divide(total**2, spread, out=df.copy(), where=spread > 0),
        question_df=df,
        scores=scores,
    )


def mean_errors(values: "numpy.ndarray", clusters: Sequence[Hashable], design: Design) -> MeanErrors | None:
    """Of means, by design; None where there is one cluster, or one question, and so nothing to estimate them from."""
    if design is Design.CLUSTERED:
        return clustered_errors(values, clusters) if len(set(clusters)) > 1 else None
    return stratified_errors(values, clusters) if len(clusters) > 1 else None


def _alike(masks: "numpy.ndarray") -> list[list[int]]:
    """The places of changes that are about the same questions, together."""
    found: dict[bytes, list[int]] = {}
    for place, mask in enumerate(masks):
        found.setdefault(mask.tobytes(), []).append(place)
    return list(found.values())


def _of_seeds(stack: "numpy.ndarray") -> float:
    """What several trainings, (seeds, n), add to the variance of their mean."""
    return float(stack.mean(axis=1).var(ddof=1)) / len(stack) if len(stack) > 1 else 0.0
