"""Attention over rows in which branches share a prefix (see ``trainer.rows.batches``).

On a GPU one flex-attention kernel computes a whole row. flash-attn is no alternative where it is installed: it knows
plain sequences only, in which every question would repeat its schema, two to three times the tokens in all.
"""

import functools
from collections.abc import Callable

import torch
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention
from torch.nn.functional import pad, scaled_dot_product_attention
from torch.nn.utils.rnn import pad_sequence
from transformers import AttentionInterface, PreTrainedModel

from trainer.study.experiment import ExperimentError

_SDPA, _FLEX = "shared_schema", "shared_schema_flex"
_BLOCK = 128  # tokens; a row is padded to whole blocks


def use_shared_schema_attention(model: PreTrainedModel, longest: int, attention: str = "auto") -> None:
    """Let ``model`` attend along a row's ``layout``, which ``attention_inputs`` makes ready.

    ``attention`` may be "sdpa" or "flex_attention"; anything else takes the faster one that the device has.

    Raises:
        ExperimentError: the model's attention is of another kind, or its window is shorter than ``longest`` tokens.
    """
    config = model.config.get_text_config()
    window = getattr(config, "sliding_window", None)
    if getattr(config, "attn_logit_softcapping", None) or (window and window < longest):
        raise ExperimentError(
            f"the trainer cannot train {config.model_type!r} models: it knows plain causal attention only."
        )
    AttentionInterface.register(_SDPA, _attend)
    AttentionInterface.register(_FLEX, _attend_flex)
    model.set_attn_implementation(_FLEX if _use_flex(attention) else _SDPA)


def _use_flex(attention: str) -> bool:
    # Its kernels are compiled by Triton, for GPUs from Ampere on.
    able = torch.cuda.is_available() and torch.cuda.get_device_capability() >= (8, 0)
    return attention == "flex_attention" or (able and attention != "sdpa")


def attention_inputs(model: PreTrainedModel, inputs: dict) -> dict:
    """A row's ``input_ids``, ``position_ids`` (1, tokens) and ``layout`` as the model's attention takes them."""
    if model.config._attn_implementation != _FLEX:
        return inputs
    length = inputs["input_ids"].shape[1]
    short = -length % _BLOCK
    padded = {name: pad(inputs[name], (0, short)) for name in ("input_ids", "position_ids")}
    return inputs | padded | {"layout": _block_mask(inputs["layout"], length + short, inputs["input_ids"].device)}


def _block_mask(layout: list[list[int]], length: int, device: torch.device) -> BlockMask:
    """Who sees whom: every branch its schema and itself. What pads the row at its end is a tree of its own."""
    sizes = [*layout, [length - sum(map(sum, layout))]]
    trees = [number for number, lengths in enumerate(sizes) for _ in range(sum(lengths))]
    branches = [branch for lengths in sizes for branch, size in enumerate(lengths) for _ in range(size)]
    tree, branch = (torch.tensor(numbers, dtype=torch.int32, device=device) for numbers in (trees, branches))

    def visible(batch, head, query, key):
        own = (branch[key] == 0) | (branch[key] == branch[query])
        return (query >= key) & (tree[query] == tree[key]) & own

    return create_block_mask(visible, None, None, length, length, device=device, BLOCK_SIZE=_BLOCK)


@functools.cache
def _compiled_flex_attention() -> Callable:
    # Compiled once for all lengths; uncompiled it would hold the whole matrix of scores.
    return torch.compile(flex_attention, dynamic=True)


def _attend_flex(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: None,
    *,
    layout: BlockMask,
    scaling: float,
    **_,
) -> tuple[torch.Tensor, None]:
    """As ``_attend``, in one kernel."""
    attend = _compiled_flex_attention() if query.is_cuda else flex_attention
    grouped = query.shape[1] != key.shape[1]
    output = attend(query, key, value, block_mask=layout, scale=scaling, enable_gqa=grouped)
    return output.transpose(1, 2).contiguous(), None


def _attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: None,
    *,
    layout: list[list[int]],
    scaling: float,
    dropout: float = 0.0,
    **_,
) -> tuple[torch.Tensor, None]:
    """The signature that transformers calls. Shapes: (1, heads, tokens, width) in, (1, tokens, heads, width) out."""
    options = {"scale": scaling, "dropout_p": dropout, "enable_gqa": query.shape[1] != key.shape[1]}
    by_token = [states[0].transpose(0, 1) for states in (query, key, value)]
    sizes = [sum(lengths) for lengths in layout]
    outputs = []
    for lengths, *states in zip(layout, *(states.split(sizes) for states in by_token), strict=True):
        outputs += _attend_tree([part.split(lengths) for part in states], lengths, options)
    return torch.cat(outputs)[None], None


def _attend_tree(parts: list[tuple[torch.Tensor, ...]], lengths: list[int], options: dict) -> list[torch.Tensor]:
    """Outputs of one schema and its branches; ``parts`` are queries, keys and values, each split by ``lengths``."""
    shared, branches = lengths[0], lengths[1:]
    query, key, value = (_heads_first(split[0][None]) for split in parts)
    prefix = scaled_dot_product_attention(query, key, value, is_causal=True, **options)
    # Padding stands at the end of a branch, where no token of it looks.
    queries, keys, values = (_heads_first(pad_sequence(split[1:], batch_first=True)) for split in parts)
    keys, values = (
        torch.cat([of_prefix.expand(len(branches), -1, -1, -1), of_branches], dim=2)
        for of_prefix, of_branches in ((key, keys), (value, values))
    )
    width = queries.shape[2]
    visible = torch.ones(width, shared + width, dtype=torch.bool, device=queries.device).tril(shared)
    attended = _heads_first(scaled_dot_product_attention(queries, keys, values, attn_mask=visible, **options))
    return [_heads_first(prefix)[0], *(output[:length] for output, length in zip(attended, branches, strict=True))]


def _heads_first(states: torch.Tensor) -> torch.Tensor:
    """(batch, tokens, heads, width) to (batch, heads, tokens, width), or back."""
    return states.transpose(1, 2)
