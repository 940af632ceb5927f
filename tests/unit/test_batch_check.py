"""Answers asked a second time, alone: which, and how many of them changed."""

from types import SimpleNamespace

import pytest

from fixtures.adapters.adapter import Adapter
from fixtures.answers.batch_check import asked_alone, changed_alone
from fixtures.answers.keys import known_base, lone_key, task_key
from fixtures.questions.mmlu.suite import MMLU
from fixtures.questions.spider.suite import SPIDER
from fixtures.store.answer_store import AnswerStore
from fixtures.study.study import Asking, Places, Study
from trainer.study.experiment import load_experiment

ENGINE = SimpleNamespace(name="transformers")
EXPERIMENT = load_experiment("miniature")


@pytest.fixture
def study(tmp_path):
    """The base asked 40 questions of each suite, nothing answered yet."""
    return Study(
        experiment=EXPERIMENT,
        suites=(SPIDER, MMLU),
        questions={
            "spider": SPIDER.open(EXPERIMENT, {"shots": None, "keep_distinct": False, "plug_value": False}),
            "mmlu": MMLU.open(EXPERIMENT, {}),
        },
        adapters=(Adapter("base", "base", "base"),),
        places=Places(tmp_path, tmp_path, tmp_path),
        asking=Asking(max_samples=40),
    )


@pytest.mark.parametrize(
    ("asked", "dtype", "count"), [(None, "float32", 0), (None, "bfloat16", 80), (3, "float32", 6), (0, "bfloat16", 0)]
)
def test_as_many_as_the_precision_asks_for_or_the_command(asked, dtype, count, study):
    settings = EXPERIMENT.base_model.model_copy(update={"dtype": dtype})
    assert len(asked_alone(study.all_tasks(), asked, ENGINE, settings)) == count


def test_another_text_or_another_option_is_a_changed_answer(study):
    store = AnswerStore(study.places.answers)
    base, spider, mmlu = known_base(study, store), study.tasks(SPIDER)[:3], study.tasks(MMLU)[:2]
    scored = {"generated": " A"}
    together = [{"reply": "SELECT 1"}] * 3 + [scored | {"log_likelihoods": [-1.0, -2.0, -3.0, -4.0]}] * 2
    store.put({task_key(task, base): answer for task, answer in zip(spider + mmlu, together, strict=True)})
    right = "ABCD".index(mmlu[1].question.answer)
    likely = [-2.0 - 2 * (place != right) for place in range(4)]
    alone = [{"reply": "SELECT 1"}, {"reply": spider[1].question.gold_sql}]
    alone += [scored | {"log_likelihoods": found} for found in ([-1.1, -2.0, -3.0, -4.0], likely)]
    store.put({lone_key(task_key(task, base)): said for task, said in zip(spider[:2] + mmlu, alone, strict=True)})
    store.close()
    assert changed_alone(study) == {
        "spider/base": {"asked": 2, "changed": 1, "gained": 1, "lost": 0, "batch_size": 64},
        "mmlu/base": {"asked": 2, "changed": 1, "gained": 1, "lost": 0, "batch_size": 64},
    }
