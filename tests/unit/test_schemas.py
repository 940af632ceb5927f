"""The shipped JSON schemas are those of the types, and result files keep to them."""

import json
from pathlib import Path

import jsonschema
import pytest

from fixtures.results.schemas import FOLDER, path_of, schemas, text_of
from tests.processes import run_pytest

GOLDEN = Path(__file__).parent / "golden"
SPIDER = Path(__file__).parents[2] / "fixtures" / "miniature" / "spider"


def check(name, contents):
    schema = json.loads(path_of(name).read_text(encoding="utf-8"))
    jsonschema.validate(contents, schema, cls=jsonschema.Draft202012Validator)


def test_the_shipped_schemas_are_those_of_the_types():
    """After a change of the types: python -m fixtures.results.schemas"""
    made = {path_of(name).name: text_of(schema) for name, schema in schemas().items()}
    assert made == {path.name: path.read_text(encoding="utf-8") for path in FOLDER.iterdir()}


@pytest.mark.parametrize("name", ["replayed.jsonl", "recorded.jsonl"])
def test_lines_of_scores_keep_to_their_schema(name):
    lines = (GOLDEN / name).read_text(encoding="utf-8").splitlines()
    for line in map(json.loads, lines):
        check("scores.jsonl", line)
    for change in ({"assignment": 2}, {"suite": "chess"}, {"schema_version": 9}, {"colour": "red"}):
        with pytest.raises(jsonschema.ValidationError):
            check("scores.jsonl", line | change)


def test_what_a_run_writes_keeps_to_the_schemas(tmp_path, pytestconfig):
    gold = [entry["query"] for entry in json.loads((SPIDER / "dev.json").read_text())]
    for name, wrong in (("one", 4), ("two", 30)):
        lines = ["SELECT 1"] * wrong + gold[wrong:]
        (tmp_path / f"{name}.sql").write_text("".join(f"{line}\n" for line in lines))
    arguments = ["-m", "spider", f"--adapter={tmp_path}/one.sql,{tmp_path}/two.sql", f"--results={tmp_path}"]
    ended = run_pytest([*arguments, "--gate=spider.one >= 0.5"], cwd=pytestconfig.rootpath)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for name in ("summary.json", "manifest.json"):
        contents = json.loads((tmp_path / "miniature" / name).read_text(encoding="utf-8"))
        assert contents["schema_version"] == {"summary.json": 2, "manifest.json": 1}[name]
        check(name, contents)
