"""The lean pass of LoRA layers against PEFT's own, adapter by adapter and scale by scale."""

import pytest

from fixtures.adapters.scale import Scale


@pytest.fixture(scope="module")
def model():
    """A small model with two adapters whose weights are not zero."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {"vocab_size": 300, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    plain = LlamaForCausalLM(LlamaConfig(num_attention_heads=4, **sizes))
    settings = [
        LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", init_lora_weights=False) for rank in (4, 8)
    ]
    tuned = get_peft_model(plain, settings[0], adapter_name="one")
    tuned.add_adapter("two", settings[1])
    return tuned.eval()


def peft_logits(model, ids, name, scale):
    from peft.helpers import rescale_adapter_scale

    model.set_adapter(name)
    with rescale_adapter_scale(model, scale):
        return model(ids).logits


@pytest.mark.parametrize(("name", "scale"), [("one", 1.0), ("two", 1.0), ("two", 0.5)])
def test_it_computes_what_peft_computes(model, monkeypatch, name, scale):
    import torch
    from peft.tuners.lora import Linear

    from fixtures.engines.lean_lora import applied_lora

    ids = torch.arange(60).reshape(2, 30)
    with torch.inference_mode():
        plain = peft_logits(model, ids, name, scale)
        with model.disable_adapter():
            base = model(ids).logits
        monkeypatch.setattr(Linear, "forward", lambda *_: pytest.fail("PEFT's own pass was asked"))
        with applied_lora(model, name, Scale(scale, scale)):
            lean = model(ids).logits
        monkeypatch.undo()
        torch.testing.assert_close(lean, plain, atol=1e-5, rtol=1e-5)
        assert not torch.allclose(lean, base, atol=1e-2)
        # Nothing is left behind.
        torch.testing.assert_close(peft_logits(model, ids, name, 1.0), peft_logits(model, ids, name, 1.0))
        with model.disable_adapter():
            torch.testing.assert_close(model(ids).logits, base, atol=0, rtol=0)


def test_what_is_no_plain_lora_is_left_to_peft():
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    from fixtures.engines.lean_lora import applied_lora

    sizes = {"vocab_size": 300, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 1}
    plain = LlamaForCausalLM(LlamaConfig(num_attention_heads=4, **sizes))
    settings = LoraConfig(r=4, target_modules=["q_proj"], use_dora=True, init_lora_weights=False)
    model = get_peft_model(plain, settings, adapter_name="dora").eval()
    ids = torch.arange(30)[None]
    with torch.inference_mode():
        own = model(ids).logits
        with applied_lora(model, "dora", Scale()):
            torch.testing.assert_close(model(ids).logits, own, atol=0, rtol=0)
