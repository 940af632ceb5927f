"""Why a predicted query is wrong: one class per wrong answer, and one line that names what differs.

What stopped a query (no such column, time limit ...) decides. A query that ran is compared with gold part by part,
nearest to the data first: tables, nesting, joins, filter, grouping, columns, order, DISTINCT. Differences that usually
leave the rows alone (IN for a join, NOT IN for EXCEPT, ``count(id)`` for ``count(*)``, either of two joined columns)
are passed over at first and named only where nothing else differs. The rows are not looked at: of several
differences the first is named, which need not be the one that did the harm.
"""

from dataclasses import replace
from typing import NamedTuple

from custom_metrics.errors import query_differences
from custom_metrics.errors.classes import CLASS_OF_KIND, VISIBLE, ErrorClass
from custom_metrics.errors.query_parts import QueryParts, loosened
from custom_metrics.errors.query_reader import read_parts
from custom_metrics.errors.rough_reader import rough_parts

__all__ = ["VISIBLE", "ErrorAnalysis", "ErrorClass", "classify_error"]


class ErrorAnalysis(NamedTuple):
    """A class and one line of explanation."""

    error_class: ErrorClass
    explanation: str


# In the order in which they are looked for: nearest to the data first.
_CHECKS = (
    (ErrorClass.TABLES, query_differences.missing_tables),
    (ErrorClass.NESTING, query_differences.nesting),
    (ErrorClass.TABLES, query_differences.joins),
    (ErrorClass.VALUE, query_differences.values),
    (ErrorClass.FILTER, query_differences.filters),
    (ErrorClass.GROUPING, query_differences.grouping),
    (ErrorClass.AGGREGATE, query_differences.aggregates),
    (ErrorClass.COLUMNS, query_differences.columns),
    (ErrorClass.ORDER, query_differences.order),
    (ErrorClass.DISTINCT, query_differences.distinct),
    (ErrorClass.TABLES, query_differences.added_tables),
    (ErrorClass.COLUMN_ORDER, query_differences.column_order),
)


def classify_error(
    gold_sql: str,
    predicted_sql: str | None,
    *,
    error_kind: str,
    reason: str = "",
    columns_reordered: bool = False,
) -> ErrorAnalysis:
    """Why ``predicted_sql``, which was judged wrong, is wrong.

    ``error_kind`` is the execution's own word: "wrong result" where the query ran, else what stopped it, with the
    database's message in ``reason``. ``columns_reordered`` says that the rows are right but for the columns' order.
    Never raises on SQL, whatever it is.

    >>> classify_error("SELECT name FROM head WHERE age > 56", "SELECT name FROM head WHERE age >= 56",
    ...                error_kind="wrong result").explanation
    'filter: gold has age > 56, predicted has age >= 56'
    """
    if not (predicted_sql or "").strip() or error_kind == "no sql":
        return ErrorAnalysis(ErrorClass.NO_SQL, reason or "the reply holds no SQL")
    if error_kind != "wrong result":
        return ErrorAnalysis(CLASS_OF_KIND.get(error_kind, ErrorClass.OTHER), reason or error_kind)
    try:
        return _analysis(gold_sql, predicted_sql, columns_reordered)
    except Exception as error:
        # Models write SQL that no reader foresees. It has been judged wrong, and that stands without an explanation.
        kind = ErrorClass.COLUMN_ORDER if columns_reordered else ErrorClass.OTHER
        return ErrorAnalysis(kind, f"the query runs, but its parts cannot be read ({type(error).__name__})")


def _analysis(gold_sql: str, predicted_sql: str, columns_reordered: bool) -> ErrorAnalysis:
    """The first part in which a query that ran differs from gold."""
    gold, predicted = read_parts(gold_sql, predicted_sql) or map(rough_parts, (gold_sql, predicted_sql))
    if columns_reordered:
        explanation = query_differences.column_order(gold, predicted)
        return ErrorAnalysis(ErrorClass.COLUMN_ORDER, explanation or "columns: in another order")
    loose_gold, loose_predicted = loosened(gold, predicted), loosened(predicted, gold)
    found = (
        _first_difference(loose_gold, loose_predicted)
        # Grouping by the other of two joined columns makes the same groups: never the cause.
        or _first_difference(replace(gold, group=loose_gold.group), replace(predicted, group=loose_predicted.group))
    )
    if found is None and (explanation := query_differences.roles(gold, predicted)):
        found = ErrorAnalysis(ErrorClass.TABLES, explanation)
    return found or ErrorAnalysis(ErrorClass.OTHER, "no part differs among those compared")


def _first_difference(gold: QueryParts, predicted: QueryParts) -> ErrorAnalysis | None:
    for error_class, check in _CHECKS:
        if explanation := check(gold, predicted):
            return ErrorAnalysis(error_class, explanation)
    return None
