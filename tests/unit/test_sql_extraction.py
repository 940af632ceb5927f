import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from custom_metrics.sql.extraction import MAX_READ_CHARACTERS, extract_sql, read_reply

# Replies in the manner of Llama, Qwen, Mistral, GPT and DeepSeek, each with the SQL that a person reads in it.
REPLIES = [
    json.loads(line) for line in Path(__file__).with_name("replies.jsonl").read_text(encoding="utf-8").splitlines()
]
QUERY = "SELECT name FROM singer WHERE age > 20"


@pytest.mark.parametrize(
    ("reply", "sql"),
    [
        pytest.param("SELECT 1", "SELECT 1", id="bare"),
        pytest.param(
            "select name\nfrom singer\n\nwhere age > 20;",
            "select name\nfrom singer\n\nwhere age > 20",
            id="several-lines",
        ),
        pytest.param("SELECT 1;;;  ", "SELECT 1", id="semicolons"),
        pytest.param("Sure!\n```sql\nSELECT 1;\n```", "SELECT 1", id="fenced-with-prose"),
        pytest.param("```\nSELECT 1\n```", "SELECT 1", id="fence-without-language"),
        pytest.param("```SQLite\nSELECT 1\n```\nIt works.", "SELECT 1", id="fence-in-another-spelling"),
        pytest.param("```sql\r\nSELECT 1\r\n```", "SELECT 1", id="windows-line-ends"),
        pytest.param("```sql\nSELECT 1", "SELECT 1", id="fence-without-end"),
        pytest.param("```SELECT 1```", "SELECT 1", id="fence-on-one-line"),
        pytest.param("```sql select 1```", "select 1", id="fence-and-language-on-one-line"),
        pytest.param(
            "```sql\nSELECT a\n\n-- note: b\nFROM c\n```", "SELECT a\n\n-- note: b\nFROM c", id="comment-inside"
        ),
        pytest.param("```python\nx = 1\n```\n```sql\nSELECT 1\n```", "SELECT 1", id="second-fence-has-the-sql"),
        pytest.param("```sql\nSELECT 1\n```\nOr:\n```sql\nSELECT 2\n```", "SELECT 1", id="first-fence-counts"),
        pytest.param("First SELECT 1.\n```sql\nSELECT 2\n```", "SELECT 2", id="a-fence-before-the-text"),
        pytest.param(f"The query is `{QUERY}`.", QUERY, id="inline-code"),
        pytest.param(
            "Use `SELECT `a` FROM `b` WHERE 1`.", "SELECT `a` FROM `b` WHERE 1", id="inline-code-with-backticks"
        ),
        pytest.param(f'"{QUERY}"', QUERY, id="in-quotes"),
        pytest.param(f"SQL: {QUERY}", QUERY, id="prefix"),
        pytest.param(f"**SQL Query:** {QUERY}", QUERY, id="markdown-prefix"),
        pytest.param(f"### Answer\n{QUERY}", QUERY, id="heading"),
        pytest.param(f"sqlite> {QUERY};", QUERY, id="prompt"),
        pytest.param(f"1. {QUERY}\n2. SELECT 2", QUERY, id="numbered"),
        pytest.param(f"Here is the query you need: {QUERY.lower()};", QUERY.lower(), id="after-a-colon"),
        pytest.param("To answer this we need SELECT 1;", "SELECT 1", id="capitals-in-a-sentence"),
        pytest.param(
            "that would be select count(*) from singer", "select count(*) from singer", id="small-letters-in-a-sentence"
        ),
        pytest.param(
            "Select the names of all singers:\nselect name from singer", "select name from singer", id="english-select"
        ),
        pytest.param("With the table singer as (say) a base:\n" + QUERY, QUERY, id="english-with"),
        pytest.param(
            f"{QUERY}\n\nThis query returns the names of all singers.", QUERY, id="explained-after-an-empty-line"
        ),
        pytest.param(f"{QUERY}\nThis query returns the names.", QUERY, id="explained-on-the-next-line"),
        pytest.param(f"{QUERY}\nExplanation: it filters.", QUERY, id="explanation-prefix"),
        pytest.param(f"{QUERY}\n\nQuestion: How many?\nSELECT 2", QUERY, id="the-next-question"),
        pytest.param(f"{QUERY}; SELECT 2", QUERY, id="two-statements"),
        pytest.param(f"{QUERY}\n{QUERY}\n{QUERY}", QUERY, id="repeated-without-semicolon"),
        pytest.param(
            "SELECT a FROM b\nUNION\nSELECT c FROM d", "SELECT a FROM b\nUNION\nSELECT c FROM d", id="set-operation"
        ),
        pytest.param("WITH a AS (SELECT 1)\nSELECT * FROM a", "WITH a AS (SELECT 1)\nSELECT * FROM a", id="with"),
        pytest.param(
            "with recursive n(x) as (select 1) select x from n",
            "with recursive n(x) as (select 1) select x from n",
            id="cte",
        ),
        pytest.param("SELECT ';' FROM a; SELECT 2", "SELECT ';' FROM a", id="semicolon-in-a-string"),
        pytest.param("SELECT 'it''s; ' FROM a;", "SELECT 'it''s; ' FROM a", id="quote-in-a-string"),
        pytest.param("SELECT 1 -- one; more\nFROM a", "SELECT 1 -- one; more\nFROM a", id="semicolon-in-a-comment"),
        pytest.param("(SELECT 1)", "SELECT 1", id="in-brackets"),
        pytest.param("CREATE TABLE a (b);\nSELECT b FROM a", "SELECT b FROM a", id="schema-repeated"),
        pytest.param("DROP TABLE singer;", "DROP TABLE singer", id="no-query-but-a-statement"),
        pytest.param("CREATE VIEW a AS SELECT 1", "CREATE VIEW a AS SELECT 1", id="a-query-within-a-write"),
        pytest.param("insert into a select b from c_d;", "insert into a select b from c_d", id="in-small-letters"),
        pytest.param("<think>SELECT 1 is wrong</think>\nSELECT 2", "SELECT 2", id="thoughts"),
        pytest.param("SELECT 1 is wrong</think>SELECT 2", "SELECT 2", id="thoughts-without-start"),
        pytest.param("<think>Maybe SELECT 1", None, id="thoughts-without-end"),
        pytest.param(
            "SELECT 1<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nSELECT 2", "SELECT 1", id="llama-3-turns"
        ),
        pytest.param("<|im_start|>assistant\nSELECT 1<|im_end|>", "SELECT 1", id="chatml"),
        pytest.param("<s>[INST] How many? [/INST] SELECT 1</s>", "SELECT 1", id="mistral-turns"),
        pytest.param("assistant\n\nSELECT 1", "SELECT 1", id="role-name"),
        pytest.param('{"sql": "SELECT 1", "why": "SELECT"}', "SELECT 1", id="json"),
        pytest.param('```json\n{"query": "select a\\nfrom b"}\n```', "select a\nfrom b", id="fenced-json"),
        pytest.param(
            "SELECT singer\\_id, count(\\*) FROM a", "SELECT singer_id, count(*) FROM a", id="markdown-escapes"
        ),
        pytest.param("SELECT a LIKE '5\\_%' ESCAPE '\\'", "SELECT a LIKE '5\\_%' ESCAPE '\\'", id="sql-escapes"),
        pytest.param("I cannot answer that.", None, id="refusal"),
        pytest.param("I cannot select anything from this database.", None, id="refusal-that-says-select"),
        pytest.param("You could select names from singers.", None, id="advice-that-says-select"),
        pytest.param("The SELECT statement cannot be written.", None, id="refusal-in-capitals"),
        pytest.param("Sorry, as an AI I can't do that with this schema.", None, id="refusal-that-says-with"),
        pytest.param("", None, id="empty"),
        pytest.param("```sql\n```", None, id="empty-fence"),
        pytest.param("42", None, id="only-the-answer"),
    ],
)
def test_extract_sql(reply, sql):
    assert extract_sql(reply) == sql


@settings(max_examples=300, deadline=None)
@given(reply=st.text())
def test_any_text_gives_a_statement_or_none(reply):
    sql = extract_sql(reply)
    assert sql is None or sql.strip() == sql != ""


@pytest.mark.parametrize("entry", [pytest.param(entry, id=entry["id"]) for entry in REPLIES])
def test_a_reply_is_read_as_a_person_reads_it(entry):
    assert extract_sql(entry["reply"]) == entry["sql"]


@pytest.mark.parametrize("entry", [pytest.param(entry, id=entry["id"]) for entry in REPLIES if entry["sql"]])
def test_what_was_read_reads_as_itself(entry):
    assert extract_sql(entry["sql"]) == entry["sql"]


def test_a_long_reply_is_read_from_its_end_and_says_so():
    reply = "SELECT 1;\n" + "So it goes. " * 20_000 + "\nFinal answer: " + QUERY
    assert read_reply(reply).sql == QUERY
    assert read_reply(reply).note == "of the reply's 240,063 characters only the last 64,000 were read"


def test_thoughts_do_not_count_for_the_length_of_a_reply():
    thought = "<think>" + "Maybe SELECT 1; " * MAX_READ_CHARACTERS
    assert read_reply(f"{QUERY}\n{thought}</think>").sql == QUERY
    assert read_reply(f"{thought}</think>{QUERY}") == (QUERY, "")
    assert read_reply(thought) == (None, "")
