"""The miniature's pretraining: what its documents hold and must not hold, how they are packed, what is shipped."""

import csv
import hashlib
import json
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from random import Random

import pytest

from fixtures.miniature.corpus import CorpusSettings, document_writers, pack_rows, write_documents
from fixtures.miniature.pretrain import MODEL_FOLDER
from fixtures.miniature.tokenizer import render_chat
from trainer.prompts import LETTERS, Message, mmlu_text
from trainer.spider.folder import load_questions
from trainer.spider.schema import load_schemas

MINIATURE = Path(MODEL_FOLDER).parent
DOCUMENTS_OF_A_KIND = 400


@pytest.fixture(scope="module")
def documents() -> list[str]:
    """A sample with every kind of document in it."""
    rng = Random("sample for the tests")
    return [write(rng) for write in document_writers(CorpusSettings()).values() for _ in range(DOCUMENTS_OF_A_KIND)]


@pytest.fixture(scope="module")
def tokenizer():
    """The shipped tokenizer."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(MODEL_FOLDER)


def evaluation_questions() -> list[str]:
    return [row[0] for path in (MINIATURE / "mmlu" / "test").glob("*.csv") for row in csv.reader(path.open(newline=""))]


def test_no_knowledge_question_of_the_evaluation_is_trained_on(documents):
    corpus = "\n".join(documents)
    assert [question for question in evaluation_questions() if question in corpus] == []


def test_no_development_question_is_trained_on(documents):
    corpus = "\n".join(documents)
    questions = load_questions(MINIATURE / "spider" / "dev.json")
    assert [question.id for question in questions if question.question in corpus] == []


def test_no_development_table_is_trained_on(documents):
    corpus = "\n".join(documents)
    spider = MINIATURE / "spider"
    schemas = load_schemas(spider / "tables.json")
    databases = {question.db_id for question in load_questions(spider / "dev.json")}
    tables = {table.name for name in databases for table in schemas[name].tables}
    assert sorted(name for name in tables if f"CREATE TABLE {name} (" in corpus) == []


def test_documents_depend_on_seed_and_shard_only():
    def documents(shard, seed=0):
        settings = CorpusSettings(seed=seed)
        return list(islice(write_documents(settings, settings.shares, shard), 20))

    assert documents("main/3") == documents("main/3")
    assert documents("main/3") != documents("main/4")
    assert documents("main/3") != documents("main/3", seed=1)


def test_rows_hold_whole_documents_where_they_fit():
    lengths = Random(0)
    documents = ([index % 7 + 1] * lengths.randint(3, 9) for index in range(10**6))
    rows = pack_rows(documents, count=50, width=30)
    assert rows.shape == (50, 30)
    # With 64 waiting documents of 3 to 9 tokens a row can nearly always be filled without cutting one.
    assert (rows != 0).all()


def test_template_and_document_writer_agree(tokenizer):
    turns = [Message("user", "How many singers?\nNow."), Message("assistant", "SELECT count(*) FROM singer")]
    assert tokenizer.apply_chat_template([turn._asdict() for turn in turns], tokenize=False) == render_chat(turns)


def test_generation_prompt_is_where_the_assistant_starts(tokenizer):
    question = [{"role": "user", "content": "How many?"}]
    answered = [*question, {"role": "assistant", "content": "SELECT 1"}]
    prompt = tokenizer.apply_chat_template(question, add_generation_prompt=True, tokenize=False)
    assert tokenizer.apply_chat_template(answered, tokenize=False) == prompt + "SELECT 1" + tokenizer.eos_token


def test_plain_prompts_start_with_begin_exactly_once(tokenizer):
    begin = tokenizer.bos_token_id
    assert tokenizer("Question").input_ids.count(begin) == 1
    assert tokenizer("Question").input_ids[0] == begin
    chat = tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}], add_generation_prompt=True)
    assert chat["input_ids"].count(begin) == 1


def test_each_answer_letter_is_one_token_of_its_own(tokenizer):
    prompt = mmlu_text("astronomy", "Which?", ["a", "b", "c", "d"], [])
    context = tokenizer(prompt).input_ids
    continuations = [tokenizer(f"{prompt} {letter}").input_ids for letter in LETTERS]
    assert all(ids[:-1] == context for ids in continuations)
    assert len({ids[-1] for ids in continuations}) == len(LETTERS)


def test_every_byte_survives_the_tokenizer(tokenizer):
    text = "SELECT name\n\n FROM t WHERE a >= 19.5 AND b = 'Zoë''s  œuvre' -- \u4e2d\u6587 \U0001f600\t"
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False).input_ids) == text


def test_shipped_weights_are_small_and_recorded():
    weights = MODEL_FOLDER / "model.safetensors"
    assert weights.stat().st_size <= 12_000_000
    record = json.loads((MODEL_FOLDER / "pretrain.json").read_text(encoding="utf-8"))
    assert 4_000_000 <= record["parameters"] <= 5_500_000


def test_shipped_model_is_of_the_present_settings():
    record = json.loads((MODEL_FOLDER / "pretrain.json").read_text(encoding="utf-8"))
    assert record["corpus"] == asdict(CorpusSettings())
    assert record["tokenizer_sha256"] == hashlib.sha256((MODEL_FOLDER / "tokenizer.json").read_bytes()).hexdigest()
