"""The miniature's facts and knowledge questions are what they claim to be."""

import csv
from collections import Counter, defaultdict

import pytest

from fixtures.miniature import generate_mmlu, knowledge
from trainer.mmlu.subjects import category_of

CATEGORIES = ("stem", "humanities", "social_sciences")


@pytest.fixture(scope="module")
def facts():
    return knowledge.load_facts()


@pytest.fixture(scope="module")
def fact_asked(facts):
    """The fact behind an evaluation question."""
    return {knowledge.evaluation_form(fact): fact for fact in facts}


@pytest.fixture(scope="module")
def questions():
    """All rows of the shipped files by split and subject: question, four options, letter."""
    return {split: _read_split(split) for split in ("test", "dev")}


def _read_split(split):
    suffix = f"_{split}.csv"
    return {path.name.removesuffix(suffix): _read_csv(path) for path in (generate_mmlu.MMLU / split).glob(f"*{suffix}")}


def _read_csv(path):
    with path.open(encoding="ascii", newline="") as lines:
        return list(csv.reader(lines))


def _all_rows(questions):
    return [row for subjects in questions.values() for rows in subjects.values() for row in rows]


def test_facts_are_many_in_every_category(facts):
    counts = Counter(category_of(fact.subject) for fact in facts)
    assert counts.keys() == set(CATEGORIES)
    assert min(counts.values()) >= 350
    assert sum(counts.values()) >= 1100


def test_no_fact_has_two_tails(facts):
    assert not [key for key, n in Counter((f.subject, f.relation, f.head) for f in facts).items() if n > 1]


def test_facts_are_short_ascii(facts):
    assert all(text.isascii() and len(text) <= 35 for fact in facts for text in (fact.head, fact.tail))
    assert max(len(knowledge.evaluation_form(fact)) for fact in facts) < 100


def test_no_question_has_two_answers(facts):
    """The same words must never ask for two things, not even in two subjects."""
    answers = defaultdict(set)
    for fact in facts:
        for question in (*knowledge.question_forms(fact), knowledge.evaluation_form(fact)):
            answers[question].add(fact.tail)
    assert not {question for question, tails in answers.items() if len(tails) > 1}


def test_every_relation_has_three_statements_and_three_questions(facts):
    for fact in facts:
        assert len(set(knowledge.statements(fact))) >= 3
        assert len(set(knowledge.question_forms(fact))) >= 3


def test_exposure_is_spread_evenly_over_every_relation(facts):
    relations = defaultdict(list)
    for fact in facts:
        relations[fact.subject, fact.relation].append(fact.exposure)
    for exposures in relations.values():
        assert sorted(exposures) == pytest.approx([(rank + 0.5) / len(exposures) for rank in range(len(exposures))])


def test_every_fact_has_enough_wrong_answers(facts):
    for fact in facts:
        near = knowledge.near_tails(fact, facts)
        assert len(near) >= 3
        assert not {fact.tail, *knowledge.also_true(fact)} & set(near)


def test_answers_that_are_also_true_belong_to_known_facts(facts):
    """A typo in also_true.csv would silently let a second right answer through."""
    known = {(fact.subject, fact.relation, fact.head) for fact in facts}
    tails = {(fact.subject, fact.relation, fact.tail) for fact in facts}
    for subject, relation, head, tail in _read_csv(knowledge.FACTS / "also_true.csv")[1:]:
        assert (subject, relation, head) in known
        assert (subject, relation, tail) in tails


def test_numbers_nearby_come_first(facts):
    gold = next(f for f in facts if (f.relation, f.head) == ("atomic_number_of", "gold"))
    assert set(knowledge.near_tails(gold, facts)[:2]) == {"78", "80"}


def test_evaluation_wording_is_not_in_pretraining_text(facts):
    """Statements are searched too: an evaluation question must not be part of any pretraining sentence."""
    pretraining = "\n".join(
        text for fact in facts for text in (*knowledge.statements(fact), *knowledge.question_forms(fact))
    )
    assert not [fact for fact in facts if knowledge.evaluation_form(fact).rstrip("?") in pretraining]


def test_fifty_test_questions_per_category(questions):
    counts = Counter(category_of(subject) for subject, rows in questions["test"].items() for _ in rows)
    assert counts == dict.fromkeys(CATEGORIES, 50)
    assert len(questions["test"]) == 15


def test_five_exemplars_per_test_subject(questions):
    assert {subject: len(rows) for subject, rows in questions["dev"].items()} == dict.fromkeys(questions["test"], 5)


def test_no_two_questions_share_a_fact(questions, fact_asked):
    asked = [fact_asked[question] for question, *_ in _all_rows(questions)]
    assert len(set(asked)) == len(asked)


def test_only_the_letter_given_is_right(questions, fact_asked):
    for question, *options, letter in _all_rows(questions):
        fact = fact_asked[question]
        right = {fact.tail, *knowledge.also_true(fact)}
        assert len(set(options)) == 4
        assert [option for option in options if option in right] == [options["ABCD".index(letter)]] == [fact.tail]


def test_distractors_come_from_the_same_relation(questions, facts, fact_asked):
    tails = defaultdict(set)
    for fact in facts:
        tails[fact.subject, fact.relation].add(fact.tail)
    for question, *options, _ in _all_rows(questions):
        fact = fact_asked[question]
        assert set(options) <= tails[fact.subject, fact.relation]


def test_letters_are_balanced(questions):
    letters = Counter((category_of(subject), row[-1]) for subject, rows in questions["test"].items() for row in rows)
    assert len(letters) == 4 * len(CATEGORIES)
    assert set(letters.values()) == {12, 13}


def test_each_subject_asks_one_fact_per_decile_of_exposure(questions, fact_asked):
    for rows in questions["test"].values():
        assert sorted(int(fact_asked[question].exposure * 10) for question, *_ in rows) == list(range(10))


def test_question_table_names_the_fact_behind_each_test_question(questions, fact_asked):
    header, *sources = _read_csv(generate_mmlu.MMLU / "questions.csv")
    assert header == ["subject", "row", "relation", "head", "exposure"]
    assert len(sources) == 150
    for subject, row, relation, head, exposure in sources:
        fact = fact_asked[questions["test"][subject][int(row)][0]]
        assert (relation, head) == (fact.relation, fact.head)
        assert float(exposure) == pytest.approx(fact.exposure, abs=1e-4)


def test_generator_reproduces_the_shipped_files(tmp_path):
    generate_mmlu.main(["--out", str(tmp_path)])
    assert _contents(tmp_path) == _contents(generate_mmlu.MMLU)


def _contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.csv")}
