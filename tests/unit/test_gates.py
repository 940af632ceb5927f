import pytest

from fixtures.adapters.specs import Adapter
from fixtures.scores.gates import GateError, parse_gate

ADAPTERS = [
    Adapter("base", "base", "base"),
    Adapter("cfg1", "cfg1", "configuration"),
    Adapter("cfg1:7", "cfg1-seed7", "configuration"),
]


def summary(suite="spider", adapter="cfg1", accuracy=0.6, difference=0.5, complete=True):
    accuracies = [{"suite": suite, "adapter": adapter, "group": "all", "accuracy": accuracy, "complete": complete}]
    comparisons = [{"suite": suite, "adapter": adapter, "group": "all", "difference": difference}] if complete else []
    return {"accuracies": accuracies, "comparisons": comparisons}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("spider.cfg1 >= 0.60", True),
        ("spider.cfg1 > 0.60", False),
        ("spider.cfg1.gain >= .4", True),
        ("spider.cfg1.loss <= 0", True),
        ("spider.cfg1.accuracy < 0.5", False),
    ],
)
def test_a_gate_compares_the_measured_value(text, holds):
    assert parse_gate(text, ADAPTERS).judge(summary())["holds"] is holds


def test_a_gate_on_an_incomplete_set_is_not_judged():
    assert parse_gate("spider.cfg1 >= 0.1", ADAPTERS).judge(summary(complete=False))["holds"] is None


def test_names_with_other_characters_are_quoted():
    gate = parse_gate('mmlu."cfg1:7".loss <= 0.02', ADAPTERS)
    assert gate.judge(summary("mmlu", "cfg1-seed7", difference=-0.03))["holds"] is False


@pytest.mark.parametrize("text", ["spider.cfg1", "sql.cfg1 > 0", "spider.cfg1 == 1", "spider.cfg1.f1 > 0", ""])
def test_what_is_no_gate_is_refused_with_an_example(text):
    with pytest.raises(GateError, match="cannot be read. Write e.g."):
        parse_gate(text, ADAPTERS)


def test_a_gate_on_an_adapter_that_is_not_evaluated_names_those_that_are():
    with pytest.raises(GateError, match="'cfg9' is not evaluated. This run has base, cfg1, cfg1:7"):
        parse_gate("spider.cfg9 > 0", ADAPTERS)
