"""How a step is computed: in how many forward passes, and with activations kept or computed again."""

from collections.abc import Iterator
from dataclasses import dataclass

from trainer.rows.batches import TokenisedText, cut_rows, row_size
from trainer.run import LoraRun
from trainer.study.experiment import ExperimentError
from trainer.training.memory import MemoryDemand

# What a pass costs beside its tokens, in tokens: a GPU waits for its kernels to be launched. Measured
# (tests/bench/test_trainer.py).
CPU_PASS_TOKENS, GPU_PASS_TOKENS = 64, 1400
_REMEDY = (
    'Use a configuration with quantisation = "nf4" (QLoRA), a lower max_length or rank; or try --experiment miniature.'
)


@dataclass(frozen=True)
class Passes:
    """How a step is computed: questions a forward pass, and whether activations are computed again, not kept."""

    micro_batch_size: int
    gradient_checkpointing: bool


def choose_passes(
    run: LoraRun, steps: list[list[TokenisedText]], demand: MemoryDemand, budget: float | None, *, processes: int = 1
) -> tuple[Passes, float]:
    """How to compute the steps in ``budget`` bytes of every GPU (None: no GPU, no bound), and the peak to expect.

    What the settings leave open is chosen: of the ways that fit, the one that takes the least time.

    Raises:
        ExperimentError: it does not fit, or the questions of a step cannot be shared out as the settings say.
    """
    costs: dict[Passes, tuple[float, float]] = {}
    for passes in _candidates(run, processes):
        rows = [row_size(texts) for texts in cut_rows(steps, passes.micro_batch_size)]
        peak = max(demand.peak(*row, recomputed=passes.gradient_checkpointing) for row in rows)
        costs[passes] = work([tokens for tokens, _ in rows], passes, GPU_PASS_TOKENS), peak
    fitting = [passes for passes, (_, peak) in costs.items() if budget is None or peak <= budget]
    if fitting:
        best = min(fitting, key=lambda passes: costs[passes][0])
        return best, costs[best][1]
    passes, (_, peak) = min(costs.items(), key=lambda item: item[1][1])
    raise ExperimentError(
        f"{run.adapter} takes about {peak / 2**30:.1f} GiB of GPU memory at the least ({passes.micro_batch_size} "
        f"questions a pass, gradient_checkpointing {passes.gradient_checkpointing}), and there are "
        f"{budget / 2**30:.1f}. {_REMEDY}"
    )


def work(row_tokens: list[int], passes: Passes, pass_tokens: int) -> float:
    """Operations per parameter of computing rows of these sizes, each of which costs ``pass_tokens`` more.

    A token takes two forward and two backward, as weights are frozen, and two more where activations are computed
    again.
    """
    return (6 if passes.gradient_checkpointing else 4) * sum(tokens + pass_tokens for tokens in row_tokens)


def _candidates(run: LoraRun, processes: int) -> Iterator[Passes]:
    """Ways to compute a step that the settings allow, at equal cost the simplest first."""
    settings = run.settings
    if settings.batch_size % processes:
        raise ExperimentError(
            f"{run.adapter}: batch_size = {settings.batch_size} cannot be shared out among {processes} processes."
        )
    share = settings.batch_size // processes
    if settings.micro_batch_size and share % settings.micro_batch_size:
        raise ExperimentError(
            f"{run.adapter}: micro_batch_size = {settings.micro_batch_size} does not divide batch_size = "
            + (f"{share}." if processes == 1 else f"{settings.batch_size} into {processes} processes.")
        )
    sizes = [settings.micro_batch_size] if settings.micro_batch_size else _divisors(share)
    recomputing = [False, True] if settings.gradient_checkpointing == "auto" else [settings.gradient_checkpointing]
    for recomputed in recomputing:
        for size in sizes:
            yield Passes(size, recomputed)


def _divisors(number: int) -> list[int]:
    return [size for size in range(number, 0, -1) if number % size == 0]
