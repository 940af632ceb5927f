"""``--find-lr``: a short training at a learning rate that grows from step to step, and what it proposes.

Smith 2017, "Cyclical Learning Rates for Training Neural Networks" (arXiv 1506.01186), section 3.3: the range test. As
fastai does it: the rate grows exponentially, losses are smoothed, and a tenth of the rate is proposed from which on the
loss rises. fastai takes the lowest loss for that rate; here losses are level for a decade before they rise, and the
lowest lies anywhere in it.
"""

import json
import math
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from trainer.machine.processes import processes
from trainer.run import Conduct, LoraRun
from trainer.study.base_model import check_memory, load_tokenizer
from trainer.study.experiment import ExperimentError
from trainer.training.memory import take_gpu
from trainer.training.plan import plan, plan_passes
from trainer.training.progress import StepReport
from trainer.training.row_trainer import build_trainer

STEPS = 100
LOWEST, HIGHEST = 1e-5, 1e-1  # LoRA's rates lie between, those of full fine-tuning below
_QUESTIONS = 8  # a step at most: it bounds the time, and smoothing makes up for it
_REACH = 5  # steps to either side that a loss is smoothed with; an average over steps before alone would lag behind
_OVER = 4.0  # times the lowest smoothed loss, beyond which fastai ends the sweep too
_FALL = 0.1  # the share by which the loss must have fallen: less is what batches differ by
_RULE = 10.0  # of the rate at which the loss rises, as fastai has it
FILE = "find-lr.json"


@dataclass(frozen=True)
class Sweep:
    """The learning rate and the loss of every step, and the losses smoothed."""

    rates: list[float]
    losses: list[float]

    @property
    def smoothed(self) -> list[float]:
        """Means of logarithms over eleven steps: batches differ by factors."""
        logs = [math.log(max(loss, 1e-6)) for loss in self.losses]
        near = (logs[max(0, place - _REACH) : place + _REACH + 1] for place in range(len(logs)))
        return [math.exp(fmean(some)) for some in near]

    @property
    def rises_at(self) -> float | None:
        """The rate from which on the loss has lost half of its fall again, counted in logarithms.

        None where it never fell by a tenth.
        """
        smoothed = self.smoothed
        lowest = min(range(len(smoothed)), key=smoothed.__getitem__)
        start = max(smoothed[: lowest + 1])
        if smoothed[lowest] > (1 - _FALL) * start:
            return None
        half = math.sqrt(start * smoothed[lowest])
        return max(rate for rate, loss in zip(self.rates, smoothed, strict=True) if loss <= half)

    @property
    def proposed(self) -> float | None:
        """To two digits."""
        return None if self.rises_at is None else float(f"{self.rises_at / _RULE:.1e}")


class _RisingRate(StepReport):
    """Sets the rate before every step, and ends the sweep where the loss has left its lowest far behind."""

    def __init__(self, label: str, step_tokens: list[int], *, visible: bool):
        super().__init__(label, step_tokens, visible=visible)
        last = len(step_tokens) - 1
        self.rates = [LOWEST * (HIGHEST / LOWEST) ** (step / last) for step in range(len(step_tokens))]

    def on_step_begin(self, args, state, control, optimizer=None, **_):
        for group in optimizer.param_groups:
            group["lr"] = self.rates[state.global_step]

    def on_log(self, args, state, control, logs=None, **_):
        names = ("loss",) if args.fp16 else ("loss", "grad_norm")  # as in ``StepReport``
        if "loss" in logs and not all(math.isfinite(logs.get(name, 0.0)) for name in names):
            control.should_training_stop = True
            return
        super().on_log(args, state, control, logs)
        smoothed = self.sweep.smoothed[: -_REACH or None]
        if smoothed and smoothed[-1] > _OVER * min(smoothed):
            control.should_training_stop = True

    def _trouble(self) -> str:
        """Nothing: a sweep ends where training diverges, by design."""
        return ""

    @property
    def sweep(self) -> Sweep:
        return Sweep(self.rates[: len(self.losses)], self.losses)


def find_learning_rate(run: LoraRun, *, show_progress: bool = False) -> Sweep:
    """A hundred steps of ``run``'s training at rates from 1e-5 to 1e-1. Nothing that is trained is kept.

    Raises:
        ExperimentError: what would stop the training itself before its first step; the loss is no number at once.
    """
    main = processes().is_main_process
    check_memory(run.base_model)
    tokenizer = load_tokenizer(run.base_model)
    swept = _swept(run)
    steps, _ = plan(swept, tokenizer)
    steps = (steps * -(-STEPS // len(steps)))[:STEPS]
    take_gpu(run.conduct.gpu_memory_gb)
    passes, _ = plan_passes(swept, steps)
    tokens = [sum(len(text.tokens) for text in step) for step in steps]
    report = _RisingRate(f"{run.adapter}, learning rates", tokens, visible=show_progress and main)
    with tempfile.TemporaryDirectory() as folder:
        trainer = build_trainer(swept, tokenizer, steps, Path(folder), report, passes)
        trainer.args.save_strategy = "no"
        try:
            trainer.train()
        finally:
            report.close()
    if len(report.losses) <= _REACH:
        raise ExperimentError(
            f"{run.label}: the loss is no number at a learning rate of {report.rates[len(report.losses)]:.0e}."
        )
    return report.sweep


def _swept(run: LoraRun) -> LoraRun:
    """``run`` in small steps, without schedule, and with nothing to keep."""
    size = min(run.settings.batch_size, _QUESTIONS * processes().num_processes)
    settings = {"scheduler": "constant", "warmup_steps": 0, "batch_size": size, "micro_batch_size": 0}
    conduct = Conduct(gpu_memory_gb=run.conduct.gpu_memory_gb)
    return replace(run, settings=run.settings.model_copy(update=settings), conduct=conduct)


def write_sweep(run: LoraRun, sweep: Sweep, folder: Path) -> Path:
    """Put ``sweep`` into ``folder/find-lr.json``, beside those of other configurations, and return the path."""
    path = folder / FILE
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        known = known if isinstance(known, dict) else {}
    except (OSError, ValueError):
        known = {}
    known[f"{run.adapter}-seed{run.seed}"] = {
        "proposed": sweep.proposed,
        "configured": run.settings.learning_rate,
        "rises_at": sweep.rises_at,
        "rates": sweep.rates,
        "losses": sweep.losses,
        "smoothed": sweep.smoothed,
    }
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
    return path
