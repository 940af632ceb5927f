"""The shape of Llama 3 8B (its config.json on the Hub), for models with random weights, and what they are asked."""

import random
from pathlib import Path

LLAMA_3_8B = {
    "vocab_size": 128256,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 8192,
    "rope_theta": 500000.0,
}
PARAMETERS_A_TOKEN = 6.98e9  # of the layers, which every token passes; the head's are asked for a few only
QUESTIONS, MOST = 512, 256
ENDING = 100_000  # the token that ends a planted reply; those above it count down to it


def like_spider() -> tuple[list[list[int]], list[int]]:
    """Prompts as token ids, behind 20 schemas of 330 tokens 150 to 600 own ones, and how long each reply is to be."""
    rng = random.Random(0)
    schemas = [[rng.randrange(10, ENDING) for _ in range(330)] for _ in range(20)]
    # The lengths of Spider's gold queries, and some replies that find no end.
    lengths = [
        MOST if rng.random() < 0.02 else max(3, min(MOST, int(rng.lognormvariate(3.33, 0.55))))
        for _ in range(QUESTIONS)
    ]
    prompts = []
    for place, length in enumerate(lengths):
        own = [rng.randrange(10, ENDING) for _ in range(rng.randint(149, 599))]
        prompts.append([*schemas[place * 20 // QUESTIONS], *own, ENDING + length])
    return prompts, lengths


def save_llama(folder: Path) -> None:
    """A model of this shape with the miniature's tokenizer: 16 GB of disk, loaded as users' models are."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from trainer.study.base_model import load_tokenizer
    from trainer.study.experiment import load_experiment

    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda"):
        LlamaForCausalLM(LlamaConfig(**LLAMA_3_8B, tie_word_embeddings=False)).save_pretrained(folder)
    torch.set_default_dtype(torch.float32)
    torch.cuda.empty_cache()
    load_tokenizer(load_experiment("miniature").base_model).save_pretrained(folder)
