"""Statistics of accuracies that are counts of right answers: one file a subject, every public name from here.

In: counts, or a 0 or 1 for each question. Out: intervals, comparisons and findings, as numbers and words; no sentences.
Accuracies and differences are fractions (a point is 0.01).

May import the standard library and ``statistics`` itself; scipy and numpy where they are called, so that importing
this package costs nothing.
"""

from custom_metrics.statistics.clusters import clustered_standard_error
from custom_metrics.statistics.finding import Finding, could_turn, finding
from custom_metrics.statistics.intervals import Interval, paired_interval, wilson_interval
from custom_metrics.statistics.paired import PairedComparison, compare_paired, holm, mcnemar_exact, percentage_change
from custom_metrics.statistics.power import ALPHA, paired_power, questions_needed, smallest_visible_difference
from custom_metrics.statistics.seeds import SeedSpread, over_seeds

__all__ = [
    "ALPHA",
    "Finding",
    "Interval",
    "PairedComparison",
    "SeedSpread",
    "clustered_standard_error",
    "compare_paired",
    "could_turn",
    "finding",
    "holm",
    "mcnemar_exact",
    "over_seeds",
    "paired_interval",
    "paired_power",
    "percentage_change",
    "questions_needed",
    "smallest_visible_difference",
    "wilson_interval",
]
