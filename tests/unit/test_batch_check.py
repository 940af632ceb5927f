"""Answers asked a second time, alone: which, and how many of them changed."""

from types import SimpleNamespace

import pytest

from fixtures.adapters.specs import Adapter
from fixtures.answers.batch_check import asked_alone, changed_alone, lone_key
from fixtures.store.answer_store import AnswerStore, answer_key
from fixtures.study.tasks import Task
from trainer.prompts import LETTERS, Prompt
from trainer.study.experiment import load_experiment

ENGINE = SimpleNamespace(name="transformers")
SETTINGS = load_experiment("miniature").base_model


def key(task):
    return answer_key(task=task.id)


def tasks(suite, count):
    own = {"scoring": "letter"} if suite == "mmlu" else {}
    options = tuple(f" {letter}" for letter in LETTERS) if suite == "mmlu" else ()
    adapter = Adapter("base", "base", "base")
    return [
        Task(suite, adapter, None, "", Prompt(), {"question": f"{suite}-{number}", **own}, options)
        for number in range(count)
    ]


@pytest.mark.parametrize(
    ("asked", "dtype", "count"), [(None, "float32", 0), (None, "bfloat16", 16), (3, "float32", 6), (0, "bfloat16", 0)]
)
def test_as_many_as_the_precision_asks_for_or_the_command(asked, dtype, count):
    settings = SETTINGS.model_copy(update={"dtype": dtype})
    assert len(asked_alone(tasks("spider", 40) + tasks("mmlu", 40), asked, ENGINE, settings)) == count


def test_another_text_or_another_option_is_a_changed_answer(tmp_path):
    store, spider, mmlu = AnswerStore(tmp_path / "answers.sqlite"), tasks("spider", 3), tasks("mmlu", 2)
    together = [{"reply": "SELECT 1"}] * 3 + [{"log_likelihoods": [-1.0, -2.0, -3.0, -4.0]}] * 2
    store.put({key(task): answer for task, answer in zip(spider + mmlu, together, strict=True)})
    alone = [{"reply": "SELECT 1"}, {"reply": "SELECT 2"}]
    alone += [{"log_likelihoods": [-1.1, -2.0, -3.0, -4.0]}, {"log_likelihoods": [-2.1, -2.0, -3.0, -4.0]}]
    store.put({lone_key(key(task)): answer for task, answer in zip(spider[:2] + mmlu, alone, strict=True)})
    assert changed_alone(spider + mmlu, key, store) == {
        "spider/base": {"asked": 2, "changed": 1},
        "mmlu/base": {"asked": 2, "changed": 1},
    }
    store.close()
