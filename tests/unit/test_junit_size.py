"""JUnit's file stays of a size that CI systems read, however many questions there are and however long their texts."""

from xml.etree.ElementTree import Element, SubElement, tostring

import pytest

from fixtures.scores.junit import MOST_BYTES, bound


def case(reply, question="pets-0001"):
    found = Element("testcase", name="test_spider[cfg1-pets-0001]")
    failure = SubElement(found, "failure", message=reply)
    failure.text = reply
    properties = SubElement(found, "properties")
    values = {"question": question, "reply": reply, "status": "scored", "assignment": "0", "gold_sql": "SELECT " * 99}
    for name, value in values.items() if question else ():
        SubElement(properties, "property", name=name, value=value)
    return found


def size(cases):
    return sum(len(tostring(one)) for one in cases)


def names(one):
    return {entry.get("name") for entry in one.iter("property")}


@pytest.mark.parametrize("count", [1000, 20_000])
def test_it_is_bounded(count):
    cases = [case("SELECT 1 -- " + "x" * 5000) for _ in range(count)]
    bound(cases)
    assert size(cases) <= MOST_BYTES + 300 * count
    assert all({"question", "status", "assignment"} <= names(one) for one in cases[:5])


def test_few_keep_all_their_properties_and_short_ones_as_they_are():
    cases = [case("SELECT 1"), case("y" * 5000)]
    bound(cases)
    assert names(cases[0]) == {"question", "reply", "status", "assignment", "gold_sql"}
    replies = [next(e.get("value") for e in one.iter("property") if e.get("name") == "reply") for one in cases]
    assert replies == ["SELECT 1", "y" * 300 + "..."]


def test_other_tests_keep_their_whole_traceback():
    other = case("z" * 5000, question="")
    bound([other])
    assert other.find("failure").text == "z" * 5000
