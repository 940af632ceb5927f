"""``--push``: what reaches the Hub, here a server that speaks as much of its protocol as an upload needs."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest


@pytest.fixture
def hub(monkeypatch):
    """The server: ``created`` repositories, ``files`` by path as they were committed, ``refusing`` turns all away."""
    seen = SimpleNamespace(created=[], files={}, refusing=False)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            if seen.refusing:
                self._reply(403, {"error": "You don't have the rights to write here"})
            elif self.path == "/api/repos/create":
                seen.created.append(json.loads(body))
                self._reply(200, {"url": f"{endpoint}/someone/adapter"})
            elif "/preupload/" in self.path:
                wanted = {"uploadMode": "regular", "shouldIgnore": False}
                self._reply(200, {"files": [wanted | {"path": file["path"]} for file in json.loads(body)["files"]]})
            elif "/commit/" in self.path:
                for line in map(json.loads, body.splitlines()):
                    if line["key"] == "file":
                        seen.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                self._reply(200, {"commitUrl": f"{endpoint}/commit/1", "commitOid": "1", "success": True})
            else:
                self._reply(200, {})

        def do_GET(self):
            self._reply(200, {"id": "someone/adapter", "sha": "0", "siblings": []})

        def _reply(self, status, content):
            payload = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    endpoint = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    # This Hub is on this machine, whatever the person who runs the tests says of the real one.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    yield seen
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def results(train):
    """Results with cfg2 trained, one of its checkpoints kept."""
    status, adapters = train("cfg2", "--save-steps", "1")
    assert status == 0
    return adapters.parents[1]


def test_a_finished_adapter_is_pushed_with_its_card(train, results, hub, capsys):
    status, adapters = train("cfg2", "--push", "someone/adapter", results=results)
    folder = adapters / "cfg2-seed42-n8"
    assert status == 0
    assert "cfg2 seed 42: pushed to http://127.0.0.1" in capsys.readouterr().out
    assert set(hub.files) == {"README.md", "adapter_config.json", "adapter_model.safetensors", "run.json"}
    assert hub.files["adapter_model.safetensors"] == (folder / "adapter_model.safetensors").read_bytes()
    assert b"Not measured yet" in hub.files["README.md"]
    assert hub.created[0]["name"] == "adapter"
    assert hub.created[0]["visibility"] == "private"


def test_the_card_of_an_evaluation_stays(train, results, hub):
    card = results / "tiny" / "adapters" / "cfg2-seed42-n8" / "README.md"
    card.write_text("measured: 75 %")
    assert train("cfg2", "--push", "someone/adapter", results=results)[0] == 0
    assert hub.files["README.md"] == b"measured: 75 %"


@pytest.mark.parametrize(
    ("names", "hub_id", "message"),
    [
        pytest.param(
            ["cfg1"], "someone/adapter", "cfg1 seed 42 is not trained with these settings yet. Run", id="missing"
        ),
        pytest.param([], "someone/adapter", "--push takes one adapter, not 2: name one of cfg1, cfg2", id="two"),
        pytest.param(["cfg2"], "", "--push: '' is no Hub id. Write --push=OWNER/NAME.", id="empty"),
        pytest.param(["cfg2"], "not an id", "--push not an id: Repo id must", id="id"),
    ],
)
def test_what_cannot_be_pushed_is_said(train, results, hub, capsys, names, hub_id, message):
    status, _ = train(*names, "--push", hub_id, results=results)
    assert status == 2
    assert message in capsys.readouterr().err
    assert not hub.files


def test_a_refusal_of_the_hub_is_passed_on(train, results, hub, capsys):
    hub.refusing = True
    status, _ = train("cfg2", "--push", "someone/adapter", results=results)
    error = capsys.readouterr().err
    assert status == 2
    assert "403" in error
    assert "hf auth login" in error
    assert "hf_test" not in error
