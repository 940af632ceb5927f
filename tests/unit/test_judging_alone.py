"""The judging installed by itself: what it declares, and its README's first example in an environment of its own."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement


@pytest.fixture(scope="module")
def folder(pytestconfig) -> Path:
    return pytestconfig.rootpath / "custom_metrics"


def test_what_it_declares_is_what_is_tested_and_neither_torch_nor_pytest(folder, pytestconfig):
    declared = tomllib.loads((folder / "pyproject.toml").read_text())["project"]["dependencies"]
    pinned = dict(
        re.findall(r"^([\w-]+)==(\S+)$", (pytestconfig.rootpath / "requirements.txt").read_text(), re.MULTILINE)
    )
    for requirement in map(Requirement, declared):
        assert requirement.specifier.contains(pinned[requirement.name]), requirement
    imported = {
        name
        for path in folder.rglob("*.py")
        for name in re.findall(r"^\s*(?:import|from) (\w+)", path.read_text(), re.MULTILINE)
    }
    ours = {Requirement(one).name for one in declared}
    assert imported - set(sys.stdlib_module_names) - {"custom_metrics"} == ours
    assert not ours & {"torch", "pytest"}


@pytest.mark.slow
def test_the_ten_lines_run_where_nothing_but_the_folder_was_installed(folder, tmp_path):
    """pip takes what it needs from the index; without one this cannot be tested."""
    example = re.search(r"```python\n(.*?)```\n\n```text\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    code, printed = example.groups()
    assert len(code.splitlines()) <= 10
    source = shutil.copytree(folder, tmp_path / "custom_metrics", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    installed = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", source], cwd=tmp_path, capture_output=True, text=True
    )
    if "No matching distribution" in installed.stderr or "NewConnectionError" in installed.stderr:
        pytest.skip("pip reaches no index with what the judging needs")
    assert installed.returncode == 0, installed.stderr
    shutil.rmtree(source)
    (tmp_path / "elsewhere").mkdir()
    own = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "DEEPEVAL_TELEMETRY_OPT_OUT": "1"}
    ended = subprocess.run(
        [python, "-c", f"{code}\nimport sys; assert 'torch' not in sys.modules"],
        cwd=tmp_path / "elsewhere",
        env=own,
        capture_output=True,
        text=True,
    )
    assert (ended.stdout, ended.returncode) == (printed, 0), ended.stderr
    absent = subprocess.run([python, "-c", "import torch"], env=own, capture_output=True)
    assert absent.returncode != 0
