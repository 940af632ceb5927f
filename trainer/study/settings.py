"""The parts of an experiment: a model and its data, how they are asked, how adapters are trained, chosen and served."""

import datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

REPOSITORY = Path(__file__).resolve().parents[2]

TemplateArgument = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class Settings(BaseModel):
    """A frozen part of an experiment; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def __hash__(self) -> int:
        """By value, as equality goes; pydantic's own cannot take a part that is a dictionary."""
        return hash(self.model_dump_json())


class BaseModelSettings(Settings):
    """The model that is specialised: a Hub id with a pinned revision, a folder, or a GGUF file."""

    id: str
    gguf_file: str = ""  # its name in the repository or folder, where several lie there or it is on the Hub
    revision: str = ""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    quantisation: Literal["none", "nf4", "int8"] = "none"
    attention: Literal["auto", "eager", "sdpa", "flash_attention_2", "flex_attention"] = "auto"
    chat_template: Literal["auto", "plain"] = "auto"  # the model's own where it has one; plain: without any
    template_arguments: dict[TemplateArgument, bool | int | float | str] = {}  # e.g. enable_thinking = false
    date: str = "2024-07-26"  # that templates read in place of the clock
    memory_gb: float = 0.0  # GPU memory needed; 0: runs on a CPU

    @field_validator("date")
    @classmethod
    def _is_a_day(cls, date: str) -> str:
        return datetime.date.fromisoformat(date).isoformat()

    @property
    def name(self) -> str:
        """As people call it: the id, with the file's name where that is not in it."""
        return "/".join(filter(None, (self.id, self.gguf_file)))

    @property
    def gguf(self) -> Path | None:
        """The GGUF file of ``gguf_file``, named by ``id``, or alone of its kind in a folder without ``config.json``.

        None of another model, and of a file on the Hub that is not in the local cache.
        """
        path = resolve(self.id)
        if self.gguf_file:
            return path / self.gguf_file if self.folder else self._fetched_gguf
        if path.suffix == ".gguf" and path.is_file():
            return path
        files = [] if self.folder is None or (path / "config.json").exists() else list(path.glob("*.gguf"))
        return files[0] if len(files) == 1 else None

    @property
    def is_gguf(self) -> bool:
        """Whether the weights are dequantised from a GGUF file."""
        return bool(self.gguf_file) or self.id.endswith(".gguf") or self.gguf is not None

    @property
    def _fetched_gguf(self) -> Path | None:
        from huggingface_hub import try_to_load_from_cache

        cached = try_to_load_from_cache(self.id, self.gguf_file, revision=self.revision or None)
        return Path(cached) if isinstance(cached, str) else None

    @property
    def folder(self) -> Path | None:
        """The folder with the weights, or None when ``id`` names a model on the Hub or a file."""
        folder = resolve(self.id)
        return folder if folder.is_dir() else None


class PromptSettings(Settings):
    """What a text-to-SQL prompt shows of a database beside its tables and columns."""

    keys: bool = True  # primary and foreign keys
    samples: int = Field(0, ge=0, le=10)  # values of every text column, in the schema
    values: int = Field(0, ge=0, le=10)  # of a column, that the question may mean, between schema and question

    @property
    def reads_databases(self) -> bool:
        return bool(self.samples or self.values)

    @property
    def said(self) -> str:
        """In words, as what prompts show."""
        parts = ["keys" if self.keys else "no keys"]
        parts += [f"samples of every text column (up to {self.samples})"] if self.samples else []
        parts += [f"values that the question may mean (up to {self.values} of a column)"] if self.values else []
        return ", ".join(parts)


class SpiderSettings(Settings):
    """Text-to-SQL questions and how they are asked."""

    source: str  # folder or zip with dev.json, train_spider.json, tables.json, database/; or a file of questions
    questions: str = ""  # the file that is asked, where it is not dev.json, e.g. test.json
    evidence: bool = True  # show what the data set tells beside a question, as BIRD does
    num_shots: int = Field(3, ge=0, le=16)  # of the base model; adapters are asked as they were trained
    exemplars: tuple[str, ...] = ()  # ids of training questions; empty: drawn with the experiment's seed
    max_new_tokens: int = Field(256, ge=1)
    sql_timeout_s: float = Field(30.0, gt=0)
    prompt: PromptSettings | None = None  # of the base model, and of adapters that have none of their own


class MmluSettings(Settings):
    """General-knowledge questions and how they are asked."""

    source: str  # folder with dev/ and test/, JSONL file of chosen questions, or cais/mmlu
    # Subjects, categories (all of their subjects) or "all"; a file of chosen questions is asked whole.
    subjects: tuple[str, ...] = ("college_computer_science", "philosophy", "high_school_macroeconomics")
    per_category: Annotated[int, Field(ge=1)] | Literal["all"] = 50
    num_shots: int = Field(4, ge=0, le=5)
    scoring: Literal["letter", "cloze"] = "letter"
    chat_template: bool = False  # off is the standard, and what published numbers mean
    exemplars_as: Literal["turns", "message"] = "turns"  # with the chat template: chat turns, or one user message
    max_new_tokens: int = Field(64, ge=1)  # of a reply, where models write one (-m mmlu_generated)
    margin: float = Field(0.02, gt=0, lt=1)  # a loss up to this still counts as none (non-inferiority)


class ReplaySettings(Settings):
    """General conversations mixed into a training, so that the tuned model keeps what it knew beside SQL."""

    share: float = Field(0.05, gt=0, lt=1)  # of the tokens of the training
    # Conversations in a JSONL or Parquet file, a folder of such files or a Hub data set; or "self", the base model's
    # own replies to ``prompts``.
    source: str = "self"
    revision: str = ""  # of a Hub data set
    prompts: str = "trainer/replay/prompts.jsonl"
    max_new_tokens: int = Field(256, ge=1)  # of an own reply; a longer one is cut


class AdapterSettings(Settings):
    """One LoRA configuration. ``batch_size`` counts examples per optimiser step, on all devices together."""

    rank: int = Field(ge=1)
    alpha: float = Field(gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    target_modules: tuple[str, ...] | Literal["all-linear"]
    learning_rate: float = Field(gt=0)
    epochs: float = Field(gt=0)
    batch_size: int = Field(16, ge=1)
    micro_batch_size: int = Field(0, ge=0)  # examples per forward pass; 0: as many as the GPU's memory holds
    gradient_checkpointing: bool | Literal["auto"] = "auto"  # half the speed lost at most, for much less memory
    scheduler: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "cosine"
    warmup_steps: int = Field(0, ge=0)
    weight_decay: float = Field(0.0, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)
    max_length: int = Field(2048, ge=16)  # tokens; longer examples are dropped and counted
    quantisation: Literal["none", "nf4"] = "none"  # nf4: QLoRA
    replay: ReplaySettings | None = None
    kl_weight: float = Field(0.0, ge=0)  # of the divergence from the base model, beside the loss
    kl_on: Literal["replay", "all"] = "replay"  # the replies on which it is taken
    prompt: PromptSettings | None = None  # that it is trained on and asked with; None: as [spider.prompt] says

    @model_validator(mode="after")
    def _divergence_has_replies(self) -> Self:
        if self.kl_weight and self.kl_on == "replay" and self.replay is None:
            raise ValueError(
                f"kl_weight = {self.kl_weight:g} holds the model to its base on replay, and there is none: add a "
                '[...replay] section to this configuration, or kl_on = "all" for the SQL itself'
            )
        return self


class ChoosingSettings(Settings):
    """Questions that a point of a dial is chosen on (``--choosing``), none of which is reported."""

    databases: int = Field(0, ge=0)  # text-to-SQL training databases that are held out of training; 0: none
    questions: int = Field(400, ge=1)  # on them, at most
    mmlu_questions: int = Field(600, ge=1)  # beside those that are reported, at most


class EndpointSettings(Settings):
    """A server that answers in place of this process (``--engine``)."""

    models: dict[str, str] = {}  # the server's names, by "base" or adapter; else the base model's id, and cfg1 for cfg1
    concurrency: int = Field(0, ge=0)  # requests at a time, of all workers together; 0: found while it answers
    ready_timeout_s: float = Field(600.0, ge=0)  # that a server which is still starting is waited for
    timeout_s: float = Field(120.0, gt=0)  # of one request
    retries: int = Field(8, ge=0)  # of one request; 8 wait some 35 s in all


def resolve(path: str | Path) -> Path:
    """``path`` as given when absolute or present under the working folder, else under the repository."""
    path = Path(path).expanduser()
    return path if path.is_absolute() or path.exists() else REPOSITORY / path
