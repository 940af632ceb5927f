"""The differences between the parts of two queries, each as one line of text, or empty where there is none."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from textwrap import shorten

from custom_metrics.errors.column_names import table_of
from custom_metrics.errors.query_parts import QueryParts, equal_columns

_TEXT_OR_TABLE = re.compile(r"('[^']*')|\b[A-Za-z_]\w*\.(?=\w)")
_CONSTANT = r"(?:'(?:''|[^'])*'|(?<![\w.])-?\d+(?:\.\d+)?(?!\w))"
_CONSTANTS = re.compile(rf"{_CONSTANT}(?:, {_CONSTANT})*")
_NUMBER = re.compile(r"-?[\d.]+")
_AGGREGATE = re.compile(r"\b(?:count|sum|avg|min|max|total|group_concat)\((?:distinct )?", re.IGNORECASE)


def missing_tables(gold: QueryParts, predicted: QueryParts) -> str:
    """Tables that gold reads and the prediction does not."""
    missing, added = gold.tables.keys() - predicted.tables.keys(), predicted.tables.keys() - gold.tables.keys()
    return _line("tables", sorted(missing), sorted(added)) if missing else ""


def nesting(gold: QueryParts, predicted: QueryParts) -> str:
    """Set operations and subqueries."""
    return _compare("nesting", gold.nesting, predicted.nesting)


def joins(gold: QueryParts, predicted: QueryParts) -> str:
    """Which columns are set equal, among the tables of both; outer joins; added tables that serve nothing else."""
    if difference := _compare("outer joins", sorted(gold.outer_joined), sorted(predicted.outer_joined)):
        return difference
    common = gold.tables.keys() & predicted.tables.keys()
    if difference := _compare("joins", _join_texts(gold, common), _join_texts(predicted, common)):
        return difference
    idle = sorted(predicted.joined_only - gold.tables.keys())
    return _line("tables", [], idle) if idle else ""


def _join_texts(parts: QueryParts, tables: Iterable[str]) -> list[str]:
    groups = [sorted(column for column in group if table_of(column) in tables) for group in equal_columns(parts.joins)]
    return sorted(" = ".join(group) for group in groups if len(group) > 1)


def values(gold: QueryParts, predicted: QueryParts) -> str:
    """Conditions of WHERE and HAVING, where they differ in their constants alone."""
    gold_only, predicted_only = _only(gold.filters, predicted.filters)
    same = sorted(map(_without_constants, gold_only)) == sorted(map(_without_constants, predicted_only))
    return _line("value", gold_only, predicted_only) if gold_only and same else ""


def _without_constants(condition: str) -> str:
    """A condition with one sign for each constant, or list of constants."""
    return _CONSTANTS.sub("?", condition)


def filters(gold: QueryParts, predicted: QueryParts) -> str:
    """Conditions of WHERE and HAVING that are no joins."""
    return _compare("filter", gold.filters, predicted.filters)


def grouping(gold: QueryParts, predicted: QueryParts) -> str:
    """Columns of GROUP BY."""
    return _compare("grouping", gold.group, predicted.group)


def aggregates(gold: QueryParts, predicted: QueryParts) -> str:
    """Result columns, where another function makes them; a column too few or too many is ``columns``'s."""
    gold_only, predicted_only = _only(_all_columns(gold), _all_columns(predicted))
    same = sorted(filter(None, map(_function, gold_only))) == sorted(filter(None, map(_function, predicted_only)))
    return "" if same or not (gold_only and predicted_only) else _line("aggregate", gold_only, predicted_only)


def _function(column: str) -> str:
    return " ".join(match.group().lower() for match in _AGGREGATE.finditer(column))


def columns(gold: QueryParts, predicted: QueryParts) -> str:
    """Result columns, in any order."""
    return _compare("columns", _all_columns(gold), _all_columns(predicted))


def _all_columns(parts: QueryParts) -> list[str]:
    return _named(parts.columns + parts.inner_columns)


def _named(texts: Iterable[str]) -> list[str]:
    """Result columns, of which a bare number would be taken for how many there are."""
    return [f"the number {text}" if _NUMBER.fullmatch(text) else text for text in texts]


def order(gold: QueryParts, predicted: QueryParts) -> str:
    """ORDER BY, its columns' sequence included, and LIMIT."""
    if gold.order != predicted.order:
        return _line("order", gold.order, predicted.order)
    return _compare("limit", gold.limit, predicted.limit)


def distinct(gold: QueryParts, predicted: QueryParts) -> str:
    """DISTINCT of the outermost query, and of the subqueries in FROM."""
    return _compare(
        "DISTINCT", *(["DISTINCT"] * (parts.distinct + parts.inner_distinct) for parts in (gold, predicted))
    )


def added_tables(gold: QueryParts, predicted: QueryParts) -> str:
    """Tables that the prediction reads beyond gold's, or more than once."""
    return _compare("tables", gold.tables.elements(), predicted.tables.elements())


def roles(gold: QueryParts, predicted: QueryParts) -> str:
    """A table that both read twice: which use is for what is not told apart, and may be all that differs."""
    twice = [table for table, count in (gold.tables & predicted.tables).items() if count > 1]
    return f"tables: {', '.join(sorted(twice))} read twice, and each time for something else" if twice else ""


def column_order(gold: QueryParts, predicted: QueryParts) -> str:
    """Result columns, in their order."""
    if gold.columns == predicted.columns:
        return ""
    return _line("columns", _named(gold.columns), _named(predicted.columns))


def _compare(part: str, gold: Iterable[str], predicted: Iterable[str]) -> str:
    gold, predicted = list(gold), list(predicted)
    gold_only, predicted_only = _only(gold, predicted)
    if not gold_only and not predicted_only:
        return ""
    return _line(part, gold_only, predicted_only, {*gold} & {*predicted})


def _only(gold: Iterable[str], predicted: Iterable[str]) -> tuple[list[str], list[str]]:
    """What only gold has and only the prediction has, repetitions counted, in the order of each."""
    gold, predicted = Counter(gold), Counter(predicted)
    return list((gold - predicted).elements()), list((predicted - gold).elements())


def _line(part: str, gold: Iterable[str], predicted: Iterable[str], in_both: Collection[str] = ()) -> str:
    """``in_both``: what both queries have, of which one that is given has more."""
    gold, predicted = list(gold), list(predicted)
    # Table names help only where the same column of two tables is the difference.
    short = part != "joins" and [*map(_short, gold)] != [*map(_short, predicted)]
    gold, predicted = (_listed(texts, in_both, _short if short else str) for texts in (gold, predicted))
    if gold and predicted:
        return f"{part}: gold has {gold}, predicted has {predicted}"
    return f"{part}: only {'gold' if gold else 'predicted'} has {gold or predicted}"


def _short(text: str) -> str:
    return _TEXT_OR_TABLE.sub(r"\1", text)


def _listed(texts: list[str], in_both: Collection[str], shown: Callable[[str], str]) -> str:
    """On one line, each as ``shown``; a model may list thousands of values."""
    again = Counter(text for text in texts if text in in_both)
    told = [shown(text) for text in texts if text not in in_both]
    told += [f"{shown(text)} {'once' if count == 1 else f'{count} times'} more" for text, count in again.items()]
    return shorten(", ".join(told), width=200, placeholder=" ...")
