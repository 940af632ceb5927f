"""What prompts show is kept under all that it comes from: a second run reads no database."""

import shutil
import sqlite3

import pytest

from fixtures.questions.spider import kept_values
from fixtures.questions.spider.kept_values import kept_shown
from fixtures.store.kept import Kept
from tests.tiny_training import SPIDER
from trainer.spider import shown as spider_shown
from trainer.spider.entries import SpiderDataError
from trainer.spider.folder import open_spider
from trainer.spider.shown import shown_beside
from trainer.study.settings import PromptSettings

BOTH = PromptSettings(samples=2, values=2)


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(SPIDER, tmp_path / "spider")
    return tmp_path / "spider"


@pytest.fixture
def read(monkeypatch, tmp_path):
    """The databases that were read, of which nothing was kept before; ``begin`` begins another process."""
    names, kept = [], Kept(tmp_path / "kept.sqlite")
    read_cells = spider_shown.read_cells
    monkeypatch.setattr(kept_values, "kept", lambda: kept)
    monkeypatch.setattr(
        spider_shown, "read_cells", lambda path, schema: names.append(path.stem) or read_cells(path, schema)
    )
    yield names
    kept.close()


@pytest.fixture(autouse=True)
def another_process():
    """Whose hashes of files are yet to be taken."""
    kept_values._contents.cache_clear()


def test_what_was_found_once_is_found_again_without_its_database(folder, read):
    spider = open_spider(folder)
    questions = spider.dev()[:30]
    first = kept_shown(spider, questions, BOTH)
    assert read and first == shown_beside(spider, questions, BOTH) and any(one.values for one in first)
    read.clear()
    assert kept_shown(spider, questions, BOTH) == first and not read
    assert kept_shown(spider, questions[:3], PromptSettings(values=1)) != first[:3] and read


def test_another_content_another_schema_and_another_question_are_looked_at(folder, read):
    spider = open_spider(folder)
    question = spider.dev()[0]
    kept_shown(spider, [question], BOTH)
    read.clear()
    others = [one for one in spider.dev() if one.db_id == question.db_id and one.question != question.question]
    kept_shown(spider, [question, others[0]], BOTH)
    assert read == [question.db_id]
    with sqlite3.connect(spider.database_path(question.db_id)) as connection:
        (table,) = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchone()
        connection.execute(f"DELETE FROM {table}")
    connection.close()
    kept_values._contents.cache_clear()
    assert kept_shown(spider, [question], BOTH) == shown_beside(spider, [question], BOTH)
    assert len(read) == 3


def test_a_missing_database_is_refused_before_anything_is_looked_up(folder, read):
    spider = open_spider(folder)
    spider.database_path(spider.dev()[0].db_id).unlink()
    with pytest.raises(SpiderDataError, match=f"1 are missing: {spider.dev()[0].db_id}"):
        kept_shown(spider, spider.dev(), BOTH)
    assert not read and kept_shown(spider, spider.dev()[:1], PromptSettings())[0].values == ()
