"""Training one LoRA adapter on Spider, with TRL and PEFT. Heavy imports sit in the functions that need them."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.keeping.record import write_run_record
from trainer.keeping.state import TrainingStopped
from trainer.rows.batches import TokenisedText, order_hash, plan_steps, tokenise
from trainer.run import LoraRun
from trainer.study.base_model import check_memory, load_skeleton, load_tokenizer
from trainer.study.experiment import ExperimentError

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from trl import SFTTrainer

    from trainer.training.memory import Passes
    from trainer.training.progress import StepReport


def train_adapter(run: LoraRun, *, overwrite: bool = False, show_progress: bool = False) -> Path:
    """Fine-tune one adapter on Spider train and return its folder; a finished one of the same settings is left alone.

    Loss is taken on the SQL only. Questions longer than ``max_length`` tokens are dropped, not cut, and named in
    ``run.json``. The folder appears when the training has ended, complete; a training that was stopped, killed or
    failed goes on from its last checkpoint when it is run again, and on a CPU in float32 to the same weights.

    Raises:
        ExperimentError: a finished adapter of other settings (unless ``overwrite``), data or base model that cannot be
            used, target modules that the model lacks, too little memory or disk, a loss that is no number.
        TrainingStopped: by Ctrl-C or SIGTERM, after saving.
    """
    from trainer.keeping.unfinished import unfinished_adapter

    stopped_by = None
    with unfinished_adapter(run, overwrite=overwrite) as folder:
        if folder:
            stopped_by = _train(run, folder, show_progress)
    if stopped_by:
        raise TrainingStopped(stopped_by, run.output_dir)
    return run.output_dir


def plan(run: LoraRun, tokenizer) -> tuple[list[list[TokenisedText]], list[str]]:
    """The questions of every step, and the ids of those too long. Raises ExperimentError."""
    settings = run.settings
    texts, dropped = tokenise(run.texts, tokenizer, settings.max_length)
    return plan_steps(texts, batch_size=settings.batch_size, epochs=settings.epochs, seed=run.seed), dropped


def plan_passes(run: LoraRun, steps: list[list[TokenisedText]]) -> tuple["Passes", float]:
    """How every step is computed on this machine, and the peak of memory to expect in bytes, before weights are loaded.

    Raises:
        ExperimentError: the memory does not suffice, target modules that the model lacks, or settings at odds.
    """
    from transformers.integrations.fsdp import is_fsdp_enabled

    from trainer.machine.fused_kernels import fused_kernels_installed
    from trainer.machine.processes import processes
    from trainer.training.memory import choose_passes, free_memory, memory_demand

    skeleton = load_skeleton(run.base_model)
    _check_targets(run.settings.target_modules, skeleton)
    demand, count = memory_demand(run, skeleton, fused=fused_kernels_installed()), processes().num_processes
    if is_fsdp_enabled():
        demand = replace(demand, fixed=demand.fixed / count)
    return choose_passes(run, steps, demand, free_memory(run.conduct.gpu_memory_gb), processes=count)


def _train(run: LoraRun, folder: Path, show_progress: bool) -> int | None:
    """Train to the end; the signal that came too late to stop it, or None."""
    import torch

    from trainer.keeping.checkpoints import last_checkpoint
    from trainer.keeping.weights import adapter_hash, adapter_weights
    from trainer.machine.processes import of_the_first, processes
    from trainer.training.memory import take_gpu
    from trainer.training.progress import StepReport
    from trainer.training.row_trainer import build_trainer

    main = processes().is_main_process
    check_memory(run.base_model)
    tokenizer = load_tokenizer(run.base_model)
    steps, dropped = plan(run, tokenizer)
    take_gpu(run.conduct.gpu_memory_gb)
    passes, expected = plan_passes(run, steps)
    step_tokens = [sum(len(text.tokens) for text in step) for step in steps]
    report = StepReport(run.label, step_tokens, visible=show_progress and main)
    trainer = build_trainer(run, tokenizer, steps, folder, report, passes)
    initial = adapter_hash(adapter_weights(trainer.model))
    try:
        stopped_by = _run_to_the_end(trainer, of_the_first(last_checkpoint(folder)), run)
    except torch.OutOfMemoryError:
        raise ExperimentError(
            f"{run.label}: out of GPU memory with {passes.micro_batch_size} questions a pass. Set "
            f"micro_batch_size lower or gradient_checkpointing = true in [adapters.{run.adapter}] and run it again."
        ) from None
    finally:
        report.close()
    weights = adapter_weights(trainer.model)
    if not main:
        return stopped_by
    trainer.model.save_pretrained(folder, state_dict=weights)
    write_run_record(
        run,
        folder,
        data={"dropped": dropped, "order": order_hash(steps), "tokens": report.tokens},
        weights={"initial": initial, "final": adapter_hash(weights)},
        training=_measured(trainer, report, passes, expected),
    )
    return stopped_by


def _measured(trainer: "SFTTrainer", report: "StepReport", passes: "Passes", expected: float) -> dict:
    """How the training went; memory is that of the first process's GPU."""
    import torch

    from trainer.machine.fused_kernels import fused_kernels_installed

    gpu = torch.cuda.is_available()
    return {
        "loss": report.losses,
        "wall_s": report.seconds,
        "first_step_s": report.first_step_s,
        "tokens_per_s": report.tokens_per_s,
        "resumed_after_step": report.resumed_after_step,
        "processes": trainer.accelerator.num_processes,
        "micro_batch_size": passes.micro_batch_size,
        "gradient_checkpointing": passes.gradient_checkpointing,
        "attention": trainer.model.config._attn_implementation,
        "fused_kernels": gpu and fused_kernels_installed(),
        "expected_gb": expected / 1e9 if gpu else None,
        "peak_gb": torch.cuda.max_memory_allocated() / 1e9 if gpu else None,
    }


def _run_to_the_end(trainer: "SFTTrainer", checkpoint: Path | None, run: LoraRun) -> int | None:
    from trainer.keeping.checkpoints import MarkCheckpoints, StopOnSignal

    stop = StopOnSignal()
    trainer.add_callback(stop)
    trainer.add_callback(MarkCheckpoints())
    try:
        trainer.train(resume_from_checkpoint=checkpoint and str(checkpoint))
    finally:
        stop.restore()
    if stop.received and trainer.state.global_step < trainer.state.max_steps:
        raise TrainingStopped(stop.received, run.unfinished_dir, trainer.state.global_step)
    return stop.received


def _check_targets(targets: tuple[str, ...] | str, model: "PreTrainedModel") -> None:
    """PEFT passes over a name that matches nothing as long as another one does, so every name is looked up here."""
    from trainer.training.memory import is_target, linear_layers

    linear = linear_layers(model)
    for target in [] if isinstance(targets, str) else targets:
        if not any(is_target(name, (target,)) for name in linear):
            known = ", ".join(sorted({name.rpartition(".")[2] for name in linear}))
            raise ExperimentError(
                f"target_modules: the base model has no linear layer {target!r} to adapt. It has {known}."
            )
