"""A small Llama as its authors publish it and as llama.cpp writes it into a GGUF file, weights in 8 bits."""

import json
from pathlib import Path

BEGIN, END, PAD, OWN = "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<think>"
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TEXTS = [
    "SELECT name, count(*) FROM singer WHERE year > 1980 AND age >= 25 GROUP BY country",
    "CREATE TABLE singer (\n  singer_id NUMBER,\n  name TEXT\n)\n\nQuestion: how many   1234567 singers, in 2024?",
    "don't we'll 3.14159 \t x\u00e9 e\u0301 ('it''s')",
]
_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_WHOLE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


def save_published(folder: Path, cut: str) -> None:
    """Model and tokenizer as their authors publish them; ``cut`` is llama.cpp's name for the way text is cut.

    Weights are those that 8 bits hold.
    """
    import torch
    from gguf import GGMLQuantizationType, dequantize, quantize
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = _tokenizer(cut)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.2,
    )
    model = LlamaForCausalLM(config)
    eight = GGMLQuantizationType.Q8_0
    for weight in model.parameters():
        if weight.ndim > 1:
            weight.data = torch.from_numpy(dequantize(quantize(weight.detach().numpy(), eight), eight))
    model.save_pretrained(folder)


def save_gguf(published: Path, path: Path, *, tensors: dict | None = None, **values) -> None:
    """What llama.cpp's converter makes of ``published``, with ``tensors`` more.

    ``values`` of the header differ; dots in their names are written ``__``.
    """
    import numpy as np
    from gguf import GGMLQuantizationType, GGUFWriter, quantize
    from transformers import AutoTokenizer, LlamaForCausalLM

    model, tokenizer = LlamaForCausalLM.from_pretrained(published), AutoTokenizer.from_pretrained(published)
    header = _header(model.config, tokenizer) | {name.replace("__", "."): value for name, value in values.items()}
    writer = GGUFWriter(path, header.pop("general.architecture"))
    for name, value in header.items():
        add = {bool: writer.add_bool, str: writer.add_string, float: writer.add_float32, list: writer.add_array}
        add.get(type(value), writer.add_uint32)(name, value)
    weights = {name: weight.detach().numpy() for name, weight in model.state_dict().items()}
    named = {f"{ours}.weight": theirs for ours, theirs in _WHOLE.items()}
    for layer in range(model.config.num_hidden_layers):
        named |= {f"blk.{layer}.{ours}.weight": f"model.layers.{layer}.{theirs}" for ours, theirs in _LAYER.items()}
    found = {ours: weights[f"{theirs}.weight"] for ours, theirs in named.items()} | (tensors or {})
    for name, weight in found.items():
        heads = {"attn_q": 4, "attn_k": 2}.get(name.split(".")[-2])
        if heads and weight.ndim > 1:  # llama.cpp turns the halves of a head that rotate together into neighbours
            weight = weight.reshape(heads, 2, -1, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)
        eight = GGMLQuantizationType.Q8_0
        if weight.ndim > 1:
            writer.add_tensor(name, quantize(np.ascontiguousarray(weight), eight), raw_dtype=eight)
        else:
            writer.add_tensor(name, weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _header(config, tokenizer) -> dict:
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    tokens = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    kinds = {BEGIN: 3, END: 3, PAD: 3, OWN: 4}
    return {
        "general.architecture": "llama",
        "general.type": "model",
        "general.file_type": 7,
        "llama.block_count": config.num_hidden_layers,
        "llama.context_length": config.max_position_embeddings,
        "llama.embedding_length": config.hidden_size,
        "llama.feed_forward_length": config.intermediate_size,
        "llama.attention.head_count": config.num_attention_heads,
        "llama.attention.head_count_kv": config.num_key_value_heads,
        "llama.attention.layer_norm_rms_epsilon": config.rms_norm_eps,
        "llama.rope.freq_base": 10000.0,
        "llama.rope.dimension_count": 16,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [kinds.get(token, 1) for token in tokens],
        "tokenizer.ggml.merges": [" ".join(pair) for pair in model["merges"]],
        "tokenizer.ggml.bos_token_id": tokenizer.bos_token_id,
        "tokenizer.ggml.eos_token_id": tokenizer.eos_token_id,
        "tokenizer.ggml.padding_token_id": tokenizer.pad_token_id,
        "tokenizer.chat_template": tokenizer.chat_template,
    }


def _tokenizer(cut: str):
    """Trained on ``TEXTS`` without any cut, so that every other way of cutting would give other tokens."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, processors, trainers
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence, Split
    from transformers import PreTrainedTokenizerFast

    words = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+"
    signs = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    cuts = {
        "smollm": [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)],
        "gpt-2": [ByteLevel(add_prefix_space=False)],
        "qwen2": [Split(Regex(rf"{words}|\p{{N}}|{signs}"), "isolated"), ByteLevel(False, use_regex=False)],
        "llama-bpe": [Split(Regex(rf"{words}|\p{{N}}{{1,3}}|{signs}"), "isolated"), ByteLevel(False, use_regex=False)],
    }
    tokenizer = Tokenizer(models.BPE(ignore_merges=cut == "llama-bpe"))
    tokenizer.pre_tokenizer, tokenizer.decoder = ByteLevel(False, use_regex=False), decoders.ByteLevel()
    special = [PAD, BEGIN, END]
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=special, initial_alphabet=ByteLevel.alphabet())
    tokenizer.train_from_iterator(TEXTS * 3, trainer)
    tokenizer.add_tokens([AddedToken(OWN, normalized=False, special=False)])
    tokenizer.pre_tokenizer = Sequence(cuts[cut])
    if cut == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    if cut == "llama-bpe":
        number = tokenizer.token_to_id(BEGIN)
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{BEGIN}:0 $A:0", pair=f"{BEGIN}:0 $A:0 $B:1", special_tokens=[(BEGIN, number)]
        )
    names = {"bos_token": BEGIN, "eos_token": END, "pad_token": PAD}
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)
    made.chat_template = TEMPLATE
    return made
