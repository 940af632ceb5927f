"""The engine that asks a server: the answers of the one in this process, and what it does when a server misbehaves."""

import os
import signal
import threading
import time
from pathlib import Path

import httpx2
import pytest

from fixtures.adapters.adapter import Adapter
from fixtures.engines import EngineError, server
from fixtures.engines.pace import Pace
from fixtures.engines.server import Server
from tests.vllm_stub import Fault, VllmStub, plain_answers
from trainer.mmlu.selection import choose_questions
from trainer.mmlu.sources import open_mmlu
from trainer.prompts import LETTERS, Prompt, mmlu_text
from trainer.study.base_model import load_tokenizer
from trainer.study.experiment import load_experiment
from trainer.study.settings import EndpointSettings

BASE = Adapter("base", "base", "base")
LETTER_OPTIONS = [f" {letter}" for letter in LETTERS]
PROMPTS = [Prompt(text=f"Question {number}. Answer:") for number in range(8)]
OVERFLOW = "This model's maximum context length is 4096 tokens. However, your request has 5000 input tokens."


@pytest.fixture(scope="module")
def settings():
    return load_experiment("miniature").base_model


@pytest.fixture(scope="module")
def tokenizer(settings):
    return load_tokenizer(settings)


@pytest.fixture(scope="module")
def model(settings):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(settings.folder, dtype="float32").eval()


@pytest.fixture
def engine_on(settings):
    """``engine_on(stub, **settings)``: an engine on the stub, closed at the end."""
    from fixtures.engines.endpoint_engine import EndpointEngine

    opened = []

    def open_engine(stub, key="none", **endpoint):
        given = EndpointSettings(**{"retries": 2, "timeout_s": 1.0, "concurrency": 4} | endpoint)
        pace = Pace(given.concurrency, given.concurrency)
        opened.append(EndpointEngine(settings, Server(stub.url, key, given, pace), {"base": "base"}))
        return opened[-1]

    yield open_engine
    for engine in opened:
        engine.close()


@pytest.fixture
def serve(tokenizer):
    """``serve(answer, **options)``: a stub server, stopped at the end."""
    running = []

    def start(answer=lambda request: ([5], None), **options):
        running.append(VllmStub(tokenizer, answer, **options))
        return running[-1]

    yield start
    for stub in running:
        stub.stop()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """Back-off as it is, a hundred times as fast."""
    monkeypatch.setattr(server, "_FIRST_PAUSE_S", 0.005)
    monkeypatch.setattr(server, "_LONGEST_PAUSE_S", 0.08)


def mmlu_prompts(settings):
    experiment = load_experiment("miniature")
    source = open_mmlu(experiment.mmlu.source)
    questions = choose_questions(source, experiment.mmlu, experiment.seed)
    solved = {q.subject: [(e.question, e.choices, e.answer) for e in source.exemplars(q.subject, 4)] for q in questions}
    return [Prompt(text=mmlu_text(q.subject, q.question, q.choices, solved[q.subject])) for q in questions], questions


def in_process(settings, prompts, options):
    from fixtures.engines.transformers_engine import TransformersEngine

    return dict(TransformersEngine(settings).log_likelihoods(prompts, options, BASE))


def assert_same(one, other):
    assert one.keys() == other.keys()
    for place, answer in one.items():
        assert answer["log_likelihoods"] == pytest.approx(other[place]["log_likelihoods"], abs=1e-4)
        assert answer["generated"] == other[place]["generated"]


def test_neither_a_client_nor_a_vocabulary_is_made_for_each_request(engine_on, serve, model, monkeypatch):
    engine = engine_on(serve(plain_answers(model, [2])), timeout_s=60)
    made, counted = [], []
    plain_init, plain_len = httpx2.AsyncClient.__init__, type(engine._tokenizer).__len__
    monkeypatch.setattr(httpx2.AsyncClient, "__init__", lambda *a, **k: made.append(1) or plain_init(*a, **k))
    monkeypatch.setattr(type(engine._tokenizer), "__len__", lambda own: counted.append(1) or plain_len(own))
    answers = dict(engine.log_likelihoods(PROMPTS, [LETTER_OPTIONS] * len(PROMPTS), BASE))
    assert len(answers) == len(PROMPTS) and not any("error" in answer for answer in answers.values())
    assert not made and len(counted) == 1


@pytest.mark.slow
def test_letters_are_those_of_the_engine_in_this_process(engine_on, serve, model, settings):
    """On all 150 questions, by one request each, and one for every letter that is not among the likeliest tokens."""
    prompts, _ = mmlu_prompts(settings)
    options = [LETTER_OPTIONS] * len(prompts)
    stub = serve(plain_answers(model, [2]))
    answers = dict(engine_on(stub, timeout_s=60).log_likelihoods(prompts, options, BASE))
    assert_same(answers, in_process(settings, prompts, options))
    echoed = sum(bool(request.get("echo")) for request in stub.requests)
    assert len(stub.requests) == 2 + 150 + echoed
    assert all(isinstance(request["prompt"], list) and request["temperature"] == 0 for request in stub.requests)


@pytest.mark.parametrize(("ids", "token_ids"), [(True, True), (True, False), (False, False)])
def test_options_of_several_tokens(ids, token_ids, engine_on, serve, model, settings):
    """Through every dialect: with token ids throughout, with tokens named as text, with prompts as text."""
    prompts, questions = mmlu_prompts(settings)
    prompts = [Prompt(text=prompt.text[-200:]) for prompt in prompts[::40]]
    options = [[f" {choice}" for choice in question.choices] for question in questions[::40]]
    stub = serve(plain_answers(model, [2]), ids=ids, token_ids=token_ids)
    answers = dict(engine_on(stub, timeout_s=60).log_likelihoods(prompts, options, BASE))
    assert_same(answers, in_process(settings, prompts, options))
    assert isinstance(stub.requests[-1]["prompt"], list) == ids


def replies(engine):
    return dict(engine.generate(PROMPTS, BASE, max_new_tokens=4))


def once(fault):
    """``fault`` at the first request for a question, then none: number 0 is the engine's own first question."""
    return lambda number, request: fault if number == 1 else None


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(status=500, message="boom"), id="500"),
        pytest.param(Fault(status=503, message="loading"), id="503"),
        pytest.param(Fault(status=429, message="slow down", headers={"retry-after-ms": "20"}), id="429"),
        pytest.param(Fault(truncate=True), id="truncated-json"),
        pytest.param(Fault(reset=True), id="reset"),
        pytest.param(Fault(delay_s=1.5), id="slow"),
        pytest.param(Fault(change=lambda reply: {"id": "x"}), id="no-choices"),
    ],
)
def test_what_goes_wrong_once_is_tried_again(fault, engine_on, serve):
    stub = serve(faults=once(fault))
    answers = replies(engine_on(stub))
    assert sorted(answers) == list(range(8)) and all("reply" in answer for answer in answers.values())
    assert len(stub.requests) == 1 + 8 + 1


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        pytest.param(Fault(status=400, message=OVERFLOW), "maximum context length is 4096", id="context-overflow"),
        pytest.param(Fault(status=500, message="boom"), "the server fails at this prompt: 500, boom", id="500"),
    ],
)
def test_a_prompt_that_a_server_cannot_take_is_errored_alone(fault, message, engine_on, serve, tokenizer):
    third = tokenizer(PROMPTS[3].text)["input_ids"]
    stub = serve(faults=lambda number, request: fault if request["prompt"] == third else None)
    answers = replies(engine_on(stub))
    assert message in answers.pop(3)["error"]
    assert len(answers) == 7 and all("reply" in answer for answer in answers.values())


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        pytest.param(Fault(change=lambda reply: reply | {"model": "other"}), "answered as 'other'", id="wrong-model"),
        pytest.param(Fault(status=404, message="no model base"), "404, no model base", id="model-gone"),
        pytest.param(Fault(status=401, message="bad key"), "read from OPENAI_API_KEY", id="key"),
        pytest.param(Fault(status=503, message="loading"), "503, loading", id="503"),
        pytest.param(Fault(status=500, message="boom"), "run the same command again", id="500s"),
        pytest.param(Fault(truncate=True), "are damaged", id="truncated-json"),
        pytest.param(Fault(reset=True), "does not answer", id="resets"),
        pytest.param(
            Fault(change=lambda reply: reply | {"usage": reply["usage"] | {"prompt_tokens": 1}}),
            "another tokenizer",
            id="other-tokens",
        ),
    ],
)
def test_a_server_that_goes_wrong_for_good_ends_the_batch(fault, message, engine_on, serve):
    """What was answered before is handed on; nothing waits for a server that was given up."""
    stub = serve(faults=lambda number, request: fault if number > 3 else None)
    engine, answers = engine_on(stub, concurrency=1), {}
    with pytest.raises(EngineError, match=message):
        answers.update(engine.generate(PROMPTS, BASE, max_new_tokens=4))
    kept = []
    with pytest.raises(EngineError):
        kept += engine.generate(PROMPTS, BASE, max_new_tokens=4)
    assert len(stub.requests) < 30


def test_a_server_that_dies_and_comes_back_loses_no_answer(engine_on, serve):
    stub = serve(faults=lambda number, request: Fault(delay_s=0.05))
    engine, answers, later = engine_on(stub, retries=8, concurrency=2), [], []

    def restart():
        stub.stop()
        time.sleep(0.1)
        later.append(serve(port=stub.port))

    for place, answer in engine.generate(PROMPTS, BASE, max_new_tokens=4):
        answers.append(place)
        assert "reply" in answer
        if len(answers) == 2:
            threading.Thread(target=restart).start()
    assert sorted(answers) == list(range(8))
    assert later and later[0].requests


def test_a_server_without_log_probabilities_is_named(engine_on, serve):
    with pytest.raises(EngineError, match="gives no log-probabilities .logprobs., which MMLU needs"):
        dict(engine_on(serve()).log_likelihoods(PROMPTS, [LETTER_OPTIONS] * 8, BASE))


def test_no_more_requests_at_a_time_than_the_bound(engine_on, serve):
    now, most = 0, 0
    lock = threading.Lock()

    def counted(number, request):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.05)
        with lock:
            now -= 1

    replies(engine_on(serve(faults=counted), concurrency=3))
    assert most == 3


def test_the_key_is_sent_and_never_repeated(engine_on, serve):
    fault = Fault(status=401, message="Incorrect API key provided: sk-secret")
    stub = serve(faults=lambda number, request: fault)
    with pytest.raises(EngineError) as raised:
        replies(engine_on(stub, key="sk-secret"))
    assert stub.headers[0]["authorization"] == "Bearer sk-secret"
    assert "sk-secret" not in str(raised.value) and "***" in str(raised.value)


def test_ctrl_c_ends_at_once(engine_on, serve):
    stub = serve(faults=lambda number, request: Fault(delay_s=20) if number else None)
    engine = engine_on(stub, timeout_s=60)
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        replies(engine)
    assert time.monotonic() - start < 5


def test_greedy_parameters_name_the_ends_of_the_model(engine_on, serve, settings):
    stub = serve()
    replies(engine_on(stub))
    last = stub.requests[-1]
    assert last["stop_token_ids"] == [2] and last["repetition_penalty"] == 1.0 and last["max_tokens"] == 4
    assert Path(settings.folder).is_dir() and all(type(token) is int for token in last["prompt"])
