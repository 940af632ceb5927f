"""The program that runs untrusted SQL: a process of its own that ``execution`` starts and may kill.

Standard library only, because it is started as a file and without site-packages. It reads requests from standard
input and writes answers to standard output, both with ``marshal``, an answer after its size in 8 bytes;
``execution.run_query`` holds the other end.
"""

import contextlib
import functools
import marshal
import resource
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

# SQLite's own memory, and that of the whole process with the interpreter and the rows under way.
HEAP_LIMIT_BYTES = 160 * 2**20
ADDRESS_SPACE_BYTES = 240 * 2**20
RESULT_LIMIT_BYTES = 8 * 2**20
STRING_LIMIT_BYTES = 10_000_000
CHUNK_ROWS = 256
# A query that takes longer is looked at before it goes on: with the wrong number of columns it need not.
FIRST_TRY_S = 0.25
# Between two looks at the clock lie a few microseconds of ordinary work. One step on strings of STRING_LIMIT_BYTES
# can take seconds all the same (instr, replace, LIKE); for those the process is killed from outside.
STEPS_BETWEEN_CLOCKS = 1_000

# Some are SQLite's defaults, written down because a build of SQLite may have others or none.
LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: STRING_LIMIT_BYTES,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 100_000,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 1_000,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 500,
    sqlite3.SQLITE_LIMIT_COLUMN: 2_000,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 1_000_000,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 10_000,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 0,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}

# Everything that computes on its arguments, the clock, chance, or what a full-text search has found. Missing on
# purpose: load_extension, fts3_tokenizer, fts5, optimize (it writes), sqlite_*, the functions that read an R-tree's own
# tables, and those of the sqlite3 shell (readfile, writefile, edit).
FUNCTIONS = frozenset(
    """
    -> ->> abs acos acosh asin asinh atan atan2 atanh avg bm25 ceil ceiling char coalesce concat concat_ws cos cosh
    count cume_dist current_date current_time current_timestamp date datetime degrees dense_rank exp first_value floor
    format glob group_concat hex highlight if ifnull iif instr json json_array json_array_insert json_array_length
    json_error_position json_extract json_group_array json_group_object json_insert json_object json_patch json_pretty
    json_quote json_remove json_replace json_set json_type json_valid jsonb jsonb_array jsonb_array_insert
    jsonb_extract jsonb_group_array jsonb_group_object jsonb_insert jsonb_object jsonb_patch jsonb_remove jsonb_replace
    jsonb_set julianday lag last_value lead length like likelihood likely ln log log10 log2 lower ltrim match matchinfo
    max median min mod nth_value ntile nullif octet_length offsets percent_rank percentile percentile_cont
    percentile_disc pi pow power printf quote radians random randomblob rank replace round row_number rtrim sign sin
    sinh snippet soundex sqrt strftime string_agg substr substring subtype sum tan tanh time timediff total trim trunc
    typeof unhex unicode unistr unixepoch unlikely upper zeroblob
    """.split()
)

# Tables that SQLite itself brings, as far as it was built with them, and that only compute.
TABLE_FUNCTIONS = ("json_each", "json_tree", "jsonb_each", "jsonb_tree", "generate_series")

# SQLite's own codes where they say enough. What stands in a message need not: it quotes names and texts of the SQL.
KINDS_BY_CODE = {
    sqlite3.SQLITE_INTERRUPT: "time limit",
    sqlite3.SQLITE_AUTH: "denied",
    sqlite3.SQLITE_NOMEM: "memory",
    sqlite3.SQLITE_TOOBIG: "too large",
    sqlite3.SQLITE_CORRUPT: "damaged database",
    sqlite3.SQLITE_NOTADB: "damaged database",
    sqlite3.SQLITE_CANTOPEN: "damaged database",
}
# How all other messages begin or end -> what a verdict calls it; the names that they quote are behind or before that.
KINDS_BY_START = (
    ("no such table: ", "unknown table"),
    ("no such column: ", "unknown column"),
    ("ambiguous column name: ", "ambiguous column"),
    ("no such function: ", "unknown function"),
    ("unrecognized token: ", "syntax"),
    ("incomplete input", "syntax"),
    ("the query contains a null character", "syntax"),
    ("not authorized", "denied"),
    ("vtable constructor failed: ", "denied"),
    ("You can only execute one statement at a time", "several statements"),
    ("query string is too large", "too large"),
    ("too many ", "too large"),
    ("Expression tree is too large", "too large"),
    ("LIKE or GLOB pattern too complex", "too large"),
    ("parser stack overflow", "too large"),
    ("string or blob too big", "too large"),
)
KINDS_BY_END = ((": syntax error", "syntax"), ("surrogates not allowed", "syntax"), (" is prohibited", "denied"))


class Request(NamedTuple):
    """A query to run; the fields are ``run_query``'s."""

    uri: str
    version: tuple
    sql: str
    timeout_s: float
    max_rows: int
    num_columns: int | None


def answer(request: Request) -> tuple:
    """``("rows", num_columns, chunks)`` with each chunk some marshalled rows, or ``("error", kind, message)``."""
    deadline = _in_seconds(request.timeout_s)
    try:
        connection = _connect(request.uri, request.version)
        connection.set_authorizer(_authorizer())
        if request.num_columns is None:
            return _run(connection, request, deadline)
        try:
            return _run(connection, request, min(deadline, _in_seconds(FIRST_TRY_S)))
        except sqlite3.OperationalError as error:
            if _kind(error) != "time limit":
                raise
        num_columns = _count_columns(connection, request.sql)
        if num_columns != request.num_columns:
            return "error", "wrong result", f"columns: {num_columns}, gold has {request.num_columns}"
        return _run(connection, request, deadline)
    except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
        return "error", _kind(error), str(error)
    except MemoryError:
        _connect.cache_clear()
        return "error", "memory", "out of memory"


# Opening a database takes longer than most queries. ``version`` changes with the file, which an immutable connection
# would not notice. Nothing of a request may run on it before it has that request's authorizer.
@functools.lru_cache(maxsize=4)
def _connect(uri: str, version: tuple) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    # The official evaluator drops bytes that are not UTF-8 as well.
    connection.text_factory = functools.partial(bytes.decode, errors="ignore")
    # Large sorts go to memory, where the heap limit counts them, and never to a file.
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute(f"PRAGMA hard_heap_limit = {HEAP_LIMIT_BYTES}")
    for limit, value in LIMITS.items():
        connection.setlimit(limit, value)
    _open_virtual_tables(connection)
    return connection


def _open_virtual_tables(connection: sqlite3.Connection) -> None:
    """Open every virtual table (full-text, R-tree ...): that declares tables, which no query may do.

    Once open they are read like any other table, by SELECTs on tables of their own; what would write to those is
    refused.
    """
    # A file may have made a view, with any function in it, of what a virtual table takes for a table of its own.
    connection.set_authorizer(_authorize_opening)
    own = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage = 0").fetchall()
    for name in (*TABLE_FUNCTIONS, *(name for (name,) in own)):
        quoted = name.replace('"', '""')
        # One that this SQLite cannot open fails again, with its reason, in the query that names it.
        with contextlib.suppress(sqlite3.Error, ValueError):
            connection.execute(f'SELECT 1 FROM "{quoted}" LIMIT 0')


def _authorize_opening(action: int, _: str | None, function: str | None, *rest: str | None) -> int:
    refused = action == sqlite3.SQLITE_ATTACH or (
        action == sqlite3.SQLITE_FUNCTION and function.lower() not in FUNCTIONS
    )
    return sqlite3.SQLITE_DENY if refused else sqlite3.SQLITE_OK


def _authorizer() -> Callable[..., int]:
    """What decides over each thing that one statement does: it may read, and call ``FUNCTIONS``."""
    is_query = False

    def authorize(action: int, name: str | None, function: str | None, *rest: str | None) -> int:
        nonlocal is_query
        is_query = is_query or action == sqlite3.SQLITE_SELECT
        reading = action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE)
        computing = action == sqlite3.SQLITE_FUNCTION and function.lower() in FUNCTIONS
        # A full-text table (FTS5) asks whether its index has changed. A PRAGMA of the statement's own would come first.
        asking = is_query and action == sqlite3.SQLITE_PRAGMA and name == "data_version" and function is None
        return sqlite3.SQLITE_OK if reading or computing or asking else sqlite3.SQLITE_DENY

    return authorize


def _count_columns(connection: sqlite3.Connection, sql: str) -> int:
    """How many columns ``sql`` returns, read from its program without running it."""
    connection.set_progress_handler(None, 0)
    return next((step[3] for step in connection.execute("EXPLAIN " + sql) if step[1] == "ResultRow"), 0)


def _in_seconds(seconds: float) -> tuple[float, float]:
    """That moment, by the clock and by the processor time of this process."""
    return time.monotonic() + seconds, time.process_time() + seconds


def _run(connection: sqlite3.Connection, request: Request, deadline: tuple[float, float]) -> tuple:
    end, used = deadline
    # Both: on a machine that does other things meanwhile a query takes longer by the clock, and is no other query.
    connection.set_progress_handler(lambda: time.monotonic() > end and time.process_time() > used, STEPS_BETWEEN_CLOCKS)
    cursor = connection.execute(request.sql)
    if cursor.description is None:
        return "error", "no statement", "not a query: it returns no columns"
    chunks, num_rows, num_bytes = [], 0, 0
    while rows := cursor.fetchmany(CHUNK_ROWS):
        chunks.append(marshal.dumps(rows))
        num_rows += len(rows)
        num_bytes += len(chunks[-1])
        if num_rows > request.max_rows:
            return "error", "row cap", f"more than {request.max_rows:,} rows"
        if num_bytes > RESULT_LIMIT_BYTES:
            return "error", "row cap", f"more than {RESULT_LIMIT_BYTES // 2**20} MiB of rows"
    return "rows", len(cursor.description), chunks


def _kind(error: Exception) -> str:
    # An extended code has the plain one in its last byte; errors that Python itself raises have none.
    code, message = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF, str(error)
    if code in KINDS_BY_CODE:
        return KINDS_BY_CODE[code]
    started = (kind for start, kind in KINDS_BY_START if message.startswith(start))
    ended = (kind for end, kind in KINDS_BY_END if message.endswith(end))
    return next(started, next(ended, "execution"))


def _limit_process() -> None:
    """No file may grow, no core be dumped, and memory is bounded, whatever SQLite does."""
    # Ctrl-C reaches every process of the terminal; the parent decides what becomes of this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    limits = {resource.RLIMIT_FSIZE: 0, resource.RLIMIT_CORE: 0, resource.RLIMIT_AS: ADDRESS_SPACE_BYTES}
    for limit, value in limits.items():
        # macOS refuses RLIMIT_AS.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(limit, (value, value))


def main() -> None:
    """Say that the process is up, then answer requests until standard input ends."""
    _limit_process()
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    reply: tuple = ("ready",)
    while True:
        written = marshal.dumps(reply)
        answers.writelines((len(written).to_bytes(8, "big"), written))
        answers.flush()
        try:
            request = marshal.load(requests)
        except EOFError:
            return
        reply = answer(Request(*request))


if __name__ == "__main__":
    main()
