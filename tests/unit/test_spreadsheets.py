"""Own questions in a spreadsheet: what its cells are taken for, and what cannot be taken, named with its row."""

import pytest

from tests.shapes import QUESTIONS, spreadsheet, table_text
from trainer.spider.folder import open_spider
from trainer.study.experiment import ExperimentError


def asked(source):
    return open_spider(source).dev()


def test_the_only_database_need_not_be_named(tmp_path):
    rows = [{"question": text, "sql": sql} for db_id, text, sql in QUESTIONS if db_id == "shop"]
    assert [question.id for question in asked(spreadsheet(tmp_path / "own", table_text(rows), "shop.db"))] == [
        "shop-0000",
        "shop-0001",
        "shop-0002",
    ]


def test_a_spreadsheet_may_name_the_file_and_break_lines(tmp_path):
    text = (
        'sep=;\r\nNr;Question;SQL;DB\r\n\r\n1;"Who; and\nwhere?";"SELECT name\nFROM animal";data\\zoo.sqlite\r\n;;;\r\n'
    )
    (question,) = asked(spreadsheet(tmp_path / "own", text))
    assert (question.db_id, question.question, question.gold_sql) == (
        "zoo",
        "Who; and\nwhere?",
        "SELECT name\nFROM animal",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(
            "question,sql\nWhy?,SELECT 1\n", r"row 2 lacks 'db_id' \(or database, .*it has question, sql", id="db"
        ),
        pytest.param(
            "question,sql,db_id\nWhy?,SELECT a, b FROM c,zoo\n",
            "row 2 has 4 cells, the header 3: put a cell that holds ',' in double quotes",
            id="comma",
        ),
        pytest.param("question,sql,db_id\nWhy?,,zoo\n", "row 2 has no text in 'sql'", id="no-sql"),
        pytest.param("SQL Query,Question,DB\nSELECT 1, ,zoo\n", "row 2 has no text in 'Question'", id="no-text"),
        pytest.param("question,sql,db_id\nWhy?,SELECT 1,zo\n", "question 0 is on database 'zo'.*'zoo'", id="misspelt"),
        pytest.param('question,sql,db_id\nWhy?,"SELECT 1"x,zoo\n', "no table from row 2 on", id="quotes"),
        pytest.param("question,sql,db_id\n", "holds no question", id="no-rows"),
        pytest.param("Frage,Abfrage\nWhy?,SELECT 1\n", "row 2 lacks 'question'.*it has Frage, Abfrage", id="titles"),
    ],
)
def test_a_spreadsheet_that_cannot_be_taken_is_named_with_its_row(text, said, tmp_path):
    folder = spreadsheet(tmp_path / "own", text)
    with pytest.raises(ExperimentError, match=rf"(?s)questions\.csv'.*{said}"):
        asked(folder / "questions.csv")


def test_a_spreadsheet_without_known_titles_is_named(tmp_path):
    folder = spreadsheet(tmp_path / "own", "Frage,Abfrage\nWhy?,SELECT 1\n")
    with pytest.raises(ExperimentError, match="No questions with SQL can be read out of questions.csv"):
        open_spider(folder)


def test_a_spreadsheet_in_another_encoding_is_named_with_its_line(tmp_path):
    folder = spreadsheet(tmp_path / "own", "question,sql,db_id\nWo ist Gürtel?,SELECT 1,zoo\n", encoding="latin-1")
    with pytest.raises(ExperimentError, match=r"line 2 is not UTF-8 \(byte 0xfc\): save it as UTF-8"):
        asked(folder / "questions.csv")
