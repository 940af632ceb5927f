from collections import Counter

import pytest

from fixtures.answers.batches import batch_labels
from fixtures.study.node_ids import NodeIds


def known(*slugs):
    return NodeIds(("spider", "mmlu"), slugs)


def ids(suite, adapter, count):
    return [f"tests/test_{suite}.py::test_{suite}[{adapter}-concert_singer-{i:04d}-easy]" for i in range(count)]


def test_consecutive_items_of_a_suite_and_adapter_are_batches_of_the_size_at_most():
    labels = batch_labels(ids("spider", "base", 5) + ids("spider", "cfg1", 2), known("base", "cfg1"), 2)
    assert labels == ["spider/base/0"] * 2 + ["spider/base/1"] * 2 + ["spider/base/2"] + ["spider/cfg1/0"] * 2


@pytest.mark.parametrize(("questions", "workers", "batches"), [(1034, 1, 5), (1034, 2, 6), (150, 4, 4), (3, 4, 3)])
def test_every_worker_gets_as_much_to_answer(questions, workers, batches):
    """Batches of 256 and a rest would keep one of two workers waiting for a fifth of the time."""
    sizes = Counter(batch_labels(ids("spider", "base", questions), known("base"), 256, workers)).values()
    assert len(sizes) == batches
    assert max(sizes) - min(sizes) <= 1


def test_suites_never_share_a_batch():
    labels = batch_labels(ids("spider", "base", 1) + ids("mmlu", "base", 1), known("base"), 64)
    assert labels == ["spider/base/0", "mmlu/base/0"]


def test_a_slug_that_begins_with_another_is_told_apart():
    labels = batch_labels(ids("spider", "cfg1-seed7", 1) + ids("spider", "cfg1", 1), known("cfg1", "cfg1-seed7"), 64)
    assert labels == ["spider/cfg1-seed7/0", "spider/cfg1/0"]


def test_other_tests_stay_together_by_module():
    nodeids = ["tests/unit/test_a.py::test_x", "tests/unit/test_a.py::test_y[base-1]", "tests/unit/test_b.py::test_z"]
    assert batch_labels(nodeids, known("base"), 64) == [
        "tests/unit/test_a.py",
        "tests/unit/test_a.py",
        "tests/unit/test_b.py",
    ]
