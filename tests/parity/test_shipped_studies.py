"""Every shipped study, replayed on real data without a model: its own numbers, to the last digit."""

import json

import pytest

from fixtures.questions.plugin import BESIDE, BUILT_IN
from fixtures.report.study_files import STUDIES
from fixtures.results.folder import MANIFEST
from fixtures.results.manifest import AdapterRecord, Manifest
from fixtures.results.score_sets import ScoreSet
from fixtures.results.studies.data import opened, with_sources
from fixtures.results.studies.form import ANSWERS
from fixtures.results.studies.reading import ShippedStudy, read_study
from fixtures.results.studies.replaying import measured, replay
from fixtures.results.studies.writing import Told, shippable, write_study
from fixtures.results.types import Summary
from trainer.study.experiment import load_experiment

pytestmark = pytest.mark.parity

SHIPPED = sorted(path.parent for path in STUDIES.glob(f"*/{MANIFEST}"))
SUITES = (*BUILT_IN, *BESIDE)
SYSTEMS = ("codes-7b", "dail-sql-gpt4")
LISTED = {"flips": [], "disagreements": [], "replayed": None}


def replayed(study: ShippedStudy, parity_data) -> Summary:
    suites = [suite for suite in SUITES if suite.name in study.manifest.chosen]
    sources = {suite.name: str(parity_data.folder / suite.name) for suite in suites}
    questions = opened(with_sources(study.experiment, suites, sources), study.manifest.options, suites)
    return replay(study, SUITES, questions, list(study.manifest.adapters))[0]


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_a_shipped_study_is_what_its_answers_say(folder, parity_data):
    study = read_study(folder, SUITES)
    found = replayed(study, parity_data)
    assert (found.replayed.differing, found.replayed.moved) == ([], [])
    assert found.model_copy(update=LISTED) == study.summary


@pytest.fixture(scope="module")
def published(parity_data, tmp_path_factory):
    """What two published systems answered to Spider dev, as a study of two adapters, and its summary."""
    experiment = with_sources(
        load_experiment("llama-3-8b"), BUILT_IN[:1], {"spider": str(parity_data.folder / "spider")}
    )
    options = {"shots": None, "keep_distinct": False, "plug_value": False}
    questions = opened(experiment, options, BUILT_IN[:1])
    own, answers = questions["spider"], {name: parity_data.predictions(name) for name in SYSTEMS}
    rows = [
        own.judge(question, own.row(question, name), {"reply": answers[name][question.index]})
        for name in SYSTEMS
        for question in own.all
    ]
    hashes = {"settings": "s", "judged": own.judged, "base": "b"}
    manifest = Manifest(
        options=options,
        experiment=experiment.model_dump(mode="json"),
        adapters={name: AdapterRecord(spec=name, seed=None, weights=name) for name in SYSTEMS},
        chosen={"spider": [question.id for question in own.all]},
        score_sets=[ScoreSet(suite="spider", adapter=name, weights=name, **hashes) for name in SYSTEMS],
    )
    summary = Summary(experiment=experiment.name, margin=0.02)
    summary = summary.model_copy(update=measured(summary, manifest, rows, BUILT_IN))
    folder = tmp_path_factory.mktemp("published")
    told = Told(summary, rows, manifest, BUILT_IN, questions)
    write_study(told, shippable(told)[0], folder)
    return folder, summary


def test_answers_to_all_of_spider_dev_are_replayed_to_the_last_digit(published, parity_data):
    folder, told = published
    study = read_study(folder, BUILT_IN)
    found = replayed(study, parity_data)
    assert (found.replayed.differing, found.replayed.moved) == ([], [])
    assert found.model_copy(update=LISTED) == study.summary
    assert [(one.correct, one.n) for one in found.overall("spider")] == [
        (one.correct, one.n) for one in told.overall("spider")
    ]
    assert (folder / ANSWERS).stat().st_size < 150_000


def test_no_text_of_spider_is_in_a_study(published, parity_data):
    folder, _ = published
    written = "".join((folder / name).read_text() for name in ("manifest.json", "summary.json"))
    texts = {entry[name] for entry in parity_data.questions() for name in ("question", "query")}
    assert [text for text in texts if len(text) > 16 and json.dumps(text)[1:-1] in written] == []
