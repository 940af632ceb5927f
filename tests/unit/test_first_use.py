"""What a person meets first: names near a mistyped one, how long it will take, and what is missing."""

import json
import os
import re
import subprocess
import sys

import pytest

from fixtures.adapters.adapter import AdapterError
from fixtures.adapters.near import nearest
from fixtures.adapters.specs import parse_adapters
from fixtures.near import near_paths
from fixtures.study import training
from tests.tiny_training import SAMPLES
from trainer.machine import progress_line
from trainer.machine.progress_line import ProgressLine, duration
from trainer.study.experiment import did_you_mean, load_experiment


def run(*arguments, cwd, **environment):
    own = os.environ | {"HF_HUB_OFFLINE": "1"} | environment
    command = [sys.executable, "-m", "pytest", *arguments]
    return subprocess.run(command, cwd=cwd, env=own, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("mistyped", "meant"),
    [
        ("cgf1", "'cfg1'"),
        ("runs/my-adaptr", "runs/my-adapter'"),
        ("rusn/my-adapter", "runs/my-adapter'"),
        ("predictons.sql", "predictions.sql'"),
        ("miniature/adapters/cfg1-seed4", "cfg1-seed42'"),
    ],
)
def test_what_is_missing_is_answered_with_the_nearest_names(mistyped, meant, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("runs/my-adapter", "results/miniature/adapters/cfg1-seed42"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "adapter_config.json").write_text("{}")
    (tmp_path / "predictions.sql").write_text("SELECT 1\n")
    (tmp_path / "miniature" / "adapters").mkdir(parents=True)
    experiment, results = load_experiment("miniature"), tmp_path / "results"
    from fixtures.adapters.checks import resolve_hub

    with pytest.raises(AdapterError) as told:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        (adapter,) = parse_adapters([mistyped], experiment, results)
        resolve_hub(adapter, experiment, results)
    assert "Did you mean" in str(told.value) and meant in str(told.value)
    assert "\n" not in str(told.value)


def test_a_link_that_leads_nowhere_is_not_what_was_meant(tmp_path):
    for name in ("study.zip", "stduy.zip"):
        (tmp_path / name).symlink_to(tmp_path / "gone")
    (tmp_path / "studi.zip").touch()
    near = near_paths(tmp_path / "study.zip", lambda path: path.suffix == ".zip")
    assert near == [str(tmp_path / "studi.zip")]


def test_what_may_not_be_looked_at_is_not_what_was_meant(tmp_path, monkeypatch):
    """Nor does it hide what was; whoever runs the tests may look at all."""
    for name in ("study1.zip", "study2.zip"):
        (tmp_path / name).touch()

    def refuse(path: str, *_, **__):
        if "study1" in str(path) or "private" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path)

    stat = os.stat
    monkeypatch.setattr(os, "stat", refuse)
    assert near_paths(tmp_path / "study.zip", lambda path: path.stat().st_size == 0) == [str(tmp_path / "study2.zip")]
    assert near_paths(tmp_path / "private" / "study.zip", lambda path: True) == []


def test_a_name_that_is_known_and_yet_not_there_is_not_what_was_meant(tmp_path, monkeypatch):
    """An adapter that was fetched in part, a database whose file has gone."""
    fetched = tmp_path / "models--somebody--adapter/snapshots/1"
    fetched.mkdir(parents=True)
    (fetched / "adapter_config.json").write_text("{}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    experiment = load_experiment("miniature")
    assert nearest("somebody/adaptr", experiment, tmp_path, ()) == " Did you mean 'somebody/adapter'?"
    assert nearest("somebody/adapter", experiment, tmp_path, ()) == ""
    assert did_you_mean("shop", ["shop", "SHOP", "shops"]) == " Did you mean 'SHOP'?"
    assert did_you_mean("shop", ["shop"]) == ""


def test_a_log_has_a_line_a_minute_and_a_terminal_a_bar_that_fits(monkeypatch, capsys):
    seconds = iter(range(0, 10000, 10))
    monkeypatch.setattr(progress_line.time, "monotonic", lambda: next(seconds))
    line = ProgressLine(100, "cfg1 seed 42", "step")
    for _ in range(30):
        line.update("loss 0.1")
    line.close()
    told = capsys.readouterr().err.splitlines()
    assert 3 <= len(told) <= 6 and "\r" not in "".join(told)
    assert told[0].endswith(" of 100 steps, loss 0.1") and told[0].startswith("cfg1 seed 42: ")

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    bar = ProgressLine(100, "cfg1 seed 42", "step")
    bar.update("CAREFUL: " + "it diverged " * 10, now=True)
    bar.close()
    states = capsys.readouterr().err.replace("\r", "\n").splitlines()
    assert any("CAREFUL" in state for state in states) and max(map(len, states)) < 80


def test_a_duration_is_as_clocks_show_it():
    assert (duration(292), duration(3599.6)) == ("04:52", "1:00:00")


@pytest.mark.parametrize(
    ("max_samples", "limit", "said"),
    [
        (
            10,
            None,
            "to be trained first: cfg1 and cfg2. --max-train-samples=N trains on fewer questions, into a folder apart; "
            "--max-samples=10 limits only those that are asked",
        ),
        (
            None,
            None,
            "to be trained first: cfg1 and cfg2. --max-train-samples=N trains on fewer questions, into a folder apart",
        ),
        (10, 64, "to be trained first, on 64 questions: cfg1 and cfg2"),
    ],
)
def test_what_is_trained_is_said_at_once_with_what_makes_it_shorter(max_samples, limit, said, tmp_path):
    """Ten questions asked took minutes of training on all of them, and nothing said why."""
    adapters = parse_adapters(["cfg1,cfg2,cfg2*0.5"], load_experiment("miniature"), tmp_path, limit)
    lines = training.notice(adapters, max_samples)
    assert " ".join(line.strip() for line in lines) == said
    assert max(map(len, lines)) <= 80


@pytest.mark.slow
def test_a_run_that_trains_says_so_before_it_begins_and_nothing_beside(pytestconfig, tmp_path):
    limits = ["--max-samples=1", "--max-train-samples=8", f"--results={tmp_path}"]
    ended = run("-m", "spider", "--adapter=cfg1", "--train", *limits, cwd=pytestconfig.rootpath)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    first, then = (
        ended.stdout.index("to be trained first, on 8 questions: cfg1"),
        ended.stdout.index("cfg1 seed 42: 8 q"),
    )
    assert first < then < ended.stdout.index("cfg1 seed 42: trained, in ")
    assert ended.stderr.strip() == ""


def test_how_long_a_training_takes_is_said_before_it_starts_and_changes_no_weight(
    train, experiment_file, tmp_path, capsys
):
    from trainer.run import lora_run
    from trainer.training.lora import train_adapter

    status, adapters = train("cfg1")
    said = capsys.readouterr()
    assert status == 0 and re.search(
        rf"cfg1 seed 42: {SAMPLES} questions, \d+ steps, about \d+ s on this machine", said.out
    )
    run = lora_run(load_experiment(str(experiment_file)), "cfg1", results_dir=tmp_path, max_train_samples=SAMPLES)
    records = [
        json.loads((folder / "run.json").read_text()) for folder in (train_adapter(run), *adapters.glob("cfg1-*"))
    ]
    assert records[0]["weights"] == records[1]["weights"]
    assert [record["data"]["questions"] for record in records] == [SAMPLES, SAMPLES]
    assert capsys.readouterr().out == ""
