"""The command line of ``python -m trainer``: its options in, one frozen ``Job`` out."""

import argparse
import importlib.util
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from trainer.run import Conduct, LoraRun, lora_run
from trainer.study.experiment import Experiment, ExperimentError, load_experiment, shipped_experiments
from trainer.study.option_types import amount, natural, positive

REPORTERS = ("none", "tensorboard", "wandb", "trackio")


class Action(StrEnum):
    """What a command does with the trainings that it names."""

    TRAIN = "train"
    DESCRIBE = "describe"
    PREPARE = "prepare"
    FIND_RATE = "find a learning rate"
    PUSH = "push"


@dataclass(frozen=True)
class Job:
    """What one command is to do, and on which trainings."""

    action: Action
    runs: tuple[LoraRun, ...]  # in the order asked for, each once; one where the action is to push
    results_dir: Path
    overwrite: bool = False
    push_to: str = ""  # the repository's Hub id


def read_job(arguments: list[str] | None = None) -> Job:
    """What the command line asks for; ``arguments`` default to the process's own.

    Raises:
        ExperimentError: the experiment cannot be used, a name that it lacks, or a reporter that is not installed.
        SystemExit: after ``--help``, or an option that argparse refuses.
    """
    options = _parser().parse_args(arguments)
    experiment = load_experiment(options.experiment)
    if not experiment.adapters:
        raise ExperimentError(
            f"experiment {experiment.name!r} has no configuration to train. Add [adapters.cfg1] to it."
        )
    _check_reporter(options.report_to)
    conduct = Conduct(options.save_steps, options.checkpoint_steps, options.report_to, options.gpu_memory)
    runs = tuple(
        lora_run(
            experiment,
            name,
            seed,
            results_dir=options.results,
            max_train_samples=options.max_train_samples,
            spider=options.spider,
            questions=options.spider_questions,
            conduct=conduct,
        )
        for name, seed in _names_and_seeds(options.names or experiment.unnamed, _seeds(options, experiment))
    )
    action = _action(options)
    if action is Action.PUSH:
        _check_pushed(runs, options.push)
    return Job(action, runs, options.results, options.overwrite, options.push or "")


def _action(options: argparse.Namespace) -> Action:
    """What is done where several are asked for: those that train nothing come first."""
    asked = {
        Action.PREPARE: options.prepare_only,
        Action.DESCRIBE: options.dry_run,
        Action.FIND_RATE: options.find_lr,
        Action.PUSH: options.push is not None,
        Action.TRAIN: True,
    }
    return next(action for action, wanted in asked.items() if wanted)


def _seeds(options: argparse.Namespace, experiment: Experiment) -> tuple[int, ...]:
    """The seeds of names given without one."""
    if options.seeds is not None:
        return experiment.at_seeds(options.seeds, options.seed).seeds
    return (options.seed,) if options.seed is not None else experiment.seeds or (experiment.seed,)


def _check_reporter(name: str) -> None:
    if name != "none" and importlib.util.find_spec(name) is None:
        raise ExperimentError(f"--report-to {name}: the package is not installed. Run: pip install {name}")


def _check_pushed(runs: tuple[LoraRun, ...], hub_id: str) -> None:
    if not hub_id.strip():
        raise ExperimentError(f"--push: {hub_id!r} is no Hub id. Write --push=OWNER/NAME.")
    if len(runs) != 1:
        names = ", ".join(run.adapter for run in runs)
        raise ExperimentError(f"--push takes one adapter, not {len(runs)}: name one of {names}.")


def _names_and_seeds(names: Iterable[str], seeds: Sequence[int]) -> Iterable[tuple[str, int]]:
    """Every ``NAME[:SEED]`` apart, each pair once; ``seeds`` are those of names without one."""
    return dict.fromkeys(pair for name in names for pair in _name_and_seeds(name, seeds))


def _name_and_seeds(argument: str, seeds: Sequence[int]) -> list[tuple[str, int]]:
    match = re.fullmatch(r"([^:]+)(?::(\d+))?", argument)
    if not match:
        raise ExperimentError(f"{argument!r} is not NAME or NAME:SEED, e.g. cfg1:7.")
    return [(match[1], seed) for seed in (seeds if match[2] is None else [int(match[2])])]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m trainer",
        description="Train LoRA adapters on Spider train. A finished adapter of the same settings is left alone.",
        epilog="example: python -m trainer cfg1 cfg2:7 --experiment miniature",
    )
    _add_what_is_trained(parser)
    _add_how_it_is_conducted(parser)
    _add_what_else_is_done(parser)
    return parser


def _add_what_is_trained(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME[:SEED]",
        help="configurations of the experiment (default: its default_adapters, or all)",
    )
    parser.add_argument(
        "--experiment",
        default="miniature",
        metavar="NAME_OR_PATH",
        help=f"{', '.join(shipped_experiments())}, or a TOML file (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=natural, metavar="N", help="seed of the names given without one (default: the experiment's)"
    )
    parser.add_argument(
        "--seeds",
        type=positive,
        metavar="N",
        help="train the names given without a seed at N seeds in a row, from --seed's on (default: the experiment's)",
    )
    parser.add_argument(
        "--spider", metavar="DIR_OR_ZIP", help="Spider's folder or official zip (default: the experiment's)"
    )
    parser.add_argument(
        "--spider-questions",
        metavar="FILE",
        help="the file of questions that will be asked, on whose databases nothing is trained (default: the "
        "experiment's, else dev.json or the only one)",
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
        type=positive,
        metavar="N",
        help="train on N questions only, into a folder of its own (default: all)",
    )


def _add_how_it_is_conducted(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--save-steps",
        type=positive,
        default=0,
        metavar="N",
        help="keep the adapter of every N steps too (default: the last only)",
    )
    parser.add_argument(
        "--checkpoint-steps",
        type=positive,
        default=0,
        metavar="N",
        help="write a checkpoint to go on from every N steps (default: twenty, or fewer)",
    )
    parser.add_argument(
        "--report-to",
        choices=REPORTERS,
        default="none",
        help="send the loss curve to TensorBoard, W&B or Trackio too (default: %(default)s)",
    )
    parser.add_argument(
        "--gpu-memory",
        type=amount,
        metavar="GB",
        help="use no more of every GPU, as on a card of that size (default: what is free)",
    )


def _add_what_else_is_done(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--overwrite", action="store_true", help="train again what is already there")
    parser.add_argument(
        "--dry-run", action="store_true", help="show settings, tokens, steps, memory and time, then exit"
    )
    parser.add_argument(
        "--prepare-only",
        action="store_true",
        help="write train_formatted.jsonl and dev_formatted.jsonl to DIR/EXPERIMENT, then exit",
    )
    parser.add_argument(
        "--find-lr",
        action="store_true",
        help="propose a learning rate after 100 steps at growing ones, show the curve, write find-lr.json to "
        "DIR/EXPERIMENT, then exit",
    )
    parser.add_argument("--push", metavar="HUB_ID", help="upload the one finished adapter named, with its card")
