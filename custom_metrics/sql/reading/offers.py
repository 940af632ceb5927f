"""The statements that a turn offers, each with how it is offered and what was said before it."""

import itertools
import re
from collections.abc import Iterator
from typing import NamedTuple

from custom_metrics.sql.reading.fences import Section, sections, unquoted, unstruck
from custom_metrics.sql.reading.objects import decoded
from custom_metrics.sql.reading.quotes import joined, quote_ends
from custom_metrics.sql.reading.starts import Offered, Start, next_start
from custom_metrics.sql.reading.statement import NotSql, Statement, read_statement

# JSON in JSON in a fence ...: deeper than this nobody looks.
_DEEPEST = 6
_SQL_KEY = re.compile(r"sql|query|statement|answer|final|solution", re.IGNORECASE)
_ASIDE_KEY = re.compile(
    r"thought|thinking|reason|rational|expla|analy|plan|comment|descr|question|instruction|schema|note|steps?\b|example"
    r"|draft|original",
    re.IGNORECASE,
)
_SQL_LANGUAGE = re.compile(r"sql|postgres|\A\Z", re.IGNORECASE)
# In small letters within a sentence, "select" is SQL only if "from" and SQL's signs follow.
_FROM = re.compile(r"\bfrom\s+[\w\"`\[(]", re.IGNORECASE)
_SIGNS = re.compile(r"[*=<>()_]|\w\.\w")
# What a model says of a statement on its line: a cross before it, a remark behind it.
_CROSSED = re.compile(r"[❌✗✘🚫][\W_]*\Z")
_REFUTED = re.compile(
    r"[ \t;`]*(?:(?:--+|#+|//+|/\*|\(|<-+|←)[ \t]*(?:(?:this|that|it|which)(?:'s| is| was| would be)? )?(?:an? |the )?"
    r"(?:wrong|incorrect|not (?:correct|right)|invalid|bad|do(?:es)?(?:n't| not) work)\b|[❌✗✘🚫]|.{0,5}[❌✗✘🚫])",
    re.IGNORECASE,
)
_NOTHING = re.compile(r"\s*\Z")
_CLOSING_SIGNS = " \t\r\n`~\"'}])*>$.;"


class Offer(NamedTuple):
    """A statement, and ``lead``: what is said between the one before and it. ``fenced``: it stands in a fence.

    ``last``: nothing follows it, so that a statement that is not whole was cut short. ``rejected``: it is marked wrong.
    """

    statement: Statement
    offered: Offered
    fenced: bool
    lead: str = ""
    last: bool = False
    rejected: bool = False


class Passage(NamedTuple):
    """Text in which to look for statements, and what is known of it from around it."""

    text: str
    least: Offered = Offered.MENTIONED  # how firmly a statement on a line of its own is offered
    most: Offered = Offered.MARKED
    marked: bool = False  # as SQL
    fenced: bool = False
    depth: int = 0


def offers(turn: str) -> list[Offer]:
    """The statements in ``turn``, in order."""
    found: list[Offer] = []
    lead: list[str] = []
    for said in _parts(Passage(unquoted(unstruck(turn)))):
        if isinstance(said, str):
            lead.append(said)
        else:
            found.append(said._replace(lead="".join(lead)))
            lead = []
    if found and not "".join(lead).strip(_CLOSING_SIGNS):
        found[-1] = found[-1]._replace(last=True)
    return found


def _parts(passage: Passage) -> Iterator[str | Offer]:
    """What ``passage`` says in order: offers, and the text between them."""
    if passage.depth > _DEEPEST:
        return
    for section in sections(passage.text):
        if section.fields is not None:
            # A list under one key may hold the lines of one statement.
            for key, fields in itertools.groupby(section.fields, key=lambda field: field.key):
                yield f"\n{key}: "
                yield from _parts(_field(passage, key, "\n".join(field.value for field in fields)))
        elif section.language is not None:
            yield from _parts(_fence(passage, section))
        else:
            yield from _statements(passage._replace(text=joined(section.text)))


def _fence(around: Passage, section: Section) -> Passage:
    is_sql = _SQL_LANGUAGE.search(section.language) is not None
    return Passage(
        text=section.text,
        least=Offered.MARKED if is_sql else Offered.SAID,
        most=around.most,
        marked=is_sql and section.language != "",
        fenced=True,
        depth=around.depth + 1,
    )


def _field(around: Passage, key: str, value: str) -> Passage:
    is_sql, is_aside = _SQL_KEY.search(key) is not None, _ASIDE_KEY.search(key) is not None
    return Passage(
        text=unquoted(value),
        least=Offered.MARKED if is_sql else Offered.SAID,
        most=Offered.MENTIONED if is_aside else around.most,
        marked="sql" in key.lower(),
        fenced=True,
        depth=around.depth + 1,
    )


def _statements(passage: Passage) -> Iterator[str | Offer]:
    """The statements of text in which nothing is set apart from the rest."""
    text, place, read_to = passage.text, 0, 0
    while start := next_start(text, read_to):
        try:
            statement = _read(text, start, passage.marked)
        except NotSql as error:
            read_to = max(error.place, start.place + 1)
            continue
        read_to = statement.read_to
        if _is_offered(start, statement, passage):
            yield text[place : statement.start]
            yield Offer(statement, _how_firmly(start, passage), passage.fenced, rejected=_is_rejected(text, statement))
            place = statement.end
    yield text[place:]


def _is_rejected(text: str, statement: Statement) -> bool:
    before = text[max(0, statement.start - 20) : statement.start].rpartition("\n")[2]
    return _CROSSED.search(before) is not None or _REFUTED.match(text, statement.end) is not None


def _read(text: str, start: Start, marked: bool) -> Statement:
    """The statement at ``start``, which ends where its quote does."""
    statement, refused = None, NotSql(start.place)
    for end in quote_ends(text, start.place, start.quote):
        try:
            statement = _read_to(text, start, end, marked)
        except NotSql as error:
            refused = error
            continue
        if statement.whole:
            break
    if statement is None:
        raise refused
    return statement


def _read_to(text: str, start: Start, end: int, marked: bool) -> Statement:
    quoted = text[start.place : end]
    if start.quote not in ("'", '"') or "\\" not in quoted:
        return read_statement(text, start.place, end, marked=marked)
    string = decoded(quoted)
    return read_statement(string, 0, len(string), marked=marked)._replace(start=start.place, end=end, read_to=end)


def _how_firmly(start: Start, passage: Passage) -> Offered:
    is_said = passage.marked or start.offered > Offered.MENTIONED
    return min(max(start.offered, passage.least) if is_said else start.offered, passage.most)


def _is_offered(start: Start, statement: Statement, passage: Passage) -> bool:
    """Whether a reader would take it for a statement, and not for words of a sentence."""
    if passage.marked:
        return statement.whole or not start.in_sentence
    if not statement.query:
        is_sql = start.keyword not in ("explain", "Explain") or _FROM.search(statement.sql) is not None
        return is_sql and (not start.in_sentence or start.quote != "")
    has_from, has_signs = _FROM.search(statement.sql) is not None, _SIGNS.search(statement.sql) is not None
    in_capitals, is_last = start.keyword.isupper(), _NOTHING.match(passage.text, statement.end) is not None
    if start.in_sentence:
        return statement.whole and (start.quote != "" or in_capitals or (has_from and has_signs))
    return statement.whole or has_from or is_last or (in_capitals and has_signs)
