"""What an adapter's files tell before a model loads: half adapters, no numbers, and what would never end."""

import dataclasses
import json
import time

import numpy as np
import pytest
from safetensors.numpy import save_file

from fixtures.adapters.adapter import Adapter, AdapterError
from fixtures.adapters.checks import check_adapter
from fixtures.adapters.peft_settings import LoraSettings
from fixtures.adapters.tuners import TRAINING_ONLY
from trainer.study.experiment import load_experiment

MODULES = [f"model.layers.{layer}.{name}" for layer in range(6) for name in ("self_attn.q_proj", "mlp.up_proj")]
TARGETS = ["q_proj", "up_proj"]


@pytest.fixture(scope="module")
def experiment():
    return load_experiment("miniature")


@pytest.fixture
def made(tmp_path, experiment):
    """``made(weights, **config)``: an adapter of the miniature's shapes; ``weights`` replace or add some."""

    def write(weights=None, text=None, **config):
        tensors = {}
        for module in MODULES:
            out = 640 if "up_proj" in module else 256
            tensors[f"base_model.model.{module}.lora_A.weight"] = np.ones((4, 256), np.float32)
            tensors[f"base_model.model.{module}.lora_B.weight"] = np.ones((out, 4), np.float32)
        save_file({**tensors, **(weights or {})}, tmp_path / "adapter_model.safetensors")
        base = {"peft_type": "LORA", "base_model_name_or_path": experiment.base_model.id, "r": 4}
        config = {**base, "target_modules": TARGETS, **config}
        (tmp_path / "adapter_config.json").write_text(json.dumps(config) if text is None else text)
        return Adapter("foreign", "foreign", "folder", folder=tmp_path)

    return write


def test_a_sound_adapter_passes_without_a_note(made, experiment):
    assert check_adapter(made(), experiment).notes == ()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
def test_weights_that_are_no_numbers_are_refused_by_name(value, dtype, made, experiment):
    bad = np.ones((4, 256), dtype)
    bad[3, 255] = value
    name = f"base_model.model.{MODULES[3]}.lora_A.weight"
    with pytest.raises(AdapterError, match=f"NaN or infinity in '{name}'"):
        check_adapter(made({name: bad}), experiment)


def test_the_first_three_are_named_and_the_rest_counted(made, experiment):
    names = [f"base_model.model.{module}.lora_A.weight" for module in MODULES[:5]]
    with pytest.raises(AdapterError, match="NaN or infinity in '.*', '.*', '.*' and 2 more"):
        check_adapter(made({name: np.full((4, 256), np.nan, np.float32) for name in names}), experiment)


EXPERT = "base_model.model.model.layers.0.mlp.experts.3.w1.lora_{}.weight"


@pytest.mark.parametrize(
    ("weights", "config", "message"),
    [
        ({EXPERT.format("A"): np.ones((4, 256))}, {}, "only one of lora_A and lora_B is there of .*experts.3.w1"),
        ({EXPERT.format(one): np.ones((4, 4)) for one in "AB"}, {}, "target_modules do not take .*experts.3.w1"),
        ({}, {"target_modules": ["q_proj"]}, "do not take .*up_proj.* and 3 more"),
        ({}, {"target_modules": r".*q_proj"}, "do not take .*up_proj"),
        ({}, {"target_modules": [*TARGETS, "k_proj"]}, "name 'k_proj', of which its file holds no tensor"),
        ({}, {"r": 10**9}, "its rank is 1,000,000,000, and the largest that its file holds is 4"),
        ({}, {"rank_pattern": {"q_proj": 10**8}}, "its rank is 100,000,000"),
    ],
)
def test_half_an_adapter_is_refused_before_a_model_loads(weights, config, message, made, experiment):
    with pytest.raises(AdapterError, match=message):
        check_adapter(made(weights, **config), experiment)


ENDLESS = r"(.*)*(.*)*(.*)*(a|a)*(([a-z_.0-9]+)+)+!"


@pytest.mark.parametrize(
    "config",
    [
        {"target_modules": ENDLESS},
        {"exclude_modules": ENDLESS},
        {"modules_to_save": [ENDLESS]},
        {"rank_pattern": {ENDLESS: 4}},
        {"alpha_pattern": {ENDLESS: 4}},
        {"layers_to_transform": [0], "layers_pattern": ENDLESS},
    ],
    ids=lambda config: next(reversed(config)),
)
def test_an_expression_that_never_ends_is_refused_in_time(config, made, experiment, monkeypatch):
    from fixtures.adapters import patterns

    monkeypatch.setattr(patterns, "LIMIT_S", 0.5)
    start = time.monotonic()
    with pytest.raises(AdapterError, match="take longer than 0.5 s"):
        check_adapter(made(**config), experiment)
    assert time.monotonic() - start < 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", r"holds \[1, 2\], not a JSON object"),
        ("null", "holds None"),
        ("{", "is no JSON"),
        ("[" * 200_000, "nested too deeply"),
        ('{"a": "' + "x" * (9 << 20) + '"}', "bytes, more than"),
        ('{"r": 4}', "'peft_type' is missing"),
    ],
    ids=["list", "null", "cut", "deep", "large", "empty"],
)
def test_a_configuration_that_is_none_is_one_line(text, message, made, experiment):
    with pytest.raises(AdapterError, match=message) as raised:
        check_adapter(made(text=text), experiment)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 500


@pytest.mark.parametrize(
    "config",
    [
        {"r": "x"},
        {"r": 0},
        {"r": True},
        {"target_modules": 5},
        {"target_modules": [[1]]},
        {"lora_alpha": float("nan")},
        {"rank_pattern": {"q_proj": "8"}},
        {"rank_pattern": ["q_proj"]},
        {"peft_type": 3},
        {"peft_type": ["LORA"]},
        {"base_model_name_or_path": {"a": 1}},
        {"layer_replication": [[0, 10**9]]},
        {"layer_replication": [[3, 1]]},
        {"layer_replication": [5]},
        {"bias": None},
    ],
    ids=str,
)
def test_values_of_another_type_are_one_line(config, made, experiment):
    (name,) = config
    with pytest.raises(AdapterError, match=f"adapter_config.json: .*{name}") as raised:
        check_adapter(made(**config), experiment)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"peft_type": "PROMPT_TUNING"}, "tokens of its own"),
        ({"peft_type": "XLORA"}, "mixes several adapters"),
        ({"peft_type": "SOMETHING_NEW"}, "none of the methods that were tried"),
        ({"peft_type": "LOHA", "r": 10**9}, "sets 'r' to"),
        ({"task_type": "SEQ_CLS"}, "task_type is 'SEQ_CLS'"),
        ({"alora_invocation_tokens": [5, 6]}, "activated LoRA"),
        ({"megatron_config": {"a": 1}, "megatron_core": "antigravity"}, "'megatron_config'"),
        ({"use_of_next_year": True}, "'use_of_next_year'"),
        ({"init_lora_weights": "corda"}, "path_initial_model_for_weight_conversion"),
        ({"init_lora_weights": "loftq"}, "path_initial_model_for_weight_conversion"),
        ({"init_lora_weights": "lora_ga"}, "path_initial_model_for_weight_conversion"),
        ({"init_lora_weights": "pissa_niter_16"}, "path_initial_model_for_weight_conversion"),
        ({"init_lora_weights": "other"}, "'other'"),
    ],
    ids=str,
)
def test_what_is_not_evaluated_is_said_so_with_its_reason(config, reason, made, experiment):
    with pytest.raises(AdapterError, match="is not evaluated by this suite: ") as raised:
        check_adapter(made(**config), experiment)
    assert reason in str(raised.value) and "damaged" not in str(raised.value)


def test_every_setting_of_pefts_lora_is_known_or_refused():
    """An upgrade of PEFT that adds a setting ends here: decide whether it changes answers."""
    from peft import LoraConfig

    refused = {"arrow_config", "kasa_config", "megatron_config", "monteclora_config", "use_bdlora", "use_qalora"}
    known = {*LoraSettings.model_fields, *TRAINING_ONLY, *refused}
    assert {field.name for field in dataclasses.fields(LoraConfig)} <= known


def test_merging_what_would_be_another_model_is_refused(made, experiment):
    head = {"base_model.model.lm_head.lora_A.weight": np.ones((4, 256), np.float32)}
    head["base_model.model.lm_head.lora_B.weight"] = np.ones((2048, 4), np.float32)
    adapter = dataclasses.replace(made(head, target_modules=[*TARGETS, "lm_head"]), merged=True)
    with pytest.raises(AdapterError, match="--merge: .* one weight, and it changes 'lm_head'"):
        check_adapter(adapter, experiment)
    adapter = dataclasses.replace(made(peft_type="IA3"), merged=True)
    with pytest.raises(AdapterError, match="--merge: .*only LoRA is merged"):
        check_adapter(adapter, experiment)
