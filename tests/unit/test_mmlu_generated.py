"""MMLU in chat: the questions of the letters, asked for a written reply and judged; what of a change is format."""

import pydantic
import pytest

from custom_metrics.written_choice import Kind
from fixtures.questions.mmlu.questions import MmluQuestions
from fixtures.questions.mmlu_generated.row import MmluGeneratedRow
from fixtures.questions.mmlu_generated.splitting import split
from fixtures.questions.mmlu_generated.suite import MMLU_GENERATED
from fixtures.questions.suite import Wanted
from tests.processes import run_pytest
from tests.unit.test_golden_values import write_adapter
from trainer.study.experiment import load_experiment

CHOICES = ("Uranus", "Pluto", "Jupiter", "Mars")


@pytest.fixture(scope="module")
def experiment():
    return load_experiment("miniature")


@pytest.fixture(scope="module")
def questions(experiment):
    return MMLU_GENERATED.open(experiment, {"mmlu_subjects": None, "mmlu_per_category": None})


def judged(questions, reply, cut=False):
    question = next(q for q in questions.all if q.choices[0] == "Uranus")
    row = questions.row(question, "cfg1").model_copy(update={"choices": CHOICES, "gold": "B"})
    asked = type(question)(question.index, question.subject, question.category, question.question, CHOICES, "B")
    return questions.judge(asked, row, {"reply": reply, "cut": cut})


def test_the_questions_are_those_asked_by_letter(questions, experiment):
    """The two are paired by question."""
    assert [q.id for q in questions.all] == [q.id for q in MmluQuestions(experiment).all]


def test_base_and_adapters_are_asked_the_same_in_one_turn_of_a_user(questions):
    (prompt,) = questions.prompts(questions.all[:1], tuned=True)
    assert [prompt] == questions.prompts(questions.all[:1], tuned=False)
    (turn,) = prompt.messages
    question = questions.all[0]
    assert turn.role == "user" and turn.content.endswith("Answer:")
    assert "Reply with the letter of the right option: A, B, C or D." in turn.content
    assert f"{question.question}\nA. {question.choices[0]}\nB. {question.choices[1]}\n" in turn.content
    assert questions.answered_by(question) == Wanted(max_new_tokens=64)


def test_what_changes_an_answer_changes_the_hash(questions, experiment):
    longer = experiment.model_copy(update={"mmlu": experiment.mmlu.model_copy(update={"max_new_tokens": 65})})
    fewer = experiment.model_copy(update={"mmlu": experiment.mmlu.model_copy(update={"per_category": 49})})
    hashes = [MMLU_GENERATED.open(one, {}).judged for one in (experiment, longer, fewer)]
    assert hashes[0] == questions.judged and len(set(hashes)) == 3


@pytest.mark.parametrize(
    ("reply", "kind", "chosen", "error"),
    [
        ("B", Kind.ANSWER, "B", None),
        ("The moon orbits Pluto.", Kind.ANSWER, "B", None),
        ("The answer is C.", Kind.ANSWER, "C", "another option"),
        ("SELECT name FROM moon", Kind.SQL, None, "SQL"),
        ("A or B", Kind.SEVERAL, None, "several answers"),
        ("I cannot say.", Kind.NONE, None, "no answer"),
    ],
)
def test_a_reply_is_judged_by_the_option_that_it_chooses(questions, reply, kind, chosen, error):
    row = judged(questions, reply)
    assert (row.reply_kind, row.kind, row.chosen, row.error) == (kind, kind, chosen, error)
    assert row.right is (chosen == "B") and bool(row.why) is not row.right


def test_a_cut_is_counted_where_it_may_have_cost_the_answer(questions):
    replies = ("The answer is B, for", "Pluto is a dwarf, and", "Let us think about", "SELECT name FROM")
    assert [judged(questions, reply, cut=True).was_cut for reply in replies] == [False, False, True, False]


def test_a_row_that_contradicts_itself_is_refused(questions):
    right = judged(questions, "B").fields()
    for wrong in ({"correct": 0}, {"chosen": None, "correct": 0}, {"reply_kind": "SQL"}):
        with pytest.raises(pydantic.ValidationError, match="of the kind"):
            MmluGeneratedRow.model_validate(right | wrong)


def test_changes_are_format_where_one_reply_chose_nothing_and_knowledge_otherwise(questions):
    replies = [("B", "SELECT 1"), ("B", "C"), ("C", "B"), ("I cannot say.", "B"), ("SELECT 1", "SELECT 2"), ("B", "B")]
    pairs = [tuple(judged(questions, reply) for reply in pair) for pair in replies]
    counts = {"answers_base": 4, "answers_tuned": 4, "sql_base": 1, "sql_tuned": 2}
    changes = {"gained_format": 1, "gained_knowledge": 1, "lost_format": 1, "lost_knowledge": 1}
    assert split(pairs) == counts | changes and set(MMLU_GENERATED.splitting.columns) == set(split(pairs))


def test_the_miniature_is_asked_scored_replayed_and_gated(pytestconfig, tmp_path):
    """Six questions, two workers. An adapter of zeros replies as the base does."""
    write_adapter(tmp_path)
    command = ["-m", "mmlu or mmlu_generated", "--adapter=base,cfg1", "--mmlu-per-category=2", f"--results={tmp_path}"]
    gates = ["--gate=mmlu_generated.cfg1 >= 0.5", "--gate=mmlu_generated.cfg1.loss <= 0"]
    asked = run_pytest([*command, *gates, "-n2"], cwd=pytestconfig.rootpath)
    assert asked.returncode == 1, asked.stdout + asked.stderr
    assert "exit status 1: gate broken: mmlu_generated.cfg1 >= 0.5" in asked.stdout
    assert "gate mmlu_generated.cfg1.loss <= 0: holds" in asked.stdout
    scores = (tmp_path / "miniature" / "scores.jsonl").read_text()
    assert scores.count('"suite": "mmlu_generated"') == scores.count('"suite": "mmlu"') == 12
    replayed = run_pytest([*command, "--replay"], cwd=pytestconfig.rootpath)
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    assert (tmp_path / "miniature" / "scores.jsonl").read_text() == scores
    assert "of 6 replies answer" in replayed.stdout
