import pytest
from _pytest.config import _prepareconfig

from fixtures.questions.mmlu_generated.suite import MMLU_GENERATED
from fixtures.study.selection import command_of, evaluations_wanted
from fixtures.study.tasks import spread


@pytest.fixture
def config_of(pytestconfig):
    """``config_of(*arguments)`` is pytest's configuration for that command line, nothing configured or collected."""
    made = []

    def make(*arguments):
        made.append(_prepareconfig([f"--rootdir={pytestconfig.rootpath}", *arguments]))
        return made[-1]

    yield make
    for config in made:
        config._ensure_unconfigure()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["tests"],
        ["tests/unit"],
        ["tests/unit/test_gates.py"],
        ["-v", "--max-samples=3"],
        ["-x"],
        ["tests/unit", "-k", "gate"],
    ],
)
def test_plain_commands_leave_the_evaluations_out(arguments, config_of):
    assert not evaluations_wanted(config_of(*arguments))


@pytest.mark.parametrize(
    "arguments",
    [
        ["-m", "spider"],
        ["-m", "spider or mmlu"],
        ["-k", "extra and cfg1"],
        ["--lf"],
        ["--adapter=cfg1"],
        ["tests/test_spider.py"],
        ["tests/test_mmlu.py::test_mmlu[base-stem-astronomy-0001]"],
    ],
    ids=" ".join,
)
def test_asking_for_an_evaluation_brings_it_in(arguments, config_of):
    assert evaluations_wanted(config_of(*arguments))


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["-m", "spider or mmlu"], False),
        (["-m", "not spider"], False),
        (["--adapter=cfg1"], False),
        (["tests/test_mmlu.py"], False),
        (["-k", "philosophy"], False),
        (["-m", "mmlu_generated"], True),
        (["-m", "mmlu or mmlu_generated"], True),
        (["-m", "not mmlu_generated"], False),
        (["-k", "mmlu_generated and cfg1"], True),
        (["tests/test_mmlu_generated.py::test_mmlu_generated[base-stem-astronomy-0001]"], True),
        (["--lf"], True),
        (["--lf", "--choosing", "--dial=cfg1"], False),
    ],
    ids=str,
)
def test_what_stands_beside_an_evaluation_waits_to_be_named(arguments, asked, config_of):
    """It would make every run dearer, and decides nothing."""
    assert command_of(config_of(*arguments)).asks_for(MMLU_GENERATED) is asked


def test_an_expression_that_matches_what_stands_beside_alone_runs_no_evaluation(config_of):
    assert not evaluations_wanted(config_of("-m", "not spider and not mmlu", "--adapter=cfg1"))


@pytest.mark.parametrize(
    ("expression", "only"),
    [("spider", True), ("spider or mmlu", True), ("slow", False), ("not slow", False), ("", False)],
)
def test_the_suites_own_tests_are_imported_only_where_the_expression_can_match_them(expression, only, config_of):
    assert command_of(config_of(*(["-m", expression] if expression else []))).reaches_nothing_else() is only


def test_spread_keeps_order_and_reaches_the_whole_list():
    assert spread(list(range(100)), 4) == [0, 25, 50, 75]
    assert spread([1, 2], 5) == [1, 2]
    assert spread([1, 2], None) == [1, 2]
