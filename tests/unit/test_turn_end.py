"""Where a reply ends: what the template writes there, what training teaches, and what evaluation cuts."""

import copy
import shutil
from pathlib import Path

import pytest

from tests.tiny_training import EXPERIMENT, SPIDER
from trainer.study.base_model import load_end_tokens, load_tokenizer
from trainer.study.chat_template import settle_template, template_notes, turn_end
from trainer.study.settings import BaseModelSettings

MINIATURE = BaseModelSettings(id="fixtures/miniature/model")


def template(end: str, user: str = "<|user|>", assistant: str = "<|assistant|>") -> str:
    return (
        "{% for m in messages %}{% if m.role == 'user' %}" + user + "{{ m.content }}{% else %}" + assistant + "{{ "
        "m.content }}" + end + "{% endif %}{% endfor %}{% if add_generation_prompt %}" + assistant + "{% endif %}"
    )


NO_END, IN_WORDS = template(""), template("\n### Human:", user="", assistant=" SQL: ")
BETWEEN = template("", user="{{ '\n### Human: ' }}", assistant="{{ '\n### SQL: ' }}")
RUNS_TOGETHER = template("", user="", assistant="")


@pytest.fixture(scope="module")
def miniature():
    return load_tokenizer(MINIATURE)


@pytest.fixture
def settled(miniature):
    """``settled(text)``: the miniature's tokenizer, settled on that template."""

    def made(text: str):
        tokenizer = copy.deepcopy(miniature)
        tokenizer.chat_template = text
        settle_template(MINIATURE, tokenizer)
        return tokenizer

    return made


@pytest.mark.parametrize(
    ("text", "token", "next_token", "cut", "note"),
    [
        (template("<|end|>\n"), "<|end|>", None, "", None),
        (template(" <|pad|>"), "<|pad|>", None, "", None),
        (NO_END, None, "<|user|>", "", "end before '<|user|>', which begins the next turn"),
        (IN_WORDS, None, None, "\n### Human:", "are cut at '\\n### Human:'"),
        (template("\n### Over<|end|>", user=""), None, None, "\n### Over", "are cut at '\\n### Over'"),
        (BETWEEN, None, None, "\n### Human:", "are cut at '\\n### Human:'"),
        (RUNS_TOGETHER, None, None, "", "or at max_new_tokens"),
    ],
)
def test_the_end_of_a_turn_is_found_and_what_has_none_of_its_own_is_named(settled, text, token, next_token, cut, note):
    tokenizer = settled(text)
    end = turn_end(tokenizer)
    named = [None if number is None else tokenizer.convert_ids_to_tokens(number) for number in end[:2]]
    assert [*named, end.text] == [token, next_token, cut]
    assert {end.token, end.next_token} - {None} <= set(load_end_tokens(MINIATURE, tokenizer))
    notes = template_notes(tokenizer)
    assert notes == [] if note is None else note in notes[0]


@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize("text", [IN_WORDS, BETWEEN])
def test_a_reply_does_not_hold_what_runs_on_behind_its_turn(settled, text, ended):
    import torch

    from fixtures.engines.answer_kinds import Replies
    from fixtures.engines.reply_rows import Continuation

    tokenizer = settled(text)
    kind = Replies(tokenizer, torch.tensor([2]), 64)
    going_on, short = (
        Continuation([*tokenizer(written, add_special_tokens=False)["input_ids"], 2][: None if ended else -1], ended)
        for written in ("SELECT 1\n### Human: And in 1999?\n### SQL: SELECT 2", "SELECT '### Human:'")
    )
    assert kind.answers([going_on, short]) == [
        {"reply": "SELECT 1", "cut": False},
        {"reply": "SELECT '### Human:'", "cut": not ended},
    ]


@pytest.fixture
def study(base_model, tmp_path) -> Path:
    """An experiment on a model of its own, whose template lies beside it."""
    folder = shutil.copytree(base_model, tmp_path / "model")
    path = tmp_path / "tiny.toml"
    path.write_text(EXPERIMENT.format(model=folder, spider=SPIDER))
    return path


@pytest.mark.parametrize("action", ["--dry-run", "--prepare-only", "cfg1"])
@pytest.mark.parametrize("text", [NO_END, IN_WORDS, BETWEEN])
def test_training_that_would_teach_no_end_is_refused(train, study, tmp_path, capsys, action, text):
    (study.parent / "model" / "chat_template.jinja").write_text(text)
    status, adapters = train(action, experiment=study, results=tmp_path / "results")
    error = capsys.readouterr().err
    assert status == 2
    assert "would never learn to stop" in error
    assert 'base_model.chat_template = "plain"' in error
    assert not [path for path in adapters.parent.rglob("*") if path.suffix in (".safetensors", ".jsonl")]


@pytest.mark.parametrize("action", ["--dry-run", "--prepare-only"])
def test_another_token_than_the_tokenizers_end_is_taught_and_stops(train, study, tmp_path, action):
    other = template("<|pad|>")
    (study.parent / "model" / "chat_template.jinja").write_text(other)
    status, _ = train(action, experiment=study, results=tmp_path / "results")
    assert status == 0
    settings = BaseModelSettings(id=str(study.parent / "model"))
    tokenizer = load_tokenizer(settings)
    pad = tokenizer.convert_tokens_to_ids("<|pad|>")
    assert pad in load_end_tokens(settings, tokenizer) != [tokenizer.eos_token_id]
