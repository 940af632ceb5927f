"""A model's reply -> the one SQL statement that it offers as its answer, or None.

The rule: the answer is the last whole statement that the reply offers as its answer. What a person would not run is no
part of it; nothing of what they would run is cut. ``reading`` has the steps.
"""

import difflib
import re
from typing import NamedTuple

from custom_metrics.sql.reading.choosing import choose
from custom_metrics.sql.reading.offers import offers
from custom_metrics.sql.reading.turns import answering_turn

# Several times what a model writes beside its thoughts.
MAX_READ_CHARACTERS = 64_000


class Reading(NamedTuple):
    """What was read in a reply: ``sql`` is None where it offers none, as in a refusal. ``note``: what was left out."""

    sql: str | None
    note: str = ""


def read_reply(reply: str) -> Reading:
    """The SQL statement that ``reply`` offers, without trailing semicolon.

    Of a reply that has more than ``MAX_READ_CHARACTERS`` beside its thoughts, only the last of them are read.
    """
    turn = answering_turn(reply.replace("\r\n", "\n"))
    sql = choose(offers(turn[-MAX_READ_CHARACTERS:]))
    if len(turn) <= MAX_READ_CHARACTERS:
        return Reading(sql)
    return Reading(sql, f"of the reply's {len(turn):,} characters only the last {MAX_READ_CHARACTERS:,} were read")


def extract_sql(reply: str) -> str | None:
    """The SQL statement that ``reply`` offers, or None. See ``read_reply``.

    >>> extract_sql("Sure!\\n```sql\\nSELECT 1;\\n```\\nThis returns one.")
    'SELECT 1'
    >>> extract_sql("I cannot select anything from this database.") is None
    True
    """
    return read_reply(reply).sql


def holds_sql(text: str) -> bool:
    """Whether ``text`` is meant as SQL, if only as a statement whose first word is misspelt: ``SELEC name``.

    >>> [text for text in ("SELECT 1", "SELEC 1", "none", "-- no SQL", "I cannot answer that.", "") if holds_sql(text)]
    ['SELECT 1', 'SELEC 1']
    """
    first = re.match(r"\s*(\w{2,6})\s+\w", text)
    misspelt = first is not None and difflib.get_close_matches(first[1].lower(), ["select", "with"], cutoff=0.8)
    return extract_sql(text) is not None or bool(misspelt and first[1].lower() not in misspelt)
