"""``--push``: a finished adapter to the Hugging Face Hub, with its card."""

from pathlib import Path

from trainer.keeping.state import adapter_state
from trainer.run import LoraRun
from trainer.study.dequantised import dequantised_from, dequantised_words
from trainer.study.experiment import ExperimentError

# What PEFT writes to be filled in, which says nothing of this adapter.
EMPTY_CARD = "# Model Card for Model ID"


def push_adapter(run: LoraRun, hub_id: str) -> str:
    """Upload the adapter's folder to the repository ``hub_id``, made private where there is none, and return its URL.

    Weights, PEFT's config, ``run.json`` and the card go; kept checkpoints stay. The card is the one that an evaluation
    wrote, or says that nothing was measured yet.

    Raises:
        ExperimentError: it is not trained yet, or the Hub refuses.
    """
    if adapter_state(run) != "ready":
        raise ExperimentError(f"{run.label} is not trained with these settings yet. Run first: {run.command}")
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    _write_card(run, run.output_dir / "README.md")
    api = HfApi()
    try:
        url = api.create_repo(hub_id, private=True, exist_ok=True)
        api.upload_folder(
            repo_id=hub_id,
            folder_path=run.output_dir,
            allow_patterns=["*.safetensors", "*.json", "README.md", ".eval_results/*.yaml"],
            ignore_patterns=["checkpoints/*"],
            commit_message=f"{run.label} of experiment {run.experiment}",
        )
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ExperimentError(
            f"--push {hub_id}: {reason} (Is it OWNER/NAME, and may your token write there? hf auth login)"
        ) from None
    return str(url)


def _write_card(run: LoraRun, path: Path) -> None:
    if path.is_file() and EMPTY_CARD not in path.read_text(encoding="utf-8"):
        return
    from huggingface_hub import ModelCardData

    # A folder or file of this machine is nobody else's base model.
    own = run.base_model.folder or run.base_model.id.endswith(".gguf")
    base, words = None if own else run.base_model.id, dequantised_words(dequantised_from(run.base_model))
    data = ModelCardData(
        base_model=base, library_name="peft", pipeline_tag="text-generation", tags=["text-to-sql", "lora", "spider"]
    )
    settings = run.settings
    text = (
        f"# {run.experiment}: {run.label}\n\nA LoRA adapter for text-to-SQL: `{run.base_model.name}`"
        f"{words and f' ({words})'} fine-tuned on "
        f"Spider (rank {settings.rank}, alpha {settings.alpha:g}, learning rate {settings.learning_rate:g}, "
        f"{settings.epochs:g} epochs). `run.json` holds every setting.\n\nNot measured yet: neither what the "
        "specialisation gained nor what it cost.\n"
    )
    path.write_text(f"---\n{data.to_yaml()}\n---\n\n{text}", encoding="utf-8")
