"""Which files and which base model: what answers and adapters are filed under, so that neither is used with another."""

import hashlib
from pathlib import Path

from trainer.study.experiment import BaseModelSettings

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
)
_SAMPLE = 1 << 20  # bytes read at each end of a file


def base_identity(settings: BaseModelSettings) -> str:
    """The weights' identity: id and pinned revision on the Hub, a hash of config and weights in a folder.

    Of every weights file the name, the size and a MiB at both ends are hashed: 16 GB of shards take milliseconds,
    and weights that were trained further differ in them.
    """
    folder = settings.folder
    if folder is None:
        return f"{settings.id}@{settings.revision or 'main'}"
    return sampled_hash([folder / "config.json", *sorted(folder.glob("*.safetensors"))])


def tokenizer_identity(settings: BaseModelSettings) -> str | None:
    """Hash of the tokenizer's files and chat template; None for a Hub model that is not in the local cache."""
    if settings.folder is not None:
        return sampled_hash([settings.folder / name for name in TOKENIZER_FILES])
    from huggingface_hub import try_to_load_from_cache

    cached = [try_to_load_from_cache(settings.id, name, revision=settings.revision or None) for name in TOKENIZER_FILES]
    files = [Path(path) for path in cached if isinstance(path, str)]
    return sampled_hash(files) if files else None


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
