"""Every shape of data that is read, each asked on the command line: the answers at hand are all but one right."""

import json
from pathlib import Path

import pytest

from fixtures.adapters.adapter import slugify
from fixtures.questions.__main__ import main
from tests import shapes
from tests.processes import run_pytest
from tests.shapes import GOLD, entries, spider, table_text, tables, write_json

BIRD_LEVELS = ("simple", "moderate", "challenging")


def bird(n: int) -> dict:
    return {"question_id": 1471 + n, "evidence": f"hint {n}" if n else "", "difficulty": BIRD_LEVELS[n % 3]}


def dev_only(folder):
    return spider(folder)


def without_tables(folder):
    (spider(folder) / "tables.json").unlink()
    return folder


def gold_only(folder):
    (spider(folder) / "dev.json").unlink()
    lines = (f"{sql}\t{db_id}\n" for db_id, _, sql in shapes.QUESTIONS)
    (folder / "dev_gold.sql").write_text("".join(lines))
    return folder


def spider_syn(folder):
    syn = entries("SpiderSynQuestion", further=lambda n: {"SpiderQuestion": "How many?"})
    return spider(folder, dev=syn)


def spider_syn_elsewhere(folder):
    path = write_json(folder / "Spider-Syn" / "dev.json", entries("SpiderSynQuestion"))
    return spider(folder / "spider"), f"--spider-questions={path}"


def spider_dk(folder):
    """Its folder has the databases that it changes, and tables.json of all; Spider has the others."""
    write_json(folder / "dk" / "Spider-DK.json", entries(further=lambda n: {"type": 0}))
    write_json(folder / "dk" / "tables.json", tables())
    shapes.database(folder / "dk" / "database" / "zoo" / "zoo.sqlite")
    shapes.database(folder / "spider" / "database" / "shop" / "shop.sqlite")
    return folder / "spider", f"--spider-questions={folder / 'dk' / 'Spider-DK.json'}"


def spider_realistic(folder):
    (spider(folder, **{"spider-realistic": entries()}) / "dev.json").unlink()
    return folder


def test_split(folder):
    """With Spider's dev split beside it, whose databases of the same name hold nothing."""
    for name in shapes.SCRIPTS:
        path = folder / "database" / name / f"{name}.sqlite"
        shapes.database(path, "CREATE TABLE empty (at_all TEXT)")
    write_json(folder / "dev.json", entries()[:1])
    write_json(folder / "tables.json", [])
    write_json(folder / "test.json", entries())
    write_json(folder / "test_tables.json", tables())
    shapes.databases(folder / "test_database")
    return folder, "--spider-questions=test"


def test_data_folder(folder):
    """As some copies of Spider have its test split; its databases are above it."""
    spider(folder, **{"test_data/dev": entries(), "test_data/tables": tables()})
    write_json(folder / "dev.json", entries()[:1])
    (folder / "database").rename(folder / "test_database")
    return folder, "--spider-questions=test_data/dev.json"


def variant_beside_spider(folder):
    """The folder that is given has both below it, and Spider's tables.json."""
    path = write_json(folder / "variant.json", entries())
    spider(folder / "spider_data")
    return folder, f"--spider-questions={path}"


def no_exemplars(folder):
    """All that there is to train on is asked, which is nothing to recorded predictions."""
    return spider(folder, train_spider=entries())


def damaged_training(folder):
    return spider(folder, train_spider={"not": "a list"})


def other_capitals(folder):
    """Questions, tables.json and files that agree but for capitals."""
    spider(folder, dev=[entry | {"db_id": entry["db_id"].upper()} for entry in entries()])
    write_json(folder / "tables.json", [entry | {"db_id": entry["db_id"].title()} for entry in tables()])
    return folder


def bird_gold(folder):
    root = bird_dev(folder)
    (root / "dev.sql").write_text("".join(f"{sql}\t{db_id}\n" for db_id, _, sql in shapes.QUESTIONS))
    return root / "dev.sql"


def bird_dev(folder):
    root = folder / "dev_20240627"
    write_json(root / "dev.json", entries(query="SQL", further=bird))
    write_json(root / "dev_tied_append.json", entries(query="SQL", further=bird)[:1])
    write_json(root / "dev_tables.json", tables())
    shapes.databases(folder / "unpacked")
    shapes.zipped(folder / "unpacked", root / "dev_databases.zip", "dev_databases/")
    described = root / "dev_databases_description" / "item.csv"
    described.parent.mkdir()
    described.write_bytes(b"original_column_name,column_description\nname,caf\xe9\n")
    return root


def bird_mini_dev(folder):
    root = folder / "minidev" / "MINIDEV"
    for dialect in ("sqlite", "mysql", "postgresql"):
        write_json(root / f"mini_dev_{dialect}.json", entries(query="SQL", further=bird))
    write_json(root / "dev_tables.json", tables())
    shapes.databases(root / "dev_databases")
    return folder


def own_spreadsheet(folder):
    """As Excel saves it where commas are decimal signs: semicolons, byte-order mark, CRLF; the databases beside it."""
    folder.mkdir()
    for name in shapes.SCRIPTS:
        shapes.database(folder / f"{name}.sqlite")
    text = table_text(entries("Question", "Gold SQL", "Database"), ";", "\r\n")
    (folder / "questions.csv").write_bytes(text.encode("utf-8-sig"))
    return folder / "questions.csv"


def own_tabs(folder):
    folder.mkdir()
    for name in shapes.SCRIPTS:
        shapes.database(folder / f"{name}.sqlite")
    (folder / "questions.tsv").write_text(table_text(entries("Question", "SQL Query", "Database"), "\t", "\r\n"))
    return folder


def own_lines(folder):
    lines = "".join(f"{json.dumps(entry)}\r\n" for entry in entries("question", "sql", "database"))
    folder.mkdir()
    (folder / "my questions.jsonl").write_text(f"{lines}\r\n", newline="")
    shapes.database(folder / "data" / "shop.db")
    shapes.database(folder / "data" / "zoo.sqlite3")
    return folder


def nested_zip(folder):
    archive = folder.with_suffix(".zip")
    return shapes.zipped(spider(folder), archive, "data/spider_data/")


def windows_zip(folder):
    spider(folder)
    (folder / ".DS_Store").write_bytes(b"\0\0")
    (folder / "database" / "shop" / "._shop.sqlite").write_bytes(b"\0\5\x16\7")
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX" / "._dev.json").write_bytes(b"\0\5\x16\7")
    return shapes.zipped(folder, folder.with_suffix(".zip"), "spider\\", "\\")


# What reports call each.
SHAPES = {
    dev_only: "Spider dev",
    without_tables: "data",
    gold_only: "Spider dev",
    spider_syn: "Spider-Syn dev",
    spider_syn_elsewhere: "Spider-Syn dev",
    spider_dk: "Spider-DK",
    spider_realistic: "spider-realistic",
    test_split: "Spider test",
    test_data_folder: "Spider test",
    variant_beside_spider: "variant",
    no_exemplars: "Spider dev",
    damaged_training: "Spider dev",
    other_capitals: "Spider dev",
    bird_gold: "BIRD dev",
    own_tabs: "data",
    bird_dev: "BIRD dev",
    bird_mini_dev: "BIRD mini-dev",
    own_spreadsheet: "data",
    own_lines: "data",
    nested_zip: "Spider dev",
    windows_zip: "Spider dev",
}
test_split.__test__ = test_data_folder.__test__ = False


@pytest.fixture
def evaluate(tmp_path, pytestconfig):
    """``evaluate(spider, *options, predicted=...)``: what pytest says, and the rows; the last prediction is wrong."""

    def evaluate(source: Path, *options: str, predicted: Path | None = None):
        if predicted is None:
            predicted = tmp_path / "recorded.sql"
            predicted.write_text("".join(f"{sql}\n" for sql in [*GOLD[:-1], "SELECT name FROM animal"]))
        given = ["-m", "spider", f"--spider={source}", f"--adapter={predicted}", f"--results={tmp_path / 'results'}"]
        ended = run_pytest(
            [*given, "-p", "no:cacheprovider", "-p", "no:hypothesispytest", *options], cwd=pytestconfig.rootpath
        )
        path = tmp_path / "results" / f"miniature-{slugify(source.stem)}" / "scores.jsonl"
        rows = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
        return ended, rows

    return evaluate


@pytest.mark.parametrize("shape", SHAPES, ids=[shape.__name__ for shape in SHAPES])
def test_a_shape_is_read_and_judged(shape, evaluate, tmp_path):
    made = shape(tmp_path / "data")
    source, *options = made if isinstance(made, tuple) else (made,)
    ended, rows = evaluate(source, *options)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"\n{SHAPES[shape]}, execution accuracy" in ended.stdout
    assert "recorded           6        5" in ended.stdout
    assert [row["assignment"] for row in rows] == [1, 1, 1, 1, 1, 0]
    assert [row["db_id"] for row in rows] == ["shop"] * 3 + ["zoo"] * 3


@pytest.mark.parametrize("shape", SHAPES, ids=[shape.__name__ for shape in SHAPES])
def test_the_check_takes_every_shape(shape, tmp_path, capsys):
    made = shape(tmp_path / "data")
    source, *options = made if isinstance(made, tuple) else (made,)
    questions = [option.replace("--spider-questions", "--questions") for option in options]
    assert main(["check", str(source), *questions]) == 0
    said = capsys.readouterr().out
    assert ", 6\n" in said and said.splitlines()[-1].startswith(" ".join(["pytest -m spider", f"--spider={source}"]))
    assert all(option in said.splitlines()[-1] for option in options)


@pytest.mark.slow
def test_names_that_node_ids_cannot_hold_are_asked_by_workers_too(evaluate, tmp_path):
    folder, name = tmp_path / "data", "Größe [1]::x"
    folder.mkdir()
    shapes.database(folder / f"{name}.sqlite", shapes.SHOP)
    shapes.database(folder / "zoo.sqlite")
    rows = [entry | {"db_id": {"shop": name}.get(entry["db_id"], "zoo")} for entry in entries()]
    (folder / "questions.csv").write_text(table_text(rows), encoding="utf-8")
    ended, rows = evaluate(folder, "-n", "2")
    assert ended.returncode == 0 and "all 6 questions measured" in ended.stdout, ended.stdout + ended.stderr
    assert [row["db_id"] for row in rows] == [name] * 3 + ["zoo"] * 3


def test_reports_made_again_call_the_data_as_they_did(evaluate, tmp_path, pytestconfig):
    ended, _ = evaluate(own_lines(tmp_path / "shop and zoo"))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    again = [f"--report-from={tmp_path / 'results' / 'miniature-shop_and_zoo'}", f"--html={tmp_path / 'report.html'}"]
    ended = run_pytest([*again, "-p", "no:hypothesispytest"], cwd=pytestconfig.rootpath)
    assert "\nshop and zoo, execution accuracy" in ended.stdout, ended.stdout + ended.stderr
    assert "<caption>shop and zoo, execution accuracy" in (tmp_path / "report.html").read_text()


def test_models_cannot_be_asked_without_exemplars_and_that_is_one_line(tmp_path, pytestconfig):
    given = ["-m", "spider", f"--spider={dev_only(tmp_path / 'data')}", "--adapter=base", "--collect-only"]
    options = [f"--results={tmp_path / 'results'}", "-p", "no:cacheprovider", "-p", "no:hypothesispytest"]
    ended = run_pytest([*given, *options], cwd=pytestconfig.rootpath)
    assert ended.returncode == 4 and "Traceback" not in ended.stdout + ended.stderr
    assert "no training questions to take them from. Pass --shots=0" in ended.stderr
    assert run_pytest([*given, *options, "--shots=0"], cwd=pytestconfig.rootpath).returncode == 0
