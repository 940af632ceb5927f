"""Questions of MMLU are found in replay, and nothing else is."""

import json

import pytest

from trainer.mmlu.sources import MmluQuestion
from trainer.replay.overlap import OverlapFinder, measured_questions, refuse_measured, word_grams
from trainer.replay.sources import ReplaySettings, open_prompts, open_replay
from trainer.study.experiment import ExperimentError, load_experiment
from trainer.study.settings import MmluSettings

LONG = "A ball is thrown straight up with a speed of ten metres a second; how high does it rise before it falls?"
MIDDLE = "Which treaty ended the Thirty Years War in Europe?"
SHORT = "What is osmosis?"
CHOICES = ("diffusion of water", "a kind of moss", "sleep", "an old coin")


def question(number: int, text: str) -> MmluQuestion:
    return MmluQuestion(number, "physics", "stem", text, CHOICES, "A")


FINDER = OverlapFinder([question(0, LONG), question(1, MIDDLE), question(2, SHORT)])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param(f"Solve it.\n{LONG.upper()}", "physics-0000", id="whole, in capitals"),
        pytest.param(" ".join(LONG.split()[3:16]), "physics-0000", id="thirteen of its words"),
        pytest.param(" ".join(LONG.split()[3:15]), None, id="twelve of them"),
        pytest.param(f"Q: {MIDDLE.replace(' ', '  ')} A: ...", "physics-0001", id="a short one whole"),
        pytest.param(MIDDLE.replace("Thirty", "Hundred"), None, id="another war"),
        pytest.param(f"{SHORT} It is the diffusion of water.", None, id="very short, without its options"),
        pytest.param(f"{SHORT} (A) {' (B) '.join(CHOICES)}", "physics-0002", id="very short, with them"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_a_question_is_found_by_its_words(text, found):
    hit = FINDER.found_in(text)
    assert (hit and hit.id) == found


def test_word_grams():
    assert list(word_grams(["a", "b", "c"], 2)) == [("a", "b"), ("b", "c")]
    assert list(word_grams(["a"], 2)) == []


def miniature() -> MmluSettings:
    return load_experiment("miniature").mmlu


@pytest.mark.parametrize("of", ["exemplar", "question"])
def test_replay_that_holds_what_is_asked_is_refused(tmp_path, of):
    known = measured_questions(miniature(), 42).questions
    asked = next(one for one in (known if of == "exemplar" else known[::-1]) if len(one.question.split()) > 8)
    path = tmp_path / "general.jsonl"
    lines = [{"prompt": "Why?", "completion": "So."}, {"prompt": f"Tell me: {asked.question}", "completion": "A."}]
    path.write_text("\n".join(map(json.dumps, lines)))
    texts = open_replay(ReplaySettings(source=str(path)))
    with pytest.raises(ExperimentError, match=rf"replay general.jsonl:2 holds MMLU's question {asked.id} \(['\"]"):
        refuse_measured(texts, miniature(), 42)
    refuse_measured(texts[:1], miniature(), 42)


def test_questions_in_a_reply_are_found_too(tmp_path):
    asked = next(one for one in measured_questions(miniature(), 42).questions if len(one.question.split()) > 8)
    path = tmp_path / "general.jsonl"
    path.write_text(json.dumps({"prompt": "Ask me something.", "completion": asked.question}))
    with pytest.raises(ExperimentError, match="holds MMLU's question"):
        refuse_measured(open_replay(ReplaySettings(source=str(path))), miniature(), 42)


def test_the_prompts_that_come_with_it_hold_none():
    refuse_measured(open_prompts(ReplaySettings()), miniature(), 42)


def test_questions_that_are_not_here_are_told():
    measured = measured_questions(MmluSettings(source="no/mmlu"), 42)
    assert measured.questions == () and "MMLU not found in 'no/mmlu'" in measured.unread
