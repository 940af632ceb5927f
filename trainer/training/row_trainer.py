"""TRL's trainer over rows (see ``trainer.rows.batches``), and how it is set up."""

import functools
from pathlib import Path

import torch
from datasets import Dataset
from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel, PrinterCallback
from trl import SFTConfig, SFTTrainer

from trainer.machine.compiler import import_compiler
from trainer.machine.fused_kernels import use_fused_kernels
from trainer.machine.processes import processes
from trainer.rows.batches import IGNORED, TokenisedText, build_row, cut_rows, row_size
from trainer.run import LoraRun
from trainer.study.base_model import compute_dtype, load_model
from trainer.training.loss_parts import LossParts, row_parts
from trainer.training.passes import Passes
from trainer.training.progress import SaveAdapters, StepReport
from trainer.training.row_graphs import RowGraphs
from trainer.training.row_shapes import RowShape, choose_shapes
from trainer.training.shared_schema import attention_inputs, use_shared_schema_attention
from trainer.training.static_rows import RowsAhead, StaticRow, pack_row


class RowTrainer(SFTTrainer):
    """TRL's trainer with one row a forward pass, its head computed only where a token is to be predicted.

    TRL computes the head of every position, on a CPU several times over: a quarter of the time.
    """

    graphs: RowGraphs | None = None
    shapes: tuple[RowShape, ...] = ()  # of packed rows; without any, rows come as they are
    capture = True
    parts: LossParts | None = None  # where the loss is of SQL alone
    kl_weight, kl_on = 0.0, "replay"

    def training_step(self, model, inputs, num_items_in_batch=None):
        """The loss of a row, through a CUDA graph where rows are packed for it."""
        if "packed" not in inputs:
            return super().training_step(model, inputs, num_items_in_batch)
        if self.graphs is None:
            model.train()  # once: it visits all modules, while the GPU waits
            trained = [weights for weights in model.parameters() if weights.requires_grad]
            compute = functools.partial(self._computed, model)
            self.graphs = RowGraphs(compute, trained, list(self.shapes), capture=self.capture)
        found = self.graphs.step(inputs["packed"], inputs["shape"], num_items_in_batch)
        if self.parts is None:
            return found
        self.parts.add(found)
        return found[0]

    def _computed(self, model, row: StaticRow, items: torch.Tensor) -> torch.Tensor:
        """The row's loss, or its parts, the whole loss first."""
        if self.parts is None:
            loss = row_loss(model, row.inputs, row.predicting, row.targets) / items
            self.accelerator.backward(loss)
            return loss.detach()
        # The base predicts the whole row, whose length the graph knows.
        base = self._base_logits(model, row.inputs, row.predicting) if self.kl_weight else None
        counted = row.targets != IGNORED if self.kl_on == "all" else row.of_replay
        logits = row_logits(model, row.inputs, row.predicting)
        parts = row_parts(logits, row.targets, row.of_replay, self.kl_weight, base, counted=counted) / items
        self.accelerator.backward(parts[0])
        return parts.detach()

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """Cross-entropy of the labelled tokens, summed over the row and divided by the number of them in the step.

        Where ``kl_weight`` says so, the divergence from the base model is added, summed and divided likewise.
        """
        if self.parts is None:
            predicting, targets = labelled(inputs.pop("labels"))
            parts = row_loss(model, attention_inputs(self.model, inputs), predicting, targets)
        else:
            parts = self._row_parts(model, inputs)
        # The tokens of all processes are counted, and gradients are then averaged over the processes.
        parts = parts / num_items_in_batch * self.accelerator.num_processes
        if self.parts is not None:
            self.parts.add(parts.detach())
        loss = parts if self.parts is None else parts[0]
        return (loss, None) if return_outputs else loss

    def _row_parts(self, model, inputs: dict) -> torch.Tensor:
        of_replay, reference = inputs.pop("of_replay", None), inputs.pop("reference", None)
        base = None
        if reference is not None:
            asked, _ = labelled(reference.pop("labels"))
            reference.pop("of_replay", None)
            base = self._base_logits(model, attention_inputs(self.model, reference), asked)
        predicting, targets = labelled(inputs.pop("labels"))
        of_replay = torch.zeros_like(targets) if of_replay is None else of_replay[0]
        everywhere = base is not None and len(base) == len(targets)
        held = slice(None) if everywhere else of_replay.nonzero()[:, 0]
        logits = row_logits(model, attention_inputs(self.model, inputs), predicting)
        return row_parts(logits, targets, of_replay, self.kl_weight, base, held)

    @torch.no_grad()
    def _base_logits(self, model, inputs: dict, predicting: torch.Tensor) -> torch.Tensor:
        """What the base model predicts at the places ``predicting``, (places, vocabulary)."""
        # Not DDP's wrapper, whose processes would wait for one another: not every row has something to ask.
        own = self.accelerator.unwrap_model(model)
        own.eval()
        with own.disable_adapter():
            logits = row_logits(own, inputs, predicting)
        own.train()
        return logits

    def log(self, logs, start_time=None):
        """As TRL; ``loss`` is SQL's alone, and replay's and the divergence stand beside it."""
        if self.parts is not None and "loss" in logs:
            logs |= self.parts.take(self.state.global_step, lambda sums: self.accelerator.reduce(sums, "mean"))
        super().log(logs, start_time)

    def floating_point_ops(self, inputs) -> int:
        """Nothing: nobody asks, and counting all parameters at every step takes milliseconds."""
        return 0

    def create_model_card(self, *_, **__):
        """Nothing: the card is written by who has something to say, an evaluation or ``--push``."""


def row_loss(model, inputs: dict, predicting: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The summed cross-entropy of ``targets`` at the places ``predicting`` them, those that are IGNORED left out."""
    logits = row_logits(model, inputs, predicting)
    return cross_entropy(logits.float(), targets, ignore_index=IGNORED, reduction="sum")


def row_logits(model, inputs: dict, predicting: torch.Tensor) -> torch.Tensor:
    """The logits at the places ``predicting``, (places, vocabulary)."""
    return model(**inputs, logits_to_keep=predicting, use_cache=False).logits[0]


def labelled(labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The places that predict a row's labels (1, tokens), and the labels that are not IGNORED."""
    positions = (labels[0] != IGNORED).nonzero()[:, 0]
    return positions - 1, labels[0, positions]


def build_trainer(
    run: LoraRun,
    tokenizer,
    steps: list[list[TokenisedText]],
    folder: Path,
    report: StepReport,
    passes: Passes,
    model: PreTrainedModel | None = None,
) -> RowTrainer:
    """TRL's trainer over these steps, its adapter freshly initialised from the run's seed; without ``model`` on the
    base model.
    """
    compiler = import_compiler()
    model = model or load_model(run.base_model, quantisation=run.quantisation)
    if compiler:
        compiler.result()
    use_fused_kernels(model)
    use_shared_schema_attention(model, run.settings.max_length, run.base_model.attention)
    rows = cut_rows(steps, passes.micro_batch_size)
    shapes = choose_shapes([row_size(texts) for texts in rows]) if passes.cuda_graphs else []
    # Rows are built when their turn comes: all at once they would be the epochs' tokens over again.
    build = functools.partial(pack_row, shapes=shapes) if shapes else row_tensors
    if run.settings.kl_weight and not shapes:
        build = functools.partial(row_beside_base, kl_on=run.settings.kl_on)
    trainer = RowTrainer(
        model,
        _sft_config(run, len(steps), passes, folder),
        data_collator=RowsAhead(build, rows),
        train_dataset=Dataset.from_dict({"row": range(len(rows))}),
        processing_class=tokenizer,
        peft_config=_lora_config(run),
        callbacks=[report, *([SaveAdapters(folder, run.conduct.save_steps)] if run.conduct.save_steps else [])],
    )
    trainer.processing_class = None  # or every checkpoint has the tokenizer
    trainer.shapes = tuple(shapes)
    if run.replay or run.settings.kl_weight:
        trainer.kl_weight, trainer.kl_on = run.settings.kl_weight, run.settings.kl_on
        trainer.parts = LossParts(steps, run.settings.kl_weight, run.settings.kl_on)
    trainer.remove_callback(PrinterCallback)
    _settle_dtypes(trainer.model, compute_dtype(run.base_model))
    config = trainer.model.peft_config["default"]
    config.base_model_name_or_path = run.base_model.id
    # PEFT has a set, which each process would write in another order: the same adapter, and another file.
    config.target_modules = sorted(config.target_modules)
    return trainer


def _settle_dtypes(model: torch.nn.Module, dtype: torch.dtype) -> None:
    """Undo what TRL and PEFT do with the adapter's precision where ``dtype`` is computed in."""
    if dtype is torch.float16:
        # TRL has QLoRA's adapter in bfloat16, in which gradients cannot be scaled.
        for weights in filter(lambda weights: weights.requires_grad, model.parameters()):
            weights.data = weights.data.float()
    if dtype.itemsize < 4:
        # Autocast has LoRA's products in the base's dtype anyway; PEFT would cast their inputs to float32 first.
        for module in model.modules():
            if isinstance(module, LoraLayer):
                module.cast_input_dtype_enabled = False


def row_tensors(texts: list[TokenisedText]) -> dict:
    """The questions of a forward pass as tensors (1, tokens), and their layout."""
    return {name: values if name == "layout" else torch.tensor([values]) for name, values in build_row(texts).items()}


def row_beside_base(texts: list[TokenisedText], kl_on: str) -> dict:
    """As ``row_tensors``, and as ``reference`` the row of those whose replies the base model weighs too, if any."""
    held = [text for text in texts if text.replay or kl_on == "all"]
    return row_tensors(texts) | ({"reference": row_tensors(held)} if held else {})


def _lora_config(run: LoraRun) -> LoraConfig:
    settings = run.settings
    targets = settings.target_modules
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
    )


def _sft_config(run: LoraRun, steps: int, passes: Passes, folder: Path) -> SFTConfig:
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
        dataloader_pin_memory=False,  # which takes longer than to copy a row as it is
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
