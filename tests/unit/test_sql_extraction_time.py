"""No reply takes longer to read than its length allows: a model may write anything, a million times."""

import random
import time

import pytest

from custom_metrics.sql.extraction import extract_sql
from custom_metrics.sql.reading.choosing import choose
from custom_metrics.sql.reading.offers import offers
from custom_metrics.sql.reading.turns import answering_turn

MEGABYTE = 1_000_000
ORDINARY = "```sql\nSELECT name FROM singer WHERE age > 20;\n```\nThis lists the names.\n"
LIMIT = 4.0  # times an ordinary reply of that length, read beside it: slow machines change nothing; it takes 2 at most
TRIES = 3
PIECES = {
    "spaces": [" ", "\n", "\n ", "\\n", "\u200b", "\u00a0"],
    "signs": [
        "'",
        '"',
        "`",
        "(",
        "[",
        "{",
        "<",
        "\\'",
        "‘",
        "“",
        "（",
        "&#39;",
        "?",
        ".",
        ":",
        "**",
        "> ",
        "- ",
        "= '",
        "='",
        "~~a ",
        "~~a~~",
        "<del>",
        "SELECT 1 ❌\n",
    ],
    "keywords": [
        "select ",
        "SELECT\n",
        "SELECT a, ",
        "SELECT 1 UNION ",
        "CASE WHEN ",
        "update ",
        "insert or a ",
        "values (",
    ],
    "brackets": [
        "(SELECT ",
        "((SELECT ",
        "x(SELECT 1)",
        "SELECT [",
        "with a(",
        "WITH a AS (",
        "with a as (select 1), ",
    ],
    "quotes": [
        "`SELECT ",
        "'SELECT ",
        '"SELECT ',
        '\\"SELECT ',
        "SELECT ‘",
        "'''SELECT ",
        "SELECT &#39;",
        "SELECT a WHERE '",
    ],
    "comments": [
        "/*",
        "--",
        "--\n",
        "with /*",
        "SELECT /*",
        "-- a\nSELECT 1\n",
        "SELECT a -- b\n",
        "--SELECT 1",
        '\\"SELECT \\n--',
    ],
    "statements": [
        "SELECT 1;",
        "SELECT 1 FROM a\n",
        "SELECT a FROM b. ",
        "SELECT 1\n\nWait, final: ",
        "SELECT a\n- b\n",
    ],
    "fences": [
        "```",
        "```\n",
        "```sql\n",
        "~~~",
        "```sql\nSELECT 1\n```\n",
        "````\n```\n",
        "~~~> SELECT\n",
        "```{select ",
    ],
    "objects": ['{"a": "', "{'sql': '", '{"sql": "x" y ', "[{", '```json\n{"sql": "SELECT 1"}\n```\n', '{"a": {"a": '],
    "thoughts": [
        "<think>",
        "</think>",
        "<think></think>",
        "<answer>",
        "<|channel|>analysis",
        "[THINK]",
        "[INST]",
        "<|think|>",
    ],
    "turns": ["<|im_start|>", "<|eot_id|>", "</s>", "<|im_start|>assistant\n", "[/INST]a", "<start_of_turn>model\n"],
    "words": [
        "the ",
        "a_",
        "a: ",
        "select the ",
        "Answer: ",
        "Q: ",
        "or ",
        "SELECT 1\nor\n",
        "a 的 ",
        "final ",
        "? :",
        "ＳＥＬＥＣＴ ",
    ],
}


def random_text(length: int) -> str:
    pieces = [piece for kind in PIECES.values() for piece in kind]
    return "".join(random.Random(length).choices(pieces, k=length // 4))[:length]


def read_whole(text: str) -> str | None:
    return choose(offers(answering_turn(text)))


def seconds(read, text: str) -> float:
    start = time.process_time()
    read(text)
    return time.process_time() - start


def times_ordinary(text: str) -> float:
    """How many times as long as an ordinary reply it takes to read; what others disturb is measured again."""
    ordinary, taken = ORDINARY * (MEGABYTE // len(ORDINARY)), []
    while len(taken) < TRIES and min(taken, default=LIMIT) >= LIMIT:
        taken.append(seconds(extract_sql, text) / seconds(extract_sql, ordinary))
    return min(taken)


@pytest.mark.parametrize("kind", PIECES)
def test_a_megabyte_of_anything_is_read_at_once(kind):
    for piece in PIECES[kind]:
        text = piece * (MEGABYTE // len(piece))
        assert times_ordinary(f"{text}\nSELECT 1") < LIMIT, piece


def test_a_megabyte_of_everything_is_read_at_once():
    assert times_ordinary(random_text(MEGABYTE)) < LIMIT
    assert times_ordinary("".join(map(chr, random.Random(0).choices(range(1, 0xD800), k=MEGABYTE)))) < LIMIT


@pytest.mark.parametrize("kind", PIECES)
def test_time_grows_with_the_length_alone(kind):
    """Without the limit on what is read: four times the text may take four times as long, and not sixteen times."""
    for piece in PIECES[kind]:
        short, long = (piece * (length // len(piece)) for length in (10_000, 40_000))
        least = min(seconds(read_whole, short) for _ in range(2))
        assert min(seconds(read_whole, long) for _ in range(2)) < 10 * least + 0.02, piece
