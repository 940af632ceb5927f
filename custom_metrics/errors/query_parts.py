"""The parts of a query that are compared, and the same without what usually leaves the rows alone."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

_CAST = re.compile(r"\bCAST\(([^()]*) AS \w+\)")
_COLUMN = re.compile(r"\b\w+\.\w+\b")
_EXCLUSION = "exclusion"
_ALIKE = {
    "UNION ALL": "UNION",
    "EXCEPT": _EXCLUSION,
    "NOT IN": _EXCLUSION,
    "NOT EXISTS": _EXCLUSION,
    "LEFT JOIN with IS NULL": _EXCLUSION,
}


@dataclass
class QueryParts:
    """One query's parts as text; a column is ``table.column``, or ``column`` where its table cannot be told.

    ``joins`` are pairs of columns set equal, also by ``IN (SELECT ...)``, INTERSECT and EXCEPT; ``joined_only`` are
    tables of which nothing else reads a column. ``inner_columns`` are those of subqueries whose value is used, and of
    the later parts of a UNION. Filters of what is taken away (NOT IN, EXCEPT) begin with ``excluding``, those in the ON
    of an outer join with ``joining``. ``distinct`` is of the outermost query, ``inner_distinct`` counts the subqueries
    in FROM that have it.
    """

    tables: Counter[str] = field(default_factory=Counter)
    joined_only: set[str] = field(default_factory=set)
    outer_joined: set[str] = field(default_factory=set)
    joins: set[frozenset[str]] = field(default_factory=set)
    nesting: list[str] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    inner_columns: list[str] = field(default_factory=list)
    filters: list[str] = field(default_factory=list)
    group: list[str] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    limit: list[str] = field(default_factory=list)
    distinct: bool = False
    inner_distinct: int = 0


def loosened(parts: QueryParts, other: QueryParts) -> QueryParts:
    """``parts`` without what usually leaves the rows alone, in a comparison with ``other``.

    Columns set equal by either query become one, ``count`` of a column counts rows, numbers lose their quotes, casts
    are dropped, a table counts once, IN and EXISTS are joins, the ways to exclude are one, and an order that only one
    of the two asks for is no order unless it decides what a LIMIT keeps.
    """
    names = _one_name_each(parts.joins | other.joins)
    filtered = [text for text in parts.filters if not text.startswith("joining ")]

    def loosen(texts: Iterable[str]) -> list[str]:
        return [_loosen_text(text, names) for text in texts]

    return replace(
        parts,
        tables=Counter(parts.tables.keys()),
        outer_joined={table for table in parts.outer_joined if not any(f"{table}." in text for text in filtered)},
        nesting=[_ALIKE.get(nesting, nesting) for nesting in parts.nesting if nesting not in ("IN", "EXISTS")],
        columns=loosen(parts.columns),
        inner_columns=loosen(parts.inner_columns),
        filters=list(dict.fromkeys(loosen(parts.filters))),
        group=_without_names_of_keys(loosen(parts.group), loosen(other.group)),
        order=loosen(parts.order) if parts.limit or (other.order and parts.order) else [],
    )


def _one_name_each(joins: Iterable[frozenset[str]]) -> dict[str, str]:
    """For every joined column the first name, in the alphabet, of those it is set equal to."""
    return {column: min(group) for group in equal_columns(joins) for column in group}


def equal_columns(joins: Iterable[frozenset[str]]) -> list[set[str]]:
    """The columns that pairs of equal columns, taken together, set equal."""
    groups: list[set[str]] = []
    for pair in joins:
        touched = [group for group in groups if group & pair]
        groups = [group for group in groups if group not in touched] + [set(pair).union(*touched)]
    return groups


def _loosen_text(text: str, names: dict[str, str]) -> str:
    text = _COLUMN.sub(lambda match: names.get(match.group(), match.group()), text)
    text = re.sub(r"\bcount\([\w.]+\)", "count(*)", text)
    text = _CAST.sub(r"\1", text)
    return re.sub(r"'(-?\d+(?:\.\d+)?)'", r"\1", text)


def _without_names_of_keys(group: list[str], other: list[str]) -> list[str]:
    """The group columns without those that a key common to both queries (by its name: ``...id``) determines."""
    keys = {column for column in set(group) & set(other) if column.lower().endswith("id")}
    return [column for column in group if column in keys] or group
