"""Agreement with Spider's official evaluator, verdict by verdict, and with the package its rewriting rests on."""

import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from custom_metrics.sql.official_rewrites import official_prediction, remove_distinct
from custom_metrics.sql.verdict import gold_result, judge_sql

pytestmark = pytest.mark.parity

# Every recorded verdict of 1 was reached in less; the one prediction that takes longer is a 0 either way.
TIMEOUT_S = 10.0


@pytest.fixture(scope="module")
def gold_results(parity_data):
    """The gold results of all questions, in dev order: half a second."""
    return [gold_result(parity_data.database(entry["db_id"]), entry["query"]) for entry in parity_data.questions()]


@pytest.mark.parametrize(
    "system",
    [
        "c3-chatgpt",
        "codes-1b",
        "codes-7b",
        "codex-few-shot",
        "dail-sql-gpt4",
        "dbgpt-hub-lora32-lr2e4",
        "din-sql-codex",
        "gpt4-few-shot",
        "gpt4-zero-shot",
        "graphix-t5-3b-picard",
        "nl2sqlbench-base-qwen-qwen3-8b",
        "taoyds-pred-example",
    ],
)
def test_every_verdict_of_a_published_system(parity_data, gold_results, system):
    recorded = parity_data.verdicts(system)
    ours = [
        judge_sql(sql, gold, timeout_s=TIMEOUT_S).official
        for sql, gold in zip(parity_data.predictions(system), gold_results, strict=True)
    ]
    assert len(ours) == 1034
    assert [entry["index"] for entry, verdict in zip(recorded, ours, strict=True) if entry["verdict"] != verdict] == []


def test_gold_against_gold_is_right_under_every_convention(parity_data, gold_results):
    verdicts = [judge_sql(gold.gold_sql, gold) for gold in gold_results]
    wrong = [
        index for index, verdict in enumerate(verdicts) if not verdict.assignment & verdict.official & verdict.bird
    ]
    assert wrong == []


def test_predictions_are_rewritten_as_recorded(parity_data):
    """The record says how a query read where the evaluator's rewriting changed it (before DISTINCT was removed)."""
    for system in parity_data.systems():
        predictions = parity_data.predictions(system)
        for entry in parity_data.verdicts(system):
            if "predicted_sql_as_evaluated" in entry:
                ours = official_prediction(predictions[entry["index"]], keep_distinct=True)
                assert ours == entry["predicted_sql_as_evaluated"]


def remove_distinct_with_sqlparse(sql: str) -> str:
    """How the official evaluator removes DISTINCT: from the tokens of the first statement that sqlparse finds."""
    import sqlparse

    tokens = [token.value for token in sqlparse.parse(sql)[0].flatten()]
    return "".join(token for token in tokens if token.lower() != "distinct")


def test_distinct_is_removed_from_published_predictions_as_sqlparse_would(parity_data):
    differing = [
        sql
        for system in parity_data.systems()
        # The package takes a millisecond a query.
        for sql in parity_data.predictions(system)[::5]
        if remove_distinct(sql) != remove_distinct_with_sqlparse(sql)
    ]
    assert differing == []


# Without $ and ? (SQLite takes them for parameters, and then refuses the query, wherever sqlparse sees a word).
PIECES = st.sampled_from(
    ["select", "DISTINCT", "distinct", " ", "\n", "(", ")", ";", "'", '"', "`", "a", "distincts", "x.", "--c\n"]
    + ["/* */", "[", "]", "1", "1.5", ",", "+", "-", "case", "end ", "é", ".distinct", "''", "\\'", "T1.a", "= "]
)


@settings(max_examples=2000, deadline=None)
@given(sql=st.lists(PIECES, min_size=1, max_size=15).map("".join))
def test_distinct_is_removed_from_any_text_as_sqlparse_would(sql):
    assume(sql.strip())
    ours, reference = remove_distinct(sql), remove_distinct_with_sqlparse(sql)
    # sqlparse leaves the comments that follow a statement's semicolon with it; they change nothing.
    assert reference.startswith(ours)
    assert re.fullmatch(r"(\s|--.*)*", reference.removeprefix(ours))
