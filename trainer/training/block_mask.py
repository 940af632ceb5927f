"""What FlexAttention is told of a row: who sees whom, token by token and in blocks of tokens.

PyTorch's ``create_block_mask`` finds the blocks from the whole matrix of tokens, in dozens of kernels a row. Here they
are counted from the layout on the CPU, so that the tables can be made ready while the GPU computes the row before.
"""

import numpy as np
import torch
from torch.nn.attention.flex_attention import BlockMask

from trainer.training.row_shapes import BLOCK, padded

# In the order of ``mask_tables``.
_TABLES = ("kv_num_blocks", "kv_indices", "full_kv_num_blocks", "full_kv_indices",
           "q_num_blocks", "q_indices", "full_q_num_blocks", "full_q_indices")  # fmt: skip


def mask_tables(layout: list[list[int]], tokens: int) -> list[np.ndarray]:
    """The tree and the branch of each of ``tokens`` tokens, and the tables of a ``BlockMask``, all int32.

    What pads the row at its end is cut into trees of its own, none longer than a block: they cost no more than theirs.
    """
    end = sum(map(sum, layout))
    edges = [end, *range(padded(end + 1), tokens, BLOCK), tokens] if end < tokens else []
    sizes = [*layout, *([after - before] for before, after in zip(edges, edges[1:], strict=False) if after > before)]
    lengths = np.array([length for own in sizes for length in own])
    branches = np.array([branch for own in sizes for branch in range(len(own))])
    trees = np.repeat(np.arange(len(sizes)), [len(own) for own in sizes])
    seen = _pairs(lengths, branches, trees, tokens // BLOCK)
    partial, full = (seen > 0) & (seen < BLOCK**2), seen == BLOCK**2
    ordered = [table for blocks in (partial, full, partial.T, full.T) for table in _ordered(blocks)]
    return [np.repeat(numbers, lengths).astype(np.int32) for numbers in (trees, branches)] + ordered


def _pairs(lengths: np.ndarray, branches: np.ndarray, trees: np.ndarray, blocks: int) -> np.ndarray:
    """How many pairs of a query and a key that it sees lie in each pair of blocks (blocks, blocks)."""
    ends = np.cumsum(lengths)
    edges = np.arange(blocks + 1) * BLOCK
    # Tokens of each schema, branch or padding in each block.
    inside = np.minimum(ends[:, None], edges[1:]) - np.maximum((ends - lengths)[:, None], edges[:-1])
    inside = np.maximum(inside, 0)
    # All see what stands before them in their own part, and a branch its whole schema.
    own = np.tril(inside.T @ inside, -1) + np.diag((inside * (inside + 1) // 2).sum(0))
    schemas = inside[np.flatnonzero(branches == 0)][trees]
    return own + inside.T @ np.where(branches[:, None] == 0, 0, schemas)


def _ordered(blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many blocks of every row are to be visited, and all of them, those first."""
    order = np.argsort(~blocks, axis=-1, kind="stable")
    return blocks.sum(-1).astype(np.int32), order.astype(np.int32)


def block_mask(tables: list[torch.Tensor]) -> BlockMask:
    """The mask that reads ``mask_tables``' tensors, also what is written into them later."""
    tree, branch, *blocks = tables
    named = {name: table[None, None] for name, table in zip(_TABLES, blocks, strict=True)}

    def visible(batch, head, query, key):
        own = (branch[key] == 0) | (branch[key] == branch[query])
        return (query >= key) & (tree[query] == tree[key]) & own

    mask = BlockMask.from_kv_blocks(
        *(named.pop(name) for name in _TABLES[:4]),
        BLOCK_SIZE=BLOCK,
        mask_mod=visible,
        seq_lengths=(len(tree), len(tree)),
        compute_q_blocks=False,
    )
    for name, table in named.items():
        setattr(mask, name, table)
    return mask
