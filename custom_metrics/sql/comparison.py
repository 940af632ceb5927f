"""When the results of two queries count as equal: three conventions, no SQL.

Values compare as Python compares them: 1 equals 1.0, 1 does not equal "1", floats have no tolerance.
"""

import marshal
from collections import Counter
from collections.abc import Hashable, Sequence

Rows = Sequence[tuple]


def assignment_equal(gold_rows: Rows, predicted_rows: Rows) -> bool:
    """Whether both hold the same multiset of rows, columns in the given order, the order of rows ignored.

    Column names are ignored. Two empty results are equal, whatever their columns.

    >>> assignment_equal([(1, "a"), (2, "b")], [(2, "b"), (1, "a")])
    True
    >>> assignment_equal([(1, "a")], [("a", 1)])
    False
    """
    # As dicts: two Counters compare in Python, row by row and both ways.
    return gold_rows == predicted_rows or (
        len(gold_rows) == len(predicted_rows) and dict.__eq__(Counter(gold_rows), Counter(predicted_rows))
    )


def bird_equal(gold_rows: Rows, predicted_rows: Rows) -> bool:
    """Whether both hold the same set of rows, columns in the given order: the rule of the BIRD benchmark.

    >>> bird_equal([(1,), (1,)], [(1,)])
    True
    """
    return gold_rows == predicted_rows or set(gold_rows) == set(predicted_rows)


def official_equal(gold_rows: Rows, predicted_rows: Rows, *, ordered: bool) -> bool:
    """Whether two query results hold the same rows, by the rules of Spider's official evaluator.

    Rows form a multiset: a row returned twice must be returned twice by both. Row order counts
    only when ``ordered`` (the gold SQL contains ORDER BY). Columns may come in any one order,
    the same for all rows; their names are ignored. Two empty results are equal.

    >>> official_equal([(1, "a"), (2, "b")], [("b", 2), ("a", 1)], ordered=False)
    True
    >>> official_equal([(1,), (1,)], [(1,)], ordered=False)
    False
    """
    if not gold_rows and not predicted_rows:
        return True
    # Most right predictions return the very rows of the gold query, and bytes compare a hundred times faster than rows.
    if marshal.dumps(gold_rows, 2) == marshal.dumps(predicted_rows, 2):
        return True
    if len(gold_rows) != len(predicted_rows) or len(gold_rows[0]) != len(predicted_rows[0]):
        return False
    if not _pass_quick_check(gold_rows, predicted_rows, ordered=ordered):
        return False
    if ordered:
        # With rows in a fixed order a column is one long value, and reordering columns is comparing two bags of them.
        return Counter(zip(*gold_rows, strict=True)) == Counter(zip(*predicted_rows, strict=True))
    return _equal_under_some_column_order(gold_rows, predicted_rows)


def columns_to_match(gold_rows: Rows) -> int | None:
    """How many columns a result must have to be right under any convention; None where that is open.

    Only rows have columns to compare: an empty result equals every other empty one.
    """
    return len(gold_rows[0]) if gold_rows else None


def _pass_quick_check(gold_rows: Rows, predicted_rows: Rows, *, ordered: bool) -> bool:
    """The official evaluator's shortcut: rows must agree once the values within each row are sorted.

    Not only a shortcut: values sort by how they print, so (10, 1.0) and (10.0, 1) come out differently and count
    as different, although the values are equal.
    """
    gold, predicted = ([_sorted_values(row) for row in rows] for rows in (gold_rows, predicted_rows))
    return gold == predicted if ordered else set(gold) == set(predicted)


def _sorted_values(row: tuple) -> tuple:
    return tuple(sorted(row, key=lambda value: f"{value}{type(value)}"))


def _equal_under_some_column_order(gold_rows: Rows, predicted_rows: Rows) -> bool:
    """Whether some one reordering of the predicted columns makes the two multisets of rows equal.

    The official evaluator tries all reorderings, n! for n columns. Here predicted columns are assigned to gold
    columns one after the other, and an assignment is given up as soon as the rows cut to the columns assigned so far
    differ, which in practice is at the first wrong column.
    """
    gold_columns, predicted_columns = (list(zip(*rows, strict=True)) for rows in (gold_rows, predicted_rows))
    gold_bags = [frozenset(Counter(column).items()) for column in gold_columns]
    candidates: dict[Hashable, list[tuple]] = {}
    for column in predicted_columns:
        candidates.setdefault(frozenset(Counter(column).items()), []).append(column)
    if any(len(candidates.get(bag, ())) != gold_bags.count(bag) for bag in set(gold_bags)):
        return False
    # Columns with few candidates first: they tell the rows apart before there is a choice to make.
    order = sorted(range(len(gold_columns)), key=lambda index: len(candidates[gold_bags[index]]))
    pairs = [(gold_columns[index], candidates[gold_bags[index]]) for index in order]
    start = [0] * len(gold_rows)
    return _assign_columns(pairs, start, start)


def _assign_columns(pairs: list[tuple[tuple, list[tuple]]], gold_keys: list[int], predicted_keys: list[int]) -> bool:
    """Whether the gold columns of ``pairs`` can each have a candidate of their own.

    ``gold_keys`` and ``predicted_keys`` number the rows by their values in the columns assigned so far.
    """
    if not pairs:
        return True
    (gold_column, candidates), *rest = pairs
    numbers: dict[tuple, int] = {}
    gold_next = [numbers.setdefault(key, len(numbers)) for key in zip(gold_keys, gold_column, strict=True)]
    gold_bag = Counter(gold_next)
    # Equal candidates lead to the same rows; dict.fromkeys tries each kind once.
    for candidate in dict.fromkeys(candidates):
        predicted_next = [numbers.get(key, -1) for key in zip(predicted_keys, candidate, strict=True)]
        if Counter(predicted_next) != gold_bag:
            continue
        candidates.remove(candidate)
        if _assign_columns(rest, gold_next, predicted_next):
            return True
        candidates.append(candidate)
    return False
