"""An adapter's weights, whole, and what identifies them."""

import hashlib

import torch
from peft import get_peft_model_state_dict
from transformers import PreTrainedModel


def adapter_weights(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """The adapter's weights by name; FSDP's processes, which hold a part each, must all ask."""
    whole = {
        name: weights.full_tensor() if hasattr(weights, "full_tensor") else weights
        for name, weights in model.named_parameters()
        if weights.requires_grad
    }
    return get_peft_model_state_dict(model, state_dict=whole)


def adapter_hash(state: dict[str, torch.Tensor]) -> str:
    """sha256 over the names and bytes of an adapter's weights, whatever their order and device."""
    digest = hashlib.sha256()
    for name, weights in sorted(state.items()):
        digest.update(f"{name} {weights.dtype} {tuple(weights.shape)}\n".encode())
        digest.update(weights.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
