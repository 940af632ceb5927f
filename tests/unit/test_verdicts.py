"""What a verdict says and does not say: of little data, of more of it, of several seeds."""

import random

import pytest

from custom_metrics.statistics import Few, Finding
from fixtures.questions.mmlu.suite import MMLU
from fixtures.questions.plugin import BUILT_IN
from fixtures.questions.spider.suite import SPIDER
from fixtures.report.candidates import Ruling, candidates, recommend
from fixtures.report.sentences import candidate_sentences
from fixtures.report.verdicts import enough, verdict
from fixtures.results.summary import summarise
from fixtures.results.types import Summary

MARGIN = 0.05


@pytest.fixture
def mmlu(made_up_study):
    """``mmlu(right, n)``: the summary of adapters' right answers to n MMLU questions."""
    return lambda right, n=150: made_up_study({}, right, {"spider": 200, "mmlu": n})[0]


def test_a_loss_inside_the_margin_is_not_worse_with_more_data(mmlu):
    """The same two points, first of 150 questions, in the end of 9,600."""
    found = []
    for n in (150, 600, 2400, 9600):
        base, lost, won = 120 * n // 150, 8 * n // 150, 5 * n // 150
        summary = mmlu({"base": range(base), "cfg1": [*range(base - lost), *range(base, base + won)]}, n)
        change = summary.change("mmlu", "cfg1")
        assert change.difference == -0.02
        found.append(change.verdict)
    assert found[0] is Finding.UNDECIDED and found[-1] is Finding.EQUIVALENT
    assert not any(one.loses for one in found)
    assert change.high < 0  # so that 0 is excluded, and the margin decides all the same


def test_as_many_more_questions_as_are_said_to_be_enough_decide(mmlu):
    base = {"base": range(120), "cfg1": [*range(108), *range(120, 130)]}
    change = mmlu(base).change("mmlu", "cfg1")
    assert change.verdict is Finding.UNDECIDED
    times = -(-change.questions_enough // 150)
    more = {slug: [n + 150 * t for t in range(times) for n in right] for slug, right in base.items()}
    assert mmlu(more, 150 * times).change("mmlu", "cfg1").verdict is not Finding.UNDECIDED


def test_seeds_that_are_alike_say_what_one_says(mmlu):
    right = [*range(100), *range(120, 126)]
    one = mmlu({"base": range(120), "cfg1": right}).change("mmlu", "cfg1")
    for seeds in (2, 3, 7):
        trained = {f"cfg1-seed{n}": right for n in range(seeds)}
        mean = mmlu({"base": range(120), **trained}).decided("mmlu", "cfg1")
        assert (mean.seeds, mean.verdict) == (seeds, one.verdict)
        assert (mean.low, mean.high) == pytest.approx((one.low, one.high))


def test_more_seeds_never_make_a_verdict_harsher(mmlu):
    """Seeds that lost nothing in the mean are never worse, however many there are and whatever one of them lost."""
    drawn = random.Random(4)
    alone = 0
    for seeds in (2, 3, 5, 8) * 3:
        moved = [drawn.randint(-40, 40) for _ in range(seeds)]
        moved = moved if sum(moved) >= 0 else [-change for change in moved]
        trained = {f"cfg1-seed{n}": range(100 + change) for n, change in enumerate(moved)}
        mean = mmlu({"base": range(100), **trained}).decided("mmlu", "cfg1")
        assert mean.difference >= 0 and not mean.verdict.loses
        worst = min(trained.items(), key=lambda item: len(item[1]))
        alone += mmlu({"base": range(100), worst[0]: worst[1]}).change("mmlu", worst[0]).verdict.loses
    assert alone > 6


def test_a_seed_that_did_better_takes_nothing_from_a_verdict(mmlu):
    """Adding a training with the mean of the others leaves what is excluded excluded, and a better one too."""
    two = {f"cfg1-seed{n}": [*range(118), *range(120, 120 + n)] for n in (1, 2)}
    three = two | {"cfg1-seed3": [*range(119), 121]}
    before, after = (mmlu({"base": range(120), **trained}).decided("mmlu", "cfg1") for trained in (two, three))
    assert before.verdict.keeps and after.verdict.keeps and after.lower >= before.lower


def one_database(rows):
    return [row.model_copy(update={"db_id": "tiny"}) if row.suite == "spider" else row for row in rows]


@pytest.mark.parametrize(
    ("suite", "right", "questions", "change", "said"),
    [
        pytest.param(SPIDER, (range(5), range(25)), 29, None, "29 questions: nothing is shown with fewer than 30"),
        pytest.param(MMLU, (range(25), range(5)), 29, None, "29 questions: nothing is shown with fewer than 30"),
        pytest.param(SPIDER, (range(50), range(150)), 200, one_database, "one database only: nothing is shown of"),
        pytest.param(MMLU, (range(80), range(77)), 150, None, "fewer than 5 answers changed: no difference is shown"),
        pytest.param(MMLU, ((), range(150)), 150, None, "all answers changed alike: no difference is shown"),
        pytest.param(MMLU, (range(150), ()), 150, None, "all answers changed alike: no difference is shown"),
        pytest.param(SPIDER, (range(200), ()), 200, None, "each database changed by the same: no difference is shown"),
        pytest.param(MMLU, (range(150), range(150)), 150, None, "fewer than 5 answers changed: no difference is shown"),
        pytest.param(SPIDER, ((), ()), 200, None, "fewer than 5 answers changed: no difference is shown"),
    ],
)
def test_too_little_ends_in_words_and_not_in_claims(
    made_up_study, made_up_manifest, suite, right, questions, change, said
):
    both = {"spider": {}, "mmlu": {}} | {suite.name: dict(zip(("base", "cfg1"), right, strict=True))}
    totals = {"spider": 200, "mmlu": 150} | {suite.name: questions}
    summary, rows = made_up_study(both["spider"], both["mmlu"], totals)
    if change:
        sets = made_up_manifest(["base", "cfg1"]).score_sets
        summary = Summary(experiment="one", **summarise(change(rows), BUILT_IN, sets, totals, MARGIN))
    found = summary.change(suite.name, "cfg1")
    assert not found.verdict.gains and not found.verdict.loses
    assert said in verdict(found, suite, MARGIN) and said in candidate_sentences(summary, BUILT_IN)[0][1]
    assert found.low < found.difference < found.high or found.difference in (-1, 1)
    assert 0 < found.p <= 1
    for entry in summary.overall(suite.name):
        assert 0 <= entry.low <= entry.accuracy <= entry.high <= 1 and entry.low < entry.high


def test_a_change_that_only_few_questions_leave_open_is_not_said_to_take_thousands(made_up_study):
    """16 of 20 answers gained: "about 8,447 questions on 423 databases would decide it" stood there."""
    for right, clear in ((range(16), True), (range(1), False)):
        summary, _ = made_up_study({"base": (), "cfg1": right}, {}, {"spider": 20, "mmlu": 150})
        change = summary.change("spider", "cfg1")
        assert (change.few is Few.QUESTIONS) and (change.low > 0) is clear
        assert (enough(change, SPIDER) == "") is clear


@pytest.mark.parametrize(("margin", "said"), [(0.01, "1 point"), (0.02, "2 points"), (0.015, "1.5 points")])
def test_a_margin_of_one_is_a_point(mmlu, margin, said):
    change = mmlu({"base": range(120), "cfg1": range(60)}).change("mmlu", "cfg1")
    assert verdict(change, MMLU, margin).startswith(f"worse by more than the margin of {said}")
    assert "points points" not in verdict(change, MMLU, margin)


def test_one_loss_that_is_undecided_leaves_the_choice_to_the_reader(made_up_study):
    spider = {"base": range(40), "cfg1": range(100), "cfg2": range(160)}
    mmlu = {"base": range(100), "cfg1": [*range(92), *range(120, 127)], "cfg2": range(60)}
    found = recommend(candidates(made_up_study(spider, mmlu)[0], BUILT_IN), BUILT_IN)
    assert (found.ruling, found.taken.name, found.among) == (Ruling.IF_ACCEPTED, "cfg1", 2)
    assert [one.name for one in found.gained] == ["cfg2", "cfg1"]
