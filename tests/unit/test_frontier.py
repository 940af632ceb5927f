"""Gain against loss: which points there are, which dominate others, which a line joins."""

import json

import pytest

from fixtures.adapters.chosen import Choice, Rule
from fixtures.questions.plugin import BUILT_IN
from fixtures.report.dominated import dominated
from fixtures.report.sentences import recommendation
from fixtures.results.frontier import dials, frontier
from fixtures.results.points import FrontierPoint
from fixtures.results.types import Summary

# The aggressive cfg2 gains least and loses most; half of it is better on both sides, and cfg1 dominates both.
SPIDER = {
    "base": range(50),
    "cfg1": range(150),
    "cfg2-x0.5": range(10, 110),
    "cfg2": range(20, 90),
    "cfg2-x0.25": range(5, 95),
}
MMLU = {
    "base": range(120),
    "cfg1": range(119),
    "cfg2-x0.5": range(100),
    "cfg2": range(30),
    "cfg2-x0.25": range(115),
}


@pytest.fixture(scope="module")
def summary(made_up_study):
    return made_up_study(SPIDER, MMLU)[0]


def by_name(summary: Summary) -> dict[str, FrontierPoint]:
    return {point.adapter: point for point in summary.trade_off("spider", "mmlu")}


def point(adapter: str, scale: str = "", *, configuration: str = "", **fields) -> FrontierPoint:
    ends = dict.fromkeys(("gain", "gain_low", "gain_high", "loss", "loss_low", "loss_high"), 0.0)
    own = {"gain_on": "spider", "cost_on": "mmlu", "adapter": adapter, "configuration": configuration or adapter}
    return FrontierPoint(**own, scale=scale, **ends | fields)


def test_every_candidate_is_a_point_with_the_numbers_of_its_changes(summary):
    found = by_name(summary)
    assert list(found) == ["cfg1", "cfg2-x0.5", "cfg2", "cfg2-x0.25"]
    for slug, one in found.items():
        gained, lost = summary.change("spider", slug), summary.change("mmlu", slug)
        assert (one.gain, one.gain_low, one.gain_high) == (gained.difference, gained.low, gained.high)
        assert (one.loss, one.loss_low, one.loss_high) == (-lost.difference, -lost.high, -lost.low)
    assert [(one.configuration, one.scale) for one in found.values()] == [
        ("cfg1", "1"),
        ("cfg2", "0.5"),
        ("cfg2", "1"),
        ("cfg2", "0.25"),
    ]


def test_a_point_is_dominated_by_what_gains_as_much_and_loses_as_little_and_not_by_itself(summary):
    found = by_name(summary)
    assert {name: one.dominated_by for name, one in found.items()} == {
        "cfg1": [],
        "cfg2-x0.5": ["cfg1"],
        "cfg2": ["cfg1", "cfg2-x0.5", "cfg2-x0.25"],
        "cfg2-x0.25": ["cfg1"],
    }
    # That the numbers say so does not mean that the intervals do: these two differ by four answers of 150.
    assert found["cfg2-x0.25"].shown_by == []
    assert "cfg1" in found["cfg2"].shown_by


def test_what_is_shown_is_shown_by_comparing_the_two_on_both_suites(summary):
    for one in by_name(summary).values():
        for name in one.dominated_by:
            pairs = [
                (summary.decided(suite.name, name, one.adapter), summary.decided(suite.name, one.adapter, name))
                for suite in BUILT_IN
            ]
            better = [
                ahead.low > 0 and not ahead.few if ahead else back.high < 0 and not back.few for ahead, back in pairs
            ]
            assert (name in one.shown_by) == all(better)


def test_points_that_are_alike_dominate_neither_one_another_nor_the_base(made_up_study):
    right = range(50), range(120)
    found = by_name(made_up_study(*(dict.fromkeys(("base", "cfg1", "cfg2"), own) for own in right))[0])
    assert [one.dominated_by for one in found.values()] == [[], []]


def test_the_base_dominates_what_gained_nothing_and_lost(made_up_study):
    found = by_name(made_up_study({"base": range(100), "cfg1": range(60)}, {"base": range(120), "cfg1": range(60)})[0])
    assert found["cfg1"].dominated_by == ["base"] == found["cfg1"].shown_by


def test_the_mean_of_several_trainings_is_the_point_and_its_trainings_decide_nothing(made_up_study):
    seeds = {f"cfg1-seed{n}": range(n, 140 + 5 * n) for n in (1, 2, 3)}
    spider = {"base": range(50), **seeds, "cfg2": range(100)}
    mmlu = {"base": range(120), **{slug: range(118) for slug in seeds}, "cfg2": range(100)}
    found = by_name(made_up_study(spider, mmlu)[0])
    assert [name for name, one in found.items() if one.training] == list(seeds)
    assert (found["cfg1"].configuration, found["cfg1"].scale, found["cfg1"].training) == ("cfg1", "1", False)
    assert found["cfg2"].dominated_by == ["cfg1"]
    assert not any(one.dominated_by for one in found.values() if one.training)


def test_a_scale_of_several_seeds_is_on_the_dial_of_its_configuration(made_up_study):
    slugs = [f"cfg1-seed{n}{scale}" for scale in ("", "-x0.5") for n in (1, 2)]
    right = [{"base": range(50), **{slug: range(90 + 10 * i) for i, slug in enumerate(slugs)}} for _ in BUILT_IN]
    summary, _ = made_up_study(*right)
    (own,) = dials(summary.trade_off("spider", "mmlu"))
    assert [(one.adapter, one.scale) for one in own] == [("cfg1*0.5", "0.5"), ("cfg1", "1")]


def test_a_scale_of_several_seeds_is_said_to_be_picked_on_what_is_reported(made_up_study):
    slugs = [f"cfg1-seed{n}{scale}" for scale in ("", "-x0.5") for n in (1, 2)]
    right = [{"base": range(50), **{slug: range(90 + 10 * i) for i, slug in enumerate(slugs)}} for _ in BUILT_IN]
    summary, _ = made_up_study(*right)
    said = recommendation(summary, BUILT_IN)[0]
    assert said.startswith("Take cfg1*0.5 (chosen among 2 on the very questions reported, 2 of them scales of cfg1, ")


def test_what_has_one_side_only_is_no_point(made_up_study):
    spider = {"base": range(50), "cfg1": range(90), "cfg2": range(90)}
    assert list(by_name(made_up_study(spider, {"base": range(120), "cfg2": range(99)})[0])) == ["cfg2"]
    assert made_up_study(spider, {})[0].frontier == []


def test_what_was_chosen_on_other_questions_is_marked(summary):
    choice = Choice(
        dial="cfg2", scale="0.5", spec="cfg2*0.5", points=3, rule=Rule.MOST_GAIN, margin=0.05, weights="", on=()
    )
    points = [
        one.model_copy(update={"choice": choice}) if one.adapter == "cfg2-x0.5" else one for one in summary.points
    ]
    found = frontier(summary.comparisons, points, BUILT_IN)
    assert [one.adapter for one in found if one.chosen] == ["cfg2-x0.5"]


def test_a_dial_is_joined_from_the_weakest_scale_to_the_strongest_whatever_the_order_of_its_points():
    scales = ["1", "0.25", "10", "0", "0.5", "2"]
    found = [point(f"cfg1-x{scale}", scale, configuration="cfg1") for scale in scales]
    other = [point("cfg2", "1"), point("recorded")]
    (own,) = dials([*found, *other])
    assert [one.scale for one in own] == ["0", "0.25", "0.5", "1", "2", "10"]


def test_a_part_of_each_layer_is_on_a_line_of_its_own_and_what_grows_with_depth_on_none():
    scales = ["1", "0.5", "1-mlp", "0.5-mlp", "0.25..1", "0.5-attention"]
    found = dials([point(f"cfg1-x{scale}", scale, configuration="cfg1") for scale in scales])
    assert [[one.scale for one in own] for own in found] == [["0.5", "1"], ["0.5-mlp", "1-mlp"]]


def test_the_summary_file_has_the_points(summary):
    read = Summary.model_validate(json.loads(summary.model_dump_json()))
    assert read.frontier == summary.frontier
    assert {"adapter", "configuration", "scale", "dominated_by", "chosen"} <= json.loads(read.model_dump_json())[
        "frontier"
    ][0].keys()


def test_a_sentence_says_who_is_dominated_by_whom_and_whether_that_is_shown(summary):
    (said,) = dominated(summary, BUILT_IN)
    assert said.startswith("By the numbers of SQL and MMLU, dominated are cfg2-x0.5 by cfg1 (")
    assert "; cfg2 by cfg1, cfg2-x0.5 and cfg2-x0.25 (shown)" in said
    assert said.endswith("; cfg2-x0.25 by cfg1 (not shown).")


def test_a_sentence_stays_short_however_many_are_dominated():
    found = [point(f"cfg{n}", gain=n / 100, dominated_by=[f"cfg{m}" for m in range(50)]) for n in range(50)]
    (said,) = dominated(Summary(experiment="many", frontier=found), BUILT_IN)
    assert "42 more (summary.json has all)" in said and len(said) < 700
