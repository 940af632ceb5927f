"""What a training is expected to take, and how it is fitted into a GPU. Measured by tests/bench/test_trainer.py."""

import dataclasses

import pytest

from trainer.rows.batches import TokenisedText
from trainer.run import lora_run
from trainer.study.experiment import ExperimentError, load_experiment
from trainer.training.memory import MemoryDemand, memory_demand
from trainer.training.passes import Passes, choose_passes

GIB = 2**30


def steps(questions: int, tokens: int) -> list[list[TokenisedText]]:
    """One step of questions on databases of their own."""
    return [[TokenisedText(str(n), str(n), [n] * tokens, tokens - 10) for n in range(questions)]]


def run_with(tmp_path, **settings):
    run = lora_run(load_experiment("llama-3-8b"), "cfg1", results_dir=tmp_path)
    return dataclasses.replace(run, settings=run.settings.model_copy(update=settings))


# A token takes 1 MiB, or 128 KiB where activations are computed again.
DEMAND = MemoryDemand(fixed=2 * GIB, token_kept=2**20, token_recomputed=2**17, label=0)


@pytest.mark.parametrize(
    ("budget_gib", "settings", "passes"),
    [
        pytest.param(None, {}, Passes(16, False), id="no GPU"),
        pytest.param(19, {}, Passes(16, False), id="all fits"),
        pytest.param(11, {}, Passes(8, False), id="half fits, and is faster than computing twice"),
        pytest.param(3.5, {}, Passes(8, True), id="little fits"),
        pytest.param(19, {"micro_batch_size": 4}, Passes(4, False), id="as asked"),
        pytest.param(19, {"gradient_checkpointing": True}, Passes(16, True), id="recomputing, as asked"),
    ],
)
def test_passes_fit_the_memory(tmp_path, budget_gib, settings, passes):
    budget = budget_gib and budget_gib * GIB
    found, peak = choose_passes(run_with(tmp_path, **settings), steps(16, 1000), DEMAND, budget)
    assert found == passes
    assert budget is None or peak <= budget


@pytest.mark.parametrize(
    ("budget_gib", "settings", "processes", "passes"),
    [
        pytest.param(24, {}, 1, Passes(16, False, cuda_graphs=True), id="all fits"),
        pytest.param(19, {}, 1, Passes(8, False, cuda_graphs=True), id="two graphs beat one pass without"),
        pytest.param(3.5, {}, 1, Passes(1, False, cuda_graphs=True), id="small passes cost little"),
        pytest.param(24, {"quantisation": "nf4"}, 1, Passes(16, False), id="QLoRA"),
        pytest.param(24, {"kl_weight": 0.5}, 1, Passes(16, False), id="the base would read a long row whole"),
        pytest.param(24, {"kl_weight": 0.5, "kl_on": "all"}, 1, Passes(16, False, True), id="as it does anyway"),
        pytest.param(24, {"gradient_checkpointing": True}, 1, Passes(16, True), id="recomputing"),
        pytest.param(24, {}, 2, Passes(8, False), id="two processes"),
    ],
)
def test_passes_through_graphs(tmp_path, budget_gib, settings, processes, passes):
    run = run_with(tmp_path, **settings)
    found, peak = choose_passes(run, steps(16, 1000), DEMAND, budget_gib * GIB, processes=processes, graphs=True)
    assert found == passes
    assert peak <= budget_gib * GIB


def test_short_rows_are_captured_though_the_base_reads_them_whole(tmp_path):
    run = run_with(tmp_path, kl_weight=0.5)
    assert choose_passes(run, steps(16, 100), DEMAND, 24 * GIB, graphs=True)[0] == Passes(16, False, cuda_graphs=True)


def test_float16_is_not_captured(tmp_path):
    run = run_with(tmp_path)
    half = dataclasses.replace(run, base_model=run.base_model.model_copy(update={"dtype": "float16"}))
    assert choose_passes(half, steps(16, 1000), DEMAND, 24 * GIB, graphs=True)[0] == Passes(16, False)


def test_processes_share_a_step(tmp_path):
    assert choose_passes(run_with(tmp_path), steps(16, 1000), DEMAND, None, processes=4)[0] == Passes(4, False)


@pytest.mark.parametrize(
    ("budget_gib", "settings", "processes", "message"),
    [
        pytest.param(
            2, {}, 1, r"takes about 2.1 GiB .* \(1 questions a pass, .* True\), and there are 2.0", id="small"
        ),
        pytest.param(
            11, {"micro_batch_size": 16, "gradient_checkpointing": False}, 1, "takes about 17.6 GiB", id="as asked"
        ),
        pytest.param(None, {"micro_batch_size": 3}, 1, "= 3 does not divide batch_size = 16.", id="micro-batch"),
        pytest.param(None, {}, 3, "batch_size = 16 cannot be shared out among 3 processes", id="processes"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path, budget_gib, settings, processes, message):
    budget = budget_gib and budget_gib * GIB
    with pytest.raises(ExperimentError, match=message):
        choose_passes(run_with(tmp_path, **settings), steps(16, 1000), DEMAND, budget, processes=processes)


@pytest.mark.parametrize(
    ("quantisation", "recomputed", "tokens", "measured_gib"),
    [
        # Peaks on one H200 with Liger's kernels, and the tokens of the largest row of each.
        pytest.param("none", False, 2700, 31.8, id="LoRA"),
        pytest.param("none", False, 7600, 67.5, id="LoRA, long rows"),
        pytest.param("nf4", False, 2700, 21.9, id="QLoRA"),
        pytest.param("nf4", True, 2700, 7.2, id="QLoRA, recomputed"),
    ],
)
def test_the_demand_is_what_was_measured(tmp_path, quantisation, recomputed, tokens, measured_gib):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from tests.bench.llama_3_8b import LLAMA_3_8B

    with torch.device("meta"):
        skeleton = LlamaForCausalLM(LlamaConfig(**LLAMA_3_8B, tie_word_embeddings=False))
    demand = memory_demand(run_with(tmp_path, quantisation=quantisation), skeleton, fused=True)
    assert demand.peak(tokens, 640, recomputed=recomputed) / GIB == pytest.approx(measured_gib, rel=0.2)
