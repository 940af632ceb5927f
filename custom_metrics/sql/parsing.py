"""SQL as sqlglot's tree, where it can make one in bounded time."""

from sqlglot import exp
from sqlglot.dialects.sqlite import SQLite

from custom_metrics.sql.execution import MAX_SQL_CHARACTERS

# Of 20,000 gold and predicted queries none takes 3 steps for each token; forty joins without a condition take 2^40.
_STEPS_PER_TOKEN, _FEWEST_STEPS = 30, 10_000
_DIALECT = SQLite()


def parse_query(sql: str) -> exp.Query | None:
    """The one query ``sql`` as a tree; None where sqlglot cannot read it, or only in exponential time, or it is none.

    Never raises: SQLite runs SQL that sqlglot does not know, and a model writes anything.
    """
    if len(sql) > MAX_SQL_CHARACTERS:
        return None
    try:
        tokens = _DIALECT.tokenize(sql)
        found = _BoundedParser(dialect=_DIALECT).parse(tokens, sql)
    except Exception:
        # SqlglotError, RecursionError and _TooManySteps are known of.
        return None
    trees = [tree for tree in found if tree is not None and not isinstance(tree, exp.Semicolon)]
    return trees[0] if len(trees) == 1 and isinstance(trees[0], exp.Query) else None


class _TooManySteps(Exception):
    """The parser goes over the same tokens again and again. No ParseError: that would make it try another way."""


class _BoundedParser(SQLite.Parser):
    """sqlglot's parser, which tries one way after the other, until it has tried too often."""

    _steps = 0

    def _advance(self, times: int = 1) -> None:
        self._steps += 1
        if self._steps > _FEWEST_STEPS + _STEPS_PER_TOKEN * self._tokens_size:
            raise _TooManySteps
        super()._advance(times)
