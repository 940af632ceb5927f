"""Takes a SQL query apart into tables, joins, nesting, filters, grouping, columns and order, fit for comparison.

Names are lower case and columns carry their table's name whatever its alias. Conditions are written one way
(``5 < x`` as ``x > 5``, BETWEEN as two, OR over one column as IN). The parts of subqueries and of set operations
stand beside those of the outer query; ``nesting`` says what held them.
"""

import re
from collections.abc import Iterable

from sqlglot import errors, exp

from custom_metrics.errors.column_names import (
    Known,
    Scope,
    columns_with_table,
    name_columns,
    own_nodes,
    sources_of,
    table_of,
    write,
)
from custom_metrics.errors.query_parts import QueryParts
from custom_metrics.sql.parsing import parse_query

_MIRRORED = {exp.GT: exp.LT, exp.LT: exp.GT, exp.GTE: exp.LTE, exp.LTE: exp.GTE, exp.EQ: exp.EQ, exp.NEQ: exp.NEQ}
_NEGATED = {exp.GT: exp.LTE, exp.LTE: exp.GT, exp.LT: exp.GTE, exp.GTE: exp.LT, exp.EQ: exp.NEQ, exp.NEQ: exp.EQ}
# Longer ones count nothing that a database holds, and Python refuses to read those of thousands of digits.
_COUNT = re.compile(r"[0-9]{1,18}")
_NESTING_OF = {exp.Intersect: "INTERSECT", exp.Except: "EXCEPT", exp.Union: "UNION"}


def read_parts(*statements: str) -> list[QueryParts] | None:
    """The parts of each of the ``statements`` on one database; None where sqlglot cannot read one of them.

    They are read together: a column that one of them writes without its table is looked up in the others.
    """
    try:
        trees = [parse_query(sql) for sql in statements]
        if None in trees:
            return None
        known = {pair for tree in trees for pair in columns_with_table(tree)}
        return [_Reader(tree, known).parts for tree in trees]
    except (errors.SqlglotError, RecursionError):
        return None


class _Reader:
    """Collects the parts of one parsed query, which it rewrites on the way."""

    def __init__(self, tree: exp.Query, known: Known) -> None:
        self.parts = QueryParts()
        self._known = known
        self._ctes = {cte.alias.lower(): cte.this for cte in tree.find_all(exp.CTE)}
        self._excluding = 0
        has_aggregate = tree.find(exp.AggFunc) is not None
        self.parts.columns = self._read(tree, {})
        self.parts.distinct = tree.args.get("distinct") is not None and isinstance(tree, exp.Select)
        # ``SELECT a GROUP BY a`` is SELECT DISTINCT written otherwise.
        if not has_aggregate and self.parts.group and set(self.parts.group) == set(self.parts.columns):
            self.parts.group, self.parts.distinct = [], True
        self.parts.joined_only = {table for table in self.parts.tables if f"{table}." not in self._used_text()}

    def _used_text(self) -> str:
        parts = self.parts
        return " ".join([*parts.columns, *parts.inner_columns, *parts.filters, *parts.group, *parts.order])

    def _read(self, query: exp.Expression, outer: Scope) -> list[str]:
        """Collect a query's parts and return its columns; ``outer`` is what names stand for around it."""
        query = query.unnest()
        if isinstance(query, exp.SetOperation):
            return self._read_set_operation(query, outer)
        if not isinstance(query, exp.Select):
            return []
        scope = outer | self._read_sources(query)
        name_columns(query, scope, self._known)
        for join in query.args.get("joins") or ():
            self._read_join(join, scope)
        for clause in ("where", "having"):
            if query.args.get(clause):
                self._read_conditions(query.args[clause].this, scope)
        columns = [self._value(column.unalias(), scope) for column in query.expressions]
        for key in getattr(query.args.get("group"), "expressions", ()):
            self.parts.group.append(self._key(key, scope, columns))
        self._read_order(query, scope, columns)
        return columns

    def _read_set_operation(self, query: exp.SetOperation, outer: Scope) -> list[str]:
        keeps_all = isinstance(query, exp.Union) and query.args.get("distinct") is False
        self.parts.nesting.append(_NESTING_OF[type(query)] + " ALL" * keeps_all)
        first = self._read(query.this, outer)
        self._excluding += isinstance(query, exp.Except)
        second = self._read(query.expression, outer)
        self._excluding -= isinstance(query, exp.Except)
        if isinstance(query, exp.Union):
            self.parts.inner_columns += second
        else:
            self._link(pair for pair in zip(first, second, strict=False) if table_of(pair[0]) != table_of(pair[1]))
        self._read_order(query, outer, first)
        return first

    def _read_sources(self, select: exp.Select) -> Scope:
        scope: Scope = {}
        for source in sources_of(select):
            inner = source.this if isinstance(source, exp.Subquery) else self._ctes.get(source.name.lower())
            if inner is None:
                self.parts.tables[source.name.lower()] += 1
                scope[source.alias_or_name.lower()] = source.name.lower()
            else:
                self.parts.nesting.append("subquery in FROM")
                self.parts.inner_distinct += inner.args.get("distinct") is not None and isinstance(inner, exp.Select)
                # Read once, since reading rewrites; a recursive common table expression would also never end.
                self._ctes.pop(source.name.lower(), None)
                names = [name.lower() for name in inner.named_selects]
                scope[source.alias_or_name.lower()] = dict(zip(names, self._read(inner, {}), strict=False))
        return scope

    def _read_join(self, join: exp.Join, scope: Scope) -> None:
        table = join.this.name.lower()
        if join.side:
            self.parts.outer_joined.add(table)
        num_before = len(self.parts.filters)
        if join.args.get("on"):
            self._read_conditions(join.args["on"], scope)
        if join.side:
            # What an outer join asks for leaves the rows of its other side alone, unlike WHERE.
            self.parts.filters[num_before:] = [f"joining {text}" for text in self.parts.filters[num_before:]]
        for name in (column.name.lower() for column in join.args.get("using") or ()):
            others = [other for other in self.parts.tables if (other, name) in self._known]
            self._link((f"{other}.{name}", f"{table}.{name}") for other in others)

    def _link(self, pairs: Iterable[tuple[str, str]]) -> None:
        self.parts.joins |= {frozenset(pair) for pair in pairs if pair[0] != pair[1]}

    def _read_conditions(self, node: exp.Expression, scope: Scope) -> None:
        """Collect the conditions that AND connects: filters, joins and subqueries."""
        node = node.unnest()
        if isinstance(node, exp.And):
            self._read_conditions(node.left, scope)
            self._read_conditions(node.right, scope)
        elif isinstance(node, exp.Between):
            self._read_conditions(exp.GTE(this=node.this.copy(), expression=node.args["low"].copy()), scope)
            self._read_conditions(exp.LTE(this=node.this.copy(), expression=node.args["high"].copy()), scope)
        elif text := self._condition(node, scope):
            self.parts.filters.append("excluding " * (self._excluding % 2) + text)

    def _condition(self, node: exp.Expression, scope: Scope, negated: bool = False) -> str:
        """One condition's text; empty where it is a join or a subquery, which are collected elsewhere."""
        node = node.unnest()
        if isinstance(node, exp.Not):
            return self._condition(node.this, scope, not negated)
        if isinstance(node, exp.Or) and not negated:
            return self._alternatives(node, scope)
        if isinstance(node, exp.Exists) or (isinstance(node, exp.In) and node.args.get("query")):
            return self._membership(node, scope, negated)
        if isinstance(node, exp.In):
            subject, values = self._value(node.this, scope), [self._value(value, scope) for value in node.expressions]
            return _one_of(subject, values, negated)
        if type(node) in _MIRRORED:
            return self._comparison(_NEGATED[type(node)] if negated else type(node), node, scope)
        if isinstance(node, exp.Is) and not negated and self._is_anti_join(node):
            return ""
        return "not " * negated + self._value(node, scope)

    def _is_anti_join(self, node: exp.Is) -> bool:
        """Whether the condition keeps the rows for which an outer join found nothing; notes it as nesting."""
        table = table_of(write(node.this))
        if table not in self.parts.outer_joined or not isinstance(node.expression, exp.Null):
            return False
        self.parts.outer_joined.discard(table)
        self.parts.nesting.append("LEFT JOIN with IS NULL")
        return True

    def _alternatives(self, node: exp.Or, scope: Scope) -> str:
        texts = sorted(filter(None, (self._condition(part, scope) for part in node.flatten())))
        sides = [text.partition(" = ") for text in texts]
        if len({subject for subject, _, _ in sides}) == 1 and all(value for _, _, value in sides):
            return _one_of(sides[0][0], [value for _, _, value in sides], negated=False)
        return " or ".join(texts)

    def _membership(self, node: exp.Expression, scope: Scope, negated: bool) -> str:
        """IN and EXISTS with a subquery: nesting, and for IN also a join."""
        is_in = isinstance(node, exp.In)
        self.parts.nesting.append("NOT " * negated + ("IN" if is_in else "EXISTS"))
        self._excluding += negated
        columns = self._read(node.args["query"] if is_in else node.this, scope)
        self._excluding -= negated
        if is_in:
            self._link([(self._value(node.this, scope), "".join(columns[:1]))])
        return ""

    def _comparison(self, kind: type[exp.Expression], node: exp.Expression, scope: Scope) -> str:
        left, right = node.this.unnest(), node.expression.unnest()
        if isinstance(left, (exp.Literal, exp.Query)) and not isinstance(right, (exp.Literal, exp.Query)):
            left, right, kind = right, left, _MIRRORED[kind]
        if kind is exp.EQ and isinstance(right, exp.Select) and _is_lookup(right):
            self.parts.nesting.append("IN")
            self._link([(self._value(left, scope), "".join(self._read(right, scope)[:1]))])
            return ""
        texts = self._value(left, scope), self._value(right, scope)
        if kind is exp.EQ and self._is_join(left, right):
            self._link([(write(_uncast(left)), write(_uncast(right)))])
            return ""
        if kind is exp.GTE and isinstance(left, exp.Count) and _COUNT.fullmatch(texts[1]):
            kind, texts = exp.GT, (texts[0], str(int(texts[1]) - 1))
        return write(kind(this=exp.Var(this=texts[0]), expression=exp.Var(this=texts[1])))

    def _is_join(self, left: exp.Expression, right: exp.Expression) -> bool:
        """Whether an equation is between two tables, or two uses of one."""
        left, right = _uncast(left), _uncast(right)
        if not (isinstance(left, exp.Var) and isinstance(right, exp.Var)):
            return False
        return table_of(left.name) != table_of(right.name) or self.parts.tables[table_of(left.name)] > 1

    def _value(self, node: exp.Expression, scope: Scope) -> str:
        """An expression's text, the subqueries in it collected and written ``(subquery)``."""
        if isinstance(node, exp.Query):
            self.parts.nesting.append("subquery as value")
            self.parts.inner_columns += self._read(node, scope)
            return "(subquery)"
        for inner in list(node.walk(prune=lambda part: isinstance(part, exp.Subquery))):
            if isinstance(inner, exp.Subquery):
                inner.replace(exp.Var(this=self._value(inner, scope)))
        return write(node)

    def _read_order(self, query: exp.Query, scope: Scope, columns: list[str]) -> None:
        for key in getattr(query.args.get("order"), "expressions", ()):
            descending, nulls_first = bool(key.args.get("desc")), bool(key.args.get("nulls_first"))
            # To SQLite NULL is smaller than all else, unless the query says otherwise.
            nulls = f" nulls {'first' if nulls_first else 'last'}" if nulls_first == descending else ""
            direction = "desc" if descending else "asc"
            self.parts.order.append(f"{self._key(key.this, scope, columns)} {direction}{nulls}")
        limits = (query.args.get(name) for name in ("limit", "offset"))
        if limit := " offset ".join(write(part.expression) for part in limits if part):
            self.parts.limit.append(limit)

    def _key(self, node: exp.Expression, scope: Scope, columns: list[str]) -> str:
        """A key of GROUP BY or ORDER BY; a number stands for the column at that place."""
        numbered = isinstance(node, exp.Literal) and not node.is_string and _COUNT.fullmatch(node.this)
        place = int(node.this) if numbered else 0
        return columns[place - 1] if 0 < place <= len(columns) else self._value(node, scope)


def _one_of(subject: str, values: list[str], negated: bool) -> str:
    if len(values) == 1:
        return f"{subject} {'!=' if negated else '='} {values[0]}"
    return f"{subject} {'not in' if negated else 'in'} ({', '.join(sorted(values))})"


def _uncast(node: exp.Expression) -> exp.Expression:
    return node.this if isinstance(node, exp.Cast) else node


def _is_lookup(select: exp.Select) -> bool:
    """Whether ``= (SELECT ...)`` merely follows a key, as IN would: no aggregate and no limit."""
    return not (own_nodes(select, exp.AggFunc) or select.args.get("limit"))
