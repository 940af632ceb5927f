"""One training: what it is, where it goes, and whether it is done. Imports no torch, so that pytest may ask."""

import difflib
import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from trainer.base_model import check_folder
from trainer.batches import QUESTIONS_PER_SCHEMA
from trainer.experiment import AdapterSettings, BaseModelSettings, Experiment, ExperimentError
from trainer.identity import base_identity, tokenizer_identity
from trainer.spider_data import open_spider
from trainer.training_data import TrainingText, data_hash, training_texts

# Counts up when the trainer itself changes so that the same settings give other weights.
_METHOD = 1


@dataclass(frozen=True)
class LoraRun:
    """Everything that decides one adapter. ``spider`` is a folder or zip; ``save_steps`` 0 keeps no checkpoints."""

    experiment: str
    base_model: BaseModelSettings
    adapter: str
    settings: AdapterSettings
    seed: int
    spider: str
    output_dir: Path
    max_train_samples: int | None = None
    save_steps: int = 0
    command: str = ""  # that trains it, for messages

    @cached_property
    def texts(self) -> list[TrainingText]:
        """What it is trained on, in file order. Raises ExperimentError."""
        return training_texts(open_spider(self.spider), self.seed, self.max_train_samples)

    @cached_property
    def identity(self) -> dict:
        """Every setting that can change the weights, flat, by name."""
        base = self.base_model
        return {
            "base_model.weights": base_identity(base),
            # A Hub model's revision pins its tokenizer too, which may not have been downloaded yet.
            "base_model.tokenizer": tokenizer_identity(base) if base.folder else None,
            "base_model.dtype": base.dtype,
            "base_model.quantisation": self.quantisation,
            **{
                f"adapter.{name}": value
                for name, value in self.settings.model_dump(mode="json", exclude={"quantisation"}).items()
            },
            "questions_per_schema": QUESTIONS_PER_SCHEMA,
            "seed": self.seed,
            "data": data_hash(self.texts),
            "method": _METHOD,
        }

    @property
    def quantisation(self) -> Literal["none", "nf4", "int8"]:
        """How the base weights are held in training: the adapter's own choice, else the base model's."""
        return self.base_model.quantisation if self.settings.quantisation == "none" else self.settings.quantisation

    @property
    def fingerprint(self) -> str:
        """sha256 over ``identity``."""
        return hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()

    @property
    def label(self) -> str:
        return f"{self.adapter} seed {self.seed}"


def lora_run(
    experiment: Experiment,
    name: str,
    seed: int | None = None,
    *,
    results_dir: Path,
    max_train_samples: int | None = None,
    save_steps: int = 0,
) -> LoraRun:
    """The training of configuration ``name`` at ``seed`` (default: the experiment's).

    Raises:
        ExperimentError: the experiment has no such configuration.
    """
    if name not in experiment.adapters:
        close = difflib.get_close_matches(name, experiment.adapters, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ExperimentError(
            f"unknown adapter {name!r}.{hint} Experiment {experiment.name!r} has {', '.join(experiment.adapters)}."
        )
    seed = experiment.seed if seed is None else seed
    suffix = "" if max_train_samples is None else f"-n{max_train_samples}"
    return LoraRun(
        experiment=experiment.name,
        base_model=experiment.base_model,
        adapter=name,
        settings=experiment.adapters[name],
        seed=seed,
        spider=experiment.spider.source,
        output_dir=results_dir / experiment.name / "adapters" / f"{name}-seed{seed}{suffix}",
        max_train_samples=max_train_samples,
        save_steps=save_steps,
        command=f"python -m trainer {name}:{seed} --experiment {experiment.argument} --results {results_dir}"
        + (f" --max-train-samples {max_train_samples}" if max_train_samples is not None else ""),
    )


def adapter_state(run: LoraRun) -> Literal["missing", "ready", "stale"]:
    """Whether the adapter is there, made by these very settings; ``stale``: made by others. Reads the training data."""
    if not (run.output_dir / "adapter_model.safetensors").is_file():
        return "missing"
    return "stale" if differing_settings(run) else "ready"


def must_train(run: LoraRun, *, overwrite: bool = False) -> bool:
    """Whether the adapter is yet to be trained, or is to be trained again.

    Raises:
        ExperimentError: a finished adapter of other settings is there and ``overwrite`` was not given, or there is no
            base model or training data to use. Nothing has been loaded by then.
    """
    check_folder(run.base_model)
    if not run.texts:
        raise ExperimentError(f"there are no training questions in {run.spider!r}")
    state = "missing" if overwrite else adapter_state(run)
    if state == "stale":
        lines = [f"{str(run.output_dir)!r} holds an adapter of other settings:", *differing_settings(run)]
        raise ExperimentError("\n  ".join(lines) + f"\nTrain it again: {run.command} --overwrite")
    return state == "missing"


def differing_settings(run: LoraRun) -> list[str]:
    """``name: then, now`` of every setting in which the finished adapter differs from ``run``."""
    try:
        recorded = json.loads((run.output_dir / "run.json").read_text(encoding="utf-8"))["identity"]
    except (OSError, ValueError, KeyError, TypeError):
        return ["run.json: missing or damaged"]
    now = json.loads(json.dumps(run.identity))
    names = [name for name in {**recorded, **now} if recorded.get(name) != now.get(name)]
    return [f"{name}: trained with {_short(recorded.get(name))}, now {_short(now.get(name))}" for name in names]


def _short(value: object) -> str:
    text = json.dumps(value)
    return f'{text[:12]}..."' if len(text) > 60 else text
