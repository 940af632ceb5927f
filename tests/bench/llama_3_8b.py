"""The shape of Llama 3 8B (its config.json on the Hub), for models with random weights."""

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
