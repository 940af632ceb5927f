"""``python -m fixtures.questions check``: what it finds, what it says, and the command that it ends with."""

import shlex
import sqlite3
import subprocess
import sys

import pytest

from custom_metrics.sql.execution import run_query
from fixtures.questions.__main__ import main
from fixtures.questions.spider.row_order import Order, depends, reversed_copy
from tests import shapes
from tests.processes import run_pytest
from tests.shapes import SHOP, entries, spider, table_text, write_json

ITEMS = "INSERT INTO item VALUES (4, 'sofa', 80, NULL), (5, 'rug', 30.5, NULL);"


@pytest.fixture
def check(capsys):
    """``check(folder, *options)``: exit status and lines."""

    def check(folder, *options):
        status = main(["check", str(folder), *options])
        return status, capsys.readouterr().out.splitlines()

    return check


def said(lines):
    """What was said, however it was broken into lines."""
    return " ".join(" ".join(lines).split())


def asked(*pairs, db_id="shop"):
    return [{"db_id": db_id, "question": text, "query": sql} for text, sql in pairs]


def test_what_was_found_is_said_by_kind_and_the_next_command_last(check, tmp_path):
    folder = spider(tmp_path / "my spider", train_spider=asked(("Why?", "SELECT 2")), test=entries())
    (folder / "dev_gold.sql").write_text("SELECT 1\tshop\n")
    shapes.database(folder / "database" / "zoo" / "zoo_1.sqlite", shapes.ZOO)
    status, lines = check(folder)
    assert status == 0
    assert [line.split(maxsplit=1) for line in lines[1:5]] == [
        ["questions", "dev.json, 6"],
        ["other", "questions  test.json"],
        ["schemas", "tables.json"],
        ["databases", "2, 1 of them with a test suite, 3 files"],
    ]
    assert lines[5].split() == ["training", "train_spider.json"] and lines[6].split() == ["gold", "SQL", "dev_gold.sql"]
    assert lines[-1].startswith(f"pytest -m spider --spider='{folder}' --shots=1 --adapter=base")


@pytest.mark.parametrize("shape", ["zip", "file"])
def test_the_next_command_is_for_what_was_given(shape, check, tmp_path):
    folder = spider(tmp_path / "spider")
    given = shapes.zipped(folder, tmp_path / "a.zip") if shape == "zip" else folder / "dev.json"
    status, lines = check(given)
    assert status == 0 and lines[-1].startswith(f"pytest -m spider --spider={given} --shots=0 --adapter=base")


def test_gold_queries_that_fail_are_all_named_with_their_reason(check, tmp_path):
    bad = asked(*((f"Why {n}?", f"SELECT nme{n} FROM item") for n in range(9)), ("Stop?", "DROP TABLE item"))
    status, lines = check(spider(tmp_path / "spider", dev=bad))
    assert status == 1
    text = "\n".join(lines)
    assert "! 10 gold queries fail: their questions would be errored" in text
    assert all(f"shop-{n:04d}: no such column: nme{n}" in text for n in range(9))
    assert lines[-2].startswith("Not whole:") and lines[-1].startswith("pytest -m spider")


def test_a_test_suite_on_which_gold_fails_is_named(check, tmp_path):
    folder = spider(tmp_path / "spider")
    shapes.database(folder / "database" / "shop" / "other.sqlite", "CREATE TABLE item (name)")
    status, lines = check(folder)
    assert status == 1 and "in other.sqlite. SQL: SELECT name FROM item WHERE" in said(lines)


def test_databases_that_are_missing_or_no_databases_are_all_named(check, tmp_path):
    folder = spider(tmp_path / "spider", dev=[*entries(), *asked(("Why?", "SELECT 1"), db_id="gone")])
    (folder / "database" / "zoo" / "zoo.sqlite").write_bytes(b"<html>" * 99)
    status, lines = check(folder)
    text = "\n".join(lines)
    assert status == 1
    assert "! 1 databases are named and missing. Found: shop, zoo\n    gone: 1 questions" in text
    assert "! 1 databases cannot be used" in said(lines) and "zoo.sqlite' is no SQLite database" in said(lines)


def test_queries_that_return_nothing_are_slow_or_hang_on_the_order_of_rows_are_named(check, monkeypatch, tmp_path):
    monkeypatch.setattr("fixtures.questions.spider.checking.SLOW_S", 0.05)
    count = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400000) SELECT max(i) FROM n"
    questions = asked(
        ("Nothing?", "SELECT name FROM item WHERE price > 999"),
        ("Null?", "SELECT max(price) FROM item WHERE price > 999"),
        ("Slow?", count),
        ("Cheapest?", "SELECT name FROM item ORDER BY price LIMIT 1"),
        ("By price?", "SELECT name FROM item ORDER BY price"),
        ("Two of them?", "SELECT name FROM item WHERE item_id < 3"),
    )
    folder = spider(tmp_path / "spider", dev=questions)
    with sqlite3.connect(folder / "database" / "shop" / "shop.sqlite") as connection:
        connection.executescript(ITEMS)
    connection.close()
    status, lines = check(folder)
    text = "\n".join(lines)
    assert status == 0
    assert "- 2 gold queries return nothing" in text and "shop-0000: SELECT name" in text and "shop-0001" in text
    assert "- 1 gold queries take more than 0.05 s\n    shop-0002" in text
    assert (
        "- 1 gold queries return other rows" in text
        and "shop-0003: SELECT name FROM item ORDER BY price LIMIT 1" in text
    )
    assert "- 1 gold queries leave the order of equals open" in text and "shop-0004" in text
    assert "shop-0005" not in text


def test_overlap_duplicates_and_unknown_difficulties_are_named(check, tmp_path):
    questions = asked(
        ("How many?", "SELECT 1"), ("how  many?", "SELECT 1 ;"), ("Why?", "SELECT 2"), ("Why?", "SELECT 3")
    )
    questions += asked(("Who?", "SELECT 4"))
    training = asked(("WHO?", "SELECT 5"), ("Else?", "select 4"))
    folder = spider(tmp_path / "spider", dev=[q | {"difficulty": "tricky"} for q in questions], train_spider=training)
    status, lines = check(folder)
    text = "\n".join(lines)
    assert status == 0
    assert "- 1 questions stand there more than once\n    shop-0000, shop-0001" in text
    assert "- 1 questions stand there with different gold SQL\n    shop-0002, shop-0003" in text
    assert "- 1 databases are asked and trained on: python -m trainer refuses them\n    shop" in text
    assert "- 1 questions are in the training data word for word\n    shop-0004" in text
    assert "- 1 questions have gold SQL that training has for the database\n    shop-0004" in text
    assert "    tricky: 5 questions" in text


def test_long_lists_end_unless_all_is_asked_for(check, tmp_path):
    nothing = asked(*((f"None {n}?", f"SELECT 1 WHERE {n} < 0") for n in range(8)))
    folder = spider(tmp_path / "spider", dev=nothing)
    assert "    and 3 more: --all" in check(folder)[1]
    assert not any("more" in line for line in check(folder, "--all")[1])


def test_tables_that_only_tables_json_knows_and_a_log_that_is_not_seen_are_named(check, tmp_path):
    folder = spider(tmp_path / "spider", dev=asked(("How many?", "SELECT count(*) FROM item")))
    path = folder / "database" / "shop" / "shop.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE sale")
    connection.close()
    path.with_name("shop.sqlite-wal").write_bytes(bytes.fromhex("377f0682"))
    status, lines = check(folder)
    assert status == 1
    assert "- 1 databases lack tables that tables.json shows to models" in lines and "    shop: sale" in lines
    assert any(line.endswith("1 databases have changes beside their files") for line in lines)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        pytest.param(lambda folder: None, "no folder or zip", id="nothing"),
        pytest.param(lambda folder: folder.mkdir(), "Spider not found", id="empty"),
        pytest.param(lambda folder: spider(folder, dev={}), "not a JSON list", id="no-list"),
        pytest.param(lambda folder: write_json(folder / "dev.json", entries()), "2 databases are named and", id="bare"),
    ],
)
def test_what_is_not_usable_ends_with_the_command_to_give_again(make, said, check, tmp_path):
    make(tmp_path / "data")
    status, lines = check(tmp_path / "data")
    assert status == 1 and said in "\n".join(lines)
    assert lines[-1] == f"python -m fixtures.questions check {tmp_path / 'data'}"


def test_hostile_names_are_text(check, tmp_path):
    hostile = "::error::\x1b[31mx"
    folder = spider(tmp_path / "spider", dev=asked(("Why?", "SELECT 1"), db_id=hostile))
    assert check(folder)[0] == 1
    assert not any(line.startswith("::") or "\x1b" in line for line in check(folder)[1])


@pytest.fixture
def shop(tmp_path):
    return shapes.database(tmp_path / "shop.sqlite", SHOP + ITEMS)


@pytest.mark.parametrize(
    ("sql", "order"),
    [
        ("SELECT name FROM item", Order.ORDER),
        ("SELECT name FROM item LIMIT 2", Order.ROWS),
        ("SELECT name FROM item ORDER BY price LIMIT 1", Order.ROWS),
        ("SELECT name FROM item ORDER BY price, name LIMIT 1", Order.NOTHING),
        ("SELECT price FROM item ORDER BY price LIMIT 1", Order.NOTHING),
        ("SELECT name FROM item ORDER BY price", Order.ORDER),
        ("SELECT name, count(*) FROM item GROUP BY price", Order.ROWS),
        ("SELECT count(*) FROM sale WHERE item_id = (SELECT item_id FROM item ORDER BY price LIMIT 1)", Order.ROWS),
        ("SELECT sum(price * 1.1), avg(price) FROM item", Order.NOTHING),
        ("SELECT group_concat(name) FROM item", Order.ROWS),
        ("SELECT nothing", Order.UNKNOWN),
    ],
)
def test_what_the_order_of_rows_decides(sql, order, shop):
    rows = run_query(shop, sql).rows if order is not Order.UNKNOWN else []
    with reversed_copy(shop) as copy:
        assert depends(copy, sql, rows) is order


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("CREATE VIRTUAL TABLE words USING fts5(word);", id="virtual"),
        pytest.param("CREATE TABLE t (a TEXT COLLATE NOCASE);", id="collation"),
    ],
)
def test_databases_whose_copy_would_answer_otherwise_are_not_tried(script, tmp_path):
    with reversed_copy(shapes.database(tmp_path / "odd.sqlite", script)) as copy:
        assert copy is None


def test_a_copy_compares_as_its_database_does(tmp_path):
    """Also where a column's type is text that would be SQL."""
    path = shapes.database(
        tmp_path / "odd.sqlite",
        """CREATE TABLE t (a VARCHAR(9), b, c "INT); DROP TABLE t; --", d DECIMAL, e DOUBLE);
        INSERT INTO t VALUES (1, 1, 1, '1', 1), ('01', '1', '1', 1.0, 1);""",
    )
    sql = "SELECT typeof(a), typeof(b), typeof(c), typeof(d), typeof(e) FROM t ORDER BY 1, 2"
    with reversed_copy(path) as copy:
        assert run_query(copy, sql).rows == run_query(path, sql).rows


def test_a_table_without_rowid_is_copied_too(tmp_path):
    path = shapes.database(
        tmp_path / "odd.sqlite",
        "CREATE TABLE t (a TEXT, b INT, PRIMARY KEY (a)) WITHOUT ROWID; INSERT INTO t VALUES ('x', 1), ('y', 1);",
    )
    with reversed_copy(path) as copy:
        assert run_query(copy, "SELECT a FROM t").rows == [("y",), ("x",)]


def test_the_check_needs_no_torch_and_its_command_runs(tmp_path, pytestconfig):
    """On gold SQL alone, so that the command judges recorded predictions."""
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "questions.csv").write_text(table_text(entries()))
    shapes.databases(folder)
    program = "import sys; from fixtures.questions.__main__ import main; status = main(sys.argv[1:]); "
    program += "assert not {'torch', 'transformers', 'deepeval'} & sys.modules.keys(); sys.exit(status)"
    command = [sys.executable, "-c", program, "check", str(folder)]
    ended = subprocess.run(command, cwd=pytestconfig.rootpath, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    given = shlex.split(ended.stdout.splitlines()[-1])[1:]
    places = [f"--results={tmp_path / 'results'}", f"--html={tmp_path / 'report.html'}", "-p", "no:cacheprovider"]
    assert run_pytest([*given, *places, "--collect-only"], cwd=pytestconfig.rootpath).returncode == 0
