import json
from dataclasses import replace

import pytest

from fixtures.results.score_sets import ScoreSet, current_sets, read_rows, upsert, write_rows

CFG1 = ScoreSet("spider", "cfg1", settings="s" * 64, judged="questions", base="llama", weights="w")


def row(question, status="scored", **fields):
    base = {"suite": "spider", "adapter": "cfg1", "question": question, "index": int(question[-4:]), "status": status}
    return base | fields


def test_a_partial_run_replaces_its_own_questions_and_keeps_the_others(tmp_path):
    upsert(tmp_path, CFG1, [row("pets-0001", assignment=0), row("pets-0002", assignment=0)])
    upsert(tmp_path, CFG1, [row("pets-0002", assignment=1)])
    assert {r["question"]: r["assignment"] for r in read_rows(CFG1.path(tmp_path))} == {"pets-0001": 0, "pets-0002": 1}


def test_a_question_that_errors_now_keeps_the_score_it_had(tmp_path):
    upsert(tmp_path, CFG1, [row("pets-0001", assignment=1)])
    upsert(tmp_path, CFG1, [row("pets-0001", "errored"), row("pets-0002", "errored")])
    assert [r["status"] for r in read_rows(CFG1.path(tmp_path))] == ["scored", "errored"]


def test_a_reply_may_hold_what_other_programs_take_for_a_line_break(tmp_path):
    reply = "SELECT 1 -- a\u2028b\u2029c\x85d\x0ce\rf\ng"
    upsert(tmp_path, CFG1, [row("pets-0001", assignment=0, reply=reply), row("pets-0002", assignment=1)])
    assert [r.get("reply") for r in read_rows(CFG1.path(tmp_path))] == [reply, None]


def test_rows_are_sorted_and_the_file_is_the_same_in_any_order(tmp_path):
    rows = [row("pets-0010"), row("pets-0002"), row("zoo-0001", adapter="base")]
    write_rows(tmp_path / "a.jsonl", rows)
    write_rows(tmp_path / "b.jsonl", reversed(rows))
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    questions = [json.loads(line)["question"] for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert questions == ["zoo-0001", "pets-0002", "pets-0010"]


def test_other_settings_are_a_set_of_their_own(tmp_path):
    upsert(tmp_path, CFG1, [row("pets-0001", assignment=1)])
    upsert(tmp_path, replace(CFG1, settings="t" * 64), [row("pets-0001", assignment=0)])
    assert read_rows(CFG1.path(tmp_path))[0]["assignment"] == 1


@pytest.mark.parametrize(
    ("earlier", "kept"),
    [
        pytest.param(ScoreSet("spider", "base", "b", "questions", "llama", ""), True, id="base-on-the-same-questions"),
        pytest.param(ScoreSet("mmlu", "cfg1", "m", "mmlu", "llama", "w"), True, id="other-suite-same-weights"),
        pytest.param(ScoreSet("spider", "base", "b", "other", "llama", ""), False, id="other-questions"),
        pytest.param(ScoreSet("mmlu", "cfg1", "m", "mmlu", "llama", "old"), False, id="other-suite-before-retraining"),
        pytest.param(ScoreSet("spider", "base", "b", "questions", "mistral", ""), False, id="other-base-model"),
        pytest.param(ScoreSet("spider", "cfg1", "o", "questions", "llama", "w"), False, id="same-name-other-settings"),
    ],
)
def test_only_what_may_be_compared_stands_in_one_file(earlier, kept):
    """A miniature base must never be paired with an adapter of another model, or scored on real Spider."""
    assert (earlier in current_sets([earlier], [CFG1])) is kept
    assert CFG1 in current_sets([earlier], [CFG1])
