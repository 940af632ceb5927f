"""The report in a real browser, driven as a reader would: filter, sort, open, turn the page."""

from dataclasses import replace

import pytest

from fixtures.questions.plugin import BUILT_IN
from tests.report_page import at, column, show
from tests.unit.sums import SUMS, sum_rows

pytestmark = pytest.mark.slow


@pytest.fixture
def opened(watched, report):
    return at(watched, report.as_uri())


def test_a_script_that_the_page_was_not_made_with_never_runs(browser, report, tmp_path):
    smuggled = (
        "<script>window.ran = 1</script><img src=x onerror='window.ran = 1'><a href='javascript:window.ran=1'>a</a>"
    )
    page = report.read_text(encoding="utf-8").replace("</body>", f"{smuggled}</body>")
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    opened = browser.new_page()
    at(opened, (tmp_path / "page.html").as_uri())
    opened.get_by_text("a", exact=True).click()
    assert opened.evaluate("window.ran") is None
    assert opened.locator("#found").inner_text() == "200 of 200 answers; 1 to 50 shown"
    opened.close()


def test_filter_sort_and_open(opened):
    opened.get_by_label("Outcome").select_option("wrong")
    assert opened.locator("#found").inner_text() == "67 of 200 answers; 1 to 50 shown"
    assert set(column(opened, "Outcome")) == {"wrong"}
    opened.get_by_role("button", name="Hardness / category").click()
    ranks = [("easy", "medium", "hard", "extra").index(text) for text in column(opened, "Hardness / category")]
    assert ranks == sorted(ranks) and len(set(ranks)) > 1
    opener = opened.locator("#answer-table .opener").first
    assert opener.get_attribute("aria-expanded") == "false"
    opener.press("Enter")
    assert opener.get_attribute("aria-expanded") == "true"
    details = opened.locator(f"#{opener.get_attribute('aria-controls')}")
    assert "Predicted" in details.inner_text() and details.locator("mark").first.inner_text() == "1,"
    opener.click()
    assert details.count() == 0


def test_pages_turn_and_the_search_finds_text(opened):
    first = column(opened, "Question")
    opened.get_by_role("button", name="Next").click()
    assert column(opened, "Question")[0] not in first
    opened.get_by_label("Text").fill("hotel_stays-0003")
    assert len(column(opened, "Question")) == 1
    opened.get_by_role("button", name="Show all").click()
    opened.locator("#found", has_text="200 of 200").wait_for()


def test_a_count_of_errors_leads_to_its_answers(opened):
    link = opened.locator("#errors a").first
    count = int(link.inner_text())
    link.click()
    assert opened.locator("#found").inner_text().startswith(f"{count} of 200")


def test_a_changed_answer_leads_to_every_answer_to_its_question(watched, made_up_study, made_up_manifest, tmp_path):
    study = made_up_study({"base": range(40), "cfg1": range(80)}, {"base": range(120), "cfg1": range(118)})
    show(watched, tmp_path, *study, made_up_manifest(["base", "cfg1"]), BUILT_IN)
    watched.get_by_text("cfg1 on MMLU: 2 right to wrong, 0 wrong to right").click()
    watched.get_by_role("link", name="humanities-0118").first.click()
    assert column(watched, "Adapter") == ["base", "cfg1"]
    assert column(watched, "Outcome")[1] == "wrong (right to wrong)"
    watched.locator("#answer-table .opener").last.click()
    assert "-3.000  B. b" in watched.locator("#answer-table .opened").inner_text()


def test_marks_stand_where_the_texts_differ(watched, made_up_study, made_up_manifest, tmp_path):
    """Also behind a character that takes two places in JavaScript's strings; white space is left out."""
    summary, rows = made_up_study({"base": ()}, {})
    texts = {"gold_sql": "SELECT '\U0001f600', name  FROM t", "predicted_sql": "select '\U0001f600', age + 1 FROM t"}
    rows[0] = rows[0].model_copy(update=texts)
    show(watched, tmp_path, summary, rows, made_up_manifest(["base"]), BUILT_IN)
    first = watched.locator("#answer-table .row").first
    assert first.locator('[data-column="Gold"] mark').all_inner_texts() == ["name"]
    assert first.locator('[data-column="Predicted"] mark').all_inner_texts() == ["age", "+", "1"]
    assert first.locator('[data-column="Predicted"]').inner_text() == texts["predicted_sql"]


def test_a_third_suite_can_be_filtered_for(watched, made_up_study, made_up_manifest, tmp_path):
    summary, rows = made_up_study({"base": range(40)}, {})
    suites = (*BUILT_IN, replace(SUMS, groups=("small", "large")))
    show(watched, tmp_path, summary, [*rows, *sum_rows("base", 0)], made_up_manifest(["base"]), suites)
    watched.get_by_label("Suite").select_option("sums")
    assert watched.locator("#found").inner_text() == "20 of 220 answers; 1 to 20 shown"
    watched.locator("#answer-table .opener").first.click()
    assert "First term" in watched.locator("#answer-table .opened").inner_text()
    assert watched.locator("#answer-table .opened mark").inner_text() == "C"
    watched.get_by_role("button", name="Hardness / category / size").click()
    groups = column(watched, "Hardness / category / size")
    assert groups == ["small"] * 10 + ["large"] * 10


@pytest.mark.parametrize("width", [390, 1300])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_the_screen_and_can_be_read(browser, report, width, scheme):
    """No sideways scrolling, and text of at least 4.5 to 1 against the page behind it (WCAG 2.2, AA)."""
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    at(page, report.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    paper = channels(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    for place in ("#verdict-title", ".card .change", "#found", "#answer-table .wrong", "#evaluation .small", "nav a"):
        ink = channels(page.locator(place).first.evaluate("element => getComputedStyle(element).color"))
        assert contrast(ink, paper) >= 4.5, place
    page.close()


def channels(color):
    return [int(part) / 255 for part in color.removeprefix("rgb(").removesuffix(")").split(",")]


def contrast(one, two):
    """The contrast ratio of WCAG 2.2 between two sRGB colours."""

    def luminance(color):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(two)))
    return (light + 0.05) / (dark + 0.05)


def test_without_javascript_verdict_and_tables_stand(browser, report):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    assert page.locator("#verdict-title").is_visible() and page.locator("#accuracy table").first.is_visible()
    assert page.get_by_text("This table takes JavaScript.").is_visible()
    assert not page.locator("#filters").is_visible()
    context.close()
