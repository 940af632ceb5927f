"""No SQL is no SQL: in the class of the error, and in how much of a change is format."""

import json

import pytest

from custom_metrics.errors.analysis import ErrorClass, classify_error
from fixtures.questions.spider.questions import SpiderQuestions
from fixtures.questions.spider.splitting import split
from trainer.study.experiment import load_experiment

NOTHING = [
    None,
    "",
    " \t",
    "none",
    "None.",
    "NULL",
    "N/A",
    "-- no SQL",
    "I'm sorry, I cannot select that.",
    "There are 6.",
]


@pytest.fixture(scope="module")
def spider() -> SpiderQuestions:
    return SpiderQuestions(load_experiment("miniature"), shots=None, keep_distinct=False, plug_value=False)


@pytest.mark.parametrize("kind", ["predicted_sql", "sql", "reply"])
def test_recorded_predictions_without_sql_are_of_that_class(spider, kind, tmp_path):
    lines = [
        {"index": question.index, kind: NOTHING[question.index] if question.index < len(NOTHING) else "SELECT 1"}
        for question in spider.all
    ]
    path = tmp_path / "recorded.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    answers = spider.recorded(str(path))
    rows = [
        spider.judge(question, spider.row(question, "recorded"), answers[question.id]) for question in spider.all[:12]
    ]
    assert [row.error_class for row in rows[: len(NOTHING)]] == ["no SQL"] * len(NOTHING)
    assert [row.predicted_sql for row in rows] == [None] * len(NOTHING) + ["SELECT 1"] * 2
    assert {row.assignment for row in rows} == {0}


@pytest.mark.parametrize("text", NOTHING[1:])
@pytest.mark.parametrize("kind", ["sql", "reply"])
def test_what_is_won_over_no_sql_is_format(spider, kind, text):
    question = spider.all[0]

    def judged(answer):
        return spider.judge(question, spider.row(question, "one"), answer)

    nothing, wrong, right = judged({kind: text}), judged({kind: "SELECT 1"}), judged({kind: question.gold_sql})
    counted = split([(nothing, right), (right, nothing), (wrong, right)])
    assert (counted["extractable_base"], counted["extractable_tuned"]) == (2, 2)
    assert (counted["gained_format"], counted["lost_format"]) == (1, 1)
    assert (counted["gained_skill"], counted["lost_skill"]) == (1, 0)


@pytest.mark.parametrize("sql", [None, "", " \n"])
def test_nothing_is_no_sql_whatever_stopped_it(sql):
    assert classify_error("SELECT 1", sql, error_kind="no statement").error_class is ErrorClass.NO_SQL
