from collections import Counter

import pytest

from custom_metrics.sql.hardness import hardness

pytestmark = pytest.mark.parity


def test_every_dev_question_has_its_official_hardness(parity_data):
    official = [entry["hardness"] for entry in parity_data.verdicts("codes-7b")]
    ours = [hardness(entry["query"]) for entry in parity_data.questions()]
    assert ours == official
    assert Counter(ours) == {"easy": 248, "medium": 446, "hard": 174, "extra": 166}
