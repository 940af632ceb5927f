"""Accuracy on MMLU: one test per adapter and question, by log-likelihood."""

import pytest

from fixtures.questions.mmlu.row import MmluRow
from fixtures.study.tasks import Task
from trainer.study.outside import harmless


@pytest.mark.mmlu
def test_mmlu(task: Task, score: MmluRow, record_score):
    """The right option has the highest log-likelihood; a wrong choice fails with one line."""
    record_score(score)
    if not score.right:
        pytest.fail(harmless(f"{score.why}: {score.question_text}"), pytrace=False)
