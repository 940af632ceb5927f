"""The chat template that training and evaluation write prompts in: chosen, settled, tried, and how it ends a reply."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from trainer.study.chat_writing import PLAIN_INSTEAD, Chat, ReadTemplate, lost, run_templates, special_tokens
from trainer.study.experiment import ExperimentError, did_you_mean
from trainer.study.settings import BaseModelSettings
from trainer.study.template_front import in_front

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# For models without a chat template: the question, "SQL:", and the end-of-text token after the last reply only,
# so that solved questions in a prompt read as one document.
PLAIN_TEMPLATE = (
    "{{ bos_token or '' }}"
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ message['content'] + '\nSQL:' }}"
    "{% else %}{{ ' ' + message['content'] + ((eos_token or '') if loop.last else '\n\n') }}{% endif %}"
    "{% endfor %}"
)
# Tags, quotes, capitals, indented lines and signs that HTML escapes: what a schema, a question and SQL may hold.
_FIRST = 'CREATE TABLE "Probe_One" (\n  Name TEXT\n)\n\nQuestion: Who\'s <old> & tall?'
_REPLY = "SELECT Name FROM \"Probe_One\" WHERE Age >= 7 AND Name <> 'O & P'"
_SECOND = "CREATE TABLE Probe_Two (\n  Town TEXT\n)\n\nQuestion: Which town, in 50% of years?"
_TURNS = [("user", _FIRST), ("assistant", _REPLY), ("user", _SECOND)]
_CHATS = (Chat(_TURNS[:1], True), Chat(_TURNS[:2], False), Chat(_TURNS, True))
_UNNAMED = re.compile(r"'\w+_token' is undefined")
_KNOWN: dict[tuple[str, str], ReadTemplate] = {}  # by template and special tokens


def settle_template(settings: BaseModelSettings, tokenizer: "PreTrainedTokenizerBase") -> None:
    """Give the tokenizer the one template that the study is written in.

    Raises:
        ExperimentError: it loses or changes what it is given, fails, takes too much, or reads no such argument.
    """
    own = None if settings.chat_template == "plain" else _own_template(tokenizer)
    tokenizer.chat_template = _probe(settings, tokenizer, own or PLAIN_TEMPLATE)


class TurnEnd(NamedTuple):
    """What follows a reply: a token that ends the turn or begins the next one; else text that does, or nothing."""

    token: int | None  # the one that ends the turn
    next_token: int | None  # a special one that begins the next turn, where none ends this one
    text: str  # where it is no such token

    def cut(self, reply: str) -> str:
        """The reply without what runs on behind its turn."""
        return reply.partition(self.text)[0] if self.text else reply


def possible_templates(settings: BaseModelSettings, own: str | None) -> set[str]:
    """The texts, one of which a tokenizer is given for a model whose own template is ``own``; no tokenizer is read."""
    chosen = own if own and settings.chat_template != "plain" else PLAIN_TEMPLATE
    return {chosen, *in_front(settings, chosen)}


def turn_end(tokenizer: "PreTrainedTokenizerBase") -> TurnEnd:
    """How the template ends a reply."""
    read = _probed([tokenizer.chat_template], special_tokens(tokenizer))[0]
    if any("error" in found for found in read.written):
        return TurnEnd(None, None, "")
    _, solved, asked_again = (found["text"] for found in read.written)
    ending = solved.rpartition(_REPLY)[2].rstrip()
    if ending:
        token = _first_special(tokenizer, ending.lstrip())
        tokens = tokenizer(ending.lstrip(), add_special_tokens=False)["input_ids"] if token is None else [token]
        return TurnEnd(tokens[0], None, "") if len(tokens) == 1 else TurnEnd(None, None, _ordinary(tokenizer, ending))
    following = asked_again.rpartition(_REPLY)[2].partition(_SECOND)[0].rstrip()
    token = _first_special(tokenizer, following.lstrip())
    return TurnEnd(None, token, _ordinary(tokenizer, following) if token is None else "")


def _first_special(tokenizer: "PreTrainedTokenizerBase", text: str) -> int | None:
    """The added token, if any, with which the text begins."""
    added = {token.content: number for number, token in tokenizer.added_tokens_decoder.items()}
    starting = [content for content in added if content and text.startswith(content)]
    return added[max(starting, key=len)] if starting else None


def _ordinary(tokenizer: "PreTrainedTokenizerBase", text: str) -> str:
    """The text up to the first added token, which decoding a reply would leave out."""
    for token in tokenizer.added_tokens_decoder.values():
        text = text.partition(token.content)[0] if token.content else text
    return text.rstrip()


def template_notes(tokenizer: "PreTrainedTokenizerBase") -> list[str]:
    """What a reader of results should know of the template."""
    end = turn_end(tokenizer)
    if end.token is not None:
        return []
    if end.next_token is not None:
        cut = f"end before {tokenizer.convert_ids_to_tokens(end.next_token)!r}, which begins the next turn"
    elif end.text:
        cut = f"are cut at {end.text!r}, which stands between turns"
    else:
        cut = "end where the model's own end tokens stand, or at max_new_tokens"
    return [f"the chat template ends a reply in no token of its own: replies {cut}"]


def _own_template(tokenizer: "PreTrainedTokenizerBase") -> str | None:
    """The model's template, of several the default; None where it has none."""
    own = tokenizer.chat_template
    if isinstance(own, dict) and own:
        if "default" not in own and len(own) > 1:
            raise ExperimentError(
                f"{tokenizer.name_or_path!r} has several chat templates, {', '.join(map(repr, sorted(own)))}, and none "
                f"is 'default'. {PLAIN_INSTEAD}"
            )
        own = own["default"] if "default" in own else next(iter(own.values()))
    if own and not isinstance(own, str):
        raise ExperimentError(
            f"the chat template of {tokenizer.name_or_path!r} is no text: {own!r:.80}. {PLAIN_INSTEAD}"
        )
    return own.removeprefix("\ufeff") if own else None


def _probe(settings: BaseModelSettings, tokenizer: "PreTrainedTokenizerBase", own: str) -> str:
    if len(own) > 1 << 18:
        raise ExperimentError(f"the chat template of {settings.id!r} has {len(own):,} characters. {PLAIN_INSTEAD}")
    candidates = in_front(settings, own)
    unsettled, *settled = _probed([own, *candidates], special_tokens(tokenizer))
    _check_arguments(settings, unsettled.names)
    problems = []
    for template, read in zip(candidates, settled, strict=True):
        found = zip(read.written, _CHATS, strict=True)
        problem = next(filter(None, (one.get("error") or lost(one["text"], chat.turns) for one, chat in found)), None)
        if problem is None:
            return template
        problems.append(problem)
    unnamed = _UNNAMED.search(problems[0])
    remedy = f"Name it in the model's tokenizer_config.json, or s{PLAIN_INSTEAD[1:]}" if unnamed else PLAIN_INSTEAD
    raise ExperimentError(f"the chat template of {settings.id!r} cannot be used: {problems[0]}. {remedy}")


def _check_arguments(settings: BaseModelSettings, read: list[str] | None) -> None:
    names = set(read or ()) - {"messages", "add_generation_prompt", "raise_exception", "strftime_now"}
    for name in settings.template_arguments:
        if read is not None and name not in names:
            raise ExperimentError(
                f"base_model.template_arguments: the chat template of {settings.id!r} reads no {name!r}."
                f"{did_you_mean(name, names)} It reads: {', '.join(sorted(names)) or 'none'}."
            )


def _probed(templates: Sequence[str], tokens: str) -> list[ReadTemplate]:
    """What the templates make of the conversations; kept, for every loading of a tokenizer asks."""
    new = [template for template in dict.fromkeys(templates) if (template, tokens) not in _KNOWN]
    if new:
        _KNOWN.update(zip([(template, tokens) for template in new], run_templates(new, tokens, _CHATS), strict=True))
    return [_KNOWN[template, tokens] for template in templates]
