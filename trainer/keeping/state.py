"""What lies on disk of a training: nothing, a part, or an adapter, and of which settings. Asked without torch."""

import json
from pathlib import Path
from typing import Any, Literal

from trainer.replay.sources import REPLAY_DATA
from trainer.run import DATABASES, UNRECORDED, LoraRun
from trainer.study.base_model import check_folder
from trainer.study.experiment import ExperimentError
from trainer.study.outside import read_json

# Told of data that need not be where an adapter is asked.
_OF_DATA = ("data", REPLAY_DATA, DATABASES)
# The file that a checkpoint has once all of it is written.
CHECKPOINT_MARK = "complete.json"


class TrainingFailed(ExperimentError):
    """The loss became no number: nothing that is trained on could be used, and other settings are the remedy."""


class TrainingStopped(Exception):
    """A signal said to stop; what was done lies in ``folder``: the adapter, or where ``step`` is given a checkpoint."""

    def __init__(self, signal: int, folder: Path, step: int | None = None):
        after = "this adapter" if step is None else f"step {step}"
        super().__init__(f"stopped after {after}, which {str(folder)!r} keeps.")
        self.signal = signal


def adapter_state(run: LoraRun) -> Literal["missing", "ready", "stale"]:
    """Whether the adapter is there, made by these very settings; ``stale``: made by others. Reads the training data."""
    if not (run.output_dir / "adapter_model.safetensors").is_file():
        return "missing"
    return "stale" if differing_settings(run) else "ready"


def must_train(run: LoraRun, *, overwrite: bool = False) -> bool:
    """Whether the adapter is yet to be trained, or is to be trained again.

    Raises:
        ExperimentError: an adapter of other settings is there, finished or not, and ``overwrite`` was not given, or
            there is no base model, training data, database to show values of or replay to use. Nothing has been
            loaded by then.
    """
    check_folder(run.base_model)
    if not run.training_questions:
        raise ExperimentError(f"there are no training questions in {run.spider!r}")
    state = "missing" if overwrite else adapter_state(run)
    if state == "stale":
        raise _other_settings(run, run.output_dir, "an adapter")
    if state == "missing" and not overwrite and has_checkpoint(run) and differing_settings(run, unfinished=True):
        raise _other_settings(run, run.unfinished_dir, "an unfinished training")
    if state == "missing":
        run.check_databases()
        if run.replay:
            run.replay.read()
    return state == "missing"


def has_checkpoint(run: LoraRun) -> bool:
    """Whether an unfinished training has come to a checkpoint that a next run can go on from."""
    return any(run.unfinished_dir.glob(f"checkpoint-*/{CHECKPOINT_MARK}"))


def _other_settings(run: LoraRun, folder: Path, what: str) -> ExperimentError:
    unfinished = folder == run.unfinished_dir
    lines = [f"{str(folder)!r} holds {what} of other settings:", *differing_settings(run, unfinished=unfinished)]
    return ExperimentError("\n  ".join(lines) + f"\nTrain it again: {run.command} --overwrite")


def differing_settings(run: LoraRun, *, unfinished: bool = False) -> list[str]:
    """``name: then, now`` of every setting in which the adapter that is there differs from ``run``.

    Where there are only questions to ask, an adapter was trained on other data than these in any case.
    """
    recorded = trained_with(run.unfinished_dir if unfinished else run.output_dir)
    if not recorded:
        return ["run.json: missing or damaged"]
    now = UNRECORDED | json.loads(json.dumps(run.identity))
    recorded = {name: value for name, value in recorded.items() if name not in _OF_DATA or name in now}
    names = [name for name in {**recorded, **now} if recorded.get(name) != now.get(name)]
    return [f"{name}: trained with {_short(recorded.get(name))}, now {_short(now.get(name))}" for name in names]


def trained_with(folder: Path) -> dict[str, Any]:
    """What ``LoraRun.identity`` was of the adapter in ``folder``; empty where there is no record, or a damaged one."""
    try:
        return UNRECORDED | read_json(folder / "run.json")["identity"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _short(value: object) -> str:
    text = json.dumps(value)
    return f'{text[:12]}..."' if len(text) > 60 else text
