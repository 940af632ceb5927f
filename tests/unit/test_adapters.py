import json
import os
import struct
import subprocess
import sys

import pytest

from fixtures.adapters.adapter import AdapterError, slugify
from fixtures.adapters.checks import check_adapter
from fixtures.adapters.specs import merge_the_one, parse_adapters, train_command
from tests.processes import run_pytest
from trainer.options import read_job
from trainer.study.experiment import EXPERIMENTS, ExperimentError, load_experiment


@pytest.fixture
def experiment():
    return load_experiment("miniature")


def parse(spec, experiment, tmp_path):
    (adapter,) = parse_adapters([spec], experiment, tmp_path)
    return adapter


@pytest.mark.parametrize(
    ("spec", "slug", "folder"),
    [
        pytest.param("cfg1", "cfg1", "cfg1-seed42", id="name"),
        pytest.param("cfg1:7", "cfg1-seed7", "cfg1-seed7", id="seed"),
        pytest.param("cfg1@step-200", "cfg1-step-200", "cfg1-seed42/checkpoints/step-200", id="checkpoint"),
        pytest.param("cfg1*0.5", "cfg1-x0.5", "cfg1-seed42", id="scale"),
        pytest.param("cfg2:7@step-20*.5", "cfg2-seed7-step-20-x0.5", "cfg2-seed7/checkpoints/step-20", id="all-three"),
    ],
)
def test_a_configuration_is_found_at_a_seed_checkpoint_and_scale(spec, slug, folder, experiment, tmp_path):
    adapter = parse(spec, experiment, tmp_path)
    assert (adapter.slug, adapter.folder) == (slug, tmp_path / "miniature" / "adapters" / folder)


def test_without_adapter_the_base_and_every_configuration_are_evaluated(experiment, tmp_path):
    assert [adapter.slug for adapter in parse_adapters([], experiment, tmp_path)] == ["base", "cfg1", "cfg2"]


def test_an_experiment_says_which_configurations_a_command_is_about_that_names_none(experiment, tmp_path):
    every = ["cfg1", "cfg2", "cfg3"]
    assert experiment.unnamed == ("cfg1", "cfg2") and list(experiment.adapters) == every
    runs = read_job(["--experiment", "miniature", "--results", str(tmp_path)]).runs
    assert [run.adapter for run in runs] == ["cfg1", "cfg2"]
    silent = experiment.model_copy(update={"default_adapters": ()})
    assert [adapter.slug for adapter in parse_adapters([], silent, tmp_path)] == ["base", *every]
    assert [adapter.slug for adapter in parse_adapters(["cfg3"], experiment, tmp_path)] == ["cfg3"]


def test_a_default_configuration_that_is_not_there_is_named(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text((EXPERIMENTS / "miniature.toml").read_text().replace('["cfg1", "cfg2"]', '["cgf1"]'))
    with pytest.raises(ExperimentError, match="default_adapters = .*no configuration 'cgf1'. Did you mean 'cfg"):
        load_experiment(str(path))


def test_all_configurations_are_listed(pytestconfig, tmp_path):
    result = run_pytest(["--list-adapters", f"--results={tmp_path}"], cwd=pytestconfig.rootpath)
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["base", "cfg1", "cfg2", "cfg3"]


def test_commas_and_repetitions_add_up_and_doubles_count_once(experiment, tmp_path):
    adapters = parse_adapters(["base,cfg1", "cfg1, cfg2"], experiment, tmp_path)
    assert [adapter.spec for adapter in adapters] == ["base", "cfg1", "cfg2"]


def test_a_typo_is_answered_with_the_nearest_name(experiment, tmp_path):
    with pytest.raises(AdapterError, match=r"unknown adapter 'cgf1'. Did you mean 'cfg1'\?"):
        parse("cgf1", experiment, tmp_path)


def test_two_adapters_with_one_slug_are_refused(experiment, tmp_path):
    for parent in ("a", "b"):
        (tmp_path / parent / "run").mkdir(parents=True)
    with pytest.raises(AdapterError, match="would both be called 'run'"):
        parse_adapters([f"{tmp_path}/a/run,{tmp_path}/b/run"], experiment, tmp_path)


def test_a_hub_id_is_taken_as_one(experiment, tmp_path):
    adapter = parse("someone/llama-3-8b-spider", experiment, tmp_path)
    assert (adapter.kind, adapter.slug) == ("hub", "someone_llama-3-8b-spider")


@pytest.mark.parametrize("name", ["cfg1:7", "a b/c", "häufig", "((("])
def test_slugs_hold_only_what_pytest_k_takes(name):
    assert set(slugify(name)) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")


def write_adapter(folder, base="fixtures/miniature/model", cut=0):
    """A PEFT folder with one weight of four bytes; ``cut`` bytes are missing at its end."""
    folder.mkdir()
    folder.joinpath("adapter_config.json").write_text(
        json.dumps({"base_model_name_or_path": base, "peft_type": "LORA"})
    )
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    weights = struct.pack("<Q", len(header)) + header + b"\0\0\0\0"
    folder.joinpath("adapter_model.safetensors").write_bytes(weights[: len(weights) - cut])
    return folder


def test_a_sound_adapter_of_this_base_passes(experiment, tmp_path):
    check_adapter(parse(str(write_adapter(tmp_path / "a")), experiment, tmp_path), experiment)


def test_an_adapter_of_another_base_is_refused_with_both_names(experiment, tmp_path):
    adapter = parse(str(write_adapter(tmp_path / "a", base="Qwen/Qwen2.5-7B")), experiment, tmp_path)
    with pytest.raises(AdapterError, match="trained on 'Qwen/Qwen2.5-7B', but the base model"):
        check_adapter(adapter, experiment)


@pytest.mark.parametrize("cut", [1, 4, 60])
def test_a_truncated_adapter_is_refused_before_a_model_loads(cut, experiment, tmp_path):
    adapter = parse(str(write_adapter(tmp_path / "a", cut=cut)), experiment, tmp_path)
    with pytest.raises(AdapterError, match="is damaged"):
        check_adapter(adapter, experiment)


def test_a_pickled_adapter_is_refused(experiment, tmp_path):
    folder = write_adapter(tmp_path / "a")
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(AdapterError, match="pickled"):
        check_adapter(parse(str(folder), experiment, tmp_path), experiment)


def test_retraining_changes_what_answers_are_filed_under(experiment, tmp_path):
    before = parse(str(write_adapter(tmp_path / "a")), experiment, tmp_path).weights_hash
    weights = tmp_path / "a" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    assert parse(str(tmp_path / "a"), experiment, tmp_path).weights_hash != before


@pytest.mark.parametrize("specs", ["base", "cfg1,cfg2", "base,cfg1"])
def test_only_one_adapter_without_the_base_is_merged(specs, experiment, tmp_path):
    with pytest.raises(AdapterError, match=f"--merge: .* this run asks {specs.replace(',', ', ')}"):
        merge_the_one(parse_adapters([specs], experiment, tmp_path), experiment)


def test_what_is_merged_is_filed_apart_and_never_in_4_bits(experiment, tmp_path):
    plain = parse_adapters([str(write_adapter(tmp_path / "a"))], experiment, tmp_path)
    (merged,) = merge_the_one(plain, experiment)
    assert merged.merged and merged.weights_hash != plain[0].weights_hash
    quantised = experiment.base_model.model_copy(update={"quantisation": "nf4"})
    with pytest.raises(AdapterError, match="held in nf4"):
        merge_the_one(plain, experiment.model_copy(update={"base_model": quantised}))


@pytest.mark.parametrize(
    ("specs", "names", "further"),
    [("cfg1,cfg2:7", "cfg1:42 cfg2:7", ""), ("cfg1@step-40,cfg1@step-60", "cfg1:42", " --save-steps 20")],
)
def test_the_command_that_trains_repeats_what_says_what_and_where(specs, names, further, experiment, tmp_path):
    adapters = parse_adapters([specs], experiment, tmp_path, 50, "my spider.zip")
    options = f"--experiment miniature --results {tmp_path} --spider 'my spider.zip' --max-train-samples 50"
    assert train_command(adapters) == f"python -m trainer {names} {options}{further}"


def test_a_checkpoint_that_a_finished_training_did_not_keep_takes_another_training(experiment, tmp_path):
    (tmp_path / "miniature" / "adapters").mkdir(parents=True)
    write_adapter(tmp_path / "miniature" / "adapters" / "cfg1-seed42")
    command = train_command(parse_adapters(["cfg1@step-40"], experiment, tmp_path))
    assert command.endswith("--save-steps 40 --overwrite")


def test_paths_given_from_a_subfolder_are_those_of_the_subfolder(experiment, tmp_path, pytestconfig):
    """The trainer runs in the repository: from there ``../data`` would be another folder."""
    given = os.path.relpath(pytestconfig.rootpath / "fixtures" / "miniature" / "spider", tmp_path)
    command = [sys.executable, "-m", "pytest", "-c", str(pytestconfig.inipath), "-m", "spider", "--adapter=cfg1@step-5"]
    command += [f"--spider={given}", "--results=here", str(pytestconfig.rootpath / "tests")]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert f"--results {tmp_path}/here --spider {tmp_path}/{given} --save-steps 5" in ended.stderr
