"""An adapter that was trained again under the same name: answers of the old weights are never taken for the new."""

from dataclasses import replace

import pytest

from fixtures.adapters.adapter import Adapter
from fixtures.engines import EngineError
from fixtures.engines.endpoint import ask_endpoint, remember_endpoint, remembered_endpoint
from fixtures.engines.pace import Pace
from fixtures.engines.served_weights import tell_weights_apart
from fixtures.engines.server import Server
from tests.vllm_stub import Fault, VllmStub
from trainer.prompts import Prompt
from trainer.study.base_model import load_tokenizer
from trainer.study.experiment import load_experiment

EXPERIMENT = load_experiment("miniature")


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(EXPERIMENT.base_model)


@pytest.fixture
def server(tokenizer):
    """A stub with the base and cfg1; ``server.says`` are cfg1's log-probabilities, None where it gives none."""

    def said(number, request):
        logprobs = {"tokens": [" *"], "token_logprobs": [-1.0], "top_logprobs": [stub.says]}
        logprobs = logprobs if stub.says and request["model"] == "cfg1" else None
        return Fault(change=lambda reply: reply | {"choices": [reply["choices"][0] | {"logprobs": logprobs}]})

    stub = VllmStub(tokenizer, lambda request: ([5], None), models=[EXPERIMENT.base_model.id, "cfg1"], faults=said)
    stub.says = {" *": -1.0, " name": -2.0}
    yield stub
    stub.stop()


@pytest.fixture
def asked(server, tmp_path):
    """``asked(adapter)``: the adapter as a run that starts now has it."""

    def ask(adapter):
        endpoint = ask_endpoint(server.url, EXPERIMENT)
        return tell_weights_apart(endpoint, [adapter], 5.0, tmp_path / "answers.sqlite").on_server(adapter)

    return ask


@pytest.fixture
def here(tmp_path):
    """cfg1 with its weights in a folder here."""
    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "adapter_model.safetensors").write_text("weights")
    return Adapter("cfg1", "cfg1", "configuration", folder=tmp_path)


def trained_again(adapter):
    (adapter.folder / "adapter_model.safetensors").write_text("other weights")
    return replace(adapter)  # whose hash is not known yet


def test_a_server_with_the_weights_from_before_a_training_is_refused(here, asked, server):
    """And again, until it is restarted: then it is taken, and so are the old weights with the old file."""
    before = asked(here).weights_hash
    assert asked(here).weights_hash == before
    again = trained_again(here)
    for _ in range(2):
        with pytest.raises(EngineError, match=r"weights that '.*' held before it was trained again. Restart"):
            asked(again)
    server.says = {" *": -1.01, " name": -2.0}
    assert asked(again).weights_hash not in ("", before)
    (here.folder / "adapter_model.safetensors").write_text("weights")
    with pytest.raises(EngineError, match="Restart"):
        asked(replace(here))


def test_weights_that_only_the_server_has_are_told_apart(asked, server, tmp_path):
    """Rounding makes no new weights, another training does; the first are known again."""
    adapter = Adapter("cfg1", "cfg1", "configuration", folder=tmp_path / "nothing-here")
    first = asked(adapter).weights_hash
    server.says = {" *": -1.1, " name": -1.9}
    assert asked(adapter).weights_hash == first
    server.says = {" *": -1.0, " age": -1.2}
    second = asked(adapter).weights_hash
    assert second == f"{first}, version 2"
    server.says = {" *": -1.0, " name": -2.0}
    assert asked(adapter).weights_hash == first


def test_a_replay_and_workers_know_the_version_without_asking(asked, server, tmp_path):
    adapter, answers = Adapter("cfg1", "cfg1", "configuration", folder=tmp_path / "nothing-here"), tmp_path / "a.sqlite"
    for says in (-1.0, -9.0):
        server.says = {" *": says}
        endpoint = tell_weights_apart(ask_endpoint(server.url, EXPERIMENT), [adapter], 5.0, answers)
    remember_endpoint(endpoint, answers)
    server.stop()
    known = remembered_endpoint(server.url, EXPERIMENT, answers)
    assert known.on_server(adapter).weights_hash.endswith(", version 2")


def test_nothing_is_told_of_a_server_without_log_probabilities(here, asked, server):
    server.says = None
    asked(here)
    assert asked(trained_again(here)).folder == here.folder


def test_the_base_and_recorded_predictions_are_not_asked(server, tmp_path):
    adapters = [Adapter("base", "base", "base"), Adapter("a.sql", "a", "recorded")]
    tell_weights_apart(ask_endpoint(server.url, EXPERIMENT), adapters, 5.0, tmp_path / "answers.sqlite")
    assert not server.requests


def test_weights_that_change_while_a_run_goes_on_are_noted(server):
    from fixtures.engines.endpoint_engine import EndpointEngine

    adapter, settings = Adapter("cfg1", "cfg1", "configuration"), EXPERIMENT.endpoint
    engine = EndpointEngine(EXPERIMENT.base_model, Server(server.url, "none", settings, Pace(2, 2)), {"cfg1": "cfg1"})
    notes = []
    for says in (-1.0, -1.1, -3.0):
        server.says = {" *": says}
        assert len(dict(engine.generate([Prompt(text="A")], adapter, max_new_tokens=2))) == 1
        notes += [engine.checked(adapter)["notes"]]
    engine.close()
    assert notes[0] == notes[1]
    assert "by 2.00 in" in notes[2][-1] and "another --results" in notes[2][-1]
