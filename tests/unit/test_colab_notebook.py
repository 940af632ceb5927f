"""The Colab notebook, run from its first cell to its last on the miniature, a few questions of it."""

import html
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOK = Path("trainer/colab.ipynb")
# As many questions of MMLU as are chosen, so that its set is whole and compared.
SETTINGS = {
    "RESULTS": "{results}",
    "SAMPLES": "--max-train-samples=32",
    "QUESTIONS": "--max-samples=8 --mmlu-per-category=2",
}


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
    changed = {
        (c["adapter"], c["suite"]): c for c in summary["comparisons"] if (c["group"], c["against"]) == ("all", "base")
    }
    for adapter, suite, n, correct, _, _, moved, *_ in rows:
        assert (int(n), int(correct)) == (measured[adapter, suite]["n"], measured[adapter, suite]["correct"])
        change = changed.get((adapter, suite))
        assert moved == (f"{100 * change['difference']:+.1f}" if change else "")
    assert changed, "gain and loss are what the table is for"
    (shown,) = (text for text in shown_html(notebook) if "<iframe" in text)
    check_frame(
        html.unescape(re.search(r'srcdoc="(.*?)"', shown, re.DOTALL)[1]), (tmp_path / "report.html").read_text()
    )


def shown_html(notebook):
    """What the cells have shown as HTML."""
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", ()))
    return [output["data"]["text/html"] for output in outputs if "text/html" in output.get("data", ())]


def check_frame(page, written):
    """Links to other sites leave the frame, links within the page stay, scripts keep the hashes that the page names."""
    links = re.findall(r"<a [^>]*>", re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL))
    outward = [link for link in links if re.search(r"href=.https?:", link)]
    assert outward and all('target="_blank"' in link for link in outward)
    assert any('href="#' in link for link in links)
    assert not any('href="#' in link and "_blank" in link for link in links)
    scripts = [re.findall(r"<script.*?</script>", text, re.DOTALL) for text in (page, written)]
    assert scripts[0] == scripts[1] != []


def cell_with(text, pytestconfig):
    notebook = json.loads((pytestconfig.rootpath / NOTEBOOK).read_text())
    (source,) = (
        "".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code" and text in "".join(c["source"])
    )
    return source


def test_the_repositorys_address_is_asked_for_and_no_placeholder(pytestconfig, tmp_path):
    """Outside the repository the notebook asks, clones what it is told, and says so where that is no suite."""
    assert re.search(r'^REPOSITORY = ""', cell_with("REPOSITORY = ", pytestconfig), re.MULTILINE)
    assert "OWNER" not in (pytestconfig.rootpath / NOTEBOOK).read_text()
    source = cell_with("git clone", pytestconfig)
    # IPython's commands, as a plain interpreter's; those that install are left out.
    plain = re.sub(r'^( *)!git clone --depth 1 "\$address" suite$', r"\1clone(address)", source, flags=re.MULTILINE)
    plain = re.sub(r"^( *)%cd (\S+)$", r"\1chdir('\2')", plain, flags=re.MULTILINE)
    plain = re.sub(r"^( *)!.*$", r"\1pass", plain, flags=re.MULTILINE)
    head = (
        "import os, pathlib\nREPOSITORY = ''\n"
        "def clone(address):\n    print('cloned', address)\n    pathlib.Path('suite').mkdir()\n"
        "    pathlib.Path('suite/pytest.ini').touch()\n"
        "chdir = os.chdir\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", head + plain],
        cwd=tmp_path,
        input="https://example.org/suite\n",
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert "Address of this suite's repository" in ended.stdout and "cloned https://example.org/suite" in ended.stdout
    assert f"in {tmp_path}/suite" in ended.stdout


def test_links_of_the_report_leave_colabs_frame(pytestconfig, tmp_path):
    source = cell_with("srcdoc", pytestconfig)
    page = '<a href="#a">x</a><script>"<a href=\'https://s\'>"</script><a class="b" href="https://example.org">y</a>'
    (tmp_path / "report.html").write_text(page)
    frames = []
    scope = {"Path": Path, "RESULTS": str(tmp_path), "display": lambda shown: frames.append(shown.data)}
    exec(source, scope)  # noqa: S102 - the notebook's own cell
    check_frame(html.unescape(re.search(r'srcdoc="(.*?)"', frames[0], re.DOTALL)[1]), page)


def test_the_notebook_is_kept_without_output(pytestconfig):
    notebook = json.loads((pytestconfig.rootpath / NOTEBOOK).read_text())
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook["cells"])
