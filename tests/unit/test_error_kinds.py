"""Kinds of wrong queries told apart: values from conditions, SQL seldom used, SQL that cannot be parsed or run."""

import time

import pytest

from custom_metrics.errors.analysis import VISIBLE, ErrorClass, classify_error
from custom_metrics.errors.rough_reader import rough_parts
from custom_metrics.sql.verdict import gold_result, judge_sql


def compare(gold_sql, predicted_sql):
    return classify_error(gold_sql, predicted_sql, error_kind="wrong result")


@pytest.mark.parametrize(
    ("gold", "predicted", "error_class"),
    [
        pytest.param("city = 'Lyon'", "city = 'lyon'", ErrorClass.VALUE, id="case"),
        pytest.param("city = 'it''s'", "city = 'its'", ErrorClass.VALUE, id="apostrophe"),
        pytest.param("age > 3.5", "age > -4", ErrorClass.VALUE, id="number"),
        pytest.param("active = 'yes'", "active = 1", ErrorClass.VALUE, id="number-for-text"),
        pytest.param("city LIKE '%x%'", "city LIKE 'x%'", ErrorClass.VALUE, id="pattern"),
        pytest.param("city IN ('a', 'b', 'c')", "city IN ('a', 'd')", ErrorClass.VALUE, id="list"),
        pytest.param("age BETWEEN 1 AND 5", "age BETWEEN 1 AND 6", ErrorClass.VALUE, id="one-of-two"),
        pytest.param("age > 3", "age >= 4", ErrorClass.FILTER, id="operator"),
        pytest.param("age1 = 3", "age2 = 3", ErrorClass.FILTER, id="column-with-a-digit"),
        pytest.param("city = 'a'", "city IN ('a', 'b')", ErrorClass.FILTER, id="one-more"),
        pytest.param("city = 'a' AND age = 1", "city = 'b'", ErrorClass.FILTER, id="missing-condition"),
        pytest.param("city = 'a'", "city = name", ErrorClass.FILTER, id="column-for-value"),
    ],
)
def test_a_wrong_value_is_told_from_a_wrong_condition(gold, predicted, error_class):
    analysis = compare(f"SELECT name FROM shop WHERE {gold}", f"SELECT name FROM shop WHERE {predicted}")
    assert analysis.error_class is error_class
    assert analysis.explanation.startswith("value: " if error_class is ErrorClass.VALUE else "filter: ")


@pytest.mark.parametrize(
    ("gold_sql", "predicted_sql", "error_class", "explanation"),
    [
        (
            "SELECT a FROM t UNION SELECT b FROM u",
            "SELECT a FROM t UNION ALL SELECT b FROM u",
            ErrorClass.NESTING,
            "nesting: gold has UNION, predicted has UNION ALL",
        ),
        (
            "SELECT a FROM t ORDER BY a LIMIT 1, 2",
            "SELECT a FROM t ORDER BY a LIMIT 2",
            ErrorClass.ORDER,
            "limit: gold has 2 offset 1, predicted has 2",
        ),
        (
            "SELECT a FROM t ORDER BY b NULLS LAST LIMIT 1",
            "SELECT a FROM t ORDER BY b LIMIT 1",
            ErrorClass.ORDER,
            "order: gold has b asc nulls last, predicted has b asc",
        ),
        (
            "SELECT count(*) FROM (SELECT DISTINCT a FROM t)",
            "SELECT count(*) FROM (SELECT a FROM t)",
            ErrorClass.DISTINCT,
            "DISTINCT: only gold has DISTINCT",
        ),
        (
            "SELECT t.a FROM t LEFT JOIN u ON t.i = u.i AND u.x = 1",
            "SELECT t.a FROM t LEFT JOIN u ON t.i = u.i WHERE u.x = 1",
            ErrorClass.TABLES,
            "outer joins: only gold has u",
        ),
        (
            "SELECT b.name FROM t AS a JOIN t AS b ON a.parent = b.id WHERE a.name = 'x'",
            "SELECT a.name FROM t AS a JOIN t AS b ON a.parent = b.id WHERE b.name = 'x'",
            ErrorClass.TABLES,
            "tables: t read twice, and each time for something else",
        ),
    ],
    ids=["union-all", "offset", "nulls", "inner-distinct", "on-or-where", "roles"],
)
def test_parts_seldom_used_are_compared_too(gold_sql, predicted_sql, error_class, explanation):
    assert compare(gold_sql, predicted_sql) == (error_class, explanation)


def test_union_all_yields_to_a_difference_that_does_more():
    analysis = compare("SELECT a FROM t UNION SELECT b FROM u", "SELECT a FROM t UNION ALL SELECT c FROM u")
    assert analysis.error_class is ErrorClass.COLUMNS


UNREAD = "CAST(t.a AS UNSIGNED BIG INT)"  # SQLite takes it, sqlglot does not


@pytest.mark.parametrize(
    ("gold_sql", "predicted_sql", "error_class"),
    [
        (f"SELECT {UNREAD} FROM t", "SELECT u.a FROM u", ErrorClass.TABLES),
        (f"SELECT {UNREAD} FROM t JOIN u ON t.i = u.i", f"SELECT {UNREAD} FROM t", ErrorClass.TABLES),
        (f"SELECT {UNREAD} FROM t EXCEPT SELECT 1", f"SELECT {UNREAD} FROM t", ErrorClass.NESTING),
        (f"SELECT {UNREAD} FROM t WHERE b IN (SELECT 1)", f"SELECT {UNREAD} FROM t WHERE b IN (1)", ErrorClass.NESTING),
        (f"SELECT {UNREAD} FROM t WHERE t.b = 'x'", f"SELECT {UNREAD} FROM t WHERE b = 'X'", ErrorClass.VALUE),
        (f"SELECT {UNREAD} FROM t WHERE b = 1", f"SELECT {UNREAD} FROM t WHERE c = 1", ErrorClass.FILTER),
        (f"SELECT {UNREAD} FROM t HAVING b = 1", f"SELECT {UNREAD} FROM t HAVING b = 1 AND c", ErrorClass.FILTER),
        (f"SELECT {UNREAD} FROM t GROUP BY b", f"SELECT {UNREAD} FROM t GROUP BY c", ErrorClass.GROUPING),
        (f"SELECT max({UNREAD}) FROM t", f"SELECT min({UNREAD}) FROM t", ErrorClass.AGGREGATE),
        (f"SELECT {UNREAD}, b FROM t", f"SELECT {UNREAD} FROM t", ErrorClass.COLUMNS),
        (f"SELECT {UNREAD} FROM t LIMIT 1", f"SELECT {UNREAD} FROM t LIMIT 2", ErrorClass.ORDER),
        (f"SELECT DISTINCT {UNREAD} FROM t", f"SELECT {UNREAD} FROM t", ErrorClass.DISTINCT),
        (f"SELECT {UNREAD} FROM t", f"-- why\nselect\n{UNREAD.lower()} AS x FROM T AS t;", ErrorClass.OTHER),
    ],
)
def test_what_sqlglot_cannot_parse_is_compared_by_its_words(gold_sql, predicted_sql, error_class):
    assert compare(gold_sql, predicted_sql).error_class is error_class


def test_other_columns_order_is_named_without_parsing_too():
    analysis = classify_error(
        f"SELECT {UNREAD}, b FROM t", f"SELECT b, {UNREAD} FROM t", error_kind="wrong result", columns_reordered=True
    )
    assert analysis.error_class is ErrorClass.COLUMN_ORDER
    assert analysis.explanation.startswith("columns: gold has cast(a as unsigned big int), b, predicted has b, ")


@pytest.mark.parametrize(
    "text", ["(" * 50_000, ")" * 50_000, "select " * 20_000, "'" * 50_001, "from (" * 9_000, "a." * 9_000]
)
def test_any_text_is_cut_in_linear_time(text):
    start = time.monotonic()
    rough_parts(text)
    assert time.monotonic() - start < 2


def test_a_query_of_many_joins_is_classed_in_bounded_time():
    """It runs, on small tables; the parser would try each further join without a condition in two ways."""
    predicted_sql = "SELECT t.b FROM t" + "".join(f" JOIN t AS t{n}" for n in range(60))
    start = time.monotonic()
    assert compare("SELECT a FROM t", predicted_sql).error_class is ErrorClass.COLUMNS
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    ("predicted_sql", "error_class"),
    [
        ("SELECT concat_words(name) FROM singer", ErrorClass.UNKNOWN_FUNCTION),
        ("SELECT max(count(*)) FROM singer GROUP BY age", ErrorClass.INVALID_QUERY),
        ("SELECT name FROM singer UNION SELECT name, age FROM singer", ErrorClass.INVALID_QUERY),
        ("SELECT name FROM singer WHERE name MATCH 'a'", ErrorClass.INVALID_QUERY),
        ("SELECT name FROM singer; SELECT age FROM singer", ErrorClass.SEVERAL_STATEMENTS),
        ("DROP TABLE singer", ErrorClass.REFUSED),
        ("PRAGMA table_info(singer)", ErrorClass.REFUSED),
        ("-- no query", ErrorClass.NO_SQL),
        ("SELECT zeroblob(100000000)", ErrorClass.MEMORY),
        ("SELECT a.name || b.name || c.name FROM singer a, singer b, singer c ORDER BY 1", ErrorClass.MEMORY),
    ],
)
def test_what_the_database_refuses_has_a_class_and_is_seen_to_fail(tiny_database, predicted_sql, error_class):
    gold = gold_result(tiny_database, "SELECT name FROM singer WHERE age > 30")
    verdict = judge_sql(predicted_sql, gold)
    analysis = classify_error(gold.gold_sql, predicted_sql, error_kind=verdict.error_kind, reason=verdict.reason)
    assert analysis == (error_class, verdict.reason)
    assert error_class in VISIBLE


@pytest.mark.parametrize("part", ["WHERE age IN ({})", "WHERE max({}) > 3", "ORDER BY coalesce({})"])
def test_a_list_of_many_columns_is_classed_in_bounded_time(part):
    query = "SELECT name FROM singer " + part.format(", ".join(["age"] * 10_000))
    start = time.process_time()
    assert compare(query, f"{query} LIMIT 1").error_class is ErrorClass.ORDER
    assert time.process_time() - start < 8


@pytest.mark.parametrize(
    ("error_kind", "error_class"),
    [
        ("no sql", ErrorClass.NO_SQL),
        ("syntax", ErrorClass.DOES_NOT_PARSE),
        ("unknown table", ErrorClass.UNKNOWN_TABLE),
        ("unknown column", ErrorClass.UNKNOWN_COLUMN),
        ("ambiguous column", ErrorClass.AMBIGUOUS_COLUMN),
        ("time limit", ErrorClass.TIME_LIMIT),
        ("row cap", ErrorClass.ROW_CAP),
        ("memory", ErrorClass.MEMORY),
        ("too large", ErrorClass.MEMORY),
        ("unknown function", ErrorClass.UNKNOWN_FUNCTION),
        ("execution", ErrorClass.INVALID_QUERY),
        ("several statements", ErrorClass.SEVERAL_STATEMENTS),
        ("denied", ErrorClass.REFUSED),
        ("no statement", ErrorClass.NO_SQL),
        ("crash", ErrorClass.OTHER),
    ],
)
def test_what_stopped_a_query_decides(error_kind, error_class):
    analysis = classify_error("SELECT a FROM t", "SELECT b FROM u", error_kind=error_kind, reason="said the database")
    assert analysis == (error_class, "said the database")


def test_a_reply_without_sql():
    assert classify_error("SELECT a FROM t", None, error_kind="no sql").error_class is ErrorClass.NO_SQL
