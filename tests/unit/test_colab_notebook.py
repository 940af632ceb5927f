"""The Colab notebook, run from its first cell to its last on the miniature, a few questions of it."""

import json
import re
from pathlib import Path

import pytest

NOTEBOOK = Path("trainer/colab.ipynb")
SETTINGS = {"RESULTS": "{results}", "SAMPLES": "--max-train-samples=32", "QUESTIONS": "--max-samples=8"}


@pytest.mark.slow
def test_the_notebook_runs_to_the_trade_off(pytestconfig, tmp_path):
    import nbclient
    import nbformat

    notebook = nbformat.read(pytestconfig.rootpath / NOTEBOOK, as_version=4)
    (settings,) = (cell for cell in notebook.cells if "settings" in cell.metadata.get("tags", ()))
    for name, value in SETTINGS.items():
        assignment = f'{name} = "{value.format(results=tmp_path)}"'
        settings.source, changes = re.subn(rf'^{name} = "\w*"', assignment, settings.source, flags=re.MULTILINE)
        assert changes == 1
    resources = {"metadata": {"path": str(pytestconfig.rootpath)}}
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute()
    (table,) = (
        output["data"]["text/markdown"]
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if "text/markdown" in output.get("data", ())
    )
    summary = json.loads((tmp_path / "miniature" / "summary.json").read_text())
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    assert [(adapter, suite) for adapter, suite, *_ in rows] == [
        (adapter, suite) for suite in ("spider", "mmlu") for adapter in ("base", "cfg1", "cfg2")
    ]
    measured = {(entry["adapter"], entry["suite"]): entry for entry in summary["accuracies"] if entry["group"] == "all"}
    for adapter, suite, n, correct, *_ in rows:
        assert (int(n), int(correct)) == (measured[adapter, suite]["n"], measured[adapter, suite]["correct"])


def test_the_notebook_is_kept_without_output(pytestconfig):
    notebook = json.loads((pytestconfig.rootpath / NOTEBOOK).read_text())
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook["cells"])
