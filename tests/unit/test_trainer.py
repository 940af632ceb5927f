"""``python -m trainer``: two steps on a tiny random model, the folder it leaves, and what it says when it cannot."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiny_training import SAMPLES, SPIDER, changed, record_of
from trainer.keeping.state import adapter_state
from trainer.run import lora_run
from trainer.study.experiment import load_experiment


@pytest.fixture(scope="module")
def trained(train) -> Path:
    """The adapters' folder after both configurations were trained in one call. Read only."""
    status, adapters = train()
    assert status == 0
    return adapters


def test_an_adapter_has_weights_and_a_record(trained):
    assert sorted(path.name for path in trained.iterdir()) == ["cfg1-seed42-n8", "cfg2-seed42-n8"]
    names = {path.name for path in (trained / "cfg1-seed42-n8").iterdir()}
    assert names >= {"adapter_model.safetensors", "adapter_config.json", "run.json"}
    assert not any(name.endswith((".bin", ".pt")) for name in names)


def test_the_loss_is_finite_and_the_adapter_moved(trained):
    record = record_of(trained / "cfg1-seed42-n8")
    assert len(record["training"]["loss"]) == 2
    assert all(0 < loss < 20 for loss in record["training"]["loss"])
    assert record["weights"]["initial"] != record["weights"]["final"]
    assert record["training"]["cuda_graphs"] is False and record["training"]["cuda_graphs_failure"] is None


def test_only_lora_weights_are_trained(experiment_file, base_model, tmp_path):
    import torch
    from safetensors.torch import load_file

    from trainer.study.base_model import load_tokenizer
    from trainer.training.plan import plan, plan_passes
    from trainer.training.progress import StepReport
    from trainer.training.row_trainer import build_trainer

    run = lora_run(load_experiment(str(experiment_file)), "cfg2", results_dir=tmp_path, max_train_samples=SAMPLES)
    tokenizer = load_tokenizer(run.base_model)
    steps, _ = plan(run, tokenizer)
    report, passes = StepReport("tiny", [1] * len(steps), visible=False), plan_passes(run, steps)[0]
    trainer = build_trainer(run, tokenizer, steps, tmp_path, report, passes)
    trainer.train()
    after = {
        name.replace(".base_layer", ""): weights
        for name, weights in trainer.model.base_model.model.state_dict().items()
    }
    before = load_file(base_model / "model.safetensors")
    assert all(torch.equal(weights, after[name]) for name, weights in before.items())
    assert {
        name for name, weights in trainer.model.named_parameters() if weights.requires_grad and "lora_" not in name
    } == set()


def test_the_adapter_can_be_loaded_and_names_its_base(trained, base_model):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    adapter = trained / "cfg1-seed42-n8"
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base_model), adapter)
    assert model.peft_config["default"].r == 2
    assert json.loads((adapter / "adapter_config.json").read_text())["base_model_name_or_path"] == str(base_model)


def test_the_same_seed_gives_the_same_adapter(train, trained):
    """Alone and from scratch, also where it was the second of two before."""
    status, adapters = train("cfg2")
    again, first = (record_of(folder / "cfg2-seed42-n8") for folder in (adapters, trained))
    assert status == 0
    assert again["weights"] == first["weights"]
    assert again["training"]["loss"] == first["training"]["loss"]
    files = [(folder / "cfg2-seed42-n8" / "adapter_model.safetensors").read_bytes() for folder in (adapters, trained)]
    assert files[0] == files[1]


def test_an_adapter_is_one_file_whichever_process_writes_it(trained):
    """Its hash is part of what answers are kept under; the modules are a set, whose order is each process's own."""
    modules = json.loads((trained / "cfg2-seed42-n8" / "adapter_config.json").read_text())["target_modules"]
    assert len(modules) > 4 and modules == sorted(modules)


def test_another_seed_gives_another_adapter(train, trained):
    _, adapters = train("cfg1:7")
    other, first = record_of(adapters / "cfg1-seed7-n8"), record_of(trained / "cfg1-seed42-n8")
    assert other["weights"]["initial"] != first["weights"]["initial"]
    assert other["data"]["order"] != first["data"]["order"]


def test_a_finished_adapter_is_left_alone(train, trained, capsys):
    before = (trained / "cfg1-seed42-n8" / "run.json").stat().st_mtime_ns
    status, _ = train("cfg1", results=trained.parents[1])
    assert status == 0
    assert "already trained" in capsys.readouterr().out
    assert (trained / "cfg1-seed42-n8" / "run.json").stat().st_mtime_ns == before


def test_an_adapter_of_other_settings_is_not_overwritten(train, trained, experiment_file, tmp_path, capsys):
    status, _ = train("cfg1", results=trained.parents[1], experiment=changed(experiment_file, tmp_path, "1e-2", "3e-3"))
    error = capsys.readouterr().err
    assert status == 2
    assert "adapter.learning_rate: trained with 0.01, now 0.003" in error
    assert "--max-train-samples 8 --overwrite" in error


def test_overwrite_trains_again(train, experiment_file, tmp_path):
    _, adapters = train("cfg1")
    status, _ = train(
        "cfg1",
        "--overwrite",
        results=adapters.parents[1],
        experiment=changed(experiment_file, tmp_path, "1e-2", "3e-3"),
    )
    assert status == 0
    assert [path.name for path in adapters.iterdir()] == ["cfg1-seed42-n8"]
    assert record_of(adapters / "cfg1-seed42-n8")["settings"]["learning_rate"] == 3e-3


def test_state_is_told_without_torch(trained, experiment_file):
    """pytest asks it to decide what to train, in a process that must stay light."""
    code = (
        "import sys, pathlib, trainer.keeping.state as s, trainer.run as r, trainer.study.experiment as e\n"
        "experiment, results, samples = sys.argv[1:]\n"
        "options = {'results_dir': pathlib.Path(results), 'max_train_samples': int(samples)}\n"
        "run = r.lora_run(e.load_experiment(experiment), 'cfg1', **options)\n"
        "print(s.adapter_state(run), 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(experiment_file), str(trained.parents[1]), str(SAMPLES)]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["ready", "False"]


def test_an_untrained_adapter_is_missing(experiment_file, tmp_path):
    assert adapter_state(lora_run(load_experiment(str(experiment_file)), "cfg1", results_dir=tmp_path)) == "missing"


def test_checkpoints_are_adapters_too(train):
    _, adapters = train("cfg2", "--save-steps", "1")
    checkpoints = adapters / "cfg2-seed42-n8" / "checkpoints"
    assert sorted(path.name for path in checkpoints.iterdir()) == ["step-1", "step-2"]
    final = (adapters / "cfg2-seed42-n8" / "adapter_model.safetensors").read_bytes()
    assert (checkpoints / "step-2" / "adapter_model.safetensors").read_bytes() == final
    assert (checkpoints / "step-1" / "adapter_model.safetensors").read_bytes() != final


def test_a_dry_run_trains_nothing(train, capsys):
    status, adapters = train("--dry-run")
    assert status == 0
    out = capsys.readouterr().out
    assert "8 questions, 0 too long\n  2 steps" in out
    assert "GiB; time: about " in out
    assert not adapters.exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        pytest.param(
            '"q_proj", "down',
            '"query", "down',
            "no linear layer 'query' to adapt. It has down_proj, gate_proj,",
            id="modules",
        ),
        pytest.param(
            "micro_batch_size = 4", "micro_batch_size = 3", "= 3 does not divide batch_size = 8", id="micro-batch"
        ),
        pytest.param(
            "rank = 2", "rank = 2\nmax_length = 20", "max_length = 20: no training question fits", id="length"
        ),
        pytest.param(
            'dtype = "float32"', "memory_gb = 18", "needs about 18 GB of GPU memory, and there is no GPU", id="memory"
        ),
        pytest.param("models", "modles", "base model not found: no folder", id="base"),
        pytest.param(SPIDER, "no/spider", "Spider not found: no folder or zip 'no/spider'", id="spider"),
    ],
)
def test_what_cannot_be_trained_is_said_in_one_line(train, experiment_file, tmp_path, capsys, old, new, message):
    status, adapters = train("cfg1", experiment=changed(experiment_file, tmp_path, old, new))
    *before, last = capsys.readouterr().err.splitlines()
    assert status == 2
    assert last.startswith("error: ")
    assert message in last
    assert not any("Traceback" in line for line in before)
    assert not list(adapters.glob("*"))


def test_a_damaged_base_model_is_named(train, experiment_file, base_model, tmp_path, capsys):
    import shutil

    damaged = shutil.copytree(base_model, tmp_path / "damaged")
    weights = damaged / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    status, _ = train("cfg1", experiment=changed(experiment_file, tmp_path, str(base_model), str(damaged)))
    assert status == 2
    assert f"base model in {str(damaged)!r} cannot be loaded" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        pytest.param("cgf1", "unknown adapter 'cgf1'. Did you mean 'cfg1'?", id="typo"),
        pytest.param("cfg1:x", "'cfg1:x' is not NAME or NAME:SEED", id="seed"),
    ],
)
def test_a_wrong_name_is_said_at_once(train, capsys, argument, message):
    status, _ = train(argument)
    assert status == 2
    assert message in capsys.readouterr().err


def test_results_that_cannot_be_written(train, tmp_path, capsys):
    (tmp_path / "results").write_text("a file, not a folder")
    status, _ = train("cfg1", results=tmp_path / "results")
    assert status == 2
    assert "cannot write to" in capsys.readouterr().err


@pytest.mark.slow
def test_qlora_trains_on_a_cpu(train, experiment_file, tmp_path):
    status, adapters = train(
        "cfg1", experiment=changed(experiment_file, tmp_path, "rank = 2", 'rank = 2\nquantisation = "nf4"')
    )
    assert status == 0
    assert record_of(adapters / "cfg1-seed42-n8")["identity"]["base_model.quantisation"] == "nf4"


def test_the_data_can_be_read_as_text(train, tmp_path, base_model):
    from transformers import AutoTokenizer

    status, _ = train("--prepare-only", results=tmp_path)
    train_lines, dev_lines = (
        [json.loads(line) for line in (tmp_path / "tiny" / f"{name}_formatted.jsonl").read_text().splitlines()]
        for name in ("train", "dev")
    )
    assert (status, len(train_lines), len(dev_lines)) == (0, SAMPLES, 200)
    tokenizer = AutoTokenizer.from_pretrained(base_model)
    for line in [*train_lines, *dev_lines[:5]]:
        written = tokenizer.apply_chat_template(line["messages"], tokenize=False)
        assert line["prompt"] + line["completion"] == written
        assert line["completion"].startswith(line["messages"][-1]["content"])
        assert line["tokens"] == len(tokenizer.apply_chat_template(line["messages"], return_dict=False))
    assert {line["db_id"] for line in train_lines}.isdisjoint(line["db_id"] for line in dev_lines)


def test_a_reporter_that_is_not_installed_is_named(train, capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    status, _ = train("cfg1", "--report-to", "trackio")
    assert status == 2
    assert "--report-to trackio: the package is not installed. Run: pip install trackio" in capsys.readouterr().err


@pytest.mark.parametrize("values", [{"gradient_checkpointing": "true"}, {"micro_batch_size": "2"}])
def test_how_a_step_is_computed_leaves_the_losses_as_they_are(train, trained, experiment_file, tmp_path, values):
    """cfg2 has no dropout, so that nothing is drawn while it trains."""
    ((name, value),) = values.items()
    cfg2 = "rank = 4\n"
    status, adapters = train("cfg2", experiment=changed(experiment_file, tmp_path, cfg2, f"{cfg2}{name} = {value}\n"))
    losses = [record_of(folder / "cfg2-seed42-n8")["training"]["loss"] for folder in (adapters, trained)]
    assert status == 0
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
