"""Recorded predictions in the forms in which people pass them on; what does not fit is named with its line."""

import json

import pytest

from fixtures.questions.spider.recorded import recorded_predictions
from fixtures.questions.suite import QuestionsError
from tests.shapes import GOLD, QUESTIONS
from trainer.spider.folder import SpiderQuestion

ASKED = [SpiderQuestion(place, db_id, text, sql) for place, (db_id, text, sql) in enumerate(QUESTIONS)]
TABLES = {"shop": {"item", "sale"}, "zoo": {"animal"}}
DATABASES = [db_id for db_id, _, _ in QUESTIONS]
BIRD = [f"{sql}\t----- bird -----\t{db_id}" for sql, db_id in zip(GOLD, DATABASES, strict=True)]


def lines(*texts, newline="\n"):
    return "".join(f"{text}{newline}" for text in texts)


def with_database(texts=GOLD):
    return [f"{sql}\t{db_id}" for sql, db_id in zip(texts, DATABASES, strict=True)]


def read(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return recorded_predictions(str(path), ASKED, TABLES)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("p.sql", lines(*GOLD), id="sql"),
        pytest.param("p.txt", lines(*GOLD), id="txt"),
        pytest.param("p.TXT", lines(*GOLD, newline="\r\n"), id="crlf"),
        pytest.param("p.txt", "\ufeff" + lines(*GOLD), id="byte-order-mark"),
        pytest.param("p.sql", lines(*GOLD).rstrip("\n"), id="no-last-line-break"),
        pytest.param("p.sql", lines(*GOLD, ""), id="blank-line"),
        pytest.param("p.sql", lines(*GOLD, "", "  ", "", newline="\r\n"), id="blank-lines"),
        pytest.param("p.sql", lines(*with_database()), id="tab-database"),
        pytest.param("p.sql", lines("sql\tdb_id", *with_database()), id="header"),
        pytest.param("p.txt", lines("predicted_sql", *GOLD), id="header-of-one"),
        pytest.param("p.txt", lines(*(f"{sql}\t0.93" for sql in GOLD)), id="tab-other"),
        pytest.param("p.sql", lines(*BIRD), id="bird-lines"),
        pytest.param("p.json", json.dumps(dict(enumerate(BIRD))), id="bird"),
        pytest.param("p.json", json.dumps(dict(enumerate(GOLD)), indent=4), id="by-index"),
        pytest.param("p.json", json.dumps({q.id: q.gold_sql for q in reversed(ASKED)}), id="by-question"),
        pytest.param("p.json", json.dumps(GOLD), id="list"),
        pytest.param("p.json", json.dumps(BIRD), id="bird-list"),
        pytest.param("p.json", json.dumps([{"index": n, "sql": s} for n, s in enumerate(GOLD)]), id="list-of-entries"),
        pytest.param(
            "p.jsonl", lines(*(json.dumps({"index": n, "sql": s}) for n, s in enumerate(GOLD)), ""), id="json-lines"
        ),
        pytest.param(
            "p.json", lines(*(json.dumps({"index": n, "sql": s}) for n, s in enumerate(GOLD))), id="json-lines-as-json"
        ),
    ],
)
def test_every_form_says_the_same(name, text, tmp_path):
    assert read(tmp_path / name, text) == {q.id: {"sql": q.gold_sql} for q in ASKED}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("p.sql", lines(*GOLD[:2], "", *GOLD[3:]), id="blank-line"),
        pytest.param("p.sql", lines(*with_database([*GOLD[:2], "", *GOLD[3:]])), id="database-alone"),
        pytest.param("p.json", json.dumps([*GOLD[:2], None, *GOLD[3:]]), id="null-in-list"),
        pytest.param("p.json", json.dumps(dict(enumerate([*GOLD[:2], None, *GOLD[3:]]))), id="null-by-index"),
        pytest.param(
            "p.jsonl",
            lines(*(json.dumps({"index": n, "sql": s if n != 2 else None}) for n, s in enumerate(GOLD))),
            id="null-in-lines",
        ),
    ],
)
def test_no_sql_is_read_as_such(name, text, tmp_path):
    assert read(tmp_path / name, text)["shop-0002"] == {"sql": ""}


def test_a_last_question_without_sql_keeps_its_blank_line(tmp_path):
    assert read(tmp_path / "p.sql", lines(*GOLD[:-1], "", ""))["zoo-0005"] == {"sql": ""}


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        pytest.param(
            [*GOLD[:1], *GOLD[2:]],
            "has 5 lines, dev has 6 questions; line 3 is the first that does not fit: it reads 'animal', which is no "
            "table of question 'shop-0002'",
            id="one-missing",
        ),
        pytest.param(
            [*GOLD[:1], *GOLD[:1], *GOLD[1:]],
            "has 7 lines, .*; line 4 is the first that does not fit: it reads 'sale', which .* 'zoo-0003'",
            id="one-twice",
        ),
        pytest.param(
            [*with_database()[:1], *with_database()[2:]],
            "line 3 is the first that does not fit: it is for database 'zoo', not that of question 'shop-0002'",
            id="one-missing-with-databases",
        ),
        pytest.param(
            ["SELECT 1 FROM invented", *GOLD[2:]], "line 3 is the first that does not fit", id="invented-table-before"
        ),
        pytest.param(
            ['WITH t AS (SELECT * FROM Item) SELECT * FROM t JOIN main."sale" ON 1', *GOLD[2:]],
            "line 3 is the first that does not fit",
            id="with-and-quotes",
        ),
        pytest.param([*GOLD, GOLD[-1]], "line 7 is the first without a question", id="one-too-many-at-the-end"),
        pytest.param([*GOLD[:1], "", *GOLD[1:]], "line 2 is the first that does not fit: it is blank", id="blank"),
        pytest.param([*GOLD[:4], "SELECT 1", *GOLD[4:]], "line 5 is the first .* reads no table", id="no-table"),
        pytest.param(GOLD[:-1], "question 'zoo-0005' is the first without a line", id="one-too-few-at-the-end"),
    ],
)
def test_a_wrong_number_of_lines_names_the_first_that_does_not_fit(texts, said, tmp_path):
    with pytest.raises(QuestionsError, match=said):
        read(tmp_path / "p.sql", lines(*texts))


def test_a_list_of_a_wrong_length_names_it_too(tmp_path):
    with pytest.raises(QuestionsError, match="has 4 entries, .*; entry 1 is the first that does not fit"):
        read(tmp_path / "p.json", json.dumps([GOLD[0], *GOLD[3:]]))


def entry(n, **fields):
    return json.dumps({"index": n, "sql": GOLD[n]} | fields)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        pytest.param(
            "p.sql",
            lines(*with_database()[:2], f"{GOLD[2]}\tzoo", *with_database()[3:]),
            r"p.sql', line 3 is for database 'zoo', question 2 \('shop-0002'\) is on 'shop'",
            id="other-database",
        ),
        pytest.param(
            "p.jsonl",
            lines(entry(0), json.dumps({"sql": GOLD[1]})),
            "line 2 says of no question that it answers it: it lacks 'index' and 'question', it has 'sql'",
            id="no-index",
        ),
        pytest.param(
            "p.jsonl",
            lines(*(entry(n) for n in (0, 1, 4, 5))),
            "lacks 2 of 6 questions, the first is index 2, 'shop-0002'",
            id="missing-index",
        ),
        pytest.param("p.json", json.dumps({"0": GOLD[0], "5": GOLD[5]}), "the first is index 1, 'shop-0001'", id="key"),
        pytest.param("p.json", '{"0": "SELECT 1", "0": "SELECT 2"}', "has '0' twice", id="key-twice"),
        pytest.param("p.json", '{"6": "SELECT 1"}', "'6' answers an unknown question: '6'", id="unknown-key"),
        pytest.param("p.jsonl", lines(entry(0), entry(0)), "line 2 answers a question twice: 'shop-0000'", id="twice"),
        pytest.param("p.jsonl", lines(entry(0, index=6)), "line 1 has the index 6; dev has 0 to 5", id="above"),
        pytest.param("p.jsonl", lines(entry(0, index=-1)), "line 1 has the index -1", id="below"),
        pytest.param("p.jsonl", lines(entry(0, index="1")), "line 1 has the index '1'", id="index-as-text"),
        pytest.param("p.jsonl", lines(entry(0, index=True)), "line 1 has the index True", id="index-as-truth"),
        pytest.param("p.jsonl", lines(entry(0, sql=3)), "line 1: sql is 3, not SQL", id="number"),
        pytest.param("p.jsonl", lines(entry(0, db_id="zoo")), "line 1 is for database 'zoo', question 'shop", id="db"),
        pytest.param("p.jsonl", '{"index": 0}\n', "line 1 holds no prediction: it lacks 'predicted_sql'", id="nothing"),
        pytest.param("p.jsonl", "SELECT 1\n", "line 1 is no prediction", id="no-json"),
        pytest.param("p.jsonl", '"SELECT 1"\n', "line 1 is no prediction", id="bare-text"),
        pytest.param("p.json", "3", "neither a list nor an object of predictions but int", id="no-list"),
        pytest.param("p.json", '["SELECT 1", 3]', "entry 1 is no prediction: 3", id="number-in-list"),
        pytest.param("p.json", "{", "p.json' cannot be read: it is no JSON: Expecting", id="cut-off"),
        pytest.param(
            "p.txt",
            lines(*(f"{db_id}\t{sql}" for db_id, sql in zip(DATABASES, GOLD, strict=True))),
            "line 1 has its SQL behind 'shop' and a tab: put the SQL first",
            id="database-first",
        ),
        pytest.param(
            "p.sql", lines(*(f"{n}\t{sql}\tx" for n, sql in enumerate(GOLD))), "line 1 .* '0' and a tab", id="numbered"
        ),
        pytest.param("p.json", json.dumps({"predictions": GOLD}), "they are called as 'shop-0000'", id="wrapped"),
    ],
)
def test_what_cannot_be_taken_is_named(name, text, said, tmp_path):
    with pytest.raises(QuestionsError, match=said):
        read(tmp_path / name, text)


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        pytest.param("utf-16", "it is UTF-16: save it as UTF-8", id="utf-16"),
        pytest.param("utf-16-le", "it holds zero bytes: it is no text, or UTF-16", id="utf-16-without-mark"),
        pytest.param("latin-1", r"line 2 is not UTF-8 \(byte 0xe9\): save it as UTF-8", id="latin-1"),
    ],
)
def test_other_encodings_are_named_with_the_line(encoding, said, tmp_path):
    with pytest.raises(QuestionsError, match=said):
        read(tmp_path / "p.txt", lines(GOLD[0], "SELECT 'é'", *GOLD[2:]), encoding)


def test_a_long_file_of_lines_out_of_place_takes_no_time(tmp_path):
    """Linear: neither many lines nor long ones are compared with one another."""
    text = lines(*["SELECT a FROM " + "b JOIN " * 20_000] * 5, *GOLD * 20_000)
    with pytest.raises(QuestionsError, match="120005 lines"):
        read(tmp_path / "p.sql", text)
