"""The shipped miniature of Spider is what it claims to be, and its generator writes it again."""

import random
import re
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from custom_metrics.sql.hardness import HARDNESS_LEVELS, hardness
from fixtures.miniature.generate_spider import SPLITS, generate
from fixtures.miniature.random_spider import random_database, random_statement
from fixtures.miniature.spider_checks import is_discriminating
from fixtures.miniature.spider_domains import FOLDER, load_domains
from trainer.prompts import render_schema
from trainer.spider.folder import SpiderQuestion, load_questions
from trainer.spider.schema import load_schemas

SHIPPED = FOLDER / "spider"
# Spider dev: 248 easy, 446 medium, 174 hard, 166 extra of 1,034.
SPIDER_SHARES = {"easy": 0.24, "medium": 0.43, "hard": 0.17, "extra": 0.16}


@pytest.fixture(scope="module")
def questions() -> dict[str, list[SpiderQuestion]]:
    return {split: load_questions(SHIPPED / file_name) for split, (file_name, _) in SPLITS.items()}


def open_database(db_id: str, folder: Path = SHIPPED) -> closing[sqlite3.Connection]:
    path = folder / "database" / db_id / f"{db_id}.sqlite"
    return closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True))


def all_domains():
    return [*load_domains("train"), *load_domains("dev")]


def dumps(folder: Path) -> dict[str, list[str]]:
    found = {}
    for path in sorted(folder.glob("database/*/*.sqlite")):
        with open_database(path.stem, folder) as connection:
            found[path.stem] = list(connection.iterdump())
    return found


def test_generator_writes_the_shipped_data_again(tmp_path):
    """SQLite files hold the version that wrote them, so databases are compared by their dump."""
    generate(tmp_path)
    for file_name in ("train_spider.json", "dev.json", "tables.json"):
        assert (tmp_path / file_name).read_bytes() == (SHIPPED / file_name).read_bytes(), file_name
    assert dumps(tmp_path) == dumps(SHIPPED)


def test_counts(questions):
    assert {split: len(found) for split, found in questions.items()} == {"train": 1200, "dev": 200}
    assert len({question.db_id for question in questions["train"]}) >= 30
    assert len({question.db_id for question in questions["dev"]}) >= 8


def test_no_question_occurs_twice_in_either_split_or_in_both(questions):
    counts = Counter(question.question.lower() for split in questions.values() for question in split)
    assert [question for question, count in counts.items() if count > 1] == []


def test_train_and_dev_share_no_database_and_no_table(questions):
    """No table name in common is what makes the domains disjoint, not just the names of the databases."""
    trained, asked = ({question.db_id for question in questions[split]} for split in ("train", "dev"))
    assert not trained & asked
    tables = [{table.name for domain in load_domains(split) for table in domain.tables} for split in ("train", "dev")]
    assert not tables[0] & tables[1]


@pytest.mark.parametrize("split", ["train", "dev"])
def test_every_gold_query_has_a_discriminating_result(questions, split):
    for question in questions[split]:
        with open_database(question.db_id) as connection:
            assert is_discriminating(connection, question.gold_sql), question


@pytest.mark.parametrize("split", ["train", "dev"])
def test_hardness_is_spread_as_in_spider(questions, split):
    levels = Counter(hardness(question.gold_sql) for question in questions[split])
    for level in HARDNESS_LEVELS:
        assert levels[level] / len(questions[split]) == pytest.approx(SPIDER_SHARES[level], abs=0.03), level


@pytest.mark.parametrize("split", ["train", "dev"])
def test_every_value_of_a_gold_query_stands_in_its_question(questions, split):
    """Otherwise a model would have to guess it: values are not part of the prompt."""
    for question in questions[split]:
        sql = re.sub(r"LIMIT 1$", "", question.gold_sql)
        words = [word.strip("%") for word in re.findall(r"'([^']*)'", sql)]
        numbers = re.findall(r"(?<![\w.])\d+(?:\.\d+)?\b", re.sub(r"'[^']*'", "", sql))
        assert [value for value in words + numbers if value not in question.question] == [], question


def test_tables_json_agrees_with_the_databases():
    schemas = load_schemas(SHIPPED / "tables.json")
    assert schemas == {domain.db_id: domain.schema() for domain in all_domains()}
    for schema in schemas.values():
        with open_database(schema.db_id) as connection:
            for table in schema.tables:
                columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table.name})")]
                assert columns == [column.name for column in table.columns]


@pytest.mark.parametrize("domain", all_domains(), ids=lambda domain: domain.db_id)
def test_database(domain):
    """Keys refer to rows, tables have 8 rows and more, no person is in the database twice."""
    with open_database(domain.db_id) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        people: list[str] = []
        for table in domain.tables:
            assert 8 <= connection.execute(f"SELECT count(*) FROM {table.name}").fetchone()[0] <= 40
            for column in table.of_kind("text"):
                values = [row[0] for row in connection.execute(f"SELECT {column.name} FROM {table.name}")]
                assert len(set(values)) == len(values)
                people += values if column.spec == "person" else []
    assert len(set(people)) == len(people)


def test_a_tables_foreign_keys_are_told_apart_by_their_prepositions():
    """ "trials of Ann Lee" would leave open whether she is the judge or the lawyer."""
    for domain in all_domains():
        for table in domain.tables:
            prepositions = [key.preposition for key in table.of_kind("foreign_key")]
            assert len(set(prepositions)) == len(prepositions), (domain.db_id, table.name)


def test_schemas_are_short_enough_for_the_small_model():
    assert max(len(render_schema(domain.schema())) for domain in all_domains()) <= 700


def test_data_stays_small_in_git():
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*") if path.is_file()) < 2_000_000


@pytest.mark.parametrize(
    ("gold_sql", "verdict"),
    [
        pytest.param("SELECT name FROM cat WHERE age > 3", True, id="good"),
        pytest.param("SELECT name FROM cat WHERE age > 99", False, id="empty"),
        pytest.param("SELECT count(*) FROM cat WHERE age > 99", False, id="zero"),
        pytest.param("SELECT age FROM cat WHERE name != 'Tom'", False, id="repeated-rows"),
        pytest.param("SELECT name FROM cat ORDER BY age ASC LIMIT 1", False, id="tie-for-the-first-place"),
        pytest.param("SELECT name FROM cat ORDER BY age DESC LIMIT 1", True, id="clear-first-place"),
        pytest.param("SELECT name FROM cat WHERE age > 4", False, id="same-rows-from-at-least"),
        pytest.param("SELECT count(*) FROM cat WHERE age < 9", False, id="condition-that-filters-nothing"),
    ],
)
def test_is_discriminating(gold_sql, verdict):
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE cat (name TEXT, age NUMBER)")
        cats = [("Tom", 3), ("Ada", 3), ("Kit", 5), ("Bo", 7), ("Mo", 3)]
        connection.executemany("INSERT INTO cat VALUES (?, ?)", cats)
        assert is_discriminating(connection, gold_sql) is verdict


def test_random_statements_are_valid_and_use_training_words_only():
    rng = random.Random(0)
    dev_tables = {table.name for domain in load_domains("dev") for table in domain.tables}
    for _ in range(100):
        database = random_database(rng)
        schema = database.domain.schema()
        assert not dev_tables & {table.name for table in schema.tables}
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.executescript(render_schema(schema).replace("\n)", "\n);"))
            for _ in range(5):
                connection.execute(random_statement(rng, database)[0])


def test_random_databases_repeat_with_their_seed():
    first, second = (random_database(random.Random(5)) for _ in range(2))
    assert first == second
