"""Judges one reply: runs its SQL and compares with the gold SQL's result, under every convention.

The conventions of execution accuracy (``comparison``): ``assignment`` is the headline, ``official`` is the
verdict of test-suite-sql-eval, ``bird`` is BIRD's.
"""

import functools
import reprlib
import textwrap
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from custom_metrics.sql.comparison import assignment_equal, bird_equal, columns_to_match, official_equal
from custom_metrics.sql.execution import DEFAULT_TIMEOUT_S, GoldQueryError, QueryError, QueryResult, run_query
from custom_metrics.sql.extraction import holds_sql, read_reply
from custom_metrics.sql.official_evaluator import OfficialGold, RunPrediction, official_verdict, run_official_gold

# Runs a query as ``run_query``: database, SQL, ``timeout_s`` and ``num_columns`` -> its result; raises QueryError.
RunQuery = Callable[..., QueryResult]
_LIMITS = {"time limit": "time", "row cap": "rows", "memory": "memory", "too large": "size"}


@dataclass(frozen=True)
class GoldResult:
    """Everything judging needs of one question, computed once for all adapters."""

    database: Path
    gold_sql: str
    result: QueryResult
    official: OfficialGold


@dataclass(frozen=True)
class Verdict:
    """What became of one prediction: 1 (right) or 0 (wrong) per convention, and one line that says why.

    ``predicted_sql`` is None where there was no SQL. ``error_kind`` is None where ``assignment`` is 1, else "no sql",
    "wrong result" or a ``QueryError.kind``.
    ``columns_reordered``: a wrong result whose rows are right but for the order of the columns. ``result``: what the
    SQL returned, None where it failed or its run was ended early.
    """

    predicted_sql: str | None
    assignment: int
    official: int
    bird: int
    reason: str
    error_kind: str | None
    columns_reordered: bool = False
    result: QueryResult | None = field(default=None, compare=False, repr=False)


def gold_result(
    database: Path,
    gold_sql: str,
    *,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    keep_distinct: bool = False,
    plug_value: bool = False,
    suite: Sequence[Path] | None = None,
    run: RunQuery = run_query,
) -> GoldResult:
    """The gold SQL's results; ``keep_distinct`` and ``plug_value`` are the official evaluator's options.

    Where the gold SQL runs, but not without its DISTINCT (there may be millions of rows then), DISTINCT is kept.

    ``suite`` are further files, with the same tables and other rows, on which the official verdict wants the same
    result too; left out, every other ``.sqlite`` file in the database's folder, as the official evaluator has it.
    ``run`` runs a query, as ``run_query`` does.

    Raises:
        GoldQueryError: the gold SQL fails or passes a limit.
    """

    @functools.cache
    def once(path: Path, sql: str) -> QueryResult:
        try:
            return run(path, sql, timeout_s=timeout_s)
        except QueryError as error:
            raise _gold_error(error, path, sql) from error

    result = once(database, gold_sql.strip().rstrip("; "))
    official = functools.partial(run_official_gold, database, gold_sql, plug_value=plug_value, run=once, suite=suite)
    try:
        return GoldResult(database, gold_sql, result, official(keep_distinct=keep_distinct))
    except GoldQueryError:
        if keep_distinct:
            raise
        return GoldResult(database, gold_sql, result, official(keep_distinct=True))


def _gold_error(error: QueryError, database: Path, sql: str) -> GoldQueryError:
    did = f"passed a limit ({_LIMITS[error.kind]})" if error.kind in _LIMITS else "failed"
    said = f"gold SQL {did} on database {database.name!r}: {error}. SQL: {sql.strip()}"
    return GoldQueryError(error.kind, _one_line(said))


def judge_reply(
    reply: str, gold: GoldResult, *, timeout_s: float = DEFAULT_TIMEOUT_S, run: RunQuery = run_query
) -> Verdict:
    """The verdict on a model's reply, prose and fences allowed. No reply makes it raise.

    ``run`` runs what it predicts, as ``run_query`` does.
    """
    read = read_reply(reply)
    if read.sql is None:
        verdict = Verdict(None, 0, 0, 0, "no SQL in the reply", "no sql")
    else:
        verdict = _judge_statement(read.sql, gold, timeout_s, run)
    return replace(verdict, reason=f"{verdict.reason}; {read.note}") if read.note else verdict


def judge_sql(
    predicted_sql: str, gold: GoldResult, *, timeout_s: float = DEFAULT_TIMEOUT_S, run: RunQuery = run_query
) -> Verdict:
    """As ``judge_reply`` on bare SQL, such as a recorded prediction. Nothing is cut from it.

    One that fails because it holds no statement at all (it is empty, "none", a refusal) has the kind "no sql".
    """
    verdict = _judge_statement(predicted_sql, gold, timeout_s, run)
    if verdict.error_kind in (None, "wrong result") or holds_sql(predicted_sql):
        return verdict
    reason = "no SQL in the prediction" + ("; official evaluator: right" if verdict.official else "")
    return replace(verdict, predicted_sql=None, error_kind="no sql", reason=reason)


def _judge_statement(predicted_sql: str, gold: GoldResult, timeout_s: float, run_form: RunQuery) -> Verdict:
    run = _runner(timeout_s, run_form)
    sql = predicted_sql.strip().rstrip("; ")
    outcome = run(gold.database, sql, columns_to_match(gold.result.rows))
    official, official_note = official_verdict(sql, gold.official, run)
    reordered, result = False, None
    if isinstance(outcome, QueryError):
        assignment, bird, kind, reason = 0, 0, outcome.kind, str(outcome)
    else:
        result = outcome
        assignment = int(assignment_equal(gold.result.rows, outcome.rows))
        bird = int(bird_equal(gold.result.rows, outcome.rows))
        reordered = not assignment and _columns_reordered(gold.result, outcome)
        kind, reason = (
            (None, "same result") if assignment else ("wrong result", describe_difference(gold.result, outcome))
        )
    if official != assignment:
        reason += f"; official evaluator: {official_note}"
    return Verdict(predicted_sql, assignment, official, bird, _one_line(reason), kind, reordered, result)


def _runner(timeout_s: float, run_form: RunQuery) -> RunPrediction:
    """What runs the forms of one prediction, which share one time limit."""
    out_of_time: list[QueryError] = []

    # The official evaluator mostly runs the same query on the same file.
    @functools.lru_cache(maxsize=4)
    def run(database: Path, sql: str, num_columns: int | None) -> QueryResult | QueryError:
        if out_of_time:
            # One time limit is enough: neither another form of the query nor another database gets its own.
            return out_of_time[0]
        try:
            return run_form(database, sql, timeout_s=timeout_s, num_columns=num_columns)
        except QueryError as error:
            if error.kind == "time limit":
                out_of_time.append(error)
            return error

    return run


def describe_difference(gold: QueryResult, predicted: QueryResult) -> str:
    """How two results that are not assignment-equal differ."""
    gold_rows, predicted_rows = gold.rows, predicted.rows
    if gold.num_columns != predicted.num_columns:
        return f"columns: {predicted.num_columns}, gold has {gold.num_columns}"
    if _columns_reordered(gold, predicted):
        return "right rows, columns in another order"
    if bird_equal(gold_rows, predicted_rows):
        return f"right rows, repeated differently: {len(predicted_rows)}, gold has {len(gold_rows)}"
    if len(gold_rows) != len(predicted_rows):
        return f"rows: {len(predicted_rows)}, gold has {len(gold_rows)}"
    missing = Counter(gold_rows) - Counter(predicted_rows)
    return f"{missing.total()} of {len(gold_rows)} rows differ: {reprlib.repr(next(iter(missing)))} is missing"


def _columns_reordered(gold: QueryResult, predicted: QueryResult) -> bool:
    """Whether results that are not assignment-equal have the same rows once columns are put in another order."""
    return gold.num_columns == predicted.num_columns and official_equal(gold.rows, predicted.rows, ordered=False)


def _one_line(text: str) -> str:
    """``text`` fit for a terminal and a table: SQLite's messages quote whatever stood in the SQL."""
    printable = "".join(character if character.isprintable() or character.isspace() else "?" for character in text)
    return textwrap.shorten(printable, width=300, placeholder=" ...")
