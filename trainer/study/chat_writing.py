"""Conversations as text in a chat template: written apart from this process, and found to hold what was said.

A template is a stranger's program, and may do on one conversation what it did on no other: every one that is trained on
or asked comes through here.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from trainer.study.experiment import ExperimentError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PLAIN_INSTEAD = 'Set base_model.chat_template = "plain", or mend the template.'
_WALL_S, _WALL_S_EACH = 30, 0.05  # for a busy machine; the process counts the processor's time itself


class Chat(NamedTuple):
    """A conversation, pairs of role and content, and whether a reply is to follow."""

    turns: Sequence[tuple[str, str]]
    prompted: bool


class ReadTemplate(NamedTuple):
    """What a template came to: the variables it reads, and for every conversation ``text`` or ``error``."""

    names: list[str] | None
    written: list[dict]


class UnwritableChat(ExperimentError):
    """The template cannot write one of the conversations, the one in ``place``, for this ``reason``."""

    def __init__(self, model: str, place: int, what: str, reason: str):
        super().__init__(f"the chat template of {model!r} cannot write {what}: {reason}. {PLAIN_INSTEAD}")
        self.model, self.place, self.reason = model, place, reason


def write_chats(tokenizer: "PreTrainedTokenizerBase", chats: Sequence[Chat]) -> list[str]:
    """The conversations in the tokenizer's template; some 0.2 s, and a few thousand a second.

    Raises:
        UnwritableChat: the template fails, takes too much, or loses or changes what was said.
    """
    if not chats:
        return []
    texts = []
    (read,) = run_templates([tokenizer.chat_template], special_tokens(tokenizer), chats)
    for place, (chat, found) in enumerate(zip(chats, read.written, strict=True)):
        problem = found.get("error") or lost(found["text"], chat.turns)
        if problem is not None:
            raise UnwritableChat(tokenizer.name_or_path, place, _beginning(chat), problem)
        texts.append(found["text"])
    return texts


def _beginning(chat: Chat) -> str:
    return f"{len(chat.turns)} turns, the last of which begins {chat.turns[-1][1].strip()[:40]!r}"


def lost(text: str, turns: Sequence[tuple[str, str]]) -> str | None:
    """What of the turns does not stand in the text, in their order; None: nothing. Space around a turn may go."""
    start = 0
    for role, content in turns:
        said = content.strip()
        place = text.find(said, start)
        if place < 0:
            return f"of {len(turns)} turns it drops or changes what the {role} said in one: {said[:40]!r}"
        start = place + len(said)
    return None


def special_tokens(tokenizer: "PreTrainedTokenizerBase") -> str:
    """The special tokens that templates read, as JSON."""
    return json.dumps(tokenizer.special_tokens_map, default=str, sort_keys=True)


def run_templates(templates: Sequence[str], tokens: str, chats: Sequence[Chat]) -> list[ReadTemplate]:
    """What ``trainer.study.template_probe`` makes of the conversations in every template."""
    lines = [{"templates": list(templates), "special_tokens": json.loads(tokens)}]
    for number in range(len(templates)):
        for turns, prompted in chats:
            messages = [{"role": role, "content": content} for role, content in turns]
            lines.append([number, messages, prompted])
    command = [sys.executable, "-P", str(Path(__file__).with_name("template_probe.py"))]
    limit = _WALL_S + _WALL_S_EACH * len(lines)
    given = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
    try:
        output = subprocess.run(command, input=given, capture_output=True, timeout=limit).stdout
    except subprocess.TimeoutExpired as stopped:
        output = stopped.stdout or b""
    # What stands behind the last line break was cut with the process.
    answers = [json.loads(line) for line in output.split(b"\n")[:-1]]
    answers += [{"error": "it takes too much time or memory"}] * (len(templates) + len(lines) - 1 - len(answers))
    heads, written = answers[: len(templates)], answers[len(templates) :]
    found = []
    for number, head in enumerate(heads):
        own = written[number * len(chats) : (number + 1) * len(chats)]
        found.append(ReadTemplate(head.get("names"), own if "names" in head else [head] * len(chats)))
    return found
