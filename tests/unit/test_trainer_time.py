"""What is said of the time that a training takes, before it and while it runs; and what saves some."""

import time
from types import SimpleNamespace

import pytest

from tests.tiny_training import changed
from tests.unit.test_trainer_memory import run_with, steps
from trainer.training.passes import Passes


@pytest.fixture
def llama(tmp_path, monkeypatch):
    """A run on a model of 32 layers, whose trial takes 9 s to compile and 20 ms + 5 ms a layer for a step."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from tests.bench.llama_3_8b import LLAMA_3_8B
    from trainer.training import trial

    with torch.device("meta"):
        skeleton = LlamaForCausalLM(LlamaConfig(**LLAMA_3_8B, tie_word_embeddings=False))
    monkeypatch.setattr(trial, "load_skeleton", lambda settings: skeleton)
    monkeypatch.setattr(trial, "_timed", lambda run, tokenizer, steps, passes, layers, enough_s: timed(layers))
    return tmp_path


def timed(layers: int) -> list[float]:
    """Of twelve steps, one of which captures a shape."""
    return [9.0, *[0.02 + 0.005 * layers] * 5, 0.4, *[0.02 + 0.005 * layers] * 5]


@pytest.mark.parametrize(
    ("quantisation", "graphs", "seconds"),
    [
        pytest.param("none", False, 9 + 100 * 0.18, id="LoRA"),
        pytest.param("none", True, 9 + 100 * 0.18, id="through graphs"),
        pytest.param("nf4", False, 9 + 100 * 0.18 * 1.13, id="QLoRA"),
    ],
)
def test_few_layers_and_steps_tell_of_all(llama, quantisation, graphs, seconds):
    from trainer.training.trial import trial_seconds

    run = run_with(llama, quantisation=quantisation)
    planned = steps(16, 100) * 100
    assert trial_seconds(run, None, planned, Passes(16, False, graphs)) == pytest.approx(seconds)


def test_longer_rows_take_longer(llama):
    from trainer.training.trial import trial_seconds

    run = run_with(llama)
    planned = steps(16, 100) * 12 + steps(16, 300) * 88
    assert trial_seconds(run, None, planned, Passes(16, False)) == pytest.approx(9 + 0.18 * (12 + 88 * 3))


def test_one_step_tells_of_itself(llama, monkeypatch):
    from trainer.training import trial

    monkeypatch.setattr(trial, "_timed", lambda *_: [9.0])
    assert trial.trial_seconds(run_with(llama), None, steps(16, 100), Passes(16, False)) == pytest.approx(18.0)


def test_each_length_takes_a_graph_of_its_own(llama):
    from trainer.training.trial import trial_seconds

    run = run_with(llama)
    planned = steps(16, 128) * 50 + steps(16, 1024) * 50  # whole blocks: nothing is padded
    seconds = [trial_seconds(run, None, planned, Passes(16, False, graphs)) for graphs in (False, True)]
    assert seconds[1] - seconds[0] == pytest.approx(0.011 * 32)


def test_a_trial_that_fails_is_said(tmp_path, monkeypatch):
    from trainer.training import dry_run, trial

    def fail(*_):
        raise RuntimeError("CUDA out of memory. Tried to\nallocate")

    monkeypatch.setattr(trial, "trial_seconds", fail)
    run = run_with(tmp_path)
    run.base_model.__dict__["memory_gb"] = 0.0
    assert dry_run.expected_time(run, None, [], Passes(16, False)) == (
        "unknown, as a few steps of it failed: CUDA out of memory. Tried to"
    )


@pytest.mark.parametrize("resumed", [0, 4])
def test_the_time_left_is_told_from_the_third_step_on(monkeypatch, resumed):
    """The first step's compiling is no part of it, and long steps take longer."""
    from trainer.training.progress import StepReport

    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    report = StepReport("cfg1", [10] * (resumed + 3) + [10, 30], visible=False)
    before = [{"loss": 1.0, "seconds": 5.0}] * resumed
    state = SimpleNamespace(global_step=resumed, log_history=[*before])
    args = SimpleNamespace(fp16=False, output_dir="nowhere")
    report.on_train_begin(args, state, None)
    shown = []
    for seconds in (20, 2, 2):
        now[0] += seconds
        state.log_history.append({"loss": 1.0})
        report.on_log(args, state, None, {"loss": 1.0})
        shown.append(report._bar.said)
    assert ["left" in text for text in shown] == [False, False, True]
    assert shown[-1].endswith(", 00:08 left")


def test_a_log_has_the_time_left_as_soon_as_it_is_known_and_then_once_a_minute(monkeypatch, capsys):
    from trainer.training.progress import StepReport

    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    report, state = StepReport("cfg1", [10] * 40, visible=True), SimpleNamespace(global_step=0, log_history=[])
    args = SimpleNamespace(fp16=False, output_dir="nowhere")
    report.on_train_begin(args, state, None)
    for _ in range(40):
        now[0] += 2
        state.log_history.append({"loss": 1.0})
        report.on_log(args, state, None, {"loss": 1.0})
    written = capsys.readouterr().err.splitlines()
    assert [line.partition(" steps")[0] for line in written] == ["cfg1: 3 of 40", "cfg1: 33 of 40"]
    assert written[0].endswith(", 01:14 left")


def test_the_compiler_is_where_it_is_imported_from():
    from importlib.util import find_spec

    from trainer.machine import compiler

    assert all(map(find_spec, compiler._MODULES))


@pytest.mark.parametrize(
    ("step_s", "save_s", "written"), [(0.1, 0.0, 19), (0.1, 0.5, 1), (10.0, 0.5, 19), (1.0, 0.5, 4)]
)
def test_checkpoints_take_a_fiftieth_of_the_time(monkeypatch, step_s, save_s, written):
    """Of twenty that are planned over 100 steps, the last of which is none: the adapter itself comes next."""
    from trainer.keeping import checkpoints

    now, steps = [0.0], []
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: now[0])
    spare, args = checkpoints.SpareCheckpoints(), SimpleNamespace(world_size=1)
    for step in range(1, 100):
        now[0] += step_s
        control = SimpleNamespace(should_save=step % 5 == 0)
        spare.on_step_end(args, None, control)
        if control.should_save:
            now[0] += save_s
            spare.on_save(args, None, control)
            steps.append(step)
    assert len(steps) == written and steps[0] == 5
    first = save_s  # whose time nobody knows before
    assert len(steps) * save_s - first <= 0.02 * now[0]


def test_a_checkpoint_that_was_asked_for_is_written(train, experiment_file, tmp_path, monkeypatch):
    """By its number of steps, though it takes longer than the training; and no tokenizer is in any."""
    from trainer.keeping import checkpoints

    kept = []
    monkeypatch.setattr(checkpoints, "_SHARE", 1e-9)
    plain = checkpoints.MarkCheckpoints.on_save

    def noted(self, args, state, control, **given):
        plain(self, args, state, control, **given)
        folder = checkpoints.last_checkpoint(tmp_path / "tiny" / "adapters" / "cfg1-seed42-n8.unfinished")
        kept.append((folder.name, sorted(path.name for path in folder.glob("*token*"))))

    monkeypatch.setattr(checkpoints.MarkCheckpoints, "on_save", noted)
    eight = changed(experiment_file, tmp_path, "epochs = 2", "epochs = 8")
    assert train("cfg1", "--checkpoint-steps", "2", results=tmp_path, experiment=eight)[0] == 0
    assert kept == [("checkpoint-2", []), ("checkpoint-4", []), ("checkpoint-6", [])]
    kept.clear()
    assert train("cfg1", "--overwrite", results=tmp_path, experiment=eight)[0] == 0
    assert kept == [("checkpoint-1", [])]
