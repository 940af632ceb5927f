"""A configuration that shows values, from its training to a replay of its answers."""

import json
import shutil
from pathlib import Path

import pytest

from tests.processes import run_pytest
from tests.tiny_training import SPIDER, record_of
from trainer.keeping.state import adapter_state, differing_settings
from trainer.prompts import VALUES
from trainer.run import lora_run
from trainer.spider.folder import open_spider
from trainer.study.experiment import load_experiment

SECTION = "\n[adapters.cfg2.prompt]\nsamples = 1\nvalues = 2\n"


@pytest.fixture(scope="module")
def spider(tmp_path_factory) -> Path:
    """A copy of the miniature's data, that a test may take databases from and give them back."""
    folder = tmp_path_factory.mktemp("data") / "spider"
    shutil.copytree(SPIDER, folder)
    return folder


@pytest.fixture(scope="module")
def experiment(experiment_file, spider, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("with-values") / "tiny.toml"
    path.write_text(f"{experiment_file.read_text().replace(SPIDER, str(spider))}{SECTION}")
    return path


@pytest.fixture(scope="module")
def results(train, experiment, tmp_path_factory) -> Path:
    """Where both configurations have been trained."""
    folder = tmp_path_factory.mktemp("results")
    status, _ = train(results=folder, experiment=experiment)
    assert status == 0
    return folder


def run_of(experiment, results):
    return lora_run(load_experiment(str(experiment)), "cfg2", results_dir=results, max_train_samples=8)


def test_the_record_has_what_prompts_showed(results):
    record = record_of(results / "tiny" / "adapters" / "cfg2-seed42-n8")
    assert record["prompt"] == {"keys": True, "samples": 1, "values": 2}
    assert record["identity"]["prompt.values"] == 2 and len(record["data"]["shown"]["hash"]) == 64
    assert 0 < record["data"]["shown"]["with_values"] <= 8
    plain = record_of(results / "tiny" / "adapters" / "cfg1-seed42-n8")
    assert "shown" not in plain["data"] and plain["data"]["tokens"] < record["data"]["tokens"]
    assert plain["identity"]["data"] == record["identity"]["data"], "both are trained on the same questions"


def test_an_adapter_of_other_prompts_is_stale(experiment, results, tmp_path):
    other = tmp_path / "tiny.toml"
    other.write_text(experiment.read_text().replace("values = 2", "values = 1"))
    assert adapter_state(run_of(experiment, results)) == "ready"
    assert differing_settings(run_of(other, results)) == ["prompt.values: trained with 2, now 1"]


def test_a_training_without_its_databases_is_refused_and_its_adapter_stays(
    train, experiment, results, spider, capsys, tmp_path
):
    hidden = tmp_path / "database"
    asked = {question.db_id for question in open_spider(SPIDER).dev()}
    shutil.copytree(spider / "database", hidden)
    try:
        for folder in (spider / "database").iterdir():
            if folder.name not in asked:
                shutil.rmtree(folder)
        status, adapters = train("cfg2", experiment=experiment)
        said = capsys.readouterr().err
        assert status == 2 and "prompts are to show values (samples = 1 and values = 2)" in said
        assert said.count("\n") == 1 and "--spider" in said and not adapters.exists()
        assert adapter_state(run_of(experiment, results)) == "ready"
        assert train("cfg1", experiment=experiment)[0] == 0
    finally:
        shutil.copytree(hidden, spider / "database", dirs_exist_ok=True)


def test_a_dry_run_and_the_prepared_texts_show_the_prompts(train, experiment, results, capsys):
    assert train("cfg2", "--dry-run", results=results, experiment=experiment)[0] == 0
    said = capsys.readouterr().out
    assert "prompts show keys, samples of every text column (up to 1), values that the question may mean" in said
    assert f"  | -- {VALUES}\n" in said and "  | Question: " in said
    assert train("cfg1", "--dry-run", results=results, experiment=experiment)[0] == 0
    assert "prompts show" not in capsys.readouterr().out
    assert train("cfg2", "--prepare-only", results=results, experiment=experiment)[0] == 0
    for name in ("train", "dev"):
        lines = (results / "tiny" / f"{name}_formatted.jsonl").read_text()
        assert VALUES in lines and "TEXT, -- '" in lines


def test_answers_are_kept_and_replayed_and_reports_say_what_prompts_showed(experiment, results, pytestconfig):
    options = ["-m", "spider", "--adapter=cfg1,cfg2", "--max-samples=4", "--max-train-samples=8"]
    options += [f"--experiment={experiment}", f"--results={results}", f"--html={results}/report.html"]
    done = run_pytest(options, cwd=pytestconfig.rootpath)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = (results / "tiny" / "scores.jsonl").read_bytes()
    manifest = json.loads((results / "tiny" / "manifest.json").read_text())
    asked = {one["adapter"]: one["asked"] for one in manifest["score_sets"]}
    assert asked["cfg2"].partition("+")[0] == asked["cfg1"] and "+" in asked["cfg2"]
    assert manifest["adapters"]["cfg2"]["trained"]["prompt.values"] == 2
    assert manifest["experiment"]["adapters"]["cfg2"]["prompt"] == {"keys": True, "samples": 1, "values": 2}
    assert "samples 1" in (results / "report.html").read_text()
    done = run_pytest([*options, "--replay"], cwd=pytestconfig.rootpath)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (results / "tiny" / "scores.jsonl").read_bytes() == rows
