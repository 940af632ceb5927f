"""Small Llamas with random weights, each with a tokenizer that writes the letters of MMLU its own way."""

import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BEGIN, END = "<s>", "</s>"
POSITIONS = 16384  # the longest prompt of MMLU has some 14,000 characters
Spelling = Literal["one token", "two tokens", "across the border"]


def save_tiny_llama(folder: Path, spelling: Spelling, texts: Iterable[str]) -> None:
    """A Llama of two layers and a tokenizer trained on ``texts``, in ``folder``, from a fixed seed.

    ``spelling`` is how " A" follows "Answer:": as "▁A", as a space and "A", or merged with what stands before.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    build = {"one token": _unigram, "two tokens": _space_apart, "across the border": _merging}[spelling]
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=_with_begin(build(texts)), bos_token=BEGIN, eos_token=END)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(4)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=POSITIONS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        # Ten times the usual, so that options differ by more than rounding does.
        initializer_range=0.2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)


def _unigram(texts: Iterable[str]) -> "Tokenizer":
    """As SentencePiece does it: the space is part of the word that follows."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    trainer = trainers.UnigramTrainer(vocab_size=1000, special_tokens=["<unk>", BEGIN, END], unk_token="<unk>")
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _space_apart(texts: Iterable[str]) -> "Tokenizer":
    from tokenizers import pre_tokenizers

    split = pre_tokenizers.Split(" ", "isolated")
    return _byte_level(texts, pre_tokenizers.Sequence([split, _bytes(use_regex=False)]))


def _merging(texts: Iterable[str]) -> "Tokenizer":
    """ "Answer:" ends in the token "r:", and "Answer: A" in the tokens "r" and ": A"."""
    from tokenizers import Tokenizer

    trained = json.loads(_byte_level(texts, _bytes(use_regex=True)).to_str())
    across = [[":", "Ġ"], *([":Ġ", letter] for letter in "ABCD"), ["r", ":"]]
    model = trained["model"]
    model["merges"] = across + [pair for pair in model["merges"] if "r" not in "".join(pair) and pair not in across]
    for pair in across:
        model["vocab"].setdefault("".join(pair), len(model["vocab"]))
    tokenizer = Tokenizer.from_str(json.dumps(trained))
    tokenizer.pre_tokenizer = _bytes(use_regex=False)
    return tokenizer


def _byte_level(texts: Iterable[str], pre_tokenizer) -> "Tokenizer":
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizer, decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=1000, special_tokens=[BEGIN, END], initial_alphabet=alphabet)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _bytes(use_regex: bool):
    from tokenizers import pre_tokenizers

    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)


def _with_begin(tokenizer: "Tokenizer") -> "Tokenizer":
    from tokenizers.processors import TemplateProcessing

    begin = tokenizer.token_to_id(BEGIN)
    tokenizer.post_processor = TemplateProcessing(single=f"{BEGIN} $A", special_tokens=[(BEGIN, begin)])
    return tokenizer


def replying_llama():
    """A small model, with the engine's attention, whose greedy replies to random prompts differ and end."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from fixtures.engines.grouped_attention import register_grouped_attention

    torch.manual_seed(0)
    sizes = {"vocab_size": 40, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 8, "num_key_value_heads": 2, "initializer_range": 0.3}
    model = LlamaForCausalLM(LlamaConfig(**heads, **sizes)).eval()
    model.set_attn_implementation(register_grouped_attention())
    return model


def behind_two_beginnings(count: int) -> list[list[int]]:
    """So many prompts of many lengths for ``replying_llama``, as token ids."""
    rng = random.Random(1)
    beginnings = [[rng.randint(0, 39) for _ in range(length)] for length in (100, 30)]
    return [rng.choice(beginnings) + [rng.randint(0, 39) for _ in range(rng.randint(1, 60))] for _ in range(count)]
