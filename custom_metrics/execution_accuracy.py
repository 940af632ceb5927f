"""Execution accuracy as a DeepEval metric; the judging itself is in ``sql.verdict`` and needs no DeepEval."""

import asyncio
from pathlib import Path

from deepeval.metrics import BaseMetric
from deepeval.test_case import LLMTestCase

from custom_metrics.sql.execution import DEFAULT_TIMEOUT_S
from custom_metrics.sql.verdict import Verdict, gold_result, judge_reply

DATABASE_KEY = "database"


class ExecutionAccuracy(BaseMetric):
    """1.0 if the predicted SQL returns the gold SQL's result on the question's database, else 0.0.

    Reads ``actual_output`` (the model's reply, prose and fences allowed), ``expected_output`` (gold SQL) and
    ``metadata["database"]`` (path of the SQLite file).
    A reply without SQL, SQL that fails and SQL slower than ``timeout_s`` seconds all score 0.0;
    ``reason`` says which, and ``score_breakdown`` holds the three conventions. The gold query failing is our fault,
    not the model's, and raises GoldQueryError.

    A case that has been judged already is not judged again: pass its ``verdict``.
    """

    def __init__(
        self, *, threshold: float = 1.0, timeout_s: float = DEFAULT_TIMEOUT_S, verdict: Verdict | None = None
    ) -> None:
        self.threshold = threshold
        self.timeout_s = timeout_s
        self.verdict = verdict

    def measure(self, test_case: LLMTestCase, *args, **kwargs) -> float:
        """Judge ``test_case``; DeepEval passes more arguments than a metric without a judge model needs."""
        verdict = self.verdict or self._judge(test_case)
        self.score = float(verdict.assignment)
        self.score_breakdown = {name: getattr(verdict, name) for name in ("assignment", "official", "bird")}
        self.reason = verdict.reason
        self.success = self.is_successful()
        return self.score

    async def a_measure(self, test_case: LLMTestCase, *args, **kwargs) -> float:
        """``measure`` on a thread of its own, so that a slow query holds up no other case."""
        return await asyncio.to_thread(self.measure, test_case)

    def is_successful(self) -> bool:
        """Whether the last measured score reaches the threshold."""
        return self.error is None and self.score is not None and self.score >= self.threshold

    @property
    def __name__(self) -> str:
        return "Execution Accuracy"

    def _judge(self, test_case: LLMTestCase) -> Verdict:
        database = (test_case.metadata or {}).get(DATABASE_KEY)
        if database is None or test_case.expected_output is None:
            raise ValueError(
                "ExecutionAccuracy needs expected_output (gold SQL) and the database's path in "
                f"metadata[{DATABASE_KEY!r}]; got expected_output={test_case.expected_output!r}, "
                f"metadata={test_case.metadata!r}"
            )
        gold = gold_result(Path(database), test_case.expected_output, timeout_s=self.timeout_s)
        return judge_reply(test_case.actual_output or "", gold, timeout_s=self.timeout_s)
