"""What is kept of an answer for whoever opens it: the prompt, the first rows, the options under which it was asked."""

import json
import math

import pytest

from fixtures.questions.first_rows import CHARACTERS, COLUMNS, ROWS, FirstRows, first_rows
from fixtures.questions.plugin import BUILT_IN
from fixtures.questions.spider.questions import SpiderQuestions
from fixtures.report.opened_data import opened_data
from fixtures.results.files import write_text
from fixtures.results.prompts import PROMPTS, Prompts, read_prompts, with_prompts
from fixtures.study.options import asking_options
from trainer.prompts import Message, Prompt
from trainer.study.experiment import load_experiment

SCHEMA = "CREATE TABLE singer (\nname TEXT\n)"


def asked(question, *solved):
    return Prompt((*solved, Message("user", f"Write a query.\n\n{SCHEMA}\n\nQuestion: {question}")))


def test_what_prompts_share_is_kept_once_and_nothing_is_forgotten(tmp_path):
    own = {"a-1": asked("One?"), "a-2": asked("Two?")}
    kept = with_prompts(Prompts(), {"spider-base-0": own, "spider-cfg1-1": own})
    kept = with_prompts(kept, {"spider-base-0": {"a-3": asked("Three?")}, "mmlu-base-2": {"b": Prompt(text="B\n\nC")}})
    assert kept.parts == ("Write a query.", SCHEMA, "Question: One?", "Question: Two?", "Question: Three?", "B", "C")
    assert kept.asked["spider-base-0"] == {"a-1": 0, "a-2": 1, "a-3": 2}
    assert kept.asked["spider-cfg1-1"] == {"a-1": 0, "a-2": 1} and kept.prompts[3] == (("", (5, 6)),)
    write_text(tmp_path / PROMPTS, json.dumps(kept.model_dump(mode="json")))
    assert read_prompts(tmp_path) == kept
    assert read_prompts(tmp_path / "none") is None


@pytest.mark.parametrize("change", [{"asked": {"spider-base-0": {"a": 1}}}, {"prompts": [[["user", [-1]]]]}])
def test_a_file_that_points_nowhere_is_refused(tmp_path, change):
    kept = with_prompts(Prompts(), {"spider-base-0": {"a": Prompt(text="B")}}).model_dump(mode="json")
    write_text(tmp_path / PROMPTS, json.dumps(kept | change))
    with pytest.raises(ValueError, match="names a place that it does not have"):
        read_prompts(tmp_path)


def test_the_page_has_the_prompts_of_its_rows_and_no_others(made_up_study, made_up_manifest):
    _, rows = made_up_study({"base": range(3), "cfg1": range(3)}, {}, questions={"spider": 3, "mmlu": 0})
    manifest = made_up_manifest(["base", "cfg1"])
    own = {row.question: asked(row.question) for row in rows}
    kept = with_prompts(Prompts(), {"spider-base-of before": {"x": asked("Before?")}, "spider-cfg1-settings of ": own})
    found = opened_data(rows, manifest, kept)
    assert found["asked"] == [-1, -1, -1, 0, 1, 2]
    assert found["parts"][:2] == ["Write a query.", SCHEMA] and "Question: Before?" not in found["parts"]
    assert opened_data(rows, manifest, None)["asked"] == [-1] * 6


def test_first_rows_are_few_short_and_what_a_browser_can_show():
    row = ("x" * 999, None, 2**53 + 1, math.inf, b"\x00" * 999, 0.5, "seventh")
    found = first_rows([row] * 99, 7)
    assert (len(found.rows), found.total, found.columns) == (ROWS, 99, 7)
    text, none, large, infinite, blob, real = found.rows[0]
    assert len(found.rows[0]) == COLUMNS and len(text) == len(blob) == CHARACTERS + 3
    assert (none, large, infinite, real) == (None, str(2**53 + 1), "inf", 0.5)
    assert FirstRows.model_validate(json.loads(found.model_dump_json())) == found


def test_judging_keeps_the_rows_of_both_queries_where_they_differ():
    questions = SpiderQuestions(load_experiment("miniature"), shots=None, keep_distinct=False, plug_value=False)
    question = questions.all[0]
    row = questions.row(question, "one")
    right = questions.judge(question, row, {"sql": question.gold_sql})
    assert right.gold_rows.total == len(right.gold_rows.rows) or len(right.gold_rows.rows) == ROWS
    assert right.predicted_rows is None and list(right.first_rows) == ["Gold rows"]
    wrong = questions.judge(question, row, {"sql": "SELECT 'other', NULL"})
    assert wrong.predicted_rows.rows == (("other", None),)
    failed = questions.judge(question, row, {"sql": "SELECT nothing FROM nowhere"})
    assert failed.predicted_rows is None and failed.gold_rows == right.gold_rows
    assert "gold_rows" not in failed.errored("engine failed").fields()


def test_a_question_is_asked_again_under_the_options_that_decide_its_answer():
    given = {"experiment": "my study.toml", "merge": True, "any_base": False, "shots": 0, "spider": None, "html": "x"}
    given |= {"mmlu_subjects": ("virology", "law"), "plugins": ["no:deepeval", "arithmetic"], "max_samples": 3}
    said = asking_options(given, BUILT_IN)
    assert said == "-p arithmetic '--experiment=my study.toml' --merge --shots=0 --mmlu-subjects=virology,law"
