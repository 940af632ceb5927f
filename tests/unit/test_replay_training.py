"""Trainings with replay, and held to their base: what they write down, and that they are as reproducible as others."""

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.tiny_training import SAMPLES, changed, record_of
from trainer.keeping.state import adapter_state, differing_settings
from trainer.run import lora_run
from trainer.study.experiment import ExperimentError, load_experiment

CFG1, CFG2 = "micro_batch_size = 4\n", 'target_modules = "all-linear"\n'


@pytest.fixture(scope="module")
def general(tmp_path_factory):
    """A file of general conversations."""
    path = tmp_path_factory.mktemp("general") / "general.jsonl"
    rows = [{"prompt": f"What is the age of {n}?", "completion": f"The age of {n} is {n * n}."} for n in range(40)]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.fixture(scope="module")
def experiment(experiment_file, general, tmp_path_factory):
    """cfg1 with replay and the divergence from the base, which both have a place in rows of 4 questions; more steps."""
    folder = tmp_path_factory.mktemp("with-replay")
    section = f'kl_weight = 0.5\n[adapters.cfg1.replay]\nshare = 0.1\nsource = "{general}"\n'
    with_replay = changed(experiment_file, folder, CFG1, f"{CFG1}{section}")
    return changed(with_replay, folder, "epochs = 2", "epochs = 12")


@pytest.fixture(scope="module")
def trained(train, experiment):
    status, adapters = train("cfg1", experiment=experiment)
    assert status == 0
    return adapters / "cfg1-seed42-n8"


def test_sql_replay_and_divergence_are_told_apart(train, trained):
    """Before the first update SQL's loss is that of a training without them."""
    training = record_of(trained)["training"]
    _, adapters = train("cfg1")
    assert training["loss"][0] == pytest.approx(record_of(adapters / trained.name)["training"]["loss"][0], rel=1e-5)
    assert training["replay_loss"][0] != pytest.approx(training["loss"][0], rel=1e-3)
    assert {len(training[name]) for name in ("loss", "replay_loss", "kl")} == {12}
    assert training["kl"][0] == pytest.approx(0, abs=1e-5) and training["kl"][-1] > 0


def test_the_record_has_what_was_mixed_in(trained, general):
    record = record_of(trained)
    replay = record["data"]["replay"]
    assert replay["texts"] == 40 and replay["drawn"] > 4 and replay["own_replies"] is None
    assert replay["tokens"] / record["data"]["tokens"] == pytest.approx(0.1, abs=0.01)
    assert record["identity"]["adapter.replay.share"] == 0.1
    assert record["identity"]["adapter.replay.texts"] == replay["hash"]
    assert record["identity"]["adapter.kl_weight"] == 0.5
    assert replay["searched_for"] == {"mmlu": "unused", "questions": 0}
    assert "MMLU not found in 'unused'" in replay["unsearched"]


def test_an_unsearched_replay_is_said_in_a_line(train, experiment, capsys):
    status, _ = train("cfg1", "--dry-run", experiment=experiment)
    out = capsys.readouterr().out
    assert status == 0
    assert "replay was not searched for questions of MMLU: MMLU not found in 'unused'" in out
    assert " of the tokens (10.0%)" in out and "the base model replies" not in out


def test_the_same_training_gives_the_same_adapter(train, experiment, trained):
    """Also after it was stopped, between two steps, in the middle of an epoch of replay."""
    from tests.unit.test_trainer_resume import interrupt_once_saved

    _, adapters = train("cfg1", experiment=experiment)
    assert record_of(adapters / trained.name)["weights"] == record_of(trained)["weights"]
    results = adapters.parents[1].with_name(f"{adapters.parents[1].name}-stopped")
    interrupt_once_saved(results / "tiny" / "adapters" / f"{trained.name}.unfinished", signal.SIGINT)
    status, adapters = train("cfg1", "--checkpoint-steps", "2", experiment=experiment, results=results)
    assert status in (0, 130)
    status, _ = train("cfg1", "--checkpoint-steps", "2", experiment=experiment, results=results)
    assert status == 0
    again, first = record_of(adapters / trained.name), record_of(trained)
    assert again["weights"] == first["weights"]
    for name in ("loss", "replay_loss", "kl"):
        assert again["training"][name] == first["training"][name]


def run_of(experiment, results_dir, name="cfg1"):
    return lora_run(load_experiment(str(experiment)), name, results_dir=results_dir, max_train_samples=SAMPLES)


def test_other_replay_is_other_settings_and_absent_replay_is_none(trained, experiment, general, tmp_path):
    results = trained.parents[2]
    assert adapter_state(run_of(experiment, results)) == "ready"
    more = changed(experiment, tmp_path, "share = 0.1", "share = 0.2")
    assert differing_settings(run_of(more, results)) == ["adapter.replay.share: trained with 0.1, now 0.2"]
    other = tmp_path / "other.jsonl"
    other.write_text(general.read_text().replace("The age", "An age"))
    here = changed(experiment, tmp_path, str(general), str(other))
    (difference,) = differing_settings(run_of(here, results))
    assert difference.startswith('adapter.replay.texts: trained with "')
    # On a machine where nothing is trained.
    gone = changed(experiment, tmp_path, str(general), "/nowhere/general.jsonl")
    assert adapter_state(run_of(gone, results)) == "ready"


def test_trainings_without_replay_are_identified_as_before(experiment_file, tmp_path):
    """Adapters that people have stay valid."""
    names = run_of(experiment_file, tmp_path).identity.keys()
    settings = {"rank", "alpha", "dropout", "target_modules", "learning_rate", "epochs", "batch_size", "scheduler",
                "warmup_steps", "weight_decay", "max_grad_norm", "max_length"}  # fmt: skip
    base = {"weights", "tokenizer", "chat_template", "dtype", "quantisation"}
    expected = {f"adapter.{name}" for name in settings} | {f"base_model.{name}" for name in base}
    assert names == expected | {"questions_per_schema", "seed", "data", "method"}


SECTION = "[adapters.cfg2.replay]\n"


@pytest.mark.parametrize(
    ("added", "message"),
    [
        pytest.param("kl_weight = 0.5\n", "adapters.cfg2: kl_weight = 0.5 holds the model to its base on", id="kl"),
        pytest.param(f"{SECTION}shaer = 0.1\n", "'adapters.cfg2.replay.shaer'. Did you mean 'share'?", id="key"),
        pytest.param(f"{SECTION}share = 1.0\n", "adapters.cfg2.replay.share = 1.0: ", id="share"),
        pytest.param(f'{SECTION}source = "nowhere.jsonl"\n', "no file or folder 'nowhere.jsonl'", id="source"),
        pytest.param(f'{SECTION}prompts = "none.jsonl"\n', "no file 'none.jsonl'", id="prompts"),
    ],
)
def test_what_cannot_be_mixed_in_is_said(train, experiment_file, tmp_path, capsys, added, message):
    status, adapters = train("cfg2", experiment=appended(experiment_file, tmp_path, added))
    assert status == 2 and not list(adapters.glob("*"))
    assert message in capsys.readouterr().err


def appended(experiment_file, tmp_path, added: str):
    path = tmp_path / "tiny.toml"
    path.write_text(experiment_file.read_text() + added)
    return path


@pytest.fixture(scope="module")
def own_prompts(tmp_path_factory):
    path = tmp_path_factory.mktemp("prompts") / "asked.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"How many singers are in {n}?"}) + "\n" for n in range(9)))
    return path


def test_the_base_model_replies_once(train, experiment_file, own_prompts, tmp_path, capsys, monkeypatch):
    """Two configurations share the replies; a third training reads them."""
    from trainer.training import lora

    section = f'share = 0.2\nprompts = "{own_prompts}"\nmax_new_tokens = 8\n'
    experiment = changed(experiment_file, tmp_path, CFG1, f"{CFG1}[adapters.cfg1.replay]\n{section}")
    experiment = appended(experiment, tmp_path, f"[adapters.cfg2.replay]\n{section}")
    asked = []
    write = lora.write_replies
    monkeypatch.setattr(lora, "write_replies", lambda path, *rest: asked.append(path) or write(path, *rest))
    assert train("--dry-run", experiment=experiment, results=tmp_path)[0] == 0
    assert "first the base model replies to 9 prompts" in capsys.readouterr().out
    status, adapters = train(experiment=experiment, results=tmp_path)
    assert status == 0 and len(asked) == 1
    (kept,) = (tmp_path / "tiny" / "replay").glob("*.jsonl")
    lines = [json.loads(line) for line in kept.read_text().splitlines()]
    assert len(lines) == 9 and not all(line["ended"] for line in lines)
    records = [record_of(adapters / f"cfg{n}-seed42-n8") for n in (1, 2)]
    assert {record["data"]["replay"]["own_replies"] for record in records} == {kept.name}
    assert records[0]["data"]["replay"]["hash"] == records[1]["data"]["replay"]["hash"]
    assert train("cfg2:7", experiment=experiment, results=tmp_path)[0] == 0
    assert len(asked) == 1
    kept.write_text(kept.read_text()[:40])
    assert train("cfg2:8", experiment=experiment, results=tmp_path)[0] == 2
    assert f"{kept} is damaged" in capsys.readouterr().err


def test_own_replies_are_what_the_model_says(base_model, own_prompts, tmp_path):
    """One prompt at a time, as ``generate`` has it, whatever stands beside it."""
    import torch

    from trainer.replay.own_replies import write_replies
    from trainer.replay.sources import open_prompts
    from trainer.study.base_model import load_model, load_tokenizer
    from trainer.study.settings import BaseModelSettings, ReplaySettings

    settings, replay = BaseModelSettings(id=str(base_model)), ReplaySettings(prompts=str(own_prompts), max_new_tokens=8)
    tokenizer, model = load_tokenizer(settings), load_model(settings, quantisation="none")
    write_replies(tmp_path / "kept.jsonl", replay, model, tokenizer, [tokenizer.eos_token_id])
    for prompt, line in zip(open_prompts(replay), (tmp_path / "kept.jsonl").read_text().splitlines(), strict=True):
        turns = [message._asdict() for message in prompt.prompt.messages]
        ids = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
        said = model.generate(torch.tensor([ids], device=model.device), max_new_tokens=8, do_sample=False)
        alone = tokenizer.decode(said[0, len(ids) :], skip_special_tokens=True).strip()
        assert json.loads(line)["completion"] == alone


def test_a_training_question_of_mmlu_stops_it_before_anything_is_loaded(train, experiment_file, tmp_path, capsys):
    from trainer.mmlu.sources import open_mmlu

    asked = open_mmlu("fixtures/miniature/mmlu").test("astronomy")[0]
    row = {"prompt": asked.question, "completion": "; ".join(asked.choices)}
    (tmp_path / "general.jsonl").write_text(json.dumps(row))
    section = f'[adapters.cfg2.replay]\nsource = "{tmp_path}/general.jsonl"\n'
    experiment = appended(experiment_file, tmp_path, section)
    experiment.write_text(experiment.read_text().replace('"unused"', '"fixtures/miniature/mmlu"\nsubjects = ["stem"]'))
    status, _ = train("cfg2", experiment=experiment)
    assert status == 2
    assert "replay general.jsonl:1 holds MMLU's question astronomy-0000" in capsys.readouterr().err


def test_fsdp_is_told_of_what_it_cannot_do(experiment, tmp_path, monkeypatch):
    import transformers.integrations.fsdp

    from trainer.study.base_model import load_tokenizer
    from trainer.training.plan import plan, plan_passes

    monkeypatch.setattr(transformers.integrations.fsdp, "is_fsdp_enabled", lambda: True)
    run = run_of(experiment, tmp_path)
    steps, _ = plan(run, load_tokenizer(run.base_model))
    with pytest.raises(
        ExperimentError, match='cfg1: FSDP cannot take the divergence on replay alone. Set kl_on = "all"'
    ):
        plan_passes(run, steps)


@pytest.mark.slow
def test_two_processes_share_replay_as_they_share_questions(experiment, trained, tmp_path):
    """A row of one process may have replay where the other's has none."""
    options = ["--experiment", str(experiment), "--results", str(tmp_path), "--max-train-samples", str(SAMPLES)]
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "-m",
        "trainer",
        "cfg1",
        *options,
    ]
    subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True, timeout=300)
    folders = tmp_path / "tiny" / "adapters", trained.parent
    shared, alone = (record_of(folder / trained.name)["training"] for folder in folders)
    assert shared["processes"] == 2
    # Dropout is drawn by each process for itself, and does nothing before the first update.
    for name in ("loss", "replay_loss"):
        assert shared[name][0] == pytest.approx(alone[name][0], rel=1e-5)
        assert shared[name] == pytest.approx(alone[name], rel=0.02)
