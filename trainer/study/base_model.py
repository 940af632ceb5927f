"""Loading the base model and its tokenizer. Heavy imports sit in the functions that need them."""

from typing import TYPE_CHECKING, Literal

from trainer.study.chat_template import settle_template, turn_end
from trainer.study.dequantised import check_gguf, dequantised, outline
from trainer.study.experiment import ExperimentError
from trainer.study.settings import BaseModelSettings
from trainer.study.tokens import settle_tokens

if TYPE_CHECKING:
    import torch
    from transformers import BitsAndBytesConfig, PreTrainedModel, PreTrainedTokenizerBase


def load_tokenizer(settings: BaseModelSettings) -> "PreTrainedTokenizerBase":
    """The base model's tokenizer, with a plain template where it has none or is to have none, and a padding token.

    It reads and writes text as the model's ``tokenizer.json`` does, where there is one: the classes that Transformers
    would choose build it anew from the vocabulary, some of them with another way of cutting text.

    Raises:
        ExperimentError: not found, not readable, or gated.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    check_folder(settings)
    try:
        kind = PreTrainedTokenizerFast if _has_file(settings, "tokenizer.json") else AutoTokenizer
        tokenizer = kind.from_pretrained(**_source(settings), trust_remote_code=False)
    except Exception as error:  # files of strangers: the tokenizers library raises Exception itself
        raise _loading_error(settings, error) from error
    settle_tokens(tokenizer)
    settle_template(settings, tokenizer)
    if settings.is_gguf:
        _mend_header(tokenizer)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_end_tokens(settings: BaseModelSettings, tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    """The tokens that end a reply: the tokenizer's, the template's, and those that the model was published with.

    No weights are read.

    Raises:
        ExperimentError: as ``load_tokenizer``, or what the model was published with is no token's number.
    """
    from transformers import AutoConfig, GenerationConfig

    source, file = _source(settings), "config.json"
    try:
        if _has_file(settings, "generation_config.json"):
            file = "generation_config.json"
            path, revision = source["pretrained_model_name_or_path"], source["revision"]
            generation = GenerationConfig.from_pretrained(path, revision=revision)
        else:
            generation = AutoConfig.from_pretrained(**source, trust_remote_code=False)
    except (OSError, ValueError, TypeError) as error:
        if file == "config.json":
            raise _loading_error(settings, error) from error
        raise ExperimentError(f"base model {settings.id!r}: its {file} cannot be read: {_first_line(error)}") from error
    ends = getattr(generation, "eos_token_id", None)
    published = set(ends if isinstance(ends, list) else [ends]) - {None}
    if not all(type(number) is int for number in published):
        raise ExperimentError(
            f"base model {settings.id!r}: eos_token_id = {ends!r} in its {file} must be the number of a token, such as "
            f"{tokenizer.eos_token_id}, or a list of numbers."
        )
    end = turn_end(tokenizer)
    own = {tokenizer.eos_token_id, end.token, end.next_token} - {None}
    return sorted(own | {number for number in published if number >= 0})  # -1 stands for none


def load_skeleton(settings: BaseModelSettings) -> "PreTrainedModel":
    """The base model's modules without weights, from its ``config.json`` alone.

    Raises:
        ExperimentError: as ``load_tokenizer``.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    check_folder(settings)
    try:
        config = AutoConfig.from_pretrained(**_source(settings), trust_remote_code=False)
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config, trust_remote_code=False)
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
        source = _source(settings)
        if settings.is_gguf:
            source["pretrained_model_name_or_path"] = dequantised(settings, dtype)
        model, found = AutoModelForCausalLM.from_pretrained(
            **source,
            trust_remote_code=False,
            dtype=dtype,
            attn_implementation=attention,
            use_safetensors=True,
            device_map=None if is_fsdp_enabled() else {"": place},
            output_loading_info=True,
            **keywords,
        )
        # Transformers would draw them at random, with a warning.
        if missing := sorted(found["missing_keys"]):
            raise ValueError(f"its weights lack {len(missing)} tensors, the first is {missing[0]!r}")
        return model
    except (ImportError, RuntimeError) as error:
        if isinstance(error, (torch.OutOfMemoryError, torch.AcceleratorError)):
            raise
        if quantisation == "none":
            raise _loading_error(settings, error) from error
        raise ExperimentError(
            f"quantisation = {quantisation!r} needs bitsandbytes, which does not work here: {_first_line(error)} "
            "Use a configuration without quantisation (LoRA), on Linux or Windows with an NVIDIA GPU this one."
        ) from error
    except (OSError, ValueError, SafetensorError) as error:
        raise _loading_error(settings, error) from error


def _source(settings: BaseModelSettings) -> dict:
    """Where ``from_pretrained`` finds the model."""
    if settings.is_gguf:
        if settings.gguf is None:
            from huggingface_hub import hf_hub_download

            hf_hub_download(settings.id, settings.gguf_file, revision=settings.revision or None)
        return {"pretrained_model_name_or_path": outline(settings), "revision": None}
    return {"pretrained_model_name_or_path": settings.folder or settings.id, "revision": settings.revision or None}


def _has_file(settings: BaseModelSettings, name: str) -> bool:
    """Whether the model was published with a file of that name, as far as can be known without a network."""
    from transformers.utils import cached_file

    source = _source(settings)
    return None is not cached_file(
        source["pretrained_model_name_or_path"],
        name,
        revision=source["revision"],
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )


def _mend_header(tokenizer: "PreTrainedTokenizerBase") -> None:
    """Take the end of a reply from the template, and padding that no reply ends in: headers of GGUF files often err."""
    end = turn_end(tokenizer).token
    if end is not None and end != tokenizer.eos_token_id:
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(end)
    if "<|endoftext|>" in tokenizer.get_vocab():
        tokenizer.pad_token = "<|endoftext|>"


def compute_dtype(settings: BaseModelSettings) -> "torch.dtype":
    """The dtype to compute in; ``auto`` is bfloat16 on a GPU and float32 on a CPU."""
    import torch

    if settings.dtype != "auto":
        return getattr(torch, settings.dtype)
    return torch.bfloat16 if torch.cuda.is_available() else torch.float32


def rounds(settings: BaseModelSettings) -> bool:
    """Whether what is computed depends on how it is computed, by more than float32 leaves open."""
    import torch

    return compute_dtype(settings) is not torch.float32 or settings.quantisation != "none"


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
    """Refuse a path where no folder is, which would be taken for a Hub id, and a GGUF file that is no whole model.

    Raises ExperimentError.
    """
    check_gguf(settings)
    is_path = settings.id.startswith((".", "/", "~")) or settings.id.count("/") > 1
    if is_path and settings.folder is None and settings.gguf is None and not settings.gguf_file:
        raise ExperimentError(f"base model not found: no folder {settings.id!r} (base_model.id of the experiment).")


def _loading_error(settings: BaseModelSettings, error: Exception) -> ExperimentError:
    if isinstance(error, ExperimentError):
        return error
    reason = _first_line(error)
    if "custom code" in reason or "trust_remote_code" in str(error):
        return ExperimentError(
            f"base model {settings.id!r} needs Python code that comes with it (auto_map), which is never run. "
            "Take a model whose architecture transformers has itself."
        )
    here = settings.folder or settings.gguf
    if here is not None:
        return ExperimentError(f"base model in {str(here)!r} cannot be loaded: {reason}")
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
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    # Where a file has another shape than is read: "'template'" alone would say nothing.
    return first if isinstance(error, (OSError, ValueError, RuntimeError)) else f"{type(error).__name__}: {first}"
