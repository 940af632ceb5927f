"""The models of the shipped experiments by the numbers of their config.json, with random weights never drawn.

Tokenizers are small ones of this project's; templates have the marks and switches of the published ones.
"""

from pathlib import Path

_QWEN2 = {"num_key_value_heads": 4, "max_position_embeddings": 32768, "rms_norm_eps": 1e-6}
_CODER = {**_QWEN2, "num_key_value_heads": 2, "vocab_size": 151936, "tie_word_embeddings": True}
_SEVEN = {
    **_QWEN2,
    "vocab_size": 152064,
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
}
_LLAMA3 = {
    "vocab_size": 128256,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
}
_SCALED = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
# By experiment: the configuration's class and numbers, the template, and the parameters that its page counts.
PUBLISHED: dict[str, tuple[str, dict, str, int]] = {
    "smollm2-135m": (
        "LlamaConfig",
        {
            "vocab_size": 49152,
            "hidden_size": 576,
            "intermediate_size": 1536,
            "num_hidden_layers": 30,
            "num_attention_heads": 9,
            "num_key_value_heads": 3,
            "max_position_embeddings": 8192,
            "tie_word_embeddings": True,
        },
        "chatml",
        134_515_008,
    ),
    "qwen2.5-coder-0.5b": (
        "Qwen2Config",
        {**_CODER, "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14},
        "chatml",
        494_032_768,
    ),
    "qwen2.5-coder-1.5b": (
        "Qwen2Config",
        {**_CODER, "hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28, "num_attention_heads": 12},
        "chatml",
        1_543_714_304,
    ),
    "qwen2.5-7b": ("Qwen2Config", _SEVEN, "chatml", 7_615_616_512),
    "qwen2.5-coder-7b": ("Qwen2Config", _SEVEN, "chatml", 7_615_616_512),
    "qwen3-8b": (
        "Qwen3Config",
        {
            "vocab_size": 151936,
            "hidden_size": 4096,
            "intermediate_size": 12288,
            "num_hidden_layers": 36,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "max_position_embeddings": 40960,
        },
        "thinking",
        8_190_735_360,
    ),
    "llama-3-8b": ("LlamaConfig", {**_LLAMA3, "max_position_embeddings": 8192}, "llama", 8_030_261_248),
    "llama-3.1-8b": (
        "LlamaConfig",
        {**_LLAMA3, "max_position_embeddings": 131072, "rope_parameters": _SCALED},
        "llama",
        8_030_261_248,
    ),
    "mistral-7b": (
        "MistralConfig",
        {**_LLAMA3, "vocab_size": 32000, "max_position_embeddings": 32768, "sliding_window": None},
        "inst",
        7_241_732_096,
    ),
    "open-llama-3b": (
        "LlamaConfig",
        {
            "vocab_size": 32000,
            "hidden_size": 3200,
            "intermediate_size": 8640,
            "num_hidden_layers": 26,
            "num_attention_heads": 32,
            "max_position_embeddings": 2048,
        },
        "",
        3_426_473_600,
    ),
}
_ENDS = {"chatml": "<|im_end|>", "thinking": "<|im_end|>", "llama": "<|eot_id|>", "inst": "</s>", "": "</s>"}
_MARKS = {
    "chatml": ["<|endoftext|>", "<|im_start|>"],
    "thinking": ["<|endoftext|>", "<|im_start|>", "<think>", "</think>"],
    "llama": ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>"],
    "inst": ["<s>", "[INST]", "[/INST]"],
    "": ["<s>"],
}
_TEMPLATES = {
    "chatml": (
        "{{- '<|im_start|>system\nYou are helpful.<|im_end|>\n' }}{%- for m in messages %}"
        "{{- '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{%- endfor %}"
        "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
    ),
    "thinking": (
        "{%- for m in messages %}{%- if m.role == 'assistant' %}"
        "{%- set said = m.content.split('</think>')[-1].lstrip('\n') %}"
        "{{- '<|im_start|>assistant\n' }}{%- if loop.last %}{{- '<think>\n\n</think>\n\n' }}{%- endif %}"
        "{{- said + '<|im_end|>\n' }}{%- else %}"
        "{{- '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{%- endif %}{%- endfor %}"
        "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}"
        "{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\n\n</think>\n\n' }}{%- endif %}"
        "{%- endif %}"
    ),
    "llama": (
        "{{- bos_token }}{%- for m in messages %}"
        "{{- '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n' + m.content | trim + '<|eot_id|>' }}{%- endfor %}"
        "{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{%- endif %}"
    ),
    "inst": (
        "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' + m.content + ' [/INST]' }}"
        "{% else %}{{ m.content + eos_token }}{% endif %}{% endfor %}"
    ),
    "": None,
}


def save_outline(experiment: str, folder: Path) -> None:
    """The configuration of the experiment's model, and a tokenizer, without weights, in ``folder``."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    from tests.tiny_gguf import TEXTS

    kind, numbers, template, _ = PUBLISHED[experiment]
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    marks = [*_MARKS[template], _ENDS[template]]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=2000, special_tokens=marks, initial_alphabet=alphabet)
    backend.train_from_iterator(TEXTS * 3, trainer)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token=marks[0], eos_token=marks[-1], pad_token=marks[0]
    )
    tokenizer.chat_template = _TEMPLATES[template]
    tokenizer.save_pretrained(folder)
    getattr(transformers, kind)(**numbers, eos_token_id=tokenizer.eos_token_id).save_pretrained(folder)
