"""Classes and explanations of wrong queries that were written to differ in one part."""

import pytest

from custom_metrics.errors.analysis import ErrorClass, classify_error


def compare(gold_sql, predicted_sql):
    return classify_error(gold_sql, predicted_sql, error_kind="wrong result")


@pytest.mark.parametrize(
    ("gold_sql", "predicted_sql", "error_class", "explanation"),
    [
        pytest.param(
            "SELECT name FROM head WHERE age > 56",
            "SELECT name FROM head WHERE age >= 56",
            ErrorClass.FILTER,
            "filter: gold has age > 56, predicted has age >= 56",
            id="operator",
        ),
        pytest.param(
            'SELECT name FROM country WHERE continent = "Asia" AND area > 3.5',
            "SELECT name FROM country WHERE continent = 'asia' OR area > 3.5",
            ErrorClass.FILTER,
            "filter: gold has continent = 'Asia', area > 3.5, predicted has area > 3.5 or continent = 'asia'",
            id="value-and-connector",
        ),
        pytest.param(
            "SELECT city FROM shop GROUP BY city HAVING count(*) > 3",
            "SELECT city FROM shop GROUP BY city HAVING count(*) > 2",
            ErrorClass.VALUE,
            "value: gold has count(*) > 3, predicted has count(*) > 2",
            id="having",
        ),
        pytest.param(
            "SELECT name FROM shop WHERE id NOT IN (SELECT shop_id FROM hiring WHERE year = 2016)",
            "SELECT name FROM shop WHERE id NOT IN (SELECT shop_id FROM hiring WHERE year = 2017)",
            ErrorClass.VALUE,
            "value: gold has excluding year = 2016, predicted has excluding year = 2017",
            id="filter-of-what-is-excluded",
        ),
        pytest.param(
            "SELECT T2.name FROM hiring AS T1 JOIN shop AS T2 ON T1.shop_id = T2.id",
            "SELECT shop_id FROM hiring",
            ErrorClass.TABLES,
            "tables: only gold has shop",
            id="missing-table",
        ),
        pytest.param(
            "SELECT s.name FROM hiring h JOIN shop s ON h.shop_id = s.id",
            "SELECT s.name FROM hiring h JOIN shop s ON h.employee_id = s.id",
            ErrorClass.TABLES,
            "joins: gold has hiring.shop_id = shop.id, predicted has hiring.employee_id = shop.id",
            id="join-condition",
        ),
        pytest.param(
            "SELECT s.name, count(*) FROM shop s JOIN hiring h ON h.shop_id = s.id GROUP BY s.id",
            "SELECT s.name, count(*) FROM shop s LEFT JOIN hiring h ON h.shop_id = s.id GROUP BY s.id",
            ErrorClass.TABLES,
            "outer joins: only predicted has hiring",
            id="outer-join",
        ),
        pytest.param(
            "SELECT name FROM shop",
            "SELECT shop.name FROM shop JOIN hiring ON shop.id = hiring.shop_id",
            ErrorClass.TABLES,
            "tables: only predicted has hiring",
            id="added-join",
        ),
        pytest.param(
            "SELECT name FROM shop WHERE city = 'Bath' INTERSECT SELECT name FROM shop WHERE city = 'Bristol'",
            "SELECT name FROM shop WHERE city = 'Bath' OR city = 'Bristol'",
            ErrorClass.NESTING,
            "nesting: only gold has INTERSECT",
            id="set-operation",
        ),
        pytest.param(
            "SELECT country, count(*) FROM shop GROUP BY country",
            "SELECT country, count(*) FROM shop GROUP BY city",
            ErrorClass.GROUPING,
            "grouping: gold has country, predicted has city",
            id="group",
        ),
        pytest.param(
            "SELECT name FROM shop WHERE area > (SELECT min(area) FROM shop)",
            "SELECT name FROM shop WHERE area > (SELECT max(area) FROM shop)",
            ErrorClass.AGGREGATE,
            "aggregate: gold has min(area), predicted has max(area)",
            id="aggregate-of-subquery",
        ),
        pytest.param(
            "SELECT count(DISTINCT city) FROM shop",
            "SELECT count(city) FROM shop",
            ErrorClass.AGGREGATE,
            "aggregate: gold has count(DISTINCT city), predicted has count(*)",
            id="aggregate-over-distinct",
        ),
        pytest.param(
            "SELECT name, count(*) FROM shop GROUP BY name",
            "SELECT name FROM shop GROUP BY name ORDER BY count(*)",
            ErrorClass.COLUMNS,
            "columns: only gold has count(*)",
            id="missing-column",
        ),
        pytest.param(
            "SELECT name FROM shop",
            "SELECT 1, name FROM shop",
            ErrorClass.COLUMNS,
            "columns: only predicted has the number 1",
            id="number-for-a-column",
        ),
        pytest.param(
            "SELECT name, 1 FROM shop",
            "SELECT -2.5, name FROM shop",
            ErrorClass.COLUMNS,
            "columns: gold has the number 1, predicted has the number -2.5",
            id="other-number",
        ),
        pytest.param(
            "SELECT name, name FROM shop",
            "SELECT name FROM shop",
            ErrorClass.COLUMNS,
            "columns: only gold has name once more",
            id="column-less-often",
        ),
        pytest.param(
            "SELECT name, name, name FROM shop",
            "SELECT name FROM shop",
            ErrorClass.COLUMNS,
            "columns: only gold has name 2 times more",
            id="column-much-less-often",
        ),
        pytest.param(
            "SELECT a.name, b.name FROM shop a JOIN town b ON a.town_id = b.id",
            "SELECT a.name, a.name FROM shop a JOIN town b ON a.town_id = b.id",
            ErrorClass.COLUMNS,
            "columns: gold has town.name, predicted has shop.name once more",
            id="more-often-for-that-of-another-table",
        ),
        pytest.param(
            "SELECT name FROM shop",
            "SELECT a.name FROM shop a, shop b",
            ErrorClass.TABLES,
            "tables: only predicted has shop once more",
            id="table-more-often",
        ),
        pytest.param(
            "SELECT a.name FROM shop a JOIN town b ON a.town_id = b.id",
            "SELECT b.name FROM shop a JOIN town b ON a.town_id = b.id",
            ErrorClass.COLUMNS,
            "columns: gold has shop.name, predicted has town.name",
            id="same-column-of-another-table",
        ),
        pytest.param(
            "SELECT name FROM shop ORDER BY area DESC LIMIT 1",
            "SELECT name FROM shop ORDER BY area LIMIT 1",
            ErrorClass.ORDER,
            "order: gold has area desc, predicted has area asc",
            id="direction",
        ),
        pytest.param(
            "SELECT name FROM shop ORDER BY area LIMIT 3",
            "SELECT name FROM shop ORDER BY area LIMIT 1",
            ErrorClass.ORDER,
            "limit: gold has 3, predicted has 1",
            id="limit",
        ),
        pytest.param(
            "SELECT DISTINCT city FROM shop",
            "SELECT city FROM shop",
            ErrorClass.DISTINCT,
            "DISTINCT: only gold has DISTINCT",
            id="distinct",
        ),
        pytest.param(
            "SELECT name, city FROM shop",
            "SELECT city, name FROM shop",
            ErrorClass.COLUMN_ORDER,
            "columns: gold has name, city, predicted has city, name",
            id="column-order",
        ),
    ],
)
def test_explanation_names_the_differing_parts(gold_sql, predicted_sql, error_class, explanation):
    assert compare(gold_sql, predicted_sql) == (error_class, explanation)


@pytest.mark.parametrize(
    ("gold_sql", "predicted_sql"),
    [
        pytest.param("SELECT T1.age FROM head AS T1", "select a.AGE as years from HEAD a;", id="alias-and-case"),
        pytest.param(
            "SELECT a.x FROM a JOIN b ON a.id = b.a_id JOIN c ON b.id = c.b_id",
            "SELECT T3.x FROM c AS T1 JOIN b AS T2 ON T1.b_id = T2.id JOIN a AS T3 ON T2.a_id = T3.id",
            id="join-order",
        ),
        pytest.param(
            "SELECT a.x FROM a JOIN b ON a.id = b.a_id WHERE b.y = 1",
            "SELECT a.x FROM a, b WHERE b.y = 1 AND b.a_id = a.id",
            id="join-in-where",
        ),
        pytest.param("SELECT x FROM a WHERE y > 5 AND z = 1", "SELECT x FROM a WHERE 1 = z AND 5 < y", id="mirrored"),
        pytest.param("SELECT x FROM a WHERE y BETWEEN 1 AND 2", "SELECT x FROM a WHERE y <= 2 AND y >= 1", id="range"),
        pytest.param("SELECT x FROM a WHERE y = 'b' OR y = 'c'", "SELECT x FROM a WHERE y IN ('c', 'b')", id="one-of"),
        pytest.param("SELECT x FROM a WHERE NOT y = 1", "SELECT x FROM a WHERE y <> 1", id="negation"),
        pytest.param("SELECT DISTINCT x FROM a", "SELECT x FROM a GROUP BY x", id="distinct-by-grouping"),
        pytest.param(
            "SELECT x, sum(y) FROM a GROUP BY x ORDER BY sum(y)",
            "SELECT x, sum(y) AS s FROM a GROUP BY 1 ORDER BY s",
            id="places-and-new-names",
        ),
    ],
)
def test_another_spelling_is_no_difference(gold_sql, predicted_sql):
    assert compare(gold_sql, predicted_sql).error_class is ErrorClass.OTHER


@pytest.mark.parametrize(
    "predicted_sql",
    [
        pytest.param("SELECT s.name FROM s JOIN h ON s.id = h.s_id WHERE h.y = 1", id="join"),
        pytest.param("SELECT name FROM s WHERE EXISTS (SELECT 1 FROM h WHERE h.s_id = s.id AND y = 1)", id="exists"),
        pytest.param("SELECT name FROM s WHERE id = (SELECT s_id FROM h WHERE y = '1')", id="equals"),
    ],
)
def test_harmless_differences_yield_to_harmful_ones(predicted_sql):
    """IN for a join changes nothing here that a wrong column does not change more."""
    gold_sql = "SELECT city FROM s WHERE id IN (SELECT s_id FROM h WHERE y = 1)"
    assert compare(gold_sql, predicted_sql) == (ErrorClass.COLUMNS, "columns: gold has city, predicted has name")


@pytest.mark.parametrize(
    "excluding",
    [
        "SELECT id FROM s EXCEPT SELECT s_id FROM h WHERE y = 2",
        "SELECT id FROM s WHERE NOT EXISTS (SELECT 1 FROM h WHERE h.s_id = s.id AND y = 2)",
        "SELECT s.id FROM s LEFT JOIN h ON s.id = h.s_id WHERE h.s_id IS NULL",
    ],
)
def test_ways_to_exclude_are_alike(excluding):
    gold_sql = "SELECT id FROM s WHERE id NOT IN (SELECT s_id FROM h WHERE y = 1 AND z = 1)"
    assert compare(gold_sql, excluding).error_class is ErrorClass.FILTER


def test_a_harmless_difference_is_named_where_it_is_the_only_one():
    """A join repeats rows where IN does not."""
    analysis = compare("SELECT x FROM a JOIN b ON a.id = b.a_id", "SELECT x FROM a WHERE id IN (SELECT a_id FROM b)")
    assert analysis == (ErrorClass.NESTING, "nesting: only predicted has IN")


def test_the_judge_may_say_that_only_the_columns_order_differs():
    gold_sql, predicted_sql = "SELECT x, y FROM a WHERE z = 1", "SELECT y, x FROM a WHERE z < 2"
    analysis = classify_error(gold_sql, predicted_sql, error_kind="wrong result", columns_reordered=True)
    assert analysis == (ErrorClass.COLUMN_ORDER, "columns: gold has x, y, predicted has y, x")


@pytest.mark.parametrize(
    "predicted_sql",
    [
        "",
        "SELECT",
        "SELECT \x00",
        "DROP TABLE t",
        "VALUES (1), (2)",
        "SELECT a FROM t; SELECT b FROM u",
        "WITH x(n) AS (VALUES (1)) SELECT n FROM x",
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c JOIN c AS d USING (x)",
        "SELECT * FROM (a JOIN b ON a.x = b.x) WHERE (1, 2) IN (SELECT 1, 2)",
        "SELECT x FROM json_each('[1]') AS j NATURAL JOIN t",
        "SELECT CASE WHEN EXISTS (SELECT 1) THEN (SELECT (SELECT 2)) END, row_number() OVER (ORDER BY z) FROM u",
        "SELECT a FROM t WHERE b IN () AND c NOT BETWEEN 1 AND 2 AND (SELECT 1) = (SELECT 2)",
        "SELECT a FROM t WHERE b = 'two\nlines' ORDER BY 9, -1 LIMIT 5 OFFSET 2",
        "SELECT a FROM t GROUP BY a HAVING count(*) >= -1 AND -1 < count(*)",
        pytest.param("SELECT " + "(" * 3000 + "1" + ")" * 3000, id="deep"),
        pytest.param("SELECT 1" + " UNION SELECT 1" * 3000, id="long"),
    ],
)
def test_no_statement_raises(predicted_sql):
    for gold_sql in ("SELECT a FROM t ORDER BY b LIMIT 1", "SELECT a FROM t WHERE b IN (SELECT c FROM u)"):
        analysis = compare(gold_sql, predicted_sql)
        assert isinstance(analysis.error_class, ErrorClass)
        assert analysis.explanation and "\n" not in analysis.explanation
