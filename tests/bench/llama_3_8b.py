"""The shape of Llama 3 8B (its config.json on the Hub), for models with random weights."""

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
