"""Loading the base model and its tokenizer. Heavy imports sit in the functions that need them."""

from typing import TYPE_CHECKING, Literal

from trainer.study.experiment import BaseModelSettings, ExperimentError

if TYPE_CHECKING:
    import torch
    from transformers import BitsAndBytesConfig, PreTrainedModel, PreTrainedTokenizerBase

# For models without a chat template: the question, "SQL:", and the end-of-text token after the last reply only,
# so that solved questions in a prompt read as one document.
PLAIN_TEMPLATE = (
    "{{ bos_token or '' }}"
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ message['content'] + '\nSQL:' }}"
    "{% else %}{{ ' ' + message['content'] + (eos_token if loop.last else '\n\n') }}{% endif %}"
    "{% endfor %}"
)


def load_tokenizer(settings: BaseModelSettings) -> "PreTrainedTokenizerBase":
    """The base model's tokenizer, with a plain template where it has none or is to have none, and a padding token.

    Raises:
        ExperimentError: not found, not readable, or gated.
    """
    from transformers import AutoTokenizer

    check_folder(settings)
    try:
        tokenizer = AutoTokenizer.from_pretrained(settings.folder or settings.id, revision=settings.revision or None)
    except (OSError, ValueError) as error:
        raise _loading_error(settings, error) from error
    if settings.chat_template == "plain" or not tokenizer.chat_template:
        tokenizer.chat_template = PLAIN_TEMPLATE
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_end_tokens(settings: BaseModelSettings, tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    """The tokens that end a reply: the tokenizer's, and those that the model was published with. No weights are read.

    Raises:
        ExperimentError: as ``load_tokenizer``.
    """
    from transformers import AutoConfig, GenerationConfig

    place, revision = settings.folder or settings.id, settings.revision or None
    try:
        generation = GenerationConfig.from_pretrained(place, revision=revision)
    except OSError:
        try:
            generation = AutoConfig.from_pretrained(place, revision=revision)
        except (OSError, ValueError) as error:
            raise _loading_error(settings, error) from error
    ends = generation.eos_token_id
    return sorted({tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])} - {None})


def load_skeleton(settings: BaseModelSettings) -> "PreTrainedModel":
    """The base model's modules without weights, from its ``config.json`` alone.

    Raises:
        ExperimentError: as ``load_tokenizer``.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    check_folder(settings)
    try:
        config = AutoConfig.from_pretrained(settings.folder or settings.id, revision=settings.revision or None)
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config)
    except (OSError, ValueError) as error:
        raise _loading_error(settings, error) from error


def load_model(
    settings: BaseModelSettings, *, quantisation: Literal["none", "nf4", "int8"], attention: str | None = None
) -> "PreTrainedModel":
    """The base model on the process's GPU if there is one, with weights from safetensors only.

    FSDP takes it from the first process's main memory and shares it out itself.

    Raises:
        ExperimentError: not found, damaged, gated, it needs a GPU and there is none, or bitsandbytes does not work.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM
    from transformers.integrations.fsdp import is_fsdp_enabled

    check_folder(settings)
    check_memory(settings)
    place = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = compute_dtype(settings)
    keywords = {"quantization_config": quantisation_config(quantisation, dtype)} if quantisation != "none" else {}
    try:
        return AutoModelForCausalLM.from_pretrained(
            settings.folder or settings.id,
            revision=settings.revision or None,
            dtype=dtype,
            attn_implementation=attention,
            use_safetensors=True,
            device_map=None if is_fsdp_enabled() else {"": place},
            **keywords,
        )
    except (ImportError, RuntimeError) as error:
        if quantisation == "none" or isinstance(error, torch.OutOfMemoryError):
            raise
        raise ExperimentError(
            f"quantisation = {quantisation!r} needs bitsandbytes, which does not work here: {_first_line(error)} "
            "Use a configuration without quantisation (LoRA), on Linux or Windows with an NVIDIA GPU this one."
        ) from error
    except (OSError, ValueError, SafetensorError) as error:
        raise _loading_error(settings, error) from error


def compute_dtype(settings: BaseModelSettings) -> "torch.dtype":
    """The dtype to compute in; ``auto`` is bfloat16 on a GPU and float32 on a CPU."""
    import torch

    if settings.dtype != "auto":
        return getattr(torch, settings.dtype)
    return torch.bfloat16 if torch.cuda.is_available() else torch.float32


def quantisation_config(quantisation: Literal["nf4", "int8"], dtype: "torch.dtype") -> "BitsAndBytesConfig":
    """How bitsandbytes holds the base weights: QLoRA's recipe (arXiv 2305.14314) for nf4, or 8 bits."""
    from transformers import BitsAndBytesConfig

    if quantisation == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def check_memory(settings: BaseModelSettings) -> None:
    """Refuse a model that needs a GPU where there is none. Raises ExperimentError."""
    import torch

    if settings.memory_gb and not torch.cuda.is_available():
        raise ExperimentError(
            f"base model {settings.id!r} needs about {settings.memory_gb:g} GB of GPU memory, and there is no GPU. "
            'Try --experiment miniature, or see README, "On a GPU".'
        )


def check_folder(settings: BaseModelSettings) -> None:
    """Refuse a path where no folder is, which would be taken for a Hub id. Raises ExperimentError."""
    is_path = settings.id.startswith((".", "/", "~")) or settings.id.count("/") > 1
    if is_path and settings.folder is None:
        raise ExperimentError(f"base model not found: no folder {settings.id!r} (base_model.id of the experiment).")


def _loading_error(settings: BaseModelSettings, error: Exception) -> ExperimentError:
    reason = _first_line(error)
    if settings.folder is not None:
        return ExperimentError(f"base model in {str(settings.folder)!r} cannot be loaded: {reason}")
    if "loaded with `safetensors`" in reason:
        return ExperimentError(
            f"base model {settings.id!r} has no safetensors weights at revision {settings.revision or 'main'!r}, and "
            "pickled ones are never loaded. The Hub keeps a converted copy of many models as a pull request "
            '("Adding `safetensors` variant of this model"): set base_model.revision = "refs/pr/N" with its number.'
        )
    return ExperimentError(
        f"base model {settings.id!r} cannot be loaded from the Hub: {reason} "
        "(Check the id and the connection; gated models need: hf auth login)"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
