"""MMLU from its sources: reading, choosing, freezing, fetching, and the prompts made of it."""

import csv
import json

import pytest

from fixtures.questions.mmlu.copies import fetch, freeze
from trainer.mmlu.selection import choose_questions, find_subjects
from trainer.mmlu.sources import MmluError, MmluFile, MmluFolder, MmluQuestion, hub_copy, open_mmlu, read_csv
from trainer.mmlu.subjects import CATEGORY_OF
from trainer.prompts import mmlu_prompt, mmlu_text
from trainer.study.experiment import load_experiment
from trainer.study.settings import MmluSettings

SUBJECTS = {"astronomy": 30, "philosophy": 40, "sociology": 25, "anatomy": 10, "college_physics": 30}


@pytest.fixture
def folder(tmp_path):
    """MMLU's shape with five subjects; questions tell subject and row, some over two lines."""
    for split, counts in (("test", SUBJECTS), ("dev", dict.fromkeys(SUBJECTS, 5))):
        (tmp_path / split).mkdir()
        for subject, count in counts.items():
            with (tmp_path / split / f"{subject}_{split}.csv").open("w", newline="") as file:
                rows = [[f'{subject} {n},\n"which"?', "w", "x", "y", "z", "ABCD"[n % 4]] for n in range(count)]
                csv.writer(file).writerows(rows)
    return tmp_path


def settings(**values):
    return MmluSettings(source="", **values)


def test_a_category_is_shared_by_its_subjects_and_drawn_by_seed(folder):
    source = MmluFolder(folder)
    chosen = choose_questions(source, settings(subjects=("all",), per_category=9), seed=1)
    counts = {subject: sum(q.subject == subject for q in chosen) for subject in SUBJECTS}
    assert counts == {"astronomy": 5, "college_physics": 4, "philosophy": 9, "sociology": 9, "anatomy": 9}
    assert chosen == choose_questions(source, settings(subjects=("all",), per_category=9), seed=1)
    assert chosen != choose_questions(source, settings(subjects=("all",), per_category=9), seed=2)
    assert [q.index for q in chosen if q.subject == "philosophy"] == sorted(
        q.index for q in chosen if q.subject == "philosophy"
    )


def test_all_questions_of_all_subjects(folder):
    chosen = choose_questions(MmluFolder(folder), settings(subjects=("all",), per_category="all"), seed=1)
    assert len({question.id for question in chosen}) == len(chosen) == sum(SUBJECTS.values())


def test_subjects_are_named_by_category_too(folder):
    known = MmluFolder(folder).subjects
    assert find_subjects(["stem", "sociology", "stem"], known) == ["astronomy", "college_physics", "sociology"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        pytest.param("astronomi", "unknown MMLU subject or category 'astronomi'. Did you mean 'astronomy'?", id="typo"),
        pytest.param("STEM", "unknown MMLU subject or category 'STEM'. Did you mean 'stem'?", id="capitals"),
        pytest.param(
            "social_sciences",
            "no subject of this copy of MMLU is in the category 'social_sciences'. It has subjects of stem, other.",
            id="category",
        ),
        pytest.param(
            "philosophy",
            "this copy of MMLU lacks the subject 'philosophy'. Take a whole copy, or another subject.",
            id="subject",
        ),
    ],
)
def test_a_name_that_the_copy_lacks_is_told_from_one_that_nobody_has(name, said):
    with pytest.raises(MmluError) as told:
        find_subjects([name], ["astronomy", "virology"])
    assert str(told.value) == f"{said} All 2 subjects: add --list-mmlu-subjects"


def test_too_few_questions_says_how_many_there_are(folder):
    with pytest.raises(MmluError, match="'anatomy': 11 questions wanted, 10 found"):
        choose_questions(MmluFolder(folder), settings(subjects=("anatomy",), per_category=11), seed=1)


def test_every_official_subject_has_a_category():
    assert len(CATEGORY_OF) == 57


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (["q", "w", "x", "y", "A"], "row 1 has 3 options, not four"),
        (["q", "w", "x", "y", "z", "E"], "row 1 has the answer 'E'"),
        (["q", "w", "x", "y", "z", "v", "A"], "row 1 has 5 options"),
        (["q"], "row 1 has no answer"),
    ],
)
def test_a_row_that_is_no_question_is_named(tmp_path, row, problem):
    with (tmp_path / "x.csv").open("w", newline="") as file:
        csv.writer(file).writerow(row)
    with pytest.raises(MmluError, match=problem):
        read_csv(tmp_path / "x.csv", "astronomy")


def test_a_frozen_file_asks_the_same_with_the_same_exemplars(folder, tmp_path):
    experiment = load_experiment("miniature")
    mmlu = settings(subjects=("all",), per_category=4).model_copy(update={"source": str(folder)})
    experiment = experiment.model_copy(update={"mmlu": mmlu})
    path = tmp_path / "frozen.jsonl"
    assert freeze(path, experiment) == 16
    frozen, source = open_mmlu(str(path)), MmluFolder(folder)
    assert isinstance(frozen, MmluFile)
    assert choose_questions(frozen, mmlu, seed=9) == choose_questions(source, mmlu, experiment.seed)
    assert frozen.exemplars("philosophy", 4) == source.exemplars("philosophy", 4)
    with pytest.raises(MmluError, match="5 exemplars of 'philosophy' wanted"):
        frozen.exemplars("philosophy", 5)
    with pytest.raises(FileExistsError):
        freeze(path, experiment)


QUESTION = {"question": "q", "choices": ["w", "x", "y", "z"], "answer": "A", "subject": "s", "category": "stem"}


def test_a_users_own_questions_need_no_more_than_five_fields(tmp_path):
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps(QUESTION) + "\n\n" + json.dumps(QUESTION | {"question": "r"}) + "\n")
    assert [q.id for q in choose_questions(open_mmlu(str(path)), settings(), seed=1)] == ["s-0000", "s-0001"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (json.dumps(QUESTION | {"answer": "F"}), "line 1 has the answer 'F'"),
        (json.dumps(QUESTION | {"answer": ["A"]}), "line 1 has the answer"),
        (json.dumps(QUESTION | {"choices": ["w"]}), "line 1 has 1 options"),
        (json.dumps(QUESTION | {"choices": [1, 2, 3, 4]}), "must be texts"),
        (json.dumps(QUESTION | {"category": "sports"}), "category 'sports'"),
        (json.dumps(QUESTION | {"subject": 3}), "must be texts"),
        (json.dumps(QUESTION | {"index": "3"}), "index must be a number"),
        (json.dumps(QUESTION | {"split": "train"}), "line 1 is no question"),
        ("[]", "line 1 is no question"),
        ("{", "line 1 is no question"),
        (
            json.dumps(QUESTION | {"index": 3}) + "\n" + json.dumps(QUESTION | {"index": 3}),
            "line 2: s-0003 stands there twice",
        ),
        ("", "holds no question"),
    ],
)
def test_a_line_that_is_no_question_is_named(tmp_path, line, problem):
    path = tmp_path / "own.jsonl"
    path.write_text(line)
    with pytest.raises(MmluError, match=problem):
        MmluFile(path)


def test_the_hubs_copy_is_fetched_into_the_official_shape(tmp_path):
    """A local copy of the data set's layout stands for the Hub."""
    import datasets

    hub, copy = tmp_path / "hub", tmp_path / "copy"
    rows = {"question": ["q?", "r?"], "subject": ["astronomy", "sociology"], "choices": [["w", "x", "y", "z"]] * 2}
    for split in ("dev", "test"):
        path = hub / "all" / f"{split}-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        datasets.Dataset.from_dict(rows | {"answer": [1, 3]}).to_parquet(path)
    listed = "".join(f"  - split: {split}\n    path: all/{split}-*\n" for split in ("dev", "test"))
    (hub / "README.md").write_text(f"---\nconfigs:\n- config_name: all\n  data_files:\n{listed}---\n")
    fetch(copy, str(hub), revision=None)
    assert MmluFolder(copy).test("sociology") == [
        MmluQuestion(0, "sociology", "social_sciences", "r?", ("w", "x", "y", "z"), "D")
    ]
    assert MmluFolder(copy).exemplars("astronomy", 1)[0].answer == "B"


def test_a_copy_that_was_never_fetched_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    assert hub_copy().is_relative_to(tmp_path)
    with pytest.raises(MmluError, match="python -m fixtures.questions.mmlu.copies fetch"):
        open_mmlu("cais/mmlu")


EXEMPLARS = [("One?", ("a", "b", "c", "d"), "B"), ("Two?", ("e", "f", "g", "h"), "D")]
ASKED = ("high_school_biology", "Three?", ("i", "j", "k", "l"))


def test_the_canonical_prompt():
    assert mmlu_text(*ASKED, EXEMPLARS[:1]) == (
        "The following are multiple choice questions (with answers) about high school biology.\n\n"
        "One?\nA. a\nB. b\nC. c\nD. d\nAnswer: B\n\nThree?\nA. i\nB. j\nC. k\nD. l\nAnswer:"
    )


def test_exemplars_as_turns_or_as_one_message():
    turns = mmlu_prompt(*ASKED, EXEMPLARS, chat="turns").messages
    assert [message.role for message in turns] == ["user", "assistant", "user", "assistant", "user"]
    assert [turns[1].content, turns[3].content] == ["B", "D"]
    assert turns[0].content.startswith("The following are multiple choice") and turns[4].content.startswith("Three?")
    (message,) = mmlu_prompt(*ASKED, EXEMPLARS, chat="message").messages
    assert message.content == mmlu_text(*ASKED, EXEMPLARS)
    assert mmlu_prompt(*ASKED, []).messages == ()
    (alone,) = mmlu_prompt(*ASKED, [], chat="turns").messages
    assert alone.content == mmlu_text(*ASKED, [])
