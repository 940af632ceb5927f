"""Whole runs with ``--engine``: what is in order before they start, what they keep, and the same scores."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from fixtures.adapters.adapter import Adapter, AdapterError
from fixtures.adapters.scale import Scale
from fixtures.engines import EngineError
from fixtures.engines.endpoint import Endpoint, _Names
from fixtures.engines.served_model import ServedModel
from fixtures.study.choosing import Wish, chosen_adapters, parsed_adapters
from tests.vllm_stub import Fault, VllmStub, plain_answers
from trainer.study.base_model import load_tokenizer
from trainer.study.experiment import load_experiment

BASE_NAME = load_experiment("miniature").base_model.id
SECRET = "sk-nobody-may-read-this"


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(load_experiment("miniature").base_model)


@pytest.fixture
def serve(tokenizer):
    """``serve(answer, **options)``: a stub server with the miniature's base, stopped at the end."""
    running = []

    def start(answer=lambda request: ([5], None), **options):
        running.append(VllmStub(tokenizer, answer, **{"models": [BASE_NAME], **options}))
        return running[-1]

    yield start
    for stub in running:
        stub.stop()


@pytest.fixture
def run(pytestconfig, tmp_path):
    """``run(engine, *arguments)`` evaluates the base on that server, results under ``tmp_path``."""

    def run(engine, *arguments):
        given = [f"--engine={engine}"] if engine else []
        command = [sys.executable, "-m", "pytest", "--adapter=base", f"--results={tmp_path}/results", *given]
        environment = {**os.environ, "OPENAI_API_KEY": SECRET}
        return subprocess.run(
            [*command, *arguments],
            check=False,
            cwd=pytestconfig.rootpath,
            capture_output=True,
            text=True,
            timeout=300,
            env=environment,
        )

    return run


def scores(tmp_path):
    return [json.loads(line) for line in (tmp_path / "results/miniature/scores.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        ("http://me:password@localhost:8000/v1", "must hold no user, password or query"),
        ("http://localhost:8000/v1?key=password", "must hold no user, password or query"),
        ("localhost:8000", "is no address such as http://localhost:8000/v1"),
        ("http://no-such-host.invalid/v1", "cannot be asked what it has: no host of that name is found."),
    ],
)
def test_an_address_that_cannot_be_used_is_one_line_before_anything_runs(engine, message, run):
    result = run(engine, "-m", "spider")
    assert result.returncode == pytest.ExitCode.USAGE_ERROR
    assert message in result.stderr
    assert "password@" not in result.stderr and "=password" not in result.stderr and "Traceback" not in result.stderr


def test_an_adapter_that_the_server_lacks_is_named_before_anything_runs(run, serve):
    result = run(serve().url, "-m", "spider", "--adapter=cfg1")
    assert result.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"has no model 'cfg1' for 'cfg1'; it has '{BASE_NAME}'. Start vLLM with --enable-lora" in result.stderr


def endpoint(*models, **names):
    experiment = load_experiment("miniature")
    mapped = experiment.model_copy(update={"endpoint": experiment.endpoint.model_copy(update={"models": names})})
    return Endpoint("http://localhost/v1", models, _Names(mapped))


def test_a_scaled_adapter_is_no_other_thing_in_silence():
    half = Adapter("cfg1*0.5", "cfg1-x0.5", "configuration", scale=Scale(0.5, 0.5))
    with pytest.raises(EngineError, match="at an adapter's own scale only"):
        endpoint(ServedModel("cfg1-x0.5")).model_of(half)
    named = endpoint(ServedModel("half"), **{"cfg1-x0.5": "half"})
    assert named.model_of(half).id == "half"


def test_a_whole_adapter_has_its_own_name_on_the_server_however_its_scale_was_named():
    """As where its own scale was chosen on other questions."""
    chosen = Adapter("cfg1*chosen", "cfg1-chosen", "configuration", unscaled="cfg1")
    assert endpoint(ServedModel("cfg1")).model_of(chosen).id == "cfg1"
    named = endpoint(ServedModel("cfg1"), ServedModel("other"), **{"cfg1-chosen": "other"})
    assert named.model_of(chosen).id == "other"


def test_sglang_is_asked_for_an_adapter_of_its_base():
    """By its own name alone SGLang would answer with the base."""
    served = ServedModel("cfg1", "/runs/cfg1", "llama", "sglang")
    assert endpoint(served).model_of(Adapter("cfg1", "cfg1", "configuration")).asked_as == "llama:cfg1"
    assert ServedModel("cfg1", "/runs/cfg1", "llama", "vllm").asked_as == "cfg1"


def test_weights_that_only_the_server_has_are_filed_under_its_words(tmp_path):
    adapter = Adapter("cfg1", "cfg1", "configuration", folder=tmp_path)
    one, other = (endpoint(ServedModel("cfg1", root)).on_server(adapter) for root in ("/runs/a", "/runs/b"))
    assert not one.needs_training
    assert one.weights_hash != other.weights_hash
    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "adapter_model.safetensors").write_text("weights")
    assert endpoint(ServedModel("cfg1", "/runs/a")).on_server(adapter).weights_hash == adapter.weights_hash


@pytest.mark.slow
def test_no_point_is_chosen_of_weights_that_only_the_server_has(tmp_path):
    """What was chosen would be filed without a hash, and refused ever after."""
    wish, experiment = Wish(dials=("cfg1",), choosing=True), load_experiment("miniature")
    parsed = parsed_adapters(wish, experiment, tmp_path, tmp_path)
    names = {adapter.slug: adapter.slug for adapter in parsed[1:]}
    served = endpoint(ServedModel(experiment.base_model.id), *map(ServedModel, names), **names)
    with pytest.raises(
        AdapterError, match=r"--choosing: the weights of 'cfg1\*0' are on the server alone. Copy them to"
    ):
        chosen_adapters(parsed, wish, experiment, tmp_path, served)


def test_a_run_whose_server_dies_is_completed_by_the_same_command(run, serve, tmp_path):
    """What it answered is kept, what it did not is errored; the second run asks only for that."""
    limits = [17, None]
    gone = Fault(status=503, message="shutting down", headers={"x-should-retry": "false"})
    stub = serve(faults=lambda number, request: gone if limits[0] and number > limits[0] else None)
    arguments = ["-m", "spider", "--max-samples=40"]
    first = run(stub.url, *arguments)
    assert first.returncode == 1
    assert "does not answer: 503, shutting down" in first.stdout
    errored = sum(row["status"] == "errored" for row in scores(tmp_path))
    # A reply on its way when another one says that the server is gone may not be waited for.
    assert 40 - 17 <= errored < 40
    del limits[0]
    before = len(stub.requests)
    assert run(stub.url, *arguments).returncode == 0
    assert len(stub.requests) - before == 1 + errored
    assert run(stub.url, *arguments, "--replay").returncode == 0
    assert len(stub.requests) - before == 1 + errored
    written = [path for path in (tmp_path / "results").rglob("*") if path.is_file()]
    assert not any(SECRET.encode() in path.read_bytes() for path in written)
    manifest = json.loads((tmp_path / "results/miniature/manifest.json").read_text())
    assert manifest["engine"]["models"][0]["id"] == BASE_NAME


@pytest.mark.slow
def test_a_prompt_that_is_too_long_is_errored_by_id(run, serve, tmp_path):
    refused = Fault(status=400, message="This model's maximum context length is 300 tokens.")
    stub = serve(faults=lambda number, request: refused if number == 5 else None)
    result = run(stub.url, "-m", "spider", "--max-samples=10")
    assert result.returncode == 1
    assert "1 errored: the server refuses this prompt: 400, This model's maximum context" in result.stdout
    assert [row["status"] for row in scores(tmp_path)].count("errored") == 1


@pytest.mark.slow
def test_the_scores_are_those_of_a_run_in_this_process(run, serve, tmp_path):
    """Two workers ask the server, one process answers itself."""
    from transformers import AutoModelForCausalLM

    folder = load_experiment("miniature").base_model.folder
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()
    arguments = ["-m", "spider or mmlu", "--max-samples=8", "--batch-size=4"]
    assert run(serve(plain_answers(model, [2])).url, *arguments, "-n", "2").returncode == 0
    served = scores(tmp_path)
    (tmp_path / "results").rename(tmp_path / "served")
    assert run(None, *arguments).returncode == 0
    assert_same_rows(served, scores(tmp_path))


def assert_same_rows(one, other):
    assert len(one) == len(other)
    for row, same in zip(one, other, strict=True):
        for numbers in ("log_likelihoods", "letter_mass"):
            assert row.pop(numbers, 0) == pytest.approx(same.pop(numbers, 0), abs=1e-4)
        assert row == same


@pytest.fixture
def transformers_serve(tmp_path, pytestconfig):
    """The address of a ``transformers serve`` with the miniature's base model. It starts in some 8 s."""
    program = os.path.join(os.path.dirname(sys.executable), "transformers")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [program, "serve", BASE_NAME, f"--port={port}", "--dtype=float32", "--device=cpu"]
    (tmp_path / "hub").mkdir()
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path / "hub")}
    with (tmp_path / "serve.log").open("w") as log:
        process = subprocess.Popen(command, cwd=pytestconfig.rootpath, stdout=log, stderr=log, env=environment)
    try:
        for _ in range(120):
            time.sleep(0.5)
            assert process.poll() is None, (tmp_path / "serve.log").read_text()
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except OSError:
                continue
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait()


@pytest.mark.slow
def test_transformers_serve_says_what_this_process_says(transformers_serve, run, tmp_path):
    """Sixty questions of every hardness, as text, since it takes no token ids, and one a time: it answers 2 a second.

    It gives no log-probabilities, and that is said.
    """
    some = ("-m", "spider", "--max-samples=60")
    assert run(transformers_serve, *some).returncode == 0
    served = scores(tmp_path)
    (tmp_path / "results").rename(tmp_path / "served")
    assert run(None, *some).returncode == 0
    assert len(served) == 60 and {row["hardness"] for row in served} == {"easy", "medium", "hard", "extra"}
    assert_same_rows(served, scores(tmp_path))
    result = run(transformers_serve, "-m", "mmlu", "--max-samples=2")
    assert result.returncode == 1
    assert "the server gives no log-probabilities" in result.stdout


@pytest.mark.parametrize("more", [[], ["--replay"]], ids=["asked", "replayed"])
def test_a_damaged_answer_store_is_one_line(more, run, serve, tmp_path):
    (tmp_path / "results" / "miniature").mkdir(parents=True)
    (tmp_path / "results" / "miniature" / "answers.sqlite").write_bytes(b"no database, and longer than a header" * 99)
    ended = run(serve().url, "-m", "spider", "--max-samples=2", *more)
    assert ended.returncode == 4
    assert "Traceback" not in ended.stdout + ended.stderr
    assert "is damaged or no answer store" in ended.stderr and "Move it away" in ended.stderr
