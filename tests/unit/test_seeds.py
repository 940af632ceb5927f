"""Several seeds in one command: what ``--seeds`` and ``seeds`` stand for, and trainings side by side on GPUs."""

import os
import signal
import sys
import threading
import time

import pytest

from fixtures.adapters.specs import parse_adapters, train_command
from fixtures.questions.plugin import BUILT_IN
from fixtures.study.overrides import overridden
from fixtures.study.planning import plan_lines
from tests.tiny_training import record_of
from trainer.__main__ import main
from trainer.machine.side_by_side import run_side_by_side
from trainer.options import read_job
from trainer.study.experiment import EXPERIMENTS, ExperimentError, load_experiment


@pytest.fixture
def experiment_at_seeds(tmp_path):
    """The miniature's file with ``seeds = [1, 2]``."""
    path = tmp_path / "miniature.toml"
    path.write_text((EXPERIMENTS / "miniature.toml").read_text().replace("seed = 42", "seed = 42\nseeds = [1, 2]"))
    return path


def names(*arguments):
    return [f"{run.adapter}:{run.seed}" for run in read_job(list(arguments)).runs]


def test_seeds_are_those_in_a_row_from_the_seed_on():
    assert names("cfg1", "--seeds", "3") == ["cfg1:42", "cfg1:43", "cfg1:44"]
    assert names("cfg1", "cfg2:7", "--seeds", "2", "--seed", "1") == ["cfg1:1", "cfg1:2", "cfg2:7"]
    assert names("--seeds", "2") == ["cfg1:42", "cfg1:43", "cfg2:42", "cfg2:43"]


def test_the_experiments_seeds_are_those_of_names_without_one(experiment_at_seeds):
    given = ["--experiment", str(experiment_at_seeds)]
    assert names("cfg1", *given) == ["cfg1:1", "cfg1:2"]
    assert names("cfg1:7", *given) == ["cfg1:7"]
    assert names("cfg1", "--seed", "9", *given) == ["cfg1:9"]
    assert names("cfg1", "--seeds", "2", *given) == ["cfg1:42", "cfg1:43"]


def test_pytest_evaluates_and_trains_the_same_seeds(experiment_at_seeds, tmp_path):
    experiment = load_experiment(str(experiment_at_seeds))
    adapters = parse_adapters(["base,cfg1*0.5,cfg2:7"], experiment, tmp_path)
    assert [adapter.spec for adapter in adapters] == ["base", "cfg1:1*0.5", "cfg1:2*0.5", "cfg2:7"]
    assert {adapter.configuration for adapter in adapters[1:3]} == {"cfg1*0.5"}
    assert "cfg1:1 cfg1:2 cfg2:7" in train_command(adapters[1:])
    of_option = overridden(experiment, BUILT_IN, {"seeds": 3})
    found = parse_adapters([], of_option, tmp_path)
    assert [adapter.slug for adapter in found][:4] == ["base", "cfg1", "cfg1-seed43", "cfg1-seed44"]


def test_a_seed_that_stands_twice_is_refused(experiment_at_seeds):
    experiment_at_seeds.write_text(experiment_at_seeds.read_text().replace("[1, 2]", "[1, 1]"))
    with pytest.raises(ExperimentError, match="seeds = .*a seed stands there twice"):
        load_experiment(str(experiment_at_seeds))


def test_a_plan_supposes_the_experiments_seeds(experiment_at_seeds):
    experiment = load_experiment(str(experiment_at_seeds))
    (head, *_) = plan_lines(BUILT_IN[0], experiment, 200, 10, {})
    assert "2 trainings" in " ".join(plan_lines(BUILT_IN[0], experiment, 200, 10, {})), head


def say_and_wait(number: int, gate) -> list[str]:
    """A command that names its GPU and ends once all have: they run at the same time, or never end."""
    code = (
        "import os, pathlib, sys, time\n"
        "gate = pathlib.Path(sys.argv[1]); (gate / sys.argv[2]).touch()\n"
        "print('gpu', os.environ['CUDA_VISIBLE_DEVICES'], flush=True)\n"
        "while len(list(gate.iterdir())) < 2: time.sleep(0.01)\n"
        "sys.exit(int(sys.argv[2]))"
    )
    return [sys.executable, "-c", code, str(gate), str(number)]


def test_commands_run_side_by_side_each_on_its_gpu(tmp_path):
    said = []
    statuses = run_side_by_side([say_and_wait(n, tmp_path) for n in (0, 3, 1)], ["5", "7"], said.append)
    assert statuses == [0, 3, 1]
    assert set(said[:2]) == {"gpu 5", "gpu 7"} and len(said) == 3


def test_a_progress_bar_comes_in_lines():
    said = []
    code = r"import sys; sys.stderr.write('\rbar 1\rbar 2\nlast')"
    assert run_side_by_side([[sys.executable, "-c", code]], ["0"], said.append) == [0]
    assert said == ["bar 1", "bar 2", "last"]


def test_a_signal_is_passed_on_and_nothing_else_begins(tmp_path):
    waiting = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
    sent = threading.Event()

    def stop(line):
        if not sent.is_set():
            sent.set()
            os.kill(os.getpid(), signal.SIGTERM)

    before, began = signal.getsignal(signal.SIGTERM), time.monotonic()
    assert run_side_by_side([waiting, waiting], ["0"], stop) == [128 + signal.SIGTERM] * 2
    assert time.monotonic() - began < 30
    assert signal.getsignal(signal.SIGTERM) is before


def test_several_trainings_share_several_gpus(experiment_file, tmp_path, capsys, monkeypatch):
    """The GPUs are made up and the processes compute on the CPU, to the same weights as one after another."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    options = ["--experiment", str(experiment_file), "--results", str(tmp_path), "--max-train-samples", "8"]
    assert main(["cfg2:1", "cfg2", "--save-steps", "1", *options], gpus=lambda: ["0", "1"]) == 0
    out = capsys.readouterr().out
    assert "2 trainings on 2 GPUs" in out
    assert "cfg2 seed 1: trained" in out and "cfg2 seed 42: trained" in out
    adapters = tmp_path / "tiny" / "adapters"
    assert (adapters / "cfg2-seed1-n8" / "checkpoints" / "step-1").is_dir()
    alone = ["--experiment", str(experiment_file), "--results", str(tmp_path / "alone"), "--max-train-samples", "8"]
    assert main(["cfg2:1", *alone]) == 0
    same = [record_of(folder / "cfg2-seed1-n8")["weights"] for folder in (adapters, tmp_path / "alone/tiny/adapters")]
    assert same[0] == same[1]
    assert main(["cfg2:1", "cfg2", *options], gpus=lambda: ["0", "1"]) == 0
    assert capsys.readouterr().out.count("already trained") == 2
