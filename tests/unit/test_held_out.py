"""Databases held out of training, and the questions that something can be chosen on: none of them is reported."""

import pytest

from fixtures.questions.mmlu.questions import MmluQuestions
from fixtures.questions.spider.questions import SpiderQuestions
from trainer.mmlu.selection import choose_questions, other_questions
from trainer.mmlu.sources import MmluError, MmluQuestion
from trainer.rows.texts import training_texts
from trainer.run import lora_run
from trainer.spider.entries import SpiderDataError
from trainer.spider.exemplars import exemplars
from trainer.spider.folder import open_spider
from trainer.spider.held_out import HeldOut, held_out_of
from trainer.study.experiment import load_experiment
from trainer.study.settings import ChoosingSettings, MmluSettings

SHOWN = {"shots": None, "keep_distinct": False, "plug_value": False}


@pytest.fixture(scope="module")
def miniature():
    return load_experiment("miniature")


@pytest.fixture(scope="module")
def spider(miniature):
    return open_spider(miniature.spider.source)


def holding(experiment, databases, **further):
    return experiment.model_copy(update={"choosing": ChoosingSettings(databases=databases, **further)})


def test_held_out_databases_are_trained_on_by_nobody_and_the_same_for_every_seed(miniature, spider, tmp_path):
    experiment = holding(miniature, 6)
    names = held_out_of(experiment).among(spider)
    assert len(names) == 6
    runs = [lora_run(experiment, "cfg1", seed, results_dir=tmp_path) for seed in (42, 7)]
    for run in runs:
        left = {text.group for text in run.texts}
        assert left == {question.db_id for question in spider.train()} - names
    sampled = training_texts(spider, 1, 50, HeldOut(6, 42))
    assert len(sampled) == 50 and not names & {text.group for text in sampled}


def test_a_fingerprint_changes_with_what_is_held_out_and_with_nothing_else(miniature, tmp_path):
    plain = lora_run(miniature, "cfg1", results_dir=tmp_path)
    other = lora_run(holding(miniature, 0, questions=5), "cfg1", results_dir=tmp_path)
    held = lora_run(holding(miniature, 6), "cfg1", results_dir=tmp_path)
    assert plain.fingerprint == other.fingerprint != held.fingerprint
    assert {name for name, value in held.identity.items() if plain.identity[name] != value} == {"data"}


def test_too_many_are_refused(spider):
    with pytest.raises(SpiderDataError, match=r"choosing.databases = 44, .* are on 44 databases"):
        training_texts(spider, 1, None, HeldOut(44))


def test_exemplars_are_on_no_database_that_is_held_out(miniature, spider):
    plain = exemplars(spider, miniature, 12)
    experiment = holding(miniature, 30)
    names = held_out_of(experiment).among(spider)
    assert names & {question.db_id for question in plain}
    assert not names & {question.db_id for question in exemplars(spider, experiment, 12)}
    assert exemplars(spider, holding(miniature, 0), 12) == plain
    assert len({question.db_id for question in exemplars(spider, experiment, 12)}) < 12, "some databases give several"
    listed = next(question.id for question in spider.train() if question.db_id in names)
    settings = miniature.spider.model_copy(update={"exemplars": (listed,)})
    with pytest.raises(SpiderDataError, match=f"{listed!r} is on database .* held out"):
        exemplars(spider, experiment.model_copy(update={"spider": settings}), 1)


def test_choosing_questions_of_spider_are_on_held_out_databases_only(miniature, spider):
    experiment = holding(miniature, 6, questions=100)
    questions = SpiderQuestions(experiment, **SHOWN, choosing=True)
    asked = {question.db_id for question in questions.all}
    assert len(questions.all) == 100 and asked <= held_out_of(experiment).among(spider)
    assert not {q.id for q in questions.all} & {q.id for q in SpiderQuestions(experiment, **SHOWN).all}
    assert questions.judged != SpiderQuestions(experiment, **SHOWN).judged
    assert questions.facts["spider_called"]["split"] == "training databases held out"
    shown = {name.rpartition("-")[0] for name in questions.facts["exemplars"]}
    assert not shown & asked


def test_choosing_questions_of_mmlu_are_none_that_is_reported(miniature):
    settings = miniature.mmlu.model_copy(update={"per_category": 30})
    experiment = holding(miniature, 6, mmlu_questions=40).model_copy(update={"mmlu": settings})
    reported, others = MmluQuestions(experiment), MmluQuestions(experiment, reported=False)
    assert len(others.all) == 40
    assert not {question.id for question in others.all} & {question.id for question in reported.all}
    assert {question.subject for question in others.all} == {question.subject for question in reported.all}
    assert others.exemplars == reported.exemplars
    with pytest.raises(MmluError, match="--choosing: every question of the subjects is reported"):
        MmluQuestions(miniature, reported=False)


class Copy:
    """Two subjects, of which one has few questions; the fourth of each is the first again, the fifth an exemplar."""

    chosen = False
    subjects = ["philosophy", "astronomy"]

    def test(self, subject):
        texts = ["one", "two", "three", "one", "shown", *(f"more {n}" for n in range(20 * (subject == "philosophy")))]
        return [self._question(subject, index, text) for index, text in enumerate(texts)]

    def exemplars(self, subject, count):
        return [self._question(subject, 0, "shown")][:count]

    def _question(self, subject, index, text):
        category = "humanities" if subject == "philosophy" else "stem"
        return MmluQuestion(index, subject, category, f"{subject} {text}", ("a", "b", "c", "d"), "A")


def test_a_copy_of_a_reported_question_or_of_an_exemplar_is_left_out():
    settings = MmluSettings(source="", subjects=("all",), per_category=2, num_shots=1)
    reported = {question.question for question in choose_questions(Copy(), settings, 3)}
    assert any(text.endswith(" one") for text in reported)
    found = [question.question for question in other_questions(Copy(), settings, 3, 100)]
    assert not set(found) & reported and not any(text.endswith(" shown") for text in found)
    assert set(found) | reported >= {f"{name} {text}" for name in Copy.subjects for text in ("one", "two", "three")}
    few = [question.subject for question in other_questions(Copy(), settings, 3, 10)]
    counts = [few.count(name) for name in Copy.subjects]
    assert sum(counts) == 10 and counts[0] > counts[1] > 0
