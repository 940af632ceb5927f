"""Nothing of a statement is cut, whatever dialect it is in, and nothing around it is taken for a part of it."""

import json

import pytest

from custom_metrics.sql.extraction import extract_sql

STATEMENTS = [
    "SELECT T1 . Name FROM singer AS T1 WHERE T1 . Age ! = 3",
    "SELECT max(age) - min(age), -1, ~1, +a, NOT b FROM singer",
    "SELECT x'ab', 1e5, .5, 0x1F, 'a' || 'b', a ->> '$.b', t.*, * FROM t",
    "SELECT name FROM singer WHERE a ^ b OR name !~ 'x' OR c = 1::int",
    "SELECT name FROM singer WHERE id = :id AND x = @y AND z = $w AND v = ?",
    "SELECT TOP 5 name FROM singer",
    "SELECT DISTINCT ON (country) name FROM singer",
    "SELECT name FROM singer WHERE born > NOW() - INTERVAL '1 day' AND EXTRACT(YEAR FROM born) > 2",
    "SELECT name FROM singer WHERE name ILIKE '%a%' LIMIT 5 OFFSET 3",
    "SELECT name FROM singer ORDER BY age FETCH FIRST 5 ROWS ONLY",
    "SELECT name FROM singer s WHERE s.age > ALL (SELECT age FROM singer WHERE country = 'France')",
    "SELECT row_number() OVER (PARTITION BY country ORDER BY age) AS r FROM singer WINDOW w AS (PARTITION BY a)",
    "SELECT count(*) FILTER (WHERE age > 3), group_concat(name, ', ') FROM singer",
    "SELECT name FROM singer WHERE name LIKE '5\\%' ESCAPE '\\'",
    'SELECT name FROM t WHERE data = \'[{"a": 1, "b": ["x"]}]\' AND tags LIKE \'% {"c": 2}\'',
    "SELECT 1, 2 UNION ALL VALUES (3, 4) ORDER BY 1",
    "SELECT name FROM singer NATURAL LEFT OUTER JOIN concert USING (id)",
    "SELECT name FROM singer WHERE (age, country) IN (SELECT max(age), country FROM singer GROUP BY country)",
    "SELECT this, that FROM those WHERE it = 3 AND s.the > 2",
    "SELECT 'the answer is this', \"what is it\" FROM t WHERE \"where is it\" = 'the'",
    "SELECT name FROM t WHERE q = 'Q: what? A: SELECT 1; -- so' AND r = '</sql> ** /* `' AND s = '1. x\n\n- y\n> z'",
    "SELECT name, (SELECT count(*) FROM song WHERE song.id = s.id) AS n FROM singer s ORDER BY n DESC, name LIMIT 1",
    'WITH RECURSIVE "x" ("a") AS (VALUES(1) UNION ALL SELECT a + 1 FROM x WHERE a < 5) SELECT a FROM x',
    "WITH a(b)AS(SELECT 1),c AS NOT MATERIALIZED(SELECT 2)SELECT*FROM a,c",
    "SELECT name FROM singer WHERE age BETWEEN 20 AND 30 OR age IS NULL OR country IS NOT NULL",
    "SELECT [a b], `c d`, \"e f\" FROM [g h] ORDER BY CASE x WHEN 'a' THEN 1 ELSE 2 END, name",
    "SELECT 名前 FROM 歌手 WHERE 年齢 > 20 AND prénom = 'Zoé'",
    "SELECT a -- the first, which is it: yes\n, b /* Explanation: this is the one */ FROM c",
]
LINES = [
    "SELECT\n  name\n  , age\n  , country\nFROM singer",
    "SELECT a\n  || b\n  || c FROM t",
    "SELECT a\n + b\n - c\n * d\n / e\nFROM t",
    "SELECT name FROM singer WHERE age\n> min_age\nAND a\n- b > 3",
    "(\n  SELECT name FROM singer\n)\nUNION\n(\n  SELECT name FROM actor\n)",
    "SELECT name FROM singer\nUNION ALL\n\n-- second part\nSELECT name FROM actor",
    "SELECT s.name\nFROM singer\ns\nWHERE s.age > 3",
    "SELECT t.n FROM (\nSELECT count(*) AS n FROM a\n)\nt\nWHERE t.n > 3",
    "SELECT name FROM singer ORDER BY name\nCOLLATE NOCASE\nDESC\nNULLS LAST\nLIMIT\n5\nOFFSET 2",
    "SELECT 1\nUNION\nVALUES (2)",
    "VALUES\n(1),\n(2)",
    "SELECT sum(a)\nOVER (\n  PARTITION BY b\n)\nFROM t",
    "SELECT name\nFROM a\nLEFT OUTER JOIN b\n  ON a.x = b.x\n  AND a.y = b.y\nINNER JOIN c\n  USING (z)\nCROSS JOIN d",
    "SELECT count(*)\nFROM t\nGROUP BY a\nHAVING count(*) > 1\n   AND avg(b) > 2\n   OR c\nIN (1, 2)",
    "WITH a AS\n(\n  SELECT 1\n)\n, b AS\n(\n  SELECT 2\n)\nSELECT *\nFROM a\n, b",
    "SELECT name FROM singer WHERE country\nNOT\nIN ('a')",
    "SELECT name FROM singer WHERE a IS\nNOT NULL\nAND b\nBETWEEN 1\nAND 2",
    "SELECT *\nFROM a\n\n\nJOIN b\n\n\nON a.x = b.x",
    "SELECT CASE\n  WHEN a > 1 THEN 'x'\n  ELSE\n    'y'\nEND\nFROM t",
    "select name\nfrom singer\nwhere age > 20\nand country = 'x'\nor name like 'y%'\norder by name",
]
QUERY = "SELECT name FROM singer WHERE age > 20"
BEHIND = [
    *[
        "\nSQLResult: 6",
        "\nObservation: [(6,)]",
        "\nFinal Answer: 6",
        "\n**Explanation**: x",
        "\n### Result",
        "\nOutput:\n6",
    ],
    *[
        "</sql>",
        "\n</answer>",
        "</s>",
        "</code></pre>",
        "<br/>",
        "[/INST]",
        "[/SQL]",
        "[END]",
        "<|im_end|>",
        "<end_of_turn>",
    ],
    *["~~~", "\n```", "'''", '\n"""', "**", "}", "$", "\\]", '"', "'", '")', '"}', "`.", "\\n\\n", "\u200b", "\u00a0"],
    *[
        "\n---",
        "\n***",
        "\n===",
        "\n| a |\n|---|",
        "\n+---+\n| a |",
        " (6 rows)",
        "\n(6 rows)",
        "\n// done",
        "\n# done",
        "\n\\G",
    ],
    *[
        " -- done",
        "\n/* done */",
        ";\nSELECT 2",
        "\nGO",
        "\n/",
        "。",
        "；",
        ".",
        "!",
        " :)",
        "\n✅ Done",
        " — this counts",
        " → 6",
    ],
    *["\nReturns all names.", "\nIt works by joining.", "\nand that's it", "\nor you can", "\nIn SQLite, this works."],
    *["\nAs requested.", "\nOn the other hand", "\nWith this query we get it.", "\nFrom the singer table."],
    *[
        "\nOrder by age is applied.",
        "\nLimit 5 can be added.",
        "\nWhere `age` is the age.",
        "\nwhere age is the age they have",
    ],
    *[
        " This query returns the names.",
        ", which returns the names.",
        " is the query.",
        " to get the names.",
        " (this is it)",
    ],
    *[
        "\n\n1. a\n2. b",
        "\n\n- a\n- b",
        "\n* a",
        "\n• a",
        "\n> so it is",
        "\n\n[1] a reference",
        "\n解释：x",
        "\nQuestion: x",
    ],
]


@pytest.mark.parametrize("sql", STATEMENTS)
def test_nothing_is_cut(sql):
    for reply in (sql, f"```sql\n{sql}\n```", f"```\n{sql}\n```", f"{sql}\n\nThis query gives what you asked for."):
        assert extract_sql(reply) == sql
    assert extract_sql(f"SQL: {sql}\n\nExplanation: it is the one.") == sql
    assert extract_sql(json.dumps({"sql": sql})) == sql


@pytest.mark.parametrize("clause", [" FROM ", " WHERE ", " AND ", " OR ", " ORDER ", " UNION ", ", ", " ("])
@pytest.mark.parametrize("sql", [sql for sql in STATEMENTS if "\n" not in sql])
def test_nothing_is_cut_at_a_line_or_at_an_empty_one(sql, clause):
    for end in ("\n", "\n\n", "\n  -- so\n  "):
        broken = sql.replace(clause, f"{clause[:-1] if clause == ', ' else ''}{end}{clause.lstrip(' ,')}")
        assert extract_sql(broken) == broken
        assert extract_sql(f"{broken};\n\nNote: this is it.") == broken


@pytest.mark.parametrize("behind", BEHIND)
def test_what_is_behind_is_no_part_of_it(behind):
    assert extract_sql(QUERY + behind) == QUERY
    assert extract_sql(QUERY.lower() + behind) == QUERY.lower()


@pytest.mark.parametrize("sql", LINES)
def test_lines_belong_to_a_statement_as_long_as_it_can_go_on(sql):
    assert extract_sql(sql) == sql
    assert extract_sql(f"Here:\n\n{sql}\n\nThis query is what you asked for.") == sql
    assert extract_sql(f"{sql}\n\nExplanation:\n- it works\n- it counts") == sql
    assert extract_sql(f"SQL: {sql}\nResult: 3") == sql
    assert extract_sql(f"```\n{sql}\n```") == sql
    indented = sql.replace("\n", "\n    ")
    assert extract_sql(f"    {indented}\n") == indented
