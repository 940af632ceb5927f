"""What GitHub shows on a job's page."""

import re

import pytest

from fixtures.questions.plugin import BUILT_IN
from fixtures.report.annotations import annotations
from fixtures.report.frontier_diagram import frontier_diagram
from fixtures.report.sentences import recommendation
from fixtures.report.step_summary import step_summary
from fixtures.results.beneath import Flip
from fixtures.results.gates import Exit, JudgedGate
from fixtures.results.types import Summary


def text(*flips):
    summary = Summary(experiment="tiny", flips=list(flips), exit=Exit(status=0, selected=3))
    return step_summary(summary, [], BUILT_IN)


def flip(question, change="lost"):
    return Flip(suite="spider", adapter="cfg1", against="base", question=question, change=change)


def test_changed_answers_are_folded():
    said = text(flip("pets-0001"), flip("pets-0002", "gained"))
    assert "exit status 0: all 3 questions measured" in said
    assert "<summary>1 answers gained, 1 lost against the base</summary>" in said
    assert "| spider | cfg1 | pets-0002 | gained |" in said


def test_a_name_cannot_write_markup():
    assert "a&#124;b&#60;img src=x&#62; c" in text(flip("a|b<img src=x>\nc"))


def test_there_are_never_too_many():
    said = text(*(flip(f"pets-{n:04d}") for n in range(2000)))
    assert "(the first 500)" in said and "pets-0499" in said and "pets-0500" not in said


@pytest.fixture
def studied(made_up_study):
    right = {"base": range(60), "cfg1": range(150), "cfg2": range(140)}
    return made_up_study(right, {"base": range(110), "cfg1": range(112), "cfg2": range(80)})


def test_the_verdict_gain_and_loss_and_a_figure_come_first(studied):
    summary, rows = studied
    said = step_summary(summary, rows, BUILT_IN)
    verdict = recommendation(summary, BUILT_IN)[0]
    parts = (verdict[:9], "| cfg1 | **+45.0**", "```mermaid", "<details>", "Spider dev,")
    places = [said.index(part) for part in parts]
    assert places == sorted(places)
    row = r"\| cfg2 \| \*\*\+40\.0\*\* \([^)]+\)<br>better by more than the margin \| \*\*-20\.0\*\* \([^)]+\)<br>worse"
    assert re.search(row, said)
    assert "data:" not in said and "<svg" not in said  # GitHub takes both out


def test_the_figure_is_of_points_that_mermaid_takes(studied):
    """Its numbers are 0, 1, or 0 with digits behind; the base is in the middle."""
    summary, _ = studied
    names = summary.frontier[0].gain_on, summary.frontier[0].cost_on
    hostile = summary.frontier[0].model_copy(update={"adapter": 'a"]\nclick x', "loss": -0.9})
    drawn = frontier_diagram([*summary.trade_off(*names), hostile], *BUILT_IN[:2], summary.margin)
    points = re.findall(r'^    "([^"\n]*)": \[(\S+), (\S+)\]$', drawn, re.MULTILINE)
    assert [name for name, *_ in points][:2] == ["base", "cfg1"] and len(points) == 4
    assert all(re.fullmatch(r"0\.\d+", number) for _, *place in points for number in place)
    assert points[0][1:] == ("0.500", "0.500")
    assert all(line.count('"') in (0, 2, 4) for line in drawn.splitlines())
    assert frontier_diagram([], *BUILT_IN[:2], 0.05) == ""


def gate(name, holds, undecided=False):
    measured = "the upper bound" if undecided else "as counted"
    return JudgedGate(gate=name, value=0.5, holds=holds, measured=measured, undecided=undecided)


def test_a_gate_that_does_not_hold_is_an_annotation_and_nothing_else_is():
    broken, held = gate("spider.cfg1 >= 0.60", False), gate("spider.cfg1 >= 0.1", True)
    open_ = gate("50% off", False, True)
    ended = Exit(status=1, gates_broken=["spider.cfg1 >= 0.60 (0.5000, as counted)"], undecided_fail=False, errored=7)
    summary = Summary(experiment="tiny", gates=[broken, held, open_], exit=ended)
    first, second = annotations(summary)
    assert first == "::error title=gate broken::spider.cfg1 >= 0.60: broken (0.5000, as counted)"
    assert second == "::warning title=gate undecided::50%25 off: undecided (0.5000, the upper bound)"
    assert list(annotations(Summary(experiment="tiny", gates=[held], exit=Exit(status=1, errored=7)))) == []
