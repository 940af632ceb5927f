"""lm-evaluation-harness's own run of its ``mmlu`` task on questions given here, and without a network.

Prompts come from the task files in its package; only where the questions come from is replaced.
"""

import logging
import socket
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from trainer.mmlu.sources import MmluQuestion, MmluSource
from trainer.prompts import LETTERS

if TYPE_CHECKING:
    from lm_eval.models.huggingface import HFLM

NUM_SHOTS = 4


class Scored(NamedTuple):
    """What the harness sent and found: the prompt, the options' log-likelihoods, whether each rule was right."""

    prompt: str
    continuations: list[str]
    log_likelihoods: list[float]
    metrics: dict[str, float]


def load_harness(folder: Path, batch_size: int) -> "HFLM":
    """The harness's model, from the folder that our engine loads, in float32 on the CPU."""
    from lm_eval.models.huggingface import HFLM

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    return HFLM(pretrained=str(folder), dtype="float32", device="cpu", batch_size=batch_size)


def mmlu_tasks(source: MmluSource, questions: Sequence[MmluQuestion]) -> list[dict]:
    """The harness's task of every subject, asked ``questions`` with the whole dev split to take exemplars from."""
    import lm_eval
    import yaml

    folder = Path(lm_eval.__file__).parent / "tasks" / "mmlu" / "default"
    template = yaml.safe_load((folder / "_default_template_yaml").read_text(encoding="utf-8"))
    tasks = []
    for subject in dict.fromkeys(question.subject for question in questions):
        own = yaml.safe_load((folder / f"mmlu_{subject}.yaml").read_text(encoding="utf-8"))
        asked = [question for question in questions if question.subject == subject]
        tasks.append(
            template
            | {key: own[key] for key in ("task", "description")}
            | {"custom_dataset": _splits(test=asked, dev=source.exemplars(subject, 5))}
        )
    return tasks


def cloze_task(asked: Sequence[tuple[MmluQuestion, str]]) -> dict:
    """A task that scores the options' texts after prompts as they are given: ``(question, prompt)``."""
    rows = [_row(question) | {"prompt": prompt} for question, prompt in asked]
    metrics = [{"metric": name, "aggregation": "mean", "higher_is_better": True} for name in ("acc", "acc_norm")]
    return {
        "task": "mmlu_cloze",
        "custom_dataset": lambda **_: _datasets({"test": rows}),
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{prompt}}",
        "doc_to_choice": "{{choices}}",
        "doc_to_target": "answer",
        "metric_list": metrics,
    }


def run_harness(model: "HFLM", tasks: list[dict], num_shots: int) -> dict[str, Scored]:
    """Every question's result, by its id."""
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    # The tasks are given whole: those of its package, 14,000 files, need not be read each time.
    manager = TaskManager(include_defaults=False)
    settings = {"num_fewshot": num_shots, "bootstrap_iters": 0, "log_samples": True}
    found = simple_evaluate(model, tasks=tasks, task_manager=manager, **settings)
    return {
        sample["doc"]["id"]: Scored(
            sample["arguments"][0][0],
            [continuation for _, continuation in sample["arguments"]],
            [log_likelihood for log_likelihood, _ in sample["filtered_resps"]],
            {name: sample[name] for name in sample["metrics"]},
        )
        for samples in found["samples"].values()
        for sample in samples
    }


@contextmanager
def no_network():
    """No name is looked up within; whoever tries fails."""

    def refuse(host, *_, **__):
        raise AssertionError(f"the name {host!r} was looked up")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", refuse)
        yield


def _splits(**splits: Sequence[MmluQuestion]):
    rows = {name: [_row(question) for question in questions] for name, questions in splits.items()}
    return lambda **_: _datasets(rows)


def _row(question: MmluQuestion) -> dict:
    answer = LETTERS.index(question.answer)
    return {"id": question.id, "question": question.question, "choices": list(question.choices), "answer": answer}


def _datasets(rows: dict[str, list[dict]]):
    from datasets import Dataset, DatasetDict

    return DatasetDict({name: Dataset.from_list(own) for name, own in rows.items()})
