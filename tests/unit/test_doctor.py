"""``--doctor``: everything that a run would stumble over is found before it, with what to do about it."""

import json
import os
import subprocess
import sys
import time

import pytest

from fixtures.study import looks
from fixtures.study.looks import base_model_look
from tests.processes import run_pytest
from trainer.study.experiment import load_experiment
from trainer.study.settings import BaseModelSettings

STUDY = """
[base_model]
id = "someone/model-7b"
memory_gb = 16
[spider]
source = "nowhere/spider.zip"
[mmlu]
source = "nowhere/mmlu"
[adapters.cfg1]
rank = 8
alpha = 16
target_modules = "all-linear"
learning_rate = 1e-4
epochs = 1
"""


@pytest.fixture
def run(pytestconfig, tmp_path):
    """``run(*options)``: status, and what the doctor says of each subject, with the remedy where one is missing."""

    def look(*options, **environment):
        command = ["--doctor", f"--results={tmp_path}/results", *options]
        own = os.environ | {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""} | environment
        ended = run_pytest(command, cwd=pytestconfig.rootpath, environment=own)
        assert "Traceback" not in ended.stderr and not ended.stderr.strip(), ended.stderr
        said, found = ended.stdout.splitlines(), {}
        for place, line in enumerate(said):
            state, subject, text = line[:9].strip(), *line[9:].partition(": ")[::2]
            if state in ("ok", "MISSING"):
                found.setdefault(subject, []).append((text, said[place + 1].strip() if state == "MISSING" else ""))
        return ended.returncode, found, said

    return look


@pytest.fixture(scope="module")
def places(pytestconfig, tmp_path_factory):
    """A folder with data and adapters that lack something, and files that are none of it."""
    folder = tmp_path_factory.mktemp("places")
    own = pytestconfig.rootpath / "fixtures" / "miniature" / "spider"
    for name in ("empty", "no-databases"):
        (folder / name).mkdir()
    for name in ("dev.json", "tables.json"):
        (folder / "no-databases" / name).write_bytes((own / name).read_bytes())
    for name in ("bad.zip", "afile", "short.sql"):
        (folder / name).write_text("SELECT 1\n")
    return folder


def test_the_doctor_finds_nothing_to_mend_for_the_miniature(run):
    status, said, lines = run()
    assert status == 0, lines
    wanted = ["GPU", "memory", "results", "Python", "packages", "Spider", "MMLU", "base model", "adapters"]
    assert [one for one in said if one != "torch"] == wanted
    assert said["adapters"] == [("cfg1, cfg2: not trained yet, which the first run does", "")]
    assert said["Spider"] == [("fixtures/miniature/spider, 200 questions", "")]


def test_the_doctor_says_what_to_do_about_each_thing_that_is_missing(run, tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(STUDY)
    status, said, lines = run(f"--experiment={path}", HF_HOME=str(tmp_path))
    remedies = {subject: remedy for subject, [(_, remedy)] in said.items()}
    assert status == 1 and remedies["GPU"].startswith("16 GB of one are needed")
    assert "--spider" in remedies["Spider"] and "--mmlu" in remedies["MMLU"]
    assert remedies["base model"] == "Where there is a network: hf download someone/model-7b"
    assert remedies["adapters"].startswith("python -m trainer cfg1:42 --experiment")
    assert lines[-1] == "5 of 9 to be mended"


def test_without_the_requirements_one_line_says_so(pytestconfig, tmp_path):
    """A newcomer's first command, in an environment that has pytest alone, ended in a traceback of 30 lines."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['pydantic'] = None\n")
    command = [sys.executable, "-m", "pytest", "--doctor"]
    own = os.environ | {"PYTHONPATH": str(tmp_path)}
    ended = subprocess.run(command, cwd=pytestconfig.rootpath, env=own, capture_output=True, text=True, timeout=60)
    (said,) = (ended.stdout + ended.stderr).split("\n\n")[0].strip().splitlines()
    assert ended.returncode == pytest.ExitCode.USAGE_ERROR
    assert said.startswith("ERROR: pydantic not installed for ") and said.endswith("pip install -r requirements.txt")


def test_the_doctor_waits_for_no_network():
    began = time.monotonic()
    assert looks.within(0.05, lambda: time.sleep(5) or "late") == "no answer within 0.05 s"
    assert time.monotonic() - began < 2
    assert looks.within(5, lambda: int("x") and "") == "invalid literal for int() with base 10: 'x'"


@pytest.mark.parametrize(
    ("option", "subject", "found", "remedy"),
    [
        ("--adapter=nowhere", "adapters", "unknown adapter 'nowhere'", "pytest --list-adapters"),
        ("--adapter={}/empty", "adapters", "needs adapter_config.json", "save_pretrained"),
        ("--adapter={}/shrt.sql", "adapters", "no file of recorded predictions", "Did you mean '{}/short.sql'?"),
        ("--adapter={}/short.sql", "adapters", "has 1 lines, dev has 200 questions", "Mend the file"),
        ("--adapter=nobody/nothing", "adapters", "the Hub does not give it", "Check its name"),
        ("--adapter=cfg1@step-3", "adapters", "cfg1@step-3: not trained yet", "--save-steps 3"),
        ("--spider={}/no-databases", "Spider", "database 'hotel_stays' not found", "10 databases are missing in all"),
        ("--spider={}/bad.zip", "Spider", "is no zip file", "Download it again"),
        ("--spider-questions=nope.json", "Spider", "no file of questions 'nope.json'", "It has: dev.json"),
        ("--mmlu={}/afile", "MMLU", "line 1 is no question", "a copy is a folder with dev/ and test/"),
        ("--mmlu-subjects=nope", "MMLU", "unknown MMLU subject or category 'nope'", "--list-mmlu-subjects"),
        ("--results={}/afile", "results", "cannot be written: Not a directory", "--results=DIR"),
        ("--engine=http://localhost:9/v1", "server", "nothing listens there", "Start it"),
    ],
)
def test_what_a_run_would_stumble_over_is_missing(option, subject, found, remedy, places, run):
    """All of these were "ok", or not looked at."""
    status, said, lines = run(option.replace("{}", str(places)))
    (text, mend), *_ = said[subject]
    assert status == 1 and found in text and remedy.replace("{}", str(places)) in mend, lines
    assert lines[-1].startswith("1 of "), lines


def test_recorded_predictions_need_no_model_and_no_gpu(run, places, pytestconfig):
    gold = json.loads((pytestconfig.rootpath / "fixtures/miniature/spider/dev.json").read_text())
    (places / "whole.sql").write_text("\n".join(entry["query"] for entry in gold))
    data = "--spider=fixtures/miniature/spider"
    status, said, lines = run("-m", "spider", "--experiment=llama-3-8b", data, f"--adapter={places}/whole.sql")
    assert status == 0, lines
    assert said["adapters"] == [(f"{places}/whole.sql: 200 predictions", "")]
    assert "base model" not in said and "MMLU" not in said


def test_a_base_model_without_its_weights_is_not_there(tmp_path, pytestconfig):
    """A run that was killed, or a server's tokenizer, leaves a folder with a configuration alone."""
    own = pytestconfig.rootpath / "fixtures" / "miniature" / "model"
    experiment = load_experiment("miniature").model_copy(update={"base_model": BaseModelSettings(id=str(tmp_path))})
    for name, lacking in (("config.json", "tokenizer.json"), ("tokenizer.json", "model.safetensors")):
        (tmp_path / name).write_bytes((own / name).read_bytes())
        assert base_model_look(experiment, None).found.endswith(f"has no {lacking}")
    assert not base_model_look(experiment, "http://localhost:8000/v1").remedy
    shards = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(shards))
    (tmp_path / "model-1.safetensors").touch()
    assert base_model_look(experiment, None).found.endswith("has no model-2.safetensors")
    (tmp_path / "model-2.safetensors").touch()
    assert not base_model_look(experiment, None).remedy


def test_a_base_model_at_a_path_that_is_not_there_is_named(run, tmp_path):
    """A traceback of the Hub's client, which takes the path for an id."""
    (tmp_path / "study.toml").write_text(STUDY.replace("someone/model-7b", f"{tmp_path}/nowhere"))
    _, said, _ = run(f"--experiment={tmp_path}/study.toml", "--adapter=base")
    ((text, remedy),) = said["base model"]
    assert f"no folder '{tmp_path}/nowhere', and it is no Hub id" in text and "in [base_model] of" in remedy


def test_a_base_model_that_cannot_be_had_ends_a_run_before_its_first_question(pytestconfig, tmp_path):
    """Each of 1,034 questions asked the Hub for it anew, and was errored: the client had been closed."""
    text = STUDY.replace("memory_gb = 16\n", "").replace("nowhere/spider.zip", "fixtures/miniature/spider")
    (tmp_path / "study.toml").write_text(text)
    command = [f"--experiment={tmp_path}/study.toml", f"--results={tmp_path}/results", "--adapter=base", "-m", "spider"]
    own = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    for workers in ([], ["-n", "2"]):
        ended = run_pytest([*command, *workers], cwd=pytestconfig.rootpath, environment=own)
        assert ended.returncode == pytest.ExitCode.USAGE_ERROR, ended.stdout + ended.stderr
        (line,) = [line for line in ended.stderr.splitlines() if line.startswith("ERROR: ")]
        assert "base model 'someone/model-7b' cannot be loaded" in line
        assert "errored" not in ended.stdout
