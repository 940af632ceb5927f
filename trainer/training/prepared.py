"""``--prepare-only``: what the model is trained on and asked, as text, for people and other tools to read."""

import json
from collections.abc import Iterable
from pathlib import Path

from trainer.rows.texts import TrainingText, as_texts
from trainer.run import LoraRun
from trainer.spider.folder import open_spider


def write_prepared(run: LoraRun, tokenizer, folder: Path) -> list[Path]:
    """Write ``train_formatted.jsonl`` and ``dev_formatted.jsonl`` into ``folder`` and return their paths.

    A line has ``id``, ``db_id``, the chat ``messages`` with the SQL as the last one, and ``prompt`` and ``completion``
    as the model's template writes them: the ones that ``tokens`` counts and loss is taken on. Dev questions are those
    that adapters are asked; no training sees their SQL.
    """
    folder.mkdir(parents=True, exist_ok=True)
    spider = open_spider(run.spider)
    texts = {"train": run.texts, "dev": as_texts(spider, spider.dev())}
    paths = {name: folder / f"{name}_formatted.jsonl" for name in texts}
    for name, path in paths.items():
        path.write_text("".join(f"{json.dumps(line)}\n" for line in _lines(texts[name], tokenizer)), encoding="utf-8")
    return list(paths.values())


def _lines(texts: list[TrainingText], tokenizer) -> Iterable[dict]:
    for text in texts:
        messages = [message._asdict() for message in text.prompt.messages]
        solved = [*messages, {"role": "assistant", "content": text.completion}]
        prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        whole = tokenizer.apply_chat_template(solved, tokenize=False)
        yield {
            "id": text.id,
            "db_id": text.group,
            "messages": solved,
            "prompt": prompt,
            "completion": whole.removeprefix(prompt),
            "tokens": len(tokenizer(whole, add_special_tokens=False)["input_ids"]),
        }
