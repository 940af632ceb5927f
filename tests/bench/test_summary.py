"""How long a summary of 50 adapters over 1,184 questions takes: prints seconds, gates nothing.

Beside it, reading the same rows from their JSON lines, which every run does before it summarises.
"""

import random
import time
from itertools import count
from statistics import median

import pytest

from fixtures.questions.plugin import BUILT_IN
from fixtures.results.files import read_rows, write_rows
from fixtures.results.summary import summarise

pytestmark = pytest.mark.bench

ADAPTERS, REPEATS = 50, 5
TOTALS = {"spider": 1034, "mmlu": 150}


def seconds(call):
    """The median of several calls' time, after one that imports what it needs."""
    call()
    taken = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return median(taken)


def test_a_summary_of_50_adapters(made_up_study, made_up_manifest, tmp_path):
    drawn = random.Random(0)
    slugs = ["base", *(f"cfg{n}" for n in range(1, ADAPTERS + 1))]
    right = [
        {slug: {n for n in range(TOTALS[suite]) if drawn.random() < share} for slug in slugs}
        for suite, share in (("spider", 0.6), ("mmlu", 0.5))
    ]
    summary, rows = made_up_study(*right, questions=TOTALS)
    sets = made_up_manifest(slugs).score_sets
    names = (tmp_path / f"{n}.jsonl" for n in count())

    def read_anew():
        # A file that was read in this process is not read again.
        path = next(names)
        path.write_bytes(written)
        read_rows(path, BUILT_IN)

    write_rows(tmp_path / "scores.jsonl", rows, BUILT_IN)
    written = (tmp_path / "scores.jsonl").read_bytes()
    made = seconds(lambda: summarise(rows, BUILT_IN, sets, TOTALS, 0.02))
    read = seconds(read_anew)
    print(f"\n{len(rows):,} rows, {len(summary.comparisons):,} comparisons")
    print(f"summary {made:.2f} s, reading the rows {read:.2f} s, ratio {made / read:.2f}")
