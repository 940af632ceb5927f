"""The workflow that people copy: its command is one that this suite takes, whatever is typed into its form."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

SPIDER = Path(__file__).parents[2] / "fixtures" / "miniature" / "spider"


@pytest.fixture(scope="module")
def steps(pytestconfig):
    text = (pytestconfig.rootpath / ".github" / "workflows" / "evaluate.yml").read_text()
    workflow = yaml.safe_load(text)
    asked = set(workflow[True]["workflow_dispatch"]["inputs"])  # YAML reads the key "on" as true
    assert set(re.findall(r"inputs\.(\w+)", text)) == asked
    return workflow["jobs"]["evaluate"]["steps"]


def test_what_is_typed_reaches_the_shell_as_variables_only(steps):
    assert not [step["run"] for step in steps if "${{" in step.get("run", "")]


@pytest.mark.slow
def test_its_command_measures_predictions_and_is_red_where_the_gate_does_not_hold(steps, pytestconfig, tmp_path):
    """As it stands there, in the folders that it has on a runner."""
    (step,) = (step for step in steps if "pytest" in step.get("run", ""))
    (tmp_path / "suite").symlink_to(pytestconfig.rootpath)
    (tmp_path / "data").symlink_to(SPIDER)
    (tmp_path / "predictions.sql").write_text("SELECT 1\n" * 200)
    # ".." of a link is another folder than on the runner.
    command = step["run"].replace("../", f"{tmp_path}/")
    typed = {"DATA": "data", "PREDICTIONS": "predictions.sql", "GATE": "spider.predictions >= 0.60"}
    assert set(step["env"]) == set(typed)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ended = subprocess.run(
        ["bash", "-ec", command],
        cwd=tmp_path / step["working-directory"],
        env=os.environ | typed | {"PATH": path, "PYTEST_ADDOPTS": "-p no:cacheprovider"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "spider.predictions >= 0.60" in ended.stdout
    made = ["report.html", "paper.pdf", "scores/spider.csv", "results/miniature/summary.json"]
    assert [name for name in made if not (tmp_path / name).exists()] == []
