"""The names that WITH gives to queries, before the main query begins."""

from custom_metrics.sql.reading.lexer import Token

_MAIN = frozenset({"select", "values", "insert", "replace", "update", "delete", "("})


class WithHeader:
    """What WITH expects next: ``name [(columns)] AS [[NOT] MATERIALIZED] (query)``, a comma and more, the main query.

    It is shown the tokens outside brackets. ``named``: at least one name has got its query.
    """

    def __init__(self) -> None:
        self.named = False
        self.ended = False
        self._next = "name"

    def expects(self, token: Token) -> bool:
        word = token.lower
        if self._next == "name":
            return token.kind in ("word", "name", "string")
        if self._next == "columns":
            return word in ("as", "(")
        if self._next == "as":
            return word == "as"
        if self._next == "query":
            return word in ("not", "materialized", "(")
        return word == "," or word in _MAIN

    def take(self, token: Token) -> None:
        word = token.lower
        if self._next == "name" and word != "recursive":
            self._next = "columns"
        elif self._next in ("columns", "as"):
            self._next = "query" if word == "as" else "as"
        elif self._next == "query" and word == "(":
            self._next, self.named = "more", True
        elif self._next == "more" and word == ",":
            self._next = "name"
        elif self._next == "more" and word in _MAIN:
            self.ended = True
