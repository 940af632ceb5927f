"""Attention of grouped heads against transformers' own, in a small model with random weights."""

import random

import pytest


@pytest.fixture(scope="module")
def model():
    """Eight query heads on two key heads."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {"vocab_size": 300, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    return LlamaForCausalLM(LlamaConfig(num_attention_heads=8, num_key_value_heads=2, **sizes)).eval()


def test_it_computes_what_transformers_computes(model):
    import torch

    from fixtures.engines.encoding import OptionQuestion
    from fixtures.engines.greedy_decoding import greedy_replies
    from fixtures.engines.grouped_attention import register_grouped_attention
    from fixtures.engines.option_scoring import score_options

    rng = random.Random(1)
    shared = [rng.randint(0, 299) for _ in range(100)]
    sequences = [shared + [rng.randint(0, 299) for _ in range(rng.randint(5, 60))] for _ in range(9)]
    questions = [OptionQuestion(sequence, [[1, 2], [3]]) for sequence in sequences]

    def answered(attention):
        model.set_attn_implementation(attention)
        with torch.inference_mode():
            replies = greedy_replies(model, sequences, torch.tensor([299]), 20)
            return replies, score_options(model, questions, torch.device("cpu"))

    (replies, scores), (plain_replies, plain_scores) = answered(register_grouped_attention()), answered("sdpa")
    assert replies == plain_replies
    for answer, plain in zip(scores, plain_scores, strict=True):
        assert answer["log_likelihoods"] == pytest.approx(plain["log_likelihoods"], abs=1e-5)
        assert answer["generated"] == plain["generated"]


def test_a_window_counts_tokens_and_not_padding():
    """Prompts longer than the window, with a common beginning: alone and together."""
    import torch
    from transformers import MistralConfig, MistralForCausalLM

    from fixtures.engines.encoding import OptionQuestion
    from fixtures.engines.option_scoring import score_options

    torch.manual_seed(0)
    sizes = {"vocab_size": 300, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    model = MistralForCausalLM(MistralConfig(sliding_window=16, **sizes, **heads)).eval()
    rng = random.Random(1)
    shared = [rng.randint(0, 299) for _ in range(200)]
    sequences = [shared + [rng.randint(0, 299) for _ in range(rng.randint(5, 60))] for _ in range(6)]
    questions = [OptionQuestion(sequence, [[1], [2]]) for sequence in sequences]
    with torch.inference_mode():
        together = score_options(model, questions, torch.device("cpu"))
        alone = [score_options(model, [question], torch.device("cpu"))[0] for question in questions]
    for one, other in zip(together, alone, strict=True):
        assert one["log_likelihoods"] == pytest.approx(other["log_likelihoods"], abs=1e-4)
