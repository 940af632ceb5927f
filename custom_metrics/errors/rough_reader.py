"""Takes a query apart by its words alone, without parsing it: for SQL that sqlglot cannot read and SQLite can run."""

import re
from collections.abc import Callable

from custom_metrics.errors.query_parts import QueryParts
from custom_metrics.sql.tokens import SQL_TOKEN

_QUALIFIER = re.compile(r"\b\w+ \. ")
_LOOSE_SPACE = re.compile(r"(?<=\w) (?=\()|(?<=\() | (?=[,)])")
_NEW_NAME = re.compile(r" as \w+$")
_SET_OPERATIONS = ("union", "intersect", "except")
# What begins a clause, and what separates its pieces.
_SEPARATORS = {"select": ",", "from": ",", "where": "and", "having": "and", "group": ",", "order": ",", "limit": ","}


def rough_parts(sql: str) -> QueryParts:
    """The parts of ``sql`` as far as its words tell: columns lose their tables, and joins are not looked at.

    Never raises, and takes linear time.

    >>> rough_parts("SELECT CAST(a.x AS UNSIGNED BIG INT) FROM a WHERE a.y = 1").filters
    ['y = 1']
    """
    parts, piece, depth, clause, before = QueryParts(), [], 0, "", ""
    for token in SQL_TOKEN.finditer(sql):
        if token.lastgroup == "comment":
            continue
        word = token.group() if token.lastgroup == "string" else token.group().lower()
        if before in ("from", "join") and word not in ("(", "select"):
            parts.tables[word.strip("\"'`[]´").lower()] += 1
        if word in _SET_OPERATIONS or (word in ("select", "exists") and depth):
            parts.nesting.append(word.upper() if word != "select" else "subquery")
        ends = depth == 0 and (word in _SEPARATORS or word in _SET_OPERATIONS or word == _SEPARATORS.get(clause))
        if ends:
            _keep(parts, clause, piece)
            piece, clause = [], word if word in _SEPARATORS else clause
        elif word == "distinct" and before == "select" and depth == 0:
            parts.distinct = True
        elif word not in ("by", ";"):
            piece.append(word)
        depth = max(0, depth + (word == "(") - (word == ")"))
        before = word
    _keep(parts, clause, piece)
    return parts


def _keep(parts: QueryParts, clause: str, piece: list[str]) -> None:
    places: dict[str, Callable[[str], None]] = {
        "select": (parts.inner_columns if parts.nesting and parts.columns else parts.columns).append,
        "where": parts.filters.append,
        "having": parts.filters.append,
        "group": parts.group.append,
        "order": parts.order.append,
        "limit": parts.limit.append,
    }
    if piece and clause in places:
        text = _LOOSE_SPACE.sub("", _QUALIFIER.sub("", " ".join(piece)))
        places[clause](_NEW_NAME.sub("", text) if clause == "select" else text)
