"""The summary of made-up rows, and the terminal's section made from it."""

import re
from itertools import zip_longest

import pytest

from custom_metrics.statistics import Finding
from fixtures.questions.mmlu.row import MmluRow
from fixtures.questions.plugin import BUILT_IN
from fixtures.questions.spider.row import SpiderRow
from fixtures.report.summary_lines import summary_lines
from fixtures.results.gates import Exit
from fixtures.results.score_sets import ScoreSet
from fixtures.results.summary import summarise
from fixtures.results.types import Summary

QUESTIONS = {"spider": 40, "mmlu": 30}
HARDNESS = ("easy", "medium", "hard", "extra")
CATEGORIES = ("stem", "humanities", "social_sciences")


def spider_rows(adapter, right, *, official=(), without_sql=()):
    """Forty questions on four databases; ``right``, ``official`` and ``without_sql`` are sets of numbers."""
    return [
        SpiderRow(
            suite="spider",
            adapter=adapter,
            question=f"db{n % 4}-{n:04d}",
            index=n,
            db_id=f"db{n % 4}",
            hardness=HARDNESS[n % 4],
            question_text="How many?",
            gold_sql="SELECT 2",
            reply="SELECT 1",
            predicted_sql=None if n in without_sql else "SELECT 1",
            assignment=int(n in right),
            official=int(n in right or n in official),
            bird=int(n in right),
            reason="same result" if n in right else "rows: 2, gold has 1",
            error_class=None if n in right else "no SQL" if n in without_sql else "wrong filter",
            status="scored",
        )
        for n in range(QUESTIONS["spider"])
    ]


def mmlu_rows(adapter, right, *, letter_mass=0.9):
    return [
        MmluRow(
            suite="mmlu",
            adapter=adapter,
            question=f"{CATEGORIES[n % 3]}-{n:04d}",
            subject=CATEGORIES[n % 3],
            category=CATEGORIES[n % 3],
            question_text="Which?",
            choices=("a", "b", "c", "d"),
            gold="A",
            scoring="letter",
            chosen="A" if n in right else "B",
            correct=int(n in right),
            log_likelihoods=(-1.0, -2.0, -3.0, -4.0),
            generated=" A" if n in right else " So",
            letter_mass=letter_mass,
            status="scored",
        )
        for n in range(QUESTIONS["mmlu"])
    ]


def score_set(row, recipe=""):
    name, _, seed = row.adapter.partition("-seed")
    hashes = {"settings": "s", "judged": "j", "base": "b", "weights": "w", "recipe": recipe}
    seed = None if name == "base" else int(seed or 42)
    return ScoreSet(suite=row.suite, adapter=row.adapter, **hashes, configuration=name, seed=seed)


def summary_of(*parts, recipes=()):
    rows = [row for part in parts for row in part]
    sets = [score_set(part[0], recipe) for part, recipe in zip_longest(parts, recipes, fillvalue="")]
    measured = summarise(rows, BUILT_IN, sets, QUESTIONS, margin=0.05)
    return Summary(experiment="tiny", **measured, selected=len(rows), exit=Exit(status=0, selected=len(rows))), rows


def lines_of(summary, rows):
    return [line.text for line in summary_lines(summary, rows, BUILT_IN)]


def text_of(summary, rows):
    return " ".join(" ".join(lines_of(summary, rows)).split())


@pytest.fixture
def gain_and_loss():
    return summary_of(
        spider_rows("base", set(range(10)), without_sql=set(range(20, 40))),
        spider_rows("cfg1", set(range(2, 30)), official={35, 36}),
        spider_rows("cfg2", set(range(4, 40))),
        mmlu_rows("base", set(range(24))),
        mmlu_rows("cfg1", set(range(24))),
        mmlu_rows("cfg2", set(range(12)), letter_mass=0.4),
    )


def test_accuracies_are_counted_over_the_suite_and_its_groups(gain_and_loss):
    summary, _ = gain_and_loss
    whole = summary.accuracy("spider", "cfg1")
    assert (whole.correct, whole.n, whole.conventions["official"], whole.complete) == (28, 40, 0.75, True)
    easy = summary.accuracy("spider", "cfg1", "easy")
    # One database: how much databases differ is not known.
    assert (easy.correct, easy.n, easy.standard_error) == (7, 10, None)


def test_every_adapter_is_compared_with_the_base_and_configurations_with_one_another(gain_and_loss):
    summary, _ = gain_and_loss
    pairs = {(c.suite, c.against, c.adapter) for c in summary.comparisons if c.group == "all"}
    assert pairs == {
        (s, a, b) for s in ("spider", "mmlu") for a, b in (("base", "cfg1"), ("base", "cfg2"), ("cfg1", "cfg2"))
    }
    loss = summary.change("mmlu", "cfg2")
    assert (loss.gained, loss.lost, loss.percentage_change) == (0, 12, -50.0)
    assert (loss.verdict, loss.family, loss.clusters) == (Finding.WORSE_THAN_MARGIN, 2, 3)
    between = summary.change("mmlu", "cfg2", against="cfg1")
    assert between.difference == pytest.approx(-0.4)


def test_a_gain_is_split_into_format_and_skill(gain_and_loss):
    summary, _ = gain_and_loss
    spider, mmlu = (split.counts for split in summary.splits if split.adapter == "cfg2")
    assert spider == {
        "extractable_base": 20,
        "extractable_tuned": 40,
        "gained_format": 20,
        "gained_skill": 10,
        "lost_format": 0,
        "lost_skill": 4,
    }
    assert (mmlu["letter_mass_base"], mmlu["letter_mass_tuned"]) == pytest.approx((0.9, 0.4))
    assert (mmlu["letters_tuned"], mmlu["generated_tuned"]) == (12, 12)


def test_flips_disagreements_and_errors_are_listed(gain_and_loss):
    summary, _ = gain_and_loss
    changes = [(f.adapter, f.question, f.change) for f in summary.flips if f.suite == "spider"]
    assert ("cfg1", "db0-0000", "lost") in changes and ("cfg1", "db0-0012", "gained") in changes
    assert [(d.adapter, d.question) for d in summary.disagreements] == [
        ("cfg1", "db3-0035"),
        ("cfg1", "db0-0036"),
    ]
    assert ("base", "no SQL", 20) in [(e.adapter, e.error_class, e.count) for e in summary.errors]


def test_subjects_are_counted(gain_and_loss):
    summary, _ = gain_and_loss
    counted = {(entry.adapter, entry.cluster): (entry.correct, entry.n) for entry in summary.clusters}
    assert counted["cfg2", "humanities"] == (4, 10)


def test_an_incomplete_set_is_shown_and_not_compared():
    summary, _ = summary_of(spider_rows("base", {1}), spider_rows("cfg1", {1, 2})[:39])
    assert not summary.accuracy("spider", "cfg1").complete
    assert summary.comparisons == [] and summary.flips == []


def test_without_a_base_configurations_are_still_compared():
    summary, _ = summary_of(spider_rows("cfg1", {1}), spider_rows("cfg2", {1, 2}))
    assert [(c.against, c.adapter) for c in summary.comparisons if c.group == "all"] == [("cfg1", "cfg2")]
    assert summary.seeds[0].mean_change is None


def test_means_over_seeds():
    seeds = [spider_rows(f"cfg1-seed{seed}", set(range(20 + seed))) for seed in (1, 2, 3)]
    summary, rows = summary_of(spider_rows("base", set(range(10))), *seeds)
    (spread,) = summary.seeds
    assert (spread.configuration, spread.seeds, spread.mean) == ("cfg1", 3, pytest.approx(0.55))
    assert (spread.mean_change, spread.change_deviation) == pytest.approx((0.3, 0.025))
    mean = summary.decided("spider", "cfg1")
    assert (mean.seeds, mean.difference, mean.gained, mean.verdict.gains) == (3, pytest.approx(0.3), 12, True)
    assert {c.verdict for c in summary.changes("spider") if c.seeds == 1} == {None}
    said = "cfg1: SQL +30.0 points, 55.0% right instead of 25.0% (95% interval +24.8 to +35.2; 40 questions on 4"
    said += " databases; mean of 3 trainings, standard deviation 2.5 points), better by more than the margin of 5"
    assert said in text_of(summary, rows)


def test_what_was_trained_or_asked_otherwise_is_not_averaged():
    parts = [spider_rows("cfg1-seed1", set(range(32))), spider_rows("cfg1-seed2", set(range(16)))]
    summary, _ = summary_of(*parts, recipes=("rank 8", "rank 16"))
    assert [(spread.adapters, spread.mean) for spread in summary.seeds] == [
        (["cfg1-seed1"], 0.8),
        (["cfg1-seed2"], 0.4),
    ]


def test_every_verdict_is_told_when_the_suites_have_different_seeds():
    spider = [spider_rows(f"cfg1{seed}", set(range(26))) for seed in ("", "-seed7")]
    mmlu = [mmlu_rows("base", set(range(24))), mmlu_rows("cfg1", set(range(12)))]
    summary, rows = summary_of(spider_rows("base", set(range(10))), *spider, *mmlu)
    text = text_of(summary, rows)
    assert "mean of 2 trainings, standard deviation 0.0 points), undecided" in text
    assert "30 questions within 3 fixed subjects; one training), worse by more than the margin of 5 points." in text


def test_seeds_of_one_configuration_are_no_configurations_to_compare():
    summary, _ = summary_of(
        spider_rows("cfg1-seed1", {1}), spider_rows("cfg1-seed2", {2}), spider_rows("cfg2-seed2", {3})
    )
    assert [(c.against, c.adapter, c.seeds) for c in summary.comparisons] == [("cfg1", "cfg2-seed2", 2)]


@pytest.mark.parametrize(("seeds", "pairs"), [((2, 3, 4), 2), ((3, 5, 6), 3), ((9,), 3), ((4, 5), 2)])
def test_no_training_is_in_two_pairs_of_configurations(seeds, pairs):
    """Seeds that both have are paired, others in their order: pairs that share a training would not be independent."""
    one = [spider_rows(f"cfg1-seed{seed}", {seed}) for seed in (1, 2, 3)]
    two = [spider_rows(f"cfg2-seed{seed}", {seed, 9}) for seed in seeds]
    (found,) = summary_of(*one, *two)[0].comparisons
    assert (found.adapter, found.seeds) == ("cfg2" if len(seeds) > 1 else "cfg2-seed9", pairs)


def test_the_section_is_short_and_narrow(gain_and_loss):
    summary, rows = gain_and_loss
    lines = lines_of(summary, rows)
    assert len(lines) <= 36  # and one that names the files
    verdict = next(place for place, line in enumerate(lines) if line.startswith("Take cfg1"))
    assert verdict < min(place for place, line in enumerate(lines) if line.startswith("Spider dev"))
    assert "10 of the 20 answers gained are format" in text_of(summary, rows)
    assert max(map(len, lines)) <= 80
    assert "  right by the official evaluator's rules: 10, 30, 36; by BIRD's: 10, 28, 36" in lines
    text = text_of(summary, rows)
    assert "cfg2: SQL +65.0 points, 90.0% right instead of 25.0% (95% interval" in text
    assert "one training), worse by more than the margin of 5 points." in text


def test_many_candidates_leave_the_screen_to_those_that_tell_most(made_up_study):
    """The one that is taken and those that gained most have a sentence; the others are in the tables and the report."""
    right = {"base": range(60)} | {f"cfg{n}": range(100 + 10 * n) for n in range(1, 7)}
    summary, rows = made_up_study(right, {slug: range(110) for slug in right})
    lines = lines_of(summary, rows)
    told = [line.partition(":")[0] for line in lines if re.match(r"cfg\d: ", line)]
    assert told == ["cfg4", "cfg5", "cfg6"] and "3 more in the tables; the report has a sentence for each" in lines
    assert text_of(summary, rows).index("Take cfg6") < text_of(summary, rows).index("cfg4: SQL")
    # With the plot of all points a screen of a laptop: 80 columns by 60 lines.
    assert len(lines) <= 60
