"""The one turn of a reply that answers: without thoughts, prompts repeated, and what is written behind its end."""

import functools
import re

from custom_metrics.sql.reading.lexer import SQL_STRING

_THOUGHT = r"think|thinking|thoughts?|reasoning|reflection|scratchpad|analysis|seed:think"
# Whatever way a model marks its thoughts; one without an end has no answer behind it, unless a tag opens the answer.
_THOUGHTS = re.compile(
    rf"{SQL_STRING}|<(?P<tag>{_THOUGHT})>.*?(?:</(?P=tag)>|(?=<(?:answer|final_answer|solution|sql)>)|\Z)"
    r"|\[THINK\].*?(?:\[/THINK\]|\Z)|◁think▷.*?(?:◁/think▷|\Z)"
    r"|<\|(?P<word>think(?:ing)?|thought|reasoning)\|>.*?(?:<\|/(?P=word)\|>|\Z)"
    r"|<\|begin_of_thought\|>.*?(?:<\|end_of_thought\|>|\Z)|<\|START_THINKING\|>.*?(?:<\|END_THINKING\|>|\Z)"
    r"|<\|channel\|>\s*analysis\b.*?(?:<\|end\|>|(?=<\|start\|>)|\Z)",
    re.IGNORECASE | re.DOTALL,
)
# The opening mark often is part of the prompt.
_END_OF_THOUGHTS = re.compile(
    rf"{SQL_STRING}|</(?:{_THOUGHT})>|\[/THINK\]|◁/think▷|<\|end_of_thought\|>", re.IGNORECASE
)
_MARK = re.compile(
    rf"{SQL_STRING}|"
    r"<[|｜](?P<name>[^<>|｜\n]{1,40})[|｜]>|</?s>|<(?:bos|eos)>|<(?P<gemma>start|end)_of_turn>|\[/?INST\]|<</?SYS>>"
    r"|\[/?(?:TOOL_CALLS|AVAILABLE_TOOLS|TOOL_RESULTS|TOOL_CONTENT)\]"
)
_ROLE = re.compile(r"\s*(system|developer|user|human|assistant|model|tool|ipython)\b(?:[ \t]*\n)?", re.IGNORECASE)
_HEADERS = frozenset({"im_start", "start_header_id", "start", "turn"})
# Marks within a turn; all others end it.
_WITHIN = re.compile(r"tool|python|func|begin|start|sep\b|message|channel|constrain|assistant|answer|solution|response")
_ANSWERS = frozenset({"assistant", "model"})


def answering_turn(reply: str) -> str:
    """The first turn in ``reply`` that is the model's own and says something."""
    text = _THOUGHTS.sub(lambda found: found["string"] or "\n", reply)
    ends = [found.end() for found in _END_OF_THOUGHTS.finditer(text) if not found["string"]]
    text = text[ends[-1] :] if ends else text
    said: list[str] = []
    role, place = "assistant", 0
    for mark in _MARK.finditer(text):
        if mark["string"]:
            continue
        if role in _ANSWERS and place < mark.start():
            said.append(text[place : mark.start()])
        place = mark.end()
        if _is_within(mark.group(), mark["name"] or ""):
            continue
        if any(map(str.strip, said)):
            return "\n".join(said)
        said = []
        role, place = _role_after(mark, text, role)
    return "\n".join([*said, text[place:]] if role in _ANSWERS else said)


@functools.lru_cache(maxsize=64)
def _is_within(mark: str, name: str) -> bool:
    """Whether the turn goes on behind ``mark``."""
    name = name.lower().replace("▁", "_")
    if mark in ("[TOOL_CALLS]", "<s>"):
        return True
    return name not in _HEADERS and not name.startswith("end") and _WITHIN.search(name) is not None


def _role_after(mark: re.Match, text: str, role: str) -> tuple[str, int]:
    """Who speaks behind ``mark``, and where what is said begins."""
    name, place = (mark["name"] or "").lower(), mark.end()
    if mark.group() in ("[INST]", "[/INST]"):
        return ("user" if mark.group() == "[INST]" else "assistant"), place
    if name in _HEADERS or mark["gemma"] == "start":
        found = _ROLE.match(text, place)
        return (found[1].lower(), found.end()) if found else (role, place)
    return (name if name in ("user", "system", "assistant") else role), place
