"""Which values of a database a question may mean: those that have most of their letters in common with it."""

import os
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from trainer.spider.cells import ColumnCells

# Counts up when other values are found of the same database and question.
METHOD = 1
MOST_COLUMNS = 10
LEAST_SHARE = 0.6  # of a value's letters that a question must have
_KEY = 4  # letters in which words that are alike begin
_ALIKE = 0.75  # of a value's word that a word of the question must begin with
_MOST_CANDIDATES = 20_000
_WORD = re.compile(r"[^\W_]+")
_COMMON = frozenset(
    """
    a about all an and any are as at average be been both but by can count did do does each find for from give greater
    had has have how i id if in is it its least less list many maximum me minimum more most much name names no not
    number of off on or other our out over per show so some such tell than that the their them there these they this
    those to total up us was we were what when where which who whose will with without would you
    """.split()
)


@dataclass(frozen=True)
class ColumnValues:
    """Values of one column, the likeliest first."""

    table: str
    column: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class _Value:
    place: int  # of its column
    text: str
    words: tuple[str, ...]
    letters: int


class ValueIndex:
    """A database's values by their words."""

    def __init__(self, columns: Sequence[ColumnCells]):
        self._columns = columns
        self._by_key: dict[str, list[_Value]] = {}
        for place, column in enumerate(columns):
            for text in column.texts:
                words = words_of(text)
                value = _Value(place, text, words, sum(map(len, words)))
                for key in {word[:_KEY] for word in words}:
                    self._by_key.setdefault(key, []).append(value)

    def meant_by(self, question: str, most: int) -> tuple[ColumnValues, ...]:
        """At most ``most`` values of a column that ``question`` may mean, columns in the schema's order.

        A value counts by the share of its letters that stand in the longest run of words that it has in common with
        the question (the longest common substring of BRIDGE, arXiv 2012.12627, and CodeS, arXiv 2402.16347, in whole
        words, of which a word of the question may go on otherwise: "Canadian", Canada).
        """
        asked = words_of(question)
        candidates: dict[int, _Value] = {}
        for word in asked:
            if word not in _COMMON:
                for value in self._by_key.get(word[:_KEY], ())[:_MOST_CANDIDATES]:
                    candidates[id(value)] = value
        found: dict[int, list[tuple[float, int, str]]] = {}
        for value in candidates.values():
            share = common_run(value.words, asked) / value.letters
            if share >= LEAST_SHARE and not all(word in _COMMON for word in value.words):
                found.setdefault(value.place, []).append((-share, -value.letters, value.text))
        best = sorted(found, key=lambda place: (min(found[place])[:2], place))[:MOST_COLUMNS]
        return tuple(
            ColumnValues(
                self._columns[place].table,
                self._columns[place].column,
                tuple(text for _, _, text in sorted(found[place])[:most]),
            )
            for place in sorted(best)
        )


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text in small letters, without accents and the ending of a plural."""
    small = text.casefold()
    if not small.isascii():
        small = "".join(letter for letter in unicodedata.normalize("NFKD", small) if not unicodedata.combining(letter))
    return tuple(map(_singular, _WORD.findall(small)))


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def common_run(words: Sequence[str], asked: Sequence[str]) -> float:
    """Letters of ``words`` in the longest run of them that ``asked`` has too."""
    best, before = 0.0, [0.0] * (len(asked) + 1)
    for word in words:
        row = [0.0]
        for place, other in enumerate(asked):
            shared = alike(word, other)
            row.append(before[place] + shared if shared else 0.0)
        best, before = max(best, *row), row
    return best


@lru_cache(maxsize=1 << 16)
def alike(word: str, other: str) -> int:
    """How many letters of ``word`` a word of the question gives: all, its beginning, or none."""
    if word == other:
        return len(word)
    shared = len(os.path.commonprefix([word, other]))
    return shared if shared >= _KEY and shared >= _ALIKE * len(word) else 0
