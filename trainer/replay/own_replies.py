"""The base model's own greedy replies to general prompts: replay for which no data set is needed.

Self-distillation (SDFT, arXiv 2402.13669): what the model says already is nearest to what it is to keep. The replies
are written once, before the first training that wants them, and kept beside the adapters for all others.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from trainer.prompts import Message
from trainer.replay.sources import ReplayText, open_prompts, replay_text, texts_hash
from trainer.study.chat_writing import Chat, write_chats
from trainer.study.experiment import ExperimentError
from trainer.study.identity import base_identity, tokenizer_identity
from trainer.study.outside import parse_json, read_lines
from trainer.study.settings import BaseModelSettings, ReplaySettings

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_TOGETHER = 32  # prompts that are replied to at a time


def replies_path(folder: Path, replay: ReplaySettings, base: BaseModelSettings, quantisation: str) -> Path:
    """The file in ``folder`` that holds this model's replies to these prompts, once they are written."""
    decisive = [
        base_identity(base),
        tokenizer_identity(base) if base.folder else None,
        base.model_dump(mode="json", include={"dtype", "chat_template", "template_arguments", "date"}),
        quantisation,
        replay.max_new_tokens,
        texts_hash(open_prompts(replay)),
    ]
    key = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
    return folder / f"own-replies-{key[:16]}.jsonl"


def read_replies(path: Path, replay: ReplaySettings) -> list[ReplayText]:
    """The prompts with their replies, without those to which the model said nothing.

    Raises:
        ExperimentError: the file was damaged or belongs to other prompts.
    """
    prompts = open_prompts(replay)
    try:
        lines = [parse_json(line) for line in read_lines(path) if line]
        replies = [(str(line["completion"]), bool(line["ended"])) for line in lines]
        if len(replies) != len(prompts):
            raise ValueError(f"{len(replies)} replies to {len(prompts)} prompts")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ExperimentError(f"{path} is damaged ({error}). Delete it: its replies are written anew.") from None
    return [
        replay_text(prompt.id, (*prompt.prompt.messages, Message("assistant", completion)), ended=ended)
        for prompt, (completion, ended) in zip(prompts, replies, strict=True)
        if completion
    ]


def write_replies(path: Path, replay: ReplaySettings, model: "PreTrainedModel", tokenizer, ends: Sequence[int]) -> None:
    """Have ``model`` reply to every prompt, greedily, and keep what it says; a reply stops at one of ``ends``."""
    prompts = open_prompts(replay)
    written = write_chats(tokenizer, [Chat(prompt.prompt.messages, True) for prompt in prompts])
    tokens = tokenizer(written, add_special_tokens=False)["input_ids"]
    # Of one length together: little is padded.
    order = sorted(range(len(tokens)), key=lambda place: len(tokens[place]))
    replies: dict[int, tuple[str, bool]] = {}
    for start in range(0, len(order), _TOGETHER):
        places = order[start : start + _TOGETHER]
        found = _reply([tokens[place] for place in places], model, tokenizer, ends, replay.max_new_tokens)
        replies |= dict(zip(places, found, strict=True))
    lines = [
        {
            "messages": [message._asdict() for message in prompt.prompt.messages],
            "completion": replies[place][0],
            "ended": replies[place][1],
        }
        for place, prompt in enumerate(prompts)
    ]
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    unfinished.replace(path)


def _reply(
    prompts: list[list[int]], model: "PreTrainedModel", tokenizer, ends: Sequence[int], max_new_tokens: int
) -> list[tuple[str, bool]]:
    """What the model says to each prompt, and whether it came to an end."""
    import torch
    from transformers import GenerationConfig

    # What the model was published with (a repetition penalty, a temperature) is no part of a greedy reply.
    model.generation_config = GenerationConfig()
    width = max(map(len, prompts))
    padded = [[tokenizer.pad_token_id] * (width - len(one)) + one for one in prompts]
    seen = [[0] * (width - len(one)) + [1] * len(one) for one in prompts]
    with torch.inference_mode():
        whole = model.generate(
            input_ids=torch.tensor(padded, device=model.device),
            attention_mask=torch.tensor(seen, device=model.device),
            max_new_tokens=max_new_tokens,
            do_sample=False,
            eos_token_id=list(ends),
            pad_token_id=tokenizer.pad_token_id,
        )
    said = []
    for reply in whole[:, width:].tolist():
        end = next((place for place, token in enumerate(reply) if token in ends), None)
        said.append((tokenizer.decode(reply[:end], skip_special_tokens=True).strip(), end is not None))
    return said


def locked(path: Path) -> FileLock:
    """Held while the replies are written: trainings that run side by side want the same ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path.with_name(".lock"))
