import os
import signal
import sqlite3
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from custom_metrics.sql import execution as sql_execution
from custom_metrics.sql.execution import QueryError, run_query

ENDLESS_CTE = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
# One step of SQLite's program: its progress handler, and so its own time limit, never gets a turn.
ONE_LONG_STEP = "SELECT instr(zeroblob(9000000), zeroblob(4500000) || x'01')"
# Each table expression is copied into the next twice, so that preparing the statement alone takes 2^40 steps.
ENDLESS_PREPARATION = (
    "WITH a0 AS (SELECT 1 AS x)"
    + "".join(f", a{n} AS (SELECT p.x FROM a{n - 1} p, a{n - 1} q)" for n in range(1, 41))
    + " SELECT count(*) FROM a40"
)


def error_kind(database, sql, **limits) -> str:
    with pytest.raises(QueryError) as caught:
        run_query(database, sql, **limits)
    return caught.value.kind


def test_rows_and_number_of_columns(tiny_database):
    result = run_query(tiny_database, "SELECT singer_id, name FROM singer WHERE singer_id < 3")
    assert result.rows == [(1, "Singer 1"), (2, "Singer 2")]
    assert result.num_columns == 2


def test_every_type_arrives_as_it_is(tiny_database):
    rows = run_query(tiny_database, "SELECT 1, 1.5, 'é', x'00ff', NULL, 9e999").rows
    assert rows == [(1, 1.5, "é", b"\x00\xff", None, float("inf"))]


def test_an_empty_result_still_has_columns(tiny_database):
    assert run_query(tiny_database, "SELECT name, age FROM singer WHERE 0") == ([], 2)


def test_bytes_that_are_not_utf8_are_dropped(tiny_database):
    assert run_query(tiny_database, "SELECT CAST(x'61ff62' AS TEXT)").rows == [("ab",)]


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        pytest.param("SELECT * FROM singers", "unknown table", id="table"),
        pytest.param("SELECT nme FROM singer", "unknown column", id="column"),
        pytest.param("SELECT singer_id FROM singer, concert", "ambiguous column", id="ambiguous"),
        pytest.param("SELECT year(name) FROM singer", "unknown function", id="function"),
        pytest.param("SELECT FROM singer", "syntax", id="syntax"),
        pytest.param("SELECT 'a", "syntax", id="open-string"),
        pytest.param("SELECT 1\0", "syntax", id="nul"),
        pytest.param("SELECT '\ud800'", "syntax", id="surrogate"),
        pytest.param("SELECT 1; SELECT 2", "several statements", id="two-statements"),
        pytest.param("-- nothing", "no statement", id="comment"),
        pytest.param("", "no statement", id="empty"),
        pytest.param("DELETE FROM singer", "denied", id="write"),
        pytest.param("PRAGMA user_version", "denied", id="pragma"),
        pytest.param("SELECT * FROM pragma_database_list", "denied", id="pragma-function"),
        pytest.param("ATTACH ':memory:' AS other", "denied", id="attach"),
        pytest.param("SELECT load_extension('x')", "denied", id="extension"),
        pytest.param("SELECT zeroblob(100000000)", "too large", id="long-value"),
        pytest.param("SELECT " + "(" * 5000 + "1" + ")" * 5000, "too large", id="deep"),
        pytest.param("SELECT 1" + " UNION ALL SELECT 1" * 600, "too large", id="many-terms"),
        pytest.param("SELECT 1" + " " * 200_000, "too large", id="long-sql"),
        pytest.param("SELECT name FROM singer WHERE age = ?", "execution", id="parameter"),
        pytest.param("SELECT sum(abs(-9223372036854775808))", "execution", id="overflow"),
    ],
)
def test_what_cannot_run_says_why(tiny_database, sql, kind):
    assert error_kind(tiny_database, sql) == kind


@pytest.mark.parametrize("sql", [ENDLESS_CTE, ONE_LONG_STEP], ids=["many-steps", "one-long-step"])
def test_a_runaway_query_is_stopped_at_the_time_limit(tiny_database, sql):
    """A recursive CTE without an end must cost one question, not the whole session."""
    start = time.monotonic()
    with pytest.raises(QueryError, match=r"stopped after 0\.2 s") as caught:
        run_query(tiny_database, sql, timeout_s=0.2)
    assert caught.value.kind == "time limit"
    assert time.monotonic() - start < 1.2


@pytest.fixture
def hiding_marshal(monkeypatch):
    """``marshal.load`` as of Python 3.11.2, which says EOFError whatever went wrong with reading."""

    def load(file, known=sql_execution.marshal.load):
        try:
            return known(file)
        except BaseException:
            raise EOFError from None

    monkeypatch.setattr(sql_execution.marshal, "load", load)


def test_a_time_limit_is_no_crash_on_any_python(tiny_database, hiding_marshal):
    assert error_kind(tiny_database, ONE_LONG_STEP, timeout_s=0.2) == "time limit"


def test_ctrl_c_is_no_crash_on_any_python(tiny_database, hiding_marshal):
    test_an_interrupted_wait_leaves_no_answer_behind(tiny_database)


COUNTING = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 1000000) SELECT count(*) FROM n"


def held_up(seconds: float | None) -> None:
    """Give the sandbox no processor from soon on, as on a machine that does other things; None: for good."""
    pid = sql_execution._sandbox._process.pid
    threading.Timer(0.02, os.kill, (pid, signal.SIGSTOP)).start()
    if seconds is not None:
        threading.Timer(seconds, os.kill, (pid, signal.SIGCONT)).start()


@pytest.mark.parametrize("num_columns", [None, 1], ids=["gold", "predicted"])
def test_waiting_for_a_processor_is_not_counted_as_a_querys_time(num_columns, tiny_database):
    """It takes some tenth of a second; by the clock its limit and the grace are over when it goes on."""
    run_query(tiny_database, "SELECT 1")
    held_up(1.7)
    assert run_query(tiny_database, COUNTING, timeout_s=1.0, num_columns=num_columns).rows == [(1_000_000,)]


def test_a_query_that_gets_no_processor_at_all_ends(tiny_database):
    run_query(tiny_database, "SELECT 1")
    held_up(None)
    start = time.monotonic()
    assert error_kind(tiny_database, ENDLESS_CTE, timeout_s=0.3) == "time limit"
    assert time.monotonic() - start < 4 * 0.3 + 2


def test_a_statement_without_an_end_to_its_preparation_is_stopped(tiny_database):
    start = time.monotonic()
    assert error_kind(tiny_database, ENDLESS_PREPARATION, timeout_s=2) in ("memory", "time limit")
    assert time.monotonic() - start < 3


def test_the_query_after_a_killed_one_runs(tiny_database):
    assert error_kind(tiny_database, ONE_LONG_STEP, timeout_s=0.1) == "time limit"
    assert run_query(tiny_database, "SELECT 1").rows == [(1,)]


def test_rows_are_capped(tiny_database):
    cross_join = "SELECT a.name FROM singer a, singer b"
    assert error_kind(tiny_database, cross_join, max_rows=1000) == "row cap"
    assert error_kind(tiny_database, "SELECT zeroblob(100000) FROM singer") == "row cap"
    assert len(run_query(tiny_database, cross_join + " LIMIT 1000", max_rows=1000).rows) == 1000


def test_memory_is_capped(tiny_database):
    sorting = "SELECT a.name || b.name || c.name FROM singer a, singer b, singer c ORDER BY 1"
    assert error_kind(tiny_database, sorting, timeout_s=30) == "memory"


def test_a_slow_query_with_other_columns_is_not_run_to_its_end(tiny_database):
    start = time.monotonic()
    with pytest.raises(QueryError, match="columns: 1, gold has 2") as caught:
        run_query(tiny_database, ENDLESS_CTE, timeout_s=30, num_columns=2)
    assert caught.value.kind == "wrong result"
    assert time.monotonic() - start < 2


def test_a_missing_database_is_no_query_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.sqlite"):
        run_query(tmp_path / "absent.sqlite", "SELECT 1")


def test_a_file_that_is_no_database(tmp_path):
    (tmp_path / "text.sqlite").write_text("not a database" * 100)
    assert error_kind(tmp_path / "text.sqlite", "SELECT * FROM singer") == "damaged database"


def test_a_database_that_changed_is_read_anew(tiny_database):
    assert run_query(tiny_database, "SELECT count(*) FROM singer").rows == [(400,)]
    with sqlite3.connect(tiny_database) as connection:
        connection.execute("DELETE FROM singer WHERE singer_id > 10")
    connection.close()
    assert run_query(tiny_database, "SELECT count(*) FROM singer").rows == [(10,)]


def test_a_read_only_folder_and_a_name_with_special_characters(tiny_database):
    strange = tiny_database.parent / "50% ?#é" / "a b.sqlite"
    strange.parent.mkdir()
    tiny_database.rename(strange)
    strange.chmod(0o400)
    strange.parent.chmod(0o500)
    assert run_query(strange, "SELECT count(*) FROM concert").rows == [(100,)]
    strange.parent.chmod(0o700)


def test_threads_do_not_mix_up_their_answers(tiny_database):
    answers = {}

    def ask(number: int) -> None:
        answers[number] = [run_query(tiny_database, f"SELECT {number}").rows for _ in range(20)]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: [[(number,)]] * 20 for number in range(8)}


def kill_the_sandbox() -> None:
    os.kill(sql_execution._sandbox._process.pid, signal.SIGKILL)


def test_a_crash_of_sqlite_costs_one_query(tiny_database):
    run_query(tiny_database, "SELECT 1")
    threading.Timer(0.2, kill_the_sandbox).start()
    assert error_kind(tiny_database, ENDLESS_CTE) == "crash"
    assert run_query(tiny_database, "SELECT 1").rows == [(1,)]


def test_a_sandbox_that_died_between_queries_is_replaced(tiny_database):
    run_query(tiny_database, "SELECT 1")
    kill_the_sandbox()
    sql_execution._sandbox._process.wait()
    assert run_query(tiny_database, "SELECT 1").rows == [(1,)]


def test_an_interrupted_wait_leaves_no_answer_behind(tiny_database):
    """Ctrl-C while a query runs: its late answer must not be taken for the next query's."""

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            run_query(tiny_database, ENDLESS_CTE, timeout_s=1)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert run_query(tiny_database, "SELECT 'next'").rows == [("next",)]


WORDS = st.sampled_from(
    "SELECT FROM WHERE GROUP BY ORDER HAVING LIMIT UNION WITH AS JOIN ON DISTINCT CASE WHEN END NOT IN LIKE IS NULL "
    "DELETE DROP TABLE PRAGMA ATTACH VALUES count( max( printf( zeroblob( randomblob( replace( json( * , ( ) ; -- /* "
    "*/ ' \" ` [ ] ? :a @b $c x'00' 1 0.5 9e999 -9223372036854775808 singer concert name age year \\ \0 \ud800 é".split(
        " "
    )
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sql=st.one_of(
        st.text(), st.lists(WORDS, max_size=30).map(" ".join), st.binary().map(lambda raw: raw.decode("latin-1"))
    )
)
def test_random_sql_raises_nothing_but_query_error(tiny_database, sql):
    try:
        result = run_query(tiny_database, sql, timeout_s=1)
    except QueryError as error:
        assert error.kind not in ("crash", "damaged database")
    else:
        assert all(len(row) == result.num_columns for row in result.rows)
