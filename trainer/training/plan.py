"""What a training will do on this machine: its steps, and how each is computed. No weight is loaded for it."""

from dataclasses import replace
from typing import TYPE_CHECKING

from trainer.replay.mixing import draw_replay, mix_replay
from trainer.rows.batches import TokenisedText, check_taught_end, plan_steps, tokenise
from trainer.run import LoraRun
from trainer.study.base_model import load_end_tokens, load_skeleton
from trainer.study.experiment import ExperimentError
from trainer.study.tokens import unknown_token
from trainer.training.memory import free_memory, is_target, linear_layers, memory_demand
from trainer.training.passes import Passes, choose_passes

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def plan(run: LoraRun, tokenizer) -> tuple[list[list[TokenisedText]], list[str]]:
    """The questions of every step, replay behind them, and the ids of those too long. Raises ExperimentError."""
    settings = run.settings
    texts, dropped = tokenise(run.texts, tokenizer, settings.max_length)
    check_taught_end(texts, load_end_tokens(run.base_model, tokenizer), tokenizer)
    steps = plan_steps(texts, batch_size=settings.batch_size, epochs=settings.epochs, seed=run.seed)
    if run.replay:
        drawn = draw_replay(run.replay.read(), tokenizer, max_length=settings.max_length, seed=run.seed)
        steps = mix_replay(steps, drawn, settings.replay.share)
    return steps, dropped


def plan_passes(run: LoraRun, steps: list[list[TokenisedText]]) -> tuple[Passes, float]:
    """How every step is computed on this machine, and the peak of memory to expect in bytes, before weights are loaded.

    Raises:
        ExperimentError: the memory does not suffice, the model lacks target modules or tokens, or settings at odds.
    """
    from transformers.integrations.fsdp import is_fsdp_enabled

    from trainer.machine.fused_kernels import fused_kernels_installed
    from trainer.machine.processes import processes
    from trainer.training.shared_schema import has_flex_attention

    skeleton = load_skeleton(run.base_model)
    _check_targets(run.settings.target_modules, skeleton)
    _check_tokens(steps, skeleton)
    demand, count = memory_demand(run, skeleton, fused=fused_kernels_installed()), processes().num_processes
    if is_fsdp_enabled():
        if run.settings.kl_weight and run.settings.kl_on == "replay":
            # Its processes hold a part of every weight each, and not every row has replay to ask the base about.
            raise ExperimentError(
                f"{run.adapter}: FSDP cannot take the divergence on replay alone. "
                'Set kl_on = "all", or train without FSDP.'
            )
        demand = replace(demand, fixed=demand.fixed / count)
    graphs = has_flex_attention(run.base_model.attention)
    budget = free_memory(run.conduct.gpu_memory_gb)
    return choose_passes(run, steps, demand, budget, processes=count, graphs=graphs and budget is not None)


def _check_tokens(steps: list[list[TokenisedText]], model: "PreTrainedModel") -> None:
    for text in (text for step in steps for text in step):
        if problem := unknown_token(text.tokens, model.get_input_embeddings().num_embeddings):
            raise ExperimentError(f"{text.id!r}: {problem}")


def _check_targets(targets: tuple[str, ...] | str, model: "PreTrainedModel") -> None:
    """PEFT passes over a name that matches nothing as long as another one does, so every name is looked up here."""
    linear = linear_layers(model)
    for target in [] if isinstance(targets, str) else targets:
        if not any(is_target(name, (target,)) for name in linear):
            known = ", ".join(sorted({name.rpartition(".")[2] for name in linear}))
            raise ExperimentError(
                f"target_modules: the base model has no linear layer {target!r} to adapt. It has {known}."
            )
