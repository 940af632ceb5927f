"""pytest in a process of its own, forked from one that has imported the slow libraries already.

Of the seconds that a run of recorded predictions takes, half are imports of DeepEval and SciPy. A test that is not
about starting up need not pay for them each time.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

_IMPORTED = ["pytest", "xdist", "deepeval.test_case", "scipy.stats", "scipy.optimize", "sqlglot", "pydantic"]


@cache
def _forks() -> multiprocessing.context.ForkServerContext:
    """The server that forks: one thread, nothing of ours or of a test imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED)
    return context


def run_pytest(
    arguments: Sequence[str], *, cwd: Path, environment: Mapping[str, str] | None = None, timeout_s: float = 120.0
) -> subprocess.CompletedProcess[str]:
    """What ``python -m pytest *arguments`` in ``cwd`` ends with: status and output.

    Raises:
        subprocess.TimeoutExpired: it took longer.
    """
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        given = (list(map(str, arguments)), str(cwd), dict(environment or os.environ), str(out), str(err))
        process = _forks().Process(target=_run, args=given)
        process.start()
        process.join(timeout_s)
        if process.exitcode is None:
            os.killpg(process.pid, signal.SIGKILL)  # with the workers that it has started
            raise subprocess.TimeoutExpired(["pytest", *arguments], timeout_s)
        return subprocess.CompletedProcess(arguments, process.exitcode, out.read_text(), err.read_text())


def _run(arguments: list[str], cwd: str, environment: dict[str, str], out: str, err: str) -> None:
    import pytest

    os.setsid()
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
    sys.path[0:1] = [cwd]
    sys.argv = ["pytest", *arguments]
    status = pytest.main(arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(int(status))
