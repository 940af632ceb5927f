"""Reading replies, on Spider's own queries and on what published systems predicted."""

import pytest

from custom_metrics.sql.extraction import extract_sql
from tests.envelopes import ENVELOPES

pytestmark = pytest.mark.parity


@pytest.mark.parametrize("envelope", ENVELOPES)
def test_every_dev_query_comes_out_as_it_went_in(parity_data, envelope):
    wrap = ENVELOPES[envelope]
    gold = [entry["query"].strip().rstrip("; ") for entry in parity_data.questions()]
    assert len(gold) == 1034
    assert [sql for sql in gold if extract_sql(wrap(sql)) != sql] == []


def test_published_predictions_lose_nothing_but_prompts_and_debris(parity_data):
    """One system has its prompt before 164 of its predictions; three lines end in debris or have smart quotes."""
    differing = [
        (sql, found)
        for system in parity_data.systems()
        for sql in parity_data.predictions(system)
        if (found := extract_sql(sql)) != sql.strip().rstrip("; ")
    ]
    prompts = [sql for sql, _ in differing if sql.startswith("I want you to act as a SQL terminal")]
    assert (len(differing), len(prompts)) == (167, 164)
    assert [sql for sql, found in differing if found is None] == [sql for sql in prompts if "select" not in sql]
