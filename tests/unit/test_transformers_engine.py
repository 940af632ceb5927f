"""The engine on the miniature's model: the same answers in any batch, and those of a plain pass."""

import pytest

from fixtures.adapters.adapter import Adapter
from trainer.mmlu.selection import choose_questions
from trainer.mmlu.sources import open_mmlu
from trainer.prompts import LETTERS, Prompt, mmlu_prompt, mmlu_text, spider_prompt
from trainer.spider.exemplars import exemplars
from trainer.spider.folder import open_spider
from trainer.study.experiment import load_experiment

BASE = Adapter("base", "base", "base")
LETTER_OPTIONS = [f" {letter}" for letter in LETTERS]


@pytest.fixture(scope="module")
def experiment():
    return load_experiment("miniature")


@pytest.fixture(scope="module")
def engine(experiment):
    """The miniature's model in float32 on the CPU: 2 s."""
    from fixtures.engines.transformers_engine import TransformersEngine

    return TransformersEngine(experiment.base_model)


@pytest.fixture(scope="module")
def mmlu(experiment):
    """The prompts of the miniature's 150 questions, and the questions."""
    source = open_mmlu(experiment.mmlu.source)
    questions = choose_questions(source, experiment.mmlu, experiment.seed)
    solved = {q.subject: [(e.question, e.choices, e.answer) for e in source.exemplars(q.subject, 4)] for q in questions}
    prompts = [Prompt(text=mmlu_text(q.subject, q.question, q.choices, solved[q.subject])) for q in questions]
    return prompts, questions


def in_batches(answer, size, *inputs):
    """What ``answer`` says to ``inputs``, given ``size`` at a time, in their order."""
    answers = []
    for start in range(0, len(inputs[0]), size):
        parts = [own[start : start + size] for own in inputs]
        answers += [one for _, one in sorted(answer(*parts), key=lambda pair: pair[0])]
    return answers


def plain_log_likelihood(engine, context, continuation):
    """Of one continuation, by one pass over one unpadded sequence; split as lm-evaluation-harness splits."""
    import torch

    before = engine.tokenizer(context)["input_ids"]
    ids = before + engine.tokenizer(context + continuation)["input_ids"][len(before) :]
    with torch.inference_mode():
        logits = engine.models.base(torch.tensor([ids])).logits[0].log_softmax(-1)
    return sum(logits[place - 1, ids[place]].item() for place in range(len(before), len(ids)))


def test_letters_do_not_depend_on_the_batch(engine, mmlu):
    prompts, _ = mmlu
    options = [LETTER_OPTIONS] * len(prompts)
    alone, together, everything = (
        in_batches(lambda *some: engine.log_likelihoods(*some, BASE), size, prompts, options) for size in (1, 64, 150)
    )
    for one, other, third in zip(alone, together, everything, strict=True):
        assert other["log_likelihoods"] == pytest.approx(one["log_likelihoods"], abs=1e-4)
        assert third["log_likelihoods"] == pytest.approx(one["log_likelihoods"], abs=1e-4)
        best = [max(range(4), key=answer["log_likelihoods"].__getitem__) for answer in (one, other, third)]
        assert len(set(best)) == 1
        assert one["generated"] == other["generated"] == third["generated"]


@pytest.mark.parametrize("scoring", ["letter", "cloze"])
def test_log_likelihoods_are_those_of_a_plain_pass(engine, mmlu, scoring):
    prompts, questions = (part[::15] for part in mmlu)
    options = [LETTER_OPTIONS if scoring == "letter" else [f" {text}" for text in q.choices] for q in questions]
    answers = in_batches(lambda *some: engine.log_likelihoods(*some, BASE), 64, prompts, options)
    for prompt, texts, answer in zip(prompts, options, answers, strict=True):
        plain = [plain_log_likelihood(engine, prompt.text, text) for text in texts]
        assert answer["log_likelihoods"] == pytest.approx(plain, abs=1e-4)


def test_options_after_a_chat_prompt(engine, mmlu):
    """The template ends where the reply begins; options follow without a space, as the assistant's turns had them."""
    _, (first, second, *_) = mmlu
    solved = [(second.question, second.choices, second.answer)]
    prompt = mmlu_prompt(first.subject, first.question, first.choices, solved, chat="turns")
    ((_, answer),) = engine.log_likelihoods([prompt], [list(LETTERS)], BASE)
    messages = [message._asdict() for message in prompt.messages]
    text = engine.tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    text = text.removeprefix(engine.tokenizer.bos_token)  # which the tokenizer writes itself
    assert answer["log_likelihoods"] == pytest.approx(
        [plain_log_likelihood(engine, text, x) for x in LETTERS], abs=1e-4
    )


def spider_prompts(experiment, shots):
    spider = open_spider(experiment.spider.source)
    solved = [(spider.schemas[q.db_id], q.question, q.gold_sql) for q in exemplars(spider, experiment, shots)]
    return [spider_prompt(spider.schemas[q.db_id], q.question, solved) for q in spider.dev()]


@pytest.mark.parametrize("shots", [0, 3])
def test_replies_do_not_depend_on_the_batch(engine, experiment, shots):
    """Prompts of several databases, out of order, so that groups are found and widths differ."""
    prompts = spider_prompts(experiment, shots)[::16]
    alone, together = (
        in_batches(lambda some: engine.generate(some, BASE, max_new_tokens=48), size, prompts) for size in (1, 64)
    )
    assert alone == together
    assert len({answer["reply"] for answer in alone}) > 1


def test_replies_are_those_of_generate(engine, experiment):
    prompts = spider_prompts(experiment, 3)[3:200:40]
    answers = in_batches(lambda some: engine.generate(some, BASE, max_new_tokens=48), 64, prompts)
    for prompt, answer in zip(prompts, answers, strict=True):
        messages = [message._asdict() for message in prompt.messages]
        inputs = engine.tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt")
        generated = engine.models.base.generate(**inputs, max_new_tokens=48, do_sample=False)[
            0, inputs["input_ids"].shape[1] :
        ]
        assert answer["reply"] == engine.tokenizer.decode(generated, skip_special_tokens=True).strip()


def test_a_prompt_longer_than_the_context_is_errored_alone(engine):
    prompts = [Prompt(text="one two three"), Prompt(text="word " * 5000)]
    answers = dict(engine.log_likelihoods(prompts, [LETTER_OPTIONS] * 2, BASE))
    assert len(answers[0]["log_likelihoods"]) == 4
    assert "it is never cut" in answers[1]["error"]


def test_a_question_whose_letters_a_tokenizer_writes_alike_is_errored_alone(engine, monkeypatch):
    tokens = engine.encoder._tokens

    def alike(written):
        return [
            found[:-1] + [7] if "Alike" in text and text[-1] in LETTERS else found
            for (text, _), found in zip(written, tokens(written), strict=True)
        ]

    monkeypatch.setattr(engine.encoder, "_tokens", alike)
    prompts = [Prompt(text="Alike. Answer:"), Prompt(text="Apart. Answer:")]
    answers = dict(engine.log_likelihoods(prompts, [LETTER_OPTIONS] * 2, BASE))
    assert "does not tell ' A', ' B', ' C', ' D' apart" in answers[0]["error"]
    assert len(answers[1]["log_likelihoods"]) == 4


@pytest.fixture
def little_memory(engine, monkeypatch):
    """``little_memory(n)``: memory runs out where more than ``n`` questions are scored together. The sizes tried."""
    import torch

    from fixtures.engines import answer_kinds
    from fixtures.engines.memory import BatchMemory

    plain = answer_kinds.score_options
    monkeypatch.setattr(engine, "_memory", BatchMemory())

    def limit(most):
        tried = []

        def score(model, questions, device, **options):
            tried.append(len(questions))
            if len(questions) > most:
                raise torch.OutOfMemoryError
            return plain(model, questions, device, **options)

        monkeypatch.setattr(answer_kinds, "score_options", score)
        return tried

    return limit


def test_memory_that_runs_out_halves_the_batch_and_those_that_follow(engine, mmlu, little_memory):
    prompts, _ = (part[:30] for part in mmlu)
    before = dict(engine.log_likelihoods(prompts, [LETTER_OPTIONS] * 30, BASE))
    tried = little_memory(4)
    after = dict(engine.log_likelihoods(prompts, [LETTER_OPTIONS] * 30, BASE))
    assert sum(size > 4 for size in tried) == 3
    assert after.keys() == before.keys()
    for place, answer in after.items():
        assert answer["log_likelihoods"] == pytest.approx(before[place]["log_likelihoods"], abs=1e-4)
    tried.clear()
    assert len(dict(engine.log_likelihoods(prompts, [LETTER_OPTIONS] * 30, BASE))) == 30
    assert max(tried) <= 4


def test_a_question_that_does_not_fit_alone_is_errored_alone(engine, mmlu, monkeypatch):
    import torch

    from fixtures.engines import answer_kinds

    plain, longest = answer_kinds.score_options, max(map(len, engine.encoder.prompts(mmlu[0][:9])))

    def score(model, questions, device, **options):
        if any(len(question.context) == longest for question in questions):
            raise torch.OutOfMemoryError
        return plain(model, questions, device, **options)

    monkeypatch.setattr(answer_kinds, "score_options", score)
    answers = dict(engine.log_likelihoods(mmlu[0][:9], [LETTER_OPTIONS] * 9, BASE))
    errors = [answer["error"] for answer in answers.values() if "error" in answer]
    assert len(answers) == 9 and len(errors) < 9
    assert set(errors) == {"out of memory at a batch of one question"}
