"""Accuracy on MMLU: one test per adapter and question, by log-likelihood."""

import pytest

from custom_metrics.multiple_choice import letter_mass
from fixtures.questions.mmlu import chosen_option
from fixtures.study.tasks import Task


@pytest.mark.mmlu
def test_mmlu(task: Task, answer: dict, record_score):
    """The right option has the highest log-likelihood; a wrong choice fails with one line."""
    log_likelihoods = answer["log_likelihoods"]
    chosen = chosen_option(task, log_likelihoods)
    record_score(
        chosen=chosen,
        correct=int(chosen == task.question.answer),
        log_likelihoods=log_likelihoods,
        generated=answer["generated"],
        letter_mass=letter_mass(log_likelihoods) if task.row["scoring"] == "letter" else None,
    )
    if chosen != task.question.answer:
        pytest.fail(f"chose {chosen}, right is {task.question.answer}: {task.question.question}", pytrace=False)
