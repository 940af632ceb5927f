import itertools
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from custom_metrics.sql.comparison import assignment_equal, bird_equal, columns_to_match, official_equal


@pytest.mark.parametrize(
    ("gold", "predicted", "assignment", "official", "ordered", "bird"),
    [
        pytest.param([(1, "a")], [(1, "a")], True, True, True, True, id="same"),
        pytest.param([(1,), (2,)], [(2,), (1,)], True, True, False, True, id="row-order"),
        pytest.param([(1, "a"), (2, "b")], [("a", 1), ("b", 2)], False, True, True, False, id="column-order"),
        pytest.param(
            [(1, 2), (2, 1)], [(2, 1), (2, 1)], False, False, False, False, id="one-column-order-for-all-rows"
        ),
        pytest.param([(1,), (1,)], [(1,)], False, False, False, True, id="repeated"),
        pytest.param([(1,), (1,), (2,)], [(1,), (2,), (2,)], False, False, False, True, id="repeated-otherwise"),
        pytest.param([], [], True, True, True, True, id="both-empty"),
        pytest.param([(None,)], [], False, False, False, False, id="null-is-a-row"),
        pytest.param([(None,)], [(0,)], False, False, False, False, id="null-is-not-zero"),
        pytest.param([(1,)], [(1.0,)], True, True, True, True, id="integer-and-real"),
        pytest.param([(1,)], [("1",)], False, False, False, False, id="number-and-text"),
        pytest.param([(0.3,)], [(0.1 + 0.2,)], False, False, False, False, id="no-tolerance"),
        pytest.param([(b"a",)], [("a",)], False, False, False, False, id="bytes-and-text"),
        pytest.param([(1, 2)], [(1,)], False, False, False, False, id="fewer-columns"),
    ],
)
def test_conventions(gold, predicted, assignment, official, ordered, bird):
    """``official`` is without regard to row order, ``ordered`` with it."""
    assert assignment_equal(gold, predicted) is assignment
    assert official_equal(gold, predicted, ordered=False) is official
    assert official_equal(gold, predicted, ordered=True) is ordered
    assert bird_equal(gold, predicted) is bird


def test_the_official_shortcut_tells_equal_numbers_apart_where_their_texts_sort_differently():
    """A quirk kept on purpose: 10 == 10.0 and 1.0 == 1, but "1.0" < "10<" and "10.0" < "1<"."""
    assert not official_equal([(10, 1.0)], [(10.0, 1)], ordered=False)
    assert official_equal([(10, 2.0)], [(10.0, 2)], ordered=False)


def test_columns_to_match():
    assert columns_to_match([(1, 2)]) == 2
    assert columns_to_match([]) is None


def official_by_trying_all(gold, predicted, *, ordered):
    """The official rule written down as it reads: try every column order."""
    if not gold and not predicted:
        return True
    if len(gold) != len(predicted) or len(gold[0]) != len(predicted[0]):
        return False
    for order in itertools.permutations(range(len(gold[0]))):
        reordered = [tuple(row[index] for index in order) for row in predicted]
        if reordered == gold if ordered else Counter(reordered) == Counter(gold):
            return True
    return False


@st.composite
def result_pairs(draw):
    """Two results of one shape, the second often the first with rows and columns shuffled and a value changed."""
    width, height = draw(st.integers(1, 5)), draw(st.integers(0, 6))
    values = st.sampled_from([0, 1, "a", "b", None])
    gold = [tuple(draw(values) for _ in range(width)) for _ in range(height)]
    order = draw(st.permutations(range(width)))
    predicted = [tuple(row[index] for index in order) for row in draw(st.permutations(gold))]
    if predicted and draw(st.booleans()):
        row, column = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        predicted[row] = (*predicted[row][:column], draw(values), *predicted[row][column + 1 :])
    return gold, predicted


@settings(max_examples=1000, deadline=None)
@given(pair=result_pairs(), ordered=st.booleans())
def test_official_equals_trying_all_column_orders(pair, ordered):
    gold, predicted = pair
    assert official_equal(gold, predicted, ordered=ordered) == official_by_trying_all(gold, predicted, ordered=ordered)


@given(pair=result_pairs())
def test_assignment_implies_the_other_two(pair):
    gold, predicted = pair
    if assignment_equal(gold, predicted):
        assert official_equal(gold, predicted, ordered=False)
        assert bird_equal(gold, predicted)


@pytest.mark.parametrize("ordered", [False, True])
def test_many_columns_take_no_factorial_search(ordered):
    """Twenty columns with the same values in other rows: 20! column orders, of which none fits."""
    gold = [tuple((row + column) % 20 for column in range(20)) for row in range(20)]
    predicted = [tuple(row[::-1]) for row in gold]
    predicted[0], predicted[1] = (*predicted[0][:5], *predicted[1][5:]), (*predicted[1][:5], *predicted[0][5:])
    start = time.monotonic()
    assert not official_equal(gold, predicted, ordered=ordered)
    assert official_equal(gold, [tuple(reversed(row)) for row in gold], ordered=ordered)
    assert time.monotonic() - start < 1


def test_many_equal_columns():
    rows = [(number % 2,) * 30 for number in range(50)]
    assert official_equal(rows, rows[::-1], ordered=False)
    assert not official_equal(rows, [(*row[:-1], 1 - row[-1]) for row in rows], ordered=False)
