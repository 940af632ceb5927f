"""A row read from a file or given by a suite: what cannot be counted is refused, not counted as wrong."""

import json

import pytest

from fixtures.questions.plugin import BUILT_IN
from fixtures.results.files import line_of, read_rows
from fixtures.results.folder import read_manifest, read_summary
from tests.unit.sums import SUMS, SumRow

SUITES = (*BUILT_IN, SUMS)
MMLU = {
    "suite": "mmlu",
    "adapter": "base",
    "question": "virology-0001",
    "subject": "virology",
    "category": "other",
    "question_text": "Which?",
    "choices": ["a", "b", "c", "d"],
    "gold": "B",
    "scoring": "letter",
    "chosen": "B",
    "correct": 1,
    "log_likelihoods": [-2.0, -1.0, -3.0, -4.0],
    "generated": "B",
    "letter_mass": 0.5,
    "status": "scored",
}
SPIDER = {
    "suite": "spider",
    "adapter": "base",
    "question": "dev-0001",
    "index": 1,
    "db_id": "head",
    "hardness": "easy",
    "question_text": "How many?",
    "gold_sql": "SELECT 1",
    "reply": "SELECT 1",
    "predicted_sql": "SELECT 1",
    "assignment": 1,
    "official": 1,
    "bird": 1,
    "reason": None,
    "error_class": None,
    "status": "scored",
}
SUM = {
    "suite": "arithmetic",
    "adapter": "base",
    "question": "sum-0001",
    "chosen": "B",
    "correct": 1,
    "status": "scored",
}


def read(tmp_path, fields):
    path = tmp_path / "scores.jsonl"
    path.write_text(json.dumps(fields) + "\n", encoding="utf-8")
    return read_rows(path, SUITES)


@pytest.mark.parametrize("fields", [MMLU, SPIDER, SUM], ids=lambda fields: fields["suite"])
def test_a_row_is_read_as_it_was_written(tmp_path, fields):
    (row,) = read(tmp_path, fields)
    assert row.right and json.loads(line_of(row)) == {"schema_version": 1} | fields


@pytest.mark.parametrize("value", [None, 2, -1, 0.5, "right", [1]], ids=repr)
@pytest.mark.parametrize(
    ("fields", "score"),
    [(MMLU, "correct"), (SPIDER, "assignment"), (SPIDER, "official"), (SPIDER, "bird"), (SUM, "correct")],
)
def test_a_score_is_0_or_1(tmp_path, fields, score, value):
    with pytest.raises(ValueError, match=f"line 1: .*(?s:.*){score}"):
        read(tmp_path, fields | {score: value})


@pytest.mark.parametrize(
    ("fields", "missing"),
    [(MMLU, "correct"), (MMLU, "chosen"), (SPIDER, "bird"), (SPIDER, "reply"), (SUM, "correct"), (SUM, "status")],
)
def test_a_scored_row_lacks_nothing(tmp_path, fields, missing):
    """Nor is a row without a status one that could not be measured."""
    with pytest.raises(ValueError, match=missing):
        read(tmp_path, {name: value for name, value in fields.items() if name != missing})


@pytest.mark.parametrize("changed", [{"chosen": "A"}, {"chosen": None}, {"correct": 0}, {"gold": "C"}], ids=str)
def test_the_option_chosen_decides_whether_it_is_correct(tmp_path, changed):
    with pytest.raises(ValueError, match="and right is"):
        read(tmp_path, MMLU | changed)


@pytest.mark.parametrize(
    "fields", [MMLU | {"category": "arts"}, SPIDER | {"hardness": "harder"}], ids=["mmlu", "spider"]
)
def test_a_group_that_no_table_has_is_refused(tmp_path, fields):
    with pytest.raises(ValueError, match="is of the (category 'arts'|hardness 'harder'): no "):
        read(tmp_path, fields)


def test_a_score_need_not_be_listed_as_judged():
    class Forgetful(SumRow):
        JUDGED = ()

    row = Forgetful(suite="arithmetic", adapter="base", question="sum-0001")
    assert not row.right
    with pytest.raises(ValueError, match="a scored row lacks correct"):
        row.judged(chosen="A")


@pytest.mark.parametrize("contents", ["[]", "1", "null", '"text"', "{}", "{"])
def test_a_file_of_another_shape_is_a_value_error(tmp_path, contents):
    for name in ("manifest.json", "summary.json"):
        (tmp_path / name).write_text(contents)
    for read_file in (read_manifest, read_summary):
        with pytest.raises(ValueError):
            read_file(tmp_path)
