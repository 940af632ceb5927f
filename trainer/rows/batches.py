"""Training batches: questions as tokens, their order, and rows in which questions on one database share its schema.

A schema takes most of a question's tokens. In a row it stands once and the questions on it follow as branches:

    schema A | question 1, SQL | question 2, SQL | ... | schema B | question 9, SQL | ...

Every branch sees its schema and itself (``trainer.training.shared_schema``), so loss and gradients are those of the
questions one by one, at less than half the work.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from random import Random

from trainer.rows.texts import TrainingText
from trainer.study.chat_writing import PLAIN_INSTEAD, Chat, UnwritableChat, write_chats
from trainer.study.experiment import ExperimentError

IGNORED = -100  # the label that carries no loss, as in transformers
QUESTIONS_PER_SCHEMA = 8  # that stand side by side; more save work, but make a batch less mixed


@dataclass(frozen=True)
class TokenisedText:
    """A training text as token ids; the first ``prompt_length`` of them carry no loss."""

    id: str
    group: str
    tokens: list[int]
    prompt_length: int
    replay: bool = False  # no question, but a text that stands beside a step's questions


def tokenise(texts: list[TrainingText], tokenizer, max_length: int) -> tuple[list[TokenisedText], list[str]]:
    """The texts in the model's chat template, and the ids of those dropped: longer than ``max_length`` tokens.

    Raises:
        ExperimentError: as ``write_solved``, or no text is short enough.
    """
    tokenised = as_tokens(texts, write_solved(texts, tokenizer), tokenizer)
    kept = [text for text in tokenised if len(text.tokens) <= max_length]
    if not kept:
        shortest = min(len(text.tokens) for text in tokenised)
        raise ExperimentError(
            f"max_length = {max_length}: no training question fits, the shortest has {shortest} tokens."
        )
    return kept, [text.id for text in tokenised if len(text.tokens) > max_length]


def write_solved(texts: Sequence[TrainingText], tokenizer) -> list[tuple[str, str]]:
    """Every prompt as the template writes it, and with its reply.

    Raises:
        ExperimentError: the template cannot write one, or writes the prompt differently once the reply follows.
    """
    chats = []
    for text in texts:
        chats += [
            Chat(text.prompt.messages, True),
            Chat([*text.prompt.messages, ("assistant", text.completion)], False),
        ]
    try:
        written = write_chats(tokenizer, chats)
    except UnwritableChat as error:
        text = texts[error.place // 2]
        raise UnwritableChat(error.model, error.place, repr(text.id), error.reason) from None
    pairs = list(zip(written[::2], written[1::2], strict=True))
    for text, (prompt, whole) in zip(texts, pairs, strict=True):
        if not whole.startswith(prompt):
            raise ExperimentError(
                f"the chat template of {tokenizer.name_or_path!r} writes the prompt of {text.id!r} differently once a "
                f"reply follows, so the adapter would be trained on other prompts than it is asked. {PLAIN_INSTEAD}"
            )
    return pairs


def as_tokens(
    texts: Sequence[TrainingText], pairs: list[tuple[str, str]], tokenizer, *, replay: bool = False
) -> list[TokenisedText]:
    """What ``write_solved`` wrote as token ids: those of the prompt as it is asked, and those that follow."""

    def ids(written: list[str]) -> list[list[int]]:
        return tokenizer(written, add_special_tokens=False)["input_ids"]

    both, tokenised = (ids(list(own)) for own in zip(*pairs, strict=True)), []
    for text, (asked, whole), prompt, tokens in zip(texts, pairs, *both, strict=True):
        if tokens[: len(prompt)] != prompt:
            # A token would hold the prompt's end and the reply's beginning: ": " of "SQL: SELECT".
            tokens = prompt + ids([whole[len(asked) :]])[0]
        tokenised.append(TokenisedText(text.id, text.group, tokens, len(prompt), replay))
    return tokenised


def check_taught_end(texts: Sequence[TokenisedText], ends: Sequence[int], tokenizer) -> None:
    """Refuse texts whose replies end in none of ``ends``, at which decoding stops. Raises ExperimentError."""
    unnamed = tokenizer.eos_token is None
    remedy = "Name the model's end token (eos_token) in its tokenizer_config.json." if unnamed else PLAIN_INSTEAD
    for text in texts:
        if not set(ends).intersection(text.tokens[text.prompt_length :]):
            raise ExperimentError(
                f"the chat template ends the reply of {text.id!r} in token {text.tokens[-1]}, and decoding stops at "
                f"{list(ends)}: an adapter would never learn to stop. {remedy}"
            )


def plan_steps(
    texts: Sequence[TokenisedText], *, batch_size: int, epochs: float, seed: int
) -> list[list[TokenisedText]]:
    """The questions of every optimiser step. Batches are full: an epoch's last one is filled up from the next epoch."""
    steps = max(1, round(epochs * len(texts) / batch_size))
    questions = _endless(texts, Random(f"order {seed}"))
    return [list(islice(questions, batch_size)) for _ in range(steps)]


def _endless(texts: Sequence[TokenisedText], rng: Random) -> Iterator[TokenisedText]:
    """Epoch after epoch in a new order, in blocks of questions on one database."""
    while True:
        full, rest = [], []
        for own in _by_group(texts):
            rng.shuffle(own)
            for block in _cut(own, QUESTIONS_PER_SCHEMA):
                (full if len(block) == QUESTIONS_PER_SCHEMA else rest).append(block)
        rng.shuffle(rest)
        # What is left of each database fills blocks of its own; the short one goes last, to keep the others aligned.
        *mixed, last = _cut([text for block in rest for text in block], QUESTIONS_PER_SCHEMA) or [[]]
        blocks = full + mixed
        rng.shuffle(blocks)
        yield from (text for block in [*blocks, last] for text in block)


def _by_group(texts: Sequence[TokenisedText]) -> list[list[TokenisedText]]:
    return [list(own) for _, own in groupby(sorted(texts, key=lambda text: text.group), key=lambda text: text.group)]


def _cut(items: list, size: int) -> list[list]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def order_hash(steps: list[list[TokenisedText]]) -> str:
    """sha256 over the questions' ids, step by step."""
    return hashlib.sha256("\n".join(" ".join(text.id for text in step) for step in steps).encode()).hexdigest()


def cut_rows(steps: list[list[TokenisedText]], micro_batch_size: int) -> list[list[TokenisedText]]:
    """The questions of each forward pass, ``micro_batch_size`` of them.

    Every replay text of a step joins the pass that has the fewest tokens by then, so that steps have as many passes
    with replay as without.
    """
    return [row for step in steps for row in _with_replay(step, micro_batch_size)]


def _with_replay(step: list[TokenisedText], micro_batch_size: int) -> list[list[TokenisedText]]:
    rows = _cut([text for text in step if not text.replay], micro_batch_size)
    sizes = [row_size(row)[0] for row in rows]
    for text in (text for text in step if text.replay):
        shortest = sizes.index(min(sizes))
        rows[shortest].append(text)
        sizes[shortest] += len(text.tokens)
    return rows


def build_row(texts: list[TokenisedText]) -> dict:
    """``input_ids``, ``labels`` and ``position_ids`` of one row, and its ``layout``.

    ``layout`` has a list for each schema: its number of tokens, then that of each branch. Where there is replay in the
    row, ``of_replay`` says of every label that carries loss whether it is replay's.
    """
    row = {"input_ids": [], "labels": [], "position_ids": [], "layout": []}
    if any(text.replay for text in texts):
        row["of_replay"] = [text.replay for own in _by_group(texts) for text in own for _ in _reply_of(text)]
    for own in _by_group(texts):
        shared = _shared_length(own)
        row["layout"].append([shared, *(len(text.tokens) - shared for text in own)])
        _append(row, own[0].tokens[:shared], 0, shared)
        for text in own:
            _append(row, text.tokens[shared:], shared, text.prompt_length - shared)
    return row


def row_size(texts: list[TokenisedText]) -> tuple[int, int]:
    """Tokens of the row that these questions make, and those of them that carry loss."""
    groups = [(own, _shared_length(own)) for own in _by_group(texts)]
    tokens = sum(shared + sum(len(text.tokens) - shared for text in own) for own, shared in groups)
    return tokens, sum(len(_reply_of(text)) for text in texts)


def _shared_length(texts: list[TokenisedText]) -> int:
    """Tokens that all begin with. A prompt's last token stays in its branch: it predicts the first of the reply."""
    common = len(os.path.commonprefix([text.tokens for text in texts]))
    return min(common, *(text.prompt_length - 1 for text in texts))


def _reply_of(text: TokenisedText) -> list[int]:
    return text.tokens[text.prompt_length :]


def _append(row: dict, tokens: list[int], first_position: int, unlabelled: int) -> None:
    row["input_ids"] += tokens
    row["labels"] += [IGNORED] * unlabelled + tokens[unlabelled:]
    row["position_ids"] += range(first_position, first_position + len(tokens))
