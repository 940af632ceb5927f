"""``--plan`` on its command line, before anything is trained."""

import re

import pytest

from fixtures.questions.mmlu.suite import MMLU
from fixtures.questions.spider.suite import SPIDER
from fixtures.study.planning import plan_lines, supposed_by
from tests.processes import run_pytest
from trainer.study.experiment import EXPERIMENTS, load_experiment


def planned(suite=SPIDER, questions=1034, clusters=20, **supposed):
    names = {name.replace("__", "."): value for name, value in supposed.items()}
    return "\n".join(plan_lines(suite, load_experiment("miniature"), questions, clusters, names))


def smallest(text):
    return float(re.search(r"changes from ([\d.]+) points", text)[1])


def test_the_experiments_own_questions_are_planned_with(pytestconfig):
    """No model: the plan is printed and the command is over."""
    found = run_pytest(["--plan"], cwd=pytestconfig.rootpath)
    text = found.stdout
    assert found.returncode == 0 and "passed" not in text
    assert "Spider dev: 200 questions on 10 databases" in text and "MMLU test: 150 questions on 15 subjects" in text
    assert text.count("four times in five") == 4 and "the margin of" in text
    assert max(map(len, text.splitlines())) <= 80


def test_every_scale_of_a_dial_is_a_candidate_and_seeds_are_one(pytestconfig):
    found = run_pytest(["--plan", "--dial=cfg1", "--seeds=3"], cwd=pytestconfig.rootpath)
    assert "5 configurations, 3 trainings" in " ".join(found.stdout.split()), found.stderr


def test_questions_that_something_is_chosen_on_are_planned_with_where_they_are_asked(pytestconfig, tmp_path):
    text = (EXPERIMENTS / "miniature.toml").read_text().replace("per_category = 50", "per_category = 25")
    choosing = "[choosing]\ndatabases = 8\nquestions = 20\nmmlu_questions = 30\n\n[base_model]"
    (tmp_path / "m.toml").write_text(text.replace("[base_model]", choosing))
    found = run_pytest(["--plan", "--choosing", f"--experiment={tmp_path}/m.toml"], cwd=pytestconfig.rootpath)
    assert "Spider training databases held out: 20 questions on 8 databases" in found.stdout, found.stderr
    assert "MMLU questions not reported: 30 questions on" in found.stdout


@pytest.mark.parametrize(
    "given", ["seeds=0", "tests/unit", "chess.seeds=1", "margin=2", "questions=1.5", "speed=3", "seeds"]
)
def test_what_cannot_be_supposed_is_refused(given):
    with pytest.raises(ValueError, match=f"--plan: {re.escape(repr(given))}"):
        supposed_by(given, ["spider", "mmlu"])


def test_what_is_supposed_may_be_of_one_evaluation():
    assert supposed_by(" seeds=3, mmlu.questions=1500 ", ["spider", "mmlu"]) == {"seeds": 3, "mmlu.questions": 1500}


def test_a_path_is_no_plan(pytestconfig):
    """As where somebody writes ``--plan tests/unit``."""
    found = run_pytest(["--plan", "tests/unit"], cwd=pytestconfig.rootpath)
    assert found.returncode == 4
    assert "'tests/unit' is not understood" in found.stderr and "Traceback" not in found.stderr + found.stdout


def test_fewer_changes_more_questions_and_fewer_candidates_show_more():
    usual = smallest(planned())
    assert smallest(planned(discordance=0.05)) < usual > smallest(planned(questions=5000))
    assert smallest(planned(configurations=1)) < usual < smallest(planned(configurations=8))
    assert smallest(planned(spider__design_effect=1.0)) < usual == smallest(planned(mmlu__design_effect=9.0))


def test_what_is_fixed_is_told_from_what_is_drawn():
    assert "150 questions within 3 fixed subjects" in planned(MMLU, 150, 3)
    assert "5,000 questions on 57 subjects" in planned(MMLU, 5000, 57)
    assert "40 questions within 1 fixed database" in planned(SPIDER, 40, 1)


def test_a_margin_is_held_missed_or_out_of_reach():
    assert "these are enough" in planned(margin=0.2)
    needed = int(re.search(r"about ([\d,]+) questions on", planned())[1].replace(",", ""))
    assert "these are enough" in planned(questions=needed + 200)
    assert "it takes more trainings" in planned(seeds=2, seed_deviation=0.05)
