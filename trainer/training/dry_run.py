"""``--dry-run``: what a training would do and take, without loading a weight."""

from trainer.keeping.state import adapter_state
from trainer.rows.batches import TokenisedText, cut_rows, row_size
from trainer.rows.texts import with_values
from trainer.run import LoraRun
from trainer.study.dequantised import dequantised_from, dequantised_words
from trainer.study.settings import PromptSettings
from trainer.training.passes import Passes
from trainer.training.plan import plan, plan_passes


def describe(run: LoraRun, tokenizer) -> str:
    """The resolved settings, questions, tokens and steps, and the memory and time to expect, in a few lines.

    Raises:
        ExperimentError: what would stop the training before its first step.
    """
    steps, dropped = plan(run, tokenizer)
    passes, peak = plan_passes(run, steps)
    rows = [row_size(texts)[0] for texts in cut_rows(steps, passes.micro_batch_size)]
    beside_sql = set() if run.settings.kl_weight else {"kl_weight", "kl_on"}
    settings = run.settings.model_dump(mode="json", exclude={"replay", "prompt", *beside_sql}) | {
        "micro_batch_size": passes.micro_batch_size,
        "gradient_checkpointing": passes.gradient_checkpointing,
    }
    left_out = f" ({', '.join(dropped[:5])}{', ...' if len(dropped) > 5 else ''})" if dropped else ""
    return "\n".join(
        [
            f"{run.label}: {adapter_state(run)}, in {run.output_dir}",
            f"  base model {_base_model(run)}, quantisation {run.quantisation}",
            "  " + ", ".join(f"{name} {value}" for name, value in settings.items()),
            f"  {len(run.texts):,} questions, {len(dropped):,} too long{left_out}",
            f"  {len(steps):,} steps, {_tokens(steps):,} tokens, of which {sum(rows):,} are computed",
            *_shown(run),
            *_replay(run, steps),
            f"  memory: about {peak / 2**30:.1f} GiB; time: {expected_time(run, tokenizer, steps, passes)}",
        ]
    )


def _base_model(run: LoraRun) -> str:
    base = run.base_model
    return ", ".join(filter(None, (base.name, dequantised_words(dequantised_from(base)))))


def _tokens(steps: list[list[TokenisedText]]) -> int:
    return sum(len(text.tokens) for step in steps for text in step)


def _shown(run: LoraRun) -> list[str]:
    """What prompts show beside tables and columns, and one that does; nothing where they show what is usual."""
    if run.prompt == PromptSettings():
        return []
    example = next((text for text in run.texts if with_values([text])), run.texts[0])
    shown = example.prompt.messages[-1].content.splitlines()
    return [
        f"  prompts show {run.prompt.said}; {with_values(run.texts):,} questions have values that they may mean",
        *(f"  | {line}" for line in [f"{example.id}:", *shown]),
    ]


def _replay(run: LoraRun, steps: list[list[TokenisedText]]) -> list[str]:
    """How much replay there is, and what is to be said of it; nothing where there is none."""
    if run.replay is None:
        return []
    drawn = [text for step in steps for text in step if text.replay]
    tokens = sum(len(text.tokens) for text in drawn)
    line = f"  replay: {len(drawn):,} texts, {tokens:,} of the tokens ({tokens / _tokens(steps):.1%})"
    return [line, *(f"  {more}" for more in run.replay.told)]


def expected_time(
    run: LoraRun, tokenizer, steps: list[list[TokenisedText]], passes: Passes, *, enough_s: float | None = None
) -> str:
    """What all steps will take on this machine, in words, from some of them, as ``trial_seconds`` has it."""
    import torch

    if run.base_model.memory_gb and not torch.cuda.is_available():
        return "needs a GPU"
    from trainer.training.trial import ENOUGH_S, trial_seconds

    try:
        seconds = trial_seconds(run, tokenizer, steps, passes, enough_s or ENOUGH_S)
    except RuntimeError as error:
        return f"unknown, as a few steps of it failed: {str(error).partition(chr(10))[0]}"
    return f"about {seconds / 60:.0f} min" if seconds > 90 else f"about {max(1, seconds):.0f} s"
