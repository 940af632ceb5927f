"""How much goes through the model at once, from what a token takes and what is free."""

import pytest

from fixtures.adapters.adapter import Adapter
from fixtures.engines import EngineError
from fixtures.engines.memory import MOST_ROWS, BatchMemory, fitting, memory_message
from fixtures.engines.prefix_groups import MAX_TOKENS
from trainer.prompts import Prompt
from trainer.study.experiment import load_experiment

GIB = 2**30
# Llama 3 8B in bfloat16: 32 layers of 8 key and 8 value heads of 128 numbers; a pass takes some 300 kB a token.
HELD, COMPUTED = 32 * 2 * 8 * 128 * 2, 300_000


def test_without_a_gpu_nothing_is_limited():
    assert BatchMemory().limits() == (float("inf"), MAX_TOKENS)


@pytest.mark.parametrize(("free", "rows"), [(6.5, 20), (120, 256)])
def test_what_is_held_and_computed_fits_what_is_free(free, rows):
    """An 8B model on a card of 24 GB and on one of 141: rows of 1,200 tokens."""
    held, computed = BatchMemory(HELD, COMPUTED, lambda: int(free * GIB)).limits()
    assert held * HELD + computed * COMPUTED < free * GIB
    assert computed <= MAX_TOKENS
    assert fitting([1200] * 256, held) >= rows


def test_other_processes_that_take_memory_are_noticed():
    free = [100 * GIB, 10 * GIB]
    memory = BatchMemory(HELD, COMPUTED, lambda: free.pop(0))
    before, after = memory.limits(), memory.limits()
    assert after[0] < before[0] / 5


def test_what_did_not_fit_is_not_tried_again():
    memory = BatchMemory(HELD, COMPUTED, lambda: 100 * GIB)
    memory.ran_out(40_000)
    assert memory.limits() == (20_000, MAX_TOKENS // 2)
    memory.ran_out(20_000)
    assert memory.limits() == (10_000, MAX_TOKENS // 4)


def test_one_question_goes_alone_however_little_is_free():
    held, computed = BatchMemory(HELD, COMPUTED, lambda: 0).limits()
    assert fitting([1200, 1200], held) == 1
    assert computed >= 1


def test_neighbours_go_together_as_long_as_they_fit_padded():
    assert fitting([100, 100, 100, 400], 1000) == 3
    assert fitting([400, 100, 100], 800) == 2


def test_a_batch_takes_in_what_fits_in_the_places_of_others():
    memory = BatchMemory(1, 1, lambda: 3000)
    held, tokens = memory.limits()
    assert (held, tokens) == (3000 * 0.9 - 675, 675)
    count, bounds = memory.batch([500] * 40, refilled=True)
    assert (count, bounds.rows, bounds.tokens) == (40, 3, 675)
    assert bounds.rows * 500 + bounds.kept <= held
    assert memory.batch([500] * 40, refilled=False)[0] == 4
    # A longer one would take memory that there is not, a short one would leave it unused.
    assert memory.batch([500] * 10 + [700, 500], refilled=True)[0] == 10
    assert memory.batch([500] * 10 + [200, 500], refilled=True)[0] == 10


def test_where_memory_is_plenty_all_are_one_batch():
    count, bounds = BatchMemory().batch([500, 90, 1200] * 400, refilled=True)
    assert (count, bounds.rows) == (1200, MOST_ROWS)


def test_one_place_is_not_refilled():
    """So that what does not fit even alone is errored alone."""
    assert BatchMemory(1, 1, lambda: 0).batch([500] * 3, refilled=True)[0] == 1


def test_who_holds_the_memory_is_said():
    assert "other processes hold 60 of its 80 GiB. nvidia-smi names them" in memory_message("x", 80 * GIB, 60 * GIB)
    assert memory_message("x", 80 * GIB, 0).startswith("out of GPU memory x; use a larger GPU or load in 4 bit")


def test_a_model_that_finds_no_memory_is_one_line(monkeypatch):
    import torch

    from fixtures.engines import adapted_model, transformers_engine

    def full(*_, **__):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(adapted_model, "load_model", full)
    with pytest.raises(EngineError, match="out of memory while the base model was loaded"):
        transformers_engine.TransformersEngine(load_experiment("miniature").base_model)


def test_batches_that_memory_cuts_give_the_same_text():
    from fixtures.engines.transformers_engine import TransformersEngine

    base = Adapter("base", "base", "base")
    engine = TransformersEngine(load_experiment("miniature").base_model)
    prompts = [Prompt(text=f"SELECT name FROM {name} WHERE") for name in ("singer", "concert", "ship", "star", "war")]
    whole = dict(engine.generate(prompts, base, max_new_tokens=12))
    engine._memory = BatchMemory(1, 1, lambda: 630)
    assert fitting([20] * 5, engine._memory.limits()[0]) == 2
    assert dict(engine.generate(prompts, base, max_new_tokens=12)) == whole
