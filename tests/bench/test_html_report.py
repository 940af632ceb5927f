"""How large the report of 3,552 answers is and how soon a browser has it ready: prints a table, gates nothing.

Beside it, pytest-html's own report of as many tests, a third of them failing, which knows none of our columns.
"""

import statistics
import subprocess
import sys

import pytest

from fixtures.questions.plugin import BUILT_IN
from fixtures.results.files import write_json, write_rows

pytestmark = pytest.mark.bench

LOADS = 5
# Makes queries as long as Spider's are on average.
LONGER = " WHERE age > 20 AND country != 'France' GROUP BY country HAVING count(*) > 1 ORDER BY age"
NATIVE = """
import pytest

@pytest.mark.parametrize("n", range(3552))
def test_answer(n):
    if n % 3 == 0:
        pytest.fail("rows: 3, gold has 2; filter: gold has age > 20, predicted age >= 20", pytrace=False)
"""


@pytest.fixture(scope="module")
def ours(made_up_study, made_up_manifest, pytestconfig, tmp_path_factory):
    """Our report, made by pytest from result files of three adapters on 1,034 and 150 questions."""
    folder = tmp_path_factory.mktemp("ours")
    spider = {"base": range(250), "cfg1": range(100, 700), "cfg2": range(800)}
    mmlu = {"base": range(100), "cfg1": range(5, 105), "cfg2": range(70)}
    summary, rows = made_up_study(spider, mmlu, questions={"spider": 1034, "mmlu": 150})
    rows = [_longer(row) for row in rows]
    write_rows(folder / "scores.jsonl", rows, BUILT_IN)
    for name, content in (("summary", summary), ("manifest", made_up_manifest(["base", "cfg1", "cfg2"]))):
        write_json(folder / f"{name}.json", content.model_dump(mode="json"))
    command = [sys.executable, "-m", "pytest", f"--report-from={folder}", f"--html={folder}/report.html"]
    subprocess.run([*command, "--self-contained-html"], cwd=pytestconfig.rootpath, check=True, capture_output=True)
    return folder / "report.html"


def _longer(row):
    texts = {name: getattr(row, name, None) for name in ("gold_sql", "predicted_sql", "reply")}
    return row.model_copy(update={name: f"{text}{LONGER}" for name, text in texts.items() if text})


@pytest.fixture(scope="module")
def native(tmp_path_factory):
    """pytest-html's own report, in a folder that has no plugin of ours."""
    folder = tmp_path_factory.mktemp("native")
    (folder / "test_native.py").write_text(NATIVE)
    command = [sys.executable, "-m", "pytest", "-q", f"--rootdir={folder}", "-p", "no:deepeval", "test_native.py"]
    command += ["--html=report.html", "--self-contained-html"]
    subprocess.run(command, cwd=folder, check=False, capture_output=True)
    return folder / "report.html"


def interactive_s(browser, report) -> list[float]:
    """Seconds from opening the file until the first frame after all scripts have run, each time in a new page."""
    taken = []
    for _ in range(LOADS):
        page = browser.new_page()
        page.goto(report.as_uri(), wait_until="load", timeout=120_000)
        frame = "() => new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(performance.now()))))"
        taken.append(page.evaluate(frame) / 1000)
        page.close()
    return taken


def handling_s(browser, report) -> list[float]:
    """Seconds that our script takes to filter to wrong answers, and to sort them by predicted SQL."""
    page = browser.new_page()
    page.goto(report.as_uri())
    page.evaluate("document.forms.filters.elements.outcome.value = 'wrong'")
    actions = (
        "document.forms.filters.dispatchEvent(new Event('input'))",
        "document.querySelector('[data-column=predicted] button').click()",
    )
    taken = [
        page.evaluate(f"() => {{ const start = performance.now(); {act}; return performance.now() - start }}")
        for act in actions
    ]
    page.close()
    return [milliseconds / 1000 for milliseconds in taken]


def test_the_report_beside_pytest_htmls(browser, ours, native, capsys):
    sizes = [path.stat().st_size / 1e6 for path in (ours, native)]
    times = [interactive_s(browser, path) for path in (ours, native)]
    with capsys.disabled():
        print(f"\n{'3,552 rows':22}{'size':>10}{'interactive, median':>22}{'worst':>10}")
        for name, size, taken in zip(("ours", "pytest-html's own"), sizes, times, strict=True):
            print(f"{name:22}{size:>7.2f} MB{statistics.median(taken):>20.2f} s{max(taken):>8.2f} s")
        medians = [statistics.median(taken) for taken in times]
        print(f"{'its / ours':22}{sizes[1] / sizes[0]:>10.1f}{medians[1] / medians[0]:>22.1f}")
        print("ours: {:.3f} s to filter, {:.3f} s to sort".format(*handling_s(browser, ours)))
