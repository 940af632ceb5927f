"""A training that takes a second: a random model, an experiment with two configurations, and what to look at."""

import json
from pathlib import Path

SPIDER = "fixtures/miniature/spider"
SAMPLES = 8

EXPERIMENT = """
seed = 42
[base_model]
id = "{model}"
dtype = "float32"
[spider]
source = "{spider}"
[mmlu]
source = "unused"
[adapters.cfg1]
rank = 2
alpha = 4
dropout = 0.1
target_modules = ["q_proj", "down_proj"]
learning_rate = 1e-2
epochs = 2
batch_size = 8
micro_batch_size = 4
[adapters.cfg2]
rank = 4
alpha = 4
target_modules = "all-linear"
learning_rate = 1e-2
epochs = 2
batch_size = 8
"""


def save_base_model(folder: Path) -> None:
    """A random Llama of two layers with grouped-query attention, its tokenizer and chat template."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from fixtures.miniature.tokenizer import train_tokenizer
    from trainer.rows.texts import training_texts
    from trainer.spider.folder import open_spider

    texts = [text.prompt.messages[0].content for text in training_texts(open_spider(SPIDER), 42, 40)]
    tokenizer = train_tokenizer([*texts, *(f"Answer: {letter}" for letter in "ABCD" * 50)])
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def record_of(adapter: Path) -> dict:
    return json.loads((adapter / "run.json").read_text())


def changed(experiment_file: Path, tmp_path: Path, old: str, new: str) -> Path:
    """The experiment with one setting changed."""
    assert old in experiment_file.read_text()
    path = tmp_path / "tiny.toml"
    path.write_text(experiment_file.read_text().replace(old, new, 1))
    return path
