"""Answers that no reader of SQL foresees: each is judged, gets a class and a row, and comes through to the reports."""

import json
import os
from pathlib import Path

import pytest

from custom_metrics.errors import analysis
from custom_metrics.errors.analysis import ErrorClass, classify_error
from custom_metrics.sql.execution import QueryError, run_query
from custom_metrics.sql.verdict import gold_result, judge_sql
from fixtures.questions.spider.questions import explained
from tests.processes import run_pytest

SPIDER = Path(__file__).parents[2] / "fixtures" / "miniature" / "spider"
GOLD = "SELECT country, count(*) FROM singer GROUP BY country"
DIGITS = "9" * 5000
HOSTILE = {
    "integer": f"SELECT {DIGITS}",
    "integer-having": f"SELECT country, count(*) FROM singer GROUP BY country HAVING count(*) >= {DIGITS}",
    "integer-anywhere": f"SELECT name FROM sqlite_master GROUP BY name HAVING count(*) >= {DIGITS}",
    "integer-order": f"SELECT country FROM singer ORDER BY {DIGITS}",
    "integer-group": f"SELECT country FROM singer GROUP BY {DIGITS}",
    "integer-limit": f"SELECT country FROM singer LIMIT {DIGITS}",
    "integer-text": f"SELECT '{DIGITS}'",
    "integer-printf": "SELECT printf('%05000d', 1)",
    "exponent": f"SELECT 1e{DIGITS}",
    "superscript": "SELECT country, count(*) FROM singer GROUP BY country HAVING count(*) >= ²",
    "infinity": "SELECT 9e999, -9e999",
    "nan": "SELECT 9e999 - 9e999",
    "blob": "SELECT x'ff00fe', zeroblob(1000)",
    "not-utf8": "SELECT CAST(x'fffe' AS TEXT)",
    "nul-in-name": 'SELECT country AS "a\0b" FROM singer',
    "nul-in-text": "SELECT 'a\0b'",
    "nul-returned": "SELECT char(0), char(0xd800), char(0x10ffff)",
    "half-a-pair": "SELECT '\ud800'",
    "brackets": "SELECT " + "(" * 90 + "1" + ")" * 90,
    "brackets-deep": "SELECT " + "(" * 900 + "1" + ")" * 900,
    "nots": "SELECT " + "NOT " * 900 + "1",
    "minuses": "SELECT " + "- " * 900 + "1",
    "sum": "SELECT " + "1+" * 900 + "1",
    "subqueries": "SELECT * FROM " + "(SELECT * FROM " * 60 + "singer" + ")" * 60,
    "alternatives": "SELECT country FROM singer WHERE " + " OR ".join(f"age = {number}" for number in range(900)),
    "values": "VALUES (1), (2)",
    "row-values": "SELECT country FROM singer WHERE (age, country) IN (SELECT 1, 'x')",
    "window": "SELECT sum(age) FILTER (WHERE age > 1) OVER (ORDER BY age) FROM singer",
    "nothing-in": "SELECT country FROM singer WHERE age IN ()",
    "table-function": "SELECT * FROM json_each('[1, 2]')",
    "many-rows": "SELECT a.country FROM singer a, singer b",
    "parameters": "SELECT :a, ?1, @b",
    "template": "SELECT {{ x }}",
    "mark": "\ufeffSELECT country FROM singer",
    "open-comment": "SELECT country FROM singer /*",
    "unmatched": "SELECT ) FROM ( singer",
}


@pytest.mark.parametrize("sql", HOSTILE.values(), ids=HOSTILE)
def test_every_answer_has_a_verdict_and_a_class(sql, tiny_database):
    gold = gold_result(tiny_database, GOLD)
    verdict = judge_sql(sql, gold, timeout_s=2)
    reason, error_class = explained(verdict, gold)
    assert (verdict.assignment, verdict.official, verdict.bird) == (0, 0, 0)
    assert error_class in set(ErrorClass) and reason


@pytest.mark.parametrize("error", [ValueError("digits"), MemoryError(), RecursionError(), AttributeError("this")])
def test_an_answer_whose_explanation_fails_is_wrong_all_the_same(error, monkeypatch):
    def fail(*_):
        raise error

    monkeypatch.setattr(analysis, "read_parts", fail)
    found = classify_error("SELECT 1", "SELECT 2", error_kind="wrong result")
    assert found == (ErrorClass.OTHER, f"the query runs, but its parts cannot be read ({type(error).__name__})")
    reordered = classify_error("SELECT 1", "SELECT 2", error_kind="wrong result", columns_reordered=True)
    assert reordered.error_class is ErrorClass.COLUMN_ORDER


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("SELECT interrupted FROM singer", "unknown column"),
        ("SELECT * FROM interrupted", "unknown table"),
        ("SELECT interrupted(1)", "unknown function"),
        ("SELECT country FROM singer interrupted interrupted", "syntax"),
        ("SELECT json_extract('{}', 'interrupted')", "execution"),
        ("SELECT json_extract('{}', 'out of memory')", "execution"),
        ("SELECT json_extract('{}', 'too many')", "execution"),
        ("SELECT json_extract('{}', 'no such table: singer')", "execution"),
        ("SELECT [no such table: x] FROM singer", "unknown column"),
        ("SELECT [no such column: x](1)", "unknown function"),
        ("SELECT * FROM [no such column: x]", "unknown table"),
        ("SELECT * FROM [disk image is malformed]", "unknown table"),
        ("SELECT 'not a database' FROM FROM", "syntax"),
    ],
)
def test_names_and_texts_in_a_message_do_not_decide_what_went_wrong(sql, kind, tiny_database):
    with pytest.raises(QueryError) as caught:
        run_query(tiny_database, sql)
    assert caught.value.kind == kind


def test_hostile_answers_are_rows_and_stand_in_every_report(pytestconfig, tmp_path):
    """None is errored: an errored question leaves the denominator."""
    answers = [*HOSTILE.values(), *(f"```sql\n{sql}\n```" for sql in HOSTILE.values())]
    path = tmp_path / "hostile.jsonl"
    keys = ("predicted_sql", "reply")
    lines = [{"index": n, keys[n % 2]: answers[n % len(answers)]} for n in range(200)]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    reports = [f"--html={tmp_path}/report.html", "--self-contained-html", f"--paper={tmp_path}/paper.pdf"]
    given = ["-m", "spider", f"--adapter={path}", f"--results={tmp_path}/results", "--sql-timeout=5", *reports]
    environment = {**os.environ, "GITHUB_STEP_SUMMARY": str(tmp_path / "step.md")}
    ended = run_pytest(given, cwd=pytestconfig.rootpath, environment=environment)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    rows = [json.loads(line) for line in (tmp_path / "results/miniature/scores.jsonl").read_text().split("\n")[:-1]]
    assert {(row["status"], row["error_class"] in set(ErrorClass)) for row in rows if not row["assignment"]} == {
        ("scored", True)
    }
    assert len(rows) == 200 and all(
        (tmp_path / name).stat().st_size for name in ("report.html", "paper.pdf", "step.md")
    )
