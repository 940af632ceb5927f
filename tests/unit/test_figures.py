"""The figures, as drawn and as the SVG they become."""

import json
import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from fixtures.questions.mmlu.suite import MMLU
from fixtures.questions.spider.suite import SPIDER
from fixtures.report import figures
from fixtures.report.frontier_figure import frontier_figure
from fixtures.report.svg import to_svg
from fixtures.results.types import Summary

SVG = "{http://www.w3.org/2000/svg}"


def trade_off(summary):
    return frontier_figure(summary, SPIDER, MMLU)


def hardness(summary):
    return figures.group_figure(summary, SPIDER)


def category(summary):
    return figures.group_figure(summary, MMLU)


def errors(summary):
    return figures.error_figure(summary, SPIDER)


ALL = [trade_off, hardness, category, errors]


@pytest.fixture
def summary(made_up_study):
    """Base, two seeds of cfg1, and cfg2, which lost on MMLU."""
    spider = {"base": range(50), "cfg1-seed1": range(140), "cfg1-seed2": range(150), "cfg2": range(30, 150)}
    mmlu = {"base": range(120), "cfg1-seed1": range(120), "cfg1-seed2": range(119), "cfg2": range(90)}
    return made_up_study(spider, mmlu)[0]


@pytest.mark.parametrize("draw", ALL)
def test_an_svg_scales_takes_the_colour_of_the_text_and_is_valid_xml(draw, summary):
    text = to_svg(draw(summary))
    root = ElementTree.fromstring(text)
    assert root.tag == f"{SVG}svg" and len(root.get("viewBox").split()) == 4
    assert "width" not in root.attrib and "height" not in root.attrib
    assert "currentColor" in text and "#010203" not in text and "#000000" not in text
    # A style sheet in an inline SVG would speak for the whole page.
    assert not root.findall(f".//{SVG}style") and not root.findall(f".//{SVG}metadata")


@pytest.mark.parametrize("draw", ALL)
def test_the_same_data_gives_the_same_bytes(draw, summary):
    assert to_svg(draw(summary)) == to_svg(draw(summary))


def test_several_svgs_can_stand_in_one_page(summary):
    roots = [ElementTree.fromstring(to_svg(draw(summary))) for draw in ALL]
    ids = [element.get("id") for root in roots for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("draw", ALL)
def test_every_reference_in_an_svg_has_its_target(draw, summary):
    root = ElementTree.fromstring(to_svg(draw(summary)))
    ids = {element.get("id") for element in root.iter()}
    values = [value for element in root.iter() for value in element.attrib.values()]
    targets = {target for value in values for target in re.findall(r"^#([^)]+)$|url\(#(.+?)\)", value)}
    assert targets and {one or other for one, other in targets} <= ids
    assert set(root.get("aria-labelledby").split()) <= ids


def test_the_text_alternatives_tell_the_numbers(summary):
    said = [ElementTree.fromstring(to_svg(draw(summary))).findtext(f"{SVG}desc") for draw in ALL]
    assert "cfg2: SQL +35.0 (+" in said[0] and "MMLU -20.0 (-" in said[0]
    assert said[1].startswith("easy: base 13 of 50, cfg1-seed1 35 of 50, cfg1-seed2 38 of 50, cfg2 30 of 50.")
    assert "STEM: base 40 of 50" in said[2] and "cfg2 30 of 50" in said[2]
    assert "no SQL: base 75, cfg1-seed1 30, cfg1-seed2 25, cfg2 40." in said[3]


def test_seeds_of_one_configuration_share_colour_and_marker_and_configurations_differ_in_both(summary):
    (axes,) = errors(summary).axes
    base, one, two, other = ((line.get_color(), line.get_marker()) for line in axes.lines)
    assert one == two
    assert len({look[0] for look in (base, one, other)}) == len({look[1] for look in (base, one, other)}) == 3


def test_a_configuration_keeps_its_colour_where_another_suite_lacks_it(made_up_study):
    part, _ = made_up_study({"cfg1": range(9), "cfg2": range(9)}, {"cfg2": range(9)})
    (wrong,), (grouped,) = errors(part).axes, category(part).axes
    assert wrong.lines[1].get_color() == grouped.lines[0].get_color() != wrong.lines[0].get_color()


def test_there_is_no_figure_without_its_data(made_up_study):
    part, _ = made_up_study({"base": range(200)}, {})
    assert [draw(part) is None for draw in ALL] == [True, False, True, True]
    assert all(draw(Summary(experiment="empty")) is None for draw in ALL)


def test_an_incomplete_set_is_named_as_such(summary):
    entries = [e.model_copy(update={"complete": e.adapter != "cfg2"}) for e in summary.accuracies]
    part = summary.model_copy(update={"accuracies": entries})
    labels = [text.get_text() for text in hardness(part).legends[0].get_texts()]
    assert [label.strip() for label in labels] == ["base", "cfg1", "cfg2 (incomplete)"]


def test_a_hostile_name_is_drawn_as_text(made_up_study):
    name = "_$\\frac{<script>&\x00" + "x" * 99
    made, _ = made_up_study({"base": range(5), name: range(9)}, {"base": range(5), name: range(9)})
    # Half a surrogate pair no row can hold, but a summary that was read from a file can.
    part = Summary.model_validate(json.loads(json.dumps(made.model_dump()).replace("\\u0000", "\\u0000\\ud800")))
    assert any("\ud800" in slug for slug in part.adapters)
    for draw in ALL:
        text = to_svg(draw(part))
        ElementTree.fromstring(text)
        assert "<script" not in text


def test_figures_are_imported_without_matplotlib(pytestconfig):
    program = "import sys, fixtures.report.figures; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], cwd=pytestconfig.rootpath, check=True)
