"""Which files and which base model: what answers and adapters are filed under, so that neither is used with another."""

import hashlib
from pathlib import Path

from trainer.study.settings import BaseModelSettings

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
)
_SAMPLE = 1 << 20  # bytes read at each end of a file
_BLOCK, _STRIDE = 1 << 16, 1 << 24  # of weights so many bytes in every so many
_WEIGHTS = (".safetensors", ".gguf")
# What decides no answer: what people read, and weights in formats that are never loaded.
_UNREAD = (".md", ".png", ".jpg", ".pdf", ".bin", ".pt", ".pth", ".h5", ".msgpack", ".onnx")


def base_identity(settings: BaseModelSettings) -> str:
    """The weights' identity: id and pinned revision on the Hub, a hash of config and weights in a folder or GGUF file.

    Of every weights file the name, the size and a MiB at both ends are hashed: 16 GB of shards take milliseconds,
    and weights that were trained further differ in them.
    """
    folder = settings.folder
    if folder is None and (settings.gguf_file or settings.gguf is None):
        return f"{settings.name}@{settings.revision or 'main'}"
    if settings.gguf is not None:
        return sampled_hash([settings.gguf])
    return sampled_hash([folder / "config.json", *sorted(folder.glob("*.safetensors"))])


def tokenizer_identity(settings: BaseModelSettings) -> str | None:
    """Hash of the tokenizer's files and chat template; None for a Hub model that is not in the local cache."""
    if settings.gguf is not None:
        return sampled_hash([settings.gguf])
    if settings.folder is not None:
        return sampled_hash([settings.folder / name for name in TOKENIZER_FILES])
    if settings.gguf_file:
        return None
    from huggingface_hub import try_to_load_from_cache

    cached = [try_to_load_from_cache(settings.id, name, revision=settings.revision or None) for name in TOKENIZER_FILES]
    files = [Path(path) for path in cached if isinstance(path, str)]
    return sampled_hash(files) if files else None


def model_identity(settings: BaseModelSettings) -> str | None:
    """What decides an answer of all that the model was published with, whatever the files are called.

    In a folder a hash of every file but what people read: weights by a sample of all their parts, the rest whole. Of a
    GGUF file such a hash. Of a Hub model the commit in the local cache; None where it is not there.
    """
    folder, gguf = settings.folder, settings.gguf
    if gguf is not None:
        return _parts_hash([gguf], gguf.parent)
    if folder is None:
        return None if settings.gguf_file else _cached_commit(settings)
    return _parts_hash(sorted(folder.rglob("*")), folder)


def _parts_hash(paths: list[Path], folder: Path) -> str:
    """sha256 (first 32 hex digits) over the files that decide answers, by their names in ``folder``."""
    digest = hashlib.sha256()
    for path in paths:
        name = path.relative_to(folder)
        if path.is_file() and path.suffix.lower() not in _UNREAD and not any(part[0] == "." for part in name.parts):
            digest.update(f"{name} {path.stat().st_size}\n".encode())
            with path.open("rb") as file:
                for start, length in _sampled(path):
                    file.seek(start)
                    digest.update(file.read(length))
    return digest.hexdigest()[:32]


def _sampled(path: Path) -> list[tuple[int, int]]:
    """Where to read in a file, and how much."""
    size = path.stat().st_size
    if path.suffix.lower() not in _WEIGHTS or size <= 2 * _STRIDE:
        return [(0, size)]
    blocks = [(start, _BLOCK) for start in range(_STRIDE, size - _SAMPLE, _STRIDE)]
    return [(0, _SAMPLE), *blocks, (size - _SAMPLE, _SAMPLE)]


def _cached_commit(settings: BaseModelSettings) -> str | None:
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(settings.id, "config.json", revision=settings.revision or None)
    return Path(cached).parent.name if isinstance(cached, str) else None


def file_hash(*paths: Path) -> str:
    """sha256 over the files' contents in the order given."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def sampled_hash(paths: list[Path]) -> str:
    """sha256 (first 32 hex digits) over name, size and both ends of every file that exists, in the order given."""
    digest = hashlib.sha256()
    for path in paths:
        if path.is_file():
            digest.update(f"{path.name} {path.stat().st_size}\n".encode())
            with path.open("rb") as file:
                digest.update(file.read(_SAMPLE))
                file.seek(max(file.tell(), path.stat().st_size - _SAMPLE))
                digest.update(file.read())
    return digest.hexdigest()[:32]
