"""A stored answer is found again only while all that decided it is as it was."""

import json
import shutil

import pytest

from fixtures.answers.keys import base_parts
from fixtures.store.answer_store import AnswerStore, answer_key
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
