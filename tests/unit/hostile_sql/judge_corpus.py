"""Judges every statement of the corpus and prints what became of it; a process of its own, so that memory can be measured.

Usage: judge_corpus.py DATABASE TIMEOUT_S. Prints one JSON line per statement and a last one with the growth of memory.
"""

import json
import resource
import sys
import time
import tomllib
from pathlib import Path

from custom_metrics.verdict import gold_result, judge_sql

GOLD_SQL = "SELECT name, age FROM singer WHERE age > 30 ORDER BY age"


def spell_out(statement: str | list) -> str:
    """A statement of the corpus as text: ``["SELECT ", ["(", 3], "1"]`` stands for ``SELECT (((1``."""
    if isinstance(statement, str):
        return statement
    return "".join(part if isinstance(part, str) else part[0] * part[1] for part in statement)


def main(database: Path, timeout_s: float) -> None:
    gold = gold_result(database, GOLD_SQL)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for family in sorted(Path(__file__).parent.glob("*.toml")):
        for statement in tomllib.loads(family.read_text(encoding="utf-8"))["statements"]:
            sql = spell_out(statement)
            start = time.monotonic()
            verdict = judge_sql(sql, gold, timeout_s=timeout_s)
            print(json.dumps({
                "family": family.stem,
                "sql": sql[:120],
                "seconds": time.monotonic() - start,
                "scores": [verdict.assignment, verdict.official, verdict.bird],
                "error_kind": verdict.error_kind,
                "reason": verdict.reason,
            }))  # fmt: skip
    after_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"grown_mib": (after_kib - before_kib) / 1024}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
