"""What is marked as different between two SQL texts: nothing that says the same, and everything that does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.questions.plugin import BUILT_IN
from fixtures.report.answer_data import answer_data
from fixtures.report.differences import MOST_TOKENS, differing, packed

NAMES = st.sampled_from(["select", "name", "T1.name", "_x", "Länge", "count", "a"])
SIGNS = st.sampled_from(["=", "<=", "<>", "!=", "(", ")", ",", "*", ";", "1", "2.5"])
STRINGS = st.sampled_from(["France", "france", "New York", "", "a  b"])
# A token as two texts may write it: what it says, and the text.
SAID_AND_WRITTEN = st.one_of(
    st.builds(lambda text, upper: (text.lower(), text.upper() if upper else text), NAMES, st.booleans()),
    SIGNS.map(lambda text: (text, text)),
    st.builds(lambda text, mark: (("quoted", text), f"{mark}{text}{mark}"), STRINGS, st.sampled_from("'\"")),
)
TOKENS = st.lists(SAID_AND_WRITTEN, max_size=30)
GAPS = st.sampled_from([" ", "\n", "  \t "])


@st.composite
def texts(draw, said=None):
    """A text, and what each of its tokens says with its place; with ``said`` the same again, written otherwise."""
    tokens = draw(TOKENS) if said is None else [(one, draw(_written(one))) for one in said]
    text, places = draw(GAPS), []
    for one, written in tokens:
        places.append((one, (len(text), len(text) + len(written))))
        text += written + draw(GAPS)
    return text, places


def _written(said):
    if isinstance(said, tuple):
        return st.sampled_from([f"'{said[1]}'", f'"{said[1]}"'])
    return st.sampled_from([said, said.upper(), said.title()])


def unmarked(places, spans):
    """What the tokens say that lie in no span; a token lies in one as a whole or not at all."""
    left = []
    for said, (start, end) in places:
        inside = [low <= start and end <= high for low, high in spans]
        touched = [low < end and start < high for low, high in spans]
        assert inside == touched
        if not any(inside):
            left.append(said)
    return left


@given(texts(), texts())
def test_what_is_not_marked_says_the_same(one, two):
    """However the common part is chosen, marks never hide a real difference: what is left of both is equal."""
    gold, predicted = differing(one[0], two[0])
    assert unmarked(one[1], gold) == unmarked(two[1], predicted)


@given(st.data())
def test_texts_equal_up_to_case_quotes_and_spaces_have_no_marks(data):
    one = data.draw(texts())
    again, _ = data.draw(texts(said=[said for said, _ in one[1]]))
    assert differing(one[0], again) == ([], [])


@given(texts(), texts())
def test_texts_that_differ_have_a_mark(one, two):
    same = [said for said, _ in one[1]] == [said for said, _ in two[1]]
    assert same == (differing(one[0], two[0]) == ([], []))


@given(st.text(), st.text())
def test_any_text_is_compared(one, two):
    for text, spans in zip((one, two), differing(one, two), strict=True):
        assert all(text[start:end].strip() for start, end in spans)


@pytest.mark.parametrize(
    ("gold", "predicted", "marked"),
    [
        pytest.param("SELECT a FROM t", "select a\n  from T", ([], []), id="case-and-space"),
        pytest.param("x = 'France'", 'x = "France"', ([], []), id="quotation-mark"),
        pytest.param("x = 'France'", "x = 'france'", (["'France'"], ["'france'"]), id="case-in-quotes"),
        pytest.param("x = 'a b'", "x = 'a  b'", (["'a b'"], ["'a  b'"]), id="space-in-quotes"),
        pytest.param("a > 20", "a >= 20", ([">"], [">="]), id="operator"),
        pytest.param("T1.name", "T2.name", (["T1.name"], ["T2.name"]), id="qualified-name"),
        pytest.param("SELECT a", "SELECT DISTINCT a", ([], ["DISTINCT"]), id="only-predicted"),
        pytest.param("SELECT a LIMIT 1", "SELECT a", (["LIMIT 1"], []), id="only-gold"),
        pytest.param("it's", "it's", ([], []), id="a-lone-quotation-mark"),
    ],
)
def test_what_is_marked(gold, predicted, marked):
    spans = differing(gold, predicted)
    shown = [[text[slice(*span)] for span in own] for text, own in zip((gold, predicted), spans, strict=True)]
    assert tuple(shown) == marked


def test_a_long_text_has_no_marks():
    assert differing("a " * MOST_TOKENS, "b") == ([(0, 2 * MOST_TOKENS - 1)], [(0, 1)])
    assert differing("a " * (MOST_TOKENS + 1), "b") == differing("b", "a " * (MOST_TOKENS + 1)) == ([], [])


def test_spans_are_packed_and_end_where_the_text_is_cut():
    spans = [(3, 5), (9, 20), (30, 31)]
    assert packed(spans, 100) == [3, 2, 4, 11, 10, 1]
    assert packed(spans, 12) == [3, 2, 4, 3]
    assert packed(spans, 9) == [3, 2]


def test_what_differs_is_marked_in_wrong_sql_alone(made_up_study):
    """An answer's last field on the page; there is none where the reply held no SQL, nor in a suite without code."""
    summary, rows = made_up_study({"base": [0]}, {"base": [0]})
    wrong = {"gold_sql": "SELECT name FROM singer", "predicted_sql": "select age FROM singer"}
    rows[2] = rows[2].model_copy(update=wrong)
    answers = answer_data(summary, rows, BUILT_IN)["answers"]
    assert answers[2][8] == [[7, 4], [7, 3]]
    assert [len(answers[place]) for place in (0, 1, 200, 201)] == [8] * 4
