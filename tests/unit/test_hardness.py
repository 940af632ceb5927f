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


@pytest.mark.parametrize("sql", ["", "no SQL", "DROP TABLE singer", "SELECT 1; SELECT 2", "(" * 3000])
def test_what_is_no_query_has_no_hardness(sql):
    with pytest.raises(ValueError, match="hardness"):
        hardness(sql)
