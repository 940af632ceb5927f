"""Whose base an adapter belongs to: compared by what can be, taken with a note, or refused with the option."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import save_file

from fixtures.adapters.adapter import Adapter, AdapterError
from fixtures.adapters.checks import check_adapter
from trainer.study.experiment import load_experiment
from trainer.study.identity import base_identity

MODULE = "base_model.model.model.layers.0.self_attn.q_proj.lora_{}.weight"
SNAPSHOT = "/home/them/.cache/huggingface/hub/models--Org--Tiny-7B-Instruct/snapshots/0123abcd"


@pytest.fixture
def experiment(tmp_path):
    """The miniature, whose model lies in a folder called Tiny-7B-Instruct."""
    experiment = load_experiment("miniature")
    folder = tmp_path / "Org" / "Tiny-7B-Instruct"
    shutil.copytree(experiment.base_model.folder, folder)
    settings = experiment.base_model.model_copy(update={"id": str(folder), "revision": "main"})
    return experiment.model_copy(update={"base_model": settings})


@pytest.fixture
def made(tmp_path):
    def write(base, width=256, recorded=None, **config):
        folder = tmp_path / "adapter"
        folder.mkdir()
        tensors = {MODULE.format("A"): np.ones((4, width), np.float32), MODULE.format("B"): np.ones((256, 4))}
        save_file({name: one.astype(np.float32) for name, one in tensors.items()}, folder / "adapter_model.safetensors")
        config = {"peft_type": "LORA", "base_model_name_or_path": base, "r": 4, "target_modules": ["q_proj"], **config}
        (folder / "adapter_config.json").write_text(json.dumps(config))
        if recorded:
            (folder / "run.json").write_text(json.dumps({"identity": {"base_model.weights": recorded}}))
        return Adapter("foreign", "foreign", "folder", folder=folder)

    return write


@pytest.mark.parametrize(
    ("base", "note"),
    [
        (None, "it does not name its base model"),
        ("", "it does not name its base model"),
        ("/data/other/machine/checkpoint-9", "not on this machine"),
        ("C:\\models\\checkpoint", "not on this machine"),
        ("unsloth/tiny-7b-instruct-bnb-4bit", "it names 'unsloth/tiny-7b-instruct-bnb-4bit'"),
        ("unsloth/Tiny-7B-Instruct-unsloth-bnb-4bit", "whose shapes it fits"),
        ("someone/TINY-7b-instruct", "whose shapes it fits"),
        (SNAPSHOT, "trained on revision '0123abcd', asked on 'main'"),
    ],
)
def test_a_name_that_can_be_the_base_is_taken_with_a_note(base, note, made, experiment):
    (noted,) = check_adapter(made(base), experiment).notes
    assert note in noted


@pytest.mark.parametrize("base", ["ORG/tiny-7b-INSTRUCT", "Org/Tiny-7B-Instruct"])
def test_its_own_name_in_any_case_takes_no_note(base, made, experiment):
    assert check_adapter(made(base), experiment).notes == ()


def test_another_name_is_refused_unless_it_is_asked_for(made, experiment):
    adapter = made("Org/Tiny-7B")
    with pytest.raises(AdapterError, match="trained on 'Org/Tiny-7B', but the base model .* --any-base"):
        check_adapter(adapter, experiment)
    assert "--any-base" in check_adapter(adapter, experiment, any_base=True).notes[0]


@pytest.mark.parametrize("base", [None, "/data/other", "unsloth/Tiny-7B-Instruct", "Org/Tiny-7B-Instruct"])
@pytest.mark.parametrize("any_base", [False, True])
def test_other_shapes_are_refused_whatever_it_names(base, any_base, made, experiment):
    with pytest.raises(AdapterError, match=r"do not fit the base model .*q_proj \[256, 128\], the base model's \[256"):
        check_adapter(made(base, width=128), experiment, any_base=any_base)


def test_another_architecture_is_refused(made, experiment):
    adapter = made(None, auto_mapping={"base_model_class": "MistralForCausalLM", "parent_library": "transformers"})
    with pytest.raises(AdapterError, match="made for 'MistralForCausalLM'"):
        check_adapter(adapter, experiment)


def test_recorded_weights_decide_over_names(made, experiment, tmp_path):
    adapter = made("Org/Elsewhere", recorded=base_identity(experiment.base_model))
    assert "records the same weights" in check_adapter(adapter, experiment).notes[0]
    shutil.rmtree(tmp_path / "adapter")
    with pytest.raises(AdapterError, match="records other weights .* --any-base"):
        check_adapter(made(None, recorded="0" * 32), experiment)


def test_a_folder_that_is_here_is_compared(made, experiment, tmp_path):
    there = tmp_path / "copied"
    shutil.copytree(experiment.base_model.folder, there)
    assert "holds the same weights" in check_adapter(made(str(there)), experiment).notes[0]
    weights = there / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    shutil.rmtree(tmp_path / "adapter")
    with pytest.raises(AdapterError, match="--any-base"):
        check_adapter(made(str(there)), experiment)


def test_a_template_of_its_own_is_named(made, experiment):
    adapter = made("Org/Tiny-7B-Instruct")
    template = (experiment.base_model.folder / "chat_template.jinja").read_text()
    own = adapter.folder / "chat_template.jinja"
    own.write_text(template + "\n")
    assert check_adapter(adapter, experiment).notes == ()
    own.write_text("{{ messages[0]['content'] }}")
    assert "a chat template that differs" in check_adapter(adapter, experiment).notes[0]
    own.unlink()
    (adapter.folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ 1 }}"}))
    assert "differs from the base model's" in check_adapter(adapter, experiment).notes[0]
