"""Rows in a few shapes, whose tensors stay in their place: the same losses and gradients as rows as they come."""

import random
from itertools import combinations

import pytest

from tests.unit.test_trainer_batches import text
from trainer.rows.batches import IGNORED, build_row, row_size
from trainer.training import row_shapes
from trainer.training.row_shapes import BLOCK, RowShape, choose_shapes, padded

# Small rows fit one shape of 256 tokens.
TEXTS = [text("a", 0), text("b", 1, schema=9), text("a", 2, own=8), text("a", 3, own=3), text("c", 4, schema=140)]


@pytest.mark.parametrize(
    "layout",
    [
        pytest.param([[100]], id="a part of one block"),
        pytest.param([[128, 128]], id="whole blocks"),
        pytest.param([[300, 20, 30, 140], [5, 3]], id="two schemas"),
        pytest.param([[3, 2], [4, 5, 6], [200, 7]], id="many in a block"),
        pytest.param([[600, 300, 40]], id="blocks seen in full"),
    ],
)
@pytest.mark.parametrize("more_blocks", [0, 3])
def test_blocks_are_those_of_the_whole_mask(layout, more_blocks):
    import torch
    from torch.nn.attention.flex_attention import create_block_mask

    from trainer.training.block_mask import block_mask, mask_tables

    tokens = padded(sum(map(sum, layout))) + more_blocks * BLOCK
    found = block_mask([torch.from_numpy(table) for table in mask_tables(layout, tokens)])
    whole = create_block_mask(found.mask_mod, None, None, tokens, tokens, device="cpu", BLOCK_SIZE=BLOCK)
    for name in ("kv_num_blocks", "kv_indices", "full_kv_num_blocks", "full_kv_indices",
                 "q_num_blocks", "q_indices", "full_q_num_blocks", "full_q_indices"):  # fmt: skip
        torch.testing.assert_close(getattr(found, name), getattr(whole, name), msg=name)


def test_padding_is_seen_by_itself_alone():
    from trainer.training.block_mask import mask_tables

    tree, branch, *_ = mask_tables([[100, 20]], 384)
    assert [tree[place] for place in (0, 119, 120, 127, 128, 255, 256)] == [0, 0, 1, 1, 2, 2, 3]
    assert not branch[120:].any()


def test_few_rows_share_a_shape_and_many_have_their_own():
    assert choose_shapes([(1000, 90), (500, 20)]) == [RowShape(1024, 96)]
    assert choose_shapes([(1000, 90)] * 9 + [(500, 20)] * 99) == [RowShape(512, 32), RowShape(1024, 96)]
    assert choose_shapes([(50, 3)]) == [RowShape(256, 16)]


def test_shapes_are_those_of_the_least_cost():
    """Against all ways to choose."""
    rng = random.Random(0)
    sizes = [(rng.choice([300, 500, 900, 1100, 1500, 1900]), 10) for _ in range(150)]
    lengths = sorted({padded(tokens) for tokens, _ in sizes})

    def cost(shapes):
        rows = sum(next(length for length in shapes if length >= tokens) for tokens, _ in sizes)
        return rows + row_shapes._CAPTURE_TOKENS * len(shapes)

    ways = [(*own, lengths[-1]) for count in range(len(lengths)) for own in combinations(lengths[:-1], count)]
    found = tuple(shape.tokens for shape in row_shapes.choose_shapes(sizes))
    assert cost(found) == min(map(cost, ways))
    assert 1 < len(found) < len(lengths)


def test_labels_are_counted_as_transformers_counts_them():
    from trainer.training.static_rows import pack_row

    packed = pack_row(TEXTS, choose_shapes([row_size(TEXTS)]))
    labelled = sum(label != IGNORED for label in build_row(TEXTS)["labels"])
    assert (packed["labels"][..., 1:] != IGNORED).sum() == labelled


def test_rows_come_in_order_and_one_ahead():
    from trainer.training.static_rows import RowsAhead

    built = []
    ahead = RowsAhead(lambda row: built.append(row) or {"row": row}, [["first"], ["second"], ["third"]])
    assert ahead([{"row": 0}]) == {"row": ["first"]}
    assert ahead([{"row": 1}]) == {"row": ["second"]}
    assert ahead([{"row": 2}]) == {"row": ["third"]}
    assert built == [["first"], ["second"], ["third"]]
    assert ahead([{"row": 1}]) == {"row": ["second"]}  # as in a resumption


def test_a_row_that_cannot_be_built_is_an_error_where_it_is_asked_for():
    from trainer.training.static_rows import RowsAhead

    def build(row):
        raise ValueError(row[0])

    with pytest.raises(ValueError, match="first"):
        RowsAhead(build, [["first"]])([{"row": 0}])
