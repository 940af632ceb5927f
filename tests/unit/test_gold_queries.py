"""Gold queries as data sets bring them: some fail, some pass a limit, some cannot be parsed. Only they are errored."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import run_pytest

SPIDER = Path(__file__).parents[2] / "fixtures" / "miniature" / "spider"
ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT {} FROM n"
# By place in dev: the gold query, and what is said of it.
BROKEN = {
    10: ("SELECT nme FROM nowhere", "gold SQL failed on database '{db}.sqlite': no such table: nowhere."),
    25: (ENDLESS.format("count(*)"), "gold SQL passed a limit (time) on database '{db}.sqlite': stopped after 0.5 s."),
    40: (ENDLESS.format("x"), "gold SQL passed a limit (rows) on database '{db}.sqlite': more than 100,000 rows."),
    55: ("SELECT zeroblob(100000000)", "gold SQL passed a limit (size) on database '{db}.sqlite': "),
    70: ("SELEC 1", "gold SQL failed on database '{db}.sqlite': near \"SELEC\": syntax error."),
    85: ("DROP TABLE nowhere", "gold SQL failed on database '{db}.sqlite': "),
}
# These run, and sqlglot cannot parse them.
UNKNOWN = {100: "SELECT CAST(1 AS UNSIGNED BIG INT)", 101: f"SELECT {'(' * 90}1{')' * 90}"}


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """Spider's miniature with broken gold queries, and the dev questions in it."""
    folder = tmp_path_factory.mktemp("broken") / "spider"
    shutil.copytree(SPIDER, folder)
    dev = json.loads((folder / "dev.json").read_text())
    for place, sql in (UNKNOWN | {place: sql for place, (sql, _) in BROKEN.items()}).items():
        dev[place]["query"] = sql
    (folder / "dev.json").write_text(json.dumps(dev))
    (folder.parent / "gold.sql").write_text("".join(f"{entry['query']}\n" for entry in dev))
    return folder, dev


def said_of(dev, place):
    db_id, (_, reason) = dev[place]["db_id"], BROKEN[place]
    return f"question {db_id}-{place:04d}: {reason.format(db=db_id)}"


def test_check_names_all_of_them_before_a_model_is_loaded(broken, pytestconfig, tmp_path):
    """Where the modules of models cannot be imported, so that nothing of them is needed."""
    folder, dev = broken
    for module in ("torch", "transformers"):
        (tmp_path / f"{module}.py").write_text("raise AssertionError('a model is loaded')")
    arguments = ["--check", "-m", "spider", f"--spider={folder}", "--sql-timeout=0.5"]
    command, environment = [sys.executable, "-m", "pytest", *arguments], os.environ | {"PYTHONPATH": str(tmp_path)}
    result = subprocess.run(command, cwd=pytestconfig.rootpath, env=environment, capture_output=True, text=True)
    *lines, last = result.stdout.splitlines()
    assert result.returncode == 1, result.stdout + result.stderr
    assert [line.startswith(said_of(dev, place)) for place, line in zip(BROKEN, lines, strict=True)] == [True] * 6
    assert "Raise --sql-timeout" in lines[1] and "damaged" not in result.stdout
    assert last == "Spider dev: 6 of 200 questions cannot be measured"


def test_check_finds_nothing_in_a_sound_copy(pytestconfig):
    result = run_pytest(["--check"], cwd=pytestconfig.rootpath)
    assert (result.returncode, result.stdout) == (0, "Spider dev: 0 of 200 questions cannot be measured\n")


def test_with_choosing_the_questions_that_a_point_is_chosen_on_are_checked(pytestconfig, tmp_path):
    """And what they are called; a gold query of dev that fails is none of theirs."""
    data = tmp_path / "mine"
    shutil.copytree(SPIDER, data)
    text = Path("trainer/experiments/miniature.toml").read_text()
    tmp_path.joinpath("own.toml").write_text(f"{text}\n[choosing]\ndatabases = 8\nquestions = 120\n")
    given = ["--check", f"--experiment={tmp_path}/own.toml", f"--spider={data}"]
    for name, count in (("dev.json", 200), ("train_spider.json", 120)):
        entries = json.loads((data / name).read_text())
        for entry in entries:
            entry["query"] = f"SELECT gone FROM ({entry['query']})"
        (data / name).write_text(json.dumps(entries))
        result = run_pytest([*given, *(["--choosing"] if name != "dev.json" else [])], cwd=pytestconfig.rootpath)
        of = "Spider dev" if name == "dev.json" else "Spider training databases held out"
        assert result.stdout.splitlines()[-1] == f"{of}: {count} of {count} questions cannot be measured", result.stderr
        shutil.copy(SPIDER / name, data / name)


def test_all_others_are_measured(broken, pytestconfig, tmp_path):
    folder, dev = broken
    page, results = tmp_path / "report.html", tmp_path / "results"
    arguments = ["-m", "spider", f"--spider={folder}", "--sql-timeout=0.5", f"--adapter={folder.parent}/gold.sql"]
    arguments += [f"--results={results}", f"--html={page}", "--self-contained-html"]
    result = run_pytest(arguments, cwd=pytestconfig.rootpath)
    assert result.returncode == 1
    assert "exit status 1: 6 questions errored" in result.stdout
    for place in BROKEN:
        assert f"1 errored: {said_of(dev, place)}" in result.stdout
    # All were asked: the selection is whole, although six could not be measured.
    assert "partial selection" not in result.stdout
    assert "Partial selection" not in page.read_text()
    assert "unknown 2/2" in result.stdout and "simple" not in result.stdout

    rows = [json.loads(line) for line in (results / "miniature-spider" / "scores.jsonl").read_text().splitlines()]
    assert {row["index"] for row in rows if row["status"] == "errored"} == BROKEN.keys()
    assert all(row["assignment"] == 1 for row in rows if row["status"] == "scored") and len(rows) == 200
    assert {row["index"] for row in rows if row["hardness"] == "unknown"} == UNKNOWN.keys() | {70, 85}
    summary = json.loads((results / "miniature-spider" / "summary.json").read_text())
    assert summary["partial"] is False
    (unknown,) = [entry for entry in summary["accuracies"] if entry["group"] == "unknown"]
    assert (unknown["n"], unknown["errored"]) == (2, 2)
    assert {row["index"] for row in rows if row.get("unmeasurable")} == BROKEN.keys()


def test_systems_are_compared_and_gates_judged_on_the_questions_that_can_be_measured(broken, pytestconfig, tmp_path):
    """What nobody's answer can be judged to is missing in every system's set, and stands in no one's way."""
    folder, dev = broken
    half = tmp_path / "half.sql"
    half.write_text(
        "".join(
            f"{entry['query'] if place % 2 else 'SELECT 0 AS wrong, 0, 0, 0, 0, 0'}\n"
            for place, entry in enumerate(dev)
        )
    )
    arguments = [
        "-m",
        "spider",
        f"--spider={folder}",
        "--sql-timeout=0.5",
        f"--adapter={folder.parent}/gold.sql,{half}",
    ]
    arguments += [f"--results={tmp_path}/results", "--gate=spider.gold >= 0.99", "-n", "2"]
    result = run_pytest(arguments, cwd=pytestconfig.rootpath)
    assert "gate spider.gold >= 0.99: holds (1.0000, as counted" in result.stdout, result.stdout + result.stderr
    assert "incomplete" not in result.stdout and "exit status 1: 12 questions errored" in result.stdout
    summary = json.loads((tmp_path / "results" / "miniature-spider" / "summary.json").read_text())
    (change,) = [entry for entry in summary["comparisons"] if entry["group"] == "all"]
    assert (change["n"], change["gained"], change["lost"]) == (194, 0, 97)


def test_a_gold_query_past_its_time_limit_is_waited_for_once(broken, pytestconfig, tmp_path):
    """Two systems are asked; the second would wait for the limit again."""
    folder, _ = broken
    shutil.copy(folder.parent / "gold.sql", tmp_path / "again.sql")
    arguments = [
        "-k",
        "0025",
        f"--spider={folder}",
        "--sql-timeout=3",
        f"--results={tmp_path}/results",
        "--durations=0",
    ]
    arguments.append(f"--adapter={folder.parent}/gold.sql,{tmp_path}/again.sql")
    result = run_pytest([*arguments, "-p", "no:xdist"], cwd=pytestconfig.rootpath)
    slow = [line for line in result.stdout.splitlines() if "setup" in line and line.strip()[:1] in "3456789"]
    assert "2 questions errored" in result.stdout and len(slow) == 1, result.stdout


def test_a_run_after_a_partial_one_is_not_called_partial(pytestconfig, tmp_path):
    """The tables may hold an earlier system's part; the selection of this run is whole."""
    queries = [entry["query"] for entry in json.loads((SPIDER / "dev.json").read_text())]
    for name in ("first", "second"):
        (tmp_path / f"{name}.sql").write_text("".join(f"{sql}\n" for sql in queries))
    common = ["-m", "spider", f"--results={tmp_path}/results"]
    first = run_pytest([*common, f"--adapter={tmp_path}/first.sql", "--max-samples=5"], cwd=pytestconfig.rootpath)
    assert "partial selection: 5 questions run now" in first.stdout
    second = run_pytest([*common, f"--adapter={tmp_path}/second.sql", "--max-samples=999"], cwd=pytestconfig.rootpath)
    assert "partial selection" not in second.stdout and "incomplete, of 200" in second.stdout


def test_a_run_that_stops_early_says_so(broken, pytestconfig, tmp_path):
    folder, _ = broken
    arguments = ["-m", "spider", "-x", f"--spider={folder}", f"--adapter={folder.parent}/gold.sql", "--sql-timeout=0.5"]
    result = run_pytest([*arguments, f"--results={tmp_path}/results"], cwd=pytestconfig.rootpath)
    assert "partial selection" not in result.stdout
    assert "of 200 selected questions run now" in result.stdout
