"""What others wrote is text wherever it is shown: no terminal, CI runner or Markdown reader obeys it."""

import json
import os
import re
import subprocess
import sys

import pytest

from fixtures.questions.plain import fenced, markdown, plain
from trainer.study.outside import harmless

PAYLOADS = [
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x9b31m",
    "a\rb\x08c\x7f",
    "\u202egpj.exe\u2066",
    "::error::stop",
    "x\n::set-output name=a::b",
    "  ::add-mask::secret",
    "##[error]stop",
    "text ##[group]more",
    "<script>alert(1)</script>",
    "[link](https://example.org) ![image](x) `code` | cell",
    "```\n# heading",
    "www.example.org @someone #1",
]
SPIDER = "fixtures/miniature/spider"


@pytest.mark.parametrize("text", PAYLOADS)
def test_lines_hold_no_command(text):
    said = harmless(f"first\n{text}\nlast")
    assert all(character.isprintable() or character == "\n" for character in said)
    assert not any(line.lstrip().startswith("::") for line in said.split("\n"))
    assert "##[" not in said
    assert said.count("\n") == text.count("\n") + 2


@pytest.mark.parametrize("text", PAYLOADS)
def test_markdown_reads_as_it_is_written(text):
    import html

    said = markdown(text)
    assert html.unescape(said) == plain(text)
    assert not re.search(r"[`\[\]<>|*_@:/]|www\.", said)


def test_nothing_ends_a_block_of_code():
    said = fenced("a\n````\nb ``` c")
    assert said.split("\n")[0] == "`````text" and said.endswith("\n`````")


@pytest.fixture(scope="module")
def ended(tmp_path_factory, pytestconfig):
    """A run on recorded predictions that hold every payload, with ``GITHUB_STEP_SUMMARY``; and a foreign experiment."""
    folder = tmp_path_factory.mktemp("outside")
    dev = json.loads((pytestconfig.rootpath / SPIDER / "dev.json").read_text(encoding="utf-8"))
    replies = [{"index": n, "reply": f"{PAYLOADS[n % len(PAYLOADS)]} SELECT '{n}"} for n in range(len(dev))]
    (folder / "recorded.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in replies))
    experiment = (pytestconfig.rootpath / "trainer/experiments/miniature.toml").read_text(encoding="utf-8")
    lines = [line for line in experiment.split("\n") if not line.startswith("note")]
    note = 'note = "one \\n::error::two \\u001b[31m ##[error]three ``` four"'
    (folder / "own.toml").write_text("\n".join([note, *lines]))
    command = [sys.executable, "-m", "pytest", "-m", "spider", "--max-samples=8", f"--results={folder}/results"]
    command += [f"--adapter={folder}/recorded.jsonl", f"--experiment={folder}/own.toml", f"--junitxml={folder}/j.xml"]
    own = {**os.environ, "GITHUB_STEP_SUMMARY": str(folder / "step.md")}
    run = subprocess.run(command, cwd=pytestconfig.rootpath, env=own, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout, (folder / "step.md").read_text(encoding="utf-8"), folder


def test_a_runs_terminal_and_step_summary_hold_none(ended):
    printed, step, _ = ended
    for text in (printed, step):
        assert not [line for line in text.split("\n") if line.lstrip().startswith("::")]
        assert "##[" not in text
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    assert "wrong: recorded" in printed


def test_an_error_of_the_command_line_is_text_too(ended, pytestconfig):
    command = [sys.executable, "-m", "pytest", "-m", "spider", "--adapter=\x1b[31m\n::error::x", "--max-samples=2"]
    run = subprocess.run(command, cwd=pytestconfig.rootpath, capture_output=True, text=True)
    assert run.returncode == 4
    assert "\x1b[31m" not in run.stderr
    assert not [line for line in run.stderr.split("\n") if line.lstrip().startswith("::")]
