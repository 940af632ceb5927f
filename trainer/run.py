"""One training: all that decides what comes of it, and where that goes. Reads data and identities, imports no torch."""

import hashlib
import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Literal

from trainer.replay.replay import Replay
from trainer.rows.batches import QUESTIONS_PER_SCHEMA
from trainer.rows.texts import TrainingText, as_texts, data_hash, training_questions
from trainer.spider.folder import SpiderFolder, SpiderQuestion, open_spider
from trainer.spider.held_out import HeldOut, held_out_of
from trainer.spider.shown import check_databases, missing_databases
from trainer.spider.values import METHOD
from trainer.study.experiment import Experiment, ExperimentError, did_you_mean
from trainer.study.identity import base_identity, sampled_hash, tokenizer_identity
from trainer.study.settings import AdapterSettings, BaseModelSettings, MmluSettings, PromptSettings

# Settings that change no more than the rounding, and three that are told by other names.
_NO_MATTER = {"micro_batch_size", "gradient_checkpointing", "quantisation", "replay", "prompt"}
# Counts up when the trainer itself changes so that the same settings give other weights.
_METHOD = 1
# Settings that were not recorded once: adapters without them were trained at these values.
UNRECORDED = {
    **{f"base_model.{name}": BaseModelSettings.model_fields[name].default for name in ("template_arguments", "date")},
    **{
        f"adapter.{name}": AdapterSettings.model_fields[name].default
        for name in ("replay", "kl_weight", "kl_on", "prompt")
    },
    **{f"prompt.{name}": value for name, value in PromptSettings().model_dump().items()},
}
# Of the databases whose values training prompts show.
DATABASES = "prompt.databases"


@dataclass(frozen=True)
class Conduct:
    """How a training is carried out, which does not decide what comes of it."""

    save_steps: int = 0  # keep the adapter of every so many steps; 0: of the last only
    checkpoint_steps: int = 0  # write a checkpoint to go on from every so many steps; 0: twenty in all, or fewer
    report_to: str = "none"  # what else follows the loss, by transformers' name for it
    gpu_memory_gb: float | None = None  # of every GPU; None: what is free

    @property
    def options(self) -> list[str]:
        """As the command line has them."""
        given = {"--save-steps": self.save_steps, "--checkpoint-steps": self.checkpoint_steps}
        given |= {"--report-to": self.report_to, "--gpu-memory": self.gpu_memory_gb}
        return [str(part) for option in given.items() if option[1] for part in option]


@dataclass(frozen=True)
class LoraRun:
    """Everything that decides one adapter. ``spider`` is a folder or zip."""

    experiment: str
    base_model: BaseModelSettings
    adapter: str
    settings: AdapterSettings
    seed: int
    spider: str
    output_dir: Path
    max_train_samples: int | None = None
    questions: str = ""  # the file of those that will be asked, on whose databases nothing is trained
    evidence: bool = True  # shown beside training questions, as it will be beside those
    prompt: PromptSettings = PromptSettings()  # what else is
    held_out: HeldOut = HeldOut()  # databases that nothing is trained on either
    mmlu: MmluSettings = MmluSettings(source="")  # whose questions replay may not hold, drawn with this seed
    mmlu_seed: int = 0
    conduct: Conduct = Conduct()
    options: tuple[str, ...] = ()  # of the command that trains it

    @property
    def training_questions(self) -> tuple[SpiderQuestion, ...]:
        """What it is trained on, in file order. Raises ExperimentError."""
        return _questions(*self._data)

    @property
    def texts(self) -> list[TrainingText]:
        """As ``training_questions``, as texts. Raises ExperimentError, also where a database to be shown is missing."""
        return _texts(*self._data, self.prompt)

    @property
    def _data(self) -> tuple:
        seed = None if self.max_train_samples is None else self.seed
        return self.spider, self.questions, self.evidence, seed, self.max_train_samples, self.held_out

    def check_databases(self) -> None:
        """Refuse to show values of databases that are not there, without reading any. Raises ExperimentError."""
        check_databases(self.opened, self.training_questions, self.prompt)

    @property
    def opened(self) -> SpiderFolder:
        """The data that it is trained on. Raises ExperimentError."""
        return _opened(self.spider, self.questions, self.evidence)

    @cached_property
    def replay(self) -> Replay | None:
        """What is mixed in beside SQL."""
        if self.settings.replay is None:
            return None
        folder = self.output_dir.parents[1] / "replay"
        return Replay(self.settings.replay, folder, self.base_model, self.quantisation, self.mmlu, self.mmlu_seed)

    @cached_property
    def identity(self) -> dict:
        """Every setting that can change the weights, flat, by name; ``data`` where there are training questions.

        Those at the value of ``UNRECORDED`` are left out, so that fingerprints of before stay.
        """
        return {
            name: value for name, value in self._settings.items() if name not in UNRECORDED or value != UNRECORDED[name]
        }

    @property
    def _settings(self) -> dict:
        base = self.base_model
        return {
            "base_model.weights": base_identity(base),
            # A Hub model's revision pins its tokenizer too, which may not have been downloaded yet.
            "base_model.tokenizer": tokenizer_identity(base) if base.folder else None,
            "base_model.chat_template": base.chat_template,
            "base_model.template_arguments": base.template_arguments,
            "base_model.date": base.date,
            "base_model.dtype": base.dtype,
            "base_model.quantisation": self.quantisation,
            **{
                f"adapter.{name}": value
                for name, value in self.settings.model_dump(mode="json", exclude=_NO_MATTER).items()
            },
            **(self.replay.identity if self.replay else {}),
            **{f"prompt.{name}": value for name, value in self.prompt.model_dump(mode="json").items()},
            "questions_per_schema": QUESTIONS_PER_SCHEMA,
            "seed": self.seed,
            # In plain prompts: what else they show follows from the settings of the prompt and the databases.
            **({"data": _data_hash(*self._data)} if self.opened.has_training_questions else {}),
            **self._shown,
            "method": _METHOD,
        }

    @property
    def _shown(self) -> dict:
        """What decides the values that prompts show, as far as it is here: reading them would take minutes."""
        if not self.prompt.reads_databases:
            return {}
        spider = self.opened
        here = spider.has_training_questions and not missing_databases(spider, self.training_questions)
        names = sorted({question.db_id for question in self.training_questions}) if here else []
        databases = {DATABASES: sampled_hash([spider.database_path(name) for name in names])} if here else {}
        return {"prompt.method": METHOD, **databases}

    @property
    def quantisation(self) -> Literal["none", "nf4", "int8"]:
        """How the base weights are held in training: the adapter's own choice, else the base model's."""
        return self.base_model.quantisation if self.settings.quantisation == "none" else self.settings.quantisation

    @property
    def fingerprint(self) -> str:
        """sha256 over ``identity``."""
        return hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()

    @property
    def unfinished_dir(self) -> Path:
        """Where it lies until it is finished, with its checkpoints."""
        return self.output_dir.with_name(f"{self.output_dir.name}.unfinished")

    @property
    def command(self) -> str:
        """The command that trains it, for messages."""
        return training_command([self])

    @property
    def label(self) -> str:
        return f"{self.adapter} seed {self.seed}"


@cache
def _opened(spider: str, questions: str, evidence: bool) -> SpiderFolder:
    return open_spider(spider, questions, evidence=evidence)


@cache
def _questions(
    spider: str, questions: str, evidence: bool, seed: int | None, max_samples: int | None, held_out: HeldOut
) -> tuple[SpiderQuestion, ...]:
    """Configurations and seeds of one process share them; only a sample depends on the seed."""
    return tuple(training_questions(_opened(spider, questions, evidence), seed, max_samples, held_out))


@cache
def _texts(spider: str, questions: str, evidence: bool, *drawn: object) -> list[TrainingText]:
    """``drawn``: the rest of what ``_questions`` takes, and the prompt."""
    *rest, prompt = drawn
    return as_texts(_opened(spider, questions, evidence), _questions(spider, questions, evidence, *rest), prompt)


@cache
def _data_hash(*data: object) -> str:
    return data_hash(_texts(*data, PromptSettings()))


def lora_run(
    experiment: Experiment,
    name: str,
    seed: int | None = None,
    *,
    results_dir: Path,
    max_train_samples: int | None = None,
    spider: str | None = None,
    questions: str | None = None,
    conduct: Conduct = Conduct(),
) -> LoraRun:
    """The training of configuration ``name`` at ``seed``, on ``spider``, for ``questions`` (all: the experiment's).

    Raises:
        ExperimentError: the experiment has no such configuration.
    """
    if name not in experiment.adapters:
        raise ExperimentError(
            f"unknown adapter {name!r}.{did_you_mean(name, experiment.adapters)} "
            f"Experiment {experiment.name!r} has {', '.join(experiment.adapters)}."
        )
    seed = experiment.seed if seed is None else seed
    suffix = "" if max_train_samples is None else f"-n{max_train_samples}"
    given = {"--experiment": experiment.argument, "--results": results_dir, "--spider": spider}
    given |= {"--spider-questions": questions, "--max-train-samples": max_train_samples}
    return LoraRun(
        experiment=experiment.name,
        base_model=experiment.base_model,
        adapter=name,
        settings=experiment.adapters[name],
        seed=seed,
        spider=spider or experiment.spider.source,
        output_dir=results_dir / experiment.name / "adapters" / f"{name}-seed{seed}{suffix}",
        max_train_samples=max_train_samples,
        questions=experiment.spider.questions if questions is None else questions,
        evidence=experiment.spider.evidence,
        prompt=experiment.adapters[name].prompt or experiment.spider.prompt or PromptSettings(),
        held_out=held_out_of(experiment),
        mmlu=experiment.mmlu,
        mmlu_seed=experiment.seed,
        conduct=conduct,
        options=tuple(str(part) for option in given.items() if option[1] is not None for part in option),
    )


def training_command(runs: Sequence[LoraRun], *further: str) -> str:
    """The command that trains ``runs``, which have their options in common, with ``further`` options."""
    names = dict.fromkeys(f"{run.adapter}:{run.seed}" for run in runs)
    return shlex.join(["python", "-m", "trainer", *names, *runs[0].options, *further])
