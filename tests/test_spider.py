"""Execution accuracy on Spider dev: one test per adapter and question."""

import pytest

from fixtures.questions.spider.row import SpiderRow
from fixtures.study.tasks import Task
from trainer.study.outside import harmless


@pytest.mark.spider
def test_spider(task: Task, score: SpiderRow, execution_accuracy, record_score):
    """The adapter's SQL returns the gold SQL's result; a wrong answer fails with one line."""
    record_score(score)
    if not execution_accuracy(task, score):
        pytest.fail(harmless(score.why), pytrace=False)
