"""Training one LoRA adapter on Spider, with TRL and PEFT. Heavy imports sit in the functions that need them."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.base_model import check_memory, compute_dtype, load_model, load_skeleton, load_tokenizer
from trainer.batches import TokenisedText, build_row, cut_rows, order_hash, plan_steps, tokenise
from trainer.experiment import ExperimentError
from trainer.lora_run import LoraRun, TrainingStopped, must_train
from trainer.run_record import adapter_hash, write_run_record

if TYPE_CHECKING:
    import torch
    from peft import LoraConfig
    from transformers import PreTrainedModel
    from trl import SFTConfig, SFTTrainer

    from trainer.memory import Passes
    from trainer.progress import StepReport


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
    if must_train(run, overwrite=overwrite):
        from trainer.unfinished import unfinished_adapter

        with unfinished_adapter(run) as folder:
            _train(run, folder, show_progress)
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

    from trainer.fused_kernels import fused_kernels_installed
    from trainer.memory import choose_passes, free_memory, memory_demand
    from trainer.processes import processes

    skeleton = load_skeleton(run.base_model)
    _check_targets(run.settings.target_modules, skeleton)
    demand, count = memory_demand(run, skeleton, fused=fused_kernels_installed()), processes().num_processes
    if is_fsdp_enabled():
        demand = replace(demand, fixed=demand.fixed / count)
    return choose_passes(run, steps, demand, free_memory(run.conduct.gpu_memory_gb), processes=count)


def _train(run: LoraRun, folder: Path, show_progress: bool) -> None:
    import torch

    from trainer.checkpoints import last_checkpoint
    from trainer.memory import limit_memory
    from trainer.processes import processes
    from trainer.progress import StepReport

    main = processes().is_main_process
    check_memory(run.base_model)
    tokenizer = load_tokenizer(run.base_model)
    steps, dropped = plan(run, tokenizer)
    limit_memory(run.conduct.gpu_memory_gb)
    passes, expected = plan_passes(run, steps)
    step_tokens = [sum(len(text.tokens) for text in step) for step in steps]
    report = StepReport(run.label, step_tokens, visible=show_progress and main)
    trainer = build_trainer(run, tokenizer, steps, folder, report, passes)
    initial = adapter_hash(adapter_weights(trainer.model))
    try:
        _run_to_the_end(trainer, last_checkpoint(folder), run, report)
    except torch.OutOfMemoryError:
        raise ExperimentError(
            f"{run.label}: out of GPU memory with {passes.micro_batch_size} questions a pass. Set micro_batch_size lower or "
            f"gradient_checkpointing = true in [adapters.{run.adapter}], and run the same command."
        ) from None
    finally:
        report.close()
    weights = adapter_weights(trainer.model)
    if not main:
        return
    trainer.model.save_pretrained(folder, state_dict=weights)
    write_run_record(
        run,
        folder,
        data={"dropped": dropped, "order": order_hash(steps), "tokens": report.tokens},
        weights={"initial": initial, "final": adapter_hash(weights)},
        training={
            "loss": report.losses,
            "wall_s": report.seconds,
            "first_step_s": report.first_step_s,
            "tokens_per_s": report.tokens_per_s,
            "resumed_after_step": report.resumed_after_step,
            "processes": trainer.accelerator.num_processes,
            "micro_batch_size": passes.micro_batch_size,
            "gradient_checkpointing": passes.gradient_checkpointing,
            "attention": trainer.model.config._attn_implementation,
            "expected_gb": expected / 1e9 if torch.cuda.is_available() else None,
            "peak_gb": torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else None,
        },
    )


def _run_to_the_end(trainer: "SFTTrainer", checkpoint: Path | None, run: LoraRun, report: "StepReport") -> None:
    from trainer.checkpoints import MarkCheckpoints, StopOnSignal

    stop = StopOnSignal()
    trainer.add_callback(stop)
    trainer.add_callback(MarkCheckpoints())
    try:
        trainer.train(resume_from_checkpoint=checkpoint and str(checkpoint))
    finally:
        stop.restore()
    if stop.received and trainer.state.global_step < trainer.state.max_steps:
        raise TrainingStopped(stop.received, trainer.state.global_step, run.unfinished_dir)


def build_trainer(
    run: LoraRun,
    tokenizer,
    steps: list[list[TokenisedText]],
    folder: Path,
    report: "StepReport",
    passes: "Passes",
) -> "SFTTrainer":
    """TRL's trainer over these steps, its adapter freshly initialised from the run's seed."""
    from datasets import Dataset
    from peft.tuners.lora import LoraLayer
    from transformers import PrinterCallback

    from trainer.fused_kernels import use_fused_kernels
    from trainer.progress import SaveAdapters
    from trainer.row_trainer import RowTrainer
    from trainer.shared_schema import use_shared_schema_attention

    model = load_model(run.base_model, quantisation=run.quantisation)
    use_fused_kernels(model)
    use_shared_schema_attention(model, run.settings.max_length, run.base_model.attention)
    rows = cut_rows(steps, passes.micro_batch_size)
    trainer = RowTrainer(
        model,
        _sft_config(run, len(steps), passes, folder),
        # Rows are built when their turn comes: all at once they would be the epochs' tokens over again.
        data_collator=lambda places: row_tensors(rows[places[0]["row"]]),
        train_dataset=Dataset.from_dict({"row": range(len(rows))}),
        processing_class=tokenizer,
        peft_config=_lora_config(run),
        callbacks=[report, *([SaveAdapters(folder, run.conduct.save_steps)] if run.conduct.save_steps else [])],
    )
    trainer.remove_callback(PrinterCallback)
    if compute_dtype(run.base_model).itemsize < 4:
        # Autocast has LoRA's products in the base's dtype anyway; PEFT would cast their inputs to float32 and back first.
        for module in trainer.model.modules():
            if isinstance(module, LoraLayer):
                module.cast_input_dtype_enabled = False
    trainer.model.peft_config["default"].base_model_name_or_path = run.base_model.id
    return trainer


def adapter_weights(model: "PreTrainedModel") -> dict[str, "torch.Tensor"]:
    """The adapter's weights by name; FSDP's processes, which hold a part each, must all ask."""
    from peft import get_peft_model_state_dict

    whole = {
        name: weights.full_tensor() if hasattr(weights, "full_tensor") else weights
        for name, weights in model.named_parameters()
        if weights.requires_grad
    }
    return get_peft_model_state_dict(model, state_dict=whole)


def row_tensors(texts: list[TokenisedText]) -> dict:
    """The questions of a forward pass as tensors (1, tokens), and their layout."""
    import torch

    return {name: values if name == "layout" else torch.tensor([values]) for name, values in build_row(texts).items()}


def _lora_config(run: LoraRun) -> "LoraConfig":
    from peft import LoraConfig

    settings = run.settings
    targets = settings.target_modules
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
    )


def _check_targets(targets: tuple[str, ...] | str, model: "PreTrainedModel") -> None:
    """PEFT passes over a name that matches nothing as long as another one does, so every name is looked up here."""
    import torch

    head = model.get_output_embeddings()
    linear = [
        name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear) and module is not head
    ]
    for target in [] if isinstance(targets, str) else targets:
        if not any(f".{name}".endswith(f".{target}") for name in linear):
            known = ", ".join(sorted({name.rpartition(".")[2] for name in linear}))
            raise ExperimentError(
                f"target_modules: the base model has no linear layer {target!r} to adapt. It has {known}."
            )


def _sft_config(run: LoraRun, steps: int, passes: "Passes", folder: Path) -> "SFTConfig":
    import torch
    from trl import SFTConfig

    from trainer.processes import processes

    settings, dtype = run.settings, compute_dtype(run.base_model)
    return SFTConfig(
        output_dir=str(folder),
        seed=run.seed,
        max_steps=steps,
        # One row holds the questions of one forward pass, and the rows come in the order planned.
        per_device_train_batch_size=1,
        gradient_accumulation_steps=settings.batch_size // passes.micro_batch_size // processes().num_processes,
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        max_length=None,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.scheduler,
        warmup_steps=settings.warmup_steps,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        # TRL would compute in bf16 and recompute activations everywhere, CPUs included.
        bf16=dtype is torch.bfloat16,
        fp16=dtype is torch.float16,
        use_cpu=not torch.cuda.is_available(),
        gradient_checkpointing=passes.gradient_checkpointing,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=run.conduct.checkpoint_steps or -(-steps // 20),
        save_total_limit=2,
        ddp_find_unused_parameters=False,
        report_to=run.conduct.report_to,
        run_name=run.label,
        disable_tqdm=True,
    )
