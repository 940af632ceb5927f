"""Columns in a parsed query by their full names, ``table.column`` in lower case, whatever the aliases are."""

from collections.abc import Iterator

from sqlglot import exp

# What a name in FROM stands for: a table's name, or for a subquery its columns' texts by name.
Scope = dict[str, str | dict[str, str]]
Known = set[tuple[str, str]]


def write(node: exp.Expression) -> str:
    """The node as SQLite text, one spelling for each function and operator."""
    return node.sql(dialect="sqlite", normalize_functions="lower").replace("<>", "!=")


def table_of(column: str) -> str:
    """The table of a full name; empty where it cannot be told."""
    return column.rpartition(".")[0]


def sources_of(select: exp.Select) -> list[exp.Expression]:
    """The tables and subqueries that FROM and JOIN name, in order."""
    from_ = select.args.get("from_")
    return ([from_.this] if from_ else []) + [join.this for join in select.args.get("joins") or ()]


def own_nodes(select: exp.Select, *kinds: type[exp.Expression]) -> list[exp.Expression]:
    """The select's nodes of these kinds, without those of the queries nested in it."""
    nodes = select.walk(prune=lambda node: node is not select and isinstance(node, exp.Query))
    return [node for node in nodes if isinstance(node, kinds)]


def columns_with_table(tree: exp.Query) -> Iterator[tuple[str, str]]:
    """``(table, column)`` for every column whose table the query makes plain."""
    for select in tree.find_all(exp.Select):
        tables = {source.alias_or_name.lower(): source.name.lower() for source in sources_of(select)}
        for column in own_nodes(select, exp.Column):
            alone = len(tables) == 1 and not column.table
            table = next(iter(tables.values())) if alone else tables.get(column.table.lower())
            if table:
                yield table, column.name.lower()


def name_columns(select: exp.Select, scope: Scope, known: Known) -> None:
    """Replace the select's own columns by variables that carry their full names.

    ``known`` are ``(table, column)`` pairs; they tell the table of a column that is written without one.
    """
    local = [source.alias_or_name.lower() for source in sources_of(select)]
    new_names = {column.alias.lower(): column.this for column in select.expressions if column.alias}
    for column in own_nodes(select, exp.Column):
        if isinstance(column.this, exp.Star):
            continue
        name = column.name.lower()
        if _is_quoted_text(column):
            _put(column, exp.Literal.string(column.name))
        elif not column.table and name in new_names and column.find_ancestor(exp.Order, exp.Having, exp.Group):
            _put(column, exp.Var(this=write(new_names[name])))
        else:
            qualifier = column.table.lower() or _owner(name, local, scope, known)
            _put(column, exp.Var(this=_full_name(name, scope.get(qualifier))))


def _put(column: exp.Column, new: exp.Expression) -> None:
    """Put ``new`` in the column's place. sqlglot's ``replace`` numbers all of a list anew for each of its columns."""
    if column.index is None:
        column.replace(new)
        return
    column.parent.args[column.arg_key][column.index] = new
    new.parent, new.arg_key, new.index = column.parent, column.arg_key, column.index


def _is_quoted_text(column: exp.Column) -> bool:
    # SQLite takes "France" for a text where no column has that name, and Spider's gold SQL relies on it.
    compared = isinstance(column.parent, (exp.Binary, exp.In, exp.Between)) and column.arg_key != "this"
    return compared and not column.table and bool(column.this.args.get("quoted"))


def _owner(name: str, local: list[str], scope: Scope, known: Known) -> str:
    def has_column(source: str | dict[str, str]) -> bool:
        return name in source if isinstance(source, dict) else (source, name) in known

    owners = [alias for alias in local if has_column(scope[alias])] if len(local) > 1 else local
    return owners[0] if len(owners) == 1 else ""


def _full_name(name: str, source: str | dict[str, str] | None) -> str:
    if isinstance(source, dict):
        return source.get(name, name)
    return f"{source}.{name}" if source else name
