"""A study made up of the miniature's questions: four adapters, whose answers need no model."""

from pathlib import Path

from fixtures.questions.plugin import BUILT_IN
from fixtures.results.files import in_order
from fixtures.results.manifest import AdapterRecord, BaseRecord, Manifest
from fixtures.results.score_sets import ScoreSet
from fixtures.results.studies.data import opened, with_sources
from fixtures.results.studies.replaying import measured
from fixtures.results.studies.writing import Told
from fixtures.results.types import Summary
from trainer.study.experiment import load_experiment

MINIATURE = Path(__file__).parents[1] / "fixtures" / "miniature"
OPTIONS = {"shots": None, "keep_distinct": False, "plug_value": False, "mmlu_subjects": None, "mmlu_per_category": None}
SPECS = {"base": "base", "cfg1": "cfg1", "cfg1-seed7": "cfg1:7", "cfg1-x0.5": "cfg1*0.5"}
# The first two are 0.00001 apart: rounded to four decimals they would be a tie, which the first letter wins.
NEAR = (-1.2345678, -1.2345578, -3.0, -4.0)


def questions_in(spider=MINIATURE / "spider", mmlu=MINIATURE / "mmlu"):
    experiment = with_sources(load_experiment("miniature"), BUILT_IN, {"spider": str(spider), "mmlu": str(mmlu)})
    return opened(experiment, OPTIONS, BUILT_IN)


def answer(suite, question, slug, number):
    """Every third of the base's is wrong, every fifth of the others', and of MMLU the first is nearly a tie."""
    right = number % (3 if slug == "base" else 5)
    if suite == "spider":
        return {"reply": f"```sql\n{question.gold_sql if right else 'SELECT 1'}\n```", "cut": not right}
    letters = [
        -0.123456789 if (letter == question.answer) == bool(right) else -3.0 - place / 7
        for place, letter in enumerate("ABCD")
    ]
    return {"log_likelihoods": list(NEAR) if number == 0 else letters, "generated": " A"}


def told_study() -> Told:
    """A run of the miniature's questions, with answers made up."""
    questions = questions_in()
    rows = [
        own.judge(question, own.row(question, slug), answer(name, question, slug, number))
        for name, own in questions.items()
        for slug in SPECS
        for number, question in enumerate(own.all)
    ]
    sets = [
        ScoreSet(suite=name, adapter=slug, settings=slug, judged=own.judged, base="b", weights=slug, configuration=slug)
        for name, own in questions.items()
        for slug in SPECS
    ]
    experiment = load_experiment("miniature").model_dump(mode="json")
    experiment["spider"]["source"] = "/home/somebody/data/spider_data.zip"
    manifest = Manifest(
        command="pytest -m 'spider or mmlu' --spider=/home/somebody/data/spider_data.zip --mmlu=~/mmlu/data",
        options=OPTIONS,
        experiment=experiment,
        base_model=BaseRecord(weights="w", tokenizer="t"),
        adapters={slug: AdapterRecord(spec=spec, seed=None, weights=slug) for slug, spec in SPECS.items()},
        chosen={name: [question.id for question in own.all] for name, own in questions.items()},
        score_sets=sets,
    )
    rows = in_order(rows, BUILT_IN)
    summary = Summary(experiment="miniature", margin=0.02)
    summary = summary.model_copy(update=measured(summary, manifest, rows, BUILT_IN))
    return Told(summary, rows, manifest, BUILT_IN, questions)
