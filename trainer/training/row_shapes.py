"""The few shapes to which rows are filled up, so that a CUDA graph of each serves many. Imports no torch."""

from collections import Counter
from collections.abc import Iterable
from itertools import accumulate
from typing import NamedTuple

BLOCK = 128  # tokens that FlexAttention takes together; a row is padded to whole blocks
# What capturing one more shape costs, in tokens that could be computed meanwhile. Measured
# (tests/bench/test_trainer.py).
_CAPTURE_TOKENS = 10_000
_LABELS = 16  # a shape's labels are a multiple of this


class RowShape(NamedTuple):
    """Tokens of a row, and those of them that carry loss, both filled up."""

    tokens: int
    labels: int


def padded(tokens: int) -> int:
    """``tokens`` up to whole blocks."""
    return tokens + -tokens % BLOCK


def choose_shapes(sizes: list[tuple[int, int]]) -> list[RowShape]:
    """The shapes, the smallest first, for rows of these sizes (tokens, labels).

    So many that another one would cost more than it saves in padding.
    """
    # One block alone would be compiled a second time.
    lengths = Counter(max(padded(tokens), 2 * BLOCK) for tokens, _ in sizes)
    distinct = sorted(lengths)
    up_to = [0, *accumulate(lengths[length] for length in distinct)]
    # For the rows up to each length: what they cost at the least, and the shapes that do it.
    best: list[tuple[int, list[int]]] = [(0, [])]
    for last, length in enumerate(distinct, start=1):
        best.append(
            min(
                (cost + _CAPTURE_TOKENS + (up_to[last] - up_to[first]) * length, [*shapes, length])
                for first, (cost, shapes) in enumerate(best)
            )
        )
    chosen = best[-1][1]
    labels = dict.fromkeys(chosen, 0)
    for tokens, labelled in sizes:
        length = next(length for length in chosen if length >= tokens)
        labels[length] = max(labels[length], labelled + -labelled % _LABELS)
    return [RowShape(length, labels[length]) for length in chosen]


def shape_for(tokens: int, shapes: Iterable[RowShape]) -> RowShape:
    """The smallest of ``shapes``, in their order, that holds a row of ``tokens``."""
    return next(shape for shape in shapes if shape.tokens >= tokens)


def fill_up(sizes: list[tuple[int, int]]) -> list[RowShape]:
    """The shape of each of these rows, of those that ``choose_shapes`` takes for them."""
    shapes = choose_shapes(sizes)
    return [shape_for(tokens, shapes) for tokens, _ in sizes]
