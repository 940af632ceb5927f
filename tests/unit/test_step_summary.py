"""What GitHub shows on a job's page."""

from fixtures.report.step_summary import step_summary


def summary(flips):
    return {
        "experiment": "tiny",
        "note": "",
        "notes": [],
        "partial": False,
        "accuracies": [],
        "comparisons": [],
        "seeds": [],
        "gates": [],
        "flips": flips,
        "exit": {"status": 0, "reason": "all measured"},
    }


def flip(question, change="lost"):
    return {"suite": "spider", "adapter": "cfg1", "question": question, "change": change}


def test_changed_answers_are_folded():
    text = step_summary(summary([flip("pets-0001"), flip("pets-0002", "gained")]), [])
    assert "exit status 0: all measured" in text
    assert "<summary>1 answers gained, 1 lost against the base</summary>" in text
    assert "| spider | cfg1 | pets-0002 | gained |" in text


def test_a_name_cannot_write_markup():
    text = step_summary(summary([flip("a|b<img src=x>\nc")]), [])
    assert "a\\|b&lt;img src=x&gt; c" in text


def test_there_are_never_too_many():
    text = step_summary(summary([flip(f"pets-{n:04d}") for n in range(2000)]), [])
    assert "(the first 500)" in text and "pets-0499" in text and "pets-0500" not in text
