"""What prompts show is a setting of the study and of a configuration: others keep their prompts, keys and adapters."""

import json
import shutil
from pathlib import Path

import pytest

from fixtures.adapters.adapter import AdapterError
from fixtures.adapters.checks import resolve_hub
from fixtures.adapters.specs import parse_adapters
from fixtures.questions.spider.evidence import evidence
from fixtures.questions.spider.prose import PROSE
from fixtures.questions.spider.questions import SpiderQuestions
from fixtures.questions.spider.suite import SPIDER
from tests.tiny_training import SPIDER as MINIATURE
from trainer.prompts import VALUES
from trainer.rows.texts import as_texts, with_values
from trainer.run import lora_run
from trainer.spider.entries import SpiderDataError
from trainer.spider.folder import open_spider
from trainer.study.experiment import ExperimentError, load_experiment
from trainer.study.settings import PromptSettings

SHOWN = {"shots": None, "keep_distinct": False, "plug_value": False}
BOTH = PromptSettings(samples=2, values=2)


@pytest.fixture(scope="module")
def miniature():
    return load_experiment("miniature")


@pytest.fixture(scope="module")
def without_databases(tmp_path_factory) -> Path:
    """The miniature's questions with the databases of dev alone, as schema-only copies of Spider come."""
    folder = tmp_path_factory.mktemp("schemas") / "spider"
    shutil.copytree(MINIATURE, folder)
    for db_id in {question.db_id for question in open_spider(MINIATURE).train()}:
        shutil.rmtree(folder / "database" / db_id)
    return folder


def showing(experiment, prompt, name="cfg1", **of_all):
    """The experiment with what a configuration's prompts show, and what those of all do."""
    own = experiment.adapters[name].model_copy(update={"prompt": prompt})
    spider = experiment.spider.model_copy(update={"prompt": PromptSettings(**of_all)})
    return experiment.model_copy(update={"adapters": {**experiment.adapters, name: own}, "spider": spider})


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("[adapters.cfg1.prompt]\nvalue = 2", "unknown key 'adapters.cfg1.prompt.value'. Did you mean 'values'?"),
        ("[spider.prompt]\nsample = 2", "unknown key 'spider.prompt.sample'. Did you mean 'samples'?"),
        ("[spider.prompt]\nvalues = 11", "spider.prompt.values = 11: Input should be less than or equal to 10"),
    ],
)
def test_a_mistaken_key_is_named_with_the_nearest(section, said, experiment_file, tmp_path):
    path = tmp_path / "mistaken.toml"
    path.write_text(f"{experiment_file.read_text()}\n{section}\n")
    with pytest.raises(ExperimentError) as raised:
        load_experiment(str(path))
    assert said in str(raised.value)


def test_who_has_no_prompt_of_its_own_is_trained_as_before(miniature, tmp_path):
    plain = lora_run(miniature, "cfg2", results_dir=tmp_path)
    beside = lora_run(showing(miniature, BOTH), "cfg2", results_dir=tmp_path)
    spelt_out = lora_run(showing(miniature, PromptSettings(), "cfg2"), "cfg2", results_dir=tmp_path)
    assert plain.fingerprint == beside.fingerprint == spelt_out.fingerprint
    assert plain.texts == beside.texts and not any(name.startswith("prompt") for name in plain.identity)


def test_an_adapter_is_of_the_prompts_that_it_was_trained_on(miniature, tmp_path):
    plain, own = (lora_run(one, "cfg1", results_dir=tmp_path) for one in (miniature, showing(miniature, BOTH)))
    differing = {name for name, value in own.identity.items() if plain.identity.get(name) != value}
    assert differing == {"prompt.samples", "prompt.values", "prompt.method", "prompt.databases"}
    of_all = lora_run(showing(miniature, None, samples=2, values=2), "cfg1", results_dir=tmp_path)
    assert of_all.fingerprint == own.fingerprint and of_all.texts == own.texts != plain.texts
    itself = lora_run(showing(miniature, PromptSettings(values=1), samples=2), "cfg1", results_dir=tmp_path)
    assert itself.prompt == PromptSettings(values=1)


def test_the_databases_are_part_of_what_an_adapter_was_trained_on(miniature, tmp_path):
    folder = tmp_path / "spider"
    shutil.copytree(MINIATURE, folder)
    before = lora_run(showing(miniature, BOTH), "cfg1", results_dir=tmp_path).identity
    path = next(
        path for path in sorted(folder.glob("database/*/*")) if path.stem == open_spider(folder).train()[0].db_id
    )
    path.write_bytes(path.read_bytes() + bytes(4096))
    after = lora_run(showing(miniature, BOTH), "cfg1", results_dir=tmp_path, spider=str(folder)).identity
    assert {name for name in before if before[name] != after[name]} == {"prompt.databases"}


def test_an_adapter_is_asked_what_it_was_trained_on(miniature):
    questions = SpiderQuestions(miniature, **SHOWN)
    trained = [text.prompt for text in as_texts(questions.folder, questions.all, BOTH)]
    asked = SPIDER.shown(questions, BOTH).prompts(questions.all, tuned=True)
    assert asked == trained and with_values(as_texts(questions.folder, questions.all, BOTH)) > 20
    assert SPIDER.shown(questions, None).prompts(questions.all, True) == questions.prompts(questions.all, True)
    assert not any(VALUES in prompt.messages[-1].content for prompt in questions.prompts(questions.all, True))


def test_neighbours_share_a_beginning_up_to_their_values(miniature):
    spider = open_spider(MINIATURE)
    texts = [text for text in as_texts(spider, spider.dev(), BOTH) if text.group == spider.dev()[0].db_id]
    beginnings = {
        text.prompt.messages[-1].content.partition("\n\n-- ")[0].partition("\n\nQuestion")[0] for text in texts
    }
    assert len(beginnings) == 1 and with_values(texts) > 1 and "TEXT, -- '" in beginnings.pop()


def test_what_is_shown_is_in_the_hash_of_what_is_asked_behind_that_of_all_else(miniature):
    questions = SpiderQuestions(miniature, **SHOWN)
    plain = questions.asked(True)
    hashes = [questions.showing(PromptSettings(values=n)).asked(True) for n in (0, 1, 2)]
    hashes.append(questions.showing(PromptSettings(keys=False)).asked(True))
    assert hashes[0] == plain and len(set(hashes)) == 4
    assert {one.partition("+")[0] for one in hashes} == {plain}
    assert questions.judged == questions.showing(BOTH).judged


def test_base_and_exemplars_show_what_all_do(miniature):
    questions = SpiderQuestions(showing(miniature, None, samples=1), **SHOWN)
    (prompt,) = questions.prompts(questions.all[:1], tuned=False)
    assert ["TEXT, -- '" in one.content for one in prompt.messages if one.role == "user"] == [True] * 4
    assert questions.asked(False) != SpiderQuestions(miniature, **SHOWN).asked(False)


def test_training_on_databases_that_are_not_there_is_refused_and_evaluating_is_not(
    miniature, without_databases, tmp_path
):
    experiment = showing(miniature, BOTH)
    run = lora_run(experiment, "cfg1", results_dir=tmp_path, spider=str(without_databases))
    with pytest.raises(SpiderDataError) as raised:
        run.check_databases()
    said = str(raised.value)
    assert "(samples = 2 and values = 2), and of 44 databases" in said and "44 are missing: " in said
    assert said.endswith("Or set samples = 0 and values = 0 in [...prompt].")
    with pytest.raises(SpiderDataError, match="44 are missing"):
        run.texts  # noqa: B018
    assert "prompt.databases" not in run.identity
    asked = experiment.model_copy(
        update={"spider": experiment.spider.model_copy(update={"source": str(without_databases)})}
    )
    assert SPIDER.shown(SpiderQuestions(asked, **SHOWN), BOTH).asked(True)
    with pytest.raises(SpiderDataError, match=r"\(samples = 2 and values = 2\), and of 3 databases .* 3 are missing"):
        SPIDER.shown(SpiderQuestions(asked, **SHOWN), BOTH).asked(False)


def test_keys_can_be_left_out_without_any_database(miniature, without_databases, tmp_path):
    experiment = showing(miniature, PromptSettings(keys=False))
    run = lora_run(experiment, "cfg1", results_dir=tmp_path, spider=str(without_databases))
    assert not any("KEY" in text.prompt.messages[-1].content for text in run.texts)
    assert run.identity["prompt.keys"] is False and "prompt.method" not in run.identity


@pytest.mark.parametrize(
    ("record", "prompt"),
    [
        pytest.param({"identity": {}, "prompt": {"values": 1}}, PromptSettings(values=1), id="recorded"),
        pytest.param({"identity": {}}, PromptSettings(), id="before-prompts"),
        pytest.param({"other": 1}, None, id="not-ours"),
        pytest.param(None, None, id="none"),
    ],
)
def test_a_folder_is_asked_as_its_record_says(record, prompt, miniature, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    if record is not None:
        (folder / "run.json").write_text(json.dumps(record))
    (adapter,) = parse_adapters([str(folder)], miniature, tmp_path)
    assert adapter.prompt == prompt


def test_a_record_that_this_version_does_not_know_is_refused(miniature, tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"identity": {}, "prompt": {"pictures": 1}}))
    (adapter,) = parse_adapters([str(tmp_path)], miniature, tmp_path)
    with pytest.raises(AdapterError, match=r"says of its prompts \{'pictures': 1\}, which this version does not know"):
        adapter.prompt  # noqa: B018


def test_every_point_of_a_dial_is_asked_as_the_adapter_was_trained(miniature, tmp_path):
    """Scale 0 is the base model under the adapter's prompt: what the prompt gains without any training."""
    specs = ["base", "cfg1", "cfg1*0", "cfg1@step-2*0.5", "cfg2"]
    found = parse_adapters(specs, showing(miniature, BOTH), tmp_path)
    assert [adapter.prompt for adapter in found] == [None, BOTH, BOTH, BOTH, PromptSettings()]


@pytest.mark.parametrize("name", ["llama-3-8b", "mistral-7b", "open-llama-3b"])
def test_the_shipped_recipe_differs_from_cfg1_in_its_prompt_alone(name):
    adapters = load_experiment(name).adapters
    told = {one: adapters[one].model_dump() for one in ("cfg1", "cfg5")}
    assert {key for key in told["cfg1"] if told["cfg1"][key] != told["cfg5"][key]} == {"prompt"}
    assert adapters["cfg5"].prompt == BOTH


def test_the_record_of_an_adapter_on_the_hub_is_fetched_with_it(miniature, monkeypatch, tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"identity": {}, "prompt": {"values": 1}}))

    def download(name, *, revision, allow_patterns):
        return str(tmp_path if "run.json" in allow_patterns else tmp_path / "without")

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    (adapter,) = parse_adapters(["owner/adapter"], miniature, tmp_path / "results")
    assert resolve_hub(adapter, miniature, tmp_path).prompt == PromptSettings(values=1)


def test_the_report_says_what_prompts_show_and_of_whom(miniature):
    def said(experiment):
        return " ".join(PROSE.prompts({"experiment": experiment.model_dump(mode="json"), "options": {"shots": None}}))

    assert "Prompts of cfg1 show keys, samples of every text column (up to 2), values that" in said(
        showing(miniature, BOTH)
    )
    assert "Prompts of cfg2" not in said(showing(miniature, BOTH)) and "Prompts of" not in said(miniature)
    assert "Prompts of the base model show no keys." in said(showing(miniature, None, keys=False))
    old = miniature.model_dump(mode="json")
    old["spider"].pop("prompt")
    old["adapters"]["cfg1"]["prompt"] = {"pictures": 1}
    assert "Prompts of" not in " ".join(PROSE.prompts({"experiment": old, "options": {"shots": None}}))


def test_the_prompt_of_a_failure_is_the_one_that_was_asked(miniature):
    questions = SpiderQuestions(miniature, **SHOWN)
    texts = as_texts(questions.folder, questions.all, BOTH)
    question = next(question for question, text in zip(questions.all, texts, strict=True) if with_values([text]))
    rows = [questions.row(question, slug) for slug in ("cfg1", "cfg2")]
    trained = {"prompt.keys": True, "prompt.samples": 2, "prompt.values": 2}
    manifest = {
        "experiment": miniature.model_dump(mode="json"),
        "adapters": {"cfg1": {"trained": trained}, "cfg2": {"trained": {"prompt.values": "many"}}},
        "score_sets": [{"adapter": slug, "suite": "spider", "base": "a hash"} for slug in ("cfg1", "cfg2")],
    }
    shown = [entry["Prompt"] for entry in evidence(rows, manifest).entries]
    assert f"-- {VALUES} -- " in shown[0] and shown[0].endswith(f"Question: {question.question}")
    assert VALUES not in shown[1] and shown[1].endswith(f"Question: {question.question}")
