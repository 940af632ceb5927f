"""The figure of gain against loss, as it is drawn; what holds of every figure is in test_figures.py."""

from itertools import combinations
from xml.etree import ElementTree

import pytest
from matplotlib.colors import to_rgba

from fixtures.questions.mmlu.suite import MMLU
from fixtures.questions.plugin import BUILT_IN
from fixtures.questions.spider.suite import SPIDER
from fixtures.report.frontier_figure import frontier_figure
from fixtures.report.label_places import Box, label_places
from fixtures.report.page import report_section
from fixtures.report.svg import to_svg
from fixtures.results.types import Summary

RIGHT = {
    "base": (range(50), range(120)),
    "cfg1": (range(150), range(119)),
    "cfg2-x0.5": (range(10, 110), range(100)),
    "cfg2": (range(20, 90), range(30)),
    "cfg2-x0": (range(1, 51), range(1, 121)),
}


@pytest.fixture(scope="module")
def study(made_up_study):
    return made_up_study(*({slug: sides[place] for slug, sides in RIGHT.items()} for place in (0, 1)))


@pytest.fixture(scope="module")
def summary(study):
    return study[0]


def axes_of(summary: Summary):
    (axes,) = frontier_figure(summary, SPIDER, MMLU).axes
    return axes


def scales_shown(axes) -> list[str]:
    return [text.get_text() for text in axes.texts if text.get_text().replace(".", "").isdigit()]


def test_every_point_has_intervals_on_both_axes(summary):
    drawn = axes_of(summary).containers
    for point, container in zip(summary.frontier, drawn, strict=True):
        (line, *_), (across, along) = container.lines[:1], container.lines[2]
        assert (line.get_xdata()[0], line.get_ydata()[0]) == pytest.approx((-100 * point.loss, 100 * point.gain))
        (one, two), (bottom, top) = across.get_segments()[0], along.get_segments()[0]
        assert (one[0], two[0]) == pytest.approx((-100 * point.loss_high, -100 * point.loss_low))
        assert (bottom[1], top[1]) == pytest.approx((100 * point.gain_low, 100 * point.gain_high))


def test_what_is_dominated_is_faded_and_nothing_else(summary):
    axes = axes_of(summary)
    faded = {
        point.adapter
        for point, container in zip(summary.frontier, axes.containers, strict=True)
        if container.lines[0].get_alpha() < 1
    }
    assert faded == {point.adapter for point in summary.frontier if point.dominated_by} == {"cfg2", "cfg2-x0.5"}
    labels = [text.get_text().strip() for text in axes.figure.legends[0].get_texts()]
    assert labels == ["base", "cfg2 at scales", "cfg1", "margin of 5", "dominated"]


def test_the_margin_is_a_band_beside_no_change(summary):
    (band,) = axes_of(summary).patches
    assert (band.get_x(), band.get_x() + band.get_width()) == (-5, 0)


def test_one_line_joins_a_dial_from_the_weakest_scale_to_the_strongest(summary):
    joined = [line for line in axes_of(summary).lines if len(line.get_xdata()) > 2]
    own = {point.scale: point for point in summary.frontier if point.configuration == "cfg2"}
    (line,) = joined
    assert list(line.get_xdata()) == pytest.approx([-100 * own[scale].loss for scale in ("0", "0.5", "1")])
    assert list(line.get_ydata()) == pytest.approx([100 * own[scale].gain for scale in ("0", "0.5", "1")])


def test_scales_stand_beside_the_points_of_a_line_alone(summary):
    assert scales_shown(axes_of(summary)) == ["0", "0.5", "1"]


def test_the_scales_of_one_adapter_share_their_colour_and_not_their_marker(summary):
    looks = {
        point.adapter: (container.lines[0].get_color(), container.lines[0].get_marker())
        for point, container in zip(summary.frontier, axes_of(summary).containers, strict=True)
    }
    assert len({to_rgba(looks[slug][0]) for slug in ("cfg2", "cfg2-x0.5", "cfg2-x0")}) == 1
    assert len({looks[slug][1] for slug in ("cfg2", "cfg2-x0.5", "cfg2-x0")}) == 3
    assert looks["cfg1"][0] != looks["cfg2"][0]


def test_the_chosen_point_has_a_ring(summary):
    def rings(found):
        return [line for line in axes_of(found).lines if line.get_fillstyle() == "none"]

    assert rings(summary) == []
    points = [one.model_copy(update={"chosen": one.adapter == "cfg2-x0.5"}) for one in summary.frontier]
    chosen = summary.model_copy(update={"frontier": points})
    (ring,), (point,) = rings(chosen), [one for one in points if one.chosen]
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == pytest.approx((-100 * point.loss, 100 * point.gain))
    assert ", dominated by cfg1, chosen." in frontier_figure(chosen, SPIDER, MMLU).get_label()


def test_the_text_alternative_says_what_dominates(summary):
    assert "cfg2-x0.5: SQL +25.0 (" in frontier_figure(summary, SPIDER, MMLU).get_label()
    assert ", dominated by cfg1." in frontier_figure(summary, SPIDER, MMLU).get_label()


def test_there_is_no_figure_without_an_adapter_beside_the_base(made_up_study):
    base = made_up_study({"base": range(50)}, {"base": range(120)})[0]
    assert frontier_figure(base, SPIDER, MMLU) is None
    one = made_up_study({"base": range(50)}, {"base": range(120), "cfg1": range(120)})[0]
    assert frontier_figure(one, SPIDER, MMLU) is None


def test_the_page_has_one_figure_of_gain_against_loss(study, made_up_manifest):
    text = report_section(*study, made_up_manifest(study[0].adapters), BUILT_IN)
    assert text.count("gained against MMLU lost, in points") == 1
    assert "By the numbers of SQL and MMLU, dominated are cfg2-x0.5 by cfg1 (" in text


@pytest.mark.parametrize(
    "name", ["</svg><script>alert(1)</script>", "$\\frac{1}{0}$", "_hidden", "a\x00\x1b[31mb", "x" * 300]
)
def test_a_name_is_drawn_as_text_whatever_is_in_it(name, summary):
    hostile = [
        one.model_copy(
            update={
                "adapter": name if one.adapter == "cfg1" else one.adapter,
                "dominated_by": [name] if one.dominated_by else [],
            }
        )
        for one in summary.frontier
    ]
    accuracies = [
        one.model_copy(update={"adapter": name}) if one.adapter == "cfg1" else one for one in summary.accuracies
    ]
    text = to_svg(
        frontier_figure(summary.model_copy(update={"frontier": hostile, "accuracies": accuracies}), SPIDER, MMLU)
    )
    ElementTree.fromstring(text)
    assert "<script" not in text and "\x1b" not in text


def test_labels_of_points_in_one_place_cover_neither_one_another_nor_the_points():
    points = [(100 + n % 3, 100 + n % 2) for n in range(12)]
    sizes = [(20.0, 6.5)] * len(points)
    inside = Box(0, 0, 200, 200)
    boxes = [
        Box(place.x - 10, place.y - 3.25, place.x + 10, place.y + 3.25) for place in label_places(points, sizes, inside)
    ]
    assert not any(one.overlaps(two) for one, two in combinations(boxes, 2))
    assert all(inside.holds(box) for box in boxes)
    assert not any(box.left < x < box.right and box.bottom < y < box.top for box in boxes for x, y in points)


def test_a_label_that_is_pushed_away_is_led_back_and_one_beside_its_point_is_not():
    near, *others = label_places([(50, 50)] * 12, [(20.0, 6.5)] * 12, Box(0, 0, 200, 200))
    assert not near.far and others[-1].far


def test_a_label_stays_off_the_intervals_where_there_is_room():
    interval = Box(40, 53.0, 200, 60.0)
    (free,) = label_places([(50, 50)], [(20.0, 6.5)], Box(0, 0, 200, 200))
    (place,) = label_places([(50, 50)], [(20.0, 6.5)], Box(0, 0, 200, 200), lines=[interval])
    assert free.y > 50 > place.y


def test_a_label_never_stands_on_another_text():
    (place,) = label_places([(50, 50)], [(20.0, 6.5)], Box(0, 0, 200, 200), texts=[Box(0, 0, 200, 60)])
    assert place.y - 3.25 >= 60


def test_with_many_points_only_the_scales_of_those_that_nothing_dominates_are_written(made_up_study):
    slugs = [f"cfg{n}{scale}" for n in range(1, 6) for scale in ("", "-x0.25", "-x0.5", "-x0.75")]
    spider = {"base": range(50), **{slug: range(60 + 5 * place) for place, slug in enumerate(slugs)}}
    mmlu = {"base": range(120), **{slug: range(60 + place) for place, slug in enumerate(slugs)}}
    assert scales_shown(axes_of(made_up_study(spider, mmlu)[0])) == ["0.75"]


def test_a_label_has_a_place_even_where_there_is_no_room():
    assert len(label_places([(5, 5)] * 3, [(30.0, 6.5)] * 3, Box(0, 0, 10, 10))) == 3
