"""Data as people bring them, looked at closely: what models are shown, what is judged on, what is refused and how."""

import json
import sqlite3
from pathlib import Path

import pytest

from fixtures.questions.spider.questions import SpiderQuestions
from fixtures.questions.suite import QuestionsError
from tests import shapes
from tests.shapes import GOLD, QUESTIONS, entries, spider, table_text, write_json
from trainer.keeping.state import differing_settings
from trainer.rows.texts import training_texts
from trainer.run import lora_run
from trainer.spider.database_schema import read_schema
from trainer.spider.exemplars import exemplars
from trainer.spider.folder import open_spider
from trainer.spider.schema import load_schemas
from trainer.study.experiment import ExperimentError, load_experiment

MINIATURE = Path(__file__).parents[2] / "fixtures" / "miniature" / "spider"
GOLDEN = Path(__file__).parent / "golden"


def experiment(**settings):
    found = load_experiment("miniature")
    return found.model_copy(update={"spider": found.spider.model_copy(update=settings)})


def opened(source, shots=0, **settings):
    return SpiderQuestions(
        experiment(source=str(source), **settings), shots=shots, keep_distinct=False, plug_value=False
    )


def judged(questions, place, sql):
    question = questions.all[place]
    return questions.judge(question, questions.row(question, "it"), {"sql": sql})


def bird(n):
    return {
        "question_id": n,
        "evidence": f"{n} refers to {n}" if n else "",
        "difficulty": ("simple", "Moderate")[n % 2],
    }


@pytest.fixture
def bird_folder(tmp_path):
    return spider(tmp_path / "bird", dev=entries(query="SQL", further=bird))


def test_evidence_stands_before_the_question(bird_folder):
    first, second = opened(bird_folder).prompts(opened(bird_folder).all[:2], tuned=False)
    assert first.messages[-1].content.endswith(")\n\nQuestion: How many items are there?")
    assert second.messages[-1].content.endswith(
        ")\n\nEvidence: 1 refers to 1\n\nQuestion: What are the names of items over 50?"
    )


def test_types_are_shown_as_the_data_set_names_them(bird_folder):
    """BIRD's tables.json has SQLite's names, where Spider's has five of its own."""
    told = json.loads((bird_folder / "tables.json").read_text())
    told[0]["column_types"][1:5] = ["integer", "text", "real", "date; DROP TABLE item"]
    write_json(bird_folder / "tables.json", told)
    (prompt,) = opened(bird_folder).prompts(opened(bird_folder).all[:1], tuned=True)
    assert "item_id INTEGER,\nname TEXT,\nprice REAL,\nbought,\n" in prompt.messages[0].content
    assert "pieces NUMBER" in prompt.messages[0].content


def test_evidence_can_be_left_out_which_makes_other_answers(bird_folder, tmp_path):
    told, untold = opened(bird_folder), opened(bird_folder, evidence=False)
    plain = opened(spider(tmp_path / "plain", dev=entries()))
    assert untold.prompts(untold.all, True) == plain.prompts(plain.all, True) != told.prompts(told.all, True)
    assert untold.asked(True) == plain.asked(True) != told.asked(True)
    assert untold.judged == told.judged


def test_difficulty_is_the_group_where_it_is_known(bird_folder, tmp_path):
    rows = [opened(bird_folder).row(question, "it") for question in opened(bird_folder).all]
    assert [row.hardness for row in rows] == ["simple", "moderate"] * 3
    other = opened(spider(tmp_path / "own", dev=entries(further=lambda n: {"difficulty": "tricky"})))
    assert {other.row(question, "it").hardness for question in other.all} == {"easy", "medium"}
    plain = opened(spider(tmp_path / "plain"))
    assert other.judged == plain.judged != opened(bird_folder).judged


def test_all_files_of_a_test_suite_must_agree_for_the_official_verdict(tmp_path):
    alone, folder = opened(spider(tmp_path / "alone")).judged, spider(tmp_path / "spider")
    other = shapes.database(folder / "database" / "shop" / "shop_1.sqlite", shapes.SHOP)
    with sqlite3.connect(other) as connection:
        connection.execute("INSERT INTO item VALUES (4, 'sofa', 40, NULL)")
    connection.close()
    questions = opened(folder)
    row = judged(questions, 1, "SELECT name FROM item WHERE price > 35")
    assert (row.assignment, row.official, row.bird) == (1, 0, 1)
    assert "rows in shop_1.sqlite: 3, gold has 2" in row.reason
    assert judged(questions, 1, GOLD[1]).official == 1
    assert questions.judged != alone


def test_databases_side_by_side_are_no_test_suite_of_one_another(tmp_path):
    """Even where the folder is called as one of them is."""
    folder = tmp_path / "shop"
    write_json(folder / "dev.json", entries())
    for name in shapes.SCRIPTS:
        shapes.database(folder / f"{name}.sqlite")
    (folder / "._shop.sqlite").write_bytes(b"\0\5\x16\7")
    assert {judged(opened(folder), place, sql).official for place, sql in enumerate(GOLD)} == {1}


@pytest.mark.parametrize("name", ["v{}", '"v {}"', "[v{}]", "'v\"{}'", "v€{}", '"v""{}"', "/* ' */ v{} /* ' */"])
def test_views_that_double_without_end_cost_no_time(name, tmp_path):
    last, *names = (name.format(n) for n in range(60, -1, -1))
    doubling = [
        f"CREATE VIEW {one} AS SELECT a FROM {two} UNION ALL SELECT a FROM {two};"
        for one, two in zip([last, *names], names, strict=False)
    ]
    sound = "CREATE TABLE t (a); CREATE VIEW w AS SELECT a FROM t; CREATE VIEW x AS SELECT a FROM w;"
    script = f"{sound} CREATE VIEW {names[-1]} AS SELECT a FROM t; CREATE VIEW y AS SELECT a FROM {last};"
    path = shapes.database(tmp_path / "odd.sqlite", f"BEGIN; {script} {' '.join(doubling)} COMMIT;")
    assert [table.name for table in read_schema("odd", path).tables if table.name[0] != "v"] == ["t", "w", "x"]


def test_a_database_tells_the_schema_that_tables_json_told():
    told = load_schemas(MINIATURE / "tables.json")
    own = {db_id: read_schema(db_id, MINIATURE / "database" / db_id / f"{db_id}.sqlite") for db_id in told}
    assert own == told


def test_the_schema_of_an_unusual_database(tmp_path):
    path = shapes.database(
        tmp_path / "odd.sqlite",
        """
        CREATE TABLE "order" ("the id" INTEGER PRIMARY KEY, at DATETIME, paid BOOLEAN, total, note BLOB);
        CREATE TABLE line (number, "order" REFERENCES "order", PRIMARY KEY (number, "order")) WITHOUT ROWID;
        CREATE VIEW paid AS SELECT at FROM "order" WHERE paid;
        CREATE VIEW broken AS SELECT gone FROM nowhere;
        CREATE VIRTUAL TABLE words USING fts5(word);
        """,
    )
    schema = read_schema("odd", path)
    assert [table.name for table in schema.tables] == ["order", "line", "paid", "words"]
    assert [column.type for column in schema.tables[0].columns] == ["number", "time", "boolean", "text", "others"]
    assert schema.tables[1].primary_key == ("number", "order")
    assert [(key.column, key.other_table, key.other_column) for key in schema.tables[1].foreign_keys] == [
        ("order", "order", "the id")
    ]


@pytest.mark.parametrize("name", ["shop.sqlite", "questions.xlsx"])
def test_a_file_that_holds_no_readable_questions_is_refused(name, tmp_path):
    (tmp_path / name).write_bytes(b"PK")
    with pytest.raises(ExperimentError, match="Pass the folder that has the database and, as CSV, the questions"):
        open_spider(tmp_path / name)


def test_what_is_no_database_is_named(tmp_path):
    folder = shapes.spreadsheet(tmp_path / "own", "question,sql,db_id\nWhy?,SELECT 1,zoo\n")
    (folder / "zoo.sqlite").write_text("version https://git-lfs.github.com/spec/v1\n" * 20)
    with pytest.raises(ExperimentError, match=r"zoo\.sqlite' is no SQLite database or is damaged"):
        opened(folder)


def test_several_files_of_questions_are_listed_to_choose_from(tmp_path):
    folder = spider(tmp_path / "spider", easy=entries(), hard=entries(), train_spider=entries())
    (folder / "dev.json").unlink()
    with pytest.raises(ExperimentError, match=r"2 files of questions in .*: easy\.json, hard\.json\. .*=easy\.json"):
        open_spider(folder)
    assert open_spider(folder, "hard").questions == folder / "hard.json"
    with pytest.raises(
        ExperimentError, match=r"no file of questions 'test\.json' in .* It has: easy\.json, hard\.json"
    ):
        open_spider(folder, "test.json")


def test_several_folders_of_questions_are_listed_to_choose_from(tmp_path):
    for name in ("one", "two"):
        spider(tmp_path / "all" / name)
    with pytest.raises(ExperimentError, match="2 folders in .* hold questions: .*one', .*two'"):
        open_spider(tmp_path / "all")


def test_missing_databases_are_told_together(tmp_path):
    folder = spider(tmp_path / "spider")
    (folder / "tables.json").unlink()
    for path in (folder / "database" / "zoo").iterdir():
        path.unlink()
    with pytest.raises(ExperimentError, match=r"question 3 is on database 'zoo', .*\(3 questions are on 1 such"):
        opened(folder)


def test_questions_without_databases_are_told_how_to_bring_them(tmp_path):
    path = write_json(tmp_path / "Spider-Syn" / "dev.json", entries("SpiderSynQuestion"))
    with pytest.raises(ExperimentError, match=r"Pass the folder that has the databases as --spider and, .*=FILE"):
        opened(path.parent)


def test_half_a_surrogate_pair_is_no_text(tmp_path):
    folder = spider(tmp_path / "spider", dev=[entries()[0] | {"question": "How many\ud83d?"}])
    with pytest.raises(ExperimentError, match=r"entry 0 .*ud83d.*surrogates not allowed\. Mend it"):
        opened(folder)


def test_a_zip_that_lies_in_the_folder_is_named(tmp_path):
    shapes.zipped(spider(tmp_path / "spider"), tmp_path / "given.zip")
    (tmp_path / "folder").mkdir()
    (tmp_path / "given.zip").rename(tmp_path / "folder" / "spider.zip")
    (tmp_path / "folder" / "q.xlsx").write_bytes(b"PK")
    with pytest.raises(ExperimentError, match=r"Save q\.xlsx as CSV\. Pass .*: --spider=.*folder/spider\.zip$"):
        open_spider(tmp_path / "folder")


def test_databases_that_only_tables_json_knows_are_counted(tmp_path):
    folder = spider(tmp_path / "spider")
    for name in ("zoo", "shop"):
        (folder / "database" / name / f"{name}.sqlite").rename(tmp_path / name)
    with pytest.raises(ExperimentError, match=r"'shop' not found: no file .* 2 databases are missing in all\."):
        opened(folder)


def test_what_only_looks_like_a_database_is_none(tmp_path):
    shop = [{"question": text, "sql": sql} for db_id, text, sql in QUESTIONS if db_id == "shop"]
    folder = shapes.spreadsheet(tmp_path / "own", table_text(shop), "shop")
    (folder / "Thumbs.db").write_bytes(b"\xd0\xcf")
    (folder / "._shop.sqlite").write_bytes(b"\0\5")
    assert {question.db_id for question in opened(folder).all} == {"shop"}


def test_a_name_cannot_lead_out_of_the_folder(tmp_path):
    shapes.database(tmp_path / "zoo" / "zoo.sqlite")
    folder = spider(tmp_path / "spider", dev=[{"question": "Why?", "query": "SELECT 1", "db_id": "../../zoo"}])
    with pytest.raises(ExperimentError, match=r"on database '\.\./\.\./zoo', which neither tables.json nor a file"):
        opened(folder)


def test_without_training_questions_exemplars_are_refused_with_the_remedy(tmp_path):
    folder = spider(tmp_path / "spider")
    with pytest.raises(ExperimentError, match=r"3 exemplars wanted, and .* no training questions .* --shots=0"):
        opened(folder, shots=3).asked(False)
    assert opened(folder).facts == {"exemplars": []}
    assert opened(folder, shots=0).asked(False)


def test_gold_sql_without_questions_asks_no_model(tmp_path):
    folder = spider(tmp_path / "spider")
    (folder / "dev.json").unlink()
    (folder / "dev_gold.sql").write_text("".join(f"{sql}\t{db_id}\n" for db_id, _, sql in QUESTIONS))
    with pytest.raises(QuestionsError, match="gold SQL without questions, so that no model can be asked"):
        opened(folder).asked(True)


def test_gold_sql_may_stand_in_a_file_of_its_own(tmp_path):
    untold = [{name: entry[name] for name in ("db_id", "question")} | {"sql": {}} for entry in entries()]
    folder = spider(tmp_path / "spider", test=untold)
    lines = [f"{sql}\t{db_id}\n" for db_id, _, sql in QUESTIONS]
    (folder / "test_gold.sql").write_text("".join(lines))
    assert opened(folder, questions="test.json").all == opened(folder).all
    (folder / "test_gold.sql").write_text("".join(lines[1:]))
    with pytest.raises(ExperimentError, match="has 6 questions without SQL, and test_gold.sql beside it 5 queries"):
        open_spider(folder, "test.json").dev()


def test_nothing_is_trained_on_the_databases_that_are_asked(tmp_path):
    """Which those are, the file of questions says."""
    on = {name: [entry for entry in entries() if entry["db_id"] == name] for name in shapes.SCRIPTS}
    folder = spider(tmp_path / "spider", dev=on["zoo"], test=on["shop"], train=on["shop"])
    assert len(training_texts(open_spider(folder), None)) == 3
    with pytest.raises(ExperimentError, match="3 training questions are on dev databases"):
        training_texts(open_spider(folder, "test.json"), None)


def test_own_exemplars_may_share_the_database_and_are_no_question_that_is_asked(tmp_path):
    shop = [entry for entry in entries() if entry["db_id"] == "shop"]
    more = [{"db_id": "shop", "question": f"Ever more than {n}?", "query": f"SELECT {n} FROM item"} for n in range(3)]
    folder = shapes.spreadsheet(tmp_path / "own", table_text(shop), "shop")
    (folder / "train.csv").write_text(table_text(shop + more), newline="")
    found = exemplars(open_spider(folder), experiment(), 3)
    assert {question.question for question in found} == {entry["question"] for entry in more}
    assert exemplars(open_spider(folder), experiment(), 2) == found[:2]


def test_an_adapter_is_asked_about_data_without_training_questions(tmp_path):
    """Whatever it was trained on: its other settings are those of its record, or it is refused."""
    folder = spider(tmp_path / "spider")
    run = lora_run(load_experiment("miniature"), "cfg1", results_dir=tmp_path, spider=str(folder))
    run.output_dir.mkdir(parents=True)
    (run.output_dir / "run.json").write_bytes((GOLDEN / "run.json").read_bytes())
    assert differing_settings(run) == []
    record = json.loads((GOLDEN / "run.json").read_text())
    record["identity"]["seed"] = 7
    (run.output_dir / "run.json").write_text(json.dumps(record))
    assert differing_settings(run) == ["seed: trained with 7, now 42"]
