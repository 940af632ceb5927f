"""Runs one SQL statement on a database, safely and in bounded time.

Predicted SQL is untrusted: a model can write anything. A statement runs in a process of its own (``sandbox``),
on a connection that is read-only and immutable, behind an authorizer that allows reading tables (the file's virtual
ones and ``json_each`` included) and functions that only compute. Time, rows, bytes, memory, string length, SQL length,
expression depth and compound terms are bounded. A query that SQLite itself cannot interrupt (one step can take seconds
on long strings, and preparing a statement cannot be interrupted at all) ends with its process, which is then replaced.

What this does NOT cover:

- A bug in SQLite that executes code: the process has the rights of its user, no namespace and no system call filter.
- Secrets in the database itself: a query may read every table, sqlite_master included.
- Databases that change while they are read, and a write-ahead log beside the file: immutable means neither is seen.
- Results that differ between runs: random(), date('now'), rows whose order the SQL leaves open.
- A machine so busy that a query waits for a processor until four times its limit are over by the clock.
- Systems other than Linux: macOS does not bound the process's address space, and Windows cannot run it at all.
"""

import atexit
import contextlib
import marshal
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

DEFAULT_TIMEOUT_S = 30.0
DEFAULT_MAX_ROWS = 100_000
MAX_SQL_CHARACTERS = 100_000
# How long past its limit a query may take to notice by itself, before its process is killed.
GRACE_S = 0.5
# A time limit is one of processor time: by the clock a query may take so many times as long where others compute too.
MOST_WAITED = 4
START_TIMEOUT_S = 60.0
SIZE_BYTES = 8  # before each answer, its size, as the sandbox writes it

_SANDBOX_PROGRAM = Path(__file__).with_name("sandbox.py")


class QueryError(Exception):
    """The SQL cannot be run, or not within its limits; ``kind`` says in a word or two why.

    Kinds: syntax, unknown table, unknown column, ambiguous column, unknown function, denied, several statements,
    no statement, time limit, row cap, memory, too large, wrong result, damaged database, crash, execution (the rest).
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class GoldQueryError(Exception):
    """The gold SQL cannot be run, or not within its limits, so that its question cannot be scored.

    ``kind`` is that of the ``QueryError``; the message has the database's own reason.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class QueryResult(NamedTuple):
    """What a query returned: ``rows`` in SQLite's order, each with ``num_columns`` values."""

    rows: list[tuple]
    num_columns: int


def run_query(
    database: Path,
    sql: str,
    *,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    max_rows: int = DEFAULT_MAX_ROWS,
    num_columns: int | None = None,
) -> QueryResult:
    """The result of the one statement ``sql`` on the SQLite file ``database``, which stays as it is.

    Text that is not UTF-8 loses the bytes that are not, as in Spider's official evaluator. A slow query that does
    not return ``num_columns`` columns is not run to its end (kind "wrong result").

    Raises:
        QueryError: the statement fails, is not allowed, or passes a limit.
        FileNotFoundError: there is no such database.
    """
    stat = database.stat()
    if len(sql) > MAX_SQL_CHARACTERS:
        raise QueryError("too large", f"more than {MAX_SQL_CHARACTERS:,} characters of SQL")
    version = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
    uri = f"{database.absolute().as_uri()}?mode=ro&immutable=1"
    status, *answer = _sandbox.ask((uri, version, sql, timeout_s, max_rows, num_columns), timeout_s)
    if status == "error":
        kind, message = answer
        raise QueryError(kind, f"stopped after {timeout_s:g} s" if kind == "time limit" else message)
    returned_columns, chunks = answer
    return QueryResult([row for chunk in chunks for row in marshal.loads(chunk)], returned_columns)


class _Sandbox:
    """The process that runs the statements of this one: started when first needed, replaced when it had to die."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen | None = None
        self._owner = 0

    def ask(self, request: tuple, timeout_s: float) -> tuple:
        """The sandbox's answer to ``request``; one at a time, as DeepEval judges from several threads."""
        with self._lock:
            if not self._is_ready():
                self._start()
            try:
                return self._exchange(request, timeout_s)
            except TimeoutError:
                self._stop()
                return "error", "time limit", ""
            except (EOFError, OSError):
                self._stop()
                return "error", "crash", "SQLite crashed on this statement"
            except BaseException:
                # Ctrl-C while waiting: the answer still to come would be taken for the next request's.
                self._stop()
                raise

    def _is_ready(self) -> bool:
        # After a fork the process belongs to the parent: two askers on one line would mix up their answers.
        return self._process is not None and self._owner == os.getpid() and self._process.poll() is None

    def _start(self) -> None:
        self._stop()
        ours, theirs = socket.socketpair()
        with theirs:
            # -I and -S: no site-packages, no user settings, no working folder on the path; it starts in 20 ms.
            command = [sys.executable, "-I", "-S", str(_SANDBOX_PROGRAM)]
            self._process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL)
        self._socket, self._answers, self._owner = ours, ours.makefile("rb"), os.getpid()
        atexit.register(self._stop)
        try:
            ours.settimeout(START_TIMEOUT_S)
            self._received()
        except (EOFError, OSError) as error:
            self._stop()
            raise RuntimeError(f"the process that runs SQL did not start: {' '.join(command)!r}") from error

    def _exchange(self, request: tuple, timeout_s: float) -> tuple:
        began, end = _processor_s(self._process.pid), time.monotonic() + MOST_WAITED * timeout_s
        self._socket.settimeout(timeout_s + GRACE_S)
        self._socket.sendall(marshal.dumps(request))
        while True:
            try:
                self._socket.recv(1, socket.MSG_PEEK)
                return self._received()
            except TimeoutError:
                left = timeout_s - (_processor_s(self._process.pid) - began)
                if left <= 0 or time.monotonic() > end:
                    raise
                self._socket.settimeout(left + GRACE_S)

    def _received(self) -> tuple:
        # Read before it is unmarshalled: in marshal.load of Python 3.11.2 a time-out and Ctrl-C become EOFError.
        size = self._answers.read(SIZE_BYTES)
        if len(size) < SIZE_BYTES:
            raise EOFError
        return marshal.loads(self._answers.read(int.from_bytes(size, "big")))

    def _stop(self) -> None:
        atexit.unregister(self._stop)
        if self._process is None or self._owner != os.getpid():
            return
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(OSError):
            self._answers.close()
            self._socket.close()
        self._process = None


def _processor_s(pid: int) -> float:
    """The processor time that a process has had, by the clock that Linux has for each; elsewhere that on the wall."""
    try:
        return time.clock_gettime(~pid << 3 | 2)
    except OSError:
        return time.monotonic()


_sandbox = _Sandbox()
