"""Prompts one after another in one row, and rows read each as far as it is filled: no reply changes.

There is no GPU here: a stand-in computes by its definition what torch's own attention does there.
"""

import random

import pytest

ENDS, MORE = [39], 40


def llama(**changes):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from fixtures.engines.grouped_attention import register_grouped_attention

    torch.manual_seed(0)
    sizes = {"vocab_size": 40, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 8, "num_key_value_heads": 2, "initializer_range": 0.3}
    model = LlamaForCausalLM(LlamaConfig(**heads | sizes | changes)).eval()
    model.set_attn_implementation(register_grouped_attention())
    return model


@pytest.fixture(scope="module")
def model():
    return llama()


@pytest.fixture(scope="module")
def sequences():
    """Forty prompts of 1 to 300 tokens, most of them behind one of three beginnings."""
    rng = random.Random(1)
    own = [[rng.randint(0, 39) for _ in range(rng.randint(1, 150))] for _ in range(40)]
    beginnings = [[rng.randint(0, 39) for _ in range(count)] for count in (150, 90, 100, 0)]
    return [beginnings[place // 10] + one for place, one in enumerate(own)]


def replies(model, sequences, rows=16, tokens=700, **given):
    import torch

    from fixtures.engines.greedy_decoding import greedy_replies
    from fixtures.engines.memory import Bounds

    with torch.inference_mode():
        return greedy_replies(model, sequences, torch.tensor(ENDS), MORE, bounds=Bounds(rows, tokens, **given))


def flash_attention(query, keys, values, counts, starts, longest, columns, dropout, causal, _, *, scale, seqused_k):
    """As torch's own, which GPUs have: a sequence's queries stand at the end of its keys, and read none behind."""
    import torch

    counts = counts.tolist()
    assert counts[0] == dropout == 0 and counts[-1] == len(query)
    assert len(counts) == len(starts) == len(seqused_k) + 1
    found = torch.full_like(query, float("nan"))
    for number, (first, end) in enumerate(zip(counts, counts[1:], strict=False)):
        start, used = int(starts[number]), int(seqused_k[number])
        assert end - first <= min(longest, used) and used <= columns and (causal or longest == 1)
        own = (part[start : start + used] for part in (keys, values))
        groups = query.shape[1] // keys.shape[1]
        own_keys, own_values = (part.repeat_interleave(groups, 1).transpose(0, 1) for part in own)
        weights = query[first:end].transpose(0, 1) @ own_keys.transpose(1, 2) * scale
        seen = torch.ones(end - first, used, dtype=torch.bool).tril(used - (end - first))
        found[first:end] = (weights.masked_fill(~seen, float("-inf")).softmax(-1) @ own_values).transpose(0, 1)
    return (found,)


@pytest.fixture
def ragged(monkeypatch):
    """Rows can be read as far as they go, as on a GPU; ``(queries of the sequence with most, of all)`` at each time."""
    import torch

    from fixtures.engines import key_values

    asked = []

    def counted(*given, **named):
        asked.append((given[5], len(given[0])))
        return flash_attention(*given, **named)

    monkeypatch.setattr(torch.ops.aten, "_flash_attention_forward", counted)
    monkeypatch.setattr(key_values, "can_read_ragged", lambda *_: True)
    return asked


@pytest.fixture
def packed(ragged, monkeypatch):
    """The same, and prompts are packed where the model lets them."""
    import torch

    from fixtures.engines import greedy_decoding, packed_prompts

    gpu = torch.device("cuda")
    can = packed_prompts.can_be_packed
    monkeypatch.setattr(greedy_decoding, "can_be_packed", lambda model, _: can(model, gpu))
    return ragged


def test_rows_that_are_read_as_far_as_they_go_say_the_same(model, sequences, request):
    expected = replies(model, sequences)
    asked = request.getfixturevalue("ragged")
    assert replies(model, sequences) == expected
    assert len(asked) > 2 * MORE and all(longest == 1 for longest, _ in asked)


@pytest.mark.parametrize("rows", [1, 7, 40])
@pytest.mark.parametrize("tokens", [100, 16384])
def test_prompts_that_are_packed_say_the_same(model, sequences, rows, tokens, request):
    expected = replies(model, sequences, rows)
    asked = request.getfixturevalue("packed")
    assert replies(model, sequences, rows, tokens) == expected
    passes = [total for longest, total in asked if longest > 1]
    assert passes and all(total <= max(tokens, 300) for total in passes)


def test_what_is_shared_is_computed_once_and_nothing_is_padded(model, sequences, packed):
    from fixtures.engines.prefix_groups import prefix_groups

    groups = prefix_groups(sequences, 64)
    needed = sum(len(one) for one in sequences) - sum(group.shared * (len(group.places) - 1) for group in groups)
    assert needed < 0.7 * sum(map(len, sequences))
    for rows, most in ((40, needed), (10, 1.15 * needed)):
        packed.clear()
        replies(model, sequences, rows)
        passes = [total for longest, total in packed[::2] if longest > 1]  # of two layers
        assert needed - 40 <= sum(passes) <= most, "a beginning whose rows have all been given away is computed again"
        assert len(passes) <= 3 + rows * needed // 700


def test_a_simple_way_is_neither_packed_nor_read_raggedly(model, sequences, packed):
    assert replies(model, sequences, simple=True) == replies(model, sequences)
    packed.clear()
    replies(model, sequences, simple=True)
    assert not packed


@pytest.mark.parametrize(
    "fault", ["another attention", "more layers than read", "no choice of logits", "another dtype"]
)
def test_a_model_that_does_not_read_rows_as_they_are_is_asked_with_padding(fault, sequences, packed, monkeypatch):
    from fixtures.engines import key_values, packed_prompts

    model = llama()
    expected = replies(model, sequences, simple=True)
    if fault == "another attention":
        model.set_attn_implementation("sdpa")
        monkeypatch.setattr(packed_prompts, "NAME", "sdpa")
    elif fault == "more layers than read":
        model.model.layers[1].self_attn.config = type(model.config)(**model.config.to_dict())
        model.model.layers[1].self_attn.config._attn_implementation = "sdpa"
    elif fault == "another dtype":
        monkeypatch.setattr(key_values, "can_read_ragged", lambda *_: False)
    else:
        forward = model.forward
        monkeypatch.setattr(model, "forward", lambda **given: forward(**given | {"logits_to_keep": 1}))
    assert replies(model, sequences) == expected


@pytest.mark.parametrize("window", [16, 1000])
def test_a_window_is_not_read_as_if_there_were_none(window, sequences, request):
    import torch
    from transformers import MistralConfig, MistralForCausalLM

    from fixtures.engines.grouped_attention import register_grouped_attention

    torch.manual_seed(0)
    sizes = {"vocab_size": 40, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "initializer_range": 0.3}
    model = MistralForCausalLM(MistralConfig(sliding_window=window, **sizes, **heads)).eval()
    model.set_attn_implementation(register_grouped_attention())
    expected = replies(model, sequences[:12])
    asked = request.getfixturevalue("packed")
    assert replies(model, sequences[:12]) == expected
    assert not asked


@pytest.fixture
def scored(monkeypatch, sequences):
    """``scored(model, packed)``: every context with four options of one token, and how they were computed."""
    import torch

    from fixtures.engines import answer_kinds, option_scoring, packed_prompts
    from fixtures.engines.answer_kinds import OptionScores
    from fixtures.engines.encoding import OptionQuestion
    from fixtures.engines.memory import Bounds

    can = packed_prompts.can_be_packed
    monkeypatch.setattr(option_scoring, "_PACKED_ROWS", 16)
    questions = [OptionQuestion(one, [[3], [5], [7], [11]]) for one in sequences]

    def score(model, packed):
        device = torch.device("cuda" if packed else "cpu")
        monkeypatch.setattr(answer_kinds, "can_be_packed", lambda model, _: can(model, device))
        kind = OptionScores(None, torch.device("cpu"))
        with torch.inference_mode():
            found = dict(kind.fast(model, questions, bounds=Bounds(40, 700), watched=()))
        return [found[place] for place in range(len(questions))], kind.way

    return score


def test_options_behind_packed_contexts_have_the_same_log_likelihoods(model, sequences, scored, ragged):
    from fixtures.engines.prefix_groups import prefix_groups

    expected, way = scored(model, False)
    assert way == "" and not ragged
    found, way = scored(model, True)
    assert way == "prompts packed"
    for one, other in zip(found, expected, strict=True):
        assert one["log_likelihoods"] == pytest.approx(other["log_likelihoods"], abs=1e-4)
        assert one["generated"] == other["generated"]
    needed = sum(len(one) for one in sequences)
    needed -= sum(group.shared * (len(group.places) - 1) for group in prefix_groups(sequences, 64))
    assert sum(total for _, total in ragged[::2]) <= 1.15 * needed, "what is shared is computed once, nothing padded"


def test_options_of_a_model_that_does_not_read_rows_as_they_are_are_scored_with_padding(scored, ragged, monkeypatch):
    from fixtures.engines import key_values

    model = llama()
    expected, _ = scored(model, False)
    monkeypatch.setattr(key_values, "can_read_ragged", lambda *_: False)
    assert scored(model, True) == (expected, "")
