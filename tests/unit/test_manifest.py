import shlex

import pytest

from fixtures.study.plugin import command_line


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ("", "pytest -m 'spider or mmlu'"),
        ("  ", "pytest -m 'spider or mmlu'"),
        ("--shots=0 -k 'a or b'", "PYTEST_ADDOPTS='--shots=0 -k '\"'\"'a or b'\"'\"'' pytest -m 'spider or mmlu'"),
    ],
)
def test_the_command_holds_what_the_environment_added_to_it(options, line):
    """``--shots`` from PYTEST_ADDOPTS changes every answer; a manifest without it would name another run."""
    assert command_line(["-m", "spider or mmlu"], options) == line
    assert shlex.split(line)[-2:] == ["-m", "spider or mmlu"]
