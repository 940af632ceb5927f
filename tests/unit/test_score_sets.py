import json

from fixtures.score_sets import ScoreSet, current_sets, read_rows, upsert, write_rows

CFG1 = ScoreSet("spider", "cfg1", "s" * 64, "d" * 64)


def row(question, status="scored", **fields):
    return {"suite": "spider", "adapter": "cfg1", "question": question, "index": int(question[-4:]), "status": status, **fields}


def test_a_partial_run_replaces_its_own_questions_and_keeps_the_others(tmp_path):
    upsert(tmp_path, CFG1, [row("pets-0001", assignment=0), row("pets-0002", assignment=0)])
    merged = upsert(tmp_path, CFG1, [row("pets-0002", assignment=1)])
    assert {r["question"]: r["assignment"] for r in merged} == {"pets-0001": 0, "pets-0002": 1}
    assert read_rows(CFG1.path(tmp_path)) == merged


def test_a_question_that_errors_now_keeps_the_score_it_had(tmp_path):
    upsert(tmp_path, CFG1, [row("pets-0001", assignment=1)])
    merged = upsert(tmp_path, CFG1, [row("pets-0001", "errored"), row("pets-0002", "errored")])
    assert [r["status"] for r in merged] == ["scored", "errored"]


def test_rows_are_sorted_and_the_file_is_the_same_in_any_order(tmp_path):
    rows = [row("pets-0010"), row("pets-0002"), {**row("zoo-0001"), "adapter": "base"}]
    write_rows(tmp_path / "a.jsonl", rows)
    write_rows(tmp_path / "b.jsonl", reversed(rows))
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    questions = [json.loads(line)["question"] for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert questions == ["zoo-0001", "pets-0002", "pets-0010"]


def test_other_settings_are_a_set_of_their_own(tmp_path):
    other = ScoreSet("spider", "cfg1", "t" * 64, "d" * 64)
    upsert(tmp_path, CFG1, [row("pets-0001", assignment=1)])
    upsert(tmp_path, other, [row("pets-0001", assignment=0)])
    assert read_rows(CFG1.path(tmp_path))[0]["assignment"] == 1


def test_sets_on_other_questions_leave_the_joint_file():
    """A miniature base must never be paired with an adapter scored on real Spider."""
    base = ScoreSet("spider", "base", "b" * 64, "other data")
    mmlu = ScoreSet("mmlu", "base", "m" * 64, "mmlu data")
    assert set(current_sets([base, mmlu], [CFG1])) == {"mmlu/base", "spider/cfg1"}
