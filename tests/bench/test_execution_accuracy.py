"""How long judging takes, on published predictions: prints a table, gates nothing.

Where TEXT_TO_SQL_OFFICIAL_EVALUATOR names a checkout of test-suite-sql-eval (it needs sqlparse and tqdm), its own
algorithm runs beside ours on every tenth question.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from custom_metrics.sql.execution import DEFAULT_TIMEOUT_S
from custom_metrics.sql.verdict import gold_result, judge_sql
from fixtures.questions.spider.questions import explained

pytestmark = pytest.mark.bench

OFFICIAL_VARIABLE = "TEXT_TO_SQL_OFFICIAL_EVALUATOR"
THROUGH_PYTEST = ("codes-7b", "gpt4-zero-shot", "dbgpt-hub-lora32-lr2e4")


def seconds(work: Callable, *arguments, **options) -> float:
    start = time.perf_counter()
    work(*arguments, **options)
    return time.perf_counter() - start


@pytest.fixture(scope="module")
def golds(parity_data):
    return [gold_result(parity_data.database(entry["db_id"]), entry["query"]) for entry in parity_data.questions()]


def test_judging_published_systems(parity_data, golds, capsys):
    """Every convention and the error class, one process; the 1,034 gold results are there already."""
    db_ids = [entry["db_id"] for entry in parity_data.questions()]
    lines, totals = [], []
    for system in parity_data.systems():
        times, judged = [], []
        for sql, gold in zip(parity_data.predictions(system), golds, strict=True):
            start = time.perf_counter()
            judged.append(judge_sql(sql, gold, timeout_s=DEFAULT_TIMEOUT_S))
            explained(judged[-1], gold)
            times.append(time.perf_counter() - start)
        stopped = [index for index, verdict in enumerate(judged) if verdict.error_kind == "time limit"]
        totals.append(sum(taken for index, taken in enumerate(times) if index not in stopped))
        scores = [sum(getattr(verdict, name) for verdict in judged) for name in ("assignment", "official", "bird")]
        rebuilt = sum(verdict.official for verdict, db_id in zip(judged, db_ids, strict=True) if db_id != "wta_1")
        lines.append(
            f"{system:32}{totals[-1]:8.2f} s{statistics.median(times) * 1000:8.2f} ms{max(times):8.2f} s"
            f"{scores[0]:8}{scores[1]:8}{scores[2]:8}{rebuilt:16}   {stopped or ''}"
        )
    with capsys.disabled():
        print(f"\n{'system':32}{'total':>10}{'median':>11}{'worst':>10}", end="")
        print(
            f"{'assign.':>8}{'official':>8}{'bird':>8}{'off. w/o wta_1':>16}   stopped at the time limit (not in total)"
        )
        print("\n".join(lines))
        print(f"median of the totals {statistics.median(totals):.2f} s, worst {max(totals):.2f} s")


def test_through_pytest(parity_data, tmp_path, capsys):
    """3,102 recorded answers as tests, beside pytest with as many empty ones."""
    (tmp_path / "test_empty.py").write_text(
        "import pytest\n@pytest.mark.parametrize('n', range(3102))\ndef test_empty(n): pass\n"
    )
    systems = [parity_data.folder / "predictions" / f"{name}.sql" for name in THROUGH_PYTEST]
    pytest_command = [sys.executable, "-m", "pytest", "-q"]
    ours = [*pytest_command, "-m", "spider", f"--spider={parity_data.folder / 'spider'}", f"--results={tmp_path}"]
    ours.append(f"--adapter={','.join(map(str, systems))}")
    empty = [*pytest_command, f"--rootdir={tmp_path}", "-p", "no:deepeval", str(tmp_path / "test_empty.py")]
    rows = []
    for name, command in (("empty tests", empty), ("recorded answers", ours)):
        rows.append(f"{name:20}{seconds(subprocess.run, command, check=True, capture_output=True):8.1f} s")
    with capsys.disabled():
        print("\n3,102 tests of", *rows, sep="\n")


def test_judging_beside_the_official_evaluator(parity_data, golds, capsys, monkeypatch):
    """Its algorithm as published runs both queries each time; so here the gold query counts for us, too."""
    if OFFICIAL_VARIABLE not in os.environ:
        pytest.skip(f"{OFFICIAL_VARIABLE} is not set: it names a checkout of test-suite-sql-eval")
    monkeypatch.setattr(sys, "path", [os.environ[OFFICIAL_VARIABLE], *sys.path])
    from exec_eval import eval_exec_match

    lines = []
    for system in parity_data.systems():
        ours = theirs = 0.0
        for sql, gold in list(zip(parity_data.predictions(system), golds, strict=True))[::10]:
            ours += seconds(lambda sql=sql, gold=gold: judge_sql(sql, gold_result(gold.database, gold.gold_sql)))
            official_options = {"plug_value": False, "keep_distinct": False, "progress_bar_for_each_datapoint": False}
            theirs += seconds(
                eval_exec_match, str(gold.database), sql.replace("value", "1"), gold.gold_sql, **official_options
            )
        lines.append(f"{system:32}{ours:8.2f} s{theirs:8.2f} s{theirs / ours:8.1f}")
    with capsys.disabled():
        print(f"\n{'104 questions of':32}{'ours':>10}{'official':>10}{'ratio':>8}")
        print("\n".join(lines))
