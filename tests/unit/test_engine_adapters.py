"""Adapters that do not fit: refused, and nothing of them stays in the model that others are measured with."""

from dataclasses import replace

import pytest

from fixtures.adapters.adapter import Adapter
from fixtures.adapters.scale import Scale
from fixtures.engines import EngineError
from trainer.prompts import Prompt
from trainer.study.experiment import load_experiment

BASE = Adapter("base", "base", "base")
PROMPTS = [Prompt(text="The capital of the north is"), Prompt(text="SELECT name FROM")]
OPTIONS = [[" A", " B", " C", " D"]] * 2


@pytest.fixture
def engine():
    from fixtures.engines.transformers_engine import TransformersEngine

    return TransformersEngine(load_experiment("miniature").base_model)


@pytest.fixture
def adapter(tmp_path):
    """``adapter(name, spoil)``: a saved LoRA on the miniature, its weights changed by ``spoil(weights)``."""

    def made(name, spoil=None):
        from peft import LoraConfig, get_peft_model
        from safetensors.torch import load_file, save_file
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained(load_experiment("miniature").base_model.folder)
        settings = LoraConfig(r=4, target_modules=["q_proj", "up_proj"], init_lora_weights=False)
        get_peft_model(model, settings).save_pretrained(tmp_path / name)
        if spoil:
            path = tmp_path / name / "adapter_model.safetensors"
            save_file(spoil(load_file(path)), path)
        return Adapter(name, name, "folder", folder=tmp_path / name)

    return made


def asked(engine, adapter):
    answers = dict(engine.log_likelihoods(PROMPTS, OPTIONS, adapter))
    return [answers[place]["log_likelihoods"] for place in range(len(PROMPTS))]


def wrong_shape(weights):
    last = max(weights)
    return weights | {last: weights[last][:, :1].clone()}


def foreign_names(weights):
    return {name.replace("layers", "h"): tensor for name, tensor in weights.items()}


@pytest.mark.parametrize("spoil", [wrong_shape, foreign_names])
@pytest.mark.parametrize("first", [True, False])
def test_an_adapter_that_does_not_fit_leaves_nothing_behind(engine, adapter, spoil, first):
    good, bad = adapter("good"), adapter("bad", spoil)
    base, tuned = asked(engine, BASE), asked(engine, good)
    if first:
        engine.models.load()
    with pytest.raises(EngineError, match="'bad' does not fit the base model"):
        asked(engine, bad)
    assert asked(engine, BASE) == base
    assert asked(engine, good) == tuned != base


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_a_merged_adapter_says_what_it_says_unmerged(engine, adapter, scale):
    plain = replace(adapter("good"), scale=Scale(scale, scale))
    unmerged = dict(engine.generate(PROMPTS, plain, max_new_tokens=24)), asked(engine, plain)
    base = asked(engine, BASE)
    engine.models.load()
    merged = replace(plain, merged=True)
    assert dict(engine.generate(PROMPTS, merged, max_new_tokens=24)) == unmerged[0]
    for one, other, without in zip(asked(engine, merged), unmerged[1], base, strict=True):
        assert one == pytest.approx(other, abs=1e-4)
        assert one != pytest.approx(without, abs=1e-4)
    assert merged.weights_hash != plain.weights_hash
    for other in (BASE, plain):
        with pytest.raises(EngineError, match="cannot be asked beside one that is merged"):
            asked(engine, other)


def test_the_base_answers_to_the_bit_as_before_an_adapter_came(engine, adapter):
    """Of several rows whose last tokens are cut out of a longer pass: weights that PEFT froze were multiplied apart."""
    prompts = [Prompt(text=f"{'one two three ' * 20}{word}") for word in ("four", "five", "six", "seven")]

    def scores(who):
        found = dict(engine.log_likelihoods(prompts, [OPTIONS[0]] * len(prompts), who))
        return [found[place]["log_likelihoods"] for place in range(len(prompts))]

    before = scores(BASE)
    assert scores(adapter("good")) != before
    assert scores(BASE) == before
