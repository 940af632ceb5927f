"""What is kept from one run to the next: found under all that it comes from, and done without where it is broken."""

import multiprocessing
import os
import sqlite3
from contextlib import suppress
from pathlib import Path

import pytest

from custom_metrics.sql.execution import QueryError
from custom_metrics.sql.verdict import gold_result, judge_reply, judge_sql
from fixtures.questions.spider import kept as spider_kept
from fixtures.questions.spider.kept import kept_hardness, kept_run
from fixtures.store import kept as store_kept
from fixtures.store.kept import Kept, code_version, let_go


@pytest.fixture
def file(tmp_path):
    return tmp_path / "cache" / "kept.sqlite"


def test_a_value_is_found_by_the_next_process_under_its_whole_key(file):
    one = Kept(file)
    one.put({"rows": [[1, 1.0, None, "é"]]}, "gold", "a", 30.0)
    assert one.get("gold", "a", 30.0) == {"rows": [[1, 1.0, None, "é"]]}
    one.close()
    two = Kept(file)
    assert two.get("gold", "a", 30.0) == {"rows": [[1, 1.0, None, "é"]]}
    assert two.get("gold", "a", 31.0) is None
    two.close()


def test_two_processes_at_once_lose_nothing(file):
    one, two = Kept(file), Kept(file)
    one.put(1, "one")
    two.put(2, "two")
    one.close()
    two.close()
    assert [Kept(file).get(name) for name in ("one", "two")] == [1, 2]


def test_no_file_is_open_where_a_process_forks_and_each_side_goes_on_with_its_own(file):
    """SQLite's locks know no fork; what a forked process found would be lost, as nothing runs at its exit."""
    one = Kept(file)
    one.put(1, "before")
    let_go()
    assert str(file) not in map(os.path.realpath, Path("/proc/self/fd").iterdir())

    def other():
        one.put(one.get("before") + 1, "forked")
        let_go()

    process = multiprocessing.get_context("fork").Process(target=other)
    process.start()
    process.join()
    assert process.exitcode == 0
    assert [one.get(name) for name in ("before", "forked")] == [1, 2]
    one.close()
    let_go()
    assert one.get("before") is None


@pytest.mark.parametrize("damage", [b"", b"no database at all" * 400], ids=["empty", "other"])
def test_a_damaged_file_is_done_without_and_made_again(file, damage):
    file.parent.mkdir()
    file.write_bytes(damage)
    broken = Kept(file)
    broken.put(1, "key")
    broken.close()
    again = Kept(file)
    again.put(1, "key")
    again.close()
    assert Kept(file).get("key") == 1


def test_a_value_that_was_changed_in_the_file_is_not_taken(file):
    one = Kept(file)
    one.put("easy", "key")
    one.close()
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE kept SET value = '\"extra\"'")
    connection.close()
    assert Kept(file).get("key") is None


def test_what_cannot_be_written_is_done_without(file, monkeypatch):
    """As on a full disk, or where the folder is a file."""
    file.parent.write_text("a file")
    lost = Kept(file)
    lost.put(1, "key")
    lost.close()
    assert lost.get("key") is None


def test_the_file_is_bounded(file, monkeypatch):
    monkeypatch.setattr(store_kept, "_MOST_BYTES", 100_000)
    one = Kept(file)
    one.put("x" * store_kept._LARGEST, "too large")
    for n in range(300):
        one.put("x" * 1000, n)
    one.close()
    assert file.stat().st_size > 100_000
    new = Kept(file)
    assert new.get(0) is None
    new.close()
    assert file.stat().st_size < 100_000


def test_other_code_is_another_version(tmp_path):
    source = tmp_path / "rule.py"
    source.write_text("1")
    before = code_version(source)
    source.write_text("2")
    assert code_version(source) != before


@pytest.fixture
def runs(file, monkeypatch):
    """The queries that were run, in a cache of the test's own; ``forget`` is what a new process does."""
    asked = []

    def counted(path, sql, **limits):
        asked.append(sql)
        return run_query(path, sql, **limits)

    run_query = spider_kept.run_query
    monkeypatch.setattr(spider_kept, "run_query", counted)
    monkeypatch.setattr(spider_kept, "kept_path", lambda: file)
    forget()
    yield asked
    forget()


def forget():
    spider_kept.kept().close()
    for cached in (spider_kept.kept, spider_kept._contents, spider_kept.kept_hardness):
        cached.cache_clear()


@pytest.fixture
def database(tiny_database):
    """The tiny database without its view."""
    with sqlite3.connect(tiny_database) as connection:
        connection.execute("DROP VIEW adults")
        connection.commit()
        connection.execute("VACUUM")
    connection.close()
    return tiny_database


def test_a_gold_result_is_run_once_and_comes_back_exactly(database, runs):
    sql = "SELECT 1, 1.0, 0.1, NULL, 'é', x'00ff', 9223372036854775807, -0.0, 9e999"
    first = kept_run(database, sql, timeout_s=30.0)
    forget()
    again = kept_run(database, sql, timeout_s=30.0)
    assert len(runs) == 1
    assert repr(again) == repr(first)


def test_another_limit_query_or_database_is_run(database, runs):
    kept_run(database, "SELECT count(*) FROM singer", timeout_s=30.0)
    kept_run(database, "SELECT count(*) FROM singer", timeout_s=1.0)
    kept_run(database, "SELECT count(*) FROM concert", timeout_s=30.0)
    forget()
    with sqlite3.connect(database) as connection:
        connection.execute("DELETE FROM singer WHERE singer_id > 7")
    connection.close()
    assert kept_run(database, "SELECT count(*) FROM singer", timeout_s=30.0).rows == [(7,)]
    assert len(runs) == 4


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT date('now')",
        "SELECT random()",
        "SELECT CURRENT_DATE",
        "SELECT age FROM adults",
        'SELECT "datetime"()',
        "SELECT [time] ()",
        "SELECT julianday/**/()",
        "SELECT julianday -- today\n()",
        "SELECT date\ufeff()",
        "SELECT timediff('n' || 'ow', '2000-01-01')",
    ],
)
def test_what_may_change_by_itself_is_run_each_time(sql, tiny_database, runs):
    """One reads a view, which may ask for the time whatever the query says; an older SQLite refuses some of them."""
    for _ in range(2):
        with suppress(QueryError):
            kept_run(tiny_database, sql, timeout_s=30.0)
    assert len(runs) == 2


@pytest.mark.parametrize("num_columns", [None, 1, 2])
def test_of_a_prediction_the_columns_that_it_should_have_are_part_of_the_key(num_columns, database, runs):
    for columns in (num_columns, 3, num_columns):
        result = kept_run(database, "SELECT 1, x'00ff'", timeout_s=30.0, num_columns=columns)
        assert result == ([(1, b"\x00\xff")], 2)
        forget()
    assert len(runs) == 2


def test_predictions_are_run_once_and_judged_alike(database, runs):
    gold = gold_result(database, "SELECT count(*) FROM singer", run=kept_run)
    for judge in (judge_sql, judge_reply):
        for sql in ("SELECT count(*) FROM singer", "SELECT count(*), 1 FROM singer", "SELECT singer_id FROM singer"):
            plain = judge(sql, gold)
            assert judge(sql, gold, run=kept_run) == plain
            forget()
            ran = len(runs)
            again = judge(sql, gold, run=kept_run)
            assert (again, again.result) == (plain, plain.result)
            assert len(runs) == ran


def test_a_failure_is_not_kept(tiny_database, runs):
    for _ in range(2):
        with pytest.raises(QueryError, match="no such table"):
            kept_run(tiny_database, "SELECT 1 FROM nowhere", timeout_s=30.0)
    assert len(runs) == 2


def test_hardness_is_parsed_once_and_unknown_each_time(runs, monkeypatch):
    from custom_metrics.sql import hardness as rule

    parsed = []
    plain = rule.parse_query
    monkeypatch.setattr(rule, "parse_query", lambda sql: parsed.append(sql) or plain(sql))
    for _ in range(2):
        assert kept_hardness("SELECT name FROM singer") == "easy"
        assert kept_hardness("SELECT CAST(1 AS UNSIGNED BIG INT)") == "unknown"
        forget()
    assert parsed.count("SELECT name FROM singer") == 1 and len(parsed) == 3
