"""Attention and loss over rows in which branches share a prefix (see ``trainer.batches``)."""

import torch
from torch.nn.functional import cross_entropy, scaled_dot_product_attention
from torch.nn.utils.rnn import pad_sequence
from transformers import AttentionInterface, PreTrainedModel
from trl import SFTTrainer

from trainer.batches import IGNORED
from trainer.experiment import ExperimentError

_NAME = "shared_schema"


class RowTrainer(SFTTrainer):
    """TRL's trainer with one row a forward pass, its head computed only where a token is to be predicted.

    Without a GPU, TRL computes the head of every position, several times over: a quarter of the time.
    """

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """Cross-entropy of the labelled tokens, summed over the row and divided by the number of them in the step."""
        labels = inputs.pop("labels")[0]
        positions = (labels != IGNORED).nonzero()[:, 0]
        outputs = model(**inputs, logits_to_keep=positions - 1, use_cache=False)
        loss = cross_entropy(outputs.logits[0].float(), labels[positions], reduction="sum") / num_items_in_batch
        return (loss, outputs) if return_outputs else loss


def use_shared_schema_attention(model: PreTrainedModel, longest: int) -> None:
    """Let ``model`` attend along a row's ``layout``, which every forward call must then be given.

    Raises:
        ExperimentError: the model's attention is of another kind, or its window is shorter than ``longest`` tokens.
    """
    config = model.config.get_text_config()
    window = getattr(config, "sliding_window", None)
    if getattr(config, "attn_logit_softcapping", None) or (window and window < longest):
        raise ExperimentError(
            f"the trainer cannot train {config.model_type!r} models: it knows plain causal attention only."
        )
    AttentionInterface.register(_NAME, _attend)
    model.set_attn_implementation(_NAME)


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
