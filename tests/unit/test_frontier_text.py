"""Gain against loss in letters: where they stand, how wide it is, and what a terminal can show."""

import os
import re
import subprocess
import sys

import pytest

from fixtures.questions.mmlu.suite import MMLU
from fixtures.questions.plugin import BUILT_IN
from fixtures.questions.spider.suite import SPIDER
from fixtures.report.frontier_text import frontier_text
from fixtures.report.step_summary import step_summary
from fixtures.report.summary_lines import summary_lines
from fixtures.results.files import write_json, write_rows
from fixtures.results.folder import MANIFEST, SCORES, SUMMARY
from fixtures.results.points import FrontierPoint

HOSTILE = "cfg\x1b[31m\n::error::\u4e2d\u6587" + "x" * 90
SPIDER_RIGHT = {"base": range(50), "cfg1": range(150), "cfg2-x0.5": range(10, 110), "cfg2": range(20, 90)}
MMLU_RIGHT = {"base": range(120), "cfg1": range(119), "cfg2-x0.5": range(100), "cfg2": range(30)}
HEADING = "SQL up, MMLU across; "


def point(adapter: str, gain: float, loss: float, **fields) -> FrontierPoint:
    ends = {"gain_low": gain, "gain_high": gain, "loss_low": loss, "loss_high": loss}
    own = {"gain_on": "spider", "cost_on": "mmlu", "adapter": adapter, "configuration": adapter, "scale": "1"}
    return FrontierPoint(**own | {"gain": gain, "loss": loss} | ends | fields)


def drawn(*points: FrontierPoint, unicode: bool = False) -> list[str]:
    return frontier_text(points, SPIDER, MMLU, 0.05, unicode=unicode)


def place_of(lines: list[str], mark: str) -> tuple[int, int]:
    """Row from the top and column of a mark within the plot."""
    rows = [re.split(r"[|\u2502]", line, maxsplit=1)[1][:32] for line in lines[1:10]]
    (found,) = [(y, row.index(mark)) for y, row in enumerate(rows) if mark in row]
    return found


def test_letters_stand_where_the_numbers_are_and_the_legend_names_them():
    lines = drawn(point("cfg1", 0.4, 0.04), point("cfg2", 0.1, 0.2, dominated_by=["cfg1"]), point("cfg3", 0.2, 0))
    assert lines[0] == "SQL up, MMLU across; + base, : margin 5, <a dominated by a"
    assert [line[41:] for line in lines[1:5]] == [
        "  points            SQL   MMLU",
        "a cfg1            +40.0   -4.0",
        "b cfg3            +20.0   +0.0",
        "c cfg2            +10.0  -20.0 <a",
    ]
    # 20 points lie between the 32 columns, 40 between the 9 rows.
    assert [place_of(lines, mark) for mark in "abc+"] == [(0, 25), (4, 31), (6, 0), (8, 31)]
    assert [lines[row][:7] for row in (1, 5, 9)] == [" +40.0|", "      |", "     0|"]
    assert lines[-1].split() == ["-20.0", "0"]


def test_the_margin_is_a_band_as_wide_as_it_is():
    lines = drawn(*(point(f"cfg{n}", 0.1 * n, 0.31) for n in (1, 2, 3)))
    (columns,) = {tuple(x for x, sign in enumerate(line[7:39]) if sign in ":+") for line in lines[1:9]}
    assert columns == tuple(range(26, 32))


def test_a_dial_is_joined_in_the_order_of_its_scales():
    dial = [("1", 0.4, 0.3), ("0.5", 0.4, 0.0), ("0", 0.0, 0.0)]
    found = [point(f"cfg1-x{scale}", *sides, configuration="cfg1", scale=scale) for scale, *sides in dial]
    plot = [line[7:39] for line in drawn(*found)[1:10]]
    # From the base up, then to the left: nothing leads from the first straight to the last.
    assert set(plot[0][1:-1]) <= set(".:a") and plot[0].count(".") > 20
    assert [row[31] for row in plot[1:7]] == ["."] * 6
    assert not any("." in row[:31] for row in plot[1:])


def test_points_that_would_cover_one_another_stand_side_by_side():
    lines = drawn(*(point(f"cfg{n}", 0.2, 0.1) for n in range(5)))
    places = {mark: place_of(lines, mark) for mark in "abcde"}
    assert len(set(places.values())) == 5
    assert all(abs(x - places["a"][1]) <= 3 and y - places["a"][0] <= 1 for y, x in places.values())


def test_there_is_no_plot_of_fewer_than_three_points_nor_of_trainings_of_one_mean():
    two = [point("cfg1", 0.1, 0.1), point("cfg2", 0.1, 0.2)]
    assert drawn() == drawn(*two) == drawn(*two, point("cfg2-seed1", 0.1, 0.2, training=True)) == []


@pytest.mark.parametrize("unicode", [False, True])
@pytest.mark.parametrize("count", [3, 10, 11, 60])
def test_it_is_at_most_12_lines_of_78_columns_whatever_is_drawn(count, unicode):
    names = [HOSTILE + str(n) for n in range(count)]
    found = [
        point(
            name, 0.8 - n / 40, n / 60 - 0.2, dominated_by=names[:n], chosen=n == 2, configuration="all", scale=str(n)
        )
        for n, name in enumerate(names)
    ]
    lines = frontier_text(found, SPIDER, MMLU, 0.123456, unicode=unicode)
    assert len(lines) == 12
    assert max(map(len, lines)) <= 78
    assert all(line.isprintable() for line in lines)
    assert "".join(lines).isascii() is not unicode
    assert ("more, in the report" in lines[-1]) == (count > 10)


def test_the_chosen_point_is_named_however_many_there_are():
    found = [point(f"cfg{n}", n / 100, n / 200, chosen=n == 3) for n in range(30)]
    assert [line[41:] for line in drawn(*found) if line.endswith("*")] == ["a cfg3             +3.0   -1.5 *"]


def test_a_point_that_gains_and_loses_nothing_has_its_place():
    lines = drawn(*(point(f"cfg{n}", 0.0, 0.0) for n in range(3)))
    assert len(lines) == 12 and "-0.0" not in "".join(lines)


def test_the_terminal_and_the_step_summary_show_it_from_three_adapters_on(made_up_study):
    summary, rows = made_up_study(SPIDER_RIGHT, MMLU_RIGHT)
    printed = [line.text for line in summary_lines(summary, rows, BUILT_IN)]
    assert [line for line in printed if line.startswith(HEADING)] and all(line.isascii() for line in printed)
    assert "\u2502" in step_summary(summary, rows, BUILT_IN)
    two = [{slug: side[slug] for slug in ("base", "cfg1", "cfg2")} for side in (SPIDER_RIGHT, MMLU_RIGHT)]
    summary, rows = made_up_study(*two)
    assert HEADING not in step_summary(summary, rows, BUILT_IN)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
def test_a_terminal_that_does_not_take_unicode_gets_ascii(
    encoding, made_up_study, made_up_manifest, pytestconfig, tmp_path
):
    summary, rows = made_up_study(SPIDER_RIGHT, MMLU_RIGHT)
    manifest = made_up_manifest(summary.adapters)
    write_rows(tmp_path / SCORES, rows, BUILT_IN)
    write_json(tmp_path / SUMMARY, summary.model_dump(mode="json"))
    write_json(tmp_path / MANIFEST, manifest.model_dump(mode="json"))
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--report-from={tmp_path}"]
    own = os.environ | {"PYTHONIOENCODING": encoding}
    ended = subprocess.run(command, cwd=pytestconfig.rootpath, env=own, capture_output=True, timeout=120)
    printed = ended.stdout.decode(encoding)
    assert ended.returncode == 0, printed + ended.stderr.decode(encoding)
    plot = printed.split(HEADING)[1][:900]
    assert ("\u2502" in plot) == (encoding == "utf-8")
    assert ("      |" in plot) == (encoding != "utf-8")
    assert "\\u" not in printed
