"""Where replay comes from: a file, a folder, a data set of the Hub; or prompts, for the base model to reply to."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from trainer.prompts import Message, Prompt
from trainer.replay.forms import ACCEPTED, read_conversation, read_prompt
from trainer.rows.texts import TrainingText
from trainer.study.experiment import ExperimentError
from trainer.study.outside import parse_json, read_lines
from trainer.study.settings import ReplaySettings, resolve

SELF = "self"  # the source that is the base model itself
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_KINDS = (".jsonl", ".parquet")


@dataclass(frozen=True)
class ReplayText(TrainingText):
    """A conversation; ``prompt`` ends before its last reply, which carries the loss. ``ended``: the reply is whole."""

    ended: bool = True

    @property
    def words(self) -> str:
        """All that it says, and what the model would learn from it."""
        return "\n".join([*(message.content for message in self.prompt.messages), self.completion])


def replay_text(name: str, turns: tuple[Message, ...], *, ended: bool = True) -> ReplayText:
    """The conversation of ``turns`` as it is trained on, under a group of its own: it shares no schema."""
    return ReplayText(name, f"replay {name}", Prompt(messages=turns[:-1]), turns[-1].content, ended)


@cache
def open_replay(settings: ReplaySettings) -> list[ReplayText]:
    """Every conversation of the source, which is not ``self``, in the order of its files and lines.

    Raises:
        ExperimentError: nothing is there, or a line is no conversation; names file, line and what is accepted.
    """
    texts = [
        replay_text(f"{name}:{number}", turns)
        for name, path in _files(settings).items()
        for number, turns in _read(path, read_conversation)
    ]
    return _some(texts, f"replay source {settings.source!r}")


@cache
def open_prompts(settings: ReplaySettings) -> list[ReplayText]:
    """What the base model is to reply to, the reply of each still empty.

    Raises:
        ExperimentError: as ``open_replay``.
    """
    path = resolve(settings.prompts)
    if not path.is_file():
        raise ExperimentError(f"replay prompts not found: no file {settings.prompts!r} (prompts of [...replay]).")
    found = [replay_text(f"{path.name}:{number}", (*turns, Message("assistant", "")))
             for number, turns in _read(path, read_prompt)]  # fmt: skip
    return _some(found, f"{settings.prompts!r}")


def replay_identity(settings: ReplaySettings) -> dict[str, Any]:
    """What of the source decides the adapter, flat, by name; ``texts`` is left out where the source is not here.

    A Hub data set is its id and revision; all else a hash of its contents, wherever they lie.
    """
    told: dict[str, Any] = {"adapter.replay.share": settings.share}
    if settings.source == SELF:
        told |= {"adapter.replay.source": SELF, "adapter.replay.max_new_tokens": settings.max_new_tokens}
    if _is_on_the_hub(settings):
        return told | {REPLAY_DATA: f"{settings.source}@{settings.revision}"}
    opened = open_prompts if settings.source == SELF else open_replay
    here = resolve(settings.prompts if settings.source == SELF else settings.source).exists()
    return told | ({REPLAY_DATA: texts_hash(opened(settings))} if here else {})


REPLAY_DATA = "adapter.replay.texts"


def texts_hash(texts: list[ReplayText]) -> str:
    """sha256 over what they say, in order, whatever their files are called."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(json.dumps([text.prompt.messages, text.completion, text.ended]).encode())
    return digest.hexdigest()


def _is_on_the_hub(settings: ReplaySettings) -> bool:
    source = settings.source
    return source != SELF and not resolve(source).exists() and bool(settings.revision and _HUB_ID.fullmatch(source))


def _files(settings: ReplaySettings) -> dict[str, Path]:
    """The files of the source, sorted, by their names within it."""
    path = resolve(settings.source)
    if _is_on_the_hub(settings):
        path = _downloaded(settings)
    elif not path.exists():
        hub = '\nFor a data set of the Hub add revision = "COMMIT".' if _HUB_ID.fullmatch(settings.source) else ""
        raise ExperimentError(f"replay not found: no file or folder {settings.source!r} (source of [...replay]).{hub}")
    found = sorted(path.rglob("*")) if path.is_dir() else [path]
    root = path if path.is_dir() else path.parent
    files = {one.relative_to(root).as_posix(): one for one in found if one.suffix in _KINDS}
    if not files:
        raise ExperimentError(f"replay source {settings.source!r} is no {' or '.join(_KINDS)} file, and holds none.")
    return files


def _downloaded(settings: ReplaySettings) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        kinds = [f"*{kind}" for kind in _KINDS]
        found = snapshot_download(
            settings.source, repo_type="dataset", revision=settings.revision, allow_patterns=kinds
        )
    except (HfHubHTTPError, HFValidationError, OSError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ExperimentError(
            f"replay source {settings.source!r} at revision {settings.revision!r} cannot be fetched from the Hub: "
            f"{reason} (Gated data sets need: hf auth login)"
        ) from None
    return Path(found)


def _read(path: Path, read: Callable[[Any], tuple[Message, ...]]) -> Iterator[tuple[int, tuple[Message, ...]]]:
    """Every line or row by its number, counted from 1."""
    for number, row in _rows(path):
        try:
            yield number, read(row() if callable(row) else row)
        except ValueError as error:
            line = "row" if path.suffix == ".parquet" else "line"
            alone = ' Here {"prompt"} alone is too.' if read is read_prompt else ""
            raise ExperimentError(f"{path}: {line} {number} is no conversation: {error}. {ACCEPTED}{alone}") from None


def _rows(path: Path) -> Iterator[tuple[int, Any]]:
    try:
        if path.suffix == ".parquet":
            yield from enumerate(_parquet_rows(path), start=1)
        else:
            for number, line in enumerate(read_lines(path), start=1):
                if line.strip():
                    yield number, lambda line=line: parse_json(line)
    except (OSError, ValueError) as error:
        raise ExperimentError(f"{path} cannot be read: {error}.") from None


def _parquet_rows(path: Path) -> Iterator[dict]:
    import pyarrow.parquet as parquet

    for batch in parquet.ParquetFile(path).iter_batches(1024):
        yield from batch.to_pylist()


def _some(texts: list[ReplayText], what: str) -> list[ReplayText]:
    if not texts:
        raise ExperimentError(f"{what} holds no line. {ACCEPTED}")
    return texts
