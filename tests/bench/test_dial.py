"""What a dial costs: five points of one adapter against one of them, and against five without drafts.

They are timed in turn, several times, since a machine is rarely alone; the least of each is printed: seconds of the
whole command, of processor time in it, and those in which answers are waited for.
"""

import os
import shutil
import sys

import pytest

from tests.bench.test_seconds_around import OWN, REPEATS, evaluation, timed  # noqa: F401 a fixture

pytestmark = pytest.mark.bench

POINTS = ("cfg1*0", "cfg1*0.25", "cfg1*0.5", "cfg1*0.75", "cfg1")
UNDRAFTED = """
def pytest_fixture_setup(fixturedef, request):
    if fixturedef.argname == "engine":
        from fixtures.engines.transformers_engine import TransformersEngine

        TransformersEngine._drafted = lambda *_: {}
"""


def test_five_points_against_one(timed, tmp_path, capsys):  # noqa: F811
    """Spider and MMLU of the miniature, nothing answered before; the adapter is trained already."""
    spent, trained = tmp_path / "spent", tmp_path / "trained"
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "undrafted.py").write_text(UNDRAFTED)
    timed([sys.executable, "-m", "trainer", "cfg1", f"--results={trained}"])
    both = ("-p", "own", "-m", "spider or mmlu")
    commands = {
        "one point": evaluation(*both, "--adapter=cfg1"),
        "five": evaluation(*both, f"--adapter={','.join(POINTS)}"),
        "five, undrafted": evaluation(*both, "-p", "undrafted", f"--adapter={','.join(POINTS)}"),
    }
    found = {name: [] for name in commands}
    for _ in range(REPEATS):
        for name, command in commands.items():
            results = shutil.copytree(trained, tmp_path / "results")
            before = processor_time()
            whole = timed([*command, f"--results={results}"], SPENT=str(spent))
            found[name].append((whole, processor_time() - before, float(spent.read_text())))
            shutil.rmtree(results)
    least = {name: tuple(map(min, zip(*times, strict=True))) for name, times in found.items()}
    with capsys.disabled():
        for name, times in least.items():
            shown = zip(("whole", "processor", "answering"), times, least["one point"], strict=True)
            parts = (f"{what} {own:.1f} s, {own / one:.2f} times one" for what, own, one in shown)
            print(f"\n{name:16}{'; '.join(parts)}", end="")
        print()


def processor_time() -> float:
    """Seconds of all processes that this one has started and that have ended."""
    used = os.times()
    return used.children_user + used.children_system
