"""What replay and the divergence are for: a model that is trained on SQL stays nearer to its base on other text.

On the miniature's model, in eight steps at a rate at which it forgets.
"""

import json
from pathlib import Path

import pytest

from trainer.study.settings import BaseModelSettings, ReplaySettings

MODEL = "fixtures/miniature/model"
EXPERIMENT = """
[base_model]
id = "{model}"
dtype = "float32"
[spider]
source = "fixtures/miniature/spider"
[mmlu]
source = "fixtures/miniature/mmlu"
subjects = ["stem"]
per_category = 5
"""
CONFIGURATION = """
[adapters.{name}]
rank = 8
alpha = 16
target_modules = "all-linear"
learning_rate = 6e-3
scheduler = "constant"
epochs = 1
batch_size = 4
"""
REPLAY = '[adapters.{name}.replay]\nshare = 0.2\nsource = "{source}"\n'
CONFIGURATIONS = {
    "plain": "",
    "replayed": REPLAY,
    "held": f"kl_weight = 2.0\n{REPLAY}",
    "held-on-sql": 'kl_weight = 0.5\nkl_on = "all"\n',
}


@pytest.fixture(scope="module")
def base():
    from trainer.study.base_model import load_model, load_tokenizer

    settings = BaseModelSettings(id=MODEL, dtype="float32")
    return load_model(settings, quantisation="none"), load_tokenizer(settings)


@pytest.fixture(scope="module")
def replies(base, tmp_path_factory):
    """What the base model says: half of it as a file for training, half held back as tokens."""
    from trainer.replay.mixing import tokenise_replay
    from trainer.replay.own_replies import read_replies, write_replies

    folder = tmp_path_factory.mktemp("replies")
    asked = [line for line in Path("trainer/replay/prompts.jsonl").read_text().splitlines() if line][::6]
    (folder / "asked.jsonl").write_text("\n".join(asked))
    replay = ReplaySettings(prompts=str(folder / "asked.jsonl"), max_new_tokens=24)
    model, tokenizer = base
    write_replies(folder / "own.jsonl", replay, model, tokenizer, [tokenizer.eos_token_id])
    texts = read_replies(folder / "own.jsonl", replay)
    rows = [{"prompt": text.prompt.messages[0].content, "completion": text.completion} for text in texts[::2]]
    (folder / "general.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder / "general.jsonl", tokenise_replay(texts[1::2], tokenizer)


@pytest.fixture(scope="module")
def drift(base, replies, tmp_path_factory):
    """How far each tuned model has moved on what was held back, in nats a token."""
    from peft import PeftModel

    from trainer.__main__ import main

    source, held_back = replies
    folder = tmp_path_factory.mktemp("less-forgetting")
    sections = [f"{CONFIGURATION}{more}".format(name=name, source=source) for name, more in CONFIGURATIONS.items()]
    (folder / "small.toml").write_text("".join([EXPERIMENT.format(model=MODEL), *sections]))
    arguments = ["--experiment", str(folder / "small.toml"), "--results", str(folder), "--max-train-samples", "32"]
    assert main(arguments) == 0
    found = {}
    for name in CONFIGURATIONS:
        adapter = folder / "small" / "adapters" / f"{name}-seed42-n32"
        tuned = PeftModel.from_pretrained(base[0], adapter)
        loss = json.loads((adapter / "run.json").read_text())["training"]["loss"]
        assert min(loss) < loss[0] / 2, f"{name} has not learnt SQL"
        found[name] = moved(tuned, held_back)
        tuned.unload()
    return found


def moved(tuned, texts) -> float:
    """KL(base || tuned) of every token of the replies, on average."""
    import torch
    from torch.nn.functional import kl_div

    total = count = 0
    with torch.no_grad():
        for text in texts:
            ids, places = torch.tensor([text.tokens]), slice(text.prompt_length - 1, -1)
            after = tuned(ids).logits[0, places].log_softmax(-1)
            with tuned.disable_adapter():
                before = tuned(ids).logits[0, places].log_softmax(-1)
            total += kl_div(after, before, log_target=True, reduction="sum").item()
            count += len(after)
    return total / count


def test_replay_keeps_a_model_nearer_to_its_base(drift):
    assert drift["replayed"] < drift["plain"] / 2


def test_the_divergence_keeps_it_nearer_still(drift):
    assert drift["held"] < drift["replayed"] * 0.8


def test_on_sql_alone_the_divergence_holds_other_text_too(drift):
    assert drift["held-on-sql"] < drift["plain"] / 2
