"""One tiny model of each architecture that people fine-tune, with random weights from a fixed seed."""

import json
from collections.abc import Sequence
from pathlib import Path

VOCABULARY = 320
_COMMON = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    # Wide enough that options differ by more than rounding, and replies are not one token again and again.
    "initializer_range": 0.3,
}
_ROTARY = {"intermediate_size": 64, "num_key_value_heads": 2, "max_position_embeddings": 512}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
_LONG_ROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0] * 4,
    "long_factor": [4.0] * 4,
    "original_max_position_embeddings": 64,
}

# By name: the configuration's class, and what it takes beside ``_COMMON``.
ARCHITECTURES: dict[str, tuple[str, dict]] = {
    "Llama": ("LlamaConfig", _ROTARY),
    "Mistral with a window": ("MistralConfig", {**_ROTARY, "sliding_window": 24}),
    "Mixtral": ("MixtralConfig", {**_ROTARY, "num_local_experts": 4, "num_experts_per_tok": 2}),
    "Qwen2": ("Qwen2Config", _ROTARY),
    "Qwen2 with a window": (
        "Qwen2Config",
        {**_ROTARY, "use_sliding_window": True, "sliding_window": 24, "max_window_layers": 0},
    ),
    "Qwen3": ("Qwen3Config", {**_ROTARY, "head_dim": 8}),
    "Qwen3-MoE": ("Qwen3MoeConfig", {**_ROTARY, **_EXPERTS, "head_dim": 8}),
    "Phi": ("PhiConfig", {**_ROTARY, "num_key_value_heads": 4}),
    "Phi-3": ("Phi3Config", _ROTARY),
    "Phi-3 with LongRoPE": (
        "Phi3Config",
        {**_ROTARY, "rope_parameters": _LONG_ROPE, "original_max_position_embeddings": 64},
    ),
    "Gemma": ("GemmaConfig", {**_ROTARY, "head_dim": 8}),
    "Gemma 2": (
        "Gemma2Config",
        {
            **_ROTARY,
            "head_dim": 8,
            "attn_logit_softcapping": 5.0,
            "final_logit_softcapping": 30.0,
            "sliding_window": 24,
        },
    ),
    "Gemma 3": ("Gemma3TextConfig", {**_ROTARY, "head_dim": 8, "sliding_window": 24, "num_hidden_layers": 6}),
    "Falcon with ALiBi": ("FalconConfig", {"alibi": True, "new_decoder_architecture": False}),
    "Falcon with rotary positions": (
        "FalconConfig",
        {"alibi": False, "new_decoder_architecture": True, "num_kv_heads": 2, "max_position_embeddings": 512},
    ),
    "MPT": ("MptConfig", {"d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 512}),
    "GPT-2": ("GPT2Config", {"n_positions": 512, "n_embd": 32, "n_layer": 2, "n_head": 4}),
    "GPT-Neo": (
        "GPTNeoConfig",
        {
            "num_layers": 2,
            "num_heads": 4,
            "attention_types": [[["global", "local"], 1]],
            "window_size": 24,
            "max_position_embeddings": 512,
        },
    ),
    "GPT-J": ("GPTJConfig", {"n_positions": 512, "n_embd": 32, "n_layer": 2, "n_head": 4, "rotary_dim": 4}),
    "GPT-NeoX": ("GPTNeoXConfig", {**_ROTARY}),
    "OPT": ("OPTConfig", {"ffn_dim": 64, "max_position_embeddings": 512, "word_embed_proj_dim": 32, "init_std": 0.3}),
    "BLOOM": ("BloomConfig", {"n_layer": 2, "n_head": 4}),
    "StableLM": ("StableLmConfig", _ROTARY),
    "StarCoder2": ("Starcoder2Config", {**_ROTARY, "sliding_window": 24}),
    "OLMo 2": ("Olmo2Config", _ROTARY),
    "Granite": (
        "GraniteConfig",
        {**_ROTARY, "logits_scaling": 2.0, "residual_multiplier": 0.5, "attention_multiplier": 0.3},
    ),
    "Cohere": ("CohereConfig", {**_ROTARY, "logit_scale": 0.5}),
    "SmolLM3": ("SmolLM3Config", _ROTARY),
    "DeepSeek-V2": (
        "DeepseekV2Config",
        {
            **_ROTARY,
            "num_key_value_heads": 4,
            "kv_lora_rank": 16,
            "q_lora_rank": None,
            "qk_nope_head_dim": 8,
            "qk_rope_head_dim": 8,
            "v_head_dim": 8,
            "n_routed_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 32,
            "n_group": 1,
            "topk_group": 1,
            "topk_method": "greedy",
            "first_k_dense_replace": 1,
        },
    ),
    "Mamba": ("MambaConfig", {"state_size": 4}),
}


def save_tiny(name: str, folder: Path, texts: Sequence[str], seed: int = 0) -> None:
    """The model called ``name`` in ``ARCHITECTURES``, and a tokenizer trained on ``texts``, in ``folder``."""
    import torch
    import transformers

    kind, own = ARCHITECTURES[name]
    config = getattr(transformers, kind)(**{**_COMMON, **own})
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(config)
    # Some start with zeros or very small weights, whatever the configuration says.
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, 0.2)
    model.save_pretrained(folder)
    save_tokenizer(folder, texts)


def save_tokenizer(folder: Path, texts: Sequence[str]) -> None:
    """Words' pieces by bytes; no chat template, so that prompts are written in the plain one."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    special = ["<pad>", "<s>", "</s>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=special, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(texts, trainer)
    names = dict(zip(("pad_token", "bos_token", "eos_token"), special, strict=True))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)


def changed_config(folder: Path, **changes) -> None:
    """Write ``changes`` into a saved model's configuration."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")
