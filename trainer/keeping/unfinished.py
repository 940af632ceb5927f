"""The folder that an adapter grows in: the adapter's own at the end, or what a next run goes on from."""

import contextlib
import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from trainer.keeping.checkpoints import last_checkpoint, remove_checkpoints, step_of
from trainer.keeping.record import write_run_record
from trainer.keeping.state import differing_settings, must_train
from trainer.machine.processes import of_the_first, processes
from trainer.run import LoraRun
from trainer.study.experiment import ExperimentError

_LOCK = ".lock"
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# How safetensors and torch tell of it; their exceptions carry no number.
_DISK_FULL_TEXTS = (*(f"os error {number}" for number in _DISK_FULL), "failed writing file")


@contextlib.contextmanager
def unfinished_adapter(run: LoraRun, *, overwrite: bool = False) -> Iterator[Path | None]:
    """``run.unfinished_dir``, which becomes ``run.output_dir`` when all went well; None where there is nothing to do.

    A complete checkpoint in it is kept from an earlier run and for a later one; without any, a failure leaves nothing.
    Of several processes the first one decides and does all this, the others wait.

    Raises:
        ExperimentError: as ``must_train``; it cannot be written, the disk is full, or another process trains the same.
    """
    all_processes = processes()
    if not all_processes.is_main_process:
        yield run.unfinished_dir if of_the_first(None) else None
        all_processes.wait_for_everyone()
        return
    with _locked(run):
        # Only behind the lock is it known that no other process has just finished it.
        wanted = must_train(run, overwrite=overwrite)
        with _kept_after_failure(run):
            if wanted:
                _prepare(run.unfinished_dir, run)
            yield run.unfinished_dir if of_the_first(wanted) else None
        if wanted:
            _replace(run.output_dir, run.unfinished_dir)
            remove_checkpoints(run.output_dir)
    all_processes.wait_for_everyone()


@contextlib.contextmanager
def _kept_after_failure(run: LoraRun) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        _tidy(run.unfinished_dir)
        if _is_disk_full(error):
            raise ExperimentError(_disk_full(run, run.unfinished_dir)) from error
        raise


@contextlib.contextmanager
def _locked(run: LoraRun) -> Iterator[None]:
    folder = run.unfinished_dir
    lock = FileLock(folder / _LOCK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise ExperimentError(f"{run.label} is being trained by another process, in {str(folder)!r}.") from None
    except OSError as error:
        raise ExperimentError(
            f"cannot write to {str(folder.parent)!r}: {error.strerror}. Choose another place with --results."
        ) from None
    with lock:
        lock.release()  # of the two times that it is held now
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                for place in (run.output_dir, folder):
                    (place / _LOCK).unlink(missing_ok=True)
                folder.rmdir()


def _prepare(folder: Path, run: LoraRun) -> None:
    """Empty the folder, and say what will be trained in it, unless there is a checkpoint of just that to go on from."""
    if last_checkpoint(folder) is None or differing_settings(run, unfinished=True):
        for path in folder.iterdir():
            if path.name != _LOCK:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        write_run_record(run, folder)


def _tidy(folder: Path) -> None:
    """Leave the last complete checkpoint, or nothing."""
    kept = last_checkpoint(folder)
    if kept is None:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        remove_checkpoints(folder, keep=kept)


def _is_disk_full(error: BaseException) -> bool:
    return getattr(error, "errno", None) in _DISK_FULL or any(text in str(error) for text in _DISK_FULL_TEXTS)


def _disk_full(run: LoraRun, folder: Path) -> str:
    kept = last_checkpoint(folder)
    going_on = f"goes on from step {step_of(kept)}" if kept else "starts again: no checkpoint was written yet"
    return (
        f"{run.label}: the disk of {str(folder.parent)!r} is full, or a quota is reached. "
        f"Make room and run the same command, which {going_on}."
    )


def _replace(folder: Path, by: Path) -> None:
    """Rename ``by`` to ``folder``; what was there is deleted only after that."""
    old = folder.with_name(f"{folder.name}.old")
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
    by.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
