"""What the dial and replay are for, on the miniature: an aggressive training, and the same with replay, at three seeds.

The shipped pair, cfg2 and cfg3, trained in fewer and steeper steps than in a study: it forgets more, in seconds. What
is held is a direction, of means over the seeds; trainings round differently on every machine.
"""

from dataclasses import replace
from pathlib import Path
from statistics import mean

import pytest

from fixtures.adapters.adapter import Adapter
from fixtures.adapters.scale import Scale
from fixtures.adapters.specs import parse_adapters
from fixtures.questions.mmlu.suite import MMLU
from fixtures.questions.spider.suite import SPIDER
from fixtures.study.tasks import spread
from trainer.study.experiment import EXPERIMENTS, load_experiment

STUDY = "learning_rate = 4e-3\nepochs = 2\nbatch_size = 16\n"
SHORT = "learning_rate = 1e-2\nepochs = 1\nbatch_size = 8\n"
SEEDS, TRAINED_ON, ASKED = 3, 128, {"spider": 16, "mmlu": 90}
OPTIONS = {"shots": None, "keep_distinct": False, "plug_value": False, "mmlu_subjects": None, "mmlu_per_category": None}
HALF, SILENT = Scale(0.5, 0.5), Scale(0, 0)


def test_the_shipped_pair_differs_in_replay_alone_and_waits_to_be_named(tmp_path):
    miniature = load_experiment("miniature")
    cfg2, cfg3 = (miniature.adapters[name].model_dump() for name in ("cfg2", "cfg3"))
    assert [key for key, value in cfg2.items() if cfg3[key] != value] == ["replay"]
    assert [adapter.slug for adapter in parse_adapters([], miniature, tmp_path)] == ["base", "cfg1", "cfg2"]


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    text = (EXPERIMENTS / "miniature.toml").read_text()
    assert text.count(STUDY) == 2
    path = tmp_path_factory.mktemp("trade-off") / "short.toml"
    path.write_text(text.replace(STUDY, SHORT))
    return load_experiment(str(path)).at_seeds(SEEDS)


@pytest.fixture(scope="module")
def trained(experiment):
    """Both configurations at every seed, by name."""
    from trainer.__main__ import main

    results = Path(experiment.argument).parent
    arguments = ["--experiment", experiment.argument, "--results", str(results), "--seeds", str(SEEDS)]
    assert main(["cfg2", "cfg3", *arguments, "--max-train-samples", str(TRAINED_ON)]) == 0
    parsed = parse_adapters(["cfg2", "cfg3"], experiment, results, TRAINED_ON)
    return {name: [adapter for adapter in parsed if adapter.run.adapter == name] for name in ("cfg2", "cfg3")}


@pytest.fixture(scope="module")
def accuracy(experiment):
    """``accuracy(suite, adapters)``: the mean over adapters of the share that each answers right."""
    from fixtures.engines.transformers_engine import TransformersEngine

    engine = TransformersEngine(experiment.base_model)
    opened = {suite.name: suite.opened(experiment, OPTIONS) for suite in (SPIDER, MMLU)}

    def right(suite, adapter):
        questions = opened[suite.name]
        asked = spread(questions.all, ASKED[suite.name])
        prompts, wanted = questions.prompts(asked, adapter.tuned), [questions.answered_by(one) for one in asked]
        if suite is MMLU:
            found = dict(engine.log_likelihoods(prompts, [one.options for one in wanted], adapter))
        else:
            found = dict(engine.generate(prompts, adapter, max_new_tokens=wanted[0].max_new_tokens))
        rows = [questions.judge(one, questions.row(one, "a"), found[place]) for place, one in enumerate(asked)]
        return mean(getattr(row, suite.scores[0]) for row in rows)

    return lambda suite, adapters: mean(right(suite, adapter) for adapter in adapters)


@pytest.fixture(scope="module")
def mmlu(trained, accuracy):
    """Mean accuracy on MMLU of the base, of both configurations, and of the aggressive one at half strength."""
    points = {"half": at(HALF, trained["cfg2"]), "base": [Adapter("base", "base", "base")], **trained}
    return {name: accuracy(MMLU, adapters) for name, adapters in points.items()}


def at(scale, adapters):
    """``adapters`` at another scale than their own."""
    return [replace(one, scale=scale, slug=f"{one.slug}-x{scale}", unscaled=one.slug) for one in adapters]


@pytest.mark.slow
def test_the_aggressive_training_forgets(mmlu):
    """Else there would be nothing to keep, and what follows would hold of anything."""
    assert mmlu["cfg2"] < mmlu["base"] - 0.05


@pytest.mark.slow
def test_replay_forgets_less(mmlu):
    assert mmlu["cfg3"] > mmlu["cfg2"]


@pytest.mark.slow
def test_half_strength_forgets_less_and_keeps_a_gain(trained, accuracy, mmlu):
    assert mmlu["cfg2"] < mmlu["half"]
    untrained = accuracy(SPIDER, at(SILENT, trained["cfg2"][:1]))
    assert accuracy(SPIDER, at(HALF, trained["cfg2"])) > untrained
