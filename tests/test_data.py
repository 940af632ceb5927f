"""The Spider data that ``--spider`` points at is what it claims to be."""

import contextlib
import re
import sqlite3
import warnings

import pytest

from custom_metrics.sql.execution import GoldQueryError
from custom_metrics.sql.verdict import gold_result, judge_sql
from trainer.spider.folder import SpiderFolder
from trainer.spider.schema import Schema
from trainer.study.identity import file_hash

pytestmark = pytest.mark.data

WHOLE_TABLE = re.compile(r"select count\(\*\) from \w+;?")

# sha256 of dev.json and tables.json in taoyds/spider, evaluation_examples/examples.
OFFICIAL = {
    "dev.json": "30d64a3fccde493226df79687aed9e4a1c0129525baf44f29c0573d914d758a4",
    "tables.json": "61bb20aa401f03164e2d7f3b16509b7b5f79cc9c943ca7bd159046df1159e2ed",
}


def test_every_gold_query_runs_and_equals_itself_under_every_convention(spider: SpiderFolder):
    wrong = []
    for question in spider.dev():
        database, *suite = spider.database_files(question.db_id)
        try:
            gold = gold_result(database, question.gold_sql, suite=suite)
        except GoldQueryError as error:
            wrong.append((question.id, str(error)))
            continue
        verdict = judge_sql(question.gold_sql, gold)
        # The official evaluator makes a 1 of every "value" in a prediction, so that even gold may not equal itself.
        official = verdict.official or "value" in question.gold_sql
        if not (verdict.assignment and official and verdict.bird):
            wrong.append((question.id, verdict.reason))
    assert spider.dev() and not wrong


def test_train_and_dev_share_no_database_and_no_question(spider: SpiderFolder):
    if not spider.has_training_questions:
        pytest.skip(f"{spider.root} holds no training questions")
    train, dev = spider.train(), spider.dev()
    assert not {question.db_id for question in train} & {question.db_id for question in dev}
    # Real Spider asks five of its questions in the same words of a training database; all five count a whole table.
    asked = {q.question.lower() for q in train if not WHOLE_TABLE.fullmatch(q.gold_sql.lower())}
    assert not {q.id for q in dev if q.question.lower() in asked}


def test_every_question_is_on_a_known_database(spider: SpiderFolder):
    questions = [*(spider.train() if spider.has_training_questions else []), *spider.dev()]
    assert {question.db_id for question in questions} <= set(spider.schemas)


def test_tables_json_agrees_with_the_databases(spider: SpiderFolder):
    """A database may hold a table more, as wta_1 does."""
    for db_id in dict.fromkeys(question.db_id for question in spider.dev()):
        tables = found(spider, db_id)
        assert described(spider.schemas[db_id]).items() <= tables.items(), db_id


def described(schema: Schema) -> dict[str, set[str]]:
    """Tables and columns by tables.json, in lower case as SQLite compares them; some copies list SQLite's own table."""
    tables = {table.name.lower(): {column.name.lower() for column in table.columns} for table in schema.tables}
    return {name: columns for name, columns in tables.items() if name != "sqlite_sequence"}


def found(spider: SpiderFolder, db_id: str) -> dict[str, set[str]]:
    """Tables and columns by the database itself."""
    with contextlib.closing(sqlite3.connect(f"file:{spider.database_path(db_id)}?mode=ro", uri=True)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = {
            name: connection.execute("SELECT name FROM pragma_table_info(?)", (name,)).fetchall() for name in tables
        }
    return {
        name.lower(): {column.lower() for (column,) in own}
        for name, own in columns.items()
        if name != "sqlite_sequence"
    }


def test_a_copy_that_claims_to_be_spider_dev_is_the_official_one(spider: SpiderFolder):
    """Rebuilt copies are usable, so a difference warns; the number of questions must be right."""
    named = spider.questions.name == "dev.json" and spider.tables
    if not named or not any(question.db_id == "concert_singer" for question in spider.dev()):
        return
    assert len(spider.dev()) == 1034
    for name, expected in OFFICIAL.items():
        if file_hash(spider.root / name) != expected:
            warnings.warn(f"{name} differs from the official release", stacklevel=1)
