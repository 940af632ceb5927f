"""Loading base models: templates, and what is said where they cannot be loaded."""

import pytest

from trainer.study.base_model import load_model, load_skeleton, load_tokenizer
from trainer.study.chat_template import PLAIN_TEMPLATE
from trainer.study.experiment import BaseModelSettings, ExperimentError


def test_a_template_can_be_left_out(base_model):
    own = load_tokenizer(BaseModelSettings(id=str(base_model)))
    plain = load_tokenizer(BaseModelSettings(id=str(base_model), chat_template="plain"))
    assert plain.chat_template == PLAIN_TEMPLATE != own.chat_template


def test_a_skeleton_has_modules_and_no_weights(base_model):
    skeleton = load_skeleton(BaseModelSettings(id=str(base_model)))
    assert {parameter.device.type for parameter in skeleton.parameters()} == {"meta"}
    assert len(skeleton.model.layers) == 2


def test_the_hub_out_of_reach_is_said(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ExperimentError, match="'someone/model' cannot be loaded from the Hub: .* hf auth login"):
        load_skeleton(BaseModelSettings(id="someone/model"))


def failing(monkeypatch, error: Exception) -> None:
    """Have transformers fail to load any model, as it does where that is the matter."""

    def fail(*_, **__):
        raise error

    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", fail)


def test_without_bitsandbytes_lora_is_the_way(base_model, monkeypatch):
    failing(monkeypatch, ImportError("Using `bitsandbytes` 4-bit quantization requires bitsandbytes\nmore"))
    with pytest.raises(ExperimentError, match=r"'nf4' needs bitsandbytes, .* requires bitsandbytes Use .* \(LoRA\)"):
        load_model(BaseModelSettings(id=str(base_model)), quantisation="nf4")


def test_pickled_weights_alone_are_refused_with_the_way_round(monkeypatch):
    failing(monkeypatch, OSError("it has no model.safetensors and thus cannot be loaded with `safetensors`."))
    with pytest.raises(ExperimentError, match=r"no safetensors weights at revision '1a2b', .* \"refs/pr/N\""):
        load_model(BaseModelSettings(id="someone/model", revision="1a2b"), quantisation="none")
