"""Scores for others: spreadsheets, lm-evaluation-harness's files, and trackers of trainings."""

import csv
import io
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from fixtures.questions.plugin import BUILT_IN
from fixtures.report.export import wanted as wanted_exports
from fixtures.report.harness_files import write_harness_files
from fixtures.report.spreadsheets import as_csv, write_spreadsheets
from fixtures.report.trackers import TRACKERS, numbers, settings_of, wanted
from tests.processes import run_pytest
from tests.unit.test_paper import LOSS


@pytest.fixture
def study(made_up_study, made_up_manifest):
    summary, rows = made_up_study(*LOSS)
    ids = {
        suite.name: list(dict.fromkeys(row.question for row in rows if row.suite == suite.name)) for suite in BUILT_IN
    }
    changes = {"chosen": ids, "ended": "2026-03-05T10:11:12+00:00"}
    return summary, rows, made_up_manifest(summary.adapters).model_copy(update=changes), BUILT_IN


def test_a_spreadsheet_has_every_row_and_runs_no_text_as_a_formula(study, tmp_path):
    summary, rows, *others = study
    write_spreadsheets(tmp_path, summary, rows, *others)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "accuracies.csv",
        "changes.csv",
        "mmlu.csv",
        "spider.csv",
    ]
    found = list(csv.DictReader((tmp_path / "spider.csv").open(newline="")))
    own = [row for row in rows if row.suite == "spider"]
    assert [(line["adapter"], line["question"], line["assignment"]) for line in found] == [
        (row.adapter, row.question, str(row.assignment)) for row in own
    ]
    hostile = ["=HYPERLINK(1)", "+1", "@a", 'a\n"b";c']
    written = list(csv.reader(io.StringIO(as_csv([{"reply": text, "n": -1.5, "list": [1]} for text in hostile]))))
    assert [line[0] for line in written[1:]] == ["'=HYPERLINK(1)", "'+1", "'@a", 'a\n"b";c']
    assert written[1][1:] == ["-1.5", "[1]"]


def test_the_harness_finds_and_reads_its_files(study, tmp_path):
    """By its own functions and types, of the pinned release."""
    from lm_eval.result_schema import EvalResults, SampleResult
    from lm_eval.utils import get_latest_filename, get_results_filenames, get_sample_results_filenames, make_table

    summary, rows, *_ = study
    write_harness_files(tmp_path, *study)
    folder = tmp_path / "cfg1"
    names = [str(path) for path in folder.iterdir()]
    latest = get_latest_filename(get_results_filenames(names))
    results = json.loads(Path(latest).read_text())
    assert set(results) <= set(EvalResults.__annotations__)
    for suite in BUILT_IN:
        entry = summary.accuracy(suite.name, "cfg1")
        assert results["results"][suite.name]["acc,none"] == entry.accuracy
        error = "N/A" if entry.standard_error is None else entry.standard_error
        assert results["results"][suite.name]["acc_stderr,none"] == error
        assert results["n-samples"][suite.name] == {"original": summary.questions[suite.name], "effective": entry.n}
    table = make_table(results)
    assert all(f"|{name}" in table for name in ("Spider", "MMLU", "acc", "official", "bird"))
    assert len(get_sample_results_filenames(names)) == len(BUILT_IN)
    fixed = set(SampleResult.__annotations__)
    for suite in BUILT_IN:
        (path,) = folder.glob(f"samples_{suite.name}_*.jsonl")
        assert path.stem.rpartition("_")[2] == Path(latest).stem.removeprefix("results_")
        samples = [json.loads(line) for line in path.read_text().splitlines()]
        own = [row for row in rows if (row.suite, row.adapter) == (suite.name, "cfg1")]
        assert [sample["doc_id"] for sample in samples] == list(range(len(own)))
        assert sum(sample["acc"] for sample in samples) == sum(row.right for row in own)
        for sample in samples:
            assert set(sample) == fixed | {"doc_hash", "prompt_hash", "target_hash", *sample["metrics"]}
            assert isinstance(sample["target"], str) and len(sample["arguments"]) == len(sample["resps"])


def test_trackers_get_the_numbers_by_their_own_calls(study, monkeypatch):
    """Stand-ins that take what wandb 0.2x, trackio 0.x and mlflow 3 take, and nothing else."""
    summary, _, manifest, _ = study
    called = []

    class Run:
        def log(self, data, step=None, commit=None):
            called.append(("wandb.log", data))

        def finish(self, exit_code=None):
            called.append(("wandb.finish", None))

        def __enter__(self):
            return self

        def __exit__(self, *_):
            called.append(("mlflow.end", None))

    def wandb_init(
        entity=None, project=None, dir=None, id=None, name=None, notes=None, tags=None, config=None, *, job_type=None
    ):
        called.append(("wandb.init", (project, name, job_type, config["experiment"]["name"])))
        return Run()

    def trackio_init(project, name=None, group=None, space_id=None, dataset_id=None, config=None, resume="never"):
        called.append(("trackio.init", (project, name, config["command"])))

    def start_run(run_id=None, experiment_id=None, run_name=None, nested=False):
        called.append(("mlflow.start_run", run_name))
        return Run()

    functions = {
        "wandb": {"init": wandb_init},
        "trackio": {
            "init": trackio_init,
            "log": lambda metrics, step=None: called.append(("trackio.log", metrics)),
            "finish": lambda: called.append(("trackio.finish", None)),
        },
        "mlflow": {
            "set_experiment": lambda experiment_name=None, experiment_id=None: called.append(
                ("mlflow", experiment_name)
            ),
            "start_run": start_run,
            "log_dict": lambda dictionary, artifact_file, run_id=None: called.append(
                ("mlflow.log_dict", artifact_file)
            ),
            "log_metrics": lambda metrics, step=None, synchronous=None: called.append(("mlflow.log", metrics)),
        },
    }
    for name, own in functions.items():
        module = ModuleType(name)
        vars(module).update(own)
        monkeypatch.setitem(sys.modules, name, module)
    for variable in ("WANDB_PROJECT", "TRACKIO_PROJECT", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.delenv(variable, raising=False)
    for send in TRACKERS.values():
        send("made-up", settings_of(manifest), numbers(summary))
    sent = [data for name, data in called if name in ("wandb.log", "trackio.log", "mlflow.log")]
    assert sent == [numbers(summary)] * 3
    assert [name for name, _ in called if name.endswith(("finish", "end"))] == [
        "wandb.finish",
        "trackio.finish",
        "mlflow.end",
    ]
    change = summary.decided("mmlu", "cfg1")
    assert sent[0]["mmlu/cfg1/change"] == change.difference and sent[0]["mmlu/cfg1/change_low"] == change.low
    assert sent[0]["spider/base/accuracy"] == 0.25 and sent[0]["spider/cfg1/official"] == 0.75
    # What MLflow takes as a name.
    assert all(re.fullmatch(r"[\w\-. :/]+", name) for name in sent[0])


def test_what_is_not_there_is_refused_in_one_line(monkeypatch):
    monkeypatch.setattr("fixtures.report.trackers.find_spec", lambda name: None)
    with pytest.raises(
        pytest.UsageError, match="--report-to=trackio: the package is not installed. Run: pip install trackio"
    ):
        wanted("trackio")
    with pytest.raises(pytest.UsageError, match="--report-to=neptune: one of wandb, trackio, mlflow"):
        wanted("neptune")
    for value in ("xlsx=a", "csv", "csv="):
        with pytest.raises(pytest.UsageError, match="write FORM=DIR, with one of csv, lm-eval"):
            wanted_exports([value])


@pytest.mark.parametrize(
    "option", ["--export=csv={}/csv", "--report-to=trackio", "--paper={}/a.pdf", "--export-study={}"]
)
def test_without_an_evaluation_there_is_nothing_to_report(option, tmp_path, pytestconfig):
    (tmp_path / "trackio.py").touch()
    ended = run_pytest([option.format(tmp_path), "-o", f"pythonpath=. {tmp_path}"], cwd=pytestconfig.rootpath)
    assert ended.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"{option.partition('=')[0]}: nothing is evaluated. Add -m " in ended.stderr


@pytest.mark.slow
def test_a_run_and_its_result_files_export_and_report(tmp_path, pytestconfig):
    """As people call it; the tracker is a module that writes down what it is given."""
    (tmp_path / "trackio.py").write_text(
        "import json, pathlib\nheld = {}\n"
        "def init(project, name=None, config=None): held['name'] = name\n"
        "def log(metrics, step=None): held.update(metrics)\n"
        f"def finish(): pathlib.Path({str(tmp_path / 'tracked.json')!r}).write_text(json.dumps(held))\n"
    )
    (tmp_path / "recorded.sql").write_text("SELECT 1\n" * 200)
    run = ["-m", "spider", f"--adapter={tmp_path}/recorded.sql", f"--results={tmp_path}"]
    for arguments in (run, [f"--report-from={tmp_path}/miniature"]):
        (tmp_path / "tracked.json").unlink(missing_ok=True)
        forms = [f"--export=csv={tmp_path}/csv", f"--export=lm-eval={tmp_path}/harness", "--report-to=trackio"]
        ended = run_pytest([*arguments, *forms, "-o", f"pythonpath=. {tmp_path}"], cwd=pytestconfig.rootpath)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert json.loads((tmp_path / "tracked.json").read_text())["spider/recorded/n"] == 200
        assert len((tmp_path / "csv" / "spider.csv").read_text().splitlines()) > 200
    assert len(list((tmp_path / "harness" / "recorded").glob("samples_spider_*.jsonl"))) == 1
