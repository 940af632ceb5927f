"""How far a tuned model's predictions lie from its base's: the Kullback-Leibler divergence, KL(base || tuned).

The base is the same model with its adapter switched off, so that no second one is held. Probabilities are computed in
float32 for a few tokens at a time: of all tokens at once, a vocabulary of 150,000 words would take gigabytes.
"""

import torch

from trainer.training.memory import KL_TOKENS


def divergence(logits: torch.Tensor, base: torch.Tensor, counted: torch.Tensor | None = None) -> torch.Tensor:
    """KL(base || tuned) of every token, summed: sum p_base (log p_base - log p_tuned), in nats.

    Both are (tokens, vocabulary); only ``logits`` has a gradient, p_tuned - p_base, which is written over ``base``.
    ``counted`` (tokens,) is 0 for a token that does not count, and 1 for others; without it all do.
    """
    return _Divergence.apply(logits, base, logits.new_ones(len(logits)) if counted is None else counted)


class _Divergence(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits: torch.Tensor, base: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
        total = torch.zeros((), dtype=torch.float32, device=logits.device)
        parts = (tensor.split(KL_TOKENS) for tensor in (logits, base, counted[:, None]))
        for tuned_few, base_few, counted_few in zip(*parts, strict=True):
            tuned, held = tuned_few.float().log_softmax(-1), base_few.float().log_softmax(-1)
            likely = held.exp()
            total += (likely * (held - tuned) * counted_few).sum()
            base_few.copy_((tuned.exp() - likely) * counted_few)
        ctx.gradient = base
        return total

    @staticmethod
    def backward(ctx, grad: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return ctx.gradient.mul_(grad.to(ctx.gradient.dtype)), None, None
