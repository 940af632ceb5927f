"""Execution accuracy on Spider dev: one test per adapter and question."""

import pytest

from fixtures.study.tasks import Task


@pytest.mark.spider
def test_spider(task: Task, answer: dict, gold, execution_accuracy, record_score):
    """The adapter's SQL returns the gold SQL's result; a wrong answer fails with one line."""
    judged, metric = execution_accuracy(task, answer, gold)
    record_score(reply=answer.get("reply", answer.get("sql")), **judged.fields())
    if not metric.is_successful():
        pytest.fail(judged.reason, pytrace=False)
