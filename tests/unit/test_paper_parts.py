"""What a reader of the technical report needs: commands to copy, kinds of failure, what to do, a PDF for everyone."""

import io
import json
import shlex
import subprocess
from collections import Counter

import pypdf
import pytest

from custom_metrics.errors.classes import ErrorClass
from fixtures.questions.plugin import BUILT_IN
from fixtures.questions.spider.error_kinds import ERROR_KINDS
from fixtures.questions.spider.evidence import evidence
from fixtures.report.article.command_lines import COLUMNS, command_lines
from fixtures.report.article.discussion import discussion
from fixtures.report.article.practice import strength, what_to_watch
from fixtures.report.article.report import report
from fixtures.report.article.typesetting import typeset
from tests.unit.test_paper import BASE, GAIN, LOSS, NO_LOSS, text_of

COMMANDS = (
    "pytest",
    "pytest -m 'spider or mmlu' --gate='spider.cfg1 >= 0.60' --html=report.html --self-contained-html",
    f"pytest -m spider --adapter={','.join(f'../predictions/system-{n}.sql' for n in range(9))}",
    f"PYTEST_ADDOPTS='--shots=0 -k '\"'\"'a or b'\"'\"'' pytest --spider={'x' * 200} ''",
    "pytest " + shlex.quote("$HOME `id` \\ \n 'it''s' " * 9),
)


@pytest.fixture
def told(made_up_study, made_up_manifest):
    """``told(spider, mmlu, **changes)``: summary, rows, and a manifest with ``changes``."""

    def told(spider, mmlu, **changes):
        summary, rows = made_up_study(spider, mmlu)
        return summary, rows, made_up_manifest(summary.adapters).model_copy(update=changes)

    return told


@pytest.mark.parametrize("command", COMMANDS)
def test_a_shell_reads_the_lines_of_a_command_as_the_command(command):
    """Copied out of the PDF they are to run: no word is torn but as a shell puts it together again."""
    lines = command_lines(command)
    assert max(map(len, lines)) <= COLUMNS or "\n" in command
    shown = "\n".join(lines)
    printed = [
        subprocess.run(["sh", "-c", f"set -- {text}; printf '%s|' \"$@\""], capture_output=True, text=True, check=True)
        for text in (command, shown)
    ]
    assert printed[0].stdout == printed[1].stdout
    assert all(line.endswith("\\") for line in lines[:-1])


def test_every_line_of_a_command_is_one_line_of_the_page(told):
    command = COMMANDS[1]
    pdf = typeset(report(*told(*LOSS, command=command), BUILT_IN))
    lines = [
        line.strip() for page in pypdf.PdfReader(io.BytesIO(pdf)).pages for line in page.extract_text().split("\n")
    ]
    assert [line.strip() in lines for line in command_lines(command)] == [True] * len(command_lines(command))


def test_every_error_class_is_of_one_kind():
    assert Counter(name for kind in ERROR_KINDS for name in kind.classes) == dict.fromkeys(ErrorClass, 1)


def test_failures_are_counted_by_kind_and_each_kind_says_what_may_mend_it(told):
    told_of = report(*told(*LOSS), BUILT_IN)["blocks"]
    (kinds,) = (block for block in told_of if block.get("label") == "spider-kinds")
    *rows, total = kinds["rows"]
    for place in range(1, len(kinds["head"])):
        assert sum(int(row[place].split(" ")[0]) for row in rows) == int(total[place])
    headings = [block["text"] for block in told_of if block["kind"] == "heading"]
    assert [row[0] for row in rows] == [text for text in headings if text in {kind.name for kind in ERROR_KINDS}]
    mended = [kind.mend for kind in ERROR_KINDS if kind.name in headings]
    assert mended and all(mend in json.dumps(told_of, ensure_ascii=False) for mend in mended)


def test_a_recorded_answer_is_not_shown_behind_our_prompt(told):
    """Beside an answer of ours, which is."""
    _, rows, manifest = told(*LOSS)
    wrong = [next(row for row in rows if row.adapter == slug and not row.right) for slug in ("base", "cfg1")]
    sets = [one.model_copy(update={"base": ""}) if one.adapter == "cfg1" else one for one in manifest.score_sets]
    contents = manifest.model_copy(update={"score_sets": sets}).model_dump()
    contents["experiment"]["spider"]["source"] = "nowhere"
    asked, recorded = evidence(wrong, contents).entries
    assert "Asked" in recorded and "Prompt" not in recorded
    text = text_of(typeset(report(*told(*LOSS, score_sets=sets), BUILT_IN)))
    assert "How cfg1 were asked is not known" in text or "How cfg1 was asked is not known" in text


def test_a_study_of_recorded_predictions_alone_is_told_as_one(told):
    summary, rows, manifest = told({"one": range(60), "two": range(90)}, {}, base_model=None)
    sets = [one.model_copy(update={"base": ""}) for one in manifest.score_sets]
    text = text_of(typeset(report(summary, rows, manifest.model_copy(update={"score_sets": sets}), BUILT_IN)))
    abstract = text.split("Introduction")[0].split("INTRODUCTION")[0]
    assert "2 systems compared" in abstract and "two 45.0% (95% interval" in abstract
    for ours in ("Specialising", "base model", "-m mmlu", "--adapter", "Write one SQLite query", "miniature/model"):
        assert ours not in text.split("pip install")[0], ours
    assert "two has the most of Spider dev right (45.0%, 95% interval" in text


def test_an_abstract_names_no_option_of_ours(told):
    for study in (LOSS, (GAIN, {}), ({}, LOSS[1]), BASE, ({"cfg1": range(9)}, {})):
        abstract = report(*told(*study), BUILT_IN)["abstract"]
        assert "--" not in abstract and " -m " not in abstract


def test_the_abstract_of_many_candidates_tells_of_the_one_to_take(told):
    names = [f"cfg{n}" for n in range(1, 7)]
    study = {**BASE[0], **{name: range(150) for name in names}}, {**BASE[1], **{name: range(119) for name in names}}
    abstract = report(*told(*study), BUILT_IN)["abstract"]
    assert "Of 6 candidates the tables have the rest." in abstract and "cfg5" not in abstract


def test_of_many_candidates_those_that_none_dominates_have_their_sentences(told):
    right = {f"cfg{n}": (range(100 + 5 * n), range(119)) for n in range(1, 8)}
    spider, mmlu = ({name: own[side] for name, own in right.items()} for side in (0, 1))
    summary, rows, manifest = told({**BASE[0], **spider}, {**BASE[1], **mmlu})
    written = json.dumps(discussion(summary, rows, manifest, BUILT_IN))
    assert "Relative to the base model, cfg7 changed" in written
    assert not any(f"Relative to the base model, cfg{n} changed" in written for n in range(1, 7))


def test_the_strength_is_that_which_was_asked(told):
    """No dial: nothing is known. A dial: the point that gains most within the margin, and how much that is worth."""
    summary, *_ = told(*NO_LOSS)
    (said,) = strength(summary.model_copy(update={"points": told(*NO_LOSS)[0].points}), BUILT_IN) or ("",)
    assert "is not known" in said or not summary.points
    spider = BASE[0] | {"cfg1": range(150), "cfg1-x0.5": range(140), "cfg1-x0.25": range(90)}
    mmlu = BASE[1] | {"cfg1": range(90), "cfg1-x0.5": range(119), "cfg1-x0.25": range(120)}
    of_dial, careful = strength(told(spider, mmlu)[0], BUILT_IN)
    assert "Of 3 strengths of cfg1, cfg1-x0.5 gains most" in of_dial
    assert "compared on the very questions reported" in careful


def test_what_to_watch_has_wrong_answers_and_gates(told):
    summary, rows, _ = told(*NO_LOSS)
    said = json.dumps(what_to_watch(summary, rows, BUILT_IN))
    low = summary.accuracy("spider", "cfg1").low
    assert f"spider.cfg1 >= {low:.2f}" in said and "mmlu.cfg1.loss.upper <= 0.05" in said
    assert "answers are still wrong (50 of 200; 95% interval 18.4 to 33.1)" in said


def test_author_and_date_stand_below_the_title_and_in_the_file(told):
    document = report(*told(*LOSS, ended="2026-03-05T10:11:12+00:00"), BUILT_IN, ["Ada L.", "Grace H."])
    reader = pypdf.PdfReader(io.BytesIO(typeset(document)))
    assert "Ada L., Grace H.\n5 March 2026" in reader.pages[0].extract_text()
    assert reader.metadata.author == "Ada L., Grace H." and reader.metadata.title == document["title"]
    assert reader.metadata.creation_date.date().isoformat() == "2026-03-05"
    nobody = pypdf.PdfReader(io.BytesIO(typeset(report(*told(*LOSS), BUILT_IN))))
    assert nobody.metadata.author is None


def test_the_pdf_is_for_everyone(told):
    """Tagged as PDF/UA-1 asks: language, title, bookmarks of the sections, an alternative text for every figure."""
    document = report(*told(*LOSS), BUILT_IN)
    reader = pypdf.PdfReader(io.BytesIO(typeset(document)))
    root = reader.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"] and "/StructTreeRoot" in root and root["/Lang"].startswith("en")
    assert root["/ViewerPreferences"]["/DisplayDocTitle"]
    assert b"pdfuaid:part" in root["/Metadata"].get_data()
    headings = [block["text"] for block in document["blocks"] if block["kind"] == "heading" and block["level"] == 1]
    bookmarks = [entry.title for entry in reader.outline if not isinstance(entry, list)]
    assert [title for title in headings if not any(title in bookmark for bookmark in bookmarks)] == []
    figures = [alt for kind, alt in tagged(root["/StructTreeRoot"]) if kind == "/Figure"]
    assert len(figures) >= sum(block["kind"] in ("figure", "flow") for block in document["blocks"])
    assert all(figures)


def tagged(element):
    """Every structure element below ``element``: its kind and its alternative text."""
    element = element.get_object()
    if not isinstance(element, dict):
        return
    if "/S" in element:
        yield element["/S"], element.get("/Alt")
    below = element.get("/K", [])
    for child in below if isinstance(below, list) else [below]:
        if not isinstance(child, int):
            yield from tagged(child)


def test_letters_that_no_font_has_do_not_cost_the_report(told):
    summary, rows, manifest = told(*LOSS)
    rows = [row if row.suite == "mmlu" or row.right else row.judged(gold_sql="SELECT '歌手 🎤'") for row in rows]
    reader = pypdf.PdfReader(io.BytesIO(typeset(report(summary, rows, manifest, BUILT_IN))))
    assert reader.trailer["/Root"]["/MarkInfo"]["/Marked"]


def test_a_reply_cites_nothing(told):
    summary, rows, manifest = told(*LOSS)
    rows = [
        row if row.suite == "mmlu" or row.right else row.judged(gold_sql="SELECT '[@hu2022] [@none]'") for row in rows
    ]
    assert "[@hu2022] [@none]" in json.dumps(report(summary, rows, manifest, BUILT_IN))
