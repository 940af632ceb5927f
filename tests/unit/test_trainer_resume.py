"""Trainings that are killed, stopped, or run out of disk: what they leave, and that they go on to the same adapter."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.tiny_training import SAMPLES, changed, record_of
from trainer.keeping.checkpoints import last_checkpoint

STEPS = 60


@pytest.fixture(scope="module")
def long_experiment(experiment_file, tmp_path_factory) -> Path:
    """cfg1, which has dropout, for ``STEPS`` steps: random numbers must go on where they were, too."""
    return changed(experiment_file, tmp_path_factory.mktemp("long"), "epochs = 2", f"epochs = {STEPS}")


@pytest.fixture(scope="module")
def uninterrupted(train, long_experiment) -> dict:
    """The record of the training that nothing happened to."""
    status, adapters = train("cfg1", experiment=long_experiment)
    assert status == 0
    return record_of(adapters / "cfg1-seed42-n8")


def command(experiment: Path, results: Path) -> list[str]:
    options = ["--experiment", str(experiment), "--results", str(results), "--max-train-samples", str(SAMPLES)]
    return [sys.executable, "-m", "trainer", "cfg1", "--checkpoint-steps", "7", *options]


def start(*arguments, **options) -> subprocess.Popen:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command(*arguments), env=environment, stderr=subprocess.PIPE, text=True, **options)


def wait_for_checkpoint(folder: Path) -> None:
    deadline = time.monotonic() + 90
    while last_checkpoint(folder) is None:
        assert time.monotonic() < deadline, f"no checkpoint in {folder}"
        time.sleep(0.02)


def interrupt_once_saved(folder: Path, number: signal.Signals) -> None:
    """Send this process a signal as soon as a checkpoint is in ``folder``."""

    def wait_and_send():
        wait_for_checkpoint(folder)
        os.kill(os.getpid(), number)

    threading.Thread(target=wait_and_send, daemon=True).start()


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_same_adapter(train, long_experiment, uninterrupted, tmp_path):
    unfinished = tmp_path / "tiny" / "adapters" / "cfg1-seed42-n8.unfinished"
    with start(long_experiment, tmp_path) as process:
        wait_for_checkpoint(unfinished)
        process.kill()
    status, adapters = train("cfg1", results=tmp_path, experiment=long_experiment)
    record = record_of(adapters / "cfg1-seed42-n8")
    assert status == 0
    assert record["training"]["resumed_after_step"] >= 7
    assert record["weights"] == uninterrupted["weights"]
    assert record["training"]["loss"] == uninterrupted["training"]["loss"]
    assert record["training"]["wall_s"] > record["training"]["first_step_s"]
    assert [path.name for path in adapters.iterdir()] == ["cfg1-seed42-n8"]
    assert not list((adapters / "cfg1-seed42-n8").glob("checkpoint-*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_training_saves_first_and_goes_on(train, long_experiment, uninterrupted, tmp_path, capsys, number):
    unfinished = tmp_path / "tiny" / "adapters" / "cfg1-seed42-n8.unfinished"
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    interrupt_once_saved(unfinished, number)
    status, adapters = train("cfg1", "--checkpoint-steps", "7", results=tmp_path, experiment=long_experiment)
    said = capsys.readouterr().err.splitlines()[-1]
    assert status == 128 + number
    assert said.startswith("stopped after step ")
    assert said.endswith("keeps. Run the same command to go on.")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    saved = last_checkpoint(unfinished)
    assert f"step {saved.name.removeprefix('checkpoint-')}," in said
    status, _ = train("cfg1", results=tmp_path, experiment=long_experiment)
    assert status == 0
    assert record_of(adapters / "cfg1-seed42-n8")["weights"] == uninterrupted["weights"]


@pytest.fixture(scope="module")
def stopped(train, long_experiment, tmp_path_factory) -> Path:
    """The results of a training that was stopped, with two checkpoints. Read only."""
    results = tmp_path_factory.mktemp("stopped")
    interrupt_once_saved(results / "tiny" / "adapters" / "cfg1-seed42-n8.unfinished", signal.SIGTERM)
    status, _ = train("cfg1", "--checkpoint-steps", "7", results=results, experiment=long_experiment)
    assert status == 128 + signal.SIGTERM
    return results


@pytest.fixture
def stopped_copy(stopped, tmp_path) -> tuple[Path, list[Path]]:
    """Results of one's own, and the checkpoints in them, oldest first."""
    results = shutil.copytree(stopped, tmp_path / "results")
    found = results.glob("tiny/adapters/*.unfinished/checkpoint-*")
    return results, sorted(found, key=lambda path: int(path.name.removeprefix("checkpoint-")))


@pytest.mark.parametrize("name", ["optimizer.pt", "complete.json"])
def test_a_damaged_checkpoint_is_passed_over(train, long_experiment, uninterrupted, stopped_copy, name):
    results, checkpoints = stopped_copy
    (checkpoints[-1] / name).write_bytes((checkpoints[-1] / name).read_bytes()[:-9])
    status, adapters = train("cfg1", results=results, experiment=long_experiment)
    record = record_of(adapters / "cfg1-seed42-n8")
    before = int(checkpoints[-2].name.removeprefix("checkpoint-")) if len(checkpoints) > 1 else 0
    assert status == 0
    assert record["training"]["resumed_after_step"] == before
    assert record["weights"] == uninterrupted["weights"]


def test_an_unfinished_training_of_other_settings_is_kept(
    train, experiment_file, long_experiment, stopped_copy, capsys
):
    results, checkpoints = stopped_copy
    status, _ = train("cfg1", results=results, experiment=experiment_file)
    error = capsys.readouterr().err
    assert status == 2
    assert "holds an unfinished training of other settings:\n  adapter.epochs: trained with 60.0, now 2.0" in error
    assert "--max-train-samples 8 --overwrite" in error
    assert checkpoints[-1].is_dir()
    status, adapters = train("cfg1", "--overwrite", results=results, experiment=experiment_file)
    assert status == 0
    assert len(record_of(adapters / "cfg1-seed42-n8")["training"]["loss"]) == 2


def test_a_training_that_another_process_just_finished_is_left_alone(train, experiment_file):
    """It was missing when this process looked, before its imports."""
    from trainer.run import lora_run
    from trainer.study.experiment import load_experiment
    from trainer.training.lora import train_adapter

    _, adapters = train("cfg2")
    before = (adapters / "cfg2-seed42-n8" / "run.json").stat().st_mtime_ns
    run = lora_run(
        load_experiment(str(experiment_file)), "cfg2", results_dir=adapters.parents[1], max_train_samples=SAMPLES
    )
    assert train_adapter(run) == adapters / "cfg2-seed42-n8"
    assert (adapters / "cfg2-seed42-n8" / "run.json").stat().st_mtime_ns == before
    assert [path.name for path in adapters.iterdir()] == ["cfg2-seed42-n8"]


def test_what_was_killed_before_its_first_checkpoint_is_no_obstacle(train, tmp_path):
    unfinished = tmp_path / "tiny" / "adapters" / "cfg2-seed42-n8.unfinished"
    (unfinished / "checkpoint-1").mkdir(parents=True)
    (unfinished / ".lock").touch()
    status, adapters = train("cfg2", results=tmp_path)
    assert status == 0
    assert record_of(adapters / "cfg2-seed42-n8")["training"]["resumed_after_step"] == 0


def test_overwriting_goes_on_too(train, long_experiment, stopped_copy):
    """The same command that was stopped is run again, ``--overwrite`` and all."""
    results, _ = stopped_copy
    status, adapters = train("cfg1", "--overwrite", results=results, experiment=long_experiment)
    assert status == 0
    assert record_of(adapters / "cfg1-seed42-n8")["training"]["resumed_after_step"] >= 7


def test_two_trainings_of_one_adapter_do_not_mix(train, long_experiment, stopped_copy, capsys):
    from filelock import FileLock

    results, checkpoints = stopped_copy
    with FileLock(checkpoints[0].parent / ".lock"):
        status, _ = train("cfg1", results=results, experiment=long_experiment)
    assert status == 2
    assert "cfg1 seed 42 is being trained by another process" in capsys.readouterr().err
    assert checkpoints[-1].is_dir()


def test_a_loss_that_is_no_number_stops_and_keeps_the_checkpoint(train, experiment_file, tmp_path, capsys):
    experiment = changed(experiment_file, tmp_path, "learning_rate = 1e-2", "learning_rate = 1e38")
    status, adapters = train("cfg1", "--checkpoint-steps", "1", results=tmp_path, experiment=experiment)
    error = capsys.readouterr().err.splitlines()[-1]
    kept = adapters / "cfg1-seed42-n8.unfinished" / "checkpoint-1"
    assert status == 1
    assert error.startswith("error: cfg1 seed 42: the loss is nan at step 2. The checkpoint before it is kept: ")
    assert repr(str(kept)) in error
    assert "Lower learning_rate (--find-lr proposes one)" in error
    assert last_checkpoint(kept.parent) == kept


def test_a_failure_before_the_first_checkpoint_leaves_nothing(train, experiment_file, tmp_path):
    experiment = changed(experiment_file, tmp_path, "learning_rate = 1e-2", "learning_rate = 1e38")
    status, adapters = train("cfg1", "--checkpoint-steps", "9", results=tmp_path, experiment=experiment)
    assert status == 1
    assert list(adapters.iterdir()) == []


@pytest.mark.slow
def test_a_full_disk_is_said_and_the_checkpoint_before_kept(long_experiment, stopped_copy):
    """No file above 5 kB may be written: the next checkpoint's optimizer is larger."""
    results, checkpoints = stopped_copy

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))

    with start(long_experiment, results, preexec_fn=limited) as process:
        _, error = process.communicate(timeout=120)
    last = error.splitlines()[-1]
    assert process.returncode == 2
    assert "is full, or a quota is reached. Make room and run the same command, which goes on from step " in last
    assert "Traceback" not in error
    assert last_checkpoint(checkpoints[-1].parent) == checkpoints[-1]


@pytest.mark.slow
def test_two_processes_train_the_same_adapter(experiment_file, train, tmp_path):
    """Over gloo. cfg2 has no dropout; sums in another order differ in their last digits."""
    options = ["--experiment", str(experiment_file), "--results", str(tmp_path), "--max-train-samples", str(SAMPLES)]
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "-m", "trainer", "cfg2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.run([*launch, *options], env=environment, capture_output=True, text=True, timeout=180, check=True)
    _, alone = train("cfg2")
    records = [record_of(folder / "cfg2-seed42-n8") for folder in (tmp_path / "tiny" / "adapters", alone)]
    assert run.stdout.count("cfg2 seed 42: trained") == 1
    assert records[0]["training"]["processes"] == 2
    assert records[0]["training"]["loss"] == pytest.approx(records[1]["training"]["loss"], rel=1e-4)
    assert records[0]["weights"]["initial"] == records[1]["weights"]["initial"]
    assert [path.name for path in (tmp_path / "tiny" / "adapters").iterdir()] == ["cfg2-seed42-n8"]
    again = subprocess.run(
        [*launch, *options], env=environment, capture_output=True, text=True, timeout=180, check=True
    )
    assert again.stdout.count("cfg2 seed 42: already trained") == 1
