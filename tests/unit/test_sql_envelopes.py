"""A query comes out of whatever a model wraps it in as it went in."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from custom_metrics.sql.extraction import extract_sql
from tests.envelopes import ENVELOPES

_DEV = Path(__file__).parents[2] / "fixtures" / "miniature" / "spider" / "dev.json"
GOLD = list(dict.fromkeys(entry["query"] for entry in json.loads(_DEV.read_text(encoding="utf-8"))))
_CLAUSE = re.compile(r" (?=(?:FROM|WHERE|GROUP BY|ORDER BY|HAVING|LIMIT|UNION|INTERSECT|EXCEPT|JOIN|AND|OR|ON)\b)")
_SPACE = re.compile(r"(?<=[\w,)=<>]) (?=[\w(=<>])")
BREAKS = [
    "\n",
    "\n    ",
    "\n\n",
    "\r\n",
    "  ",
    "\t",
    "\n-- what follows narrows this down to what is asked\n",
    " /* so */ ",
]


def broken(sql: str, where: re.Pattern, what: str) -> str:
    """``sql`` with ``what`` in the place of what ``where`` finds outside strings."""
    parts = re.split(r"('[^']*'|\[[^]]*\])", sql)
    return "".join(part if part.startswith(("'", "[")) else where.sub(what, part) for part in parts)


def in_a_subquery(sql: str) -> str:
    return f"SELECT count(*) FROM ({sql}) AS found"


def in_a_with(sql: str) -> str:
    return f"WITH RECURSIVE [first part](a) AS NOT MATERIALIZED (\n{sql}\n),\n\nb AS ({sql})\n\nSELECT * FROM b"


def in_brackets(sql: str) -> str:
    return f"({sql})\nUNION ALL\n({sql})"


def in_a_case(sql: str) -> str:
    return f"SELECT CASE\nWHEN EXISTS ({sql}) THEN 'It’s &lt;3, \\_ and “this”'\nELSE ';' END"


@pytest.mark.parametrize("envelope", ENVELOPES)
def test_every_gold_query_comes_out_as_it_went_in(envelope):
    wrap = ENVELOPES[envelope]
    differing = [(sql, found) for sql in GOLD if (found := extract_sql(wrap(sql))) != sql]
    assert differing == []


@settings(max_examples=500, deadline=None)
@given(
    sql=st.sampled_from(GOLD),
    change=st.sampled_from([str, str.lower, str.upper, in_a_subquery, in_a_with, in_brackets, in_a_case]),
    where=st.sampled_from([_CLAUSE, _SPACE]),
    what=st.sampled_from(BREAKS),
    envelope=st.sampled_from(sorted(ENVELOPES)),
)
def test_queries_come_out_however_they_are_laid_out(sql, change, where, what, envelope):
    sql = broken(change(sql), where, what)
    found = extract_sql(ENVELOPES[envelope](sql))
    # Envelopes that speak of lines may have other line ends.
    assert found is not None
    assert found.replace("\r", "") == sql.replace("\r", "")


@settings(max_examples=300, deadline=None)
@given(
    content=st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs", "Cc"]), max_size=40),
    envelope=st.sampled_from(
        ["bare", "fence", "label", "tag", "json", "json-in-a-fence-in-json", "thought", "labels-around"]
    ),
)
def test_what_a_string_holds_is_never_altered(content, envelope):
    content = content.replace("'", "''").replace("```", "").replace("~~~", "")
    sql = f"SELECT name FROM song WHERE title = '{content}' ORDER BY name"
    assert extract_sql(ENVELOPES[envelope](sql)) == sql
