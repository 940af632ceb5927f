"""Gates: on the number, on the bounds of its interval, on what changed since an earlier run; and what they end in."""

import operator
from itertools import product

import pytest

from custom_metrics.statistics import Design, Finding
from fixtures.report.gate_sentences import gate_reason, gate_state, why_exit
from fixtures.results.types import Accuracy, Change, Since, Spread, Summary
from fixtures.scores.exit_status import decide
from fixtures.scores.gates import GateError, NotEvaluated, parse_gate
from tests.processes import run_pytest

SUITES = ["spider", "mmlu"]
ADAPTERS = [("base", "base"), ("cfg1", "cfg1"), ("cfg1:7", "cfg1-seed7")]
OPERATORS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
# Of the summary below: the number, and its lower and upper bound.
MEASURES = {
    "accuracy": (0.6, 0.52, 0.67),
    "gain": (0.05, -0.01, 0.11),
    "loss": (-0.05, -0.11, 0.01),
    "regression": (0.03, -0.02, 0.08),
}


def gate(text):
    return parse_gate(text, SUITES, ADAPTERS)


def summary(suite="spider", adapter="cfg1", accuracy=0.6, difference=0.05, complete=True):
    """60 % right, 5 points more than the base and 3 points less than in an earlier run."""
    head = {"suite": suite, "adapter": adapter}
    design = {"clusters": 10, "design": Design.CLUSTERED}
    ends = {"low": 0.52, "high": 0.67, "standard_error": 0.04}
    counts = {"n": 100, "correct": 60, "errored": 0, "accuracy": accuracy}
    whole = Accuracy(**head, group="all", complete=complete, **counts, **ends, **design)
    bounds = {"difference": difference, "low": -0.02, "high": 0.12, "lower": -0.01, "upper": 0.11, "p": 0.1}
    changed = {"gained": 9, "lost": 4, "base_correct": 55, "tuned_correct": 60, "percentage_change": 9.1}
    rest = {"standard_error": 0.03, "degrees_of_freedom": 9.0, "questions_enough": 900, "clusters_enough": 90}
    change = Change(
        **head,
        **design,
        **(bounds | changed | rest | dict.fromkeys(("very_low", "very_high", "very_p"))),
        **{"against": "base", "group": "all", "n": 100, "seeds": 1, "family": 1, "verdict": Finding.UNDECIDED},
    )
    since = {"difference": -0.03, "low": -0.09, "high": 0.03, "lower": -0.08, "upper": 0.02, "regression": 0.03}
    since |= {"n": 100, "gained": 2, "lost": 5, "p": 0.3, "gained_questions": [], "lost_questions": []}
    compared = {"comparisons": [change], "earlier": [Since(**head, **since)]} if complete else {}
    return Summary(experiment="tiny", accuracies=[whole], **compared)


@pytest.mark.parametrize(("measure", "end", "sign"), list(product(MEASURES, ("", ".lower", ".upper"), OPERATORS)))
def test_a_gate_compares_what_it_names(measure, end, sign):
    """Of every measure the number and both bounds, on both sides of the limit."""
    number, lower, upper = MEASURES[measure]
    value = {"": number, ".lower": lower, ".upper": upper}[end]
    for limit in (value - 0.001, value + 0.001):
        judged = gate(f"spider.cfg1.{measure}{end} {sign} {limit:.6f}").judge(summary())
        assert judged.holds is OPERATORS[sign](value, limit)
        assert judged.value == pytest.approx(value)
        kind = "end of the 95% interval" if measure == "accuracy" else "one-sided 95% bound"
        assert judged.measured == (f"the {end[1:]} {kind}" if end else "as counted")


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("spider.cfg1 >= 0.60", True),
        ("spider.cfg1 > 0.60", False),
        ("spider.cfg1.gain >= .05", True),
        ("spider.cfg1.loss <= 0", True),
        ("spider.cfg1.accuracy < 0.5", False),
    ],
)
def test_a_limit_is_met_or_not(text, holds):
    assert gate(text).judge(summary()).holds is holds


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("spider.cfg1.loss.upper <= 0.02", "holds"),
        ("spider.cfg1.loss.upper <= 0", "undecided"),  # -0.11 would hold
        ("spider.cfg1.loss.upper <= -0.2", "broken"),  # no end of the interval would
        ("spider.cfg1.gain.lower >= 0", "undecided"),
        ("spider.cfg1.gain.lower >= 0.2", "broken"),
        ("spider.cfg1.regression.upper <= 0.05", "undecided"),
        ("spider.cfg1.lower >= 0.6", "undecided"),
        ("spider.cfg1.lower >= 0.7", "broken"),
    ],
)
def test_a_bound_that_more_questions_might_move_is_undecided(text, state):
    assert gate_state(gate(text).judge(summary())) == state


def test_a_gate_on_the_number_says_when_its_interval_crosses_the_limit():
    crossed, clear = (gate(f"spider.cfg1.loss <= {limit}").judge(summary()) for limit in (0, 0.02))
    assert crossed.holds and clear.holds
    assert gate_reason(crossed) == "-0.0500, as counted; undecided, as its interval crosses the limit"
    assert gate_reason(clear) == "-0.0500, as counted"
    assert gate_state(crossed) == "holds"


@pytest.mark.parametrize(("fail", "status"), [(True, 1), (False, 0)])
def test_undecided_gates_fail_or_warn_and_the_last_line_says_by_what(fail, status):
    gates = [
        gate(text).judge(summary())
        for text in ("spider.cfg1 >= 0.6", "spider.cfg1.loss.upper <= 0", "spider.cfg1.gain > 0.2")
    ]
    kept = {"selected": 100, "seen": 100, "errored": 0, "other_failures": 0, "required": []}
    undecided = decide(0, gates=gates[:2], **kept, undecided_fail=fail)
    assert (undecided.status, undecided.gates_held) == (status, 1)
    number = "spider.cfg1.loss.upper <= 0 (0.0100, the upper one-sided 95% bound)"
    said = f"gate undecided: {number}"
    if not fail:
        said = f"all 100 questions measured, 1 gates hold, undecided and not held against the run: {number}"
    assert why_exit(undecided) == said
    broken = decide(0, gates=gates, **kept, undecided_fail=fail)
    assert broken.status == 1 and "gate broken: spider.cfg1.gain > 0.2 (0.0500, as counted)" in why_exit(broken)
    assert (number in why_exit(broken)) == fail


def test_a_gate_on_an_incomplete_set_is_not_judged():
    for text in ("spider.cfg1 >= 0.1", "spider.cfg1.loss.upper <= 0.5", "spider.cfg1.regression <= 0.5"):
        judged = gate(text).judge(summary(complete=False))
        assert judged.holds is None and not judged.undecided and gate_state(judged) == "not judged"


@pytest.mark.parametrize("name", ["cfg1*.5", "cfg1*0.50", "cfg1*0.5", "cfg1-x0.5"])
def test_a_gate_finds_a_scale_in_any_spelling(name):
    assert parse_gate(f'spider."{name}" >= 0.6', ["spider"], [("cfg1*0.5", "cfg1-x0.5")]).adapter == "cfg1-x0.5"


def test_names_with_other_characters_are_quoted():
    quoted = gate('mmlu."cfg1:7".loss <= 0.02')
    assert quoted.judge(summary("mmlu", "cfg1-seed7", difference=-0.03)).holds is False


@pytest.mark.parametrize(
    "text", ["spider.cfg1", "sql.cfg1 > 0", "spider.cfg1 == 1", "spider.cfg1.f1 > 0", "spider.cfg1.low > 0", ""]
)
def test_what_is_no_gate_is_refused_with_an_example(text):
    with pytest.raises(GateError, match="cannot be read. Write e.g."):
        gate(text)


def test_a_gate_on_an_adapter_that_is_not_evaluated_names_those_that_are():
    with pytest.raises(NotEvaluated, match="'cfg9' is not evaluated. This run has base, cfg1, cfg1:7"):
        gate("spider.cfg9 > 0")


def of_two_seeds():
    """The same, where cfg1 is the mean of two trainings, each of which lost more than the limit below."""
    single = summary()
    change = single.comparisons[0].model_copy(update={"suite": "mmlu", "verdict": None, "lower": -0.09})
    mean = change.model_copy(update={"seeds": 2, "lower": -0.01, "verdict": Finding.NO_WORSE})
    spread = {"suite": "mmlu", "configuration": "cfg1", "adapters": ["cfg1", "cfg1-seed7"], "seeds": 2, "mean": 0.7}
    spreads = [Spread(**spread, standard_deviation=0.1, mean_change=0.05, change_deviation=0.01)]
    other = change.model_copy(update={"adapter": "cfg1-seed7"})
    return single.model_copy(update={"comparisons": [change, mean, other], "seeds": spreads})


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("mmlu.cfg1.loss.upper <= 0.02", True),
        ('mmlu."cfg1:7".loss.upper <= 0.02', False),
        ("mmlu.cfg1 >= 0.65", True),
        ("mmlu.cfg1.gain >= 0.06", False),
    ],
)
def test_a_configuration_of_several_seeds_is_judged_by_their_mean(text, holds):
    assert gate(text).judge(of_two_seeds()).holds is holds


@pytest.mark.parametrize("measure", ["accuracy.upper", "regression"])
def test_what_a_mean_over_seeds_lacks_is_refused(measure, pytestconfig, tmp_path):
    arguments = ["-m", "mmlu", "--adapter=base,cfg1:1,cfg1:2", f"--gate=mmlu.cfg1.{measure} <= 0.5", "--train"]
    found = run_pytest([*arguments, f"--results={tmp_path}"], cwd=pytestconfig.rootpath)
    assert found.returncode == 4
    assert "'cfg1' has several seeds, of which only gain and loss have bounds" in found.stderr
