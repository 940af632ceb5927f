"""Train the experiment's adapters: ``python -m trainer [NAME[:SEED] ...]``."""

import argparse
import os
import re
import sys
from pathlib import Path

from trainer.experiment import ExperimentError, load_experiment, shipped_experiments
from trainer.lora_run import LoraRun, adapter_state, lora_run, must_train
from trainer.quiet import quiet_libraries

INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line and return the exit status: 0, 2 for what the user can mend, 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        runs = _runs(options)
        (_describe if options.dry_run else _train)(runs, options)
    except ExperimentError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "\nstopped; adapters finished before are kept, the unfinished one is not. Run the same command to go on.",
            file=sys.stderr,
        )
        return INTERRUPTED
    return 0


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
    parser.add_argument("--overwrite", action="store_true", help="train again what is already there")
    parser.add_argument("--dry-run", action="store_true", help="show what would be trained, then exit")
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
    if options.spider:
        experiment = experiment.model_copy(
            update={"spider": experiment.spider.model_copy(update={"source": options.spider})}
        )
    names = dict.fromkeys(_name_and_seed(name, options.seed) for name in options.names or experiment.adapters)
    return [
        lora_run(
            experiment,
            name,
            seed,
            results_dir=options.results,
            max_train_samples=options.max_train_samples,
            save_steps=options.save_steps,
        )
        for name, seed in names
    ]


def _name_and_seed(argument: str, seed: int | None) -> tuple[str, int | None]:
    match = re.fullmatch(r"([^:]+)(?::(\d+))?", argument)
    if not match:
        raise ExperimentError(f"{argument!r} is not NAME or NAME:SEED, e.g. cfg1:7.")
    return match[1], seed if match[2] is None else int(match[2])


def _train(runs: list[LoraRun], options: argparse.Namespace) -> None:
    # All are looked at first: what cannot be trained is said before the minutes that the others take.
    pending = [run for run in runs if must_train(run, overwrite=options.overwrite)]
    if pending:
        quiet_libraries()
    for run in runs:
        if run in pending:
            from trainer.lora import train_adapter

            train_adapter(run, overwrite=options.overwrite, show_progress=True)
            print(f"{run.label}: trained, in {run.output_dir}")
        else:
            print(f"{run.label}: already trained with these settings, in {run.output_dir}")


def _describe(runs: list[LoraRun], options: argparse.Namespace) -> None:
    from trainer.base_model import load_tokenizer
    from trainer.lora import plan

    quiet_libraries()
    for run in runs:
        steps, dropped = plan(run, load_tokenizer(run.base_model))
        tokens = sum(len(text.tokens) for step in steps for text in step)
        print(f"{run.label}: {adapter_state(run)}, in {run.output_dir}")
        print(f"  base model {run.base_model.id}, quantisation {run.quantisation}")
        print("  " + ", ".join(f"{name} {value}" for name, value in run.settings.model_dump(mode="json").items()))
        print(f"  {len(run.texts):,} questions, {len(dropped):,} too long; {len(steps):,} steps, {tokens:,} tokens")


if __name__ == "__main__":
    # Torch's threads spin while they wait for each other. Where another process needs one of two cores, training then
    # takes five times as long; asleep they cost a tenth of the speed on an idle machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    sys.exit(main())
