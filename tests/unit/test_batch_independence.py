"""In float32 on a CPU the text of a reply does not depend on what it was asked together with."""

import subprocess
import sys
from dataclasses import replace

import pytest

from fixtures.adapters.adapter import Adapter
from trainer.prompts import spider_prompt
from trainer.run import lora_run
from trainer.spider.exemplars import exemplars
from trainer.spider.folder import open_spider
from trainer.study.experiment import load_experiment

pytestmark = pytest.mark.slow

NEW_TOKENS = 24  # as long as most queries; what differs would differ early
SAMPLES = 64  # enough for an adapter that writes SQL


@pytest.fixture(scope="module")
def experiment():
    return load_experiment("miniature")


@pytest.fixture
def engine(experiment):
    from fixtures.engines.transformers_engine import TransformersEngine

    return TransformersEngine(experiment.base_model)


@pytest.fixture(scope="module")
def adapter(experiment, tmp_path_factory, pytestconfig):
    """``cfg1``, trained on a few questions: 10 s."""
    results = tmp_path_factory.mktemp("results")
    command = [sys.executable, "-m", "trainer", "cfg1", f"--results={results}", f"--max-train-samples={SAMPLES}"]
    subprocess.run(command, cwd=pytestconfig.rootpath, check=True, capture_output=True)
    run = lora_run(experiment, "cfg1", results_dir=results, max_train_samples=SAMPLES)
    return Adapter("cfg1", "cfg1", "configuration", folder=run.output_dir, run=run)


def replies(engine, experiment, adapter, size):
    """To every other question, ``size`` at a time: asked as in the evaluation, only the base with exemplars."""
    spider = open_spider(experiment.spider.source)
    shown = exemplars(spider, experiment, experiment.spider.num_shots if adapter.kind == "base" else 0)
    solved = [(spider.schemas[q.db_id], q.question, q.gold_sql) for q in shown]
    prompts = [spider_prompt(spider.schemas[q.db_id], q.question, solved) for q in spider.dev()[::2]]
    found = []
    for start in range(0, len(prompts), size):
        some = prompts[start : start + size]
        answers = dict(engine.generate(some, adapter, max_new_tokens=NEW_TOKENS))
        found += [answers[place]["reply"] for place in range(len(some))]
    return found


@pytest.mark.parametrize("tuned", [False, True], ids=["base", "adapter"])
def test_every_reply_is_the_same_in_batches_of_1_and_64(engine, experiment, adapter, tuned):
    asked = adapter if tuned else Adapter("base", "base", "base")
    alone = replies(engine, experiment, asked, 1)
    assert len(alone) == 100 and len(set(alone)) > 50
    assert replies(engine, experiment, asked, 64) == alone


def test_every_reply_of_a_merged_adapter_is_the_same(engine, experiment, adapter):
    beside = replies(engine, experiment, adapter, 64)
    engine.models.load()
    assert replies(engine, experiment, replace(adapter, merged=True), 64) == beside
