"""What a request costs this process, whatever the server does: a long prompt is written once and never walked."""

import json
import time

import httpx2
import pytest

from fixtures.engines.pace import Pace
from fixtures.engines.server import Server
from trainer.study.settings import EndpointSettings

PROMPT, REQUESTS = list(range(30_000, 34_000)), 100


class Answers(httpx2.AsyncBaseTransport):
    """Answers at once, in no other process: what is measured is ours."""

    async def handle_async_request(self, request):
        assert json.loads(await request.aread())["prompt"] == PROMPT
        reply = {"choices": [{"text": " SELECT 1", "finish_reason": "stop"}], "model": "base"}
        return httpx2.Response(200, stream=httpx2.ByteStream(json.dumps(reply).encode()))


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(httpx2, "AsyncHTTPTransport", lambda **options: Answers())
    server = Server("http://here/v1", "none", EndpointSettings(), Pace(32, 32))
    yield server
    server.close()


def test_a_request_of_4000_tokens_costs_a_few_milliseconds(server):
    """CPU time, the writing and reading of its JSON by this test included; a client that checks each token takes 40."""

    async def ask(prompt):
        return {"reply": (await server.complete(model="base", prompt=prompt, max_tokens=8)).choices[0].text}

    began = time.process_time()
    replies = dict(server.each(ask, [PROMPT] * REQUESTS))
    assert len(replies) == REQUESTS and set(map(str, replies.values())) == {"{'reply': ' SELECT 1'}"}
    assert (time.process_time() - began) / REQUESTS < 0.008
