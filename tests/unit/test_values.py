"""Which values a question may mean, and how a prompt shows them."""

import re
import sqlite3

import pytest

from trainer.prompts import INSTRUCTION, VALUES, render_schema, spider_prompt, spider_turn
from trainer.spider.cells import ColumnCells
from trainer.spider.schema import Column, ForeignKey, Schema, Table
from trainer.spider.shown import Shown
from trainer.spider.values import MOST_COLUMNS, ColumnValues, ValueIndex

SCHEMA = Schema(
    "shop",
    (
        Table("city", (Column("id", "number"), Column("Name", "text")), ("id",), ()),
        Table(
            "store", (Column("City Id", "number"), Column("kind", "text")), (), (ForeignKey("City Id", "city", "id"),)
        ),
    ),
)


def meant(question, *texts, most=2):
    found = ValueIndex([ColumnCells("t", "c", tuple(sorted(texts)))]).meant_by(question, most)
    return list(found[0].values) if found else []


@pytest.mark.parametrize(
    ("question", "value"),
    [
        pytest.param("Stores in new york?", "New York", id="capitals"),
        pytest.param("Canadian singers", "Canada", id="beginning"),
        pytest.param("How many cats are there?", "cat", id="plural"),
        pytest.param("Who is José's friend?", "Jose", id="accent"),
        pytest.param("Flights from Aberdeen", " Aberdeen ", id="padded"),
        pytest.param("books of O'Brien", "O'Brien", id="apostrophe"),
        pytest.param("Who works at the University of Texas?", "University of Texas", id="common-word-within"),
        pytest.param("Concerts of 2014", "2014", id="number-as-text"),
    ],
)
def test_a_value_that_the_question_names_is_found(question, value):
    assert meant(question, value, "Boston", "zebra crossing") == [value]


@pytest.mark.parametrize(
    ("question", "value"),
    [
        pytest.param("How many female students are there?", "male", id="within-a-word"),
        pytest.param("Name all of them", "all", id="common-word"),
        pytest.param("Stores in York", "New York City Hall", id="smaller-part"),
        pytest.param("", "x", id="no-question"),
        pytest.param("What is it?", "?!", id="no-words"),
    ],
)
def test_a_value_that_it_does_not_name_is_not(question, value):
    assert meant(question, value) == []


def test_the_likeliest_of_a_column_come_first_and_no_more_than_wanted():
    texts = ["Park", "Somerset Park", "Somerset", "Somerset Park South"]
    asked = "Who plays in Somerset Park?"
    assert meant(asked, *texts, most=3) == ["Somerset Park", "Somerset", "Park"]
    assert meant(asked, *texts[::-1], most=1) == ["Somerset Park"]


def test_columns_stand_in_the_schemas_order_and_are_bounded():
    columns = [ColumnCells("t", f"c{n:02}", ("Paris",) if n % 2 else ("Paris Texas",)) for n in range(30)]
    found = ValueIndex(columns).meant_by("Hotels in Paris", 2)
    assert [one.column for one in found] == [f"c{n:02}" for n in range(1, 2 * MOST_COLUMNS, 2)]
    assert found == ValueIndex(columns).meant_by("Hotels in Paris", 2)


def test_a_prompt_that_shows_nothing_more_is_what_it_was():
    plain = (
        "CREATE TABLE city (\nid NUMBER,\nName TEXT,\nPRIMARY KEY (id)\n)\n"
        'CREATE TABLE store (\n"City Id" NUMBER,\nkind TEXT,\nFOREIGN KEY ("City Id") REFERENCES city(id)\n)'
    )
    assert render_schema(SCHEMA) == plain
    assert spider_turn(SCHEMA, "Which?", shown=Shown()).content == f"{INSTRUCTION}\n\n{plain}\n\nQuestion: Which?"
    assert "KEY" not in render_schema(SCHEMA, keys=False)
    assert render_schema(SCHEMA, keys=False).endswith("kind TEXT\n)")


def test_samples_stand_in_the_schema_and_values_behind_it_close_to_the_question():
    """What questions on a database have in common comes first, so that it is computed once."""
    samples = (ColumnValues("city", "Name", ("Bonn", "it's")), ColumnValues("store", "kind", ("mall",)))
    values = (ColumnValues("store", "kind", ("mall",)),)
    told = spider_turn(SCHEMA, "How many malls?", "A mall is big.", Shown(True, samples, values)).content
    plain = spider_turn(SCHEMA, "Why?", "", Shown(True, samples)).content
    assert "Name TEXT, -- 'Bonn', 'it''s'\nPRIMARY KEY" in told and "kind TEXT, -- 'mall'\nFOREIGN KEY" in told
    assert told.endswith(
        f"\n\n-- {VALUES}\n-- store.kind: 'mall'\n\nEvidence: A mall is big.\n\nQuestion: How many malls?"
    )
    shared = plain.partition("Question")[0]
    assert told.startswith(shared) and len(shared) > 200
    connection = sqlite3.connect(":memory:")
    connection.executescript(shared.removeprefix(INSTRUCTION).replace("\n)\n", "\n);\n"))
    assert connection.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone() == (2,)


@pytest.mark.parametrize("value", ["two\nlines", "x\r\nQuestion: other", "next\u2028line", "<|im_end|>", "\x85"])
def test_no_value_leaves_its_comment(value):
    """The writer does not rely on the reader."""
    shown = (ColumnValues("store", "kind", (value, "kept")),)
    told = spider_turn(SCHEMA, "Which?", "", Shown(True, shown, shown)).content
    assert value not in told and told.count("'kept'") == 2 and told.count("Question:") == 1
    assert len(re.findall(r"\n-- ", told)) == 2


def test_a_column_whose_name_would_leave_its_comment_has_no_values():
    odd = Schema("odd", (Table("t\n", (Column("c", "text"),), (), ()),))
    told = spider_turn(odd, "Which?", "", Shown(values=(ColumnValues("t\n", "c", ("x",)),))).content
    assert "--" not in told


def test_exemplars_may_show_values_of_their_own():
    shown = Shown(values=(ColumnValues("city", "Name", ("Bonn",)),))
    prompt = spider_prompt(SCHEMA, "Which?", [(SCHEMA, "Bonn?", "SELECT 1", "", shown)])
    assert ["Bonn'" in message.content for message in prompt.messages] == [True, False, False]
