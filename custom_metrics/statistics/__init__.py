"""Statistics of accuracies that are counts of right answers: one file a subject, every public name from here.

In: a 0 or 1 for each question, and which questions belong together. Out: intervals, estimates and findings, as numbers
and words; no sentences. Accuracies and differences are fractions (a point is 0.01).

May import the standard library and ``statistics`` itself; scipy and numpy where they are called, so that importing
this package costs nothing: of scipy ``special``, since ``stats`` takes most of a second more.
"""

from custom_metrics.statistics.accuracies import accuracy_intervals
from custom_metrics.statistics.estimates import ALPHA, Estimate, estimate_changes
from custom_metrics.statistics.evidence import Design
from custom_metrics.statistics.finding import Few, Finding, finding
from custom_metrics.statistics.intervals import Interval, wilson_interval
from custom_metrics.statistics.paired import PairedComparison, compare_paired, mcnemar_mid_p, percentage_change
from custom_metrics.statistics.planning import Enough, Plan, enough_to_decide
from custom_metrics.statistics.seeds import SeedSpread, over_seeds

__all__ = [
    "ALPHA",
    "Design",
    "Enough",
    "Estimate",
    "Few",
    "Finding",
    "Interval",
    "PairedComparison",
    "Plan",
    "SeedSpread",
    "accuracy_intervals",
    "compare_paired",
    "enough_to_decide",
    "estimate_changes",
    "finding",
    "mcnemar_mid_p",
    "over_seeds",
    "percentage_change",
    "wilson_interval",
]
