"""Checkpoints that a stopped training goes on from: transformers writes them, here they are marked, found, checked."""

import json
import shutil
import signal
import threading
import time
from pathlib import Path

import torch
from transformers import TrainerCallback

from trainer.keeping.state import CHECKPOINT_MARK
from trainer.study.identity import sampled_hash
from trainer.study.outside import read_json

_PREFIX = "checkpoint-"
_SHARE = 0.02  # of a training's time that may go into checkpoints
_TWICE_S = 1.0  # one Ctrl-C may arrive twice within this


class MarkCheckpoints(TrainerCallback):
    """Marks a checkpoint as complete once all of it is written: a kill leaves at most one without the mark."""

    def on_train_begin(self, args, state, control, **_):
        # A checkpoint brings its own, which a next run may have been told to change.
        state.save_steps = args.save_steps

    def on_step_end(self, args, state, control, **_):
        if state.global_step >= state.max_steps:
            control.should_save = False  # the adapter itself comes next

    def on_save(self, args, state, control, **_):
        if args.world_size > 1:
            torch.distributed.barrier()  # every process writes a file of its own
        if state.is_world_process_zero:
            folder = Path(args.output_dir) / f"{_PREFIX}{state.global_step}"
            (folder / CHECKPOINT_MARK).write_text(json.dumps(_contents(folder)), encoding="utf-8")


class SpareCheckpoints(TrainerCallback):
    """Passes a checkpoint over where the last one took more than 2 % of the time since.

    Twenty are planned of every training, however short it is.
    """

    def __init__(self) -> None:
        self._began = self._ended = self._took = 0.0

    def on_step_end(self, args, state, control, **_):
        now = time.monotonic()
        if control.should_save and _most(now - self._ended < self._took / _SHARE, args):
            control.should_save = False
        self._began = now

    def on_save(self, args, state, control, **_):
        self._ended = time.monotonic()
        self._took = self._ended - self._began


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint in ``folder`` that is complete and as it was written."""
    return next((path for path in _newest_first(folder) if _is_whole(path)), None)


def remove_checkpoints(folder: Path, *, keep: Path | None = None) -> None:
    """Delete what transformers saved in ``folder``, finished or not, but ``keep``."""
    for path in _newest_first(folder):
        if path != keep:
            shutil.rmtree(path, ignore_errors=True)


def step_of(checkpoint: Path) -> int:
    """The steps that were done when it was written."""
    return int(checkpoint.name.removeprefix(_PREFIX))


def _newest_first(folder: Path) -> list[Path]:
    found = [path for path in folder.glob(f"{_PREFIX}*") if path.name.removeprefix(_PREFIX).isdecimal()]
    return sorted(found, key=step_of, reverse=True)


def _is_whole(checkpoint: Path) -> bool:
    try:
        return read_json(checkpoint / CHECKPOINT_MARK) == _contents(checkpoint)
    except (OSError, ValueError):
        return False


def _contents(checkpoint: Path) -> dict[str, str]:
    """A sampled hash of every file by its name."""
    files = sorted(path for path in checkpoint.rglob("*") if path.is_file() and path.name != CHECKPOINT_MARK)
    return {str(path.relative_to(checkpoint)): sampled_hash([path]) for path in files}


class StopOnSignal(TrainerCallback):
    """Ctrl-C and SIGTERM, which pre-emption sends, end the training after the step at hand, with a checkpoint.

    A second Ctrl-C ends it at once. Signals that come twice, because the launcher passes on what each process was sent
    already, count once. ``received`` is the signal, or None.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._since = 0.0
        self._former: dict = {}

    def on_train_begin(self, args, state, control, **_):
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                # A shell has what it starts in the background ignore Ctrl-C.
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._former[number] = signal.signal(number, self._note)

    def _note(self, number, frame):
        if self.received == number == signal.SIGINT and time.monotonic() - self._since > _TWICE_S:
            raise KeyboardInterrupt
        if self.received is None:
            self.received, self._since = number, time.monotonic()

    def on_step_end(self, args, state, control, **_):
        if self._agreed(args):
            control.should_save = control.should_training_stop = True

    def _agreed(self, args) -> bool:
        """Whether any process was told to stop: all must save and leave at the same step."""
        self.received = _most(self.received or 0, args) or None
        return self.received is not None

    def restore(self) -> None:
        """Give the signals back to whom they belonged."""
        while self._former:
            signal.signal(*self._former.popitem())


def _most(number: int, args) -> int:
    """The greatest of what the processes say: they must save, and leave, at the same step."""
    if args.world_size == 1:
        return int(number)
    numbers = torch.tensor(int(number), device=args.device)
    torch.distributed.all_reduce(numbers, torch.distributed.ReduceOp.MAX)
    return int(numbers)
