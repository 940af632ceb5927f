"""Servers that mean no good: every one of them is one clear error, in bounded time and memory."""

import socketserver
import threading
import time

import pytest

from fixtures.adapters.adapter import Adapter
from fixtures.engines import EngineError, bounded_http, server
from fixtures.engines.pace import Pace
from fixtures.engines.served_models import served_models
from fixtures.engines.server import Refused, Server
from tests.vllm_stub import Fault, VllmStub
from trainer.prompts import Prompt
from trainer.study.base_model import load_tokenizer
from trainer.study.experiment import load_experiment
from trainer.study.settings import EndpointSettings

BASE = Adapter("base", "base", "base")
QUICK = EndpointSettings(retries=0, timeout_s=1.0, ready_timeout_s=0)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
PROMPTS = [Prompt(text="Question. Answer:")]


@pytest.fixture
def speaks():
    """``speaks(*parts, pause=0)``: the address of a server that sends these bytes, whatever it is asked."""
    running = []

    def start(*parts, pause=0.0):
        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                self.request.recv(65536)
                for part in parts:
                    try:
                        self.request.sendall(part)
                    except OSError:
                        return
                    time.sleep(pause)

        speaking = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        speaking.daemon_threads = True
        threading.Thread(target=speaking.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        running.append(speaking)
        return f"http://127.0.0.1:{speaking.server_address[1]}/v1"

    yield start
    for speaking in running:
        speaking.shutdown()
        speaking.server_close()


@pytest.fixture(autouse=True)
def small_and_quick(monkeypatch):
    monkeypatch.setattr(bounded_http, "MOST_BYTES", 2**20)
    monkeypatch.setattr(bounded_http, "LONGEST_WAIT_S", 0.05)
    monkeypatch.setattr(server, "_FIRST_PAUSE_S", 0.005)
    monkeypatch.setattr(server, "_LONGEST_PAUSE_S", 0.02)


def body(content, *headers):
    return HEAD + b"".join(header + b"\r\n" for header in headers) + b"\r\n" + content


LISTS = {
    "too-large": (body(b"x" * 2**19), b"x" * 2**20, b"x" * 2**20),
    "many-models": (body(b'{"data":[' + b'{"id":"m"},' * 20_000 + b'{"id":"m"}]}'),),
    "huge-name": (body(b'{"data":[{"id":"' + b"m" * 5000 + b'"}]}'),),
    "bad-utf8": (body(b'{"data":[{"id":"\xff\xfe"}]}'),),
    "deep": (body(b"[" * 100_000),),
    "deep-error": (b"HTTP/1.1 400 Bad\r\ncontent-type: application/json\r\n\r\n" + b'{"error":' * 900,),
    "html": (body(b"<html><script>alert(1)</script>"),),
    "other-shape": (body(b'{"data":{"id":1}}'),),
    "null": (body(b"null"),),
    "id-is-number": (body(b'{"data":[{"id":7}]}'),),
    "gzip": (body(b"\x1f\x8b" + b"\0" * 100, b"content-encoding: gzip"),),
    "redirect": (b"HTTP/1.1 307 To\r\nlocation: http://example.org/v1\r\ncontent-length: 0\r\n\r\n",),
    "redirect-loop": (b"HTTP/1.1 307 To\r\nlocation: /v1/models\r\ncontent-length: 0\r\n\r\n",),
    "half-closed": (body(b"{", b"content-length: 100"),),
    "no-http": (b"\x00\x01\x02 hello\r\n\r\n",),
    "wait": (b"HTTP/1.1 429 No\r\nretry-after: 50\r\ncontent-length: 0\r\n\r\n",),
    "wait-long": (b"HTTP/1.1 503 No\r\nretry-after: 1e9\r\ncontent-length: 0\r\n\r\n",),
    "wait-date": (b"HTTP/1.1 503 No\r\nretry-after: Fri, 01 Jan 2100 00:00:00 GMT\r\ncontent-length: 0\r\n\r\n",),
}


@pytest.mark.parametrize("parts", LISTS.values(), ids=LISTS.keys())
def test_a_list_of_models_that_cannot_be_read_is_one_error(parts, speaks):
    start = time.monotonic()
    with pytest.raises(EngineError) as raised:
        served_models(speaks(*parts), "none", QUICK)
    assert time.monotonic() - start < 10 and len(str(raised.value)) < 1000


def test_a_server_that_drips_is_given_up_at_the_deadline(speaks):
    start = time.monotonic()
    with pytest.raises(EngineError, match="timed out"):
        served_models(speaks(body(b""), *[b" "] * 200, pause=0.1), "none", QUICK)
    assert time.monotonic() - start < 6


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(load_experiment("miniature").base_model)


@pytest.fixture
def engine_on(tokenizer):
    """``engine_on(change, limits={}, **stub)``: an engine on a server whose replies ``change`` changes."""
    from fixtures.engines.endpoint_engine import EndpointEngine

    opened = []

    def start(change, limits=None, faults=None, **options):
        def changed(number, request):
            return Fault(change=change) if number > 1 or request["max_tokens"] > 1 else None

        stub = VllmStub(tokenizer, lambda request: ([5], None), faults=faults or changed, **options)
        asked = Server(stub.url, "none", QUICK, Pace(2, 2))
        engine = EndpointEngine(load_experiment("miniature").base_model, asked, {"base": "base"}, limits or {})
        opened.append((stub, engine))
        return engine, stub

    yield start
    for stub, engine in opened:
        engine.close()
        stub.stop()


def choice(**fields):
    return lambda reply: reply | {"choices": [reply["choices"][0] | fields]}


@pytest.mark.parametrize(
    "change",
    [
        choice(text=None),
        choice(text=["a"]),
        lambda reply: reply | {"choices": reply["choices"] * 2},
        lambda reply: reply | {"choices": "x"},
        lambda reply: reply | {"usage": {"prompt_tokens": "7"}},
        lambda reply: reply | {"usage": [1]},
        lambda reply: reply | {"model": {"a": 1}},
        choice(text="x" * 2**21),
        lambda reply: [],
    ],
    ids=["null", "list", "two", "text", "count-as-text", "usage-list", "model", "too-large", "no-object"],
)
def test_a_reply_of_another_shape_is_one_error(change, engine_on):
    engine, _ = engine_on(change)
    with pytest.raises(EngineError):
        dict(engine.generate(PROMPTS, BASE, max_new_tokens=4))


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan"), 0.5, "-1.0", True])
@pytest.mark.parametrize("name", ["token_id:5", "token_id:999999999", "absent"])
def test_a_log_probability_that_is_none_is_an_error_of_its_question(value, name, engine_on):
    logprobs = {"tokens": ["token_id:5"], "token_logprobs": [-1.0], "top_logprobs": [{name: value}]}
    sound = logprobs | {"top_logprobs": [{"token_id:5": -1.0}]}
    bad = lambda number, request: Fault(change=choice(logprobs=logprobs if number > 1 else sound))  # noqa: E731
    engine, _ = engine_on(None, faults=bad)
    answers = dict(engine.log_likelihoods(PROMPTS, [[" A", " B"]], BASE))
    assert "log-probabilities cannot be used" in answers[0]["error"]


@pytest.mark.parametrize("name", ["x", "-1", "²", "99999999", pytest.param("1" * 5000, id="long")])
def test_a_token_id_that_is_none_is_an_error_of_its_question(name, engine_on, tokenizer):
    top = {f"token_id:{token}": -1.0 for token in range(len(tokenizer))} | {f"token_id:{name}": -0.5}
    logprobs = {"tokens": [f"token_id:{name}"], "token_logprobs": [-1.0], "top_logprobs": [top]}
    engine, _ = engine_on(None, faults=lambda number, request: Fault(change=choice(logprobs=logprobs)))
    with_error = dict(engine.log_likelihoods(PROMPTS, [[" A", " B"]], BASE))[0]
    assert "names a token" in with_error.get("error", "")


@pytest.mark.parametrize(
    ("finish", "tokens", "cut"),
    [("length", 1, True), ("stop", 4, False), (None, 4, True), (None, 3, False), ("odd", None, False)],
)
def test_a_reply_says_whether_it_was_cut(finish, tokens, cut, engine_on):
    def change(reply):
        return choice(finish_reason=finish)(reply) | {"usage": reply["usage"] | {"completion_tokens": tokens}}

    answers = dict(engine_on(change)[0].generate(PROMPTS, BASE, max_new_tokens=4))
    assert answers[0]["cut"] is cut


def test_a_prompt_that_the_model_cannot_take_is_errored_without_being_asked(engine_on):
    engine, stub = engine_on(None, limits={"base": 20})
    answers = dict(engine.generate([*PROMPTS, Prompt(text="long " * 40)], BASE, max_new_tokens=4))
    assert "the server's model takes 20" in answers[1]["error"] and "reply" in answers[0]
    assert len(stub.requests) == 2


def test_a_server_without_stop_tokens_gets_their_texts(engine_on):
    def plain(number, request):
        return Fault(status=400, message="unknown field") if "stop_token_ids" in request else Fault(change=turn)

    turn = choice(text="SELECT 1</s>user: more")
    engine, stub = engine_on(None, faults=plain)
    end = engine._end_texts[0]
    turn = choice(text=f"SELECT 1{end}user: more")
    assert dict(engine.generate(PROMPTS, BASE, max_new_tokens=4))[0]["reply"] == "SELECT 1"
    assert stub.requests[-1]["stop"] == engine._end_texts[:4]


@pytest.mark.parametrize(
    "parts",
    [(body(b" "), *[b" "] * 400), LISTS["wait"], (body(b'{"choices":[]}'),)],
    ids=["drips", "asks-to-wait", "damaged"],
)
def test_all_tries_of_a_question_end_together(parts, speaks, monkeypatch):
    """Each try ends in time, and so do all of them together, however many there may be."""
    monkeypatch.setattr(bounded_http, "LONGEST_WAIT_S", 10.0)
    asked = Server(speaks(*parts, pause=0.05), "none", EndpointSettings(retries=50, timeout_s=0.5), Pace(1, 1))
    start = time.monotonic()
    try:
        with pytest.raises((Refused, EngineError)):
            asked.run(asked.complete(model="m", prompt=[1], max_tokens=1))
    finally:
        asked.close()
    assert time.monotonic() - start < 10
