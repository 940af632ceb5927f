"""Spider's four hardness levels, counted on the parsed SQL; a query that cannot be parsed is of unknown hardness."""

from collections.abc import Iterator

from sqlglot import exp

from custom_metrics.sql.levels import HARDNESS_LEVELS, UNKNOWN, Hardness
from custom_metrics.sql.parsing import parse_query

__all__ = ["HARDNESS_LEVELS", "UNKNOWN", "Hardness", "hardness"]


def hardness(sql: str) -> Hardness:
    """How hard Spider's published rules call ``sql``: easy, medium, hard or extra; unknown where it cannot be read.

    Three counts decide, taken on the outermost query (of a set operation: on its first part): clauses and
    joins, nested queries, and things there are several of (aggregates, columns, conditions, group columns).
    The rules are ``eval_hardness`` of github.com/taoyds/spider, evaluation.py. They know no WITH: a common
    table expression counts as a nested query here. Never raises.

    >>> hardness("SELECT count(*) FROM singer")
    'easy'
    >>> hardness("SELECT name FROM singer WHERE age > (SELECT avg(age) FROM singer)")
    'hard'
    >>> hardness("SELECT CAST(age AS UNSIGNED BIG INT) FROM singer")
    'unknown'
    """
    query = parse_query(sql)
    try:
        return _level(query) if query else UNKNOWN
    except (AttributeError, RecursionError):
        # VALUES and the like: queries without a SELECT.
        return UNKNOWN


def _level(query: exp.Query) -> Hardness:
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


def _first_select(query: exp.Query) -> exp.Select:
    while not isinstance(query, exp.Select):
        query = query.this
    return query


def _count_clauses(select: exp.Select) -> int:
    present = sum(select.args.get(clause) is not None for clause in ("where", "group", "order", "limit"))
    in_conditions = sum(connector is exp.Or for connector, _ in _in_conditions(select))
    in_conditions += sum(isinstance(node, (exp.Or, exp.Like)) for node in _condition_nodes(select))
    return present + len(select.args.get("joins") or ()) + in_conditions


def _count_nested(query: exp.Query, select: exp.Select) -> int:
    """Subqueries that conditions compare with, and the rest of a set operation as one."""
    in_conditions = sum(isinstance(node, (exp.Select, exp.SetOperation)) for node in _condition_nodes(select))
    return in_conditions + isinstance(query.unnest(), exp.SetOperation) + len(query.ctes)


def _count_plurals(select: exp.Select) -> int:
    """Of how many kinds of things there is more than one: aggregates, columns, conditions, group columns."""
    group = select.args.get("group")
    order = select.args.get("order")
    where, having = (list(_conditions(select.args.get(clause))) for clause in ("where", "having"))
    aggregates = sum(_has_aggregate(column) for column in select.expressions)
    aggregates += sum(isinstance(node, exp.AggFunc) for node in _nodes(order))
    # The published code reads the NOT flag of a condition as its aggregate, and so counts NOT instead.
    aggregates += sum(isinstance(condition, exp.Not) for _, condition in where + having)
    counts = (aggregates, len(select.expressions), len(where), len(group.expressions) if group else 0)
    return sum(count > 1 for count in counts)


def _has_aggregate(node: exp.Expression) -> bool:
    return any(isinstance(part, exp.AggFunc) for part in _nodes(node))


Condition = tuple[type[exp.Expression] | None, exp.Expression]


def _in_conditions(select: exp.Select) -> Iterator[Condition]:
    """The conditions in ON, WHERE and HAVING, each with the connector before it."""
    joins = select.args.get("joins") or ()
    for clause in (*(join.args.get("on") for join in joins), select.args.get("where"), select.args.get("having")):
        yield from _conditions(clause)


def _conditions(clause: exp.Expression | None) -> Iterator[Condition]:
    """The conditions that AND and OR connect, in the order of the text, parentheses opened.

    The published parser takes an OR behind a comparison with a column, and what follows up to the next AND, for a part
    of that column's name; so they are left out here.
    """
    swallowing = False
    waiting: list[Condition] = [(None, clause.this if isinstance(clause, (exp.Where, exp.Having)) else clause)]
    while waiting:
        connector, node = waiting.pop()
        if node is None:
            continue
        node = node.unnest()
        if isinstance(node, exp.Connector):
            waiting += [(type(node), node.right), (connector, node.left)]
        elif not (swallowing and connector is exp.Or):
            swallowing = _ends_in_column(node)
            yield connector, node


def _ends_in_column(condition: exp.Expression) -> bool:
    """Whether a comparison's right side is a column; a quoted name is text to the published parser."""
    right = condition.args.get("high") or condition.args.get("expression")
    return isinstance(right, exp.Column) and not right.this.args.get("quoted")


def _condition_nodes(select: exp.Select) -> Iterator[exp.Expression]:
    """Every node of the conditions in ON, WHERE and HAVING; of a subquery only its top."""
    for _, condition in _in_conditions(select):
        yield from _nodes(condition)


def _nodes(node: exp.Expression | None) -> Iterator[exp.Expression]:
    if node is not None:
        yield from node.walk(prune=lambda part: isinstance(part, (exp.Select, exp.SetOperation)))
