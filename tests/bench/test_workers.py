"""How much faster two workers answer than one: the command that people run, on two GPUs, or else on two CPU workers.

On GPUs the model has Llama 3 8B's shape and random weights: speed does not depend on what weights say.
"""

import json
import os
import random
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.bench.llama_3_8b import LLAMA_3_8B
from trainer.machine.gpus import visible_gpus
from trainer.study.experiment import EXPERIMENTS
from trainer.study.settings import REPOSITORY

pytestmark = pytest.mark.bench

MINIATURE = REPOSITORY / "fixtures" / "miniature"
SMALL = LLAMA_3_8B | {"hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 8, "num_attention_heads": 8}
SMALL |= {"vocab_size": 8192, "num_key_value_heads": 4}

# In each worker: when the engine was loaded and when the last question was scored. Workers wait for each other in
# between, so that the slower loading of one does not count as answering.
PROBE = """
import json, pathlib, time
import pytest

FOLDER = pathlib.Path(__file__).parent
times = {}

@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef, request):
    started = time.time()
    result = yield
    if fixturedef.argname == "engine":
        times["loading"] = time.time() - started
        worker = request.config.workerinput
        (FOLDER / f"{worker['workerid']}.ready").touch()
        while len(list(FOLDER.glob("*.ready"))) < worker["workercount"] and time.time() - started < 300:
            time.sleep(0.01)
        times["began"] = time.time()
    return result

def pytest_runtest_logreport(report):
    if report.when == "call":
        times["ended"] = time.time()

def pytest_sessionfinish(session):
    if hasattr(session.config, "workerinput"):
        (FOLDER / f"{session.config.workerinput['workerid']}.json").write_text(json.dumps(times))
"""


@dataclass(frozen=True)
class Study:
    """What is asked of which model, and where."""

    shape: dict
    questions: int
    memory_gb: int
    device: str


@pytest.fixture(scope="module")
def study() -> Study:
    """2,048 questions to an 8B model on two GPUs; 64 to a small one where there are fewer."""
    if len(visible_gpus()) >= 2:
        return Study(LLAMA_3_8B, 2048, 18, "GPU")
    return Study(SMALL, 64, 0, "CPU")


def save_model(folder: Path, study: Study) -> None:
    """Random weights in bfloat16 on a GPU, in float32 elsewhere, with the miniature's tokenizer; no text ends early."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    on_gpu, default = study.device == "GPU", torch.get_default_dtype()
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16 if on_gpu else torch.float32)
    with torch.device("cuda" if on_gpu else "cpu"):
        model = LlamaForCausalLM(LlamaConfig(**study.shape, tie_word_embeddings=False))
    torch.set_default_dtype(default)
    model.generation_config.eos_token_id = None
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(MINIATURE / "model").save_pretrained(folder)
    del model
    torch.cuda.empty_cache()


def save_spider(folder: Path, questions: int) -> None:
    """The miniature's Spider with so many questions, of up to 400 words more than they need."""
    folder.mkdir()
    for name in ("database", "tables.json", "train_spider.json"):
        (folder / name).symlink_to(MINIATURE / "spider" / name)
    dev = json.loads((MINIATURE / "spider" / "dev.json").read_text())
    rng, words = random.Random(0), ["name", "country", "the", "year", "of", "total", "age", "which", "many", "find"]
    longer = []
    for number in range(questions):
        entry = dev[number % len(dev)]
        padding = " ".join(rng.choices(words, k=rng.randint(50, 400)))
        longer.append(entry | {"question": f"{padding} {number} {entry['question']}"})
    (folder / "dev.json").write_text(json.dumps(longer))


@pytest.fixture(scope="module")
def experiment(study, tmp_path_factory) -> Path:
    """The study as an experiment: model, questions, and 48 new tokens a reply."""
    folder = tmp_path_factory.mktemp("study")
    save_model(folder / "model", study)
    save_spider(folder / "spider", study.questions)
    text = (EXPERIMENTS / "miniature.toml").read_text()
    dtype = "bfloat16" if study.device == "GPU" else "float32"
    model = f'[base_model]\nid = "{folder}/model"\ndtype = "{dtype}"\nmemory_gb = {study.memory_gb}\n\n'
    text = re.sub(r"\[base_model\].*?\n\n", model, text, flags=re.DOTALL)
    text = text.replace("fixtures/miniature/spider", f"{folder}/spider").replace("new_tokens = 96", "new_tokens = 48")
    (folder / "workers.toml").write_text(text)
    return folder / "workers.toml"


def times(experiment: Path, folder: Path, workers: int, *arguments: str) -> list[dict]:
    """Of every worker, in seconds: ``loading``, and when it ``began`` and ``ended`` to answer."""
    folder.mkdir()
    (folder / "probe.py").write_text(PROBE)
    command = [sys.executable, "-m", "pytest", "-p", "probe", "-m", "spider", "--adapter=base", "-n", str(workers)]
    command += [f"--experiment={experiment}", f"--results={folder}/results", "-q"]
    # What is asked again alone is no part of answering.
    command += ["--check-batches=0", *arguments]
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    result = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return [json.loads(path.read_text()) for path in sorted(folder.glob("gw*.json"))]


def test_two_workers_against_one(study, experiment, tmp_path, capsys):
    if study.device == "GPU":
        # Kernels that are compiled when first used stay on disk.
        times(experiment, tmp_path / "first", 2, "--max-samples=32")
    seconds = {}
    for workers in (1, 2):
        found = times(experiment, tmp_path / str(workers), workers)
        seconds[workers] = max(one["ended"] for one in found) - min(one["began"] for one in found)
        loading = max(one["loading"] for one in found)
        own = ", ".join(f"{one['ended'] - one['began']:.1f} s" for one in found)
        with capsys.disabled():
            print(
                f"\n{workers} {study.device} worker(s): {study.questions} questions in {seconds[workers]:.1f} s "
                f"({study.questions / seconds[workers]:.1f}/s; each {own}), beside {loading:.1f} s of loading"
            )
    with capsys.disabled():
        print(f"two workers against one: {seconds[1] / seconds[2]:.2f} times as fast")
