"""A GGUF file as a folder of the form that all other base models have, made once and kept in the Hub's assets cache.

Transformers' own reader converts it: 11 s of processor time for Qwen2.5-Coder's 0.5B parameters, where it would take 20
with the vocabulary, which no weight needs; and 0.2 s when it is read again. The outline alone takes 2 s, where that
reader would go through the vocabulary several times in 24.
What is made is filed under a hash of the file and the version of Transformers. ``HF_ASSETS_CACHE`` says where.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.study.experiment import ExperimentError
from trainer.study.gguf_header import (
    GgufHeader,
    header_problem,
    read_header,
    vocabulary_passed_over,
    write_without_vocabulary,
)
from trainer.study.gguf_tokenizer import read_tokenizer, tokenizer_problem
from trainer.study.identity import model_identity
from trainer.study.settings import BaseModelSettings

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

MOST_BYTES = 50_000_000_000  # of all that is kept; what was not used for the longest time goes first
_METHOD = 1  # counts up when the same file gives another folder
_MARK = "used"
_INSTEAD = "Give a folder or a Hub id with safetensors weights instead."


def check_gguf(settings: BaseModelSettings) -> None:
    """Refuse a GGUF file that is no whole model, or cannot be read as the model that it is, before anything is loaded.

    One on the Hub that was not fetched yet cannot be looked at. Raises ExperimentError.
    """
    path = settings.gguf
    if path is None:
        if settings.is_gguf and (not settings.gguf_file or settings.folder):
            raise ExperimentError(f"base model not found: no file {settings.name!r} (base_model of the experiment).")
        return
    if find_spec("gguf") is None:
        raise ExperimentError(
            f"base model {settings.name!r} is a GGUF file, which needs the package gguf: "
            "pip install -r requirements.txt"
        )
    problem = header_problem(path) or tokenizer_problem(read_header(path))
    if problem:
        raise ExperimentError(f"base model {settings.name!r} cannot be used: {problem}. {_INSTEAD}")
    if not _place(settings).is_dir():
        _check_architecture(settings, read_header(path))


def dequantised_from(settings: BaseModelSettings) -> str:
    """How the weights were quantised that this base model's are dequantised from, such as ``Q4_K_M``; empty: not so.

    ``unknown`` where the file is on the Hub and not here.
    """
    if not settings.is_gguf:
        return ""
    path = settings.gguf
    return "unknown" if path is None else read_header(path).quantisation


def dequantised_words(kind: str) -> str:
    """How reports say it, where ``kind`` is what ``dequantised_from`` gives; empty where that is."""
    return f"weights dequantised from GGUF, {kind}" if kind else ""


def kept_outline(settings: BaseModelSettings) -> Path | None:
    """The folder that ``outline`` gives, where it was made before."""
    return place if settings.gguf is not None and (place := _place(settings)).is_dir() else None


def outline(settings: BaseModelSettings) -> Path:
    """A folder with the model's ``config.json``, tokenizer and chat template, and without weights.

    Raises:
        ExperimentError: as ``check_gguf``; the cache cannot be written.
    """
    check_gguf(settings)
    return _made(_place(settings), lambda folder: _write_outline(settings, folder))


def dequantised(settings: BaseModelSettings, dtype: "torch.dtype") -> Path:
    """A folder with the weights in ``dtype``, as safetensors, and ``config.json``.

    Raises:
        ExperimentError: as ``outline``; Transformers does not read all of the weights; the disk has no room for them.
    """
    place = outline(settings) / str(dtype).removeprefix("torch.")
    os.utime(place.parent / _MARK)
    return _made(place, lambda folder: _write_weights(settings, dtype, folder))


def _place(settings: BaseModelSettings) -> Path:
    from huggingface_hub import constants

    made_by = f"{model_identity(settings)}-{version('transformers')}-{_METHOD}"
    return Path(constants.HF_ASSETS_CACHE) / "text-to-sql" / "dequantised" / made_by


def _made(place: Path, write: Callable[[Path], None]) -> Path:
    """``place``, written whole by one of several processes, or there before."""
    if place.is_dir():
        return place
    from filelock import FileLock

    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{place}.lock"):
            if not place.is_dir():
                with tempfile.TemporaryDirectory(dir=place.parent, prefix=".unfinished-") as folder:
                    write(Path(folder) / place.name)
                    (Path(folder) / place.name).rename(place)
    except OSError as error:
        raise ExperimentError(f"{str(place.parent)!r} cannot be written: {error}. Set HF_ASSETS_CACHE") from error
    return place


def _write_outline(settings: BaseModelSettings, folder: Path) -> None:
    from transformers import AutoConfig

    header = read_header(settings.gguf)
    try:
        with tempfile.TemporaryDirectory() as short:
            write_without_vocabulary(header, Path(short) / "short.gguf")
            config = AutoConfig.from_pretrained(short, gguf_file="short.gguf", trust_remote_code=False)
        tokenizer = read_tokenizer(header, config.model_type)
    except Exception as error:  # headers of strangers: the libraries raise whatever it comes to
        raise ExperimentError(
            f"base model {settings.name!r}: its header cannot be read: {type(error).__name__} {error}. {_INSTEAD}"
        ) from error
    config._name_or_path = ""
    config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / _MARK).touch()


def _write_weights(settings: BaseModelSettings, dtype: "torch.dtype", folder: Path) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, GgufConfig

    path, header = settings.gguf, read_header(settings.gguf)
    taken = dtype.itemsize * _weights(header)
    _make_room(taken, folder.parents[2])
    print(
        f"{path.name}: dequantising {header.quantisation} weights to {taken / 1e9:.1f} GB, once; they are kept in "
        f"{str(folder.parents[1])!r}",
        file=sys.stderr,
        flush=True,
    )
    config = AutoConfig.from_pretrained(folder.parents[1])
    with torch.device("meta"):
        shapes = _shapes(AutoModelForCausalLM.from_config(config, trust_remote_code=False))
    try:
        with vocabulary_passed_over(header):
            model, found = AutoModelForCausalLM.from_pretrained(
                path.parent,
                gguf_file=path.name,
                config=config,
                # Weights in their blocks would be computed with a kernel from the Hub.
                quantization_config=GgufConfig(dequantize=True),
                trust_remote_code=False,
                dtype=dtype,
                device_map={"": "cpu"},
                output_loading_info=True,
            )
    except (RuntimeError, ValueError, LookupError) as error:
        raise ExperimentError(
            f"base model {settings.name!r}: its weights cannot be read: {str(error).partition(chr(10))[0]}. {_INSTEAD}"
        ) from error
    read = sum(weight.numel() for weight in model.parameters())
    if found["missing_keys"] or read != _weights(header):
        raise ExperimentError(
            f"base model {settings.name!r} cannot be used: of its {_weights(header):,} weights Transformers reads "
            f"{read:,}. {_INSTEAD}"
        )
    if differing := [name for name, shape in _shapes(model).items() if shape != shapes.get(name)]:
        raise ExperimentError(
            f"base model {settings.name!r} cannot be used: {differing[0]!r} has another shape than its header says. "
            f"{_INSTEAD}"
        )
    _as_never_quantised(model).save_pretrained(folder)


def _shapes(model: "PreTrainedModel") -> dict[str, tuple[int, ...]]:
    return {name: tuple(weight.shape) for name, weight in model.named_parameters()}


def _as_never_quantised(model: "PreTrainedModel") -> "PreTrainedModel":
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.config._name_or_path = ""
    model.hf_quantizer, model.is_quantized = None, False
    return model


def _weights(header: GgufHeader) -> int:
    count = 0
    for sizes, _, _ in header.tensors.values():
        weights = 1
        for size in sizes:
            weights *= size
        count += weights
    return count


def _make_room(taken: int, kept: Path) -> None:
    """Delete what was not used for the longest time, until ``taken`` bytes more stay within bounds. Raises OSError."""
    models = sorted(kept.glob(f"*/{_MARK}"), key=lambda mark: mark.stat().st_mtime, reverse=True)
    room = MOST_BYTES - taken
    for place, size in [(mark.parent, _size(mark.parent)) for mark in models]:
        room -= size
        if room < 0 and any(place.glob("*/*.safetensors")):
            for weights in place.glob("*/"):
                shutil.rmtree(weights, ignore_errors=True)
            print(f"deleted {str(place)!r}, which was not used for long", file=sys.stderr, flush=True)
    free = shutil.disk_usage(kept).free
    if free < taken:
        raise OSError(f"the weights take {taken / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free")


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _check_architecture(settings: BaseModelSettings, header: GgufHeader) -> None:
    from transformers.integrations.ggml import GGUF_CONFIG_MAPPING, GGUF_TO_FAST_CONVERTERS

    # The file writes qwen2moe where Transformers writes qwen2_moe.
    known = {name.replace("_", ""): name for name in GGUF_CONFIG_MAPPING if name in GGUF_TO_FAST_CONVERTERS}
    if header.architecture.replace("-", "") not in known:
        raise ExperimentError(
            f"base model {settings.name!r} cannot be used: its architecture is {header.architecture!r}, and of GGUF "
            f"files Transformers reads {', '.join(sorted(known.values()))}. {_INSTEAD}"
        )
