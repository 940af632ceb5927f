"""What is computed together: checked against every partition there is, and by counting tokens."""

import random
from itertools import pairwise

import pytest

from fixtures.engines.prefix_groups import MAX_TOKENS, length_batches, prefix_groups

PASS_TOKENS = 64


def cost(sequences, groups):
    """Tokens computed, a pass counted as ``PASS_TOKENS``; a shared beginning takes a pass of its own."""
    own = sum(len(sequences[place]) - group.shared for group in groups for place in group.places)
    return own + sum(group.shared + PASS_TOKENS * (1 + (group.shared > 0)) for group in groups)


def partitions(places):
    if not places:
        yield []
        return
    first, *rest = places
    for smaller in partitions(rest):
        yield [[first], *smaller]
        for number, group in enumerate(smaller):
            yield [*smaller[:number], [first, *group], *smaller[number + 1 :]]


def partition_cost(sequences, parts):
    total = 0
    for part in parts:
        shared = 0
        if len(part) > 1:
            own = [sequences[place] for place in part]
            while shared < min(map(len, own)) - 1 and len({sequence[shared] for sequence in own}) == 1:
                shared += 1
        if shared == 0 and len(part) > 1:
            return float("inf")  # the product makes no such group
        total += sum(len(sequences[place]) - shared for place in part) + shared + PASS_TOKENS * (1 + (shared > 0))
    return total


@pytest.mark.parametrize("seed", range(20))
def test_no_partition_needs_fewer_tokens(seed):
    """Sequences of three schemas behind two sets of exemplars, some alone, against all 203 partitions of six."""
    rng = random.Random(seed)
    stems = [[1] * rng.randint(0, 300) + [database] * rng.randint(1, 300) for database in (2, 3, 4)]
    sequences = [rng.choice(stems) + [rng.randint(5, 9) for _ in range(rng.randint(1, 50))] for _ in range(6)]
    groups = prefix_groups(sequences, PASS_TOKENS)
    assert sorted(place for group in groups for place in group.places) == list(range(6))
    for group in groups:
        assert len({tuple(sequences[place][: group.shared]) for place in group.places}) == 1
        assert all(len(sequences[place]) > group.shared for place in group.places)
    best = min(partition_cost(sequences, parts) for parts in partitions(list(range(6))))
    assert cost(sequences, groups) == best


def test_equal_sequences_share_all_but_the_last_token():
    (group,) = prefix_groups([[7] * 500] * 3, PASS_TOKENS)
    assert (group.shared, sorted(group.places)) == (499, [0, 1, 2])


def test_nothing_to_group():
    assert prefix_groups([], PASS_TOKENS) == []
    assert [(group.shared, group.places) for group in prefix_groups([[1, 2, 3]], PASS_TOKENS)] == [(0, (0,))]


@pytest.mark.parametrize("seed", range(20))
def test_no_batches_compute_fewer_tokens(seed):
    """Against all ways to cut a sorted list of eight; other batches than runs of neighbours only pad more."""
    rng = random.Random(seed)
    lengths = [rng.choice([rng.randint(1, 60), rng.randint(200, 700)]) for _ in range(8)]
    batches = length_batches(range(8), lengths, PASS_TOKENS)
    assert sorted(place for batch in batches for place in batch) == list(range(8))

    def cost(parts):
        return sum(len(part) * max(part) + PASS_TOKENS for part in parts)

    ordered = sorted(lengths)
    cuts = [[0, *(n for n in range(1, 8) if bits >> n & 1), 8] for bits in range(0, 256, 2)]
    best = min(cost([ordered[one:two] for one, two in pairwise(own)]) for own in cuts)
    assert cost([[lengths[place] for place in batch] for batch in batches]) == best


def test_a_batch_holds_no_more_than_the_most():
    batches = length_batches(range(300), [MAX_TOKENS // 100] * 300, PASS_TOKENS)
    assert [len(batch) for batch in batches] == [100, 100, 100]
    assert length_batches([0, 1], [MAX_TOKENS + 1, 3], PASS_TOKENS) == [[1], [0]]
