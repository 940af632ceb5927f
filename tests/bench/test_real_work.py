"""A whole study on real weights and real questions: this process's engine, a vLLM, plain ``generate``, and the floor.

Two variables name what is not part of this project. ``TEXT_TO_SQL_BENCH_EXPERIMENT``: an experiment whose model and
data are here; ``TEXT_TO_SQL_BENCH_VLLM``: the command that starts vLLM in an environment of its own, such as
``/venv/bin/vllm``. Its first two configurations are trained, and each is asked at half strength as well.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.bench.test_engine import matrix_rate
from tests.bench.test_seconds_around import OWN
from trainer.machine.gpus import visible_gpus
from trainer.run import lora_run
from trainer.study.experiment import load_experiment
from trainer.study.settings import REPOSITORY

pytestmark = pytest.mark.bench

PORT = 8731
PLAINLY = 64  # questions that the slow peers are asked
HALF = 0.5


class Memory(threading.Thread):
    """The most memory of the first GPU in use while it runs, in GiB, of all processes."""

    def __init__(self):
        super().__init__(daemon=True)
        self.most, self.ended = 0.0, threading.Event()

    def run(self) -> None:
        command = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"]
        while shutil.which("nvidia-smi") and not self.ended.wait(0.5):
            said = subprocess.run(command, capture_output=True, text=True).stdout
            self.most = max(self.most, float(said or 0) / 1024)


@contextmanager
def memory_watched():
    watching = Memory()
    watching.start()
    try:
        yield watching
    finally:
        watching.ended.set()
        watching.join()


@pytest.fixture(scope="module")
def study():
    name = os.environ.get("TEXT_TO_SQL_BENCH_EXPERIMENT")
    if not name:
        pytest.skip("TEXT_TO_SQL_BENCH_EXPERIMENT names no experiment")
    return load_experiment(name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    given = os.environ.get("TEXT_TO_SQL_BENCH_FOLDER")
    return Path(given) if given else tmp_path_factory.mktemp("study")


@pytest.fixture(scope="module")
def adapters(study, folder) -> dict[str, Path]:
    """Folders of four adapters, by the names that a server is to know them by."""
    names = list(study.adapters)[:2]
    runs = {name: lora_run(study, name, results_dir=folder / "trained") for name in names}
    command = [sys.executable, "-m", "trainer", *names, f"--experiment={study.argument}"]
    if not all(run.output_dir.is_dir() for run in runs.values()):
        subprocess.run([*command, f"--results={folder / 'trained'}"], cwd=REPOSITORY, check=True)
    made = {}
    for name, run in runs.items():
        whole = made[f"{name}-whole"] = folder / f"{name}-whole"
        shutil.copytree(run.output_dir, whole, dirs_exist_ok=True)
        made[f"{name}-half"] = halved(whole, folder / f"{name}-half")
    return made


def halved(folder: Path, to: Path) -> Path:
    """A copy at half strength, in weights, since a server knows no scale."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(folder, to, dirs_exist_ok=True)
    (to / "run.json").unlink(missing_ok=True)
    weights = load_file(to / "adapter_model.safetensors")
    scaled = {name: one * HALF if ".lora_B" in name else one for name, one in weights.items()}
    save_file(scaled, to / "adapter_model.safetensors", metadata={"format": "pt"})
    return to


def asked(study, folder: Path, adapters: dict[str, Path], name: str, *arguments: str) -> dict:
    """One command on base and ``adapters``: its seconds, those in which answers are waited for, what was right."""
    probe = folder / "probe"
    probe.mkdir(exist_ok=True)
    (probe / "own.py").write_text(OWN)
    results = folder / f"results-{name}"
    shutil.rmtree(results, ignore_errors=True)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "own", "-m", "spider or mmlu", "--check-batches=0"]
    command += [f"--experiment={study.argument}", f"--results={results}", *arguments]
    command += [f"--adapter=base,{','.join(map(str, adapters.values()))}"]
    paths = [str(probe), *filter(None, [os.environ.get("PYTHONPATH")])]
    own = {"PYTHONPATH": os.pathsep.join(paths), "SPENT": str(probe / name)}
    with memory_watched() as memory:
        began = time.perf_counter()
        ended = subprocess.run(command, cwd=REPOSITORY, env=os.environ | own, capture_output=True, text=True)
        whole = time.perf_counter() - began
    (folder / f"{name}.log").write_text(ended.stdout + ended.stderr)
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    with (results / study.name / "scores.jsonl").open(encoding="utf-8") as lines:
        scores = list(map(json.loads, lines))
    return {
        "whole": whole,
        "answering": float((probe / name).read_text()),
        "memory": memory.most,
        "replies": {(row["adapter"], row["question"]): row.get("reply", row.get("chosen")) for row in scores},
    }


def show(capsys, name: str, start: float, found: dict) -> None:
    count = len(found["replies"])
    with capsys.disabled():
        print(f"\n{name:8} {start + found['whole']:6.0f} s for {count:,} answers", end=": ")
        print(f"{start:.0f} s until it is up, {found['whole']:.0f} s the command", end=", of it ")
        print(f"{found['answering']:.0f} s of answering ({count / found['answering']:.0f}/s)", end="; ")
        print(f"{found['memory']:.0f} GiB of GPU memory")


@contextmanager
def vllm(model: str, dtype: str, adapters: dict[str, Path], folder: Path, *arguments: str):
    """A vLLM with base and ``adapters``; gives the seconds until it is up."""
    import httpx2

    command = [*shlex.split(os.environ["TEXT_TO_SQL_BENCH_VLLM"]), "serve", model, "--served-model-name", model]
    command += ["--port", str(PORT), "--dtype", dtype, "--max-model-len", "4096", "--max-logprobs", "20"]
    if adapters:
        command += ["--enable-lora", "--max-lora-rank", "64", "--max-loras", str(len(adapters)), "--lora-modules"]
        command += [f"{name}={path}" for name, path in adapters.items()]
    began = time.perf_counter()
    # Its own environment, without the one that this process runs in.
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with (folder / "vllm.log").open("w") as log:
        process = subprocess.Popen([*command, *arguments], stdout=log, stderr=subprocess.STDOUT, env=own)
        try:
            while True:
                assert process.poll() is None, (folder / "vllm.log").read_text()[-3000:]
                try:
                    if httpx2.get(f"http://localhost:{PORT}/v1/models").status_code == 200:
                        break
                except httpx2.TransportError:
                    pass
                time.sleep(0.5)
            yield time.perf_counter() - began
        finally:
            process.terminate()
            process.wait(60)


def test_whole_study(study, folder, adapters, capsys):
    """Base and four adapters, Spider dev and MMLU: from nothing but weights to the table, with nothing kept before."""
    ours = asked(study, folder, adapters, "ours")
    show(capsys, "ours", 0.0, ours)
    if "TEXT_TO_SQL_BENCH_VLLM" not in os.environ:
        return
    with vllm(study.base_model.id, study.base_model.dtype, adapters, folder) as start:
        theirs = asked(study, folder, adapters, "vllm", f"--engine=http://localhost:{PORT}/v1")
    show(capsys, "vLLM", start, theirs)
    differ = sum(theirs["replies"][key] != reply for key, reply in ours["replies"].items())
    with capsys.disabled():
        print(f"ours in {ours['whole'] / (start + theirs['whole']):.0%} of vLLM's time; {differ} answers differ")


def test_cost_grows(study, folder, adapters, capsys):
    """One, two, four, eight adapters (some are copies), 150, 1,500, 14,042 questions of MMLU; one GPU, and two."""
    for count in (1, 2, 4, 8):
        some = {f"a{n}": list(adapters.values())[n % 4] for n in range(count)}
        some = {name: shutil.copytree(path, folder / "many" / name, dirs_exist_ok=True) for name, path in some.items()}
        show(capsys, f"{count} + base", 0.0, asked(study, folder, some, "grown"))
    for each in ("50", "500", "all"):
        wanted = ["--mmlu-subjects=stem,humanities,social_sciences,other" if each == "all" else "--mmlu-subjects=all"]
        wanted += [f"--mmlu-per-category={each}", "-m", "mmlu"]
        show(capsys, f"{each} a category", 0.0, asked(study, folder, {}, "grown", *wanted))
    if len(visible_gpus()) > 1:
        four = {name: folder / "many" / name for name in ("a0", "a1", "a2", "a3")}
        show(capsys, "4 + base, two GPUs", 0.0, asked(study, folder, four, "grown", "-n", "2"))
        show(capsys, "all, two GPUs", 0.0, asked(study, folder, {}, "grown", *wanted, "-n", "2"))


def test_steady_state(study, folder, adapters, capsys):
    """Replies to Spider dev, once the model is there: all of them, and some by ``generate`` and ``generate_batch``."""
    import torch

    from fixtures.adapters.adapter import Adapter
    from fixtures.engines.grouped_attention import set_attention
    from fixtures.engines.plain_path import transformers_model
    from fixtures.engines.transformers_engine import TransformersEngine
    from fixtures.questions.spider.suite import SPIDER

    engine = TransformersEngine(study.base_model)
    questions = SPIDER.open(study, dict.fromkeys(SPIDER.options))
    most, floors = study.spider.max_new_tokens, matrix_rate()
    parameters = sum(p.numel() for n, p in engine.models.base.named_parameters() if "embed" not in n)
    tuned = Adapter("tuned", "tuned", "folder", folder=next(iter(adapters.values())))
    for adapter in (Adapter("base", "base", "base"), tuned):
        prompts = questions.prompts(questions.all, adapter.tuned)
        torch.cuda.reset_peak_memory_stats()
        began = time.perf_counter()
        found = dict(engine.generate(prompts, adapter, max_new_tokens=most))
        took = time.perf_counter() - began
        ids = engine.encoder.prompts(prompts)
        told = len({tuple(one[:200]) for one in ids})
        floor = 2 * parameters * sum(map(len, ids)) / floors
        peak = torch.cuda.max_memory_allocated() / 2**30
        with capsys.disabled():
            print(
                f"\n{adapter.slug}: {len(prompts) / took:.1f} replies/s, {peak:.1f} GiB; every prompt token read",
                end=" ",
            )
            print(f"{len(prompts) / floor:.0f}/s; {told} beginnings; {engine.path.checked(adapter)}")
        some = list(range(0, len(prompts), len(prompts) // PLAINLY))[:PLAINLY]
        for name, peer in (("generate", generated), ("generate_batch", generated_batch)):
            began = time.perf_counter()
            with engine.models.active(adapter, plain=True) as model, torch.no_grad():
                set_attention(transformers_model(model), "sdpa")
                texts = peer(model, engine.tokenizer, [ids[n] for n in some], engine._ends.tolist(), most)
            took = time.perf_counter() - began
            differ = sum(text != found[n]["reply"] for n, text in zip(some, texts, strict=True))
            with capsys.disabled():
                print(f"  {name}: {PLAINLY / took:.1f}/s, {differ} of {PLAINLY} replies differ from ours")


def generated(model, tokenizer, prompts: list[list[int]], ends: list[int], most: int) -> list[str]:
    """Plain ``generate``, all together, padded on the left."""
    import torch

    width, pad = max(map(len, prompts)), ends[0]
    ids = torch.tensor([[pad] * (width - len(one)) + one for one in prompts], device=model.device)
    mask = torch.tensor([[0] * (width - len(one)) + [1] * len(one) for one in prompts], device=model.device)
    given = {"max_new_tokens": most, "do_sample": False, "eos_token_id": ends, "pad_token_id": pad}
    said = model.generate(input_ids=ids, attention_mask=mask, **given)[:, width:]
    return [text.strip() for text in tokenizer.batch_decode(said, skip_special_tokens=True)]


def generated_batch(model, tokenizer, prompts: list[list[int]], ends: list[int], most: int) -> list[str]:
    """Transformers' continuous batching."""
    from transformers import GenerationConfig

    config = GenerationConfig(max_new_tokens=most, do_sample=False, eos_token_id=ends, pad_token_id=ends[0])
    said = model.generate_batch(inputs=prompts, generation_config=config)
    tokens = [one.generated_tokens for one in said.values()]
    return [text.strip() for text in tokenizer.batch_decode(tokens, skip_special_tokens=True)]
