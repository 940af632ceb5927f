"""Scales: what a spec says, and that an adapter at a scale is the one whose weights were multiplied by hand."""

from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.adapters.adapter import Adapter, AdapterError
from fixtures.adapters.checks import check_adapter
from fixtures.adapters.scale import Scale, ScaleError, parse_scale, placed, split_spec
from fixtures.adapters.specs import parse_adapters
from trainer.prompts import Prompt
from trainer.study.experiment import load_experiment

BASE = Adapter("base", "base", "base")
PROMPTS = [Prompt(text="The capital of the north is"), Prompt(text="SELECT name FROM")]
OPTIONS = [[" A", " B", " C", " D"]] * 2
ATTENTION_AND_MLP = ["q_proj", "o_proj", "up_proj", "down_proj"]


@pytest.fixture(scope="module")
def miniature():
    return load_experiment("miniature")


@pytest.fixture(scope="module")
def engine(miniature):
    from fixtures.engines.transformers_engine import TransformersEngine

    return TransformersEngine(miniature.base_model)


def saved(folder, modules=ATTENTION_AND_MLP, factor=None, **settings):
    """A LoRA on the miniature, the same each time; ``factor(module)`` is what its ``lora_B`` is multiplied by."""
    import torch
    from peft import LoraConfig, get_peft_model
    from safetensors.torch import load_file, save_file
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    base = load_experiment("miniature").base_model.folder
    model = AutoModelForCausalLM.from_pretrained(base)
    get_peft_model(model, LoraConfig(r=4, target_modules=modules, init_lora_weights=False, **settings)).save_pretrained(
        folder
    )
    if factor:
        path = folder / "adapter_model.safetensors"
        weights = load_file(path)
        save_file({k: w * factor(k) if "lora_B" in k else w for k, w in weights.items()}, path)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("adapters") / "mine")


def parsed(miniature, *specs):
    return parse_adapters(list(specs), miniature, Path("results"))


def scores(engine, adapter):
    found = dict(engine.log_likelihoods(PROMPTS, OPTIONS, adapter))
    return [found[place]["log_likelihoods"] for place in range(len(PROMPTS))]


def near(one, other):
    return all(a == pytest.approx(b, abs=1e-4) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    ("text", "scale", "slug"),
    [
        ("0", Scale(0, 0), "cfg1-x0"),
        (".5", Scale(0.5, 0.5), "cfg1-x0.5"),
        ("0.25..1", Scale(0.25, 1), "cfg1-x0.25..1"),
        ("0.5-mlp", Scale(0.5, 0.5, "mlp"), "cfg1-x0.5-mlp"),
        ("0..1.5-attention", Scale(0, 1.5, "attention"), "cfg1-x0..1.5-attention"),
        ("0.00001", Scale(0.00001, 0.00001), "cfg1-x0.00001"),
        ("2000000", Scale(2e6, 2e6), "cfg1-x2000000"),
    ],
)
def test_a_spec_says_the_scale(miniature, text, scale, slug):
    (adapter,) = parsed(miniature, f"cfg1*{text}")
    assert (adapter.scale, adapter.slug, adapter.dial) == (scale, slug, "cfg1")
    assert parse_scale(str(scale)) == scale


def test_one_scale_in_several_spellings_is_one_adapter(miniature):
    spelled = ["0.5", ".5", "0.50", "00.5..0.5", "1", "1.0-mlp", "1.0", "01..1.0-mlp"]
    adapters = parsed(miniature, "cfg1", *(f"cfg1*{scale}" for scale in spelled))
    found = sorted((adapter.spec, adapter.slug, adapter.configuration, adapter.unscaled) for adapter in adapters)
    assert found == [
        ("cfg1", "cfg1", "cfg1", ""),
        ("cfg1*0.5", "cfg1-x0.5", "cfg1*0.5", "cfg1"),
        ("cfg1*1-mlp", "cfg1-x1-mlp", "cfg1*1-mlp", "cfg1"),
    ]
    at_seeds = parsed(miniature.at_seeds(2), "cfg1*.5")
    assert {adapter.configuration for adapter in at_seeds} == {"cfg1*0.5"}


def test_scales_that_differ_in_the_seventh_digit_are_two(miniature, folder):
    adapter = Adapter("a", "a", "folder", folder)
    hashes = {replace(adapter, scale=parse_scale(text)).weights_hash for text in ("0.3333333", "0.33333334")}
    assert len(hashes) == len(parsed(miniature, "cfg1*0.3333333", "cfg1*0.33333334")) == 2


@pytest.mark.parametrize("spec", ["cfg1*", "cfg1*0.5..", "cfg1*half", "cfg1*0.5-head", "cfg1*-1", "base*0.5"])
def test_what_is_no_scale_is_refused(miniature, spec):
    with pytest.raises(AdapterError, match="unknown adapter"):
        parsed(miniature, spec)


def test_folders_and_hub_ids_take_scales_and_a_star_may_be_a_name_of_its_own(miniature, folder):
    half, hub = parsed(miniature, f"{folder}*0.5", "someone/adapter@main*0.5-mlp")
    assert (half.folder, half.slug, half.scale) == (folder, "mine-x0.5", Scale(0.5, 0.5))
    assert (hub.kind, hub.slug, hub.dial) == ("hub", "someone_adapter_main-x0.5-mlp", "someone_adapter_main")
    named = folder.parent / "mine*0.5"
    named.mkdir()
    (adapter,) = parsed(miniature, str(named))
    assert (adapter.folder, adapter.scale) == (named, Scale())
    named.rmdir()


def test_the_hash_of_one_number_is_what_it_was_and_every_other_dial_has_its_own(folder):
    adapter = Adapter("a", "a", "folder", folder)
    whole = adapter.weights_hash
    assert whole.endswith("*1")
    found = {str(s): replace(adapter, scale=s).weights_hash for s in (Scale(0.5, 0.5), Scale(0.5), Scale(1, 1, "mlp"))}
    file = whole.removesuffix("*1")
    assert list(found.values()) == [f"{file}*0.5", f"{file}*0.5..1", f"{file}*1-mlp"]


@pytest.mark.parametrize("way", ["lean", "merged"])
@pytest.mark.parametrize(
    "text", ["0.5", "0.25..1", "0.5-mlp", "0.5..1-attention"], ids=["uniform", "depth", "mlp", "depth-of-attention"]
)
def test_it_is_the_adapter_whose_weights_were_multiplied_by_hand(engine, folder, tmp_path, text, way):
    scale, layers = parse_scale(text), engine.models.base.config.num_hidden_layers

    def by_hand(key):
        if scale.part == "mlp" and "self_attn" in key or scale.part == "attention" and "mlp" in key:
            return 0.0
        number = int(key.split("layers.")[1].split(".")[0])
        return scale.first + (scale.last - scale.first) * number / (layers - 1)

    changed = Adapter("by hand", "by-hand", "folder", saved(tmp_path / "by-hand", factor=by_hand))
    adapter = Adapter("mine", "mine", "folder", folder)
    expected, *others = (scores(engine, one) for one in (changed, adapter, BASE))
    if way == "merged":
        engine.models.load()
    found = scores(engine, replace(adapter, scale=scale, merged=way == "merged"))
    engine.models.load()
    assert near(found, expected)
    assert not any(near(found, other) for other in others)


def test_points_of_a_dial_attach_the_weights_once_and_leave_them_as_they_were(engine, folder, monkeypatch):
    from fixtures.engines import adapted_model

    attached = []
    attach = adapted_model.with_adapter
    monkeypatch.setattr(adapted_model, "with_adapter", lambda *given: attached.append(given) or attach(*given))
    engine.models.load()
    adapter = Adapter("mine", "mine", "folder", folder)
    before, base = scores(engine, adapter), scores(engine, BASE)
    for text in ("0.5", "0.25..1", "1-mlp"):
        point = replace(adapter, slug=f"mine-x{text}", scale=parse_scale(text))
        assert scores(engine, point) not in (before, base)
    assert (scores(engine, adapter), scores(engine, BASE)) == (before, base)
    assert len(attached) == 1


def test_scale_0_is_the_base_to_the_bit(engine, folder):
    silent = Adapter("mine*0", "mine-x0", "folder", folder, scale=Scale(0, 0))
    replies = [dict(engine.generate(PROMPTS, one, max_new_tokens=16)) for one in (silent, BASE)]
    assert replies[0] == replies[1]
    assert scores(engine, silent) == scores(engine, BASE)


@pytest.mark.parametrize(
    ("settings", "text", "said"),
    [
        ({"use_dora": True}, "0.5", "it is DoRA"),
        ({"bias": "all"}, "0.5", "its biases replace"),
        ({"modules": ["q_proj", "lm_head"]}, "0.25..1", "'lm_head' is in no numbered layer"),
        ({"modules": ["q_proj"]}, "0.5-mlp", "it changes no mlp module"),
    ],
)
def test_a_scale_that_cannot_be_applied_is_refused_before_a_model_loads(miniature, tmp_path, settings, text, said):
    adapter = Adapter("f", "f", "folder", saved(tmp_path / "f", **settings))
    check_adapter(adapter, miniature)
    check_adapter(replace(adapter, scale=Scale(0, 0)), miniature)
    with pytest.raises(AdapterError, match=f"cannot be scaled: {said}"):
        check_adapter(replace(adapter, scale=parse_scale(text)), miniature)


@pytest.mark.parametrize(
    ("module", "part"),
    [
        ("model.layers.3.self_attn.q_proj", "attention"),
        ("transformer.h.3.attn.c_attn", "attention"),
        ("gpt_neox.layers.3.attention.dense", "attention"),
        ("model.layers.3.mlp.experts.5.up_proj", "mlp"),
        ("model.decoder.layers.3.fc1", "mlp"),
        ("model.layers.3.block_sparse_moe.gate", "mlp"),
        ("model.layers.3.mixer.in_proj", ""),
    ],
)
def test_parts_of_layers_are_told_by_names(module, part):
    assert placed(module)[1:] == (3, part)


def test_one_layer_is_the_last_and_two_stacks_are_none():
    assert Scale(0.25, 1).factor("model.layers.0.mlp.up", 1) == 1
    with pytest.raises(ScaleError, match="several stacks"):
        Scale(0.25, 1).check(["vision.layers.0.mlp.up", "text.layers.0.mlp.up"])
    assert split_spec("a*b*0.5") == ("a*b", "0.5")
