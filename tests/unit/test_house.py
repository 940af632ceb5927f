"""The house stays as it was drawn: few rooms, imports one way, nothing asks for a suite by name."""

import ast

import pytest

from tests.house import House, arrows, floors, folder_of, room_of

MOST_ROOMS, MOST_FLOORS, MOST_ARROWS, MOST_MENTIONS, MOST_LINES = 14, 9, 55, 20, 260


@pytest.fixture(scope="module")
def house():
    return House()


def test_modules_import_one_another_without_a_circle(house):
    assert floors(house.imports)


def test_rooms_are_few_and_imports_run_one_way(house):
    graph = arrows(house.imports)
    assert len(graph) <= MOST_ROOMS
    assert max(floors(graph).values()) <= MOST_FLOORS
    assert sum(map(len, graph.values())) <= MOST_ARROWS


@pytest.mark.parametrize("package", ["custom_metrics", "trainer"])
def test_folders_within_a_room_import_one_way_too(house, package):
    own = {
        module: {other for other in imported if other.startswith(package)}
        for module, imported in house.imports.items()
        if room_of(module) == package
    }
    graph = arrows(own, folder_of)
    graph.pop(package, None)
    assert floors(graph)


def test_the_judging_imports_nothing_of_ours_and_the_trainer_nothing_of_pytests(house):
    graph = arrows(house.imports)
    assert graph["custom_metrics"] == set()
    assert graph["trainer"] == set()


def test_pytests_config_stays_in_the_plugins(house):
    assert house.takes_config() == []


def test_suites_are_hardly_ever_asked_for_by_name(house):
    assert sum(house.mentions(("spider", "mmlu")).values()) <= MOST_MENTIONS


def test_no_module_has_grown_to_two_subjects(house):
    paths = [house.root.joinpath(*name.split(".")).with_suffix(".py") for name in house.modules]
    long = {path.name: count for path in paths if path.is_file() and (count := _lines(path)) > MOST_LINES}
    assert long == {}


def _lines(path):
    return len(path.read_text(encoding="utf-8").splitlines())


def test_every_package_says_what_it_is_in_ten_lines(house):
    packages = [path.parent for name in ("custom_metrics", "trainer", "fixtures") for path in _inits(house, name)]
    for package in packages:
        said = ast.get_docstring(ast.parse((package / "__init__.py").read_text(encoding="utf-8")))
        assert said and len(said.splitlines()) <= 10, package


def _inits(house, name):
    return [path for path in (house.root / name).rglob("__init__.py") if path.parent.name != "__pycache__"]


def test_a_circle_is_named():
    with pytest.raises(ValueError, match="circle: a -> b -> a"):
        floors({"a": {"b"}, "b": {"a"}})
