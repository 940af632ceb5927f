"""The experiments that come with the suite: pinned, alike, and dry-run on the shapes of the published models."""

import re

import pytest

from tests.published_models import PUBLISHED, save_outline
from tests.tiny_training import SPIDER
from trainer.run import lora_run
from trainer.study.experiment import EXPERIMENTS, load_experiment, shipped_experiments

GIB = 2**30
WIDTH = 2  # bytes of a weight in bfloat16
NF4 = 0.516  # bytes of one in 4 bits, with its scales (arXiv 2305.14314, section 3)
# Where an experiment differs from the others: Mistral's rate is its own, a laptop trains for minutes, and those of the
# shipped studies stay what was run.
FEW_STEPS = {"learning_rate", "epochs", "warmup_steps"}
STUDIES = ("qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b")
APART = {"mistral-7b": {"learning_rate"}, "smollm2-135m": FEW_STEPS} | dict.fromkeys(STUDIES, FEW_STEPS)


@pytest.fixture(scope="module", params=sorted(PUBLISHED))
def outlined(request, tmp_path_factory):
    """``(name, file)``: the experiment as it is shipped, but for its model, which is a folder without weights."""
    folder = tmp_path_factory.mktemp("models") / request.param
    save_outline(request.param, folder)
    text = (EXPERIMENTS / f"{request.param}.toml").read_text()
    text = re.sub('^id = ".*"', f'id = "{folder}"', text, flags=re.MULTILINE)
    text = re.sub('^revision = ".*"', "", text, flags=re.MULTILINE)
    path = tmp_path_factory.mktemp("experiments") / f"{request.param}.toml"
    path.write_text(text.replace("data/spider_data.zip", SPIDER).replace('dtype = "auto"', 'dtype = "bfloat16"'))
    return request.param, path


def test_all_are_tried_here():
    assert sorted([*PUBLISHED, "miniature"]) == shipped_experiments()


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_each_is_pinned_and_compares_the_same(name):
    """What differs between two models' results is then the model."""
    experiment, main = load_experiment(name), load_experiment("llama-3-8b")
    assert re.fullmatch(r"[0-9a-f]{40}", experiment.base_model.revision)
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", experiment.base_model.id)
    mmlu = experiment.mmlu.model_copy(update={"margin": main.mmlu.margin}) if name in STUDIES else experiment.mmlu
    assert (experiment.spider, mmlu, experiment.seed) == (main.spider, main.mmlu, main.seed)
    for cfg in ("cfg1", "cfg2", "cfg3", "cfg4"):
        settings, theirs = experiment.adapters[cfg], main.adapters[cfg]
        apart = {"target_modules", *APART.get(name, ())}
        assert settings.model_dump(exclude=apart) == theirs.model_dump(exclude=apart)


def test_what_a_laptop_trains_are_few_steps():
    adapters = load_experiment("smollm2-135m").adapters
    assert all(6_921 * one.epochs / one.batch_size < 33 for one in adapters.values())
    assert adapters["cfg3"].model_copy(update={"replay": None}) == adapters["cfg1"]


def test_memory_gb_holds_the_weights_and_little_more():
    for name, (_, _, _, parameters) in PUBLISHED.items():
        needed = load_experiment(name).base_model.memory_gb
        if needed:
            assert parameters * WIDTH / 1e9 < needed < 1.35 * parameters * WIDTH / 1e9, name


def counted(run) -> tuple[int, int, int]:
    """Parameters of the base model, of its linear layers but the head, and of the adapter as PEFT makes it."""
    import torch
    from peft import LoraConfig, get_peft_model

    from trainer.study.base_model import load_skeleton

    skeleton = load_skeleton(run.base_model)
    head = skeleton.get_output_embeddings()
    linear = [m.weight.numel() for m in skeleton.modules() if isinstance(m, torch.nn.Linear) and m is not head]
    base = sum(weight.numel() for weight in skeleton.parameters())
    targets = run.settings.target_modules
    targets = targets if isinstance(targets, str) else list(targets)
    with torch.device("meta"):
        settings = LoraConfig(r=run.settings.rank, target_modules=targets, task_type="CAUSAL_LM")
        tuned = get_peft_model(skeleton, settings)
    return base, sum(linear), sum(weight.numel() for weight in tuned.parameters() if weight.requires_grad)


@pytest.mark.slow
def test_the_memory_of_a_dry_run_is_that_of_what_is_held(outlined, tmp_path, capsys, monkeypatch):
    """Weights, and 16 bytes a trained one (its value, gradient, Adam's moments), plus activations of a row's tokens."""
    from trainer.__main__ import main
    from trainer.training import trial

    monkeypatch.setattr(trial, "trial_seconds", lambda *_: 100.0)
    name, path = outlined
    experiment = load_experiment(str(path))
    adapters = [adapter for adapter in ("cfg1", "qlora1") if adapter in experiment.adapters]
    arguments = [f"--experiment={path}", f"--results={tmp_path}", "--max-train-samples=32", "--dry-run"]
    assert main([*adapters, *arguments]) == 0
    told = re.findall(r"memory: about ([\d.]+) GiB", capsys.readouterr().out)
    for adapter, said in zip(adapters, told, strict=True):
        run = lora_run(experiment, adapter, results_dir=tmp_path)
        base, linear, trained = counted(run)
        assert base == PUBLISHED[name][3]
        held = base * WIDTH + trained * 16
        if run.quantisation == "nf4":
            held = (base - linear) * WIDTH + linear * NF4 + trained * 8
        layers, hidden = PUBLISHED[name][1]["num_hidden_layers"], PUBLISHED[name][1]["hidden_size"]
        # Of 16 questions of at most 1,000 tokens, of which 100 are SQL: 60 hidden widths a layer, 14 bytes a word.
        activations = 16 * (1000 * layers * hidden * 60 * WIDTH + 100 * PUBLISHED[name][1]["vocab_size"] * 14)
        assert held * 0.99 < float(said) * GIB + 0.05 * GIB, adapter
        assert float(said) * GIB < held + activations, adapter


def test_qwen3_is_asked_without_thoughts(tmp_path):
    from trainer.prompts import Message, Prompt
    from trainer.rows.batches import write_solved
    from trainer.rows.texts import TrainingText
    from trainer.study.base_model import load_end_tokens, load_tokenizer

    save_outline("qwen3-8b", tmp_path)
    base = load_experiment("qwen3-8b").base_model.model_copy(update={"id": str(tmp_path), "revision": ""})
    tokenizer = load_tokenizer(base)
    asked = [{"role": "user", "content": "How many?"}]
    prompt = tokenizer.apply_chat_template(asked, add_generation_prompt=True, tokenize=False)
    assert prompt.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    text = TrainingText("a", "a", Prompt((Message("user", "How many?"),)), "SELECT 1")
    assert write_solved([text], tokenizer) == [(prompt, f"{prompt}SELECT 1<|im_end|>\n")]
    assert load_end_tokens(base, tokenizer) == [tokenizer.convert_tokens_to_ids("<|im_end|>")]
