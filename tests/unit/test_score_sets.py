import json

import pytest

from fixtures.questions.mmlu.suite import MMLU
from fixtures.questions.spider.row import SpiderRow
from fixtures.questions.spider.suite import SPIDER
from fixtures.results.files import read_rows, write_rows
from fixtures.results.score_sets import ScoreSet, current_sets, upsert

SUITES = (SPIDER, MMLU)


def score_set(suite, adapter, settings, judged, base, weights):
    return ScoreSet(suite=suite, adapter=adapter, settings=settings, judged=judged, base=base, weights=weights)


CFG1 = score_set("spider", "cfg1", "s" * 64, "questions", "llama", "w")


def row(question, right=0, adapter="cfg1", reply="SELECT 1"):
    texts = {"question_text": "How many?", "gold_sql": "SELECT 2", "hardness": "easy"}
    head = {"suite": "spider", "adapter": adapter, "question": question, "index": int(question[-4:])}
    asked = SpiderRow(**head, db_id=question[:-5], **texts)
    scores = dict.fromkeys(("assignment", "official", "bird"), right)
    return asked.judged(reply=reply, predicted_sql="SELECT 1", **scores, reason="rows", error_class=None)


def errored(question):
    return row(question).errored("no answer")


def test_a_partial_run_replaces_its_own_questions_and_keeps_the_others(tmp_path):
    upsert(tmp_path, CFG1, [row("pets-0001"), row("pets-0002")], SUITES)
    upsert(tmp_path, CFG1, [row("pets-0002", 1)], SUITES)
    kept = {r.question: r.assignment for r in read_rows(CFG1.path(tmp_path), SUITES)}
    assert kept == {"pets-0001": 0, "pets-0002": 1}


def test_a_question_that_errors_now_keeps_the_score_it_had(tmp_path):
    upsert(tmp_path, CFG1, [row("pets-0001", 1)], SUITES)
    upsert(tmp_path, CFG1, [errored("pets-0001"), errored("pets-0002")], SUITES)
    assert [r.status for r in read_rows(CFG1.path(tmp_path), SUITES)] == ["scored", "errored"]


def test_a_reply_may_hold_what_other_programs_take_for_a_line_break(tmp_path):
    reply = "SELECT 1 -- a\u2028b\u2029c\x85d\x0ce\rf\ng"
    upsert(tmp_path, CFG1, [row("pets-0001", reply=reply), row("pets-0002", 1)], SUITES)
    assert [r.reply for r in read_rows(CFG1.path(tmp_path), SUITES)] == [reply, "SELECT 1"]


def test_a_reply_may_hold_half_a_surrogate_pair(tmp_path):
    upsert(tmp_path, CFG1, [row("pets-0001", reply="SELECT '\ud83d'")], SUITES)
    assert [r.reply for r in read_rows(CFG1.path(tmp_path), SUITES)] == ["SELECT '?'"]


def test_rows_are_sorted_and_the_file_is_the_same_in_any_order(tmp_path):
    rows = [row("pets-0010"), row("pets-0002"), row("zoo-0001", adapter="base")]
    write_rows(tmp_path / "a.jsonl", rows, SUITES)
    write_rows(tmp_path / "b.jsonl", reversed(rows), SUITES)
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    questions = [json.loads(line)["question"] for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert questions == ["zoo-0001", "pets-0002", "pets-0010"]


def test_other_settings_are_a_set_of_their_own(tmp_path):
    upsert(tmp_path, CFG1, [row("pets-0001", 1)], SUITES)
    other = CFG1.model_copy(update={"settings": "t" * 64})
    upsert(tmp_path, other, [row("pets-0001")], SUITES)
    assert read_rows(CFG1.path(tmp_path), SUITES)[0].assignment == 1


def test_rows_of_before_there_was_a_version_are_read_and_later_ones_refused(tmp_path):
    path = tmp_path / "scores.jsonl"
    write_rows(path, [row("pets-0001", 1)], SUITES)
    line = json.loads(path.read_text())
    assert line.pop("schema_version") == 1
    path.write_text(json.dumps(line) + "\n")
    assert read_rows(path, SUITES) == [row("pets-0001", 1)]
    path.write_text(json.dumps(line | {"schema_version": 2}) + "\n")
    with pytest.raises(ValueError, match="line 1: schema_version 2, and this version of the suite reads 1"):
        read_rows(path, SUITES)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"assignment": 2}, "assignment"),
        ({"index": "first"}, "index"),
        ({"colour": "red"}, "colour"),
        ({"suite": "chess"}, "unknown suite 'chess': this run has spider, mmlu"),
        ({"reply": None, "official": None}, "official"),
    ],
)
def test_a_row_that_is_none_is_refused_by_line_and_field(fields, said, tmp_path):
    path = tmp_path / "scores.jsonl"
    write_rows(path, [row("pets-0001", 1)], SUITES)
    line = json.loads(path.read_text()) | fields
    path.write_text(json.dumps({name: value for name, value in line.items() if value is not None}) + "\n")
    with pytest.raises(ValueError, match=f"line 1: (.|\n)*{said}"):
        read_rows(path, SUITES)


@pytest.mark.parametrize(
    ("earlier", "kept"),
    [
        pytest.param(score_set("spider", "base", "b", "questions", "llama", ""), True, id="base-on-the-same-questions"),
        pytest.param(score_set("mmlu", "cfg1", "m", "mmlu", "llama", "w"), True, id="other-suite-same-weights"),
        pytest.param(score_set("spider", "base", "b", "other", "llama", ""), False, id="other-questions"),
        pytest.param(score_set("mmlu", "cfg1", "m", "mmlu", "llama", "old"), False, id="other-suite-before-retraining"),
        pytest.param(score_set("spider", "base", "b", "questions", "mistral", ""), False, id="other-base-model"),
        pytest.param(score_set("spider", "cfg1", "o", "questions", "llama", "w"), False, id="same-name-other-settings"),
    ],
)
def test_only_what_may_be_compared_stands_in_one_file(earlier, kept):
    """A miniature base must never be paired with an adapter of another model, or scored on real Spider."""
    assert (earlier in current_sets([earlier], [CFG1])) is kept
    assert CFG1 in current_sets([earlier], [CFG1])
