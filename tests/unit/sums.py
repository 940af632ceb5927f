"""A suite of which no file of the product knows: sums, each with four options."""

from pathlib import Path
from typing import ClassVar

from fixtures.questions.row import Row, Status
from fixtures.questions.suite import Side, Suite


class SumRow(Row):
    """A row that says no more than it must."""

    JUDGED: ClassVar = ("chosen", "correct")

    chosen: str | None = None
    correct: int | None = None
    reason: str | None = None
    status: Status = "errored"

    group = property(lambda self: "small" if int(self.number) < 10 else "large")
    cluster = property(lambda self: f"{int(self.number)} plus")
    asked_text = property(lambda self: f"{int(self.number)} + 2")
    gold_text = property(lambda self: f"B. {int(self.number) + 2}")
    answer_text = property(lambda self: self.chosen or "")
    why = property(lambda self: "another sum")


class ClassedSumRow(SumRow):
    """A wrong one has a class; of no group."""

    group = property(lambda self: "")
    error = property(lambda self: None if self.right else "off by one")


SUMS = Suite(
    name="arithmetic",
    side=Side.COST,
    row=SumRow,
    tests=Path(__file__),
    open=lambda experiment, options: None,
    test_id=lambda row: row.question,
    short="sums",
    dataset="Sums",
    split="test",
    metric="accuracy",
    title="Sums, most likely option",
    group_title="size",
    cluster_title="first term",
)


def sum_rows(slug: str, right: int, row: type[SumRow] = SumRow, total: int = 20) -> list[SumRow]:
    """The answers of one adapter to all ``total`` sums, of which the first are ``right``."""
    answered = [{"chosen": "B", "correct": 1} if n < right else {"chosen": "C", "correct": 0} for n in range(total)]
    return [
        row(suite="arithmetic", adapter=slug, question=f"sum-{n:04d}", status="scored", **found)
        for n, found in enumerate(answered)
    ]
