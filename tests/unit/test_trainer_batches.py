"""Training texts, their order, and rows that share a schema: the same loss as question by question."""

import copy
from collections import Counter

import pytest

from trainer.prompts import Message, Prompt
from trainer.rows.batches import (
    IGNORED,
    QUESTIONS_PER_SCHEMA,
    TokenisedText,
    build_row,
    cut_rows,
    plan_steps,
    row_size,
    tokenise,
)  # fmt: skip
from trainer.rows.texts import TrainingText, data_hash, tidy_sql, training_texts
from trainer.spider.folder import SpiderFolder, SpiderQuestion, open_spider
from trainer.spider.schema import Column, Schema, Table
from trainer.study.experiment import ExperimentError


@pytest.fixture(scope="module")
def spider() -> SpiderFolder:
    return open_spider("fixtures/miniature/spider")


def text(group: str, number: int, schema: int = 6, own: int = 5) -> TokenisedText:
    """Token ids that tell the group's schema from the question's own part."""
    tokens = [ord(group)] * schema + [1000 + number] * own
    return TokenisedText(f"{group}-{number}", group, tokens, prompt_length=schema + own - 2)


@pytest.mark.parametrize(
    ("sql", "tidy"),
    [
        pytest.param("SELECT  a\n FROM\tt ;", "SELECT a FROM t", id="space-and-semicolon"),
        pytest.param(
            "SELECT a FROM t WHERE b = 'two  spaces;'", "SELECT a FROM t WHERE b = 'two  spaces;'", id="literal"
        ),
        pytest.param('SELECT "a  b" FROM t', 'SELECT "a  b" FROM t', id="quoted-name"),
    ],
)
def test_tidy_sql(sql, tidy):
    assert tidy_sql(sql) == tidy


def test_fewer_samples_are_some_of_all(spider):
    some = training_texts(spider, 42, 10)
    assert len({item.id for item in some}) == 10
    assert {item.id for item in some} < {item.id for item in training_texts(spider, 42)}
    assert data_hash(some) == data_hash(training_texts(spider, 42, 10)) != data_hash(training_texts(spider, 7, 10))


def test_training_on_a_dev_database_is_refused(tmp_path):
    class Leaky(SpiderFolder):
        def train(self):
            return [SpiderQuestion(0, "singers", "How many?", "SELECT 1")]

        dev = train

    with pytest.raises(ExperimentError, match="1 training questions are on dev databases, the first is 'singers-0000'"):
        training_texts(Leaky(tmp_path, {"singers": Schema("singers", ())}), 42)


def test_training_on_a_renamed_dev_database_is_refused(tmp_path):
    class Renamed(SpiderFolder):
        def train(self):
            return [SpiderQuestion(0, "vocalists", "How many?", "SELECT 1")]

        def dev(self):
            return [SpiderQuestion(0, "singers", "Who?", "SELECT 2")]

    tables = (Table("singer", (Column("name", "text"),), (), ()),)
    schemas = {name: Schema(name, tables) for name in ("singers", "vocalists")}
    with pytest.raises(ExperimentError, match=r"the first is 'vocalists-0000' \('singers'\)"):
        training_texts(Renamed(tmp_path, schemas), 42)


def test_training_on_a_copy_of_dev_questions_is_refused(tmp_path):
    """On a database of another name and schema. One question that two databases share is chance: Spider has such."""

    class Copied(SpiderFolder):
        copies = 2

        def train(self):
            own = [SpiderQuestion(9, "vocalists", "How old?", "SELECT 9")]
            return own + [
                SpiderQuestion(n, "vocalists", f"how  many {n}?", f"SELECT {n} ;") for n in range(self.copies)
            ]

        def dev(self):
            return [SpiderQuestion(n, "singers", f"How many {n}?", f"SELECT {n}") for n in range(3)]

    schemas = {name: Schema(name, (Table(name, (), (), ()),)) for name in ("singers", "vocalists")}
    spider = Copied(tmp_path, schemas)
    with pytest.raises(ExperimentError, match=r"3 training questions .* 'vocalists-0009' \('singers'\)"):
        training_texts(spider, 42)
    Copied.copies = 1
    assert len(training_texts(spider, 42)) == 2


def test_every_epoch_sees_every_question_once():
    texts = [text(group, number) for group in "abc" for number in range(21)]
    steps = plan_steps(texts, batch_size=9, epochs=2, seed=1)
    assert {len(step) for step in steps} == {9}
    assert Counter(item.id for step in steps for item in step) == {item.id: 2 for item in texts}


def test_the_order_follows_the_seed():
    texts = [text(group, number) for group in "abcdef" for number in range(9)]
    first, again, other = (plan_steps(texts, batch_size=6, epochs=1, seed=seed) for seed in (1, 1, 2))
    assert first == again != other


def test_neighbours_share_a_database():
    texts = [text(group, number) for group in "abcdefgh" for number in range(QUESTIONS_PER_SCHEMA)]
    steps = plan_steps(texts, batch_size=2 * QUESTIONS_PER_SCHEMA, epochs=1, seed=1)
    assert [len({item.group for item in step}) for step in steps] == [2] * 4


def test_fewer_questions_than_a_batch_make_one_step():
    assert [len(step) for step in plan_steps([text("a", 0)], batch_size=4, epochs=1, seed=1)] == [4]


def test_a_row_holds_each_schema_once():
    row = build_row([text("a", 0), text("b", 1), text("a", 2)])
    assert row["layout"] == [[6, 5, 5], [8, 3]]
    assert row["input_ids"].count(ord("a")) == 6
    assert row["position_ids"] == [*range(11), *range(6, 11), *range(11)]


def test_a_row_labels_the_reply_only():
    row = build_row([text("a", 0), text("a", 1)])
    assert [label for label in row["labels"] if label != IGNORED] == [1000, 1000, 1001, 1001]


def test_a_reply_is_never_in_the_shared_part():
    """Two questions that are the same in full would otherwise share their labelled tokens."""
    row = build_row([text("a", 0), text("a", 0)])
    assert sum(label != IGNORED for label in row["labels"]) == 4


def test_micro_batches_cut_a_step():
    rows = cut_rows([[text("a", number) for number in range(4)]], 2)
    assert [[item.id for item in row] for row in rows] == [["a-0", "a-1"], ["a-2", "a-3"]]


@pytest.fixture(scope="module")
def tokenizer():
    from fixtures.miniature.tokenizer import train_tokenizer

    return train_tokenizer(
        [f"Question: how many singers? SELECT count(*) FROM singer. Answer: {letter}" for letter in "ABCD"] * 9
    )


def a_text(question: str) -> TrainingText:
    return TrainingText(question, "db", Prompt(messages=(Message("user", question),)), "SELECT 1")


def test_a_reply_ends_with_the_end_of_the_turn(tokenizer):
    (tokenised,), _ = tokenise([a_text("how many singers?")], tokenizer, 100)
    assert tokenizer.decode(tokenised.tokens[tokenised.prompt_length :]) == f"SELECT 1{tokenizer.eos_token}"


def test_long_questions_are_dropped_and_named(tokenizer):
    kept, dropped = tokenise([a_text("short"), a_text("long " * 90)], tokenizer, 60)
    assert [item.id for item in kept] == ["short"]
    assert dropped == ["long " * 90]


def test_nothing_short_enough_is_an_error(tokenizer):
    with pytest.raises(ExperimentError, match="max_length = 3: no training question fits, the shortest has"):
        tokenise([a_text("short")], tokenizer, 3)


def test_a_template_that_rewrites_prompts_is_refused(tokenizer):
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.chat_template = "{{ messages | length }}{% for message in messages %}{{ message.content }}{% endfor %}"
    with pytest.raises(ExperimentError, match="writes the prompt of 'short' differently"):
        tokenise([a_text("short")], tokenizer, 100)


def test_a_template_that_refuses_a_prompt_is_named(tokenizer):
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.chat_template = "{{ raise_exception('system turn expected') }}"
    with pytest.raises(ExperimentError, match=r"cannot write 'short': system turn expected.*chat_template = \"plain\""):
        tokenise([a_text("short")], tokenizer, 100)


def test_plain_template_reads_as_one_document(tokenizer):
    from trainer.study.chat_template import PLAIN_TEMPLATE

    turns = [
        {"role": role, "content": content} for role, content in (("user", "Q1"), ("assistant", "S1"), ("user", "Q2"))
    ]
    written = copy.deepcopy(tokenizer)
    written.chat_template = PLAIN_TEMPLATE
    begin, end = tokenizer.bos_token, tokenizer.eos_token
    assert written.apply_chat_template(turns, tokenize=False) == f"{begin}Q1\nSQL: S1\n\nQ2\nSQL:"
    assert written.apply_chat_template(turns[:2], tokenize=False) == f"{begin}Q1\nSQL: S1{end}"


def loss_alone(model, texts: list[TokenisedText]):
    """The summed loss of the texts, one forward pass each."""
    import torch
    from torch.nn.functional import cross_entropy

    loss = 0.0
    for item in texts:
        tokens = torch.tensor(item.tokens, device=model.device)
        logits = model(input_ids=tokens[None]).logits[0, item.prompt_length - 1 : -1]
        loss += cross_entropy(logits, tokens[item.prompt_length :], reduction="sum")
    return loss


def loss_together(model, texts: list[TokenisedText]):
    """The same in one row."""
    from torch.nn.functional import cross_entropy

    from trainer.training.row_trainer import row_tensors
    from trainer.training.shared_schema import attention_inputs

    row = {name: part if name == "layout" else part.to(model.device) for name, part in row_tensors(texts).items()}
    labels = row.pop("labels")
    logits = model(**attention_inputs(model, row), use_cache=False).logits[:, : labels.shape[1]]
    return cross_entropy(logits[0, :-1], labels[0, 1:], ignore_index=IGNORED, reduction="sum")


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize(
    ("attention", "device"),
    [("sdpa", "cpu"), ("flex_attention", "cpu"), ("sdpa", "cuda"), ("flex_attention", "cuda")],
)
@pytest.mark.parametrize("key_value_heads", [4, 2], ids=["full", "grouped-query"])
def test_a_row_has_the_loss_and_gradients_of_its_questions(key_value_heads, attention, device):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from trainer.training.shared_schema import use_shared_schema_attention

    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=1100, hidden_size=64, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=key_value_heads,
    )  # fmt: skip
    # Triton's attention takes no doubles.
    model = LlamaForCausalLM(config).to(device, torch.float64 if device == "cpu" else torch.float32)
    texts = [text("a", 0), text("b", 1, schema=9), text("a", 2, own=8), text("a", 3, own=3), text("c", 4, schema=140)]
    # PyTorch has no backward pass of flex attention on a CPU.
    differentiable = (attention, device) != ("flex_attention", "cpu")

    with torch.set_grad_enabled(differentiable):
        alone = loss_alone(model, texts)
        expected = torch.autograd.grad(alone, list(model.parameters())) if differentiable else ()
        use_shared_schema_attention(model, longest=160, attention=attention)
        together = loss_together(model, texts)
        found = torch.autograd.grad(together, list(model.parameters())) if differentiable else ()
    tolerance = {"rtol": 1e-5, "atol": 1e-6} if device == "cpu" else {"rtol": 1e-3, "atol": 1e-4}
    torch.testing.assert_close(together, alone, **tolerance)
    torch.testing.assert_close(found, expected, **tolerance)


def test_a_row_has_the_size_that_is_counted():
    texts = [text("a", 0), text("b", 1, schema=9), text("a", 2, own=8)]
    row = build_row(texts)
    labelled = sum(label != IGNORED for label in row["labels"])
    assert row_size(texts) == (len(row["input_ids"]), labelled)


def test_a_sliding_window_is_refused():
    from transformers import MistralConfig, MistralForCausalLM

    from trainer.training.shared_schema import use_shared_schema_attention

    model = MistralForCausalLM(
        MistralConfig(vocab_size=9, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1,
                      num_key_value_heads=1, sliding_window=16)
    )  # fmt: skip
    with pytest.raises(ExperimentError, match="cannot train 'mistral' models"):
        use_shared_schema_attention(model, longest=17)
