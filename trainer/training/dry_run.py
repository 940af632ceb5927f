"""``--dry-run``: what a training would do and take, without loading a weight."""

import time

from trainer.keeping.state import adapter_state
from trainer.rows.batches import TokenisedText, cut_rows, row_size
from trainer.run import LoraRun
from trainer.study.base_model import compute_dtype, load_skeleton
from trainer.training.memory import parameters_a_token
from trainer.training.passes import CPU_PASS_TOKENS, GPU_PASS_TOKENS, Passes, work
from trainer.training.plan import plan, plan_passes

# The share of the rate of large matrix products that training reaches. Measured (tests/bench/test_trainer.py).
_REACHED = 0.54


def describe(run: LoraRun, tokenizer) -> str:
    """The resolved settings, questions, tokens and steps, and the memory and time to expect, in a few lines.

    Raises:
        ExperimentError: what would stop the training before its first step.
    """
    steps, dropped = plan(run, tokenizer)
    passes, peak = plan_passes(run, steps)
    rows = [row_size(texts)[0] for texts in cut_rows(steps, passes.micro_batch_size)]
    settings = run.settings.model_dump(mode="json") | {
        "micro_batch_size": passes.micro_batch_size,
        "gradient_checkpointing": passes.gradient_checkpointing,
    }
    left_out = f" ({', '.join(dropped[:5])}{', ...' if len(dropped) > 5 else ''})" if dropped else ""
    return "\n".join(
        [
            f"{run.label}: {adapter_state(run)}, in {run.output_dir}",
            f"  base model {run.base_model.id}, quantisation {run.quantisation}",
            "  " + ", ".join(f"{name} {value}" for name, value in settings.items()),
            f"  {len(run.texts):,} questions, {len(dropped):,} too long{left_out}",
            f"  {len(steps):,} steps, {_tokens(steps):,} tokens, of which {sum(rows):,} are computed",
            f"  memory: about {peak / 2**30:.1f} GiB; time: {_time(run, rows, passes)}",
        ]
    )


def _tokens(steps: list[list[TokenisedText]]) -> int:
    return sum(len(text.tokens) for step in steps for text in step)


def _time(run: LoraRun, row_tokens: list[int], passes: Passes) -> str:
    """Of all rows on this machine, from a short measurement of it."""
    import torch

    if run.base_model.memory_gb and not torch.cuda.is_available():
        return "needs a GPU"
    pass_tokens = GPU_PASS_TOKENS if torch.cuda.is_available() else CPU_PASS_TOKENS
    operations = work(row_tokens, passes, pass_tokens) * parameters_a_token(load_skeleton(run.base_model))
    seconds = operations / (_REACHED * matrix_rate(compute_dtype(run.base_model)))
    return f"about {seconds / 60:.0f} min" if seconds > 90 else f"about {max(1, seconds):.0f} s"


def matrix_rate(dtype) -> float:
    """Floating-point operations a second of this machine in matrix products of the given dtype."""
    import torch

    gpu = torch.cuda.is_available()
    size, repeats = (8192, 20) if gpu else (512, 8)
    one = torch.ones(size, size, dtype=dtype, device="cuda" if gpu else "cpu")
    one @ one
    wait = torch.cuda.synchronize if gpu else lambda: None
    wait()
    start = time.perf_counter()
    for _ in range(repeats):
        one @ one
    wait()
    return repeats * 2 * size**3 / (time.perf_counter() - start)
