"""Training one LoRA adapter on Spider, with TRL and PEFT. Heavy imports sit in the functions that need them."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.base_model import check_memory, compute_dtype, load_model, load_tokenizer
from trainer.batches import TokenisedText, build_row, cut_rows, order_hash, plan_steps, tokenise
from trainer.experiment import ExperimentError
from trainer.lora_run import LoraRun, must_train
from trainer.run_record import adapter_hash, write_run_record

if TYPE_CHECKING:
    from peft import LoraConfig
    from transformers import PreTrainedModel
    from trl import SFTConfig, SFTTrainer

    from trainer.progress import StepReport


def train_adapter(run: LoraRun, *, overwrite: bool = False, show_progress: bool = False) -> Path:
    """Fine-tune one adapter on Spider train and return its folder; a finished one of the same settings is left alone.

    Loss is taken on the SQL only. Questions longer than ``max_length`` tokens are dropped, not cut, and named in
    ``run.json``. The folder appears when the training has ended, complete: an interrupted one leaves none.

    Raises:
        ExperimentError: a finished adapter of other settings (unless ``overwrite``), data or base model that cannot be
            used, target modules that the model lacks, a loss that is no number.
    """
    if must_train(run, overwrite=overwrite):
        with _finished_folder(run.output_dir) as unfinished:
            _train(run, unfinished, show_progress)
    return run.output_dir


@contextlib.contextmanager
def _finished_folder(folder: Path) -> Iterator[Path]:
    """A folder to write into that becomes ``folder`` at the end, and is removed when the end is not reached."""
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
    except OSError as error:
        raise ExperimentError(
            f"cannot write to {str(folder.parent)!r}: {error.strerror}. Choose another place with --results."
        ) from None
    try:
        yield unfinished
        _replace(folder, unfinished)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _replace(folder: Path, by: Path) -> None:
    """Rename ``by`` to ``folder``; what was there is deleted only after that."""
    old = folder.with_name(f"{folder.name}.old")
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
    by.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def plan(run: LoraRun, tokenizer) -> tuple[list[list[TokenisedText]], list[str]]:
    """The questions of every step, and the ids of those too long. Raises ExperimentError."""
    settings = run.settings
    texts, dropped = tokenise(run.texts, tokenizer, settings.max_length)
    return plan_steps(texts, batch_size=settings.batch_size, epochs=settings.epochs, seed=run.seed), dropped


def _train(run: LoraRun, folder: Path, show_progress: bool) -> None:
    from peft import get_peft_model_state_dict

    from trainer.progress import StepReport

    check_memory(run.base_model)
    tokenizer = load_tokenizer(run.base_model)
    steps, dropped = plan(run, tokenizer)
    report = StepReport(run.label, [sum(len(text.tokens) for text in step) for step in steps], visible=show_progress)
    trainer = build_trainer(run, tokenizer, steps, folder, report)
    initial = adapter_hash(get_peft_model_state_dict(trainer.model))
    try:
        trainer.train()
    finally:
        report.close()
    trainer.model.save_pretrained(folder)
    write_run_record(
        run,
        folder,
        data={"dropped": dropped, "order": order_hash(steps), "tokens": report.tokens},
        weights={"initial": initial, "final": adapter_hash(get_peft_model_state_dict(trainer.model))},
        training={"loss": report.losses, "wall_s": report.seconds, "tokens_per_s": report.tokens_per_s},
    )


def build_trainer(
    run: LoraRun, tokenizer, steps: list[list[TokenisedText]], folder: Path, report: "StepReport"
) -> "SFTTrainer":
    """TRL's trainer over these steps, its adapter freshly initialised from the run's seed."""
    from datasets import Dataset
    from transformers import PrinterCallback

    from trainer.progress import SaveCheckpoints
    from trainer.shared_schema import RowTrainer, use_shared_schema_attention

    settings = run.settings
    micro_batch_size = settings.micro_batch_size or settings.batch_size
    if settings.batch_size % micro_batch_size:
        raise ExperimentError(
            f"{run.adapter}: micro_batch_size = {micro_batch_size} does not divide batch_size = {settings.batch_size}."
        )
    model = load_model(run.base_model, quantisation=run.quantisation)
    use_shared_schema_attention(model, settings.max_length)
    rows = cut_rows(steps, micro_batch_size)
    trainer = RowTrainer(
        model,
        _sft_config(run, len(steps), settings.batch_size // micro_batch_size, folder),
        # Rows are built when their turn comes: all at once they would be the epochs' tokens over again.
        data_collator=lambda places: row_tensors(rows[places[0]["row"]]),
        train_dataset=Dataset.from_dict({"row": range(len(rows))}),
        processing_class=tokenizer,
        peft_config=_lora_config(run, model),
        callbacks=[report, *([SaveCheckpoints(folder, run.save_steps)] if run.save_steps else [])],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.model.peft_config["default"].base_model_name_or_path = run.base_model.id
    return trainer


def row_tensors(texts: list[TokenisedText]) -> dict:
    """The questions of a forward pass as tensors (1, tokens), and their layout."""
    import torch

    return {name: values if name == "layout" else torch.tensor([values]) for name, values in build_row(texts).items()}


def _lora_config(run: LoraRun, model: "PreTrainedModel") -> "LoraConfig":
    from peft import LoraConfig

    settings = run.settings
    targets = settings.target_modules
    if not isinstance(targets, str):
        _check_targets(targets, model)
        targets = list(targets)
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=targets,
    )


def _check_targets(targets: tuple[str, ...], model: "PreTrainedModel") -> None:
    """PEFT passes over a name that matches nothing as long as another one does, so every name is looked up here."""
    import torch

    head = model.get_output_embeddings()
    linear = [
        name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear) and module is not head
    ]
    for target in targets:
        if not any(f".{name}".endswith(f".{target}") for name in linear):
            known = ", ".join(sorted({name.rpartition(".")[2] for name in linear}))
            raise ExperimentError(
                f"target_modules: the base model has no linear layer {target!r} to adapt. It has {known}."
            )


def _sft_config(run: LoraRun, steps: int, rows_per_step: int, folder: Path) -> "SFTConfig":
    import torch
    from trl import SFTConfig

    settings, dtype = run.settings, compute_dtype(run.base_model)
    return SFTConfig(
        output_dir=str(folder),
        seed=run.seed,
        max_steps=steps,
        # One row holds the questions of one forward pass, and the rows come in the order planned.
        per_device_train_batch_size=1,
        gradient_accumulation_steps=rows_per_step,
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
        gradient_checkpointing=False,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
