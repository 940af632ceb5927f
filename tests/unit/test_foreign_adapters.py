"""Adapters as people bring them: each answers as PEFT itself does or is refused, and changes nothing for the others."""

import gc
import weakref

import pytest

from fixtures.adapters.adapter import Adapter
from fixtures.adapters.checks import check_adapter
from fixtures.engines import EngineError
from trainer.study.experiment import load_experiment
from trainer.study.settings import BaseModelSettings

BASE = Adapter("base", "base", "base")
LORA = {"r": 4, "target_modules": ["q_proj", "up_proj"], "init_lora_weights": False}
WIDE = {"target_modules": ["q_proj", "up_proj"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A Llama of two layers with random weights, tied embeddings and biases in its attention."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(3)
    sizes = {"vocab_size": 96, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "attention_bias": True, "initializer_range": 0.3}
    model = LlamaForCausalLM(LlamaConfig(tie_word_embeddings=True, **sizes, **heads))
    path = tmp_path_factory.mktemp("base") / "tiny-llama"
    model.save_pretrained(path)
    return path


@pytest.fixture
def models(folder):
    from fixtures.engines.adapted_model import AdaptedModel

    return AdaptedModel(BaseModelSettings(id=str(folder), dtype="float32"))


@pytest.fixture
def saved(folder, tmp_path):
    """``saved(name, config, change)``: an adapter of the tiny Llama, trained a little, in a folder."""

    def made(name, config, change=None, **saving):
        import torch
        from peft import get_peft_model
        from safetensors.torch import load_file, save_file

        torch.manual_seed(len(name))
        model = get_peft_model(fresh(folder), config)
        with torch.no_grad():
            for parameter in (one for one in model.parameters() if one.requires_grad):
                parameter += 0.1 * torch.randn_like(parameter)
        model.save_pretrained(tmp_path / name, **saving)
        if change:
            path = tmp_path / name / "adapter_model.safetensors"
            save_file(change(load_file(path)), path)
        return Adapter(name, name, "folder", folder=tmp_path / name)

    return made


def fresh(folder):
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def answer(model):
    import torch

    with torch.inference_mode():
        return model(torch.arange(1, 49).reshape(2, 24), use_cache=False).logits.log_softmax(-1)


def asked(models, adapter):
    with models.active(adapter) as model:
        return answer(model)


def pefts_own(folder, adapter):
    from peft import PeftModel

    return answer(PeftModel.from_pretrained(fresh(folder), adapter.folder).eval())


def lora(**settings):
    from peft import LoraConfig

    return LoraConfig(**{"task_type": "CAUSAL_LM", **LORA, **settings})


def method(name, **settings):
    import peft

    return getattr(peft, name)(task_type="CAUSAL_LM", **{**WIDE, **settings})


KINDS = {
    "pissa": lambda: lora(init_lora_weights="pissa"),
    "olora": lambda: lora(init_lora_weights="olora"),
    "gaussian": lambda: lora(init_lora_weights="gaussian"),
    "orthogonal": lambda: lora(init_lora_weights="orthogonal"),
    "rslora": lambda: lora(use_rslora=True),
    "dora": lambda: lora(use_dora=True),
    "lora-bias": lambda: lora(lora_bias=True, target_modules=["q_proj", "v_proj"]),
    "bias-all": lambda: lora(bias="all"),
    "bias-lora-only": lambda: lora(bias="lora_only"),
    "patterns": lambda: lora(rank_pattern={"q_proj": 2}, alpha_pattern={r"layers\.1\..*up_proj": 32}),
    "expression": lambda: lora(target_modules=r".*\.(q|v)_proj"),
    "all-linear": lambda: lora(target_modules="all-linear"),
    "one-layer": lambda: lora(layers_to_transform=[1]),
    "lm-head": lambda: lora(target_modules=["q_proj", "lm_head"]),
    "embed-tokens": lambda: lora(target_modules=["q_proj", "embed_tokens"]),
    "saved-head": lambda: lora(modules_to_save=["lm_head"]),
    "saved-embeddings": lambda: lora(modules_to_save=["embed_tokens"]),
    "saved-norms": lambda: lora(modules_to_save=["norm", "input_layernorm"]),
    "tokens": lambda: lora(trainable_token_indices=[3, 5, 8]),
    "parameters": lambda: lora(target_modules=[], target_parameters=["up_proj.weight"]),
    "replicated": lambda: lora(layer_replication=[[0, 2], [1, 2]]),
    "ia3": lambda: method("IA3Config", target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"]),
    "vera": lambda: method("VeraConfig", r=8, target_modules=["q_proj"]),
    "loha": lambda: method("LoHaConfig", r=4),
    "lokr": lambda: method("LoKrConfig", r=4),
    "adalora": lambda: method("AdaLoraConfig", target_r=4, init_r=4, total_step=10),
    "oft": lambda: method("OFTConfig", oft_block_size=8, r=0, target_modules=["q_proj"]),
    "hra": lambda: method("HRAConfig", r=4),
    "fourierft": lambda: method("FourierFTConfig", n_frequency=50, scaling=150.0),
    "ln-tuning": lambda: method("LNTuningConfig", target_modules=["input_layernorm"]),
    "randlora": lambda: method("RandLoraConfig", r=4),
    "boft": lambda: method("BOFTConfig", boft_block_size=4, target_modules=["q_proj"]),
}


RARE = {"boft", "fourierft", "hra", "ln-tuning", "lokr", "oft", "orthogonal", "randlora", "saved-norms"}


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.slow) if kind in RARE else kind for kind in KINDS]
)
def test_every_kind_answers_as_pefts_own_forward_and_leaves_the_others_alone(kind, models, saved, folder):
    import torch

    sound, second = saved("sound", lora()), saved("another", lora(r=8))
    before = [asked(models, adapter) for adapter in (BASE, sound, second)]
    settings = BaseModelSettings(id=str(folder), dtype="float32")
    experiment = load_experiment("miniature").model_copy(update={"base_model": settings})
    foreign = check_adapter(saved("foreign", KINDS[kind]()), experiment)
    answers = asked(models, foreign)
    between = [asked(models, adapter) for adapter in (second, BASE, sound)]
    torch.testing.assert_close(asked(models, foreign), answers, atol=0, rtol=0)
    after = [asked(models, adapter) for adapter in (BASE, sound, second)]
    torch.testing.assert_close(answers, pefts_own(folder, foreign), atol=1e-4, rtol=0)
    torch.testing.assert_close(before[0], answer(fresh(folder)), atol=0, rtol=0)
    assert not torch.allclose(answers, before[0], atol=1e-2)
    for one, other, last in zip(before, [between[1], between[2], between[0]], after, strict=True):
        torch.testing.assert_close([other, last], [one, one], atol=0, rtol=0)


def with_bases_own(weights):
    """As PEFT saves an adapter with ``save_embedding_layers``, of embeddings that were trained."""
    import torch

    embeddings = torch.randn(96, 32, generator=torch.Generator().manual_seed(1))
    return weights | {"base_model.model.model.embed_tokens.weight": embeddings}


def with_norms(weights):
    import torch

    return weights | {"base_model.model.model.norm.weight": torch.full((32,), 2.0)}


@pytest.mark.parametrize("change", [with_bases_own, with_norms])
def test_a_file_with_tensors_of_the_bases_own_gets_a_base_of_its_own(change, models, saved, folder):
    import torch

    sound, foreign = saved("sound", lora()), saved("foreign", lora(), change)
    before = [asked(models, adapter) for adapter in (BASE, sound)]
    answers = asked(models, foreign)
    torch.testing.assert_close(answers, pefts_own(folder, foreign), atol=1e-4, rtol=0)
    torch.testing.assert_close([asked(models, adapter) for adapter in (BASE, sound)], before, atol=0, rtol=0)
    assert "changes the base model's own weights" in models.notes[foreign.folder][0]


def test_there_are_never_two_bases_in_memory(models, saved, monkeypatch):
    from fixtures.engines import adapted_model

    load, alive = adapted_model.load_model, []

    def loaded(*arguments, **keywords):
        assert [model for model in alive if model() is not None] == []
        model = load(*arguments, **keywords)
        alive.append(weakref.ref(model))
        return model

    monkeypatch.setattr(adapted_model, "load_model", loaded)
    models.load()
    gc.disable()
    try:
        for adapter in (saved("sound", lora()), saved("foreign", KINDS["pissa"]()), BASE):
            asked(models, adapter)
    finally:
        gc.enable()
    assert len(alive) == 3


def one_more(weights):
    import torch

    return weights | {"base_model.model.model.layers.0.mlp.experts.3.w1.lora_A.weight": torch.zeros(4, 32)}


def one_fewer(weights):
    return {name: tensor for name, tensor in weights.items() if "layers.1.self_attn.q_proj" not in name}


@pytest.mark.parametrize(("change", "named"), [(one_more, "experts.3.w1.lora_A"), (one_fewer, "layers.1.self_attn")])
def test_half_an_adapter_is_refused_by_the_model_too(change, named, models, saved):
    import torch

    base = asked(models, BASE)
    with pytest.raises(EngineError, match=named):
        asked(models, saved("half", lora(), change))
    torch.testing.assert_close(asked(models, BASE), base, atol=0, rtol=0)


@pytest.mark.parametrize("error", [TypeError, KeyError, AttributeError, IndexError, AssertionError, RecursionError])
def test_an_exception_of_any_type_leaves_nothing_behind(error, models, saved, monkeypatch):
    import peft
    import torch

    sound, broken = saved("sound", lora()), saved("broken", lora(r=2))
    before = [asked(models, adapter) for adapter in (BASE, sound)]
    with monkeypatch.context() as patch:

        def failing(*_, **__):
            raise error("no such thing")

        # What comes behind the weights: the layers are in the model then.
        patch.setattr(peft, "get_peft_model_state_dict", failing)
        with pytest.raises(EngineError, match="'broken' does not fit the base model.*no such thing"):
            asked(models, broken)
    torch.testing.assert_close([asked(models, adapter) for adapter in (BASE, sound)], before, atol=0, rtol=0)


def test_a_weight_in_two_places_is_not_merged_into(models, saved):
    from dataclasses import replace

    import torch

    base = asked(models, BASE)
    tied = saved("tied", lora(target_modules=["q_proj", "lm_head"]))
    with pytest.raises(EngineError, match="--merge: adapter 'tied' changes .*lm_head"):
        asked(models, replace(tied, merged=True))
    torch.testing.assert_close(asked(models, BASE), base, atol=0, rtol=0)


def test_other_methods_are_known_to_need_the_plain_path(models, saved):
    assert models.needs_plain_path(saved("other", KINDS["ia3"]()))
    assert not models.needs_plain_path(saved("plain", lora()))
    assert not models.needs_plain_path(BASE)
