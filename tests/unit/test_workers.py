"""Workers of xdist on one machine: how many there may be, and what each of them gets."""

import json
import os
import subprocess
import sys

import pytest

from fixtures.study.gpus import WorkersError, check_workers
from trainer.machine.gpus import visible_gpus
from trainer.study.experiment import EXPERIMENTS

LISTED = "GPU 0: NVIDIA H200 (UUID: GPU-1)\nGPU 1: NVIDIA H200 (UUID: GPU-2)\n"
MIG = "GPU 0: NVIDIA H200 (UUID: GPU-1)\n  MIG 3g.71gb Device 0: (UUID: MIG-1)\n  MIG 3g.71gb Device 1: (UUID: MIG-2)\n"

# What a worker may use, written down when its session ends.
PROBE = """
import json, os, pathlib, sys

def pytest_sessionfinish(session):
    if hasattr(session.config, "workerinput") and "torch" in sys.modules:
        seen = {"gpu": os.environ["CUDA_VISIBLE_DEVICES"], "threads": sys.modules["torch"].get_num_threads()}
        name = session.config.workerinput["workerid"] + ".json"
        (pathlib.Path(__file__).parent / name).write_text(json.dumps(seen))
"""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """``machine(listed)``: nvidia-smi lists these GPUs."""

    def with_gpus(listed):
        program = tmp_path / "bin" / "nvidia-smi"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\ncat <<'END'\n{listed}END\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    return with_gpus


@pytest.fixture
def run(pytestconfig, tmp_path):
    """``run(*arguments)`` runs pytest with the probe, on the base model."""

    def run(*arguments, **environment):
        (tmp_path / "probe.py").write_text(PROBE)
        command = [sys.executable, "-m", "pytest", "-p", "probe", "--adapter=base", f"--results={tmp_path}/results"]
        environment = {**os.environ, "PYTHONPATH": str(tmp_path), **environment}
        return subprocess.run(
            [*command, *arguments], cwd=pytestconfig.rootpath, env=environment, capture_output=True, text=True
        )

    return run


@pytest.fixture
def large(tmp_path):
    """An experiment whose base model needs a GPU."""
    text = (EXPERIMENTS / "miniature.toml").read_text()
    path = tmp_path / "large.toml"
    path.write_text(text.replace("[base_model]", "[base_model]\nmemory_gb = 16"))
    return f"--experiment={path}"


@pytest.mark.parametrize(
    ("listed", "variable", "gpus"),
    [
        (LISTED, None, {"0": "NVIDIA H200", "1": "NVIDIA H200"}),
        (LISTED, "1", {"1": "NVIDIA H200"}),
        (LISTED, "GPU-2, GPU-1", {"GPU-2": "GPU-2", "GPU-1": "GPU-1"}),
        (LISTED, "", {}),
        (LISTED, "1,-1,0", {"1": "NVIDIA H200"}),
        (MIG, None, {"0": "NVIDIA H200"}),
        (MIG, "MIG-1,MIG-2", {"MIG-1": "MIG-1", "MIG-2": "MIG-2"}),
        ("", "0", {}),
    ],
)
def test_gpus_are_those_that_cuda_would_use(listed, variable, gpus, machine, monkeypatch):
    machine(listed)
    if variable is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    assert visible_gpus() == gpus


@pytest.mark.parametrize(
    ("workers", "gpus", "message"),
    [(4, 2, "4 workers, but 2 GPUs"), (2, 1, "2 workers, but 1 GPU, and .* Use -n 1"), (2, 0, "but no GPU")],
)
def test_more_workers_than_gpus_are_refused(workers, gpus, message):
    with pytest.raises(WorkersError, match=message):
        check_workers(workers, gpus)
    check_workers(gpus, gpus or 1)


def test_it_is_refused_before_anything_is_collected(run, machine, large):
    machine(LISTED)
    result = run("-m", "spider", "-n", "3", large)
    assert result.returncode == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: -n 3: 3 workers, but 2 GPUs" in result.stderr
    assert "created" not in result.stdout and "collected" not in result.stdout


@pytest.mark.slow
def test_a_worker_for_every_gpu_where_the_model_needs_one(run, machine, large):
    machine(LISTED + "GPU 2: NVIDIA H200 (UUID: GPU-3)\n")
    assert "created: 3/3 workers" in run("-m", "mmlu", "-k", "none-of-them", "-n", "auto", large).stdout


@pytest.mark.slow
def test_each_worker_has_a_gpu_and_its_share_of_the_threads(run, machine, tmp_path):
    machine(LISTED)
    result = run("-m", "mmlu", "--max-samples=8", "-n", "2", OMP_NUM_THREADS="2")
    assert result.returncode == 0, result.stdout
    seen = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("gw*.json"))]
    assert seen == [{"gpu": "0", "threads": 1}, {"gpu": "1", "threads": 1}]
    manifest = json.loads((tmp_path / "results" / "miniature" / "manifest.json").read_text())
    assert manifest["hardware"]["gpus"] == ["NVIDIA H200"] * 2
