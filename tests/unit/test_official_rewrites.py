import pytest

from custom_metrics.sql.official_rewrites import (
    official_gold,
    official_prediction,
    plug_values,
    recorded_prediction,
    remove_distinct,
)


@pytest.mark.parametrize(
    ("sql", "rewritten"),
    [
        pytest.param("SELECT DISTINCT a FROM b", "SELECT  a FROM b", id="distinct"),
        pytest.param(
            "select count(distinct a), count(DISTINCT(b)) from c",
            "select count( a), count((b)) from c",
            id="in-functions",
        ),
        pytest.param("SELECT 'distinct', \"distinct\", `distinct`, [distinct]", None, id="in-quotes"),
        pytest.param("SELECT distinct_id, indistinct FROM a", None, id="in-names"),
        pytest.param("SELECT 1 -- distinct\n", None, id="in-a-comment"),
        pytest.param("SELECT 1 /* distinct */", None, id="in-a-long-comment"),
        pytest.param("SELECT 'a\\' DISTINCT b' FROM c", None, id="after-a-backslash"),
        pytest.param("SELECT 1; SELECT 2", "SELECT 1;", id="first-statement-only"),
        pytest.param("SELECT ';'; SELECT 2", "SELECT ';';", id="semicolon-in-a-string"),
        pytest.param("SELECT (1; SELECT 2)", None, id="semicolon-in-brackets"),
        pytest.param("; SELECT 2", ";", id="nothing-before-the-semicolon"),
        pytest.param("SELECT CASE WHEN a THEN 1 END; SELECT 2", "SELECT CASE WHEN a THEN 1 END;", id="case"),
    ],
)
def test_remove_distinct(sql, rewritten):
    assert remove_distinct(sql) == (sql if rewritten is None else rewritten)


def test_operators_are_repaired_and_the_current_year_is_2020():
    sql = "SELECT a FROM b WHERE c > = 1 AND d < = 2 AND e ! = year( CurDate() )"
    assert official_gold(sql) == "SELECT a FROM b WHERE c >= 1 AND d <= 2 AND e != 2020"


def test_distinct_and_further_statements_stay_where_distinct_is_kept():
    assert official_gold("SELECT DISTINCT 1; SELECT 2", keep_distinct=True) == "SELECT DISTINCT 1; SELECT 2"


def test_value_becomes_1_in_predictions_only():
    assert official_prediction("SELECT a FROM b WHERE c = value AND values_2 = 'value'") == (
        "SELECT a FROM b WHERE c = 1 AND 1s_2 = '1'"
    )
    assert official_gold("SELECT value FROM b") == "SELECT value FROM b"


def test_recorded_predictions_end_at_a_tab():
    assert recorded_prediction("  SELECT 1\tconcert_singer\n") == "SELECT 1"


def test_plug_values_tries_every_gold_value_in_every_slot():
    gold = "SELECT a FROM b WHERE c = 'Red sea' LIMIT 3"
    predicted = "SELECT T1.a FROM b AS T1 WHERE c = 'red' AND d > 2.5"
    assert set(plug_values(gold, predicted)) == {
        f"select t1 . a from b as t1 where c = {first} and d > {second}"
        for first in ("'Red sea'", "3")
        for second in ("'Red sea'", "3")
    }


def test_plug_values_without_slots_is_the_prediction():
    assert list(plug_values("SELECT a FROM b WHERE c = 1", "SELECT a FROM b")) == ["select a from b"]
