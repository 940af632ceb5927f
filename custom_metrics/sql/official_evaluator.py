"""The verdict of Spider's official evaluator (test-suite-sql-eval), question by question, quirks included.

One departure is on purpose: it carries out predicted writes, for good, and answers predicted PRAGMAs; here both are
refused and count as wrong. Where it never stops (its time limit cannot fire), a query past ours counts as wrong.
"""

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from custom_metrics.sql.comparison import columns_to_match, official_equal
from custom_metrics.sql.execution import QueryError, QueryResult
from custom_metrics.sql.official_rewrites import official_gold, official_prediction, plug_values

# It tries every combination of gold values, and a query with seven slots has millions.
MAX_PLUGGED_QUERIES = 10_000
MAX_PLUGGING_S = 30.0

# Runs a predicted query: database, SQL, the columns a right result has -> its result, or the error it ended in.
RunPrediction = Callable[[Path, str, int | None], QueryResult | QueryError]


@dataclass(frozen=True)
class OfficialGold:
    """The gold SQL as the official evaluator rewrites it, with its rows on every database file of the folder."""

    sql: str
    rows: tuple[tuple[Path, list[tuple]], ...]
    keep_distinct: bool
    plug_value: bool

    @property
    def ordered(self) -> bool:
        """Whether rows compare in order: "order by" stands anywhere in the SQL, a subquery or a string included."""
        return "order by" in self.sql.lower()


def run_official_gold(
    database: Path,
    gold_sql: str,
    *,
    keep_distinct: bool,
    plug_value: bool,
    run: Callable[[Path, str], QueryResult],
    suite: Sequence[Path] | None = None,
) -> OfficialGold:
    """The official evaluator's side of a gold query; what ``run`` raises passes through. ``suite``: see gold_result."""
    sql = official_gold(gold_sql, keep_distinct=keep_distinct)
    files = database_files(database) if suite is None else [database, *suite]
    rows = tuple((path, run(path, sql).rows) for path in files)
    return OfficialGold(sql, rows, keep_distinct, plug_value)


def database_files(database: Path) -> list[Path]:
    """Every SQLite file in the folder of ``database``, itself first: the official evaluator wants all to agree."""
    found = {path for path in database.parent.glob("*.sqlite") if not path.name.startswith(".")}
    return sorted({database, *found}, key=lambda path: (path != database, path))


def official_verdict(predicted_sql: str, gold: OfficialGold, run: RunPrediction) -> tuple[int, str]:
    """1 or 0, and in a few words why."""
    sql = official_prediction(predicted_sql, keep_distinct=gold.keep_distinct)
    objection = _objection(sql, gold, run)
    if objection and gold.plug_value:
        deadline = time.monotonic() + MAX_PLUGGING_S
        for plugged in itertools.islice(plug_values(gold.sql, sql), MAX_PLUGGED_QUERIES):
            if time.monotonic() > deadline:
                break
            if not _objection(plugged, gold, run):
                return 1, "right with the gold query's values"
    return (0, objection) if objection else (1, "right")


def _objection(sql: str, gold: OfficialGold, run: RunPrediction) -> str:
    """Why the rewritten ``sql`` is wrong; empty where it is right on every database."""
    for path, gold_rows in gold.rows:
        outcome = run(path, sql, columns_to_match(gold_rows))
        if isinstance(outcome, QueryError):
            if outcome.kind != "no statement":
                return str(outcome)
            # To the official evaluator a comment, or nothing before the semicolon, is a query without rows.
            outcome = QueryResult([], 0)
        if official_equal(gold_rows, outcome.rows, ordered=gold.ordered):
            continue
        if len(gold_rows) != len(outcome.rows):
            return f"rows in {path.name}: {len(outcome.rows)}, gold has {len(gold_rows)}, DISTINCT aside"
        if gold.ordered and official_equal(gold_rows, outcome.rows, ordered=False):
            return "rows in another order, and gold has ORDER BY"
        return f"other rows in {path.name}"
    return ""
