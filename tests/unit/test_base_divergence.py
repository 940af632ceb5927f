"""The divergence from the base model: its value, its gradient, and what a row with it comes to."""

import copy
from types import SimpleNamespace

import pytest

from tests.unit.test_replay_mixing import general
from tests.unit.test_trainer_batches import text

WEIGHT = 0.7


@pytest.mark.parametrize("tokens", [1, 128, 300])
def test_it_is_the_divergence_that_torch_computes(tokens):
    """Of fewer tokens than are taken together, of as many and of more; the gradient also behind a factor."""
    import torch
    from torch.nn.functional import kl_div

    from trainer.training.base_divergence import divergence

    torch.manual_seed(0)
    tuned, base = torch.randn(2, tokens, 50) * 3
    ours, theirs = (tuned.clone().requires_grad_() for _ in range(2))
    expected = kl_div(theirs.log_softmax(-1), base.log_softmax(-1), log_target=True, reduction="sum")
    found = divergence(ours, base.clone())
    torch.testing.assert_close(found, expected)
    (found * WEIGHT).backward()
    (expected * WEIGHT).backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_equal_predictions_do_not_diverge():
    import torch

    from trainer.training.base_divergence import divergence

    logits = torch.randn(9, 50, requires_grad=True)
    found = divergence(logits, logits.detach().clone())
    found.backward()
    assert found == 0 and not logits.grad.any()


@pytest.fixture
def tuned():
    """A small model with an adapter that has learnt something, and its trainer's ways with a row."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    from trainer.training.row_trainer import RowTrainer
    from trainer.training.shared_schema import use_shared_schema_attention

    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=1100, hidden_size=64, intermediate_size=48, num_hidden_layers=2,
                         num_attention_heads=4, num_key_value_heads=2)  # fmt: skip
    model = LlamaForCausalLM(config)
    use_shared_schema_attention(model, longest=300, attention="sdpa")
    model = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj", "down_proj"]))
    for name, weights in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, std=0.2)
    whole = SimpleNamespace(num_processes=1, unwrap_model=lambda model: model)
    trainer = SimpleNamespace(model=model, accelerator=whole, kl_weight=WEIGHT)
    for name in ("_row_parts", "_base_logits"):
        setattr(trainer, name, getattr(RowTrainer, name).__get__(trainer))
    return trainer


def expected_parts(model, texts, kl_on):
    """One text after another, with torch's own divergence against the model without its adapter."""
    import torch
    from torch.nn.functional import cross_entropy, kl_div

    losses, replayed, diverged = 0.0, 0.0, 0.0
    for one in texts:
        ids = torch.tensor([one.tokens])
        row = {"input_ids": ids, "position_ids": torch.arange(ids.shape[1])[None], "layout": [[ids.shape[1] - 1, 1]]}
        places = slice(one.prompt_length - 1, -1)
        logits = model(**row).logits[0, places]
        loss = cross_entropy(logits, ids[0, one.prompt_length :], reduction="sum")
        losses, replayed = losses + loss, replayed + loss * one.replay
        if one.replay or kl_on == "all":
            with torch.no_grad(), model.disable_adapter():
                base = model(**row).logits[0, places]
            kl = kl_div(logits.log_softmax(-1), base.log_softmax(-1), log_target=True, reduction="sum")
            diverged = diverged + kl
    return torch.stack([losses + WEIGHT * diverged, replayed, diverged])


@pytest.mark.parametrize("kl_on", ["replay", "all"])
def test_a_row_has_the_parts_and_gradients_of_its_texts(tuned, kl_on):
    import torch

    from trainer.training.row_trainer import row_beside_base

    texts = [text("a", 0), general(1, reply=9), text("b", 1), text("a", 2), general(2), general(1, reply=9)]
    trained = [weights for weights in tuned.model.parameters() if weights.requires_grad]
    expected = expected_parts(tuned.model, texts, kl_on)
    gradients = torch.autograd.grad(expected[0], trained)
    found = tuned._row_parts(tuned.model, row_beside_base(texts, kl_on))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert found[2] > 0.01
    torch.testing.assert_close(torch.autograd.grad(found[0], trained), gradients, rtol=1e-3, atol=1e-5)


def test_the_base_pass_leaves_the_model_as_it_was(tuned):
    """In training mode, its adapter on and trainable; and a fresh adapter does not diverge."""
    import torch

    from trainer.training.row_trainer import row_beside_base

    trainable = [weights.requires_grad for weights in tuned.model.parameters()]
    tuned.model.train()
    texts = [text("a", 0), general(1)]
    before = tuned._row_parts(tuned.model, row_beside_base(texts, "replay"))
    assert tuned.model.training and [weights.requires_grad for weights in tuned.model.parameters()] == trainable
    assert before[2] > 1e-3
    for name, weights in tuned.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.zeros_(weights)
    fresh = tuned._row_parts(tuned.model, row_beside_base(texts, "replay"))
    assert fresh[2].item() == pytest.approx(0, abs=1e-5)


def test_a_row_without_replay_asks_the_base_model_nothing(tuned, monkeypatch):
    from trainer.training.row_trainer import row_beside_base

    monkeypatch.setattr(tuned, "_base_logits", None)
    parts = tuned._row_parts(tuned.model, row_beside_base([text("a", 0)], "replay"))
    assert parts[0] > 0 and parts[1:].tolist() == [0, 0]


def test_parts_are_told_as_means_of_their_own_tokens():
    import torch

    from trainer.training.loss_parts import LossParts

    step = [text("a", 0), text("a", 1), general(1, reply=6)]  # 2 + 2 labels of SQL, 6 of replay
    for kl_on, held in (("replay", 6), ("all", 10)):
        parts = LossParts([step, copy.copy(step)], WEIGHT, kl_on)
        for half in (0.25, 0.75):
            parts.add(torch.tensor([8.0 + 12.0 + WEIGHT * 3.0, 12.0, 3.0]) * half / 10)
        told = parts.take(2, lambda sums: sums)
        assert told == pytest.approx({"loss": 8 / 4, "replay_loss": 12 / 6, "kl": 3 / held}, rel=1e-5)


def test_memory_counts_the_divergence(tmp_path):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from tests.bench.llama_3_8b import LLAMA_3_8B
    from tests.unit.test_trainer_memory import run_with
    from trainer.training.memory import memory_demand
    from trainer.training.passes import may_be_captured

    with torch.device("meta"):
        skeleton = LlamaForCausalLM(LlamaConfig(**LLAMA_3_8B, tie_word_embeddings=False))
    plain, diverging = (run_with(tmp_path, kl_weight=weight, kl_on="all") for weight in (0.0, 0.5))
    less, more = (memory_demand(run, skeleton, fused=True) for run in (plain, diverging))
    vocabulary = skeleton.config.vocab_size
    # In bfloat16 or float32, by the machine: base logits, their copy and two gradients; and the chunk.
    assert more.label - less.label in (8 * vocabulary, 16 * vocabulary)
    assert more.fixed - less.fixed == 24 * 128 * vocabulary
    assert (more.token_kept, more.token_recomputed) == (less.token_kept, less.token_recomputed)
    assert may_be_captured(plain, 1) and may_be_captured(diverging, 1)
