"""A path that leads nowhere, or to something else, ends a command in one line that names it and what mends it."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"torch", "transformers", "numpy", "scipy", "sqlglot", "deepeval"}
WATCH = "import sys; import pytest; rc = pytest.main(sys.argv[1:]); print('imported', *sys.modules); sys.exit(rc)"


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> Path:
    """A folder with one of each thing that an option can name, and things that none can."""
    folder = tmp_path_factory.mktemp("places")
    for name in ("empty", "data/spider", "data/mmlu/test", "runs/mine", "results/miniature", "study"):
        (folder / name).mkdir(parents=True)
    for name in ("data/mmlu/test/x_test.csv", "data/spider.zip", "data.tar", "bad.zip", "study/manifest.json"):
        (folder / name).touch()
    (folder / "runs/mine/adapter_config.json").write_text("{}")
    for name in ("scores.jsonl", "summary.json", "manifest.json"):
        (folder / "results/miniature" / name).touch()
    (folder / "my-study.toml").write_text("x = 1")
    (folder / "codes-7b.sql").write_text("SELECT 1\n")
    return folder


def ended(root: Path, *arguments: str, select: str = "spider or mmlu") -> tuple[list[str], set[str]]:
    """What a command said, a line each, and the packages that it imported; it must end as a wrong command line does."""
    command = [sys.executable, "-c", WATCH, "-m", select, *arguments]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120)
    printed, _, imported = done.stdout.partition("imported ")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR, printed + done.stderr
    return [line for line in (printed + done.stderr).splitlines() if line], set(imported.split())


@pytest.mark.parametrize(
    ("wrong", "mended"),
    [
        ("--spider={}/data/spdier", "Did you mean '{}/data/spider'?"),
        ("--spider={}/spider.zip", "Did you mean '{}/data/spider.zip'?"),
        ("--mmlu={}/mmlu", "Did you mean '{}/data/mmlu'?"),
        ("--mmlu={}/data", "Did you mean '{}/data/mmlu'?"),
        ("--mmlu={}/data.tar", "Unpack it, and pass the folder in it that has dev/ and test/"),
        ("--mmlu={}/codes-7b.sql", "a copy is a folder with dev/ and test/"),
        ("--experiment={}/my-stduy.toml", "Did you mean '{}/my-study.toml'?"),
        ("--experiment={}", "Did you mean '{}/my-study.toml'?"),
        ("--adapter={}/codes7b.sql", "Did you mean '{}/codes-7b.sql'?"),
        ("--adapter={}/runs", "Did you mean '{}/runs/mine'?"),
        ("--report-from={}/results/miniatur", "Did you mean '{}/results/miniature'?"),
        ("--replay-from={}/stduy", "Did you mean '{}/study'?"),
        ("--replay-from={}/empty", "One is made by --export-study=DIR"),
        ("--replay-from={}/bad.zip", "is damaged: File is not a zip file. Get it again"),
        ("--compare={}/results/miniatur", "Did you mean '{}/results/miniature'?"),
    ],
)
def test_what_is_not_there_is_named_with_what_may_be_meant(wrong, mended, places, pytestconfig):
    wrong, mended = wrong.replace("{}", str(places)), mended.replace("{}", str(places))
    said, imported = ended(pytestconfig.rootpath, "--adapter=base", wrong)
    assert len(said) == 1 and wrong.partition("=")[2] in said[0] and said[0].endswith(mended), said
    assert not HEAVY & imported


@pytest.mark.parametrize(
    "wrong", ["--report-from=nowhere", "--experiment=nowhere", "--spider=nowhere", "--mmlu=nowhere"]
)
def test_where_nothing_is_near_nothing_is_meant(wrong, pytestconfig):
    said, imported = ended(pytestconfig.rootpath, "--adapter=base", wrong)
    assert len(said) == 1 and "nowhere" in said[0] and "Did you mean" not in said[0]
    assert not HEAVY & imported


@pytest.mark.parametrize(
    "option",
    [
        "experiment",
        "adapter",
        "dial",
        "spider",
        "spider-questions",
        "mmlu",
        "mmlu-subjects",
        "results",
        "compare",
        "report-from",
        "replay-from",
        "html",
        "paper",
        "export-study",
    ],
)
def test_an_empty_variable_of_a_shell_runs_nothing_else(option, pytestconfig):
    """``--experiment=$STUDY`` without a STUDY trained the miniature for minutes."""
    said, _ = ended(pytestconfig.rootpath, f"--{option}=", select="spider")
    assert said == [f"ERROR: --{option}: nothing stands behind it. Name what is meant, or leave it out"]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ("--html={}/empty", "it is a folder"),
        ("--html={}/codes-7b.sql/report.html", "a file is in its way"),
        ("--paper={}/empty", "it is a folder"),
        ("--export-study={}/codes-7b.sql", "a file is in its way"),
        ("--export=csv={}/codes-7b.sql", "a file is in its way"),
    ],
)
def test_a_report_without_a_place_is_refused_before_anything_is_asked(wrong, reason, places, pytestconfig):
    wrong = wrong.replace("{}", str(places))
    said, imported = ended(pytestconfig.rootpath, "--adapter=base", wrong)
    assert len(said) == 1 and said[0].startswith(f"ERROR: {wrong.rpartition('=')[0]}: '{places}/"), said
    assert said[0].endswith(f"cannot be written: {reason}. Pass another")
    assert not {"torch", "transformers"} & imported


def test_an_earlier_run_is_not_compared_when_its_reports_are_made_again(places, pytestconfig):
    said, _ = ended(pytestconfig.rootpath, f"--report-from={places}/results/miniature", "--compare=nowhere")
    assert said == ["ERROR: --compare: the reports are of a run as it was compared then. Leave it out"]
