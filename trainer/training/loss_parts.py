"""The loss of a training that has more than SQL in it, told apart: SQL, replay, the divergence from the base model.

A step's loss is one mean over all labelled tokens: of their cross-entropy, with ``kl_weight`` times the divergence
added where it is taken. Its parts are summed on the device and read once a step.
"""

from collections.abc import Callable, Sequence

import torch
from torch.nn.functional import cross_entropy

from trainer.rows.batches import IGNORED, TokenisedText
from trainer.training.base_divergence import divergence


def row_parts(
    logits: torch.Tensor,
    targets: torch.Tensor,
    of_replay: torch.Tensor,
    kl_weight: float = 0.0,
    base: torch.Tensor | None = None,
    held: torch.Tensor | slice = slice(None),
    counted: torch.Tensor | None = None,
) -> torch.Tensor:
    """The whole loss of a row, then replay's cross-entropy and the divergence in it, all summed over tokens (3,).

    ``logits`` (labels, vocabulary) predict ``targets``, and ``of_replay`` is 1 where these are replay's. ``base`` are
    the base model's logits at the places ``held``, in their order, of which those count that ``counted`` says, or all;
    they are written over.
    """
    losses = cross_entropy(logits.float(), targets, ignore_index=IGNORED, reduction="none")
    kl = losses.new_zeros(()) if base is None else divergence(logits[held], base, counted)
    return torch.stack([losses.sum() + kl_weight * kl, (losses * of_replay).sum(), kl])


class LossParts:
    """Adds up ``row_parts`` of a step's rows, each divided by the step's labelled tokens, and tells means of each."""

    def __init__(self, steps: Sequence[list[TokenisedText]], kl_weight: float, kl_on: str):
        self._weight, self._on_all = kl_weight, kl_on == "all"
        self._labels = [tuple(_labels(step, replay=replay) for replay in (False, True)) for step in steps]
        self._sums: torch.Tensor | None = None

    def add(self, parts: torch.Tensor) -> None:
        """The parts of one more row of the step."""
        self._sums = parts.clone() if self._sums is None else self._sums + parts

    def take(self, step: int, mean_of_processes: Callable[[torch.Tensor], torch.Tensor]) -> dict[str, float]:
        """``loss`` of SQL, ``replay_loss`` and ``kl`` a token of step ``step``, counted from 1; begins the next."""
        whole, replay, kl = mean_of_processes(self._sums).tolist()
        self._sums = None
        of_sql, of_replay = self._labels[step - 1]
        labels, held = of_sql + of_replay, of_replay + of_sql * self._on_all
        told = {"loss": (whole - replay - self._weight * kl) * labels / of_sql}
        if of_replay:
            told["replay_loss"] = replay * labels / of_replay
        return told | ({"kl": kl * labels / held} if self._weight and held else {})


def _labels(step: list[TokenisedText], *, replay: bool) -> int:
    return sum(len(text.tokens) - text.prompt_length for text in step if text.replay == replay)
