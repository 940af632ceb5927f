"""Tokens: that a tokenizer gives text back as it was, and writes none that the model does not have."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def settle_tokens(tokenizer: "PreTrainedTokenizerBase") -> None:
    """Undo settings under which a tokenizer would not give text back as it was, or read it now so and now so."""
    tokenizer.clean_up_tokenization_spaces = False  # takes the space out of " ," and " 's" in a reply
    tokenizer.split_special_tokens = False  # cuts up the special tokens that a template writes
    model = getattr(getattr(tokenizer, "backend_tokenizer", None), "model", None)
    if getattr(model, "dropout", None):
        model.dropout = None  # merges left out by chance, for the training of a model


def unknown_token(tokens: Sequence[int], known: int) -> str:
    """What to say where one of ``tokens`` is none of the ``known`` that the model has; empty: nothing."""
    most = max(tokens, default=0)
    if most < known:
        return ""
    return (
        f"the tokenizer writes token {most}, and the model has {known} tokens (0 to {known - 1}). Is it the tokenizer "
        "that the model was published with?"
    )
