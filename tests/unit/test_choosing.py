"""A point of a dial chosen on questions that are not reported: planted answers of which dev's best is the lucky one."""

import json
import struct
from pathlib import Path
from zlib import crc32

import pytest

from fixtures.adapters.adapter import AdapterError
from fixtures.adapters.choosing import choice_notes
from fixtures.adapters.chosen import Rule, read_choices
from fixtures.adapters.specs import parse_adapters
from fixtures.answers.keys import known_base, task_key
from fixtures.questions.plugin import BUILT_IN
from fixtures.results.choosing import Measured, take
from fixtures.store.answer_store import AnswerStore
from fixtures.study.study import Places, Study
from tests.processes import run_pytest
from trainer.study.experiment import load_experiment

CHANGES = """
dial = [0, 0.5, 1]
[choosing]
databases = 8
questions = 120
mmlu_questions = 60
"""
OPTIONS = {"shots": None, "keep_distinct": False, "plug_value": False, "mmlu_subjects": None, "mmlu_per_category": None}
# Of 20 answers so many are right, by suite and whether they are reported, at scales 0 (and the base), 0.5 and 1.
RIGHT = {
    ("spider", True): (8, 13, 17),
    ("spider", False): (8, 16, 12),
    ("mmlu", True): (14, 14, 14),
    ("mmlu", False): (14, 14, 4),
}


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A folder with an experiment, an adapter, and every answer of base and adapter, reported or not. Read only."""
    folder = tmp_path_factory.mktemp("planted")
    text = Path("trainer/experiments/miniature.toml").read_text()
    text = text.replace("per_category = 50", "per_category = 25\nmargin = 0.2").replace(
        "[base_model]", "{}[base_model]"
    )
    folder.joinpath("planted.toml").write_text(text.format(CHANGES))
    write_adapter(folder / "mine")
    experiment = load_experiment(str(folder / "planted.toml"))
    dial = ["base", f"{folder}/mine*0", f"{folder}/mine*0.5", f"{folder}/mine"]
    for reported in (True, False):
        results = folder / "planted" / ("" if reported else "choosing")
        study = study_of(experiment, dial, Places(folder, folder, results), choosing=not reported)
        store = AnswerStore(study.places.answers)
        base = known_base(study, store)
        store.put({task_key(task, base): answer_to(task, reported) for task in study.all_tasks()})
        store.close()
    return folder


def write_adapter(folder, weight=b"\0\0\0\0"):
    folder.mkdir(exist_ok=True)
    config = {"base_model_name_or_path": "fixtures/miniature/model", "peft_type": "LORA"}
    folder.joinpath("adapter_config.json").write_text(json.dumps(config))
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    folder.joinpath("adapter_model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + weight)


def study_of(experiment, specs, places, *, choosing):
    questions = {suite.name: suite.opened(experiment, OPTIONS, choosing=choosing) for suite in BUILT_IN}
    adapters = parse_adapters(specs, experiment, places.shared)
    return Study(experiment, BUILT_IN, questions, tuple(adapters), places, choosing=choosing)


def answer_to(task, reported):
    place = task.adapter.kind != "base" and round(2 * task.adapter.scale.first)
    right = crc32(task.question.id.encode()) % 20 < RIGHT[task.suite.name, reported][place]
    if task.suite.name == "spider":
        return {"reply": task.question.gold_sql if right else "SELECT 'wrong'", "cut": False}
    chosen = "ABCD".index(task.question.answer) + (0 if right else 1)
    return {"log_likelihoods": [-1.0 - (letter != chosen % 4) for letter in range(4)], "generated": " A"}


@pytest.fixture(scope="module")
def run(planted, pytestconfig):
    def run(*arguments):
        given = ["-m", "spider or mmlu", f"--experiment={planted}/planted.toml", f"--results={planted}", "--replay"]
        return run_pytest([*given, *arguments], cwd=pytestconfig.rootpath)

    return run


@pytest.fixture(scope="module")
def dialled(run, planted):
    """What a run of the dial alone printed, and its summary."""
    result = run(f"--dial={planted}/mine")
    assert result.returncode == 0, result.stdout + result.stderr
    return " ".join(result.stdout.split()), json.loads((planted / "planted" / "summary.json").read_text())


@pytest.fixture(scope="module")
def chosen(run, planted):
    """What a run that chooses printed; its page is ``choosing.html``."""
    result = run(f"--dial={planted}/mine", "--choosing", f"--html={planted}/choosing.html", f"--paper={planted}/c.pdf")
    assert result.returncode == 0, result.stdout + result.stderr
    return " ".join(result.stdout.split())


@pytest.fixture(scope="module")
def reported(run, planted, chosen):
    """What a run of the chosen point printed, and its summary."""
    result = run(f"--adapter=base,{planted}/mine*chosen", f"--html={planted}/reported.html")
    assert result.returncode == 0, result.stdout + result.stderr
    return " ".join(result.stdout.split()), json.loads((planted / "planted" / "summary.json").read_text())


def test_what_is_best_on_dev_is_not_what_is_chosen_where_that_was_luck(dialled, chosen, planted):
    _, summary = dialled
    of_dev = {
        e["adapter"]: e["accuracy"] for e in summary["accuracies"] if (e["suite"], e["group"]) == ("spider", "all")
    }
    assert max(of_dev, key=of_dev.get) == "mine"
    (kept,) = read_choices(planted / "planted" / "choosing" / "chosen.json").chosen.values()
    choice = kept.choice
    assert (choice.dial, choice.scale, choice.points, choice.rule) == ("mine", "0.5", 3, Rule.MOST_GAIN)
    assert choice.spec == f"{planted}/mine*0.5"
    assert [(on.suite, on.n) for on in choice.on] == [("spider", 120), ("mmlu", 60)]
    assert [len(ids) for ids in kept.questions.values()] == [120, 60]


def test_a_run_that_chooses_says_so_and_leaves_what_is_reported_alone(dialled, chosen, planted):
    assert "Choosing questions, not those that are reported." in chosen
    assert (
        "chosen among 3 scales on questions that are not reported, 120 of Spider (training databases held out)"
        in chosen
    )
    assert "has the most gain of the scales shown no worse than the margin of 20 points" in chosen
    assert f"Reportitwith--adapter='{planted}/mine*chosen'" in "".join(chosen.split()), "wherever lines end"
    assert "Take " in chosen and "corrected for it" not in chosen
    page = (planted / "choosing.html").read_text()
    assert "Choosing questions, not those that are reported." in page and "mine*0.5 of the scales of mine." in page
    assert "What all that an adapter changes is multiplied by" in page
    assert (planted / "c.pdf").stat().st_size > 10_000
    _, summary = dialled
    assert summary["choosing"] is False and not (planted / "planted" / "chosen.json").exists()


def test_the_chosen_point_is_reported_with_how_it_was_chosen(reported, planted):
    output, summary = reported
    said = (
        f"mine-chosen is {planted}/mine*0.5, chosen among 3 scales on questions that are not reported, 120 of Spider "
        "(training databases held out) and 60 of MMLU (questions not reported): it has the most gain"
    )
    assert said in output
    (point,) = [point for point in summary["points"] if point["adapter"] == "mine-chosen"]
    there, here = point["choice"]["on"][0], next(e for e in summary["accuracies"] if e["adapter"] == "mine-chosen")
    assert there["suite"] == here["suite"] == "spider"
    ahead = 100 * (there["accuracy"] - here["accuracy"])
    assert ahead > 5, "what it was chosen on is optimistic"
    assert f"{100 * here['accuracy']:.1f}% on these" in output
    assert f"those would have reported {ahead:.1f} points more, " in output
    assert "mine-chosen is" in (planted / "reported.html").read_text()
    assert (point["dial"], point["first"], point["last"], point["choice"]["rule"]) == ("mine", 0.5, 0.5, Rule.MOST_GAIN)


def test_the_points_of_a_dial_are_in_the_summary(dialled):
    _, summary = dialled
    points = [(p["adapter"], p["dial"], p["first"], p["last"], p["part"], p["choice"]) for p in summary["points"]]
    assert points == [
        (slug, "mine", scale, scale, "", None) for slug, scale in (("mine-x0", 0), ("mine-x0.5", 0.5), ("mine", 1))
    ]


def test_a_point_picked_on_what_is_reported_is_one_of_a_family_of_all(dialled):
    output, summary = dialled
    against_base = [e for e in summary["comparisons"] if (e["against"], e["group"]) == ("base", "all")]
    assert {entry["family"] for entry in against_base} == {3}
    assert "Take mine (chosen among 3 on the very questions reported, 3 of them scales of mine, and corrected" in output


def test_other_weights_than_those_it_was_chosen_for_are_refused(run, planted, chosen):
    assert "no point of 'cfg1' has been chosen. Run: pytest -m 'spider or mmlu'" in run("--adapter=cfg1*chosen").stderr
    write_adapter(planted / "mine", b"\0\0\x80\x3f")
    try:
        refused = run(f"--adapter={planted}/mine*chosen")
    finally:
        write_adapter(planted / "mine")
    assert refused.returncode == 4
    assert "was chosen for other weights than 'mine' has now. Choose again: pytest" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--adapter=cfg1", "--choosing"], "there are not two points of one adapter"),
        (["--dial=base"], "--dial: 'base' has no scale of its own"),
        (["--dial=cfg1*0.5"], "--dial: 'cfg1*0.5' has no scale of its own"),
        (["--dial=gone.sql"], "--dial: 'gone.sql' has no scale of its own"),
        (["--dial=cgf1"], "--dial: unknown adapter 'cgf1'. Did you mean 'cfg1'?"),
        (["--dial={}/mine", "--dial=mine@2"], "--dial: unknown adapter 'mine@2'."),
        (["--dial=cfg1"], "--dial: cfg1 not trained yet."),
        (["--adapter=cgf1*0.5", "--dial=cfg1"], "--adapter: unknown adapter 'cgf1'. Did you mean 'cfg1'?"),
        (["--adapter={0}/mine*0.5,{0}/mine*.50", "--choosing"], "there are not two points of one adapter"),
        (["--dial={}/mine", "--choosing", "--gate=spider.base > 0"], "gates are on what is reported"),
    ],
)
def test_what_cannot_be_chosen_is_refused(run, planted, arguments, said):
    result = run(*(argument.format(planted) for argument in arguments))
    assert result.returncode == 4 and said in result.stderr, result.stderr


def test_an_experiment_that_holds_nothing_out_chooses_nothing(planted):
    from fixtures.questions.suite import QuestionsError

    with pytest.raises(QuestionsError, match=r"\[choosing\] databases = 20"):
        BUILT_IN[0].opened(load_experiment("miniature"), OPTIONS, choosing=True)


@pytest.mark.parametrize(
    ("points", "slug", "rule"),
    [
        ([("a", 0.1, -0.01, True), ("b", 0.3, -0.05, False), ("c", 0.2, -0.01, True)], "c", Rule.MOST_GAIN),
        ([("a", 0.1, -0.03, False), ("b", 0.3, -0.05, False)], "a", Rule.BEST_BOUND),
        ([("a", 0.1, -0.02, True), ("b", 0.1, -0.01, True)], "b", Rule.MOST_GAIN),
    ],
)
def test_the_rule(points, slug, rule):
    taken, by = take([Measured(*point) for point in points])
    assert (taken.slug, by) == (slug, rule)


def test_a_damaged_file_of_choices_is_named(tmp_path):
    folder = tmp_path / "miniature" / "choosing"
    folder.mkdir(parents=True)
    folder.joinpath("chosen.json").write_text('{"chosen": {"cfg1": {}}}')
    with pytest.raises(AdapterError, match=r"chosen.json' is damaged .* Choose again: pytest"):
        parse_adapters(["cfg1*chosen"], load_experiment("miniature"), tmp_path)


def test_the_command_that_chooses_repeats_what_the_run_was_told(tmp_path):
    """All seeds at once, and into the same results: else the run after it would ask for the same command again."""
    experiment = load_experiment("miniature").at_seeds(2)
    with pytest.raises(AdapterError) as refused:
        parse_adapters(["cfg1*chosen"], experiment, tmp_path, max_train_samples=8)
    given = f"--experiment miniature --results {tmp_path} --max-train-samples 8 --dial=cfg1:42,cfg1:43 --choosing"
    assert str(refused.value).endswith(given)
    write_adapter(tmp_path / "mine")
    with pytest.raises(AdapterError, match=f"--results {tmp_path} --dial={tmp_path}/mine --choosing$"):
        parse_adapters([f"{tmp_path}/mine*chosen"], experiment, tmp_path)


def test_reported_questions_that_a_point_was_chosen_on_are_told_of(planted, chosen):
    (adapter,) = parse_adapters([f"{planted}/mine*chosen"], load_experiment(str(planted / "planted.toml")), planted)
    asked = adapter.choice.questions["mmlu"]
    assert choice_notes(adapter, {"mmlu": ["philosophy-9999"], "spider": []}) == ()
    (note,) = choice_notes(adapter, {"mmlu": [*asked[:3], "philosophy-9999"]})
    assert note == "3 of the mmlu questions that are reported here are among those that it was chosen on"
