"""Spider's four hardness levels, counted on the parsed SQL so that any question has one."""

from collections.abc import Iterator
from typing import Literal

import sqlglot
from sqlglot import errors, exp

Hardness = Literal["easy", "medium", "hard", "extra"]
HARDNESS_LEVELS: tuple[Hardness, ...] = ("easy", "medium", "hard", "extra")


def hardness(sql: str) -> Hardness:
    """How hard Spider's published rules call ``sql``: easy, medium, hard or extra.

    Three counts decide, taken on the outermost query (of a set operation: on its first part): clauses and
    joins, nested queries, and things there are several of (aggregates, columns, conditions, group columns).
    The rules are ``eval_hardness`` of github.com/taoyds/spider, evaluation.py. They know no WITH: a common
    table expression counts as a nested query here.

    Raises:
        ValueError: ``sql`` is not one query that sqlglot can parse.

    >>> hardness("SELECT count(*) FROM singer")
    'easy'
    >>> hardness("SELECT name FROM singer WHERE age > (SELECT avg(age) FROM singer)")
    'hard'
    """
    query = _parse(sql)
    select = _first_select(query)
    clauses, nested, plurals = _count_clauses(select), _count_nested(query, select), _count_plurals(select)
    if nested == 0:
        if clauses <= 1 and plurals == 0:
            return "easy"
        if (clauses <= 1 and plurals <= 2) or (clauses <= 2 and plurals < 2):
            return "medium"
        if (clauses <= 2 and plurals > 2) or (clauses == 3 and plurals <= 2):
            return "hard"
    elif nested == 1 and clauses <= 1 and plurals == 0:
        return "hard"
    return "extra"


def _parse(sql: str) -> exp.Query:
    try:
        query = sqlglot.parse_one(sql, read="sqlite")
    except (errors.SqlglotError, RecursionError) as error:
        raise ValueError(f"hardness: cannot parse {sql!r}: {error}") from error
    if not isinstance(query, exp.Query):
        raise ValueError(f"hardness: not a query: {sql!r}")
    return query


def _first_select(query: exp.Query) -> exp.Select:
    while not isinstance(query, exp.Select):
        query = query.this
    return query


def _count_clauses(select: exp.Select) -> int:
    present = sum(select.args.get(clause) is not None for clause in ("where", "group", "order", "limit"))
    in_conditions = sum(isinstance(node, (exp.Or, exp.Like)) for node in _condition_nodes(select))
    return present + len(select.args.get("joins") or ()) + in_conditions


def _count_nested(query: exp.Query, select: exp.Select) -> int:
    """Subqueries that conditions compare with, and the rest of a set operation as one."""
    in_conditions = sum(isinstance(node, (exp.Select, exp.SetOperation)) for node in _condition_nodes(select))
    return in_conditions + isinstance(query.unnest(), exp.SetOperation) + len(query.ctes)


def _count_plurals(select: exp.Select) -> int:
    """Of how many kinds of things there is more than one: aggregates, columns, conditions, group columns."""
    group = select.args.get("group")
    order = select.args.get("order")
    where = _conditions(select.args.get("where"))
    having = _conditions(select.args.get("having"))
    aggregates = sum(_has_aggregate(column) for column in select.expressions)
    aggregates += sum(isinstance(node, exp.AggFunc) for node in _nodes(order))
    # The published code reads the NOT flag of a condition as its aggregate, and so counts NOT instead.
    aggregates += sum(isinstance(condition, exp.Not) for condition in where + having)
    counts = (aggregates, len(select.expressions), len(where), len(group.expressions) if group else 0)
    return sum(count > 1 for count in counts)


def _has_aggregate(node: exp.Expression) -> bool:
    return any(isinstance(part, exp.AggFunc) for part in _nodes(node))


def _conditions(clause: exp.Expression | None) -> list[exp.Expression]:
    """The conditions of a WHERE or HAVING that AND and OR connect, parentheses opened."""
    if clause is None:
        return []
    conditions, waiting = [], [clause.this]
    while waiting:
        node = waiting.pop().unnest()
        if isinstance(node, exp.Connector):
            waiting += [node.left, node.right]
        else:
            conditions.append(node)
    return conditions


def _condition_nodes(select: exp.Select) -> Iterator[exp.Expression]:
    """Every node of the conditions in ON, WHERE and HAVING; of a subquery only its top."""
    joins = select.args.get("joins") or ()
    for clause in (*(join.args.get("on") for join in joins), select.args.get("where"), select.args.get("having")):
        yield from _nodes(clause)


def _nodes(node: exp.Expression | None) -> Iterator[exp.Expression]:
    if node is not None:
        yield from node.walk(prune=lambda part: isinstance(part, (exp.Select, exp.SetOperation)))
