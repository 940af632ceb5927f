"""Accuracy on MMLU in chat: one test per adapter and question, by what the model writes."""

import pytest

from fixtures.questions.mmlu_generated.row import MmluGeneratedRow
from fixtures.study.tasks import Task
from trainer.study.outside import harmless


@pytest.mark.mmlu_generated
def test_mmlu_generated(task: Task, score: MmluGeneratedRow, record_score):
    """The reply chooses the right option; a wrong choice, or none, fails with one line."""
    record_score(score)
    if not score.right:
        pytest.fail(harmless(f"{score.why}: {score.question_text}"), pytrace=False)
