"""Agreement with lm-evaluation-harness on real MMLU: prompts byte for byte, log-likelihoods, chosen letters.

The models are small, and each is asked everything once.
"""

import json
import shutil
from pathlib import Path

import pytest

from custom_metrics.multiple_choice import choose_cloze, choose_letter
from fixtures.adapters.adapter import Adapter
from fixtures.study.tasks import spread
from tests.lm_evaluation_harness import NUM_SHOTS, cloze_task, load_harness, mmlu_tasks, no_network, run_harness
from tests.tiny_models import save_tiny_llama
from trainer.mmlu.selection import choose_questions
from trainer.mmlu.sources import MmluFolder
from trainer.prompts import LETTERS, Prompt, mmlu_text
from trainer.study.experiment import load_experiment
from trainer.study.settings import BaseModelSettings, MmluSettings

pytestmark = pytest.mark.parity

BASE = Adapter("base", "base", "base")
MODELS = ["miniature", "one token", "two tokens", "across the border"]
TOLERANCE = 1e-4
CLOZE = 31  # questions, evenly spread


@pytest.fixture(scope="module")
def mmlu(parity_data) -> MmluFolder:
    return MmluFolder(parity_data.folder / "mmlu")


@pytest.fixture(scope="module", params=MODELS)
def spelling(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def questions(mmlu, spelling):
    """The default 150, and 300 over all 57 subjects, as the suite draws them; without what is in both.

    Every seventh of them where the model differs from another only in how its tokenizer writes a letter.
    """
    seed = load_experiment("miniature").seed
    source = str(mmlu.root)
    default = choose_questions(mmlu, MmluSettings(source=source), seed)
    everywhere = choose_questions(mmlu, MmluSettings(source=source, subjects=("all",), per_category=75), seed)
    assert (len(default), len(everywhere)) == (150, 300)
    assert len({question.subject for question in everywhere}) == 57
    return list(dict.fromkeys(default + everywhere))[:: 1 if spelling in MODELS[:2] else 7]


@pytest.fixture(scope="module")
def prompts(mmlu, questions):
    """Our prompt of every question."""
    subjects = {question.subject for question in questions}
    solved = {s: [(e.question, e.choices, e.answer) for e in mmlu.exemplars(s, NUM_SHOTS)] for s in subjects}
    return [mmlu_text(q.subject, q.question, q.choices, solved[q.subject]) for q in questions]


@pytest.fixture(scope="module")
def model_folder(spelling, prompts, tmp_path_factory) -> Path:
    """The miniature's base model, or a Llama with random weights and a tokenizer of its own."""
    folder = tmp_path_factory.mktemp("model")
    if spelling != "miniature":
        save_tiny_llama(folder, spelling, prompts[:: max(1, len(prompts) // 15)])
        return folder
    shutil.copytree(load_experiment("miniature").base_model.folder, folder, dirs_exist_ok=True)
    # 164 of MMLU's prompts are longer than its 4,096 positions, up to 5,093 tokens. We refuse those, and the harness
    # cuts them; what is compared here is how they are computed, for which rotary positions know no end.
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 8192}), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def harness(model_folder):
    with no_network():
        yield load_harness(model_folder, batch_size=1)


@pytest.fixture(scope="module")
def engine(model_folder):
    from fixtures.engines.transformers_engine import TransformersEngine

    return TransformersEngine(BaseModelSettings(id=str(model_folder), dtype="float32"))


@pytest.fixture(scope="module")
def theirs(harness, mmlu, questions):
    """The harness's results in the order of the questions."""
    scored = run_harness(harness, mmlu_tasks(mmlu, questions), NUM_SHOTS)
    return [scored[question.id] for question in questions]


def asked(engine, texts, continuations):
    """Our engine's log-likelihoods, in the order of the prompts."""
    answers = dict(engine.log_likelihoods([Prompt(text=text) for text in texts], continuations, BASE))
    return [answers[place]["log_likelihoods"] for place in range(len(texts))]


def first_best(values):
    """The harness's own rule: numpy's argmax, the first of equal values."""
    return LETTERS[max(range(len(values)), key=values.__getitem__)]


def test_prompts_are_the_same_byte_for_byte(theirs, prompts):
    differing = [ours for ours, other in zip(prompts, theirs, strict=True) if ours != other.prompt]
    assert differing == []
    assert {tuple(other.continuations) for other in theirs} == {tuple(f" {letter}" for letter in LETTERS)}


def test_letters_and_log_likelihoods_are_the_same(engine, theirs, prompts, questions):
    ours = asked(engine, prompts, [[f" {letter}" for letter in LETTERS]] * len(prompts))
    for own, other, question in zip(ours, theirs, questions, strict=True):
        assert own == pytest.approx(other.log_likelihoods, abs=TOLERANCE, rel=0), question.id
        assert choose_letter(own) == first_best(other.log_likelihoods), question.id
        assert (choose_letter(own) == question.answer) == other.metrics["acc"], question.id


def test_cloze_is_the_same(engine, harness, prompts, questions):
    some = spread(list(zip(questions, prompts, strict=True)), CLOZE)
    scored = run_harness(harness, [cloze_task(some)], 0)
    ours = asked(engine, [prompt for _, prompt in some], [[f" {text}" for text in q.choices] for q, _ in some])
    for own, (question, prompt) in zip(ours, some, strict=True):
        other = scored[question.id]
        assert other.prompt == prompt
        # The harness sums in float32, which holds seven digits: an option of some hundred tokens sums to -600.
        assert own == pytest.approx(other.log_likelihoods, abs=TOLERANCE, rel=1e-6), question.id
        chosen = choose_cloze(own, [len(text) for text in question.choices])
        assert (chosen == question.answer) == other.metrics["acc_norm"], question.id
