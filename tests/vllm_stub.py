"""A server with vLLM's wire format for /v1/completions and /v1/models, answered by plain forward passes of a model.

It knows nothing of our engines. ``faults`` makes it misbehave: it is given the number of a completion request, from 0,
and the request, and returns None or what to do in place of an answer (``Fault``).
"""

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Fault:
    """What goes wrong: a status with a message, damaged JSON, a connection reset, a delay, or a changed reply."""

    status: int = 200
    message: str = ""
    headers: dict = field(default_factory=dict)
    delay_s: float = 0.0
    truncate: bool = False
    reset: bool = False
    change: Callable[[dict], dict] | None = None


class VllmStub:
    """Serves ``answer(request) -> (new token ids, log-probabilities of prompt and new tokens or None)`` in a thread.

    ``log_probabilities`` are (tokens of prompt and reply, vocabulary), row n those of token n + 1.
    """

    def __init__(
        self,
        tokenizer: "PreTrainedTokenizerBase",
        answer: Callable[[dict], tuple],
        *,
        models: Sequence[str] = ("base",),
        faults: Callable[[int, dict], Fault | None] = lambda number, request: None,
        port: int = 0,
        ids: bool = True,
        token_ids: bool = True,
    ):
        self._tokenizer, self._answer, self._faults = tokenizer, answer, faults
        self._ids, self._token_ids = ids, token_ids
        self.requests: list[dict] = []
        self.headers: list[dict] = []
        self._models = [_entry(name, models[0]) for name in models]
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/v1"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_) -> None:
                """Nothing is logged."""

            def do_GET(self) -> None:
                self._send({"object": "list", "data": stub._models})

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with stub._lock:
                    number = len(stub.requests)
                    stub.requests.append(request)
                    stub.headers.append(dict(self.headers))
                fault = stub._faults(number, request) or Fault()
                time.sleep(fault.delay_s)
                if fault.reset:
                    self.connection.close()
                    return
                if fault.status != 200:
                    # vLLM's form of an error: vllm/entrypoints/openai/engine/protocol.py, ErrorResponse.
                    error = {"message": fault.message, "type": "BadRequestError", "param": None, "code": fault.status}
                    self._send({"error": error}, fault)
                    return
                if not stub._ids and not isinstance(request["prompt"], str):
                    self._send({"detail": "prompt must be a string."}, Fault(status=400))
                    return
                with stub._lock:
                    reply = stub._reply(request)
                self._send(fault.change(reply) if fault.change else reply, fault)

            def _send(self, reply: dict, fault: Fault = Fault()) -> None:
                body = json.dumps(reply).encode()
                body = body[: len(body) // 2] if fault.truncate else body
                self.send_response(fault.status)
                for name, value in {"content-type": "application/json", **fault.headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        return Handler

    def _reply(self, request: dict) -> dict:
        prompt = request["prompt"]
        tokens = self._tokenizer(prompt)["input_ids"] if isinstance(prompt, str) else prompt
        new, log_probabilities = self._answer({**request, "prompt": tokens})
        shown = [*tokens, *new] if request.get("echo") else new
        choice = {
            "index": 0,
            "text": self._tokenizer.decode(shown, skip_special_tokens=True),
            "finish_reason": "length" if self._is_cut(new, request) else "stop",
            "logprobs": None,
        }
        if request.get("logprobs") is not None and log_probabilities is not None:
            first = 0 if request.get("echo") else len(tokens)
            choice["logprobs"] = self._logprobs([*tokens, *new], first, log_probabilities, request)
        usage = {"prompt_tokens": len(tokens), "completion_tokens": len(new), "total_tokens": len(tokens) + len(new)}
        frame = {"id": "cmpl-0", "object": "text_completion", "created": 0, "model": request["model"]}
        return frame | {"choices": [choice], "usage": usage}

    @staticmethod
    def _is_cut(new: list[int], request: dict) -> bool:
        ended = bool(new) and new[-1] in request.get("stop_token_ids", ())
        return len(new) >= request["max_tokens"] and not ended

    def _logprobs(self, tokens: list[int], first: int, log_probabilities, request: dict) -> dict:
        """Of the tokens from place ``first`` on; nothing is known of the very first one of a prompt."""
        as_ids = request.get("return_tokens_as_token_ids") and self._token_ids
        name = (lambda token: f"token_id:{token}") if as_ids else lambda token: self._tokenizer.decode([token])
        values, top = [], []
        for place in range(first, len(tokens)):
            row = log_probabilities[place - 1] if place else None
            values.append(None if row is None else row[tokens[place]].item())
            best = [] if row is None else row.topk(request["logprobs"]).indices.tolist()
            named = {name(token): row[token].item() for token in dict.fromkeys([tokens[place], *best]) if best}
            top.append(named or None)
        return {"tokens": [name(t) for t in tokens[first:]], "token_logprobs": values, "top_logprobs": top}


def _entry(name: str, base: str) -> dict:
    entry = {"id": name, "object": "model", "created": 0, "owned_by": "vllm", "root": f"/models/{name}"}
    return entry | {"parent": None if name == base else base, "max_model_len": 4096, "permission": []}


def plain_answers(model: "PreTrainedModel", ends: Sequence[int]) -> Callable[[dict], tuple]:
    """Greedy answers to one unpadded sequence at a time, with the keys and values that transformers keeps by itself."""
    import torch

    @torch.inference_mode()
    def answer(request: dict) -> tuple:
        tokens, seen, rows = list(request["prompt"]), None, []
        for _ in range(request["max_tokens"]):
            unread = tokens[seen.get_seq_length() :] if seen else tokens
            output = model(torch.tensor([unread]), past_key_values=seen, use_cache=True)
            seen = output.past_key_values
            rows.append(output.logits[0].log_softmax(-1))
            tokens.append(int(rows[-1][-1].argmax()))
            if tokens[-1] in ends:
                break
        return tokens[len(request["prompt"]) :], torch.cat(rows)

    return answer
