"""Replay among the steps of a training: on top of a step's questions, by tokens, evenly and in a seeded order."""

from collections.abc import Iterator, Sequence
from random import Random

from trainer.replay.sources import ReplayText
from trainer.rows.batches import TokenisedText, as_tokens, write_solved
from trainer.study.experiment import ExperimentError

_TOGETHER = 256  # texts that are written and cut into tokens at a time: a source may hold many more than are needed


def mix_replay(
    steps: Sequence[list[TokenisedText]], drawn: Iterator[TokenisedText], share: float
) -> list[list[TokenisedText]]:
    """The steps, their questions as they were and replay behind them, ``share`` of all tokens so far.

    Prompts count among the tokens, and a schema for each of its questions. After every step replay is within half a
    text of its share, so that it comes evenly: where a text is longer than a step's share, not in every step.
    """
    mixed, owed, coming = [], 0.0, next(drawn)
    for step in steps:
        owed += share / (1 - share) * sum(len(text.tokens) for text in step)
        added = []
        while owed >= len(coming.tokens) / 2:
            added.append(coming)
            owed -= len(coming.tokens)
            coming = next(drawn)
        mixed.append([*step, *added])
    return mixed


def draw_replay(texts: Sequence[ReplayText], tokenizer, *, max_length: int, seed: int) -> Iterator[TokenisedText]:
    """The texts as tokens in an order drawn with ``seed``, over and over; those of more than ``max_length`` left out.

    Raises:
        ExperimentError: no text is short enough, or the template cannot write one.
    """
    rng, known = Random(f"replay {seed}"), []
    order = rng.sample(texts, len(texts))
    for start in range(0, len(order), _TOGETHER):
        for text in tokenise_replay(order[start : start + _TOGETHER], tokenizer):
            if len(text.tokens) <= max_length:
                known.append(text)
                yield text
    if not known:
        raise ExperimentError(f"max_length = {max_length}: no replay text fits.")
    while True:
        rng.shuffle(known)
        yield from known


def tokenise_replay(texts: Sequence[ReplayText], tokenizer) -> list[TokenisedText]:
    """The texts in the model's chat template; a reply that was cut teaches no end. Raises ExperimentError."""
    pairs = [
        (prompt, whole if text.ended else prompt + text.completion)
        for text, (prompt, whole) in zip(texts, write_solved(texts, tokenizer), strict=True)
    ]
    return as_tokens(texts, pairs, tokenizer, replay=True)
