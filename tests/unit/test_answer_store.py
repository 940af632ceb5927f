import sqlite3
import subprocess
import sys
import threading

import pytest

from fixtures.store import answer_store
from fixtures.store.answer_store import AnswerStore, answer_key
from fixtures.store.kept import Kept
from fixtures.store.telling import StoreError


def test_an_answer_comes_back_as_it_was_filed(tmp_path):
    store = AnswerStore(tmp_path / "answers.sqlite")
    store.put({answer_key(prompt="x"): {"reply": "SELECT 'é'", "log_likelihoods": [-0.1234567890123, -2.5]}})
    assert store.get(answer_key(prompt="x")) == {"reply": "SELECT 'é'", "log_likelihoods": [-0.1234567890123, -2.5]}
    assert store.get(answer_key(prompt="y")) is None


def test_every_part_of_a_key_counts_and_their_order_does_not():
    assert answer_key(base="a", adapter="b") == answer_key(adapter="b", base="a")
    assert len({answer_key(base=b, adapter=a) for b in "xy" for a in "xy"}) == 4


def test_answers_survive_a_killed_process(tmp_path):
    """kill -9 right after an answer was filed: the next run finds it."""
    program = (
        "import os, pathlib, sys\n"
        "from fixtures.store.answer_store import AnswerStore, answer_key\n"
        "AnswerStore(pathlib.Path(sys.argv[1])).put({answer_key(q=1): {'reply': 'kept'}})\n"
        "os.kill(os.getpid(), 9)\n"
    )
    path = tmp_path / "answers.sqlite"
    assert subprocess.run([sys.executable, "-c", program, str(path)]).returncode == -9
    assert AnswerStore(path).get(answer_key(q=1)) == {"reply": "kept"}


def test_two_stores_on_one_file_see_each_others_answers(tmp_path):
    one, two = AnswerStore(tmp_path / "answers.sqlite"), AnswerStore(tmp_path / "answers.sqlite")
    one.put({answer_key(q=1): {"reply": "from one"}})
    two.put({answer_key(q=1): {"reply": "too late"}, answer_key(q=2): {"reply": "from two"}})
    assert (two.get(answer_key(q=1)), one.get(answer_key(q=2))) == ({"reply": "from one"}, {"reply": "from two"})


def test_a_file_that_is_no_store_is_refused(tmp_path):
    (tmp_path / "answers.sqlite").write_bytes(b"not a database, but long enough to be read as one" * 10)
    with pytest.raises(sqlite3.DatabaseError):
        AnswerStore(tmp_path / "answers.sqlite")


@pytest.mark.parametrize("opened", [AnswerStore, Kept])
def test_a_file_that_another_process_has_just_made_is_waited_for(opened, tmp_path):
    """SQLite waits for a lock, but not where it is asked to begin write-ahead logging: that fails at once."""
    path = tmp_path / "store.sqlite"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.3, other.rollback)
    release.start()
    store = opened(path)
    release.join()
    store.close()
    assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_file_that_stays_locked_is_named_with_what_would_help(tmp_path, monkeypatch):
    monkeypatch.setattr(answer_store, "_WAIT_S", 0.1)
    other = sqlite3.connect(tmp_path / "answers.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match=r"answers\.sqlite' cannot be used .*locked.*Another process holds it"):
        AnswerStore(tmp_path / "answers.sqlite")
