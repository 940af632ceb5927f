"""Attention over rows in which branches share a prefix (see ``trainer.rows.batches``).

On a GPU one flex-attention kernel computes a whole row. flash-attn is no alternative where it is installed: it knows
plain sequences only, in which every question would repeat its schema, two to three times the tokens in all.
"""

import functools
from collections.abc import Callable

import torch
from torch.nn.attention.flex_attention import BlockMask, flex_attention
from torch.nn.functional import pad, scaled_dot_product_attention
from torch.nn.utils.rnn import pad_sequence
from transformers import AttentionInterface, PreTrainedModel

from trainer.study.experiment import ExperimentError
from trainer.training.block_mask import block_mask, mask_tables
from trainer.training.row_shapes import padded

_SDPA, _FLEX = "shared_schema", "shared_schema_flex"


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
    model.set_attn_implementation(_FLEX if has_flex_attention(attention) else _SDPA)


def has_flex_attention(attention: str = "auto") -> bool:
    """Whether ``use_shared_schema_attention`` takes the one kernel, over rows of whole blocks."""
    # Its kernels are compiled by Triton, for GPUs from Ampere on.
    able = torch.cuda.is_available() and torch.cuda.get_device_capability() >= (8, 0)
    return attention == "flex_attention" or (able and attention != "sdpa")


def attention_inputs(model: PreTrainedModel, inputs: dict) -> dict:
    """A row's ``input_ids``, ``position_ids`` (1, tokens) and ``layout`` as the model's attention takes them."""
    if model.config._attn_implementation != _FLEX:
        return inputs
    tokens, device = inputs["input_ids"].shape[1], inputs["input_ids"].device
    filled = {name: pad(inputs[name], (0, padded(tokens) - tokens)) for name in ("input_ids", "position_ids")}
    tables = [torch.from_numpy(table).to(device) for table in mask_tables(inputs["layout"], padded(tokens))]
    return inputs | filled | {"layout": block_mask(tables)}


# Of the backward kernel, in tokens, stages and warps: 1.3 times as fast as PyTorch's own choice. Measured on one H100.
_ON_HOPPER = {"bwd_BLOCK_M1": 32, "bwd_BLOCK_N1": 64, "bwd_BLOCK_M2": 64, "bwd_BLOCK_N2": 32, "bwd_num_stages": 3,
              "bwd_num_warps": 4}  # fmt: skip


def _kernel_options(query: torch.Tensor) -> dict | None:
    small = query.dtype.itemsize == 2 and query.shape[-1] in (64, 128)
    return _ON_HOPPER if query.is_cuda and small and torch.cuda.get_device_capability() == (9, 0) else None


def _repeated(states: torch.Tensor, times: int) -> torch.Tensor:
    """Every head of (1, heads, tokens, width) ``times`` over."""
    return states[:, :, None].expand(-1, -1, times, -1, -1).flatten(1, 2)


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
    # The backward pass over grouped heads takes a group's queries one after another, on a GPU that stands half empty.
    key, value = (_repeated(states, query.shape[1] // states.shape[1]) for states in (key, value))
    output = attend(query, key, value, block_mask=layout, scale=scaling, kernel_options=_kernel_options(query))
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
