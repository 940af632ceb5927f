"""Accuracy on MMLU: one test per adapter and question, by log-likelihood."""

import pytest

from custom_metrics.multiple_choice import choose_cloze, choose_letter, letter_mass
from fixtures.tasks import Task


@pytest.mark.mmlu
def test_mmlu(task: Task, answer: dict, record_score):
    """The right option has the highest log-likelihood; a wrong choice fails with one line."""
    log_likelihoods = answer["log_likelihoods"]
    letter = task.row["scoring"] == "letter"
    chosen = (
        choose_letter(log_likelihoods)
        if letter
        else choose_cloze(log_likelihoods, [len(c) for c in task.question.choices])
    )
    record_score(
        chosen=chosen,
        correct=int(chosen == task.question.answer),
        log_likelihoods=log_likelihoods,
        generated=answer["generated"],
        letter_mass=letter_mass(log_likelihoods) if letter else None,
    )
    if chosen != task.question.answer:
        pytest.fail(f"chose {chosen}, right is {task.question.answer}: {task.question.question}", pytrace=False)
