"""The judging stands alone: what it may import."""

import subprocess
import sys

import pytest

# Runs before the code under test: whoever imports one of these names gets an ImportError.
BLOCKER = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ImportError(f"{{name}} is blocked")

sys.meta_path.insert(0, Blocker())
"""
BLOCKED = ("pytest", "_pytest", "torch", "transformers", "peft", "deepeval", "fixtures", "trainer", "tests")
IMPORT_ALL = """
import importlib, pkgutil

package = importlib.import_module({package!r})
modules = [module.name for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".")]
for name in modules:
    if name != "custom_metrics.execution_accuracy":
        importlib.import_module(name)
print(*modules)
print(*sorted(name for name in sys.modules if name.count(".") == 1 and name.startswith("custom_metrics.")))
"""


@pytest.fixture
def run_alone(pytestconfig, tmp_path):
    """``run_alone(code, blocked)`` runs Python code in a process and a folder of its own; returns what it printed."""

    def run(code: str, blocked: tuple[str, ...] = BLOCKED) -> str:
        path = f"import sys; sys.path.insert(0, {str(pytestconfig.rootpath)!r})\n"
        command = [sys.executable, "-c", path + BLOCKER.format(blocked=blocked) + code]
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    return run


def test_every_module_but_the_deepeval_metric_imports_without_the_rest(run_alone, pytestconfig):
    modules, _ = run_alone(IMPORT_ALL.format(package="custom_metrics")).splitlines()
    files = list((pytestconfig.rootpath / "custom_metrics").rglob("*.py"))
    assert len(modules.split()) == len(files) - 1, "the package itself is not among its modules"


def test_the_blocker_blocks(run_alone):
    """The DeepEval metric is the one module that it stops."""
    with pytest.raises(AssertionError, match="deepeval is blocked"):
        run_alone("import custom_metrics.execution_accuracy")


@pytest.mark.parametrize(("room", "needs"), [("sql", []), ("errors", ["sql"]), ("statistics", [])])
def test_a_room_needs_no_other_room_than_it_says(run_alone, room, needs):
    _, loaded = run_alone(IMPORT_ALL.format(package=f"custom_metrics.{room}")).splitlines()
    assert loaded.split() == sorted(f"custom_metrics.{name}" for name in (room, *needs))
