"""The classes of wrong answers, without sqlglot, which finding one needs (``analysis``)."""

from enum import StrEnum


class ErrorClass(StrEnum):
    """The classes; exactly one belongs to a wrong answer."""

    NO_SQL = "no SQL"
    DOES_NOT_PARSE = "does not parse"
    UNKNOWN_TABLE = "unknown table"
    UNKNOWN_COLUMN = "unknown column"
    AMBIGUOUS_COLUMN = "ambiguous column"
    UNKNOWN_FUNCTION = "unknown function"
    INVALID_QUERY = "invalid query"
    REFUSED = "refused"
    SEVERAL_STATEMENTS = "several statements"
    TIME_LIMIT = "time limit"
    ROW_CAP = "row cap"
    MEMORY = "memory or size limit"
    TABLES = "wrong tables or joins"
    NESTING = "wrong set operation or nesting"
    VALUE = "wrong value in a filter"
    FILTER = "wrong filter"
    GROUPING = "wrong grouping"
    AGGREGATE = "wrong aggregate"
    COLUMNS = "wrong columns"
    ORDER = "wrong order or limit"
    DISTINCT = "missing or extra DISTINCT"
    COLUMN_ORDER = "right rows in other columns' order"
    OTHER = "other"


CLASS_OF_KIND = {
    "no sql": ErrorClass.NO_SQL,
    "syntax": ErrorClass.DOES_NOT_PARSE,
    "unknown table": ErrorClass.UNKNOWN_TABLE,
    "unknown column": ErrorClass.UNKNOWN_COLUMN,
    "ambiguous column": ErrorClass.AMBIGUOUS_COLUMN,
    "unknown function": ErrorClass.UNKNOWN_FUNCTION,
    "execution": ErrorClass.INVALID_QUERY,
    "denied": ErrorClass.REFUSED,
    "several statements": ErrorClass.SEVERAL_STATEMENTS,
    "no statement": ErrorClass.NO_SQL,
    "time limit": ErrorClass.TIME_LIMIT,
    "row cap": ErrorClass.ROW_CAP,
    "memory": ErrorClass.MEMORY,
    "too large": ErrorClass.MEMORY,
}
# A wrong answer of these classes is an error message or nothing at all: whoever asked can see that it failed.
VISIBLE = frozenset(CLASS_OF_KIND.values())
