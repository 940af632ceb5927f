import time

import pytest

from custom_metrics.sql.hardness import hardness


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        pytest.param("SELECT count(*) FROM singer", "easy", id="one-aggregate"),
        pytest.param("SELECT name FROM singer WHERE age > 20", "easy", id="one-clause"),
        pytest.param("SELECT name, age FROM singer", "medium", id="two-columns"),
        pytest.param("SELECT name FROM singer ORDER BY age LIMIT 1", "medium", id="two-clauses"),
        pytest.param("SELECT name FROM singer WHERE age > 20 AND age < 30", "medium", id="two-conditions"),
        pytest.param("SELECT name FROM singer WHERE age = 20 OR age = 30", "medium", id="or-is-a-clause"),
        pytest.param(
            "SELECT avg(age), max(age), min(age) FROM singer WHERE country = 'France'", "medium", id="aggregates"
        ),
        pytest.param(
            "SELECT T1.name FROM singer AS T1 JOIN concert AS T2 ON T1.id = T2.id WHERE T2.year = 2014",
            "medium",
            id="join",
        ),
        pytest.param("SELECT name FROM singer WHERE name LIKE '%Hey%'", "medium", id="like-is-a-clause"),
        pytest.param("SELECT count(*) FROM (SELECT DISTINCT name FROM singer)", "easy", id="subquery-in-from"),
        pytest.param("SELECT name FROM singer WHERE id NOT IN (SELECT id FROM concert)", "hard", id="nested"),
        pytest.param("SELECT name FROM singer UNION SELECT name FROM stadium", "hard", id="set-operation"),
        pytest.param("SELECT a FROM b JOIN c ON b.d = c.d GROUP BY a ORDER BY count(*)", "hard", id="three-clauses"),
        pytest.param(
            "SELECT a FROM b JOIN c ON b.d = c.d GROUP BY a ORDER BY count(*) LIMIT 1", "extra", id="four-clauses"
        ),
        pytest.param(
            "SELECT a, b FROM c WHERE d = 1 UNION SELECT a, b FROM c WHERE d = 2", "extra", id="plural-set-operation"
        ),
        pytest.param("SELECT a FROM b WHERE c > (SELECT avg(c) FROM b) AND d = 1", "extra", id="nested-and-plural"),
        pytest.param("WITH old AS (SELECT name FROM singer) SELECT name FROM old", "hard", id="with-is-nested"),
        pytest.param("(SELECT a FROM b) UNION (SELECT a FROM c)", "hard", id="brackets"),
    ],
)
def test_hardness(sql, expected):
    assert hardness(sql) == expected


def test_not_counts_as_an_aggregate():
    """A quirk of the published rules: with one aggregate selected, NOT makes two of them."""
    assert hardness("SELECT count(*) FROM a WHERE b = 1") == "easy"
    assert hardness("SELECT count(*) FROM a WHERE b NOT BETWEEN 1 AND 2") == "medium"


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        pytest.param("a.b = 1 OR a.c = 2", "hard", id="or-behind-a-number"),
        pytest.param("a.b = \"x\" OR a.c = 'y'", "hard", id="or-behind-a-text"),
        pytest.param("a.b < a.c OR a.b > a.d", "medium", id="or-behind-a-column"),
        pytest.param("a.b < a.c OR a.b LIKE 'x' OR a.b = 1", "medium", id="up-to-the-end"),
        pytest.param("a.b < a.c OR a.b LIKE 'x' AND a.b = 1", "medium", id="up-to-the-next-and"),
        pytest.param("a.b = 1 AND a.b < a.c OR a.b > a.d", "medium", id="not-what-stands-before"),
    ],
)
def test_what_follows_a_column_up_to_the_next_and_is_not_counted(conditions, expected):
    """A quirk of the published parser: it takes OR and the condition behind it for a part of the column's name."""
    assert hardness(f"SELECT a.e FROM a JOIN f ON a.g = f.g WHERE {conditions}") == expected


@pytest.mark.parametrize(
    "sql",
    [
        pytest.param("SELECT CAST(Age AS UNSIGNED BIG INT) FROM singer", id="type-of-three-words"),
        pytest.param("SELECT 'a", id="no-token"),
        pytest.param("SELECT " + "(" * 300 + "1" + ")" * 300, id="deep"),
        pytest.param("SELECT " + "abs(" * 300 + "1" + ")" * 300, id="deep-calls"),
        pytest.param("SELECT " + "- " * 3000 + "1", id="deep-signs"),
        pytest.param("VALUES (1), (2)", id="values"),
        pytest.param("WITH a AS (SELECT 1) VALUES (1)", id="with-values"),
        pytest.param("DROP TABLE singer", id="no-query"),
        pytest.param("SELECT 1; SELECT 2", id="two"),
        pytest.param("no SQL", id="no-sql"),
        pytest.param("", id="empty"),
        pytest.param("(" * 3000, id="brackets"),
    ],
)
def test_what_cannot_be_read_is_of_unknown_hardness(sql):
    assert hardness(sql) == "unknown"


def test_joins_without_a_condition_do_not_take_for_ever():
    """The parser tries each further one in two ways: sixty would take 2^60 steps."""
    start = time.monotonic()
    assert hardness("SELECT count(*) FROM t" + "".join(f" JOIN t AS t{n}" for n in range(60))) == "unknown"
    assert hardness("SELECT count(*) FROM t" + "".join(f" JOIN t AS t{n}" for n in range(6))) == "extra"
    assert time.monotonic() - start < 5


def test_gold_sql_of_megabytes_is_not_parsed():
    start = time.monotonic()
    assert hardness("SELECT a FROM t WHERE " + " AND ".join(["a = 1"] * 500_000)) == "unknown"
    assert time.monotonic() - start < 1


def test_semicolons_at_the_end_are_no_second_query():
    assert hardness("SELECT count(*) FROM singer ; ;\n") == "easy"
