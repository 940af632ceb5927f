"""A stored answer is found again only while all that decided it is as it was."""

import json
import shutil
from contextlib import nullcontext

import pytest

from fixtures.adapters.adapter import Adapter
from fixtures.adapters.scale import Scale
from fixtures.answers.keys import base_parts, lone_key
from fixtures.answers.obtaining import Answers
from fixtures.questions.mmlu.suite import MMLU
from fixtures.store.answer_store import AnswerStore, answer_key
from fixtures.store.claims import Claims
from fixtures.study.study import Asking, Places, Study
from trainer.study.experiment import load_experiment
from trainer.study.settings import BaseModelSettings


@pytest.fixture
def model(tmp_path):
    """A copy of the miniature's model."""
    folder = tmp_path / "model"
    shutil.copytree(load_experiment("miniature").base_model.folder, folder)
    return folder


@pytest.fixture
def key(model, tmp_path):
    """``key(**settings)``: what an answer of the model is filed under, but for prompt and adapter."""
    store = AnswerStore(tmp_path / "answers.sqlite")
    yield lambda **settings: answer_key(
        **base_parts(BaseModelSettings(id=str(model), **settings), store, may_load=False, engine="transformers")
    )
    store.close()


@pytest.mark.parametrize(
    "name",
    [
        "generation_config.json",
        "config.json",
        "tokenizer_config.json",
        "vocab.json",
        "merges.txt",
        "added_tokens.json",
        "special_tokens_map.json",
        "chat_template.jinja",
        "additional_chat_templates/rag.jinja",
        "whatever.comes.next",
    ],
)
def test_every_file_of_the_model_is_part_of_the_key(name, model, key):
    before = key()
    path = model / name
    path.parent.mkdir(exist_ok=True)
    path.write_text((path.read_text() if path.is_file() else "") + " ", encoding="utf-8")
    assert key() != before


@pytest.mark.parametrize("name", ["README.md", ".cache/x.json", "pytorch_model.bin"])
def test_what_is_not_read_is_not(name, model, key):
    before = key()
    path = model / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("seen by people", encoding="utf-8")
    assert key() == before


@pytest.mark.parametrize("place", [0.01, 0.5, 0.99])
def test_weights_are_known_throughout(place, model, key):
    before, path = key(), next(model.glob("*.safetensors"))
    weights = bytearray(path.read_bytes())
    weights[int(place * len(weights))] ^= 1
    path.write_bytes(weights)
    assert key() != before


@pytest.mark.parametrize(
    "settings",
    [
        {"chat_template": "plain"},
        {"dtype": "bfloat16"},
        {"quantisation": "nf4"},
        {"attention": "eager"},
        {"template_arguments": {"enable_thinking": False}},
        {"date": "2026-01-31"},
    ],
    ids=str,
)
def test_every_setting_is_part_of_the_key_but_what_it_needs(settings, key):
    assert key(**settings) != key()
    assert key(memory_gb=8.0) == key()


def test_the_first_batch_after_a_mended_file_is_asked_anew(model, key):
    """The case of a wrong end token: mended, and yet the old answers came back."""
    path = model / "generation_config.json"
    before = key()
    path.write_text(json.dumps(json.loads(path.read_text()) | {"eos_token_id": [0, 2]}))
    assert key() != before


class CountingEngine:
    """Says how often it was asked, and what each adapter was asked."""

    name = "transformers"

    def __init__(self):
        self.asked = []

    def log_likelihoods(self, prompts, continuations, adapter, *, alone):
        self.asked.append((adapter.slug, len(prompts)))
        for place in range(len(prompts)):
            said = {"log_likelihoods": [-float(len(self.asked)), -9.0, -9.0, -9.0], "generated": " A"}
            yield place, said | ({"alone": dict(said)} if place in alone else {})

    def checked(self, adapter):
        return None


def test_scale_0_takes_what_the_base_has_said_and_asks_the_rest(tmp_path):
    """It is the base, to the bit; where the two are asked differently, the prompts are others, and so are the keys."""
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (tmp_path / name).write_text("{}")
    points = [Adapter("a", f"a-x{at}", "folder", tmp_path, scale=Scale(at, at)) for at in (0.0, 0.5)]
    experiment = load_experiment("miniature")
    adapters, places = (Adapter("base", "base", "base"), *points), Places(tmp_path, tmp_path, tmp_path)
    asking = Asking(max_samples=4, check_batches=4)
    study = Study(experiment, (MMLU,), {"mmlu": MMLU.open(experiment, {})}, adapters, places, asking)
    store, engine, tasks = AnswerStore(places.answers), CountingEngine(), study.tasks(MMLU)
    answers = Answers(study, store, Claims(places.claims), remaining=tasks, shown=nullcontext, filed=lambda *_: None)
    base, silent, half = tasks[:4], tasks[4:8], tasks[8:]
    for batch in (base[:3], silent, half):
        for task in batch:
            answers.obtain(task, batch, lambda: engine)
    said = [store.get(answers.key(task))["log_likelihoods"][0] for task in tasks if task is not base[3]]
    alone = [store.get(lone_key(answers.key(task)))["log_likelihoods"][0] for task in silent[:3]]
    store.close()
    assert engine.asked == [("base", 3), ("a-x0.0", 1), ("a-x0.5", 4)]
    assert (said, alone) == ([-1.0] * 6 + [-2.0] + [-3.0] * 4, [-1.0] * 3)
