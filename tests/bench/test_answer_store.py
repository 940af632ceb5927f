"""The answer store with a million answers: time to look one up and to file one, and the size of its file."""

import random
import time

import pytest

from fixtures.store.answer_store import AnswerStore, answer_key

pytestmark = pytest.mark.bench

STORED = 1_000_000
TIMED = 20_000


def answer(rng: random.Random) -> dict:
    """What the engine gives: a reply of about 100 characters, or an MMLU question's four log-likelihoods."""
    if rng.random() < 0.5:
        column, number = rng.choice(["name", "age", "country"]), rng.randint(1, 10**9)
        return {"reply": f"SELECT T1.{column} FROM singer AS T1 JOIN concert AS T2 ON T1.id = T2.singer_id = {number}"}
    return {"log_likelihoods": [-10 * rng.random() for _ in range(4)], "generated": " A"}


def test_a_million_answers(tmp_path, capsys):
    rng = random.Random(0)
    path = tmp_path / "answers.sqlite"
    store = AnswerStore(path)
    for start in range(0, STORED, 10_000):
        store.put({answer_key(question=number): answer(rng) for number in range(start, start + 10_000)})
    new = {answer_key(question=number): answer(rng) for number in range(STORED, STORED + TIMED)}
    start = time.perf_counter()
    for key, value in new.items():
        store.put({key: value})
    inserting = (time.perf_counter() - start) / TIMED
    wanted = [answer_key(question=rng.randrange(2 * STORED)) for _ in range(TIMED)]
    start = time.perf_counter()
    found = sum(store.get(key) is not None for key in wanted)
    looking = (time.perf_counter() - start) / TIMED
    store.close()
    with capsys.disabled():
        print(f"\n{STORED:,} answers: look-up {looking * 1e3:.3f} ms ({found / TIMED:.0%} found)", end=", ")
        print(f"insert one by one {inserting * 1e3:.3f} ms, file {path.stat().st_size / 1e6:.0f} MB")
