"""Loading base models: templates, and what is said where they cannot be loaded."""

import pytest

from tests.tiny_architectures import save_tiny
from trainer.study.base_model import load_model, load_skeleton, load_tokenizer
from trainer.study.chat_template import PLAIN_TEMPLATE
from trainer.study.experiment import ExperimentError
from trainer.study.settings import BaseModelSettings


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


@pytest.mark.parametrize("spoilt", ["lacking", "another shape"])
def test_weights_that_are_not_all_there_are_refused(spoilt, tmp_path):
    """Transformers would draw what is missing at random and answer with it."""
    from safetensors.torch import load_file, save_file

    save_tiny("Llama", tmp_path, ["SELECT name FROM singer"])
    weights = load_file(tmp_path / "model.safetensors")
    name = "model.layers.1.self_attn.q_proj.weight"
    own = weights.pop(name)
    if spoilt == "another shape":
        weights[name] = own[:5].clone()
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ExperimentError, match="cannot be loaded"):
        load_model(BaseModelSettings(id=str(tmp_path)), quantisation="none")
