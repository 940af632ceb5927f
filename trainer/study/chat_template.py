"""The chat template that training and evaluation write prompts in: chosen, settled, and found to keep what it is given.

Arguments, the study's date and content parts stand in front of the model's template, in Jinja: whoever holds the
tokenizer then writes the same text, and no clock is read.
"""

import datetime
import json
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from trainer.study.experiment import BaseModelSettings, ExperimentError, did_you_mean

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# For models without a chat template: the question, "SQL:", and the end-of-text token after the last reply only,
# so that solved questions in a prompt read as one document.
PLAIN_TEMPLATE = (
    "{{ bos_token or '' }}"
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ message['content'] + '\nSQL:' }}"
    "{% else %}{{ ' ' + message['content'] + (eos_token if loop.last else '\n\n') }}{% endif %}"
    "{% endfor %}"
)
_AS_PARTS = (
    "{% set in_parts = namespace(messages=[]) %}{% for message in messages %}"
    "{% set in_parts.messages = in_parts.messages + [{'role': message['role'], "
    "'content': [{'type': 'text', 'text': message['content']}]}] %}"
    "{% endfor %}{% set messages = in_parts.messages %}"
)
# Tags, quotes, capitals, indented lines and signs that HTML escapes: what a schema, a question and SQL may hold.
_FIRST = 'CREATE TABLE "Probe_One" (\n  Name TEXT\n)\n\nQuestion: Who\'s <old> & tall?'
_REPLY = "SELECT Name FROM \"Probe_One\" WHERE Age >= 7 AND Name <> 'O & P'"
_SECOND = "CREATE TABLE Probe_Two (\n  Town TEXT\n)\n\nQuestion: Which town, in 50% of years?"
_TURNS = [("user", _FIRST), ("assistant", _REPLY), ("user", _SECOND)]
_CONVERSATIONS = [(1, True), (2, False), (3, True)]  # so many of the turns, and whether a reply is to follow
_PLAIN = 'Set base_model.chat_template = "plain", or mend the template.'
_DATE_PARTS = ("%d", "%b", "%B", "%Y", "%m", "%y", "%A", "%a", "%H", "%M", "%S", "%j", "%I", "%p", "%e", "%F", "%-d")
_WALL_S = 30


class Probe(NamedTuple):
    """A template and what it makes of a question, a solved question, and a question behind a solved one."""

    template: str
    asked: str
    solved: str
    asked_again: str


def settle_template(settings: BaseModelSettings, tokenizer: "PreTrainedTokenizerBase") -> None:
    """Give the tokenizer the one template that the study is written in.

    Raises:
        ExperimentError: it loses or changes what it is given, fails, takes too much, or reads no such argument.
    """
    own = None if settings.chat_template == "plain" else _own_template(tokenizer)
    tokenizer.chat_template = _probe(settings, tokenizer, own or PLAIN_TEMPLATE).template


def turn_end(tokenizer: "PreTrainedTokenizerBase") -> int | None:
    """The token with which the template ends a reply; None where it is not one token, or nothing ends it."""
    texts = _render((tokenizer.chat_template,), _special_tokens(tokenizer))[0].get("texts")
    after = texts[1].rpartition(_REPLY)[2].lstrip() if texts else ""
    added = {token.content: number for number, token in tokenizer.added_tokens_decoder.items()}
    starting = [text for text in added if text and after.startswith(text)]
    if starting:
        return added[max(starting, key=len)]
    tokens = tokenizer(after.rstrip(), add_special_tokens=False)["input_ids"] if after else []
    return tokens[0] if len(tokens) == 1 else None


def template_notes(tokenizer: "PreTrainedTokenizerBase") -> list[str]:
    """What a reader of results should know of the template."""
    if turn_end(tokenizer) is not None:
        return []
    return [
        "The chat template ends a reply in no token of its own: replies end where the model's own end tokens stand."
    ]


def _own_template(tokenizer: "PreTrainedTokenizerBase") -> str | None:
    """The model's template, of several the default; None where it has none."""
    own = tokenizer.chat_template
    if not isinstance(own, dict) or not own:
        return own or None
    if "default" in own:
        return own["default"]
    if len(own) == 1:
        return next(iter(own.values()))
    raise ExperimentError(
        f"{tokenizer.name_or_path!r} has several chat templates, {', '.join(map(repr, sorted(own)))}, and none is "
        f"'default'. {_PLAIN}"
    )


def _probe(settings: BaseModelSettings, tokenizer: "PreTrainedTokenizerBase", own: str) -> Probe:
    if len(own) > 1 << 18:
        raise ExperimentError(f"the chat template of {settings.id!r} has {len(own):,} characters. {_PLAIN}")
    front = _front(settings)
    candidates = (own, front + own, front + _AS_PARTS + own)
    unsettled, *settled = _render(candidates, _special_tokens(tokenizer))
    _check_arguments(settings, unsettled)
    problems = []
    for template, found in zip(candidates[1:], settled, strict=True):
        problem = found.get("error") or _lost(*found["texts"])
        if problem is None:
            # A template that needs nothing in front stays as it was published.
            needed = template != front + own or settings.template_arguments or "strftime_now" in own
            return Probe(template if needed else own, *found["texts"])
        problems.append(problem)
    raise ExperimentError(f"the chat template of {settings.id!r} cannot be used: {problems[0]}. {_PLAIN}")


def _front(settings: BaseModelSettings) -> str:
    """Jinja that sets the study's date and the template's arguments. Its last line break is Jinja's to drop."""
    date = datetime.date.fromisoformat(settings.date)
    written = "format"
    for part in _DATE_PARTS:
        written += f" | replace({part!r}, {date.strftime(part)!r})"
    lines = ["{% macro strftime_now(format) %}{{ " + written + " }}{% endmacro %}"]
    lines += [f"{{% set {name} = {json.dumps(value)} %}}" for name, value in settings.template_arguments.items()]
    return "".join(lines) + "{% if false %}{% endif %}\n"


def _check_arguments(settings: BaseModelSettings, found: dict) -> None:
    names = set(found.get("names", ())) - {"messages", "add_generation_prompt", "raise_exception", "strftime_now"}
    for name in settings.template_arguments:
        if "names" in found and name not in names:
            raise ExperimentError(
                f"base_model.template_arguments: the chat template of {settings.id!r} reads no {name!r}."
                f"{did_you_mean(name, names)} It reads: {', '.join(sorted(names)) or 'none'}."
            )


def _lost(asked: str, solved: str, asked_again: str) -> str | None:
    """What of the conversations does not stand in the texts made of them, in the order said; None: nothing."""
    for text, turns in ((asked, _TURNS[:1]), (solved, _TURNS[:2]), (asked_again, _TURNS)):
        start = 0
        for role, content in turns:
            place = text.find(content, start)
            if place < 0:
                return f"of {len(turns)} turns it drops or changes what the {role} said in one: {content[:40]!r}"
            start = place + len(content)
    return None


def _special_tokens(tokenizer: "PreTrainedTokenizerBase") -> str:
    return json.dumps(tokenizer.special_tokens_map, default=str, sort_keys=True)


@lru_cache
def _render(templates: tuple[str, ...], special_tokens: str) -> list[dict]:
    """What ``trainer.study.template_probe`` says of the templates; some 0.2 s."""
    conversations = [
        ([{"role": role, "content": content} for role, content in _TURNS[:count]], prompted)
        for count, prompted in _CONVERSATIONS
    ]
    asked = {"templates": templates, "conversations": conversations, "special_tokens": json.loads(special_tokens)}
    command = [sys.executable, "-P", str(Path(__file__).with_name("template_probe.py"))]
    try:
        done = subprocess.run(command, input=json.dumps(asked).encode(), capture_output=True, timeout=_WALL_S)
    except subprocess.TimeoutExpired:
        return [{"error": "it takes too long to write a short conversation"}] * len(templates)
    if done.returncode:
        return [{"error": "it takes too much time or memory to write a short conversation"}] * len(templates)
    return json.loads(done.stdout)
