"""Spider's files: what is read from them, what is refused, and which exemplars are chosen."""

import json
import sqlite3
import stat
import zipfile
from pathlib import Path

import pytest

from trainer.spider.archive import MAX_BYTES, check_members
from trainer.spider.entries import SpiderDataError
from trainer.spider.exemplars import exemplars
from trainer.spider.folder import open_spider
from trainer.study.experiment import Experiment, ExperimentError, load_experiment

WIDE = [f"a_rather_long_column_name_{number}" for number in range(20)]


def tables_entry(db_id: str, columns: list[str]) -> dict:
    return {
        "db_id": db_id,
        "table_names_original": ["item"],
        "column_names_original": [[-1, "*"], *([0, name] for name in columns)],
        "column_types": ["text", *("text" for _ in columns)],
        "primary_keys": [1],
        "foreign_keys": [],
    }


def question(db_id: str, sql: str = "SELECT name FROM item") -> dict:
    return {"db_id": db_id, "question": f"What is in {db_id}?", "query": sql}


@pytest.fixture
def spider_files(tmp_path) -> Path:
    """A Spider of four training databases (one with a wide schema) and one dev database that lies there as SQLite."""
    folder = tmp_path / "spider"
    (folder / "database" / "dev_db").mkdir(parents=True)
    sqlite3.connect(folder / "database" / "dev_db" / "dev_db.sqlite").close()
    names = ["train_a", "train_b", "train_c", "dev_db"]
    write(
        folder / "tables.json",
        [*(tables_entry(name, ["id", "name"]) for name in names), tables_entry("train_wide", WIDE)],
    )
    write(folder / "dev.json", [question("dev_db")])
    broken = question("train_c", "SELECT nme FROM item")
    write(
        folder / "train_spider.json",
        [
            question("train_a"),
            question("train_b"),
            broken,
            question("train_c"),
            question("train_wide", f"SELECT {WIDE[0]} FROM item"),
        ],
    )
    return folder


def write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def zipped(folder: Path, archive: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(archive, "w") as opened:
        for path in sorted(folder.rglob("*")):
            opened.write(path, f"{prefix}{path.relative_to(folder)}")
    return archive


def with_spider(**spider) -> Experiment:
    experiment = load_experiment("miniature")
    return experiment.model_copy(update={"spider": experiment.spider.model_copy(update=spider)})


def test_a_folder_opens(spider_files):
    spider = open_spider(spider_files)
    assert [item.id for item in spider.dev()] == ["dev_db-0000"]
    assert len(spider.train()) == 5
    assert spider.database_path("dev_db").is_file()


def test_train_others_is_trained_on_where_present(spider_files):
    write(spider_files / "train_others.json", [question("train_b")])
    assert len(open_spider(spider_files).train()) == 6


def test_train_is_read_only_when_asked_for(spider_files):
    """Scoring recorded predictions needs no training questions."""
    (spider_files / "train_spider.json").unlink()
    assert open_spider(spider_files).dev()


@pytest.mark.parametrize("prefix", ["", "spider_data/"])
def test_a_zip_opens_once(spider_files, tmp_path, prefix):
    archive = zipped(spider_files, tmp_path / "spider_data.zip", prefix)
    first = open_spider(archive)
    assert first.database_path("dev_db").is_file()
    marker = first.root / "still here"
    marker.touch()
    assert open_spider(archive).root == first.root
    assert marker.is_file()


def test_resource_forks_do_not_hide_the_top_folder(spider_files, tmp_path):
    """Zips made on a Mac carry a second top folder."""
    archive = zipped(spider_files, tmp_path / "spider.zip", "spider/")
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr("__MACOSX/spider/._dev.json", "x")
    assert open_spider(archive).dev()


@pytest.mark.parametrize(
    ("member", "problem"),
    [
        pytest.param("../evil.txt", "escapes", id="parent"),
        pytest.param("spider/../../evil.txt", "escapes", id="parent-inside"),
        pytest.param("/etc/evil.txt", "absolute", id="absolute"),
        pytest.param("C:/evil.txt", "drive", id="drive"),
        pytest.param("..\\evil.txt", "escapes", id="backslash"),
        pytest.param("spider\\..\\..\\evil.txt", "escapes", id="backslash-inside"),
        pytest.param("\\\\server\\share\\evil.txt", "absolute", id="share"),
        pytest.param("C:\\evil.txt", "drive", id="backslash-drive"),
    ],
)
def test_a_zip_that_escapes_its_folder_is_refused(tmp_path, member, problem):
    archive = tmp_path / "spider.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr(member, "x")
    with pytest.raises(ExperimentError, match=problem):
        open_spider(archive)
    assert list(tmp_path.iterdir()) == [archive]


def test_a_link_in_a_zip_is_refused(tmp_path):
    archive, link = tmp_path / "spider.zip", zipfile.ZipInfo("spider/database")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr(link, "/etc")
    with pytest.raises(ExperimentError, match="link"):
        open_spider(archive)


def test_absurd_sizes_in_a_zip_are_refused():
    member = zipfile.ZipInfo("spider/dev.json")
    member.file_size = MAX_BYTES + 1
    with pytest.raises(ExperimentError, match="1 files of 16 GiB"):
        check_members(Path("bomb.zip"), [member])


def test_a_truncated_zip_is_refused_and_leaves_nothing(spider_files, tmp_path):
    archive = zipped(spider_files, tmp_path / "spider.zip")
    archive.write_bytes(archive.read_bytes()[:-200])
    with pytest.raises(ExperimentError, match="Download it again"):
        open_spider(archive)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["spider", "spider.zip"]


def test_a_damaged_member_leaves_nothing(spider_files, tmp_path):
    archive = zipped(spider_files, tmp_path / "spider.zip")
    content = archive.read_bytes()
    archive.write_bytes(content.replace(b"What is in dev_db?", b"What is it, dev_db"))
    with pytest.raises(ExperimentError, match="damaged"):
        open_spider(archive)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["spider", "spider.zip"]


def test_nothing_there_says_what_to_do(tmp_path):
    with pytest.raises(ExperimentError, match=r"no folder or zip .*nowhere'.* --spider DIR_OR_ZIP"):
        open_spider(tmp_path / "nowhere")


def test_a_missing_file_is_named(spider_files):
    (spider_files / "dev.json").unlink()
    with pytest.raises(ExperimentError, match=r"no dev\.json\)\. Download Spider"):
        open_spider(spider_files)


def test_missing_training_questions_are_named(spider_files):
    (spider_files / "train_spider.json").unlink()
    with pytest.raises(ExperimentError, match=r"train_spider\.json not found"):
        open_spider(spider_files).train()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param('[{"db_id": "dev_db", "ques', "not valid JSON", id="truncated"),
        pytest.param("{}", "not a JSON list", id="no-list"),
        pytest.param('[{"db_id": "dev_db", "question": "Why?"}]', "entry 0 lacks 'query'", id="missing-key"),
        pytest.param("[3]", "entry 0 is malformed", id="no-entry"),
        pytest.param(json.dumps([question("atlantis")]), "question 0 is on database 'atlantis'", id="unknown-database"),
    ],
)
def test_damaged_questions_are_refused(spider_files, content, problem):
    (spider_files / "dev.json").write_text(content, encoding="utf-8")
    with pytest.raises(ExperimentError, match=problem):
        open_spider(spider_files).dev()


def test_damaged_schemas_are_refused(spider_files):
    write(spider_files / "tables.json", [tables_entry("dev_db", ["id"]) | {"foreign_keys": [[1, 99]]}])
    with pytest.raises(ExperimentError, match=r"tables\.json': entry 0 is malformed"):
        open_spider(spider_files)


def test_a_missing_database_is_named(spider_files):
    with pytest.raises(ExperimentError, match=r"'train_a' not found: no file .*train_a\.sqlite"):
        open_spider(spider_files).database_path("train_a")


@pytest.mark.parametrize("keeping", ["wal", "persist"])
def test_changes_that_stand_beside_a_databases_file_are_not_left_out_unseen(keeping, spider_files):
    """Another program has it open, or was broken off: what opens the file alone would see it without the last rows."""
    path = spider_files / "database" / "dev_db" / "dev_db.sqlite"
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute(f"PRAGMA journal_mode = {keeping}")
    writer.execute("CREATE TABLE item (name TEXT)")
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("PRAGMA cache_size = 1")
    writer.executemany("INSERT INTO item VALUES (?)", [("late" * 200,)] * 200)
    with pytest.raises(SpiderDataError, match=r"dev_db\.sqlite-(wal|journal)' beside it .*wal_checkpoint\(TRUNCATE\)"):
        open_spider(spider_files).database_path("dev_db")
    writer.execute("COMMIT")
    writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert path.with_name(f"dev_db.sqlite-{'wal' if keeping == 'wal' else 'journal'}").exists()
    assert open_spider(spider_files).database_path("dev_db") == path
    writer.close()


def test_exemplars_come_from_short_schemas_one_a_database(spider_files):
    chosen = exemplars(open_spider(spider_files), with_spider(), 3)
    assert sorted(item.db_id for item in chosen) == ["train_a", "train_b", "train_c"]


def test_an_exemplars_sql_compiles(spider_files):
    """``train_c-0002`` asks for a column that does not exist."""
    chosen = exemplars(open_spider(spider_files), with_spider(), 3)
    assert "train_c-0002" not in [item.id for item in chosen]


def test_more_exemplars_begin_with_the_same_ones():
    spider = open_spider("fixtures/miniature/spider")
    five = exemplars(spider, with_spider(), 5)
    assert exemplars(spider, with_spider(), 2) == five[:2]


def test_exemplars_follow_the_seed():
    spider = open_spider("fixtures/miniature/spider")
    other = with_spider().model_copy(update={"seed": 7})
    assert exemplars(spider, other) != exemplars(spider, with_spider())


def test_listed_exemplars_are_taken_in_their_order(spider_files):
    experiment = with_spider(exemplars=("train_wide-0004", "train_a-0000"))
    chosen = exemplars(open_spider(spider_files), experiment, 2)
    assert [item.id for item in chosen] == ["train_wide-0004", "train_a-0000"]


def test_an_unknown_exemplar_is_named(spider_files):
    with pytest.raises(ExperimentError, match="'dev_db-0000' is no training question"):
        exemplars(open_spider(spider_files), with_spider(exemplars=("dev_db-0000",)))


def test_too_few_exemplars_is_an_error(spider_files):
    with pytest.raises(ExperimentError, match="4 exemplars wanted, 3 found"):
        exemplars(open_spider(spider_files), with_spider(), 4)
