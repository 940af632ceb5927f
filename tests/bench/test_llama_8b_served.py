"""Replies of an 8B model by a vLLM: the prompts and the lengths that ``test_replies_on_a_gpu`` asks this process for.

``TEXT_TO_SQL_BENCH_VLLM`` is the command that starts it, ``TEXT_TO_SQL_BENCH_EXPERIMENT`` an experiment whose
tokenizer has the prompts' tokens; see test_real_work.py. Run both in one command, for one card.
"""

import asyncio
import os
import time
from pathlib import Path

import pytest

from tests.bench.llama_3_8b import LLAMA_3_8B, QUESTIONS, like_spider
from tests.bench.test_real_work import PORT, memory_watched, vllm
from trainer.study.base_model import load_tokenizer
from trainer.study.experiment import load_experiment

pytestmark = pytest.mark.bench

MADE_UP = ("--load-format", "dummy", "--gpu-memory-utilization", "0.8")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """Configuration and tokenizer; the server makes the weights up."""
    from transformers import LlamaConfig

    if not {"TEXT_TO_SQL_BENCH_VLLM", "TEXT_TO_SQL_BENCH_EXPERIMENT"} <= set(os.environ):
        pytest.skip("no vLLM and experiment are named")
    folder = tmp_path_factory.mktemp("served") / "model"
    config = LlamaConfig(**LLAMA_3_8B, architectures=["LlamaForCausalLM"], tie_word_embeddings=False)
    config.save_pretrained(folder)
    load_tokenizer(load_experiment(os.environ["TEXT_TO_SQL_BENCH_EXPERIMENT"]).base_model).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def adapter(model) -> Path:
    """A LoRA of rank 16 on all linear layers, drawn at random; one of zeros would be a base."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        base = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(model))
    settings = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    tuned = get_peft_model(base, settings, low_cpu_mem_usage=True)
    weights = {
        name.replace(".default.", "."): torch.randn(one.shape, dtype=torch.bfloat16) * 0.01
        for name, one in tuned.named_parameters()
        if "lora_" in name
    }
    folder = model.parent / "adapter"
    settings.save_pretrained(folder)
    from safetensors.torch import save_file

    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    return folder


async def said(name: str, prompts: list[list[int]], lengths: list[int]) -> list[int]:
    """Tokens of the replies, all asked for at once; each is as long as it is to be."""
    import httpx2

    async with httpx2.AsyncClient(timeout=600, limits=httpx2.Limits(max_connections=QUESTIONS)) as client:

        async def one(prompt: list[int], length: int) -> int:
            wanted = {"model": name, "prompt": prompt, "max_tokens": length, "temperature": 0, "ignore_eos": True}
            found = await client.post(f"http://localhost:{PORT}/v1/completions", json=wanted)
            return found.raise_for_status().json()["usage"]["completion_tokens"]

        return await asyncio.gather(*map(one, prompts, lengths))


def test_replies_of_a_vllm(model, adapter, capsys):
    """512 questions: base and an adapter, the first time and again, when it has their prompts' key-values."""
    prompts, lengths = like_spider()
    dtype, adapters = "bfloat16", {"tuned": adapter}
    with memory_watched() as memory, vllm(str(model), dtype, adapters, model.parent, *MADE_UP) as start:
        for name in (str(model), "tuned"):
            # What is compiled when first used is no part of answering.
            asyncio.run(said(name, [prompt[::-1] for prompt in prompts[:32]], lengths[:32]))
            rates = []
            for _ in range(2):
                began = time.perf_counter()
                assert asyncio.run(said(name, prompts, lengths)) == lengths
                rates.append(QUESTIONS / (time.perf_counter() - began))
            with capsys.disabled():
                print(f"\nvLLM, {Path(name).name}: {rates[0]:.1f} questions/s, {rates[1]:.1f} when asked again")
    with capsys.disabled():
        print(f"{start:.0f} s until it is up, {memory.most:.0f} GiB of GPU memory")
