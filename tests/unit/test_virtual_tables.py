"""Virtual tables of the database file, and table functions: gold and predicted SQL may read them and no more."""

import contextlib
import sqlite3

import pytest

from custom_metrics.sql.execution import QueryError, run_query
from custom_metrics.sql.sandbox import _open_virtual_tables
from custom_metrics.sql.verdict import gold_result, judge_sql

MODULES = {name for (name,) in sqlite3.connect(":memory:").execute("SELECT name FROM pragma_module_list")}
if missing := {"fts3", "fts4", "fts5", "rtree", "json_each"} - MODULES:
    pytest.skip(f"this SQLite is built without {', '.join(sorted(missing))}", allow_module_level=True)

TABLES = """
    CREATE TABLE note (id INTEGER PRIMARY KEY, body TEXT, tags TEXT);
    INSERT INTO note VALUES (1, 'the quick brown fox', '["a", "b"]'), (2, 'the lazy dog', '["b"]');
    CREATE VIRTUAL TABLE "full "" 5" USING fts5 (body);
    CREATE VIRTUAL TABLE five USING fts5 (body);
    INSERT INTO five SELECT body FROM note;
    CREATE VIRTUAL TABLE beside USING fts5 (body, content = 'note', content_rowid = 'id');
    INSERT INTO beside (beside) VALUES ('rebuild');
    CREATE VIRTUAL TABLE words USING fts5vocab (five, 'row');
    CREATE VIRTUAL TABLE four USING fts4 (body);
    INSERT INTO four SELECT body FROM note;
    CREATE VIRTUAL TABLE three USING fts3 (body);
    INSERT INTO three SELECT body FROM note;
    CREATE VIRTUAL TABLE box USING rtree (id, low, high);
    INSERT INTO box VALUES (1, 0, 5), (2, 3, 9);
    CREATE VIEW foxes AS SELECT body FROM five WHERE five MATCH 'fox';
"""
FOX, DOG = [("the quick brown fox",)], [("the lazy dog",)]


@pytest.fixture
def notes(tmp_path):
    """A database with a table and a virtual one of each kind."""
    path = tmp_path / "notes" / "notes.sqlite"
    path.parent.mkdir()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(TABLES)
    return path


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT j.value FROM note, json_each(note.tags) AS j WHERE note.id = 1", [("a",), ("b",)]),
        ("SELECT count(*) FROM json_tree('[[1], 2]') WHERE type = 'integer'", [(2,)]),
        ("SELECT body FROM note WHERE EXISTS (SELECT 1 FROM json_each(tags) AS j WHERE j.value = 'a')", FOX),
        ("SELECT body FROM five WHERE five MATCH 'fox'", FOX),
        ("SELECT body FROM five('fox')", FOX),
        ("SELECT body FROM five WHERE body MATCH 'the' AND rowid > 1 ORDER BY rank", DOG),
        ("SELECT bm25(five) < 0, highlight(five, 0, '[', ']') FROM five('dog')", [(1, "the lazy [dog]")]),
        ("SELECT snippet(five, 0, '', '', '...', 2) FROM five('fox')", [("...brown fox",)]),
        ("SELECT count(*) FROM five", [(2,)]),
        ('SELECT count(*) FROM "full "" 5"', [(0,)]),
        ("SELECT body FROM beside WHERE beside MATCH 'dog'", DOG),
        ("SELECT term FROM words WHERE doc = 2", [("the",)]),
        ("SELECT body FROM four WHERE four MATCH 'fox'", FOX),
        ("SELECT offsets(four), length(matchinfo(four)) FROM four WHERE four MATCH 'fox'", [("0 0 16 3", 20)]),
        ("SELECT body FROM three WHERE body MATCH 'la*'", DOG),
        ("SELECT id FROM box WHERE low <= 4 AND high >= 6", [(2,)]),
        ("SELECT body FROM foxes", FOX),
        (
            "SELECT n.id FROM note AS n JOIN five ON five.rowid = n.id JOIN box USING (id) WHERE five MATCH 'dog'",
            [(2,)],
        ),
    ],
)
def test_virtual_tables_are_read_by_gold_and_prediction_alike(notes, sql, rows):
    gold = gold_result(notes, sql)
    assert gold.result.rows == rows
    assert judge_sql(sql, gold).assignment == 1


def test_they_are_read_again_after_a_query_that_had_to_be_stopped(notes):
    with pytest.raises(QueryError, match="stopped after"):
        run_query(notes, "SELECT instr(zeroblob(9000000), zeroblob(4500000) || x'01')", timeout_s=0.1)
    assert run_query(notes, "SELECT body FROM five('fox')").rows == FOX
    run_query(notes, "SELECT id FROM note")
    assert run_query(notes, "SELECT body FROM five('fox')").rows == FOX


HOSTILE = [
    "INSERT INTO five (five) VALUES ('rebuild')",
    "INSERT INTO five (five) VALUES ('delete-all')",
    "INSERT INTO five (five, rank) VALUES ('rank', 'bm25(10.0)')",
    "INSERT INTO five (body) VALUES ('hostile')",
    "INSERT INTO four (four) VALUES ('optimize')",
    "INSERT INTO three (three) VALUES ('rebuild')",
    "UPDATE five SET body = 'hostile'",
    "UPDATE box SET low = 0",
    "DELETE FROM five",
    "DELETE FROM box WHERE id = 1 RETURNING id",
    "DELETE FROM five_data",
    "UPDATE five_config SET v = 9",
    "UPDATE box_node SET data = x'00'",
    "DROP TABLE five",
    "ALTER TABLE five RENAME TO hostile",
    "CREATE VIRTUAL TABLE hostile USING fts5 (body)",
    "CREATE VIRTUAL TABLE temp.hostile USING fts5vocab (main, five, 'row')",
    "CREATE VIRTUAL TABLE temp.hostile USING fts4aux (main, four)",
    "SELECT optimize(four) FROM four",
    "SELECT fts5(?1)",
    "SELECT fts5_source_id()",
    "SELECT fts3_tokenizer('simple')",
    "SELECT fts3_tokenizer('simple', x'4141414141414141') FROM four WHERE four MATCH 'fox'",
    "SELECT rtreenode(2, data) FROM box_node",
    "SELECT rtreecheck('box')",
    "SELECT load_extension('hostile') FROM five('fox')",
    "SELECT writefile('hostile.txt', body) FROM five('fox')",
    "SELECT edit(body) FROM five('fox')",
    "SELECT * FROM json_each(readfile('/etc/passwd'))",
    "SELECT * FROM fsdir('.')",
    "SELECT * FROM zipfile('hostile.zip')",
    "SELECT * FROM csv('/etc/passwd')",
    "SELECT * FROM dbstat",
    "SELECT * FROM sqlite_stmt",
    "SELECT * FROM pragma_table_info('note')",
    "SELECT * FROM five('fox'), pragma_database_list",
    "PRAGMA data_version",
    "PRAGMA main.data_version",
    "EXPLAIN PRAGMA data_version",
    "SELECT * FROM pragma_data_version",
    "PRAGMA writable_schema = ON",
    "ATTACH 'hostile.sqlite' AS hostile",
    "VACUUM INTO 'hostile.sqlite'",
]


def test_nothing_else_is_allowed_beside_them(notes, monkeypatch):
    """After a search, too: what a full-text table asks while it is read is no licence for the next statement."""
    monkeypatch.chdir(notes.parent)
    before = notes.read_bytes()
    kinds = {}
    for sql in HOSTILE:
        run_query(notes, "SELECT count(*) FROM five('fox'), four, box")
        with pytest.raises(QueryError) as caught:
            run_query(notes, sql)
        kinds[sql] = caught.value.kind
    assert set(kinds.values()) <= {"denied", "unknown table", "unknown function"}, kinds
    assert notes.read_bytes() == before
    assert list(notes.parent.iterdir()) == [notes]


def test_a_search_that_cannot_be_read_is_the_querys_fault(notes):
    with pytest.raises(QueryError, match="fts5: syntax error") as caught:
        run_query(notes, "SELECT body FROM five WHERE five MATCH 'fox AND ('")
    assert caught.value.kind == "execution"


def test_opening_a_virtual_table_calls_no_function_that_a_query_may_not_call(notes):
    """R-trees read a table of their own when they are opened; a file may have a view in its place."""
    with contextlib.closing(sqlite3.connect(notes)) as connection:
        connection.executescript("""
            PRAGMA writable_schema = ON;
            DELETE FROM sqlite_master WHERE name = 'box_node';
        """)
    called = []
    with contextlib.closing(sqlite3.connect(notes)) as connection:
        connection.create_function("hostile", 0, lambda: called.append("hostile") or b"\0" * 1000)
        connection.execute("CREATE VIEW box_node AS SELECT 1 AS nodeno, hostile() AS data")
        connection.commit()
        _open_virtual_tables(connection)
    assert called == []
    assert run_query(notes, "SELECT body FROM five('fox')").rows == FOX


def test_a_virtual_table_that_cannot_be_opened_costs_the_queries_on_it_alone(notes):
    """A file may name a module that this SQLite lacks (spatial extensions), or have lost a table's own tables."""
    with contextlib.closing(sqlite3.connect(notes)) as connection:
        connection.executescript("""
            PRAGMA writable_schema = ON;
            UPDATE sqlite_master SET sql = 'CREATE VIRTUAL TABLE three USING absent (body)' WHERE name = 'three';
            DELETE FROM sqlite_master WHERE name = 'box_node';
        """)
    assert run_query(notes, "SELECT body FROM five('fox')").rows == FOX
    for sql in ("SELECT * FROM three", "SELECT * FROM box"):
        with pytest.raises(QueryError):
            run_query(notes, sql)
