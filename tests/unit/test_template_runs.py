"""Whole runs on the miniature with another template and other ends: the same replies, none of them an old one."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.processes import run_pytest
from trainer.study.experiment import EXPERIMENTS

pytestmark = pytest.mark.slow

MINIATURE = Path("fixtures/miniature/model")
QUESTIONS = 16
# As its own, but for the end of a turn, which it does not ask the tokenizer for.
OWN_END = (MINIATURE / "chat_template.jinja").read_text().replace("eos_token", "'<|end|>'")


class Run(NamedTuple):
    """A run that has ended: its replies by question, what it said, its summary, and how many answers are kept."""

    replies: dict[str, str]
    said: str
    summary: dict
    stored: int


@pytest.fixture(scope="module")
def run(pytestconfig) -> Callable[..., Run]:
    """``run(folder, max_new_tokens=96)`` asks the base model in ``folder/model`` and puts its results in ``folder``."""

    def made(folder: Path, max_new_tokens: int = 96) -> Run:
        text = (EXPERIMENTS / "miniature.toml").read_text()
        text = text.replace(str(MINIATURE), str(folder / "model"))
        (folder / "own.toml").write_text(text.replace("max_new_tokens = 96", f"max_new_tokens = {max_new_tokens}"))
        options = ["-m", "spider", "--adapter=base", f"--max-samples={QUESTIONS}"]
        paths = [f"--experiment={folder}/own.toml", f"--results={folder}/results"]
        done = run_pytest([*options, *paths], cwd=pytestconfig.rootpath)
        assert done.returncode == 0, done.stdout + done.stderr
        results = folder / "results" / "own"
        rows = [json.loads(line) for line in (results / "scores.jsonl").read_text().splitlines()]
        connection = sqlite3.connect(results / "answers.sqlite")
        (stored,) = connection.execute("SELECT count(*) FROM answers").fetchone()
        connection.close()
        replies = {row["question"]: row["reply"] for row in rows}
        return Run(replies, done.stdout, json.loads((results / "summary.json").read_text()), stored)

    return made


@pytest.fixture(scope="module")
def untouched(run, tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("untouched")
    shutil.copytree(MINIATURE, folder / "model")
    return run(folder)


def name_another_end(folder: Path) -> None:
    """Have the template write the end itself, and name padding as the end wherever one is named."""
    (folder / "model" / "chat_template.jinja").write_text(OWN_END)
    for name, key, value in (
        ("tokenizer_config.json", "eos_token", "<|pad|>"),
        ("config.json", "eos_token_id", 0),
        ("generation_config.json", "eos_token_id", 0),
    ):
        change(folder / "model" / name, key, value)


def change(path: Path, key: str, value) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))


def test_what_the_template_ends_a_turn_in_ends_a_reply(run, untouched, tmp_path):
    """Then the files are mended: what was answered under the old ones is not served."""
    shutil.copytree(MINIATURE, tmp_path / "model")
    name_another_end(tmp_path)
    odd = run(tmp_path)
    assert len(odd.replies) == QUESTIONS
    assert odd.replies == untouched.replies
    change(tmp_path / "model" / "generation_config.json", "eos_token_id", [0, 2])
    mended = run(tmp_path)
    assert mended.replies == untouched.replies
    assert mended.stored == 2 * odd.stored


def test_replies_that_were_cut_are_counted_and_said(run, untouched, tmp_path):
    shutil.copytree(MINIATURE, tmp_path / "model")
    cut = run(tmp_path, max_new_tokens=8)
    shorter = [name for name, reply in cut.replies.items() if reply != untouched.replies[name]]
    counted, before = (
        next(entry["cut"] for entry in one.summary["accuracies"] if entry["group"] == "all") for one in (cut, untouched)
    )
    assert counted == len(shorter) > before
    assert f"cut at the limit of new tokens: {counted}\n" in cut.said
    assert "Raise spider.max_new_tokens in the experiment." in cut.said
