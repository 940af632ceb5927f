"""The chat template: what it keeps, where a reply ends, whose clock it reads, and what it may cost."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from trainer.study.base_model import load_end_tokens, load_tokenizer
from trainer.study.experiment import ExperimentError
from trainer.study.settings import BaseModelSettings

MINIATURE = Path("fixtures/miniature/model")
TURNS = [{"role": "user", "content": "Q"}]


def chat(content: str) -> str:
    """A template that writes ``content`` of every message, an expression, and the miniature's own end of turn."""
    return (
        "{% for m in messages %}{{ '<|' + m.role + '|>' + "
        + content
        + " + '<|end|>' }}{% endfor %}{{ '<|assistant|>' if add_generation_prompt }}"
    )


@pytest.fixture
def with_template(tmp_path):
    """``with_template(text, **settings)``: the miniature with that template; whatever names its end names padding."""

    def made(template: str, **settings) -> BaseModelSettings:
        folder = shutil.copytree(MINIATURE, tmp_path / "model", dirs_exist_ok=True)
        (folder / "chat_template.jinja").write_text(template)
        for name in ("config.json", "generation_config.json", "tokenizer_config.json"):
            values = json.loads((folder / name).read_text())
            key, value = ("eos_token", "<|pad|>") if name.startswith("tokenizer") else ("eos_token_id", 0)
            (folder / name).write_text(json.dumps(values | {key: value}))
        return BaseModelSettings(id=str(folder), **settings)

    return made


def written(settings: BaseModelSettings) -> str:
    return load_tokenizer(settings).apply_chat_template(TURNS, add_generation_prompt=True, tokenize=False)


def test_the_end_of_a_turn_joins_the_stop_tokens(with_template):
    settings = with_template(chat("m.content"))
    assert load_end_tokens(settings, load_tokenizer(settings)) == [0, 2]


@pytest.mark.parametrize(
    "content",
    ["''", "m.content | lower", "m.content | e", "m.content[:30]", "(m.content if loop.last else '')"],
)
def test_a_template_that_does_not_keep_what_was_said_is_refused(with_template, content):
    with pytest.raises(ExperimentError, match=r'drops or changes .*chat_template = "plain"'):
        load_tokenizer(with_template(chat(content)))


def test_a_template_of_content_parts_is_given_parts(with_template):
    parts = "(m.content | selectattr('type', 'equalto', 'text') | map(attribute='text') | join)"
    assert written(with_template(chat(parts))) == "<|user|>Q<|end|><|assistant|>"


def test_the_date_is_the_studys(with_template):
    dated = "{{ strftime_now('%d %b %Y, %B') }}" + chat("m.content")
    assert written(with_template(dated)).startswith("26 Jul 2024, July<|user|>")
    assert written(with_template(dated, date="2025-03-01")).startswith("01 Mar 2025, March<|user|>")


def test_arguments_reach_the_template_and_a_typing_error_is_named(with_template):
    template = chat("m.content") + "{% if enable_thinking is defined and enable_thinking is false %}!{% endif %}"
    assert written(with_template(template, template_arguments={"enable_thinking": False})).endswith("!")
    with pytest.raises(ExperimentError, match="reads no 'enable_thinkng'. Did you mean 'enable_thinking'"):
        load_tokenizer(with_template(template, template_arguments={"enable_thinkng": False}))


@pytest.mark.parametrize(
    "bomb",
    [
        "{% for i in range(10**9) %}{% endfor %}",
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{{ 'x' * 10**10 }}",
        "{{ 9 ** (9 ** 9) }}",
        "{{ 'x' | center(10**10) }}",
        "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}",
        "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    ],
)
def test_a_template_that_takes_too_much_is_refused_in_time(with_template, bomb):
    start = time.monotonic()
    with pytest.raises(ExperimentError, match="cannot be used"):
        load_tokenizer(with_template(bomb + chat("m.content")))
    assert time.monotonic() - start < 20


def test_no_answer_on_standard_input_runs_a_models_code(tmp_path):
    folder = shutil.copytree(MINIATURE, tmp_path / "model")
    values = json.loads((folder / "config.json").read_text()) | {"model_type": "theirs"}
    values["auto_map"] = {"AutoConfig": "theirs.Config", "AutoModelForCausalLM": "theirs.Model"}
    (folder / "config.json").write_text(json.dumps(values))
    (folder / "theirs.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    code = (
        "from trainer.study.base_model import *; from trainer.study.experiment import BaseModelSettings\n"
        f"load_skeleton(BaseModelSettings(id={str(folder)!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], input="y\ny\n", capture_output=True, text=True, timeout=120)
    assert "which is never run" in done.stderr
    assert not (tmp_path / "ran").exists()
