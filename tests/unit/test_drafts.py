"""Drafts save steps of decoding and decide nothing: whatever they are, replies are those without."""

import random

import pytest

from tests.tiny_models import behind_two_beginnings, replying_llama

ENDS, MORE = [39, 7], 20


@pytest.fixture(scope="module")
def model():
    """A small model that ends its replies after 1 to 20 tokens."""
    return replying_llama()


@pytest.fixture(scope="module")
def sequences():
    """Thirty, of which the last stands twice."""
    own = behind_two_beginnings(29)
    return [*own, own[-1]]


def replies(model, sequences, drafts=(), more=MORE, watched=(), **bounds):
    import torch

    from fixtures.engines.greedy_decoding import greedy_replies
    from fixtures.engines.memory import Bounds

    given = {"bounds": Bounds(**bounds), "watched": watched, "drafts": drafts}
    with torch.inference_mode():
        return greedy_replies(model, sequences, torch.tensor(ENDS), more, **given)


@pytest.fixture(scope="module")
def plain(model, sequences):
    return [one.tokens for one in replies(model, sequences)]


def parted(own, rng):
    """``own`` with another token somewhere."""
    place = rng.randrange(len(own))
    return [*own[:place], (own[place] + 1) % 39, *own[place + 1 :]]


KINDS = {
    "whole": lambda own, rng: own[:-1] if own[-1] in ENDS else own,
    "with its end": lambda own, rng: own,
    "beyond its end": lambda own, rng: [*own, *own, *own],
    "beyond its end by what ends replies": lambda own, rng: [*own, 39, 39],
    "the first half": lambda own, rng: own[: len(own) // 2],
    "another token": parted,
    "another token and beyond": lambda own, rng: [*parted(own, rng), *own],
    "ended too early": lambda own, rng: [*own[:1], 39, *own[1:]],
    "other tokens": lambda own, rng: [rng.randint(0, 39) for _ in range(rng.randint(1, 60))],
    "empty": lambda own, rng: [],
    "of all kinds": lambda own, rng: rng.choice([*KINDS.values()][:-1])(own, rng),
}


@pytest.fixture(params=KINDS)
def drafts(request, plain):
    rng = random.Random(7)
    return [KINDS[request.param](own, rng) for own in plain]


@pytest.mark.parametrize("bounds", [{"rows": 3}, {"rows": 8, "kept": 250, "tokens": 300}, {}], ids=str)
def test_no_draft_changes_a_reply(model, sequences, plain, drafts, bounds):
    found = replies(model, sequences, drafts, **bounds)
    assert [one.tokens for one in found] == plain
    assert [one.ended for one in found] == [own[-1] in ENDS for own in plain]
    assert all(one.finite for one in found)


@pytest.mark.parametrize("more", [1, 2, 5])
def test_replies_are_cut_at_the_limit_whatever_the_draft(model, sequences, plain, drafts, more):
    found = replies(model, sequences, drafts, more=more)
    assert [one.tokens for one in found] == [own[:more] for own in plain]
    assert [one.ended for one in found] == [own[-1] in ENDS and len(own) <= more for own in plain]


def test_a_draft_of_another_prompt_is_none_of_this(model, sequences, plain):
    found = replies(model, sequences, [*plain[1:], plain[0]])
    assert [one.tokens for one in found] == plain


def test_a_reply_that_is_the_draft_takes_no_step_and_one_that_parts_those_behind(model, sequences, plain, monkeypatch):
    from fixtures.engines.reply_rows import ReplyRows

    steps, step = [], ReplyRows.step
    monkeypatch.setattr(ReplyRows, "step", lambda *given: steps.append(given[2]) or step(*given))
    replies(model, sequences, plain)
    assert steps == []
    longest = max(range(len(plain)), key=lambda place: len(plain[place]))
    drafts = [own[:-4] if place == longest else own for place, own in enumerate(plain)]
    assert [one.tokens for one in replies(model, sequences, drafts)] == plain
    assert len(plain[longest]) > 8 and len(steps) == sum(steps) == 3


def test_log_probabilities_of_a_draft_are_those_of_the_plain_way(model, sequences, plain, drafts):
    import torch

    from fixtures.engines.plain_path import plain_log_probs

    watched = {0, 17, 29}
    found = replies(model, sequences, drafts, watched=watched)
    assert {place for place, one in enumerate(found) if one.log_probs} == watched
    with torch.inference_mode():
        for place in watched:
            own, *_ = plain_log_probs(model, sequences[place], plain[place])
            assert found[place].log_probs == pytest.approx(own, abs=1e-4)


@pytest.mark.parametrize("at", [0, 2, 4], ids="after {} tokens".format)
def test_a_draft_does_not_go_on_from_what_is_no_number(model, sequences, plain, at):
    import torch

    struck = next(place for place, own in enumerate(plain) if len(own) > 6)
    with torch.inference_mode():
        ids = torch.tensor([[*sequences[struck], *plain[struck][:at]]])
        state = model.model(ids).last_hidden_state[0, -1]

    def strike(_, inputs, logits):
        return logits.masked_fill(((inputs[0] - state).abs().amax(-1) < 1e-3)[..., None], float("nan"))

    handle = model.get_output_embeddings().register_forward_hook(strike)
    try:
        found = replies(model, sequences, plain)
    finally:
        handle.remove()
    assert not found[struck].finite and len(found[struck].tokens) == at + 1
    assert [one.tokens for one in found[:struck] + found[struck + 1 :]] == plain[:struck] + plain[struck + 1 :]


def test_a_window_is_of_each_row_with_a_draft_too():
    import torch
    from transformers import MistralConfig, MistralForCausalLM

    from fixtures.engines.grouped_attention import register_grouped_attention

    torch.manual_seed(0)
    sizes = {"vocab_size": 40, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "initializer_range": 0.3}
    model = MistralForCausalLM(MistralConfig(sliding_window=24, **sizes, **heads)).eval()
    model.set_attn_implementation(register_grouped_attention())
    rng = random.Random(2)
    shared = [rng.randint(0, 39) for _ in range(8)]
    # Prompts lie within the window, and with their drafts beyond it.
    sequences = [shared + [rng.randint(0, 39) for _ in range(rng.randint(1, 14))] for _ in range(40)]
    plain = [one.tokens for one in replies(model, sequences)]
    for kind in KINDS.values():
        drafts = [kind(own, rng) for own in plain]
        assert [one.tokens for one in replies(model, sequences, drafts, rows=16)] == plain


def test_a_pass_has_logits_for_no_more_drafts_than_its_tokens_have_room_for(model, sequences, plain):
    from fixtures.engines.drafts import DRAFTED

    most, head = [], model.get_output_embeddings()
    handle = head.register_forward_hook(lambda _, inputs, logits: most.append(logits[..., 0].numel()))
    try:
        found = replies(model, sequences, [own + own for own in plain], tokens=400)
    finally:
        handle.remove()
    assert [one.tokens for one in found] == plain
    assert MORE < max(most) <= 400 // DRAFTED + len(sequences)
