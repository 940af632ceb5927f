"""As many replies are under way as there are places: who has ended makes room for who waits; no text changes."""

import random

import pytest

from fixtures.adapters.adapter import Adapter
from tests.tiny_models import behind_two_beginnings, replying_llama

BASE = Adapter("base", "base", "base")
ENDS = [39, 7]
MORE = 20


@pytest.fixture(scope="module")
def model():
    """A small model that ends its replies after 1 to 20 tokens."""
    return replying_llama()


@pytest.fixture(scope="module")
def sequences():
    return behind_two_beginnings(40)


@pytest.fixture(scope="module")
def plain(model, sequences):
    return plainly(model, sequences)


def plainly(model, sequences):
    import torch

    from fixtures.engines.plain_path import plain_reply

    with torch.inference_mode():
        return [plain_reply(model, one, ENDS, MORE) for one in sequences]


def replies(model, sequences, **given):
    import torch

    from fixtures.engines.greedy_decoding import greedy_replies
    from fixtures.engines.memory import Bounds

    watched = given.pop("watched", ())
    with torch.inference_mode():
        return greedy_replies(model, sequences, torch.tensor(ENDS), MORE, bounds=Bounds(**given), watched=watched)


def said(found):
    return [(one.tokens, one.ended, one.finite) for one in found]


@pytest.mark.parametrize(
    "bounds", [{"rows": 1}, {"rows": 3}, {"rows": 8, "kept": 200, "tokens": 300}, {"rows": 39}, {}], ids=str
)
def test_replies_are_those_of_generate_however_few_the_places(model, sequences, plain, bounds):
    assert said(replies(model, sequences, **bounds)) == said(plain)
    lengths = {len(one.tokens) for one in plain}
    assert {1, 2, 3, MORE} <= lengths or len(lengths) > 8, "many lengths, or nothing is refilled"
    assert {one.ended for one in plain} == {True} or MORE in lengths


def test_no_one_waits_for_the_longest_reply_of_a_batch(model, sequences, plain, monkeypatch):
    from fixtures.engines.reply_rows import ReplyRows

    steps, step = [], ReplyRows.step
    monkeypatch.setattr(ReplyRows, "step", lambda *given: steps.append(given[2]) or step(*given))
    assert said(replies(model, sequences, rows=8)) == said(plain)
    lengths = [len(one.tokens) for one in plain]
    apart = sum(max(lengths[start : start + 8]) - 1 for start in range(0, len(lengths), 8))
    assert len(steps) < 0.7 * apart, "batches of eight, each to the end of its longest"
    assert sum(steps) < 1.5 * sum(length - 1 for length in lengths), "rows computed after their ends"


def test_log_probabilities_are_those_of_watched_places_alone(model, sequences):
    import torch

    from fixtures.engines.plain_path import plain_log_probs

    watched = {0, 17, 39}
    found = replies(model, sequences, rows=4, watched=watched)
    assert {place for place, one in enumerate(found) if one.log_probs} == watched
    with torch.inference_mode():
        for place in watched:
            own, most, _ = plain_log_probs(model, sequences[place], found[place].tokens)
            assert found[place].log_probs == pytest.approx(own, abs=1e-4)
            assert own == pytest.approx(most, abs=1e-4)


def test_where_a_model_gives_no_numbers_no_other_reply_changes(model, sequences, plain):
    """One prompt's third token is chosen from what is no number."""
    import torch

    struck = next(place for place, one in enumerate(plain) if len(one.tokens) > 3 and place > 8)
    head = model.get_output_embeddings()
    with torch.inference_mode():
        ids = torch.tensor([[*sequences[struck], *plain[struck].tokens[:2]]])
        state = model.model(ids).last_hidden_state[0, -1]

    def strike(_, inputs, logits):
        return logits.masked_fill(((inputs[0] - state).abs().amax(-1) < 1e-3)[..., None], float("nan"))

    handle = head.register_forward_hook(strike)
    try:
        found = replies(model, sequences, rows=4)
    finally:
        handle.remove()
    assert not found[struck].finite and len(found[struck].tokens) == 3
    assert said(found[:struck] + found[struck + 1 :]) == said(plain[:struck] + plain[struck + 1 :])


@pytest.mark.parametrize("more", [1, 2, 5])
def test_replies_are_cut_at_the_limit(model, sequences, plain, more, monkeypatch):
    monkeypatch.setattr(f"{__name__}.MORE", more)
    found = replies(model, sequences, rows=6)
    assert [one.tokens for one in found] == [one.tokens[:more] for one in plain]
    assert [one.ended for one in found] == [one.ended and len(one.tokens) <= more for one in plain]


def test_no_more_is_held_than_fits(model, sequences, monkeypatch):
    """All rooms that stand at one time: the places, and the pass that fills some of them."""
    import weakref

    from fixtures.engines import key_values, memory

    made, most, layer = weakref.WeakSet(), [], key_values.KeyValueRoom.layer

    def counted(self, *given):
        made.add(self)
        most.append(sum(room.rows * room.columns for room in made))
        return layer(self, *given)

    monkeypatch.setattr(key_values.KeyValueRoom, "layer", counted)
    held, long = memory.BatchMemory(1, 1, lambda: 2200), sorted(sequences, key=len)[::-1]
    count, bounds = held.batch([len(one) + MORE for one in long], refilled=True)
    assert count > 2 * bounds.rows > 4
    found = replies(model, long[:count], rows=bounds.rows, tokens=bounds.tokens, kept=bounds.kept)
    assert bounds.rows * (len(long[0]) + MORE) < max(most) <= held.limits()[0]
    assert said(found) == said(plainly(model, long[:count]))


def test_a_window_is_of_each_row_however_far_the_others_are():
    import torch
    from transformers import MistralConfig, MistralForCausalLM

    from fixtures.engines.grouped_attention import register_grouped_attention

    torch.manual_seed(0)
    sizes = {"vocab_size": 40, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "initializer_range": 0.3}
    model = MistralForCausalLM(MistralConfig(sliding_window=16, **sizes, **heads)).eval()
    rng = random.Random(2)
    sequences = [[rng.randint(0, 39) for _ in range(rng.randint(1, 40))] for _ in range(20)]
    expected = plainly(model, sequences)
    model.set_attn_implementation(register_grouped_attention())
    assert said(replies(model, sequences, rows=5)) == said(expected)


@pytest.fixture
def engine(tmp_path):
    """An engine in float32 whose memory holds few prompts at once; prompts that need refilling; all asked together."""
    from fixtures.engines.memory import BatchMemory
    from fixtures.engines.transformers_engine import TransformersEngine
    from tests.tiny_architectures import save_tiny
    from trainer.prompts import Prompt
    from trainer.study.settings import BaseModelSettings

    texts = [f"SELECT name FROM singer WHERE age > {'1' * (place % 7)}{place}" for place in range(24)]
    save_tiny("Llama", tmp_path, texts)
    engine = TransformersEngine(BaseModelSettings(id=str(tmp_path), dtype="float32"))
    prompts = [Prompt(text=text) for text in texts]
    expected = dict(engine.generate(prompts, BASE, max_new_tokens=MORE, alone={3, 20}))
    engine._memory = BatchMemory(1, 1, lambda: 1100)
    return engine, prompts, expected


def test_answers_do_not_depend_on_how_many_places_memory_leaves(engine, monkeypatch):
    engine, prompts, expected = engine
    rows = counted_rows(monkeypatch)
    assert dict(engine.generate(prompts, BASE, max_new_tokens=MORE, alone={3, 20})) == expected
    assert 1 < max(rows) < len(prompts)
    assert all("alone" in expected[place] for place in (3, 20))


def test_answers_are_given_while_others_are_under_way(engine, monkeypatch):
    """A run that is killed keeps them."""
    from fixtures.engines.reply_rows import ReplyRows

    engine, prompts, expected = engine
    found, had, step = {}, [], ReplyRows.step
    list(engine.generate(prompts, BASE, max_new_tokens=MORE))  # held against the plain way by then
    monkeypatch.setattr(ReplyRows, "step", lambda *given: had.append(len(found)) or step(*given))
    for place, answer in engine.generate(prompts, BASE, max_new_tokens=MORE):
        assert place not in found
        found[place] = answer["reply"]
    assert found == {place: one["reply"] for place, one in expected.items()}
    assert had[0] == 0 and len(prompts) / 2 < had[-1] < len(prompts)


def test_no_answer_is_given_before_the_first_are_held_against_the_plain_way(engine, monkeypatch):
    from fixtures.engines import answer_kinds
    from fixtures.engines.reply_rows import ReplyRows

    engine, prompts, _ = engine
    engine.path.records.clear()
    events, plain, step = [], answer_kinds.plain_log_probs, ReplyRows.step
    monkeypatch.setattr(answer_kinds, "plain_log_probs", lambda *given: events.append("plain") or plain(*given))
    monkeypatch.setattr(ReplyRows, "step", lambda *given: events.append("step") or step(*given))
    for _ in engine.generate(prompts, BASE, max_new_tokens=MORE):
        events.append("answer")
    held = events.index("plain")
    assert events[held : held + 4] == ["plain"] * 4 and "plain" not in events[held + 4 :]
    assert held < events.index("answer") and "step" in events[held:], "the shortest and the longest come first"


@pytest.mark.parametrize("fit", [3, 1, 0])
def test_where_memory_runs_out_half_as_many_are_under_way(engine, monkeypatch, fit):
    import torch

    from fixtures.engines.reply_rows import ReplyRows

    engine, prompts, expected = engine
    rows, start = counted_rows(monkeypatch), ReplyRows.start

    def full(self, own, *given):
        if len(self.going()) > fit:
            raise torch.OutOfMemoryError
        return start(self, own, *given)

    monkeypatch.setattr(ReplyRows, "start", full)
    found = dict(engine.generate(prompts, BASE, max_new_tokens=MORE))
    assert max(rows) > 3 >= min(rows)
    if fit:
        assert {place: one["reply"] for place, one in found.items()} == {
            place: one["reply"] for place, one in expected.items()
        }
    else:
        assert [one["error"] for one in found.values()] == ["out of memory at a batch of one question"] * len(prompts)


def counted_rows(monkeypatch):
    """How many places batches have, as they begin."""
    from fixtures.engines.reply_rows import ReplyRows

    rows, init = [], ReplyRows.__init__

    def counted(self, *given, **named):
        rows.append(given[0])
        init(self, *given, **named)

    monkeypatch.setattr(ReplyRows, "__init__", counted)
    return rows
