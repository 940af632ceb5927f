import asyncio

import pytest

from custom_metrics.sql.execution import GoldQueryError
from custom_metrics.sql.verdict import Verdict

GOLD_SQL = "SELECT count(*) FROM singer"


@pytest.fixture
def metric_class():
    from custom_metrics.execution_accuracy import ExecutionAccuracy

    return ExecutionAccuracy


@pytest.fixture
def case(tiny_database):
    """``case(reply)``: a DeepEval test case about the tiny database."""
    from deepeval.test_case import LLMTestCase

    def make(reply: str, gold_sql: str = GOLD_SQL):
        metadata = {"database": str(tiny_database)}
        return LLMTestCase(input="How many singers?", actual_output=reply, expected_output=gold_sql, metadata=metadata)

    return make


def test_a_right_reply_scores_1(metric_class, case):
    metric = metric_class()
    assert metric.measure(case(f"```sql\n{GOLD_SQL}\n```")) == 1.0
    assert metric.is_successful()
    assert (metric.reason, metric.__name__) == ("same result", "Execution Accuracy")


def test_a_wrong_reply_scores_0_and_says_why(metric_class, case):
    metric = metric_class()
    assert metric.measure(case("SELECT count(*) FROM concert")) == 0.0
    assert not metric.is_successful()
    assert metric.reason == "1 of 1 rows differ: (400,) is missing"
    assert metric.score_breakdown == {"assignment": 0, "official": 0, "bird": 0}


def test_a_measure_agrees_with_measure(metric_class, case):
    assert asyncio.run(metric_class().a_measure(case(GOLD_SQL))) == 1.0


def test_a_broken_gold_query_raises(metric_class, case):
    with pytest.raises(GoldQueryError):
        metric_class().measure(case(GOLD_SQL, gold_sql="SELECT count(*) FROM singers"))


def test_a_case_without_a_database_is_refused(metric_class, case):
    incomplete = case(GOLD_SQL)
    incomplete.metadata = None
    with pytest.raises(ValueError, match="metadata\\['database'\\]"):
        metric_class().measure(incomplete)


def test_a_verdict_given_is_not_reached_again(metric_class, case):
    verdict = Verdict("SELECT 1", 1, 0, 1, "judged before", None)
    metric = metric_class(verdict=verdict)
    assert metric.measure(case("nonsense")) == 1.0
    assert metric.reason == "judged before"


@pytest.mark.parametrize("run_async", [True, False])
def test_assert_test_of_deepeval(metric_class, case, run_async):
    """DeepEval runs ``measure`` in a helper thread, or ``a_measure`` on an event loop."""
    from deepeval import assert_test

    assert_test(case(GOLD_SQL), [metric_class()], run_async=run_async)
    with pytest.raises(AssertionError, match="no SQL in the reply"):
        assert_test(case("I don't know."), [metric_class()], run_async=run_async)
