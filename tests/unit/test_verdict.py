import sqlite3
import subprocess
import sys
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from custom_metrics.sql.execution import GoldQueryError
from custom_metrics.sql.verdict import gold_result, judge_reply, judge_sql

GOLD_SQL = "SELECT name, age FROM singer WHERE singer_id <= 3"
# Its gold rows are one Country 1 per singer of a country: with DISTINCT one row, without it 20.
REPEATED_SQL = "SELECT DISTINCT country FROM singer WHERE country = 'Country 1'"
ENDLESS_CTE = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"


@pytest.mark.parametrize(
    ("gold_sql", "sql", "scores", "reason"),
    [
        pytest.param(GOLD_SQL, GOLD_SQL, (1, 1, 1), "same result", id="same"),
        pytest.param(GOLD_SQL, "SELECT 1", (0, 0, 0), "columns: 1, gold has 2", id="columns"),
        pytest.param(GOLD_SQL, GOLD_SQL + " LIMIT 2", (0, 0, 0), "rows: 2, gold has 3", id="rows"),
        pytest.param(
            GOLD_SQL,
            "SELECT name, age + (singer_id = 2) FROM singer WHERE singer_id <= 3",
            (0, 0, 0),
            "1 of 3 rows differ: ('Singer 2', 12) is missing",
            id="values",
        ),
        pytest.param(
            GOLD_SQL,
            "SELECT age, name FROM singer WHERE singer_id <= 3",
            (0, 1, 0),
            "right rows, columns in another order; official evaluator: right",
            id="column-order",
        ),
        pytest.param(
            REPEATED_SQL,
            "SELECT country FROM singer WHERE country = 'Country 1'",
            (0, 1, 1),
            "right rows, repeated differently: 20, gold has 1; official evaluator: right",
            id="distinct-missing",
        ),
        pytest.param(
            REPEATED_SQL,
            "SELECT country FROM singer WHERE country = 'Country 1' GROUP BY country",
            (1, 0, 1),
            "same result; official evaluator: rows in tiny.sqlite: 1, gold has 20, DISTINCT aside",
            id="distinct-by-grouping",
        ),
        pytest.param(
            GOLD_SQL + " ORDER BY age",
            GOLD_SQL + " ORDER BY age DESC",
            (1, 0, 1),
            "same result; official evaluator: rows in another order, and gold has ORDER BY",
            id="row-order",
        ),
        pytest.param(
            GOLD_SQL,
            GOLD_SQL.replace("<=", "< ="),
            (0, 1, 0),
            'near "=": syntax error; official evaluator: right',
            id="repaired-operator",
        ),
        pytest.param(GOLD_SQL, GOLD_SQL + ";; ", (1, 1, 1), "same result", id="semicolons"),
        pytest.param(GOLD_SQL, "SELECT nme FROM singer", (0, 0, 0), "no such column: nme", id="unknown-column"),
        pytest.param(GOLD_SQL, "DROP TABLE singer", (0, 0, 0), "not authorized", id="write"),
    ],
)
def test_judge_sql(tiny_database, gold_sql, sql, scores, reason):
    verdict = judge_sql(sql, gold_result(tiny_database, gold_sql))
    assert (verdict.assignment, verdict.official, verdict.bird) == scores
    assert verdict.reason == reason
    assert verdict.predicted_sql == sql
    assert (verdict.error_kind is None) == (verdict.assignment == 1)


def test_a_reply_is_judged_by_the_sql_in_it(tiny_database):
    gold = gold_result(tiny_database, GOLD_SQL)
    verdict = judge_reply(f"Here you are:\n```sql\n{GOLD_SQL};\n```", gold)
    assert (verdict.assignment, verdict.predicted_sql) == (1, GOLD_SQL)


def test_a_reply_without_sql_is_counted_apart_from_wrong_sql(tiny_database):
    verdict = judge_reply("I don't know.", gold_result(tiny_database, GOLD_SQL))
    assert (verdict.predicted_sql, verdict.assignment, verdict.official, verdict.bird) == (None, 0, 0, 0)
    assert (verdict.reason, verdict.error_kind) == ("no SQL in the reply", "no sql")


@pytest.mark.parametrize(
    "text", ["", " \n", ";", "none", "N/A", "null", "-- no SQL", "I cannot answer that.", "SQL:", "42"]
)
def test_a_prediction_without_sql_is_counted_apart_from_wrong_sql(tiny_database, text):
    """Whether it was recorded as SQL or as a reply."""
    gold = gold_result(tiny_database, GOLD_SQL)
    for verdict, where in ((judge_sql(text, gold), "prediction"), (judge_reply(text, gold), "reply")):
        assert (verdict.predicted_sql, verdict.assignment, verdict.official, verdict.bird) == (None, 0, 0, 0)
        assert (verdict.reason, verdict.error_kind) == (f"no SQL in the {where}", "no sql")


def test_the_official_evaluator_has_its_say_on_a_prediction_without_sql(tiny_database):
    """It takes a comment for a query without rows."""
    verdict = judge_sql("-- there are none", gold_result(tiny_database, "SELECT name FROM singer WHERE age > 99"))
    assert (verdict.predicted_sql, verdict.assignment, verdict.official, verdict.bird) == (None, 0, 1, 0)
    assert (verdict.reason, verdict.error_kind) == ("no SQL in the prediction; official evaluator: right", "no sql")


@pytest.mark.parametrize("sql", ["select", "SELECT name FROM singer WHERE name = 'Jo", "SELEC name"])
def test_broken_sql_is_sql(tiny_database, sql):
    """A statement cut short, too, is judged as it stands."""
    verdict = judge_sql(sql, gold_result(tiny_database, GOLD_SQL))
    assert (verdict.predicted_sql, verdict.error_kind) == (sql, "syntax")


def test_a_reply_that_is_not_read_as_a_whole_says_so(tiny_database):
    gold = gold_result(tiny_database, GOLD_SQL)
    verdict = judge_reply("no words " * 20_000 + GOLD_SQL, gold)
    assert verdict.assignment == 1
    assert verdict.reason == "same result; of the reply's 180,049 characters only the last 64,000 were read"
    assert "only the last" in judge_reply("no words " * 20_000, gold).reason


@pytest.mark.parametrize(
    ("gold_sql", "kind", "said"),
    [
        ("SELECT nme FROM singer", "unknown column", "failed on database 'tiny.sqlite': no such column: nme. SQL: SEL"),
        ("DELETE FROM singer", "denied", "failed on database 'tiny.sqlite': not authorized"),
        (ENDLESS_CTE, "time limit", r"passed a limit \(time\) on database 'tiny.sqlite': stopped after 0.2 s"),
        ("SELECT a.name FROM singer a, singer b", "row cap", r"passed a limit \(rows\) .* more than 100,000 rows"),
        ("SELECT zeroblob(100000000)", "too large", r"passed a limit \(size\) .* too big"),
    ],
)
def test_a_gold_query_that_fails_says_why(tiny_database, gold_sql, kind, said):
    with pytest.raises(GoldQueryError, match=f"^gold SQL {said}") as caught:
        gold_result(tiny_database, gold_sql, timeout_s=0.2)
    assert caught.value.kind == kind


def test_gold_sql_may_end_in_semicolons(tiny_database):
    assert judge_sql(GOLD_SQL, gold_result(tiny_database, f"{GOLD_SQL} ; ;\n")).assignment == 1


@pytest.mark.parametrize(
    "gold_sql",
    [
        # 16 million rows without DISTINCT, and no SQL without it.
        "SELECT DISTINCT a.country FROM singer a, singer b, (SELECT 1 FROM concert) c",
        "SELECT name FROM singer WHERE age IS DISTINCT FROM 12 AND singer_id < 4",
    ],
)
def test_distinct_is_kept_where_gold_does_not_run_without_it(tiny_database, gold_sql):
    if " IS DISTINCT" in gold_sql and sqlite3.sqlite_version_info < (3, 39):
        pytest.skip("this SQLite knows no IS DISTINCT FROM")
    gold = gold_result(tiny_database, gold_sql)
    assert judge_sql(gold_sql, gold).official == 1
    assert judge_sql("SELECT name FROM concert", gold).official == 0


def test_a_gold_query_that_fails_on_another_database_of_the_folder_names_it(tiny_database):
    sqlite3.connect(tiny_database.with_name("tiny_1.sqlite")).close()
    with pytest.raises(GoldQueryError, match=r"gold SQL failed on database 'tiny_1\.sqlite': no such table: singer"):
        gold_result(tiny_database, REPEATED_SQL)


def test_options_of_the_official_evaluator(tiny_database):
    repeated = "SELECT country FROM singer WHERE country = 'Country 1'"
    assert judge_sql(repeated, gold_result(tiny_database, REPEATED_SQL)).official == 1
    assert judge_sql(repeated, gold_result(tiny_database, REPEATED_SQL, keep_distinct=True)).official == 0

    other_value = "SELECT DISTINCT country FROM singer WHERE country = 'country one'"
    assert judge_sql(other_value, gold_result(tiny_database, REPEATED_SQL)).official == 0
    assert judge_sql(other_value, gold_result(tiny_database, REPEATED_SQL, plug_value=True)).official == 1


def test_every_database_of_the_folder_has_a_say_in_the_official_verdict(tiny_database):
    """Test-suite accuracy: a query that is right by luck on one database is wrong on another."""
    lucky = "SELECT name, age FROM singer WHERE name IN ('Singer 1', 'Singer 2', 'Singer 3')"
    assert judge_sql(lucky, gold_result(tiny_database, GOLD_SQL)).official == 1

    other = tiny_database.with_name("tiny_1.sqlite")
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE singer (singer_id, name, age)")
        connection.execute("INSERT INTO singer VALUES (1, 'Joe', 52)")
    connection.close()
    verdict = judge_sql(lucky, gold_result(tiny_database, GOLD_SQL))
    assert (verdict.assignment, verdict.official) == (1, 0)
    assert verdict.reason == "same result; official evaluator: rows in tiny_1.sqlite: 0, gold has 1, DISTINCT aside"


def test_one_prediction_spends_one_time_limit(tiny_database):
    """Its other forms (here: without DISTINCT) and other databases do not get a limit each."""
    gold = gold_result(tiny_database, "SELECT count(*) FROM singer")
    start = time.monotonic()
    verdict = judge_sql(ENDLESS_CTE.replace("count(*)", "count(DISTINCT x)"), gold, timeout_s=0.5)
    assert (verdict.error_kind, verdict.reason) == ("time limit", "stopped after 0.5 s")
    assert time.monotonic() - start < 1.5


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    reply=st.one_of(st.text(), st.text().map("SELECT {} FROM singer".format), st.text().map("```sql\n{}\n```".format))
)
def test_no_reply_makes_judging_raise(tiny_database, reply):
    verdict = judge_reply(reply, gold_result(tiny_database, "SELECT 'the one row that nobody guesses'"), timeout_s=1)
    assert (verdict.assignment, verdict.official, verdict.bird) == (0, 0, 0)
    assert verdict.reason.isprintable()
    assert verdict.reason


def test_reasons_are_fit_for_a_terminal(tiny_database):
    verdict = judge_sql("SELECT \x1b[2J FROM \n" + "x" * 5000, gold_result(tiny_database, GOLD_SQL))
    assert verdict.reason.isprintable()
    assert len(verdict.reason) <= 300


def test_judging_is_light_to_import():
    heavy = "print([name for name in ('deepeval', 'torch', 'sqlglot', 'pytest') if name in sys.modules])"
    code = f"import sys, custom_metrics.sql.verdict; {heavy}"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
