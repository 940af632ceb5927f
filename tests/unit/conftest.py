"""What several unit tests stand on."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures.results.studies.writing import Told, shippable, write_study
from tests.made_up_study import told_study
from tests.tiny_gguf import save_published
from tests.tiny_training import EXPERIMENT, SAMPLES, SPIDER, save_base_model


@pytest.fixture
def tiny_database(tmp_path: Path) -> Path:
    """A database of 400 singers and 100 concerts, alone in its folder."""
    path = tmp_path / "database" / "tiny.sqlite"
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.executescript("""
            CREATE TABLE singer (singer_id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, country TEXT, age INTEGER);
            CREATE TABLE concert (concert_id INTEGER PRIMARY KEY, singer_id INTEGER, year INTEGER);
            CREATE INDEX concert_singer ON concert (singer_id);
            CREATE VIEW adults AS SELECT * FROM singer WHERE age > 20;
        """)
        singers = [(number, f"Singer {number}", f"Country {number % 20}", number % 50 + 10) for number in range(1, 401)]
        connection.executemany("INSERT INTO singer VALUES (?, ?, ?, ?)", singers)
        concerts = [(number, number * 3, 2000 + number % 20) for number in range(1, 101)]
        connection.executemany("INSERT INTO concert VALUES (?, ?, ?)", concerts)
    connection.close()
    return path


@pytest.fixture(scope="session")
def base_model(tmp_path_factory) -> Path:
    """A base model that trains in a second, in its folder. Read only."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_base_model(folder)
    return folder


@pytest.fixture(scope="session")
def published(tmp_path_factory) -> Path:
    """A tiny model as it is published, in its folder: what a GGUF file is made of. Read only."""
    folder = tmp_path_factory.mktemp("published")
    save_published(folder, "smollm")
    return folder


@pytest.fixture(scope="session")
def experiment_file(base_model, tmp_path_factory) -> Path:
    """The experiment called ``tiny`` on that model: cfg1 and cfg2, two steps each on ``SAMPLES`` questions."""
    path = tmp_path_factory.mktemp("experiments") / "tiny.toml"
    path.write_text(EXPERIMENT.format(model=base_model, spider=SPIDER))
    return path


@pytest.fixture(scope="session")
def train(experiment_file, tmp_path_factory) -> Callable[..., tuple[int, Path]]:
    """``train("cfg1:7", ...)`` runs the command line and returns its exit status and the adapters' folder.

    Without ``results`` that is a new folder each time.
    """
    from trainer.__main__ import main

    def run(*arguments: str, results: Path | None = None, experiment: Path = experiment_file) -> tuple[int, Path]:
        results = results or tmp_path_factory.mktemp("results")
        options = ["--experiment", str(experiment), "--results", str(results), "--max-train-samples", str(SAMPLES)]
        return main([*arguments, *options]), results / "tiny" / "adapters"

    return run


@pytest.fixture(scope="session")
def told() -> Told:
    """A run of the miniature's questions, with answers made up. Read only."""
    return told_study()


@pytest.fixture(scope="session")
def shipped(told, tmp_path_factory) -> Path:
    """The folder of that study, exported. Read only."""
    folder = tmp_path_factory.mktemp("studies") / "made-up"
    sets, left_out = shippable(told)
    assert left_out == []
    write_study(told, sets, folder)
    return folder


@pytest.fixture(scope="session")
def report(pytestconfig, tmp_path_factory):
    """The report of the miniature's Spider questions, answered by a file in which every third answer is wrong."""
    folder = tmp_path_factory.mktemp("report")
    gold = [entry["query"] for entry in json.loads((pytestconfig.rootpath / SPIDER / "dev.json").read_text())]
    wrong = [sql if place % 3 else sql.replace("SELECT", "SELECT 1,", 1) for place, sql in enumerate(gold)]
    (folder / "recorded.sql").write_text("\n".join(wrong))
    command = [sys.executable, "-m", "pytest", "-m", "spider", f"--adapter={folder}/recorded.sql"]
    command += [f"--results={folder}", f"--html={folder}/report.html", "--self-contained-html"]
    subprocess.run(command, cwd=pytestconfig.rootpath, check=True, capture_output=True, timeout=120)
    return folder / "report.html"


@pytest.fixture
def watched(browser):
    """A page; whatever its console or its scripts complain of, and any request to a network, fails the test."""
    complaints = []
    page = browser.new_page()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "request",
        lambda request: None if request.url.startswith(("file:", "blob:")) else complaints.append(request.url),
    )
    yield page
    page.close()
    assert complaints == []
