"""Train the experiment's adapters: ``python -m trainer [NAME[:SEED] ...]``."""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from trainer.keeping.state import TrainingStopped, must_train
from trainer.machine.quiet import quiet_libraries
from trainer.options import Action, Job, read_job
from trainer.run import LoraRun
from trainer.study.experiment import ExperimentError
from trainer.study.outside import harmless

_SIGNALLED = 128  # and the signal's number, as shells have it


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line and return the exit status: 0, 2 for what the user can mend, 130 after Ctrl-C."""
    try:
        _do(read_job(arguments))
    except ExperimentError as error:
        print(harmless(f"error: {error}"), file=sys.stderr)
        return 2
    except TrainingStopped as stopped:
        _say(f"\n{stopped} Run the same command to go on.", file=sys.stderr)
        return _SIGNALLED + stopped.signal
    except KeyboardInterrupt:
        _say("\nstopped; finished adapters and checkpoints are kept. Run the same command to go on.", file=sys.stderr)
        return _SIGNALLED + signal.SIGINT
    return 0


def _do(job: Job) -> None:
    match job.action:
        case Action.TRAIN:
            _train(job.runs, overwrite=job.overwrite)
        case Action.DESCRIBE:
            _describe(job.runs)
        case Action.PREPARE:
            # Configurations differ in what is done with the texts only.
            _prepare(job.runs[0], job.results_dir)
        case Action.PUSH:
            _push(job.runs[0], job.push_to)


def _is_first() -> bool:
    """Whether this process is the first of those that ``accelerate launch`` started, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def _say(text: str, file=None) -> None:
    """Print, once of all processes."""
    if _is_first():
        print(harmless(text), file=file, flush=True)


def _train(runs: Sequence[LoraRun], *, overwrite: bool) -> None:
    # All are looked at first: what cannot be trained is said before the minutes that the others take.
    # Behind a launcher the first process looks, and tells the others what there is to do.
    launched = "RANK" in os.environ
    pending = [run for run in runs if must_train(run, overwrite=overwrite)] if _is_first() else runs
    if pending or launched:
        quiet_libraries()
        from trainer.training.lora import train_adapter
    for run in runs:
        for line in run.replay.told if run in pending and run.replay else []:
            _say(f"{run.label}: {line}")
        if run in pending or launched:
            train_adapter(run, overwrite=overwrite, show_progress=True)
        done = "trained" if run in pending else "already trained with these settings"
        _say(f"{run.label}: {done}, in {run.output_dir}")


def _describe(runs: Sequence[LoraRun]) -> None:
    quiet_libraries()
    from trainer.study.base_model import load_tokenizer
    from trainer.training.dry_run import describe

    for run in runs:
        _say(describe(run, load_tokenizer(run.base_model)))


def _prepare(run: LoraRun, results_dir: Path) -> None:
    quiet_libraries()
    from trainer.study.base_model import load_tokenizer
    from trainer.training.prepared import write_prepared

    for path in write_prepared(run, load_tokenizer(run.base_model), results_dir / run.experiment):
        _say(f"written: {path}")


def _push(run: LoraRun, hub_id: str) -> None:
    from trainer.keeping.hub import push_adapter

    _say(f"{run.label}: pushed to {push_adapter(run, hub_id)}")


if __name__ == "__main__":
    # Torch's threads spin while they wait for each other. Where another process needs one of two cores, training then
    # takes five times as long; asleep they cost a tenth of the speed on an idle machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if "LOCAL_RANK" not in os.environ:
        # Without a launcher there is one process, and it trains on one GPU: transformers would try all of them at once.
        os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    sys.exit(main())
