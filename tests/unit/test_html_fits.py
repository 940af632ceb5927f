"""The report's page for everyone: by axe, on a phone, on paper, and as large as a study makes it."""

import io
from random import Random

import pypdf
import pytest

from fixtures.questions.first_rows import first_rows
from fixtures.questions.plugin import BUILT_IN
from tests.report_page import at, show

pytestmark = pytest.mark.slow

# Of pytest-html's own frame, which is not ours to mend: nested lists, and text outside of any landmark.
FRAME = ["#environment", "#title", "body > p", "#environment-header"]


@pytest.fixture
def study(made_up_study, made_up_manifest):
    """``study(spider, mmlu)``: base and cfg1 with so many questions of both suites, and rows of every Spider answer."""

    def study(spider, mmlu):
        right = [{slug: range(k * number // 5) for k, slug in ((2, "base"), (3, "cfg1"))} for number in (spider, mmlu)]
        summary, rows = made_up_study(*right, questions={"spider": spider, "mmlu": mmlu})
        rows = [row.model_copy(update=_returned(row)) if row.suite == "spider" else row for row in rows]
        return summary, rows, made_up_manifest(["base", "cfg1"]), BUILT_IN

    return study


def _returned(row):
    values = Random(row.index).sample(range(10_000), 15)
    found = first_rows([(f"Singer {a}", b, c / 7) for a, b, c in zip(*[iter(values)] * 3, strict=True)], 3)
    return {"gold_rows": found, **({} if row.right else {"predicted_rows": found})}


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_axe_finds_nothing(browser, report, study, tmp_path, width, scheme):
    """The rules of WCAG 2.2 AA and those of good practice, with every fold and an answer open."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    show(page, tmp_path, *study(200, 150))
    for address in (report.as_uri(), page.url):
        at(page, f"{address}#outcome=wrong")
        page.locator("details").evaluate_all("all => all.forEach((one) => { one.open = true; })")
        page.locator("#answer-table tr:has(td.wrong) .opener").first.click()
        found = axe.run(page, context={"exclude": [[place] for place in FRAME]}).response["violations"]
        assert [(rule["id"], [node["target"] for node in rule["nodes"]]) for rule in found] == []
    page.close()


def test_the_page_says_its_language_and_fits_a_phone(report, browser):
    page = at(browser.new_page(viewport={"width": 390, "height": 800}, is_mobile=True), report.as_uri())
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.evaluate("innerWidth") == 390, "without a viewport a phone lays it out 980 wide"
    page.locator("#answer-table tr:has(td.wrong) .opener").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_an_accuracy_is_seen_with_its_interval_without_scrolling(browser, study, tmp_path, width):
    """On a phone the interval stood behind the edge; on a desktop, beside MMLU's table, no column may."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    show(page, tmp_path, *study(200, 150))
    tables = page.locator("#accuracy .scrolled:visible")
    assert tables.count() == 2
    for table in tables.all():
        cell = table.locator("td:has(strong)").first
        assert " to " in cell.inner_text()
        edge = table.evaluate("element => element.getBoundingClientRect().right")
        assert cell.evaluate("element => element.getBoundingClientRect().right") <= edge
        if width == 1280:
            assert table.evaluate("element => element.scrollWidth <= element.clientWidth")
    page.close()


def test_on_paper_nothing_is_cut_and_what_explains_the_numbers_is_open(watched, study, tmp_path):
    show(watched, tmp_path, *study(200, 150))
    paper = pypdf.PdfReader(io.BytesIO(watched.pdf(format="A4")))
    text = " ".join(" ".join(page.extract_text() for page in paper.pages).split())
    assert "One hundredth of all questions" in text, "How to read this is closed"
    assert "Accuracy" in text and "Correct" in text and "Standard error" in text, "heads of columns are broken"
    assert "Show all" not in text and "CSV" not in text
    assert not watched.locator("#reading").evaluate("element => element.open")
    watched.emulate_media(media="print")
    watched.set_viewport_size({"width": 690, "height": 1000})
    assert watched.evaluate("document.documentElement.scrollWidth") <= 690
    kept = watched.locator("#accuracy .scrolled").evaluate_all("all => all.map(e => getComputedStyle(e).breakInside)")
    assert set(kept) == {"avoid"}, "a table's head may stand at the foot of a page without its rows"


@pytest.fixture
def seconds(watched):
    """``seconds()``: what the page's main thread has computed so far, whatever else the machine does."""
    session = watched.context.new_cdp_session(watched)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def seconds():
        metrics = session.send("Performance.getMetrics")["metrics"]
        return next(one["value"] for one in metrics if one["name"] == "TaskDuration")

    return seconds


def test_3552_answers_are_ready_within_a_second(watched, study, tmp_path, seconds):
    show(watched, tmp_path, *study(1626, 150))
    taken = seconds()
    assert watched.locator("#found").inner_text().startswith("3552 of 3552")
    assert taken < 1
    assert (tmp_path / "page.html").stat().st_size < 2_000_000


def test_20000_answers_can_be_filtered_sorted_and_turned(watched, study, tmp_path, seconds):
    """Only what is shown is in the page: fifty rows, however many there are."""
    show(watched, tmp_path, *study(9000, 1000))
    assert watched.locator("#found").inner_text().startswith("20000 of 20000")
    ready = seconds()
    watched.get_by_label("Text").fill("singers in concert 77")
    watched.get_by_role("button", name="Predicted").click()
    watched.get_by_role("button", name="Next").click()
    watched.locator(".opener").last.click()
    taken = seconds() - ready
    assert watched.locator("#pages span").inner_text().startswith("page 2 of ")
    assert watched.locator("#answer-table .row").count() == 50
    assert ready < 3 and taken < 2
