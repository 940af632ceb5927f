"""A server that is still starting is waited for; an address where none will ever be is not."""

import contextlib
import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fixtures.engines import EngineError, served_models
from fixtures.engines.endpoint import ask_endpoint
from fixtures.engines.served_model import ServedModel
from fixtures.study.waiting_line import WaitingLine
from trainer.study.experiment import load_experiment
from trainer.study.settings import REPOSITORY, EndpointSettings

LIST = b'{"data":[{"id":"m"}]}'
PATIENT = EndpointSettings(timeout_s=2.0, ready_timeout_s=20.0)


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(served_models, "_PAUSE_S", 0.02)


@pytest.fixture
def serve():
    """``serve(*replies, port=0)``: the address of a server with these statuses and bodies, the last one for ever."""
    running = []

    def start(*replies, port=0):
        left = list(replies)

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                """Nothing is logged."""

            def do_GET(self):
                status, body = left.pop(0) if len(left) > 1 else left[0]
                if status:
                    self.send_response(status)
                    self.send_header("content-length", str(len(body)))
                    self.end_headers()
                self.wfile.write(body)

            def do_POST(self):
                self.send_error(404, "it completes nothing")

        running.append(ThreadingHTTPServer(("127.0.0.1", port), Handler))
        threading.Thread(target=running[-1].serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return f"http://127.0.0.1:{running[-1].server_port}/v1"

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


@pytest.fixture
def nowhere():
    """An address at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return f"http://127.0.0.1:{port}/v1", port


def waited(url, settings=PATIENT):
    """What the server has, and why it was waited for."""
    said = []
    return served_models.served_models(url, "none", settings, lambda seconds, why: said.append(why)), said


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        pytest.param((503, b'{"error":{"message":"Loading model"}}'), "503, Loading model.", id="loading"),
        pytest.param((502, b"<html>Bad Gateway</html>"), "502 ", id="proxy"),
        pytest.param((0, b""), "the connection was lost", id="container"),
    ],
)
def test_a_server_that_says_it_is_not_ready_is_waited_for(reply, why, serve):
    models, said = waited(serve(reply, reply, (200, LIST)))
    assert models == [ServedModel("m")]
    assert len(said) == 2 and all(why in one or f"{reply[0]}, " in one for one in said)


def test_a_server_that_listens_later_is_waited_for(serve, nowhere):
    url, port = nowhere
    threading.Timer(0.3, lambda: serve((200, LIST), port=port)).start()
    models, said = waited(url)
    assert models == [ServedModel("m")]
    assert set(said) == {"nothing listens there: the connection is refused."}


def test_waiting_ends_at_its_limit_which_is_named(nowhere):
    began = time.monotonic()
    with pytest.raises(EngineError, match=r"connection is refused. .waited for 0.3 s, as ready_timeout_s under"):
        waited(nowhere[0], EndpointSettings(ready_timeout_s=0.3))
    assert time.monotonic() - began < 3


def test_nothing_is_waited_for_where_that_is_asked(nowhere):
    with pytest.raises(EngineError) as raised:
        waited(nowhere[0], EndpointSettings(ready_timeout_s=0))
    assert "waited" not in str(raised.value)


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        pytest.param((401, b'{"error":"bad key"}'), "401, bad key .the key is read", id="key"),
        pytest.param((404, b"Not Found"), "404, Not Found", id="path"),
        pytest.param((500, b"boom"), "500, boom", id="broken"),
        pytest.param((200, b"<html>"), "no OpenAI-compatible server", id="page"),
        pytest.param((0, b"220 mail\r\n\r\n"), "the connection was lost", id="no-http"),
    ],
)
def test_what_is_no_starting_server_is_not_waited_for(reply, message, serve):
    said = []
    with pytest.raises(EngineError, match=message):
        served_models.served_models(serve(reply), "none", PATIENT, lambda *why: said.append(why))
    assert not said


@pytest.mark.parametrize("url", ["http://mistyped:8000/v1", "https://127.0.0.1:{port}/v1"], ids=["name", "tls"])
def test_an_address_that_can_never_answer_is_not_waited_for(url, serve, monkeypatch):
    plain = socket.getaddrinfo

    def unknown(host, *more, **options):
        if host in ("mistyped", b"mistyped"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return plain(host, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    port = serve((200, LIST)).removesuffix("/v1").rpartition(":")[2]
    with pytest.raises(EngineError, match=r"no host of that name is found\.|TLS fails .*Is it http:// there\?"):
        waited(url.format(port=port))


def test_an_address_without_its_path_is_told_so(serve):
    with pytest.raises(EngineError, match=r"404, Not Found\. Most servers' addresses end in /v1"):
        waited(serve((404, b"Not Found")).removesuffix("/v1"))


@pytest.mark.parametrize("key", ["sk-two\nlines", "sk-ключ"])
def test_a_key_that_no_header_can_hold_is_refused_and_not_repeated(key, monkeypatch, nowhere):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(EngineError, match="OPENAI_API_KEY is no key") as raised:
        ask_endpoint(nowhere[0], load_experiment("miniature"))
    assert "sk-" not in str(raised.value)


class Terminal(io.StringIO):
    def __init__(self, is_one):
        super().__init__()
        self.isatty = lambda: is_one


def told(monkeypatch, is_terminal, seconds, why="refused"):
    """What stands on the screen after so many calls."""
    monkeypatch.setattr(sys, "stderr", Terminal(is_terminal))
    with contextlib.closing(WaitingLine("http://here/v1", 600, contextlib.nullcontext)) as line:
        for second in seconds:
            line.show(second, why)
    return sys.stderr.getvalue()


def test_a_log_gets_a_line_at_once_and_one_a_minute(monkeypatch):
    lines = told(monkeypatch, False, range(200)).splitlines()
    assert lines[0].startswith(
        "http://here/v1: refused If a server is starting there, it is waited for, 600 s at most."
    )
    assert "Ctrl-C ends this; ready_timeout_s under [endpoint]" in lines[0]
    assert [line.rpartition(": ")[2] for line in lines[1:]] == ["60 s of 600 s", "120 s of 600 s", "180 s of 600 s"]


def test_a_terminal_has_one_line_that_is_rewritten(monkeypatch):
    text = told(monkeypatch, True, range(5), "refused\x1b[31m")
    assert text.count("\n") == 2 and text.count("\r") == 5 and text.endswith("\n")
    assert "4 s of 600 s" in text and "\x1b" not in text


def command(url, folder, *more):
    """A run that asks the server at ``url``, as a process."""
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "pytest",
            "-m",
            "spider",
            "--adapter=base",
            f"--engine={url}",
            f"--results={folder}",
            *more,
        ],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OPENAI_API_KEY": ""},
    )


def test_a_command_goes_on_when_its_server_is_up(serve, nowhere, tmp_path):
    url, port = nowhere
    process = command(url, tmp_path, "--max-samples=2", "-q")
    assert "nothing listens there" in process.stderr.readline()
    serve((200, b'{"data":[{"id":"%s"}]}' % load_experiment("miniature").base_model.id.encode()), port=port)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1 and "exit status 1: 2 questions errored" in said


def test_ctrl_c_ends_the_waiting_of_a_command_at_once(nowhere, tmp_path):
    """And what is waited for stands there before, though nothing is collected yet."""
    process = command(nowhere[0], tmp_path)
    assert "nothing listens there" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    process.communicate(timeout=20)
    assert process.returncode == pytest.ExitCode.INTERRUPTED and time.monotonic() - began < 5
