"""``run.json``: what an adapter was made from, by what and how, beside its weights."""

import importlib.metadata
import json
import platform
import subprocess
from pathlib import Path

from trainer.run import LoraRun
from trainer.study.settings import REPOSITORY

PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "peft",
    "trl",
    "accelerate",
    "bitsandbytes",
    "datasets",
    "safetensors",
    "liger-kernel",
    "triton",
)


def write_run_record(run: LoraRun, folder: Path, **measured: dict) -> None:
    """Write ``run.json`` into ``folder``: every setting, the sections in ``measured``, versions and hardware."""
    record = {
        "experiment": run.experiment,
        "adapter": run.adapter,
        "seed": run.seed,
        "max_train_samples": run.max_train_samples,
        "command": run.command,
        "base_model": run.base_model.model_dump(mode="json"),
        "settings": run.settings.model_dump(mode="json"),
        "prompt": run.prompt.model_dump(mode="json"),
        "identity": run.identity,
        "fingerprint": run.fingerprint,
        **measured,
        "versions": {
            "python": platform.python_version(),
            **{name: installed_version(name) for name in PACKAGES},
        },
        "git_commit": git_commit(),
        "hardware": _hardware(),
    }
    # In one step: checkpoints are worth nothing without a record that says of what they are.
    unfinished = folder / "run.json.unfinished"
    unfinished.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    unfinished.replace(folder / "run.json")


def installed_version(name: str) -> str | None:
    """A package's version; None where it is not installed, as bitsandbytes and Liger's kernels need not be."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def git_commit() -> str | None:
    command = ["git", "-C", str(REPOSITORY), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _hardware() -> dict:
    import torch

    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {"machine": platform.machine(), "threads": torch.get_num_threads(), "gpus": gpus}
