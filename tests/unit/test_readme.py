import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.options import Heading
from tests import shapes
from tests.report_page import embedded
from trainer.study.experiment import Experiment
from trainer.study.settings import AdapterSettings, PromptSettings, ReplaySettings, Settings


@pytest.fixture(scope="module")
def help_text(pytestconfig):
    command = [sys.executable, "-m", "pytest", "--help"]
    own = os.environ | {"COLUMNS": "80"}
    ended = subprocess.run(command, cwd=pytestconfig.rootpath, env=own, capture_output=True, text=True, check=True)
    return ended.stdout


@pytest.fixture(scope="module")
def trainer_readme(pytestconfig):
    return (pytestconfig.rootpath / "trainer" / "README.md").read_text()


def test_every_option_stands_under_a_question_and_in_the_readme(help_text, pytestconfig):
    sections = [help_text.split(f"\n{heading}:\n")[1].split("\n\n")[0] for heading in Heading]
    options = re.findall(r"^  (--[a-z-]+)", "\n".join(sections), re.MULTILINE)
    table = (pytestconfig.rootpath / "fixtures" / "README.md").read_text().split("## Every option")[1].split("\n## ")[0]
    assert len(set(options)) == len(options) >= 30
    assert set(options) == set(re.findall(r"^\| `(--[a-z-]+)", table, re.MULTILINE))
    assert [help_text.index(f"\n{heading}:\n") for heading in Heading] == sorted(
        help_text.index(f"\n{heading}:\n") for heading in Heading
    )
    # Two screens, headings and blank lines between them included.
    assert sum(len(section.splitlines()) + 2 for section in sections) <= 2 * 40


def test_every_option_of_the_trainer_explains_itself_and_is_in_its_readme(pytestconfig, trainer_readme):
    command = [sys.executable, "-m", "trainer", "--help"]
    text = subprocess.run(command, cwd=pytestconfig.rootpath, capture_output=True, text=True, check=True).stdout
    options = set(re.findall(r"^  (--[a-z-]+)", text, re.MULTILINE))
    assert len(options) >= 13
    for option in options:
        assert re.search(rf"^  {option}\b[^\n]*\n? +\w", text, re.MULTILINE), option
    table = trainer_readme.split("option of `python -m trainer`")[1].split("\n\n")[0]
    assert options == set(re.findall(r"^\| `(--[a-z-]+)", table, re.MULTILINE))


def experiment_sections() -> dict[str, type[Settings]]:
    """The sections of an experiment file by the headings that the trainer's README gives them."""
    fields = {name: field.annotation for name, field in Experiment.model_fields.items() if not field.exclude}
    tables = {name: kind for name, kind in fields.items() if isinstance(kind, type) and issubclass(kind, Settings)}
    headings = {f"`[{name}]`": kind for name, kind in tables.items()}
    adapters = {"`[adapters.NAME]`": AdapterSettings, "`[adapters.NAME.replay]`": ReplaySettings}
    adapters["`[spider.prompt]` and `[adapters.NAME.prompt]`"] = PromptSettings
    return {"Top level": Experiment} | adapters | headings


@pytest.mark.parametrize(("heading", "section"), experiment_sections().items())
def test_every_key_of_an_experiment_is_in_the_trainers_readme_with_its_default(heading, section, trainer_readme):
    fields = {name: field for name, field in section.model_fields.items() if not field.exclude}
    if section is Experiment:  # its tables have headings of their own
        fields = {name: field for name, field in fields.items() if f"[{name}" not in "".join(experiment_sections())}
    table = trainer_readme.split(f"### {heading}\n")[1].split("\n#")[0]
    told = dict(re.findall(r"^\| `(\w+)` \|.* \| (.+) \|$", table, re.MULTILINE))
    assert set(told) == set(fields)
    for name, field in fields.items():
        if name != "name":  # the file's own
            assert told[name] == ("required" if field.is_required() else f"`{json.dumps(field.default)}`"), name


@pytest.mark.parametrize("adapter", [pytest.param("base", marks=pytest.mark.slow), "recorded.sql"])
def test_the_lines_from_an_own_database_to_a_report_do_as_they_say(adapter, pytestconfig, tmp_path):
    """As they stand there, but for the places: the files are elsewhere, and so are the results."""
    section = (
        (pytestconfig.rootpath / "README.md").read_text().split("### Bring your own database\n")[1].split("\n#")[0]
    )
    table, commands = (re.search(rf"```{kind}\n(.*?)```", section, re.DOTALL)[1] for kind in ("csv", "sh"))
    assert len(table.splitlines()) + len(commands.splitlines()) <= 10
    (tmp_path / "questions.csv").write_text(table)
    shapes.database(tmp_path / "shop.sqlite")
    placed = re.sub(r"(?<![\w.-])(shop|questions\.csv|report\.html)(?=[\s./]|$)", rf"{tmp_path}/\1", commands)
    (tmp_path / "recorded.sql").write_text("SELECT count(*) FROM item\n\n")
    placed = placed.replace("--adapter=base", f"--adapter={adapter if adapter == 'base' else tmp_path / adapter}")
    bin_first = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    own = os.environ | {"PATH": bin_first, "PYTEST_ADDOPTS": f"--results={tmp_path}/results -p no:cacheprovider"}
    ended = subprocess.run(
        ["bash", "-ec", placed], cwd=pytestconfig.rootpath, env=own, capture_output=True, text=True, timeout=300
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Usable." in ended.stdout and "exit status 0: all 2 questions measured" in ended.stdout
    assert "Which items cost more than 50?" in str(embedded(tmp_path / "report.html"))
