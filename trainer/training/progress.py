"""What happens beside the steps of a training: the progress bar, the loss curve, adapters kept on the way."""

import math
import time
from pathlib import Path

from transformers import TrainerCallback

from trainer.keeping.checkpoints import last_checkpoint
from trainer.keeping.state import TrainingFailed
from trainer.keeping.weights import adapter_weights
from trainer.machine.progress_line import ProgressLine, duration
from trainer.training.health import explained, judge_curve

_BESIDE = {"replay_loss": "replay", "kl": "KL"}  # as a log has it, and as the bar shows it


def _beside(logs: dict) -> str:
    return "".join(f", {shown} {logs[name]:.3f}" for name, shown in _BESIDE.items() if name in logs)


class StepReport(TrainerCallback):
    """Keeps every step's loss and gradient norm, and shows a bar with loss, speed, time left and what goes wrong.

    ``step_tokens`` are the tokens of each step's questions, prompts included. A loss that is no number ends it all.
    """

    def __init__(self, label: str, step_tokens: list[int], *, visible: bool):
        self.losses: list[float] = []
        self.grad_norms: list[float] = []  # before they are clipped
        self._logs: list[dict] = []
        self.seconds = 0.0  # of training, before a resumption too
        self.first_step_s = 0.0  # from the start, or a resumption, to the end of the first step
        self.resumed_after_step = 0
        self._label, self._step_tokens, self._visible = label, step_tokens, visible
        self._wrong = False
        self._told_left = False  # the first time in a log, too, which else has a line a minute

    @property
    def tokens(self) -> int:
        """Questions' tokens of all steps, the schema counted for each question."""
        return sum(self._step_tokens)

    @property
    def beside_loss(self) -> dict[str, list[float | None]]:
        """Replay's loss and the divergence of every step, where there are such; None in a step without any."""
        found = {name: [entry.get(name) for entry in self._logs] for name in _BESIDE}
        return {name: values for name, values in found.items() if any(value is not None for value in values)}

    @property
    def tokens_per_s(self) -> float:
        """Of the steps so far, counted in the same way."""
        return sum(self._step_tokens[: len(self.losses)]) / self.seconds if self.seconds else 0.0

    def on_train_begin(self, args, state, control, **_):
        self._start = time.monotonic()
        self.resumed_after_step = state.global_step
        logged = [entry for entry in state.log_history if "loss" in entry]
        self.losses = [entry["loss"] for entry in logged]
        self.grad_norms = [entry.get("grad_norm", math.nan) for entry in logged]
        self._logs = logged
        self._seconds_before = state.log_history[-1]["seconds"] if self.losses else 0.0
        total, before = len(self._step_tokens), state.global_step
        self._bar = ProgressLine(total, self._label, "step", done=before, visible=self._visible)

    def on_log(self, args, state, control, logs=None, **_):
        if "loss" not in (logs or {}):
            return
        self.losses.append(logs["loss"])
        self.grad_norms.append(logs.get("grad_norm", math.nan))
        self._logs.append(dict(logs))
        since_start = time.monotonic() - self._start
        self.first_step_s = self.first_step_s or since_start
        self.seconds = self._seconds_before + since_start
        state.log_history[-1]["seconds"] = self.seconds  # a checkpoint keeps it
        wrong, left = self._trouble(), self._left(since_start)
        # What is wrong comes first: a narrow terminal cuts the end.
        self._bar.update(
            f"{wrong and f'CAREFUL: {wrong}, '}loss {logs['loss']:.3f}{_beside(logs)}, "
            f"{self.tokens_per_s:,.0f} tokens/s{left}",
            now=bool(wrong) is not self._wrong or bool(left) is not self._told_left,
        )
        self._wrong, self._told_left = bool(wrong), bool(left)
        # In float16 the gradients of some steps overflow by design: the scaler skips those and scales less.
        for name in ("loss",) if args.fp16 else ("loss", "grad_norm"):
            if not math.isfinite(logs.get(name, 0.0)):
                raise TrainingFailed(self._not_finite(name, logs[name], Path(args.output_dir)))

    def _trouble(self) -> str:
        """What is going wrong, in words."""
        return explained(judge_curve(self.losses, self.grad_norms, ended=False), ended=False)

    def _left(self, since_start: float) -> str:
        """The time to the end, from the third step on: the first compiles kernels, and tells nothing of the others."""
        done, first = len(self.losses), self.resumed_after_step + 1
        if done < first + 2:
            return ""
        speed = sum(self._step_tokens[first:done]) / (since_start - self.first_step_s)
        seconds = sum(self._step_tokens[done:]) / speed
        return f", {duration(seconds)} left"

    def _not_finite(self, name: str, value: float, folder: Path) -> str:
        kept = last_checkpoint(folder)
        before = f"The checkpoint before it is kept: {str(kept)!r}. " if kept else ""
        return (
            f"{self._label}: the {name} is {value} at step {len(self.losses)}. {before}"
            "Lower learning_rate (--find-lr proposes one) or raise warmup_steps, and add --overwrite."
        )

    def close(self) -> None:
        """Take the bar off the terminal's current line, also after a failure."""
        if hasattr(self, "_bar"):
            self._bar.close()


class SaveAdapters(TrainerCallback):
    """Keeps the adapter of every ``save_steps`` steps as ``checkpoints/step-N``, a PEFT folder like the final one."""

    def __init__(self, folder: Path, save_steps: int):
        self._folder, self._save_steps = folder, save_steps

    def on_step_end(self, args, state, control, model=None, **_):
        if state.global_step % self._save_steps == 0:
            weights = adapter_weights(model)
            if state.is_world_process_zero:
                folder = self._folder / "checkpoints" / f"step-{state.global_step}"
                model.save_pretrained(folder, state_dict=weights)
