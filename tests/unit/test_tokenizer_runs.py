"""Tokenizers that name their special tokens oddly: what is answered and trained on them, or why not."""

import json
import shutil
from pathlib import Path

import pytest

from fixtures.adapters.adapter import Adapter
from tests.tiny_training import EXPERIMENT, SPIDER, record_of
from trainer.prompts import LETTERS, Message, Prompt
from trainer.study.settings import BaseModelSettings

BASE = Adapter("base", "base", "base")
ASKED = [
    Prompt((Message("user", f"CREATE TABLE t (a)\n\nQuestion: {word}?"),)) for word in ("How many", "Which a is it")
]
TEXT = Prompt(text="Which?\nA. one\nB. two\nAnswer:")
# As the miniature's, with its tokens by name.
WRITTEN_OUT = (
    "<|begin|>{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@pytest.fixture
def study(base_model, tmp_path):
    """``study(template=None, **named)``: an experiment on a model whose tokenizer names those tokens; None: not."""

    def made(template: str | None = None, settings: str = "", **named: str | None) -> Path:
        folder = shutil.copytree(base_model, tmp_path / "model")
        path = folder / "tokenizer_config.json"
        values = json.loads(path.read_text()) | named
        path.write_text(json.dumps({key: value for key, value in values.items() if value is not None}))
        if template is not None:
            (folder / "chat_template.jinja").write_text(template)
        experiment = tmp_path / "tiny.toml"
        text = EXPERIMENT.format(model=folder, spider=SPIDER)
        experiment.write_text(text.replace('dtype = "float32"', f'dtype = "float32"\n{settings}'))
        return experiment

    return made


def answers(experiment: Path, **settings) -> list[dict]:
    """Of both suites' kinds, by the engine."""
    from fixtures.engines.transformers_engine import TransformersEngine

    engine = TransformersEngine(BaseModelSettings(id=str(experiment.parent / "model"), dtype="float32", **settings))
    replies = dict(engine.generate(ASKED, BASE, max_new_tokens=8))
    scores = dict(engine.log_likelihoods([TEXT], [[f" {letter}" for letter in LETTERS]], BASE))
    return [replies[0], replies[1], scores[0]]


SAME = {
    "padding is the end": {"pad_token": "<|end|>"},
    "no padding": {"pad_token": None},
    "padding on the right": {"padding_side": "right"},
    "no end but the template's": {"template": WRITTEN_OUT, "eos_token": None},
    "neither end nor padding": {"template": WRITTEN_OUT, "eos_token": None, "pad_token": None},
}


@pytest.fixture(scope="module")
def untouched(train, base_model, tmp_path_factory):
    """The untouched model's answers, and the weights of its adapter."""
    experiment = tmp_path_factory.mktemp("untouched") / "tiny.toml"
    shutil.copytree(base_model, experiment.parent / "model")
    _, adapters = train("cfg1")
    return answers(experiment), record_of(adapters / "cfg1-seed42-n8")["weights"]


@pytest.mark.parametrize("name", SAME)
def test_the_same_is_answered_and_learnt(name, study, train, untouched):
    """Weights are the same to the bit only if the same tokens carried loss, the end of the turn among them."""
    experiment = study(**SAME[name])
    status, adapters = train("cfg1", experiment=experiment)
    assert status == 0
    assert (answers(experiment), record_of(adapters / "cfg1-seed42-n8")["weights"]) == untouched


@pytest.mark.parametrize("named", [{"eos_token": "</s>"}, {"bos_token": "<s>"}])
def test_a_token_that_the_model_does_not_have_is_named(named, study, train, capsys):
    experiment = study(**named)
    *replies, score = answers(experiment)
    for answer in replies:
        assert "the tokenizer writes token 1539, and the model has 1539 tokens (0 to 1538)" in answer["error"]
    assert len(score["log_likelihoods"]) == 4
    status, _ = train("cfg1", experiment=experiment)
    assert status == 2
    assert "the tokenizer writes token 1539" in capsys.readouterr().err


def test_without_any_end_the_plain_template_is_answered_and_not_trained(study, train, capsys):
    experiment = study(eos_token=None, settings='chat_template = "plain"')
    *replies, score = answers(experiment, chat_template="plain")
    assert all("reply" in answer for answer in replies)
    assert len(score["log_likelihoods"]) == 4
    status, _ = train("cfg1", experiment=experiment)
    assert status == 2
    error = capsys.readouterr().err
    assert "would never learn to stop. Name the model's end token (eos_token) in its tokenizer_config.json." in error
