"""How a step is computed: in how many forward passes, and with activations kept or computed again."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass

from trainer.rows.batches import TokenisedText, cut_rows, row_size
from trainer.run import LoraRun
from trainer.study.base_model import compute_dtype
from trainer.study.experiment import ExperimentError
from trainer.training.memory import MemoryDemand
from trainer.training.row_shapes import fill_up

# What a pass costs beside its tokens, in tokens: a GPU waits for its kernels to be launched, one by one or in a graph.
# Measured (tests/bench/test_trainer.py).
_PASS_TOKENS, _GRAPH_PASS_TOKENS = 1400, 300
# Graphs of several shapes share memory, with gaps between blocks: more of it than the largest takes. Measured there.
_GAPS = 1.3
_REMEDY = (
    'Use a configuration with quantisation = "nf4" (QLoRA), a lower max_length or rank; or try --experiment miniature.'
)


@dataclass(frozen=True)
class Passes:
    """How a step is computed.

    Questions a forward pass, whether activations are computed again, not kept, and whether through CUDA graphs.
    """

    micro_batch_size: int
    gradient_checkpointing: bool
    cuda_graphs: bool = False


def may_be_captured(run: LoraRun, processes: int) -> bool:
    """Whether a GPU may compute rows through CUDA graphs, as far as settings tell; a model's own code may forbid it.

    Quantised weights are not tried, float16's scaler is not made for it, and several processes exchange gradients in
    between.
    """
    in_float16 = str(compute_dtype(run.base_model)) == "torch.float16"
    return processes == 1 and run.quantisation == "none" and not in_float16


def choose_passes(
    run: LoraRun,
    steps: list[list[TokenisedText]],
    demand: MemoryDemand,
    budget: float | None,
    *,
    processes: int = 1,
    graphs: bool = False,
) -> tuple[Passes, float]:
    """How to compute the steps in ``budget`` bytes of every GPU (None: no GPU, no bound), and the peak to expect.

    What the settings leave open is chosen: of the ways that fit, the one that takes the least time. ``graphs``: whether
    the GPU's attention is the kind that can be captured.

    Raises:
        ExperimentError: it does not fit, or the questions of a step cannot be shared out as the settings say.
    """
    costs: dict[Passes, tuple[float, float]] = {}
    sizes = functools.cache(lambda most: [row_size(texts) for texts in cut_rows(steps, most)])
    captured = graphs and may_be_captured(run, processes)
    for passes in _candidates(run, processes, captured):
        rows = sizes(passes.micro_batch_size)
        if passes.cuda_graphs:
            rows = fill_up(rows)
        peak = max(demand.peak(*row, recomputed=passes.gradient_checkpointing) for row in rows)
        if passes.cuda_graphs:
            peak = demand.fixed + _GAPS * (peak - demand.fixed)
        costs[passes] = _work([tokens for tokens, _ in rows], passes, run), peak
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


def _work(row_tokens: list[int], passes: Passes, run: LoraRun) -> float:
    """Operations per parameter of computing rows of these sizes, and what they wait for.

    A token takes two forward and two backward, as weights are frozen, two more where activations are computed again,
    and two where the base model reads it for the divergence: without graphs in a pass of its own, of the replay alone,
    which is little, where that is all that is held.
    """
    more = _GRAPH_PASS_TOKENS if passes.cuda_graphs else _PASS_TOKENS
    work = (6 if passes.gradient_checkpointing else 4) * sum(tokens + more for tokens in row_tokens)
    if run.settings.kl_weight:
        whole = passes.cuda_graphs or run.settings.kl_on == "all"
        waited = 0 if passes.cuda_graphs else _PASS_TOKENS
        work += 2 * sum(tokens * whole + waited for tokens in row_tokens)
    return work


def _candidates(run: LoraRun, processes: int, captured: bool) -> Iterator[Passes]:
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
            # What is computed again is not tried in a graph.
            yield from (Passes(size, recomputed, graphs) for graphs in ([True, False] if captured else [False])
                        if not (graphs and recomputed))  # fmt: skip


def _divisors(number: int) -> list[int]:
    return [size for size in range(number, 0, -1) if number % size == 0]
