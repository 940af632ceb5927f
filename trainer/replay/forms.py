"""The forms in which people keep conversations, one a line, and what each says. All of it is a stranger's: checked."""

from collections.abc import Mapping, Sequence
from typing import Any

from trainer.prompts import Message

ACCEPTED = (
    'Accepted are {"messages": [{"role", "content"}, ...]}, {"prompt", "completion"}, '
    '{"instruction", "input", "output"} and {"conversations": [{"from", "value"}, ...]}.'
)
_ROLES = {
    "system": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
}


def read_conversation(row: Any) -> tuple[Message, ...]:
    """The turns of a line, user and assistant by turns, a reply last; what a system said opens the first user turn.

    >>> read_conversation({"instruction": "Add.", "input": "1 and 2", "output": "3"})
    (Message(role='user', content='Add.\\n\\n1 and 2'), Message(role='assistant', content='3'))

    Raises:
        ValueError: it is none of the accepted forms, or a turn is missing, empty or no text.
    """
    if not isinstance(row, Mapping):
        raise ValueError(f"it is {_kind(row)}, not an object")
    return _checked(_turns(row))


def read_prompt(row: Any) -> tuple[Message, ...]:
    """The turns of a line up to a user turn: those of ``{"prompt": ...}``, or of a conversation without its last reply.

    Raises:
        ValueError: as ``read_conversation``.
    """
    if isinstance(row, Mapping) and "prompt" in row:
        row = {**row, "completion": "-"}
    return read_conversation(row)[:-1]


def _turns(row: Mapping) -> list[tuple[str, str]]:
    for key, role, content in (("messages", "role", "content"), ("conversations", "from", "value")):
        if row.get(key) is not None:
            return _listed(row[key], key, role, content)
    if "prompt" in row and "completion" in row:
        return _spoken(row["prompt"], "prompt", "user") + _spoken(row["completion"], "completion", "assistant")
    if "instruction" in row and "output" in row:
        told = [_text(row["instruction"], "instruction"), _text(row.get("input") or "", "input")]
        asked = "\n\n".join(part for part in told if part.strip())
        return [("user", asked), ("assistant", _text(row["output"], "output"))]
    raise ValueError(f"its keys are {', '.join(map(repr, list(row)[:8])) or 'none'}")


def _spoken(value: Any, key: str, role: str) -> list[tuple[str, str]]:
    """A text as one turn by ``role``, or turns as TRL's conversational data sets have them."""
    return _listed(value, key, "role", "content") if isinstance(value, list) else [(role, _text(value, key))]


def _listed(turns: Any, key: str, role: str, content: str) -> list[tuple[str, str]]:
    if not isinstance(turns, Sequence) or isinstance(turns, str):
        raise ValueError(f"{key} is {_kind(turns)}, not a list")
    found = []
    for number, turn in enumerate(turns, start=1):
        if not isinstance(turn, Mapping) or role not in turn or content not in turn:
            raise ValueError(f"turn {number} of {key} has no {role!r} and {content!r}")
        if turn[role] not in tuple(_ROLES):
            raise ValueError(f"turn {number} of {key} is by {turn[role]!r}, not by one of {', '.join(_ROLES)}")
        found.append((_ROLES[turn[role]], _text(turn[content], f"turn {number} of {key}")))
    return found


def _checked(turns: list[tuple[str, str]]) -> tuple[Message, ...]:
    told = []
    while turns and turns[0][0] == "system":
        told.append(turns.pop(0)[1])
    for number, (role, content) in enumerate(turns):
        wanted = ("user", "assistant")[number % 2]
        if role != wanted:
            raise ValueError(f"turn {number + 1} is by {role!r} where one by {wanted!r} must stand")
        if not content.strip():
            raise ValueError(f"turn {number + 1} is empty")
    if not turns or turns[-1][0] != "assistant":
        raise ValueError("it does not end in a reply")
    # Not every chat template knows a system turn.
    first = "\n\n".join([*filter(str.strip, told), turns[0][1]])
    return (Message("user", first), *(Message(*turn) for turn in turns[1:]))


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} is {_kind(value)}, not a text")
    return value


def _kind(value: Any) -> str:
    return "missing" if value is None else f"of type {type(value).__name__}"
