"""Training one LoRA adapter on Spider, with TRL and PEFT."""

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path

import torch

from trainer.keeping.checkpoints import MarkCheckpoints, SpareCheckpoints, StopOnSignal, last_checkpoint
from trainer.keeping.record import write_run_record
from trainer.keeping.state import TrainingStopped
from trainer.keeping.unfinished import unfinished_adapter
from trainer.keeping.weights import adapter_hash, adapter_weights
from trainer.machine.compiler import import_compiler
from trainer.machine.fused_kernels import fused_kernels_installed
from trainer.machine.processes import of_the_first, processes
from trainer.replay.own_replies import locked, write_replies
from trainer.rows.batches import TokenisedText, order_hash
from trainer.rows.texts import data_hash, with_values
from trainer.run import LoraRun
from trainer.study.base_model import check_memory, load_end_tokens, load_model, load_tokenizer
from trainer.study.experiment import ExperimentError
from trainer.training.dry_run import expected_time
from trainer.training.health import judge_curve
from trainer.training.memory import take_gpu
from trainer.training.passes import Passes
from trainer.training.plan import plan, plan_passes
from trainer.training.progress import StepReport
from trainer.training.row_trainer import RowTrainer, build_trainer


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
    stopped_by = None
    with unfinished_adapter(run, overwrite=overwrite) as folder:
        if folder:
            stopped_by = _train(run, folder, show_progress)
    if stopped_by:
        raise TrainingStopped(stopped_by, run.output_dir)
    return run.output_dir


def _train(run: LoraRun, folder: Path, show_progress: bool) -> int | None:
    """Train to the end; the signal that came too late to stop it, or None."""
    main = processes().is_main_process
    check_memory(run.base_model)
    import_compiler()
    tokenizer = load_tokenizer(run.base_model)
    _have_own_replies(run, tokenizer)
    steps, dropped = plan(run, tokenizer)
    take_gpu(run.conduct.gpu_memory_gb)
    passes, expected = plan_passes(run, steps)
    step_tokens = [sum(len(text.tokens) for text in step) for step in steps]
    report = StepReport(run.label, step_tokens, visible=show_progress and main)
    if show_progress and processes().num_processes == 1 and last_checkpoint(folder) is None:
        _announce(run, tokenizer, steps, passes)
    trainer = build_trainer(run, tokenizer, steps, folder, report, passes)
    initial = adapter_hash(adapter_weights(trainer.model))
    with contextlib.closing(report), _memory_explained(run, passes):
        stopped_by = _run_to_the_end(trainer, of_the_first(last_checkpoint(folder)), run)
    weights = adapter_weights(trainer.model)
    if not main:
        return stopped_by
    trainer.model.save_pretrained(folder, state_dict=weights)
    write_run_record(
        run,
        folder,
        data={
            "questions": len(run.texts),
            "dropped": dropped,
            "order": order_hash(steps),
            "tokens": report.tokens,
            **_beside(run, steps),
        },
        weights={"initial": initial, "final": adapter_hash(weights)},
        training=_measured(trainer, report, passes, expected),
        health=judge_curve(report.losses, report.grad_norms).record,
    )
    return stopped_by


def _announce(run: LoraRun, tokenizer, steps: list[list[TokenisedText]], passes: Passes) -> None:
    """Say what is coming before it begins.

    Steps of few layers tell how long it will take. On a GPU they would take as long as many a training, most of it to
    compile kernels; there the third step tells.
    """
    said = f"{run.label}: {len(run.texts):,} questions, {len(steps):,} steps"
    if not torch.cuda.is_available():
        said += f", {expected_time(run, tokenizer, steps, passes, enough_s=1.0)} on this machine"
    print(said, flush=True)


def _have_own_replies(run: LoraRun, tokenizer) -> None:
    """Have the base model reply to the prompts of replay, where that is what is mixed in and has not been done yet."""
    path = run.replay and run.replay.own_replies
    if path is None or not of_the_first(not path.is_file()):
        return
    # What cannot be trained is said before the minutes that this takes.
    plan_passes(run, plan(run, tokenizer)[0])
    if processes().is_main_process:
        with locked(path):
            if not path.is_file():
                model = load_model(run.base_model, quantisation=run.quantisation)
                write_replies(path, run.replay.settings, model, tokenizer, load_end_tokens(run.base_model, tokenizer))
    processes().wait_for_everyone()


def _beside(run: LoraRun, steps: list[list[TokenisedText]]) -> dict:
    """What stood beside questions: values of their databases in the prompts, replay in the steps."""
    found = {}
    if run.prompt.reads_databases:
        found["shown"] = {"hash": data_hash(run.texts), "with_values": with_values(run.texts)}
    if run.replay:
        drawn = [text for step in steps for text in step if text.replay]
        tokens = sum(len(text.tokens) for text in drawn)
        found["replay"] = {**run.replay.record, "drawn": len(drawn), "tokens": tokens}
    return found


@contextlib.contextmanager
def _memory_explained(run: LoraRun, passes: Passes) -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError:
        raise ExperimentError(
            f"{run.label}: out of GPU memory with {passes.micro_batch_size} questions a pass. Set "
            f"micro_batch_size lower or gradient_checkpointing = true in [adapters.{run.adapter}] and run it again."
        ) from None


def _run_to_the_end(trainer: RowTrainer, checkpoint: Path | None, run: LoraRun) -> int | None:
    """Train on from ``checkpoint``, if any; as ``_train``. Raises TrainingStopped before the last step."""
    stop = StopOnSignal()
    if not run.conduct.checkpoint_steps:
        trainer.add_callback(SpareCheckpoints())
    trainer.add_callback(stop)
    trainer.add_callback(MarkCheckpoints())
    try:
        trainer.train(resume_from_checkpoint=checkpoint and str(checkpoint))
    finally:
        stop.restore()
    if stop.received and trainer.state.global_step < trainer.state.max_steps:
        raise TrainingStopped(stop.received, run.unfinished_dir, trainer.state.global_step)
    return stop.received


def _measured(trainer: RowTrainer, report: StepReport, passes: Passes, expected: float) -> dict:
    """How the training went; memory is that of the first process's GPU."""
    gpu = torch.cuda.is_available()
    return {
        "loss": report.losses,
        # In float16 some overflow by design, and JSON has no infinity.
        "grad_norm": [norm if math.isfinite(norm) else None for norm in report.grad_norms],
        **report.beside_loss,
        "wall_s": report.seconds,
        "first_step_s": report.first_step_s,
        "tokens_per_s": report.tokens_per_s,
        "resumed_after_step": report.resumed_after_step,
        "processes": trainer.accelerator.num_processes,
        "micro_batch_size": passes.micro_batch_size,
        "gradient_checkpointing": passes.gradient_checkpointing,
        "attention": trainer.model.config._attn_implementation,
        "cuda_graphs": bool(trainer.graphs and trainer.graphs.capturing),
        "cuda_graphs_failure": trainer.graphs and trainer.graphs.failure,
        "fused_kernels": gpu and fused_kernels_installed(),
        "expected_gb": expected / 1e9 if gpu else None,
        "peak_gb": torch.cuda.max_memory_allocated() / 1e9 if gpu else None,
    }
