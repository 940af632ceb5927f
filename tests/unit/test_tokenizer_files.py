"""Tokenizers as people publish them: the same text is read as the same tokens, and is given back as it was."""

import json
import shutil
from pathlib import Path

import pytest

from fixtures.engines.encoding import PromptEncoder
from tests.tiny_models import save_tiny_llama
from trainer.prompts import LETTERS, Message, Prompt, spider_prompt
from trainer.rows.batches import tokenise
from trainer.rows.texts import TrainingText, training_texts
from trainer.spider.folder import open_spider
from trainer.study.base_model import load_end_tokens, load_tokenizer
from trainer.study.experiment import ExperimentError
from trainer.study.settings import BaseModelSettings

MINIATURE = Path("fixtures/miniature/model")
SPIDER = open_spider("fixtures/miniature/spider")
PLAIN = Prompt(text="Which , if any , is n't ' s ?\n\nA. 1 . 5\nB. two\nAnswer:")
SQL = "SELECT a , b FROM t WHERE c = 'do n't ' AND d != 1 . 5 ?"
TEMPLATE = (MINIATURE / "chat_template.jinja").read_text()
FOR_TOOLS = TEMPLATE.replace("bos_token", "'tools'")
PARTS = "message['content'] | selectattr('type', 'equalto', 'text') | map(attribute='text') | join"
CUT = {"direction": "Right", "max_length": 50, "strategy": "LongestFirst", "stride": 0}
PADDED = {
    "strategy": {"Fixed": 512}, "direction": "Right", "pad_to_multiple_of": None,
    "pad_id": 0, "pad_type_id": 0, "pad_token": "<|pad|>",
}  # fmt: skip
END_BEHIND = {
    "type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<|begin|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
               {"SpecialToken": {"id": "<|end|>", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
    "special_tokens": {name: {"id": name, "ids": [number], "tokens": [name]}
                       for name, number in (("<|begin|>", 1), ("<|end|>", 2))},
}  # fmt: skip


@pytest.fixture
def miniature_with(tmp_path):
    """``miniature_with({file: {key: value, ...}})``: the miniature with that in its files; None takes a key out."""

    def made(changes: dict, **settings) -> BaseModelSettings:
        folder = shutil.copytree(MINIATURE, tmp_path / "model", dirs_exist_ok=True)
        for name, own in changes.items():
            path = folder / name
            if own is None:
                path.unlink()
            elif isinstance(own, str):
                path.parent.mkdir(exist_ok=True)
                path.write_text(own, encoding="utf-8")
            else:
                values = json.loads(path.read_text()) | own
                path.write_text(json.dumps({key: value for key, value in values.items() if value is not None}))
        return BaseModelSettings(id=str(folder), dtype="float32", **settings)

    return made


def reading(settings: BaseModelSettings) -> dict:
    """What the model is asked, trained on and stopped by, in tokens; and whether SQL comes back as it was."""
    tokenizer = load_tokenizer(settings)
    encoder, texts = PromptEncoder(tokenizer), training_texts(SPIDER, 42, 6)
    prompts = [spider_prompt(SPIDER.schemas[q.db_id], q.question) for q in SPIDER.dev()[::60]]
    said = tokenizer(SQL, add_special_tokens=False)["input_ids"]
    return {
        "asked": encoder.prompts([*prompts, PLAIN]),
        "options": encoder.questions([PLAIN], [[f" {letter}" for letter in LETTERS]]),
        "taught": [(row.tokens, row.prompt_length) for row in tokenise(texts, tokenizer, 4096)[0]],
        "ends": load_end_tokens(settings, tokenizer),
        "given back": tokenizer.batch_decode([said], skip_special_tokens=True),
    }


@pytest.fixture(scope="module")
def published():
    return reading(BaseModelSettings(id=str(MINIATURE)))


def test_the_miniature_begins_once_and_gives_text_back(published):
    """Its template writes the token that its tokenizer puts before plain text, too."""
    for tokens in [*published["asked"], *(tokens for tokens, _ in published["taught"])]:
        assert tokens.count(1) == 1
        assert tokens[0] == 1
    assert {tokens[-1] for tokens, _ in published["taught"]} == {2} == set(published["ends"])
    assert published["given back"] == [SQL]


def config(**values) -> dict:
    return {"tokenizer_config.json": values}


def generation(ends) -> dict:
    return {"generation_config.json": {"eos_token_id": ends}}


def several(templates) -> dict:
    return config(chat_template=templates) | {"chat_template.jinja": None}


SAME = {
    **{f"padded {one}, cut {other}": config(padding_side=one, truncation_side=other)
       for one in ("left", "right") for other in ("left", "right")},
    **{f"model_max_length {most}": config(model_max_length=most) for most in (64, 1e30, int(1e30))},
    "cut at 50": {"tokenizer.json": {"truncation": CUT}},
    "filled up to 512": {"tokenizer.json": {"padding": PADDED}},
    "cut and filled up": {"tokenizer.json": {"truncation": CUT, "padding": PADDED}},
    "an end behind every text": {"tokenizer.json": {"post_processor": END_BEHIND}},
    **{f"begin {begin}, end {end}": config(add_bos_token=begin, add_eos_token=end)
       for begin in (True, False) for end in (True, False)},
    "tidied": config(clean_up_tokenization_spaces=True),
    "tidied all the same": config(
        clean_up_tokenization_spaces=True, clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output=True
    ),
    "special tokens cut up": config(split_special_tokens=True),
    "padding is the end": config(pad_token="<|end|>"),
    "no padding": config(pad_token=None),
    **{f"class {name}": config(tokenizer_class=name)
       for name in ("LlamaTokenizerFast", "LlamaTokenizer", "GPT2Tokenizer", "Qwen2TokenizerFast", "GemmaTokenizer",
                    "GPTNeoXTokenizerFast", "CodeLlamaTokenizer", "PreTrainedTokenizerFast", "NoSuchTokenizer", None)},
    **{f"ends {ends}": generation(ends) for ends in (2, [2], [2, None], -1, [], None)},
    "no generation_config.json": {"generation_config.json": None},
    "no published end": {"generation_config.json": None, "config.json": {"eos_token_id": None}},
    "template in the configuration": several(TEMPLATE),
    "templates by name": several({"tool_use": FOR_TOOLS, "default": TEMPLATE}),
    "templates in a list": several(
        [{"name": "tool_use", "template": FOR_TOOLS}, {"name": "default", "template": TEMPLATE}]
    ),
    "one template of another name": several([{"name": "rag", "template": TEMPLATE}]),
    "a template in both files": config(chat_template=FOR_TOOLS),
    "further templates": {"additional_chat_templates/tool_use.jinja": FOR_TOOLS},
    "a template of parts": {"chat_template.jinja": TEMPLATE.replace("message['content']", f"({PARTS})")},
    "a template with a byte-order mark": {"chat_template.jinja": "\ufeff" + TEMPLATE},
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_what_decides_nothing_changes_nothing(name, miniature_with, published):
    assert reading(miniature_with(SAME[name])) == published


@pytest.mark.parametrize("chance", [0.1, 0.9])
def test_merges_are_not_left_out_by_chance(chance, miniature_with, published):
    model = json.loads((MINIATURE / "tokenizer.json").read_text())["model"] | {"dropout": chance}
    assert reading(miniature_with({"tokenizer.json": {"model": model}})) == published


def test_an_added_token_is_read_where_it_stands_and_nowhere_else(miniature_with, published):
    settings = miniature_with(config(extra_special_tokens=["<|user|>", "<|assistant|>", "<|sql|>"]))
    assert reading(settings) == published
    added = load_tokenizer(settings).convert_tokens_to_ids("<|sql|>")
    assert PromptEncoder(load_tokenizer(settings)).prompts([Prompt(text="<|sql|>")]) == [[1, added]]


def test_further_ends_are_kept(miniature_with, published):
    assert reading(miniature_with(generation([2, 0]))) == published | {"ends": [0, 2]}


REFUSED = {
    "an end as text": (generation("2"), r"eos_token_id = '2' in its generation_config.json must be the number .* as 2"),
    "an end by name": (generation(["<|end|>"]), r"eos_token_id = \['<|end|>'\] in its generation_config.json"),
    "an end that is true": (generation(True), "eos_token_id = True in"),
    "no JSON": ({"generation_config.json": "{"}, "its generation_config.json cannot be read: .* not a valid JSON file"),
    "a list": ({"generation_config.json": "[2]"}, "its generation_config.json cannot be read: TypeError"),
    "half a tokenizer": ({"tokenizer.json": "{"}, "cannot be loaded: "),
    "no tokenizer": ({"tokenizer.json": '{"model": 7}'}, "cannot be loaded: KeyError: 'added_tokens'"),
    "a template without text": (several([{"name": "rag"}]), "cannot be loaded: KeyError: 'template'"),
    "a number for a template": (several(7), 'is no text: 7. Set base_model.chat_template = "plain"'),
    "an object for a template": (several({"default": {"a": 1}}), "is no text: {'a': 1}. Set"),
    "no default": (several({"rag": "x", "tool_use": "y"}), "'rag', 'tool_use', and none is 'default'"),
    "no end": (
        config(eos_token=None),
        "'eos_token' is undefined. Name it in the model's tokenizer_config.json, or set",
    ),
    "no configuration": ({"tokenizer_config.json": None}, "'eos_token' is undefined. Name it in"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_named(name, miniature_with):
    changes, problem = REFUSED[name]
    with pytest.raises(ExperimentError, match=problem):
        reading(miniature_with(changes))


@pytest.mark.parametrize("own", [None, ""])
def test_without_a_template_training_begins_with_the_tokens_that_are_asked(own, miniature_with):
    """The miniature reads ": " as one token, and the prompt ends in ":"."""
    tokenizer = load_tokenizer(miniature_with(several(own)))
    texts = training_texts(SPIDER, 42, 6)
    rows, dropped = tokenise(texts, tokenizer, 4096)
    asked = PromptEncoder(tokenizer).prompts([text.prompt for text in texts])
    assert [row.tokens[: row.prompt_length] for row in rows] == asked
    for text, row in zip(texts, rows, strict=True):
        assert tokenizer.decode(row.tokens[row.prompt_length :]) == f" {text.completion}<|end|>"
    assert dropped == []


@pytest.mark.parametrize("tidied", [True, False])
@pytest.mark.parametrize("scheme", ["always", "first"])
def test_spaces_of_sentencepiece_come_and_go_as_they_were(tmp_path, scheme, tidied):
    """Before a text, and with older tokenizers behind every special token, it puts a space that nobody wrote."""
    import torch

    from fixtures.engines.answer_kinds import Replies
    from fixtures.engines.reply_rows import Continuation

    texts = [text.prompt.messages[0].content for text in training_texts(SPIDER, 42, 20)]
    save_tiny_llama(tmp_path, "one token", [*texts, SQL])
    for name, change in (
        ("tokenizer.json", lambda values: values["pre_tokenizer"].update(prepend_scheme=scheme)),
        ("tokenizer_config.json", lambda values: values.update(clean_up_tokenization_spaces=tidied)),
    ):
        values = json.loads((tmp_path / name).read_text())
        change(values)
        (tmp_path / name).write_text(json.dumps(values))
    tokenizer = load_tokenizer(BaseModelSettings(id=str(tmp_path)))
    turn = Prompt((Message("user", "Q"),))
    ((row,), _) = tokenise([TrainingText("1", "db", turn, SQL)], tokenizer, 4096)
    assert PromptEncoder(tokenizer).prompts([turn]) == [row.tokens[: row.prompt_length]]
    taught = Continuation(row.tokens[row.prompt_length :], ended=True)
    (answer,) = Replies(tokenizer, torch.tensor([tokenizer.eos_token_id]), 64).answers([taught])
    assert answer == {"reply": SQL, "cut": False}
