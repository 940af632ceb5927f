import pytest

from custom_metrics.statistics import Finding
from fixtures.results.types import Accuracy, Change, Summary
from fixtures.scores.gates import GateError, NotEvaluated, parse_gate

SUITES = ["spider", "mmlu"]
ADAPTERS = [("base", "base"), ("cfg1", "cfg1"), ("cfg1:7", "cfg1-seed7")]


def gate(text):
    return parse_gate(text, SUITES, ADAPTERS)


def summary(suite="spider", adapter="cfg1", accuracy=0.6, difference=0.5, complete=True):
    head = {"suite": suite, "adapter": adapter, "group": "all", "low": 0.0, "high": 1.0, "clustered_error": None}
    whole = Accuracy(**head, complete=complete, n=10, correct=6, errored=0, accuracy=accuracy)
    counts = {"n": 10, "gained": 5, "lost": 0, "base_correct": 1, "tuned_correct": 6, "p": 0.1, "p_holm": None}
    rest = {"percentage_change": None, "smallest_visible": None, "questions_needed": None}
    change = Change(**head, against="base", difference=difference, **counts, **rest, verdict=Finding.NO_LOSS_SHOWN)
    return Summary(experiment="tiny", accuracies=[whole], comparisons=[change] if complete else [])


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
    assert gate(text).judge(summary()).holds is holds


def test_a_gate_on_an_incomplete_set_is_not_judged():
    assert gate("spider.cfg1 >= 0.1").judge(summary(complete=False)).holds is None


def test_names_with_other_characters_are_quoted():
    quoted = gate('mmlu."cfg1:7".loss <= 0.02')
    assert quoted.judge(summary("mmlu", "cfg1-seed7", difference=-0.03)).holds is False


@pytest.mark.parametrize("text", ["spider.cfg1", "sql.cfg1 > 0", "spider.cfg1 == 1", "spider.cfg1.f1 > 0", ""])
def test_what_is_no_gate_is_refused_with_an_example(text):
    with pytest.raises(GateError, match="cannot be read. Write e.g."):
        gate(text)


def test_a_gate_on_an_adapter_that_is_not_evaluated_names_those_that_are():
    with pytest.raises(NotEvaluated, match="'cfg9' is not evaluated. This run has base, cfg1, cfg1:7"):
        gate("spider.cfg9 > 0")
