"""Train the experiment's adapters: ``python -m trainer [NAME[:SEED] ...]``."""

import argparse
import importlib.util
import os
import re
import signal
import sys
from pathlib import Path

from trainer.keeping.state import TrainingStopped, must_train
from trainer.machine.quiet import quiet_libraries
from trainer.run import Conduct, LoraRun, lora_run
from trainer.study.experiment import ExperimentError, load_experiment, shipped_experiments

_SIGNALLED = 128  # and the signal's number, as shells have it
REPORTERS = ("none", "tensorboard", "wandb", "trackio")


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line and return the exit status: 0, 2 for what the user can mend, 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    do = _prepare if options.prepare_only else _describe if options.dry_run else _push if options.push else _train
    try:
        do(_runs(options), options)
    except ExperimentError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except TrainingStopped as stopped:
        _say(f"\n{stopped} Run the same command to go on.", file=sys.stderr)
        return _SIGNALLED + stopped.signal
    except KeyboardInterrupt:
        _say("\nstopped; finished adapters and checkpoints are kept. Run the same command to go on.", file=sys.stderr)
        return _SIGNALLED + signal.SIGINT
    return 0


def _is_first() -> bool:
    """Whether this process is the first of those that ``accelerate launch`` started, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def _say(text: str, file=None) -> None:
    """Print, once of all processes."""
    if _is_first():
        print(text, file=file, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m trainer",
        description="Train LoRA adapters on Spider train. A finished adapter of the same settings is left alone.",
        epilog="example: python -m trainer cfg1 cfg2:7 --experiment miniature",
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME[:SEED]", help="configurations of the experiment (default: all of them)"
    )
    parser.add_argument(
        "--experiment",
        default="miniature",
        metavar="NAME_OR_PATH",
        help=f"{', '.join(shipped_experiments())}, or a TOML file (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=_natural, metavar="N", help="seed of the names given without one (default: the experiment's)"
    )
    parser.add_argument(
        "--spider", metavar="DIR_OR_ZIP", help="Spider's folder or official zip (default: the experiment's)"
    )
    parser.add_argument(
        "--results",
        type=Path,
        default=Path("results"),
        metavar="DIR",
        help="adapters go to DIR/EXPERIMENT/adapters (default: %(default)s)",
    )
    parser.add_argument(
        "--max-train-samples",
        type=_positive,
        metavar="N",
        help="train on N questions only, into a folder of its own (default: all)",
    )
    parser.add_argument(
        "--save-steps",
        type=_positive,
        default=0,
        metavar="N",
        help="keep the adapter of every N steps too (default: the last only)",
    )
    parser.add_argument(
        "--checkpoint-steps",
        type=_positive,
        default=0,
        metavar="N",
        help="write a checkpoint to go on from every N steps (default: twenty in all)",
    )
    parser.add_argument(
        "--report-to",
        choices=REPORTERS,
        default="none",
        help="send the loss curve to TensorBoard, W&B or Trackio too (default: %(default)s)",
    )
    parser.add_argument(
        "--gpu-memory",
        type=float,
        metavar="GB",
        help="use no more of every GPU, as on a card of that size (default: what is free)",
    )
    parser.add_argument("--overwrite", action="store_true", help="train again what is already there")
    parser.add_argument(
        "--dry-run", action="store_true", help="show settings, tokens, steps, memory and time, then exit"
    )
    parser.add_argument(
        "--prepare-only",
        action="store_true",
        help="write train_formatted.jsonl and dev_formatted.jsonl to DIR/EXPERIMENT, then exit",
    )
    parser.add_argument("--push", metavar="HUB_ID", help="upload the one finished adapter named, with its card")
    return parser


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 or more")
    return int(text)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def _runs(options: argparse.Namespace) -> list[LoraRun]:
    """The trainings asked for, in order, each once. Raises ExperimentError."""
    experiment = load_experiment(options.experiment)
    _check_reporter(options.report_to)
    conduct = Conduct(options.save_steps, options.checkpoint_steps, options.report_to, options.gpu_memory)
    names = dict.fromkeys(_name_and_seed(name, options.seed) for name in options.names or experiment.adapters)
    return [
        lora_run(
            experiment,
            name,
            seed,
            results_dir=options.results,
            max_train_samples=options.max_train_samples,
            spider=options.spider,
            conduct=conduct,
        )
        for name, seed in names
    ]


def _check_reporter(name: str) -> None:
    if name != "none" and importlib.util.find_spec(name) is None:
        raise ExperimentError(f"--report-to {name}: the package is not installed. Run: pip install {name}")


def _name_and_seed(argument: str, seed: int | None) -> tuple[str, int | None]:
    match = re.fullmatch(r"([^:]+)(?::(\d+))?", argument)
    if not match:
        raise ExperimentError(f"{argument!r} is not NAME or NAME:SEED, e.g. cfg1:7.")
    return match[1], seed if match[2] is None else int(match[2])


def _train(runs: list[LoraRun], options: argparse.Namespace) -> None:
    # All are looked at first: what cannot be trained is said before the minutes that the others take.
    # Behind a launcher the first process looks, and tells the others what there is to do.
    launched = "RANK" in os.environ
    pending = [run for run in runs if must_train(run, overwrite=options.overwrite)] if _is_first() else runs
    if pending or launched:
        quiet_libraries()
        from trainer.training.lora import train_adapter
    for run in runs:
        if run in pending or launched:
            train_adapter(run, overwrite=options.overwrite, show_progress=True)
        done = "trained" if run in pending else "already trained with these settings"
        _say(f"{run.label}: {done}, in {run.output_dir}")


def _describe(runs: list[LoraRun], options: argparse.Namespace) -> None:
    quiet_libraries()
    from trainer.study.base_model import load_tokenizer
    from trainer.training.dry_run import describe

    for run in runs:
        _say(describe(run, load_tokenizer(run.base_model)))


def _prepare(runs: list[LoraRun], options: argparse.Namespace) -> None:
    quiet_libraries()
    from trainer.study.base_model import load_tokenizer
    from trainer.training.prepared import write_prepared

    # Configurations differ in what is done with the texts only.
    run = runs[0]
    for path in write_prepared(run, load_tokenizer(run.base_model), options.results / run.experiment):
        _say(f"written: {path}")


def _push(runs: list[LoraRun], options: argparse.Namespace) -> None:
    from trainer.keeping.hub import push_adapter

    if len(runs) != 1:
        names = ", ".join(run.adapter for run in runs)
        raise ExperimentError(f"--push takes one adapter, not {len(runs)}: name one of {names}.")
    _say(f"{runs[0].label}: pushed to {push_adapter(runs[0], options.push)}")


if __name__ == "__main__":
    # Torch's threads spin while they wait for each other. Where another process needs one of two cores, training then
    # takes five times as long; asleep they cost a tenth of the speed on an idle machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if "LOCAL_RANK" not in os.environ:
        # Without a launcher there is one process, and it trains on one GPU: transformers would try all of them at once.
        os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    sys.exit(main())
