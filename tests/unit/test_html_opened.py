"""An answer opened in the report, in a real browser: all there is to judge it by, and a link that leads back to it."""

import csv
import io
import json
import shlex

import pytest

from fixtures.questions.first_rows import first_rows
from fixtures.questions.plugin import BUILT_IN
from fixtures.results.prompts import Prompts, with_prompts
from tests.processes import run_pytest
from tests.report_page import at, column, show
from trainer.prompts import Message, Prompt

pytestmark = pytest.mark.slow

HOSTILE = "</pre></script><img src=x onerror='window.ran = 1'>"
SCHEMA = "CREATE TABLE singer (\nname TEXT\n)"


@pytest.fixture
def study(made_up_study, made_up_manifest):
    """base and cfg1, whose first wrong answer has rows and, as much as comes from outside, hostile texts."""
    summary, rows = made_up_study({"base": range(60), "cfg1": range(40)}, {})
    place = next(place for place, row in enumerate(rows) if row.adapter == "cfg1" and row.index == 40)
    rows[place] = rows[place].model_copy(
        update={
            "reply": f"Well: SELECT age FROM singer {HOSTILE}",
            "gold_rows": first_rows([("Ann", None, "12"), (HOSTILE, 3, 0.5)] * 4, 3),
            "predicted_rows": first_rows([], 1),
        }
    )
    manifest = made_up_manifest(["base", "cfg1"])
    known = {slug: one.model_copy(update={"asked_with": "--shots=0"}) for slug, one in manifest.adapters.items()}
    manifest = manifest.model_copy(update={"adapters": known})
    turns = (Message("user", f"Solved\n\n{SCHEMA}"), Message("assistant", HOSTILE))
    own = {row.question: Prompt((*turns, Message("user", f"{SCHEMA}\n\n{row.question_text}"))) for row in rows}
    prompts = with_prompts(Prompts(), {"spider-cfg1-settings of ": own})
    return (summary, rows, manifest, BUILT_IN), prompts, rows[place]


@pytest.fixture
def opened(watched, study, tmp_path):
    """The page, with that answer opened by its address."""
    known, prompts, row = study
    show(watched, tmp_path, *known, prompts=prompts)
    return at(watched, f"{watched.url.partition('#')[0]}#q=spider%2F{row.question}&adapter=cfg1")


def term(page, title):
    """What stands in the opened row under ``title``."""
    return page.locator(f".opened dt:text-is('{title}') + dd")


def test_an_opened_answer_shows_all_that_it_is_judged_by(opened, study):
    row = study[-1]
    text = opened.locator(".opened").inner_text()
    for said in (row.question_text, row.gold_sql, row.predicted_sql, row.reply, row.reason, row.error_class):
        assert said in text
    assert opened.locator(".opened .compared mark").all_inner_texts() == ["WHERE", "age", ">", "1"]
    cells = opened.locator(".opened .cells").first
    assert cells.locator("caption").inner_text() == "Gold rows: the first 5 of 8 rows"
    assert cells.locator("tr").first.locator("td").all_inner_texts() == ["Ann", "NULL", "'12'"]
    assert cells.locator("tr").nth(1).locator("td").all_inner_texts() == [HOSTILE[:40] + "...", "3", "0.5"]
    assert "No rows." in text
    term(opened, "Prompt").locator("summary").click()
    assert term(opened, "Prompt").locator("pre").all_inner_texts() == [
        f"Solved\n\n{SCHEMA}",
        HOSTILE,
        f"{SCHEMA}\n\n{row.question_text}",
    ]
    assert opened.evaluate("window.ran") is None


def test_an_opened_answer_shows_every_adapters_answer(opened):
    shown = term(opened, "Every answer").locator("tbody tr")
    assert shown.locator("th").all_inner_texts() == ["base", "cfg1 (this answer)"]
    assert shown.locator("td:nth-child(2)").all_inner_texts() == ["right", "wrong (right to wrong)"]


def test_a_page_without_room_for_prompts_says_where_they_are(watched, study, tmp_path, monkeypatch):
    known, prompts, _ = study
    monkeypatch.setattr("fixtures.report.opened_data.PROMPT_BUDGET", 0)
    show(watched, tmp_path, *known, prompts=prompts).locator(".opener").first.click()
    assert "prompts.json has it" in term(watched, "Prompt").inner_text()


def test_the_command_asks_this_question_again_and_no_other(watched, report, pytestconfig):
    at(watched, f"{report.as_uri()}#outcome=wrong").locator(".opener").first.click()
    command = shlex.split(term(watched, "Ask it again").locator("code").inner_text())
    assert command[0] == "pytest"
    ended = run_pytest(command[1:], cwd=pytestconfig.rootpath)
    assert "1 wrong" in ended.stdout and "200 passed" not in ended.stdout, ended.stdout
    assert "all 1 question" in ended.stdout or "1 of 1" in ended.stdout, ended.stdout


def test_the_command_can_be_copied(opened):
    button = term(opened, "Ask it again").get_by_role("button", name="Copy")
    button.focus()
    opened.keyboard.press("Enter")
    term(opened, "Ask it again").get_by_role("status").get_by_text("Copied").or_(
        opened.get_by_text("Selected")
    ).first.wait_for()


def test_a_link_to_a_question_opens_it(opened, study, browser):
    row = study[-1]
    opened.get_by_role("button", name="Show all").click()
    assert opened.locator("#found").inner_text().startswith("400 of 400") and "#" not in opened.url
    opened.get_by_label("Text").fill(row.question)
    opened.locator(".permalink").click()
    assert opened.url.endswith(f"#q=spider%2F{row.question}")
    other = at(browser.new_page(), opened.url)
    assert column(other, "Adapter") == ["base", "cfg1"] and other.locator(".opened").count() == 1
    said = f"2 of 400 answers; 1 to 2 shown; to question spider/{row.question} only"
    assert other.locator("#found").inner_text() == said
    other.close()


def test_the_address_says_what_is_shown(opened, browser):
    opened.get_by_role("button", name="Show all").click()
    opened.get_by_role("combobox", name="Adapter").select_option("cfg1")
    opened.get_by_label("Text").fill("concert & 1")
    opened.get_by_label("Text").fill("concert 1")
    opened.get_by_role("button", name="Question").click()
    opened.get_by_role("button", name="Question").click()
    opened.get_by_role("button", name="Next").click()
    other = at(browser.new_page(), opened.url)
    assert column(other, "Question") == column(opened, "Question") != []
    assert other.locator("#found").inner_text() == opened.locator("#found").inner_text()
    assert other.get_by_label("Text").input_value() == "concert 1"
    assert other.locator("#pages span").inner_text() == "page 2 of 3"
    assert other.locator("th[data-column=question]").get_attribute("aria-sort") == "descending"
    other.close()


@pytest.mark.parametrize(
    "said", ["adapter=nobody&page=99&sort=-nothing", "q=</script>&length=3", "page=-5&page=x", "="]
)
def test_an_address_that_means_nothing_does_no_harm(opened, said):
    at(opened, f"{opened.url.partition('#')[0]}#{said}")
    assert opened.locator("#found").inner_text()
    opened.get_by_role("button", name="Show all").click()
    assert opened.locator("#found").inner_text() == "400 of 400 answers; 1 to 50 shown"


def saved(page, kind):
    with page.expect_download() as download:
        page.get_by_role("button", name=kind, exact=True).click()
    return download.value.path().read_bytes().decode("utf-8-sig")


def test_what_is_shown_is_saved_and_no_cell_is_a_formula(watched, study, tmp_path):
    (summary, rows, *rest), prompts, _ = study
    formulas = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", 'a "b", c\nd']
    for place, text in enumerate(formulas):
        rows[place] = rows[place].model_copy(update={"predicted_sql": text, "reply": text})
    show(watched, tmp_path, summary, rows, *rest, prompts=prompts)
    watched.get_by_role("combobox", name="Adapter").select_option("base")
    records = json.loads(saved(watched, "JSON"))
    assert len(records) == 200 and [one["predicted"] for one in records[:7]] == formulas
    table = list(csv.DictReader(io.StringIO(saved(watched, "CSV"), newline="")))
    assert len(table) == 200 and {one["adapter"] for one in table} == {"base"}
    assert [one["predicted"] for one in table[:7]] == [*(f"'{text}" for text in formulas[:6]), formulas[6]]


def test_an_answer_can_be_reached_opened_and_left_by_keyboard(opened):
    opened.get_by_role("button", name="Show all").focus()
    names = []
    for _ in range(40):
        opened.keyboard.press("Tab")
        names.append(opened.evaluate("document.activeElement.className || document.activeElement.textContent"))
        if names[-1] == "opener":
            break
    assert {"CSV", "JSON", "Question", "opener"} <= set(names)
    for count in (0, 1):
        opened.keyboard.press("Space")
        assert opened.locator(".opened").count() == count
    opened.keyboard.press("Tab")
    assert opened.evaluate("!!document.activeElement.closest('.opened')")
