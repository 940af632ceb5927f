"""Judges every statement of the corpus; a process of its own, so that its files and memory can be watched.

Usage: judge_corpus.py DATABASE TIMEOUT_S. Prints one JSON line per statement, then one about memory: by how much this
process grew, and the largest that a process which ran the SQL became.
"""

import atexit
import json
import resource
import sys
import time
import tomllib
from dataclasses import asdict
from pathlib import Path

from custom_metrics.sql.verdict import gold_result, judge_sql

GOLD_SQL = "SELECT name FROM singer WHERE age > 30"


def spell_out(statement: str | list) -> str:
    """A statement of the corpus as text: ``["SELECT ", ["(", 3], "1"]`` stands for ``SELECT (((1``."""
    if isinstance(statement, str):
        return statement
    return "".join(part if isinstance(part, str) else part[0] * part[1] for part in statement)


def peak_mib(who: int) -> float:
    """The most memory this process (RUSAGE_SELF), or the largest of its ended children, ever held."""
    return resource.getrusage(who).ru_maxrss / 1024


def judge_corpus(database: Path, timeout_s: float) -> None:
    gold = gold_result(database, GOLD_SQL)
    for family in sorted(Path(__file__).parent.glob("*.toml")):
        for statement in tomllib.loads(family.read_text(encoding="utf-8"))["statements"]:
            sql = spell_out(statement)
            start = time.monotonic()
            verdict = judge_sql(sql, gold, timeout_s=timeout_s)
            line = {"family": family.stem, "sql": sql[:120], "seconds": time.monotonic() - start, **asdict(verdict)}
            print(json.dumps(line | {"predicted_sql": None}))


def print_memory(start_mib: float) -> None:
    grown_mib = peak_mib(resource.RUSAGE_SELF) - start_mib
    print(json.dumps({"grown_mib": grown_mib, "sandbox_mib": peak_mib(resource.RUSAGE_CHILDREN)}))


if __name__ == "__main__":
    # Runs last of all at exit, when the process that ran the SQL has ended and can be counted.
    atexit.register(print_memory, peak_mib(resource.RUSAGE_SELF))
    judge_corpus(Path(sys.argv[1]), float(sys.argv[2]))
