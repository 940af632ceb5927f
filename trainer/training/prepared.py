"""``--prepare-only``: what the model is trained on and asked, as text, for people and other tools to read."""

import json
from collections.abc import Iterable
from pathlib import Path

from trainer.rows.batches import TokenisedText, as_tokens, check_taught_end, write_solved
from trainer.rows.texts import TrainingText, as_texts
from trainer.run import LoraRun
from trainer.study.base_model import load_end_tokens


def write_prepared(run: LoraRun, tokenizer, folder: Path) -> list[Path]:
    """Write ``train_formatted.jsonl`` and ``dev_formatted.jsonl`` into ``folder`` and return their paths.

    A line has ``id``, ``db_id``, the chat ``messages`` with the SQL as the last one, and ``prompt`` and ``completion``
    as the model's template writes them: the ones that ``tokens`` counts and loss is taken on. Dev questions are those
    that adapters are asked; no training sees their SQL.

    Raises:
        ExperimentError: the template cannot write one of them, or would not teach where a reply ends.
    """
    spider = run.opened
    texts = {"train": run.texts, "dev": as_texts(spider, spider.dev(), run.prompt)}
    written = {name: write_solved(some, tokenizer) for name, some in texts.items()}
    tokens = {name: as_tokens(some, written[name], tokenizer) for name, some in texts.items()}
    check_taught_end(tokens["train"], load_end_tokens(run.base_model, tokenizer), tokenizer)
    paths = {name: folder / f"{name}_formatted.jsonl" for name in texts}
    folder.mkdir(parents=True, exist_ok=True)
    for name, path in paths.items():
        lines = _lines(texts[name], written[name], tokens[name])
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    return list(paths.values())


def _lines(texts: list[TrainingText], written: list[tuple[str, str]], tokenised: list[TokenisedText]) -> Iterable[dict]:
    for text, (prompt, whole), tokens in zip(texts, written, tokenised, strict=True):
        messages = [message._asdict() for message in text.prompt.messages]
        yield {
            "id": text.id,
            "db_id": text.group,
            "messages": [*messages, {"role": "assistant", "content": text.completion}],
            "prompt": prompt,
            "completion": whole.removeprefix(prompt),
            "tokens": len(tokens.tokens),
        }
