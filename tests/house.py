"""How the house is built, measured from its own imports: ``python -m tests.house``.

A room is a folder (or a module) directly in ``fixtures/``, and each of the other packages as a whole. An arrow is one
room importing from another; a floor lies above every floor that it imports from.
"""

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("custom_metrics", "trainer", "fixtures")


@dataclass(frozen=True)
class House:
    """Our modules by dotted name, and what each of them imports of the others."""

    root: Path = ROOT

    @cached_property
    def modules(self) -> dict[str, ast.Module]:
        paths = [path for package in PACKAGES for path in sorted((self.root / package).rglob("*.py"))]
        return {self._name(path): ast.parse(path.read_text(encoding="utf-8")) for path in paths}

    def _name(self, path: Path) -> str:
        name = ".".join(path.relative_to(self.root).with_suffix("").parts)
        return name.removesuffix(".__init__")

    @cached_property
    def imports(self) -> dict[str, set[str]]:
        """Imported modules by module, those for type checkers only included."""
        return {name: set(self._imported(tree)) - {name} for name, tree in self.modules.items()}

    def _imported(self, tree: ast.Module) -> Iterator[str]:
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names if alias.name in self.modules)
            elif isinstance(node, ast.ImportFrom) and node.module in self.modules:
                for alias in node.names:
                    submodule = f"{node.module}.{alias.name}"
                    yield submodule if submodule in self.modules else node.module

    def plugins(self) -> set[str]:
        """The modules that the root's conftest names as pytest plugins."""
        tree = ast.parse((self.root / "conftest.py").read_text(encoding="utf-8"))
        (named,) = [node.value for node in tree.body if isinstance(node, ast.Assign)]
        return set(ast.literal_eval(named))

    def takes_config(self) -> list[str]:
        """Functions outside plugins that take pytest's Config or Session, by the annotation of an argument."""
        return [
            f"{module}.{node.name}"
            for module, tree in self.modules.items()
            if module not in self.plugins()
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and any(_is_of_pytest(argument) for argument in [*node.args.args, *node.args.kwonlyargs])
        ]

    def mentions(self, names: tuple[str, ...]) -> dict[str, int]:
        """How often a suite's name stands as a string of its own, by module; a suite's own folder may."""
        own = tuple(f"fixtures.questions.{name}" for name in names)
        counted = {
            module: sum(isinstance(node, ast.Constant) and node.value in names for node in ast.walk(tree))
            for module, tree in self.modules.items()
            if not module.startswith(own)
        }
        return {module: count for module, count in counted.items() if count}


def _is_of_pytest(argument: ast.arg) -> bool:
    if argument.annotation is None:
        return argument.arg in ("config", "pytestconfig", "session")
    written = ast.unparse(argument.annotation)
    return any(name in written for name in ("pytest.Config", "pytest.Session", "pytest.FixtureRequest"))


def room_of(module: str) -> str:
    package, *rest = module.split(".")
    return ".".join([package, *rest[:1]]) if package == "fixtures" else package


def folder_of(module: str) -> str:
    """The folder directly in its package, or the module that lies there itself."""
    return ".".join(module.split(".")[:2])


def arrows(imports: dict[str, set[str]], place=room_of) -> dict[str, set[str]]:
    """What each room (or other place of a module) imports from."""
    found: dict[str, set[str]] = defaultdict(set)
    for module, imported in imports.items():
        found[place(module)] |= {place(other) for other in imported} - {place(module)}
    found.pop("fixtures", None)  # its own __init__, which holds nothing
    return dict(found)


def floors(graph: dict[str, set[str]]) -> dict[str, int]:
    """The floor of each room, the lowest is 1.

    Raises:
        ValueError: there is a circle; names the rooms on it.
    """
    found: dict[str, int] = {}

    def floor(room: str, above: tuple[str, ...]) -> int:
        if room in above:
            raise ValueError(f"circle: {' -> '.join([*above[above.index(room) :], room])}")
        if room not in found:
            found[room] = 1 + max((floor(below, (*above, room)) for below in sorted(graph.get(room, ()))), default=0)
        return found[room]

    for room in sorted(graph):
        floor(room, ())
    return found


def main() -> int:
    house = House()
    graph = arrows(house.imports)
    found = floors(graph)
    for room in sorted(graph, key=lambda name: (-found[name], name)):
        sys.stdout.write(f"{found[room]:>2}  {room:<22} {', '.join(sorted(graph[room]))}\n")
    mentions = house.mentions(("spider", "mmlu"))
    sys.stdout.write(
        f"{len(graph)} rooms on {max(found.values())} floors, {sum(map(len, graph.values()))} arrows, "
        f"{sum(mentions.values())} mentions of a suite by name ({len(mentions)} modules), "
        f"{len(house.takes_config())} functions outside plugins that take pytest's Config\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
