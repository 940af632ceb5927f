"""How long a training takes on this machine: a few steps of it, on a model of the same widths but few layers.

Weights are drawn at random: speed does not depend on them, and none is read.
"""

import copy
import tempfile
import time
from itertools import islice, pairwise
from operator import truediv
from pathlib import Path
from statistics import median

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel, TrainerCallback

from trainer.rows.batches import TokenisedText, cut_rows, row_size
from trainer.run import LoraRun
from trainer.study.base_model import compute_dtype, load_skeleton
from trainer.training.memory import take_gpu
from trainer.training.passes import Passes
from trainer.training.progress import StepReport
from trainer.training.row_shapes import fill_up
from trainer.training.row_trainer import build_trainer

_LAYERS = {"cpu": (1, 3), "cuda": (2, 8)}  # a GPU's times differ by more from step to step than a layer takes
_QUANTISED = (
    1.13  # times as long with weights in 4 bits, which random ones are not. Measured (tests/bench/test_trainer.py)
)
# A layer's share of capturing a graph: Python launches each kernel once more. 0.3 s for 28 layers, on one H100.
_CAPTURE_S = 0.011
_TRIED = 12  # steps, of which the first compiles, and the others are timed
ENOUGH_S = 20.0  # no step begins after so long, once one has been timed


def trial_seconds(
    run: LoraRun, tokenizer, steps: list[list[TokenisedText]], passes: Passes, enough_s: float = ENOUGH_S
) -> float:
    """What all ``steps`` will take, in seconds, the first one's compiling included as it is met here.

    The first and more are run through models of two depths, through each for ``enough_s`` seconds after the first and
    as long as one more takes, or until twelve are done.

    Raises:
        RuntimeError: the model cannot be trained here, for lack of memory for one.
    """
    layers = load_skeleton(run.base_model).config.get_text_config().num_hidden_layers
    # Rows of one shape: those of the first steps.
    few = steps[:_TRIED]
    depths = _LAYERS["cuda" if torch.cuda.is_available() else "cpu"]
    depths = depths if layers > max(depths) else (layers,)
    times = [_timed(run, tokenizer, few, passes, depth, enough_s) for depth in depths]
    tokens = _tokens(few, passes)
    less, more = (_seconds_a_token(seconds, tokens) for seconds in (times[0], times[-1]))
    seconds_a_token = more
    if len(depths) > 1:
        seconds_a_token += max(0.0, more - less) / (depths[1] - depths[0]) * (layers - depths[1])
    if run.quantisation != "none":
        seconds_a_token *= _QUANTISED
    computed = seconds_a_token * sum(_tokens(steps, passes))
    # The first step has captured one graph, and each further length takes one of its own.
    captured = _CAPTURE_S * layers * (len(set(_rows(steps, passes))) - 1) if passes.cuda_graphs else 0.0
    return times[0][0] + computed + captured


def _seconds_a_token(seconds: list[float], tokens: list[int]) -> float:
    """Of the middle one of the steps after the first: one that captures another shape tells nothing of the others."""
    return median(map(truediv, seconds[1:] or seconds, tokens[1:] or tokens))


def _tokens(steps: list[list[TokenisedText]], passes: Passes) -> list[int]:
    """Tokens that each step computes, padding included."""
    rows = iter(_rows(steps, passes))
    return [sum(islice(rows, len(cut_rows([step], passes.micro_batch_size)))) for step in steps]


def _rows(steps: list[list[TokenisedText]], passes: Passes) -> list[int]:
    """Tokens that each row computes, padding included."""
    sizes = [row_size(texts) for texts in cut_rows(steps, passes.micro_batch_size)]
    return [tokens for tokens, _ in (fill_up(sizes) if passes.cuda_graphs else sizes)]


def _timed(
    run: LoraRun, tokenizer, steps: list[list[TokenisedText]], passes: Passes, layers: int, enough_s: float
) -> list[float]:
    """Seconds of each step through a model of so many layers."""
    ends = [0.0]

    class Clock(TrainerCallback):
        def on_pre_optimizer_step(self, args, state, control, **_):
            # What Python does meanwhile is longer than few layers take, and would hide how long each of them does.
            if torch.cuda.is_available():
                torch.cuda.synchronize()

        def on_step_end(self, args, state, control, **_):
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            ends.append(time.perf_counter())
            control.should_training_stop |= len(ends) > 2 and ends[-1] - ends[1] > enough_s

    with tempfile.TemporaryDirectory() as folder:
        model = _shallow_model(run, layers)
        report = StepReport("", [1] * len(steps), visible=False)
        trainer = build_trainer(run, tokenizer, steps, Path(folder), report, passes, model)
        trainer.args.save_strategy = "no"
        # As fast, and at no rate can these weights become numbers that would end the trial.
        trainer.args.learning_rate = 0.0
        trainer.add_callback(Clock())
        ends[0] = time.perf_counter()
        trainer.train()
    del trainer, model
    take_gpu(run.conduct.gpu_memory_gb)
    return [after - before for before, after in pairwise(ends)]


def _shallow_model(run: LoraRun, layers: int) -> PreTrainedModel:
    """The base model's first layers, with weights at random on the device."""
    config = copy.deepcopy(load_skeleton(run.base_model).config)
    text = config.get_text_config()
    text.num_hidden_layers = layers
    if getattr(text, "layer_types", None):
        text.layer_types = text.layer_types[:layers]
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        return AutoModelForCausalLM.from_config(config, dtype=compute_dtype(run.base_model), trust_remote_code=False)
