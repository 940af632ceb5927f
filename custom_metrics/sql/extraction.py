"""A model's reply -> the one SQL statement it means, or None.

The first query counts, in the first fence that has one or else in the text. Replies that go on after their answer
(explanations, alternatives, the next question of a few-shot prompt) are common; replies that correct themselves are
rare, and the official evaluator too runs the first statement only.
"""

import json
import re

from custom_metrics.sql.tokens import SQL_TOKEN

_THINKING = re.compile(r"<(think|thinking|thought|reasoning)>.*?(?:</\1>|\Z)", re.IGNORECASE | re.DOTALL)
_END_OF_THINKING = re.compile(r"</(?:think|thinking|thought|reasoning)>", re.IGNORECASE)
_TURN_START = re.compile(
    r"<\|start_header_id\|>\s*\w*\s*<\|end_header_id\|>|<\|im_start\|>\s*assistant\b|<\|assistant\|>"
    r"|\[INST\].*?(?:\[/INST\]|\Z)",
    re.DOTALL,
)
_TURN_END = re.compile(r"<\|[\w ]+\|>|</?s>|\[/INST\]|<</?SYS>>|<(?:start|end)_of_turn>|<eos>")
_FENCE = re.compile(r"```[ \t]*(?:([\w+-]*)[ \t]*\n|sql(?:ite)?\b)?(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)
_SQL_LANGUAGES = ("", "sql", "sqlite", "sqlite3", "mysql", "postgresql", "postgres")
_SET_OPERATIONS = ("union", "all", "except", "intersect")

# Where a reader would see SQL begin: at the start of a line, after a marker such as "SQL:", "2." or ">".
_LINE_START = r"(?:^|\n)[ \t>*#-]*(?:\d+[.)][ \t]*)?(?:[A-Za-z ]{0,30}:[ \t*]*)?"
# A query may also begin after a colon, quote or bracket, and in capitals anywhere; but not where English goes on.
_QUERY_START = re.compile(
    rf"(?:{_LINE_START}|(?<=[:`\"'(])\s*|\b(?-i:(?=SELECT\b|WITH\b)))"
    r"(?P<sql>select\b(?!\s+(?:the|an|your|this|these|those|statements?|quer(?:y|ies)|clauses?|keywords?|commands?)"
    r"\s+(?!from\b|as\b)[a-z])"
    r"|with\s+(?:recursive\s+)?[\w`\"]+\s*(?:\([^()]*\)\s*)?as\s+(?:(?:not\s+)?materialized\s*)?\()",
    re.IGNORECASE,
)
# In small letters within a sentence, "select" is SQL only if "from" and SQL's punctuation follow.
_HIDDEN_START = re.compile(
    r"\b(?P<sql>select\b(?=[^\n]{1,300}?\bfrom\s+(?!(?:the|this|that|your|an?|it)\b)\w)"
    r"(?=[^\n]{1,300}?(?:[*=<>()_]|\w\.\w)))",
    re.IGNORECASE,
)
_OTHER_START = re.compile(
    rf"{_LINE_START}(?P<sql>(?:insert|replace)\s+(?:or\s+\w+\s+)?into\s|update\s+\S+\s+set\s|delete\s+from\s"
    r"|(?:create|drop|alter)\s+(?:\w+\s+)?(?:table|view|index|trigger|database)\s"
    r"|pragma\s+\w|attach\s+(?:database\s+)?['\"]|detach\s+database\s|vacuum(?=\s*(?:;|into\b|$)))",
    re.IGNORECASE,
)
# Outside a fence nothing marks where SQL ends and prose goes on, so a line that opens like prose ends the SQL,
# and so does an empty line, unless SQL goes on after it.
_PROSE_LINE = re.compile(
    r"\s*(?:(?:explanation|note|output|result|answer|question|query|sql|schema|example|database)s?\b[^\n]{0,20}:"
    r"|(?:this|the|here|in|it|we|you|let|i|please|explanation|note|alternatively|or|however|if),?"
    r"\s+[a-z']+\s+[a-z']+\s+[a-z']"
    r"|#|\*\*|---|===|[qa]:|```|\d+[.)]\s)",
    re.IGNORECASE,
)
_CONTINUATION = re.compile(
    r"\s*(?:(?:select|from|where|group|having|order|limit|union|except|intersect|join|inner|left|right|full|cross"
    r"|natural|on|and|or|not|in|when|then|else|end|as)\b|[,()])",
    re.IGNORECASE,
)


def extract_sql(reply: str) -> str | None:
    """The SQL statement ``reply`` means, without trailing semicolon; None if there is none, as in a refusal.

    >>> extract_sql("Sure!\\n```sql\\nSELECT 1;\\n```\\nThis returns one.")
    'SELECT 1'
    >>> extract_sql("I cannot select anything from this database.") is None
    True
    """
    text = _without_debris(reply)
    fences = [body for language, body in _FENCE.findall(text) if language.lower() in _SQL_LANGUAGES]
    # A query anywhere is preferred to another statement anywhere: models repeat the schema they were given.
    for start in (_QUERY_START, _HIDDEN_START, _OTHER_START):
        for fence in fences:
            if sql := _first_statement(fence, start):
                return sql
        if sql := _first_statement(_json_value(text) or _before_prose(text, start), start):
            return sql
    return None


def _without_debris(reply: str) -> str:
    """``reply`` without thoughts, chat-template tokens and what a model writes after the end of its turn."""
    text = _THINKING.sub("", reply.replace("\r\n", "\n"))
    text = _END_OF_THINKING.split(text)[-1]
    text = _TURN_START.sub("\n", text)
    return next((turn for turn in _TURN_END.split(text) if turn.strip()), "")


def _json_value(text: str) -> str | None:
    """The first string of a JSON object such as ``{"sql": "SELECT 1"}`` that is a query."""
    try:
        values = json.loads(text[text.index("{") : text.rindex("}") + 1]).values()
    except (ValueError, RecursionError, AttributeError):
        return None
    return next((value for value in values if isinstance(value, str) and _QUERY_START.match(value)), None)


def _before_prose(text: str, start: re.Pattern) -> str:
    """``text`` up to the line after its first statement that is prose again."""
    found = start.search(text)
    if found is None:
        return text
    lines = text[found.start("sql") :].split("\n")
    after_empty = False
    for number, line in enumerate(lines):
        if number and line.strip() and (_PROSE_LINE.match(line) or (after_empty and not _CONTINUATION.match(line))):
            return text[: found.start("sql")] + "\n".join(lines[:number])
        after_empty = not line.strip()
    return text


def _first_statement(text: str, start: re.Pattern) -> str | None:
    found = start.search(text)
    if found is None:
        return None
    opening, sql = text[: found.start("sql")][-1:], text[found.start("sql") :]
    line_start = text.rfind("\n", 0, found.start("sql")) + 1
    if whole := _OTHER_START.match(text[line_start : found.start("sql")]):
        # The query is part of a write, as in CREATE TABLE ... AS SELECT; to run it alone would be to mend the reply.
        sql = text[line_start + whole.start("sql") :]
    if opening == "`":
        sql = _to_closing_backtick(sql)
    elif opening in ('"', "'") and opening in sql:
        sql = sql[: sql.rindex(opening)]
    return _unescape(_to_statement_end(sql)).strip() or None


def _to_closing_backtick(sql: str) -> str:
    """Up to the backtick that ends inline code; before it, quoted names have their backticks in pairs."""
    for number, backtick in enumerate(re.finditer("`", sql)):
        if number % 2 == 0 and not sql[backtick.end() :][:1].isalnum():
            return sql[: backtick.start()]
    return sql


def _to_statement_end(sql: str) -> str:
    """Up to the first semicolon, bracket closed too many, or line that starts a second query."""
    depth, selects, previous, previous_end = 0, 0, "", 0
    for token in SQL_TOKEN.finditer(sql):
        text = token.group().lower()
        if text == ";" or (text == ")" and depth == 0):
            return sql[: token.start()]
        if text == "select" and depth == 0:
            starts_line = "\n" in sql[previous_end : token.start()]
            if selects and starts_line and previous not in _SET_OPERATIONS:
                return sql[: token.start()]
            selects += 1
        depth += (text == "(") - (text == ")")
        previous, previous_end = text, token.end()
    return sql


def _unescape(sql: str) -> str:
    """Without the backslashes of Markdown: some instruct models write ``singer\\_id`` even in bare SQL."""
    return sql if re.search(r"\bescape\b", sql, re.IGNORECASE) else sql.replace("\\_", "_").replace("\\*", "*")
