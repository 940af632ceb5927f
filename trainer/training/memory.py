"""GPU memory: how much a training takes, counted before any weight is loaded, and how much there is."""

import gc
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainer.run import LoraRun
from trainer.study.base_model import compute_dtype

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# A linear weight in bytes; nf4 with its scales, themselves quantised (arXiv 2305.14314, section 3).
_NF4, _INT8 = 0.516, 1.0
# Weights, gradients and Adam's two moments of what is trained: in float32, or bfloat16 as TRL has QLoRA's.
_TRAINED, _TRAINED_BF16 = 16, 8
# What a layer keeps of a token for the backward pass beside what LoRA reads, in hidden and in MLP widths: with Liger's
# kernels as measured on one H200 (tests/bench/test_trainer.py), without them as counted from the operations.
_KEPT = {True: (5, 2), False: (13, 4)}
_LABEL = 14  # bytes a labelled token and word of the vocabulary: logits, in float32 too, and their gradients
# More where the divergence from the base model is taken, in widths of the model's dtype: the base's logits, in whose
# place their gradient is written, a copy of the tuned ones', and what autograd puts both gradients together in.
_DIVERGING = 4
KL_TOKENS = 128  # whose probabilities are computed together
_KL_CHUNK = 6 * 4 * KL_TOKENS  # bytes a word of the vocabulary meanwhile: six tables in float32
_USABLE = 0.92  # of free memory; the allocator loses some to gaps


@dataclass(frozen=True)
class MemoryDemand:
    """Bytes of GPU memory: fixed, and for every token and labelled token of a row."""

    fixed: float
    token_kept: float
    token_recomputed: float
    label: float

    def peak(self, tokens: int, labels: int, *, recomputed: bool) -> float:
        """Bytes at the height of a row's pass."""
        return self.fixed + tokens * (self.token_recomputed if recomputed else self.token_kept) + labels * self.label


def memory_demand(run: LoraRun, skeleton: "PreTrainedModel", *, fused: bool) -> MemoryDemand:
    """What training ``run`` on the model that ``skeleton`` is the outline of takes; ``fused``: with Liger's kernels."""
    config, width = skeleton.config.get_text_config(), compute_dtype(run.base_model).itemsize
    linear = linear_layers(skeleton)
    adapted = {name: module for name, module in linear.items() if is_target(name, run.settings.target_modules)}
    held = {"none": width, "int8": _INT8, "nf4": _NF4}[run.quantisation]
    quantisable = sum(module.weight.numel() for module in linear.values())
    weights = held * quantisable + width * (sum(p.numel() for p in skeleton.parameters()) - quantisable)
    trained = run.settings.rank * sum(module.in_features + module.out_features for module in adapted.values())
    # A quantised weight is written out while it is used.
    written_out = 0 if run.quantisation == "none" else width * max(m.weight.numel() for m in linear.values())

    diverging = bool(run.settings.kl_weight)
    chunk = _KL_CHUNK * config.vocab_size if diverging else 0

    hidden, layers = config.hidden_size, config.num_hidden_layers
    of_hidden, of_mlp = _KEPT[fused]
    read = sum(module.in_features for module in adapted.values()) / layers
    kept = width * (of_hidden * hidden + of_mlp * config.intermediate_size + read) + read * bool(run.settings.dropout)
    return MemoryDemand(
        fixed=weights + trained * (_TRAINED if run.quantisation == "none" else _TRAINED_BF16) + written_out + chunk,
        token_kept=layers * kept,
        token_recomputed=layers * width * hidden + 2 * kept,
        label=(_LABEL + _DIVERGING * width * diverging) * config.vocab_size,
    )


def linear_layers(skeleton: "PreTrainedModel") -> dict:
    """The layers that LoRA can adapt, by name: all linear ones but the head."""
    head = skeleton.get_output_embeddings()
    return {name: module for name, module in skeleton.named_modules() if _is_linear(module) and module is not head}


def _is_linear(module) -> bool:
    return hasattr(module, "in_features") and hasattr(module, "out_features")


def is_target(name: str, targets: tuple[str, ...] | str) -> bool:
    """Whether the layer called ``name`` is among the target modules, matched as PEFT does, at the end."""
    return targets == "all-linear" or any(f".{name}".endswith(f".{target}") for target in targets)


def free_memory(limit_gb: float | None) -> float | None:
    """Bytes to plan with on every process's GPU: what is free, less a margin, at most ``limit_gb``; None: no GPU."""
    import torch

    if not torch.cuda.is_available():
        return None
    from trainer.machine.processes import the_least

    free, _ = torch.cuda.mem_get_info()
    return _USABLE * the_least(min(free, limit_gb * 1e9 if limit_gb else free))


def take_gpu(limit_gb: float | None) -> None:
    """Give back what an earlier training held, and let this one have no more than ``limit_gb``, if that is given."""
    import torch

    if not torch.cuda.is_available():
        return
    torch.cuda.init()  # without it there are no statistics to reset yet, which is an error
    # A trainer and its model refer to one another.
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    if limit_gb:
        _, total = torch.cuda.mem_get_info()
        torch.cuda.set_per_process_memory_fraction(min(1.0, limit_gb * 1e9 / total))
