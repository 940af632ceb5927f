"""Python that comes with a model: never run, never asked about, by evaluation or training."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiny_training import EXPERIMENT, SPIDER

pytestmark = pytest.mark.slow  # every way of loading is a process of its own

LOADS = {
    "the loading functions": (
        "from trainer.study.base_model import *\nfrom trainer.study.experiment import ExperimentError\n"
        "tokenizer = load_tokenizer(settings)\n"
        "loads = [lambda: load_end_tokens(settings, tokenizer), lambda: load_skeleton(settings)]\n"
        "for load in [*loads, lambda: load_model(settings, quantisation='none')]:\n"
        "    try:\n        load()\n    except ExperimentError as error:\n        sys.stderr.write(f'{error}\\n')\n"
    ),
    "TransformersEngine": (
        "from fixtures.engines.transformers_engine import TransformersEngine\n"
        "from fixtures.adapters.adapter import Adapter\nfrom trainer.prompts import Message, Prompt\n"
        "asked = [Prompt((Message('user', 'How many?'),))]\n"
        "print(list(TransformersEngine(settings).generate(asked, Adapter('base', 'base', 'base'), max_new_tokens=2)))"
    ),
    "trainer --dry-run": "import trainer.__main__ as t; sys.exit(t.main(['--dry-run', *options]))",
    "trainer": "import trainer.__main__ as t; sys.exit(t.main(['cfg1', *options]))",
}
THEIRS = {
    "config.json": {"AutoConfig": "theirs.Config", "AutoModelForCausalLM": "theirs.Model"},
    "tokenizer_config.json": {"AutoTokenizer": ["theirs.Tokenizer", "theirs.Tokenizer"]},
}


@pytest.fixture
def model(base_model, tmp_path) -> Path:
    """A model with code of its own wherever Transformers looks for some; the code writes the file ``ran``."""
    folder = shutil.copytree(base_model, tmp_path / "model")
    (folder / "custom_generate").mkdir()
    for file in (folder / "theirs.py", folder / "custom_generate" / "generate.py"):
        file.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\ndef generate(*_, **__): return None\n")
    for name, auto_map in THEIRS.items():
        change(folder / name, auto_map=auto_map)
    change(folder / "generation_config.json", custom_generate=str(folder), auto_map={"GenerationConfig": "theirs.C"})
    return folder


def change(path: Path, **values) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def run(load: str, model: Path) -> subprocess.CompletedProcess[str]:
    experiment = model.parent / "tiny.toml"
    experiment.write_text(EXPERIMENT.format(model=model, spider=SPIDER))
    options = ["--experiment", experiment, "--results", model.parent / "results", "--max-train-samples", "8"]
    code = (
        f"import sys\nfrom trainer.study.experiment import BaseModelSettings\noptions = {list(map(str, options))!r}\n"
        f"settings = BaseModelSettings(id={str(model)!r}, dtype='float32')\n{LOADS[load]}"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    return subprocess.run(
        [sys.executable, "-c", code], input="y\n" * 9, capture_output=True, text=True, timeout=180, env=environment
    )


def saw_nothing_of(done: subprocess.CompletedProcess[str], model: Path) -> bool:
    return not (model.parent / "ran").exists() and "[y/N]" not in done.stdout + done.stderr


@pytest.mark.parametrize("load", LOADS)
def test_a_model_of_a_known_kind_answers_without_its_code(model, load):
    done = run(load, model)
    assert done.returncode == 0, done.stderr
    assert "which is never run" not in done.stderr
    assert saw_nothing_of(done, model)


@pytest.mark.parametrize(("load", "times"), [("the loading functions", 3), ("trainer --dry-run", 1)])
def test_a_model_of_a_kind_of_its_own_is_refused(model, load, times):
    change(model / "config.json", model_type="theirs", architectures=["TheirModel"])
    (model / "generation_config.json").unlink()
    done = run(load, model)
    assert done.stderr.count("which is never run. Take a model whose architecture") == times
    assert saw_nothing_of(done, model)


def test_a_tokenizer_of_a_kind_of_its_own_runs_no_code(model):
    change(model / "tokenizer_config.json", tokenizer_class="TheirTokenizer")
    (model / "tokenizer.json").unlink()
    done = run("trainer --dry-run", model)
    assert done.returncode == 2
    assert "error: base model" in done.stderr
    assert saw_nothing_of(done, model)
