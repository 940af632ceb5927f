"""Rows filled up to a few shapes, each with tensors of its own that stay in their place: what a CUDA graph can read."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch

from trainer.rows.batches import IGNORED, TokenisedText, build_row
from trainer.training.block_mask import block_mask, mask_tables
from trainer.training.row_shapes import BLOCK, RowShape, shape_for


def pack_row(texts: list[TokenisedText], shapes: list[RowShape]) -> dict:
    """The row of these questions filled up to its ``shape``: ``packed`` as ``StaticRow.fill`` takes it, and ``labels``.

    ``labels`` begins with one that does not count, as transformers leaves the first out when it counts them.
    """
    row = build_row(texts)
    shape = shape_for(len(row["input_ids"]), shapes)
    labelled = [place for place, label in enumerate(row["labels"]) if label != IGNORED]
    targets = [row["labels"][place] for place in labelled]
    short = shape.labels - len(labelled)
    # Padding stands for the row's last tokens, one each: gradients of one place are summed one after another.
    predicting = [place - 1 for place in labelled] + [shape.tokens - 1 - n % shape.tokens for n in range(short)]
    parts = [
        _filled(row["input_ids"], shape.tokens),
        _filled(row["position_ids"], shape.tokens),
        predicting,
        targets + [IGNORED] * short,
        _filled(row.get("of_replay", []), shape.labels),
        *(table.ravel() for table in mask_tables(row["layout"], shape.tokens)),
    ]
    packed = np.concatenate([np.asarray(part, dtype=np.int32) for part in parts])
    return {"packed": torch.from_numpy(packed), "labels": torch.tensor([[IGNORED, *targets]]), "shape": shape}


def _filled(numbers: list[int], length: int) -> list[int]:
    return numbers + [0] * (length - len(numbers))


class StaticRow:
    """The tensors of one shape on ``device``, and the model's ``inputs`` that read them."""

    def __init__(self, shape: RowShape, device: torch.device):
        tokens, labels, blocks = *shape, shape.tokens // BLOCK
        wide, narrow = {"dtype": torch.int64, "device": device}, {"dtype": torch.int32, "device": device}
        self.input_ids, self.position_ids = (torch.zeros(1, tokens, **wide) for _ in range(2))
        self.predicting, self.targets, self.of_replay = (torch.zeros(labels, **wide) for _ in range(3))
        tables = [torch.zeros(tokens, **narrow) for _ in range(2)]
        for _ in range(4):
            tables += [torch.zeros(blocks, **narrow), torch.zeros(blocks, blocks, **narrow)]
        self._all = [self.input_ids, self.position_ids, self.predicting, self.targets, self.of_replay, *tables]
        self.inputs = {
            "input_ids": self.input_ids,
            "position_ids": self.position_ids,
            "layout": block_mask(tables),
        }

    def fill(self, packed: torch.Tensor) -> None:
        """Write a row into them."""
        parts = packed.split([part.numel() for part in self._all])
        torch._foreach_copy_(self._all, [part.view_as(own) for part, own in zip(parts, self._all, strict=True)])


class RowsAhead:
    """Collates rows, each built while the one before it is computed."""

    def __init__(self, build: Callable[[list[TokenisedText]], dict], rows: list[list[TokenisedText]]):
        self._build, self._rows = build, rows
        self._thread = ThreadPoolExecutor(1)
        self._coming: dict[int, Future] = {}

    def __call__(self, places: list[dict]) -> dict:
        place = places[0]["row"]
        coming = self._coming.pop(place, None) or self._start(place)
        if place + 1 < len(self._rows):
            self._coming = {place + 1: self._start(place + 1)}
        return coming.result()

    def _start(self, place: int) -> Future:
        return self._thread.submit(self._build, self._rows[place])
