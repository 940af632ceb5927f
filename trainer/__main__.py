"""Train the experiment's adapters: ``python -m trainer [NAME[:SEED] ...]``."""

import os
import shlex
import signal
import sys
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path

from trainer.keeping.state import TrainingFailed, TrainingStopped, must_train
from trainer.machine.gpus import visible_gpus
from trainer.machine.quiet import quiet_libraries
from trainer.machine.side_by_side import run_side_by_side
from trainer.options import Action, Job, read_job
from trainer.run import LoraRun, training_command
from trainer.study.experiment import ExperimentError
from trainer.study.outside import harmless
from trainer.training.health import explained, recorded_health, remedy

_SIGNALLED = 128  # and the signal's number, as shells have it


def main(arguments: list[str] | None = None, gpus: Callable[[], Collection[str]] = tuple) -> int:
    """Run from the command line and return the exit status.

    0, 1 where a training diverged or its loss became no number, 2 for what the user can mend, 130 after Ctrl-C. Where
    there are several ``gpus``, several trainings share them.
    """
    try:
        return _do(read_job(arguments), gpus)
    except ExperimentError as error:
        print(harmless(f"error: {error}"), file=sys.stderr)
        return 1 if isinstance(error, TrainingFailed) else 2
    except TrainingStopped as stopped:
        _say(f"\n{stopped} Run the same command to go on.", file=sys.stderr)
        return _SIGNALLED + stopped.signal
    except KeyboardInterrupt:
        _say("\nstopped; finished adapters and checkpoints are kept. Run the same command to go on.", file=sys.stderr)
        return _SIGNALLED + signal.SIGINT


def _do(job: Job, gpus: Callable[[], Collection[str]]) -> int:
    match job.action:
        case Action.TRAIN:
            return _train(job.runs, gpus, overwrite=job.overwrite)
        case Action.DESCRIBE:
            _describe(job.runs)
        case Action.PREPARE:
            # Configurations differ in what is done with the texts, and in replay, which is not written.
            _prepare(job.runs[0], job.results_dir)
        case Action.FIND_RATE:
            _find_rates(job.runs, job.results_dir)
        case Action.PUSH:
            _push(job.runs[0], job.push_to)
    return 0


def _is_first() -> bool:
    """Whether this process is the first of those that ``accelerate launch`` started, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def _say(text: str, file=None) -> None:
    """Print, once of all processes."""
    if _is_first():
        print(harmless(text), file=file, flush=True)


def _train(runs: Sequence[LoraRun], gpus: Callable[[], Collection[str]], *, overwrite: bool) -> int:
    # All are looked at first: what cannot be trained is said before the minutes that the others take.
    # Behind a launcher the first process looks, and tells the others what there is to do.
    launched = "RANK" in os.environ
    pending = [run for run in runs if must_train(run, overwrite=overwrite)] if _is_first() else runs
    if len(pending) > 1 and not launched and len(several := list(gpus())) > 1:
        statuses = _train_side_by_side(pending, several, overwrite=overwrite)
        return max(*statuses, *(_tell(run, trained=False) for run in runs if run not in pending))
    if pending or launched:
        quiet_libraries()
        from trainer.training.lora import train_adapter
    statuses = []
    for run in runs:
        for line in run.replay.told if run in pending and run.replay else []:
            _say(f"{run.label}: {line}")
        if run in pending or launched:
            train_adapter(run, overwrite=overwrite, show_progress=True)
        statuses.append(_tell(run, trained=run in pending))
    return max(statuses)


def _train_side_by_side(runs: Sequence[LoraRun], gpus: Sequence[str], *, overwrite: bool) -> list[int]:
    """Each in a process of its own, which says how it went, and on a GPU of its own."""
    _say(f"{len(runs)} trainings on {len(gpus)} GPUs, a training on each")
    further = ["--overwrite"] if overwrite else []
    commands = [shlex.split(training_command([run], *run.conduct.options, *further)) for run in runs]
    return run_side_by_side([[sys.executable, *command[1:]] for command in commands], gpus, _say)


def _tell(run: LoraRun, *, trained: bool) -> int:
    """Say where the adapter is and whether its training went well; the exit status that this asks for."""
    done = "trained" if trained else "already trained with these settings"
    health = recorded_health(run.output_dir)
    wrong = explained(health) if health else ""
    _say(f"{run.label}: {done}, in {run.output_dir}")
    if wrong:
        _say(f"{run.label}: CAREFUL: {wrong}. {remedy(health)}; a proposal: {training_command([run], '--find-lr')}")
    return int(bool(health and health.failed))


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


def _find_rates(runs: Sequence[LoraRun], results_dir: Path) -> None:
    quiet_libraries()
    from trainer.training.find_lr import find_learning_rate, write_sweep
    from trainer.training.sweep_lines import sweep_lines

    # Seeds of a configuration share its learning rate: the first one's is looked for.
    for run in {run.adapter: run for run in reversed(runs)}.values():
        sweep = find_learning_rate(run, show_progress=True)
        _say("\n".join(sweep_lines(run, sweep)))
        if _is_first():
            _say(f"written: {write_sweep(run, sweep, results_dir / run.experiment)}")


def _push(run: LoraRun, hub_id: str) -> None:
    from trainer.keeping.hub import push_adapter

    _say(f"{run.label}: pushed to {push_adapter(run, hub_id)}")


if __name__ == "__main__":
    # Torch's threads spin while they wait for each other. Where another process needs one of two cores, training then
    # takes five times as long; asleep they cost a tenth of the speed on an idle machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    before = dict(os.environ)
    if "LOCAL_RANK" not in os.environ:
        # Without a launcher there is one process, and it trains on one GPU: transformers would try all of them at once.
        os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    sys.exit(main(gpus=partial(visible_gpus, before)))
