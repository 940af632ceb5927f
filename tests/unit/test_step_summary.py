"""What GitHub shows on a job's page."""

from fixtures.questions.plugin import BUILT_IN
from fixtures.report.step_summary import step_summary
from fixtures.results.beneath import Flip
from fixtures.results.gates import Exit
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
