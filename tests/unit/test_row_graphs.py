"""Rows through CUDA graphs, as far as a CPU can tell: the same code, not captured."""

import contextlib
import dataclasses
import functools

import pytest

from tests.unit.test_static_rows import TEXTS
from tests.unit.test_trainer_batches import loss_alone, text
from trainer.training.row_shapes import RowShape
from trainer.training.static_rows import pack_row

MORE = [text("d", number, schema=200, own=9) for number in range(3)]


def _attend_with_a_matrix(query, key, value, *, block_mask, scale, kernel_options):
    """Flex attention has no backward pass on a CPU."""
    from torch.nn.attention.flex_attention import create_mask
    from torch.nn.functional import scaled_dot_product_attention

    tokens = query.shape[2]
    seen = create_mask(block_mask.mask_mod, 1, 1, tokens, tokens, device="cpu")
    return scaled_dot_product_attention(query, key, value, attn_mask=seen, scale=scale)


@pytest.fixture
def model(monkeypatch):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from trainer.training import shared_schema

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=1100, hidden_size=64, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2,
    )  # fmt: skip
    monkeypatch.setattr(shared_schema, "flex_attention", _attend_with_a_matrix)
    return LlamaForCausalLM(config).double()


def row_graphs(model, shapes: list[RowShape], **options):
    from trainer.training.row_graphs import RowGraphs
    from trainer.training.row_trainer import row_loss

    def compute(row, items):
        loss = row_loss(model, row.inputs, row.predicting, row.targets) / items
        loss.backward()
        return loss.detach()

    return RowGraphs(compute, list(model.parameters()), shapes, **options)


def step(graphs, rows, shapes, items):
    import torch

    packed = [pack_row(texts, shapes) for texts in rows]
    return sum(graphs.step(row["packed"], row["shape"], torch.tensor(items)) for row in packed)


def test_static_rows_have_the_losses_and_gradients_of_their_questions(model):
    """Of two rows of one step, in two shapes; and again, with nothing left over from before."""
    import torch

    from trainer.training.shared_schema import use_shared_schema_attention

    alone = sum(loss_alone(model, texts) for texts in (TEXTS, MORE)) / 70
    expected = torch.autograd.grad(alone, list(model.parameters()))
    use_shared_schema_attention(model, longest=256, attention="flex_attention")
    shapes = [RowShape(256, 16), RowShape(512, 32)]
    graphs = row_graphs(model, shapes, capture=False)
    for _ in range(2):
        found = step(graphs, [TEXTS, MORE], shapes, 70)
        torch.testing.assert_close(found, alone.detach(), rtol=1e-5, atol=1e-6, check_dtype=False)
        torch.testing.assert_close([p.grad for p in model.parameters()], list(expected), rtol=1e-5, atol=1e-6)
        model.zero_grad()


def test_what_cannot_be_captured_is_computed_without(model, monkeypatch):
    """With nothing left over of the attempt."""
    import torch

    from trainer.training.shared_schema import use_shared_schema_attention

    def refuse(mode):
        if mode == "error":
            raise RuntimeError("called a synchronizing CUDA operation\nand more")

    use_shared_schema_attention(model, longest=256, attention="flex_attention")
    shapes = [RowShape(256, 16)]
    expected = step(row_graphs(model, shapes, capture=False), [TEXTS], shapes, 9)
    gradients = [weights.grad.clone() for weights in model.parameters()]
    model.zero_grad()
    monkeypatch.setattr(torch.random, "fork_rng", lambda devices: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "get_sync_debug_mode", lambda: 0)
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", refuse)
    graphs = row_graphs(model, shapes, capture=True)
    assert torch.equal(step(graphs, [TEXTS], shapes, 9), expected)
    torch.testing.assert_close([weights.grad for weights in model.parameters()], gradients, rtol=0, atol=0)
    assert (graphs.capturing, graphs.failure) == (False, "called a synchronizing CUDA operation")


@pytest.fixture
def small_trainer(tmp_path, monkeypatch):
    """A function that trains six steps of two rows each, in two shapes, and returns the trainer and its losses."""
    import torch

    from trainer.training import row_shapes, row_trainer, shared_schema

    monkeypatch.setattr(row_shapes, "_CAPTURE_TOKENS", 0)
    # They would stay in other tests' models.
    monkeypatch.setattr(row_trainer, "use_fused_kernels", lambda model: None)
    if not torch.cuda.is_available():
        monkeypatch.setattr(shared_schema, "flex_attention", _attend_with_a_matrix)
    return functools.partial(train_small, tmp_path)


def train_small(tmp_path, *, static=True, capture=False, dropout=0.1, replay=False, kl_on="", dtype=""):
    import torch

    from trainer.run import lora_run
    from trainer.study.base_model import load_tokenizer
    from trainer.study.experiment import load_experiment
    from trainer.study.settings import ReplaySettings
    from trainer.training.passes import Passes
    from trainer.training.progress import StepReport
    from trainer.training.row_trainer import build_trainer

    run = lora_run(load_experiment("miniature"), "cfg1", results_dir=tmp_path)
    dtype = dtype or ("bfloat16" if torch.cuda.is_available() else "float32")
    base = run.base_model.model_copy(update={"dtype": dtype, "attention": "flex_attention"})
    settings = run.settings.model_copy(update={"dropout": dropout, "batch_size": 2, "micro_batch_size": 1})
    settings = settings.model_copy(update={"replay": ReplaySettings() if replay else None})
    if kl_on:
        settings = settings.model_copy(update={"kl_weight": 0.5, "kl_on": kl_on})
    run = dataclasses.replace(run, base_model=base, settings=settings)
    texts = [text("a", number, schema=90 + 170 * (number % 2), own=20) for number in range(12)]
    texts = [dataclasses.replace(item, tokens=[token % 300 for token in item.tokens]) for item in texts]
    planned = [texts[first : first + 2] for first in range(0, 12, 2)]
    if replay:
        general = [dataclasses.replace(item, group=f"replay {item.id}", replay=True) for item in texts[::2]]
        planned = [[*step, own] for step, own in zip(planned, general, strict=True)]
    report, passes = StepReport("", [1] * 6, visible=False), Passes(1, False, cuda_graphs=static)
    trainer = build_trainer(run, load_tokenizer(run.base_model), planned, tmp_path / "folder", report, passes)
    trainer.args.save_strategy, trainer.capture = "no", capture
    trainer.train()
    return trainer, report.losses + [value for beside in report.beside_loss.values() for value in beside]


KINDS = [{}, {"replay": True}, {"replay": True, "kl_on": "replay"}, {"replay": True, "kl_on": "all"}, {"kl_on": "all"}]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_training_in_static_rows_is_that_of_rows_as_they_come(small_trainer, kind):
    """But for dropout, which draws for padding too. Where there is replay or the divergence, it is told as well."""
    trainer, found = small_trainer(dropout=0.0, dtype="float32", **kind)
    assert [shape.tokens for shape in trainer.shapes] == [256, 384]
    assert trainer.graphs is not None and len(found) == 6 * (1 + len(kind))
    _, losses = small_trainer(static=False, dropout=0.0, dtype="float32", **kind)
    assert found == pytest.approx(losses, rel=1e-3, abs=1e-5)
    assert found[0] == pytest.approx(losses[0], rel=1e-5) and found[0] != found[-1]


def test_a_step_does_not_visit_every_module(small_trainer, monkeypatch):
    """To say that they are trained, which they know: a GPU would wait for it, longer than for all else."""
    import torch
    from peft import PeftModel

    told = []
    plain = torch.nn.Module.train

    def train(self, mode=True):
        told.extend([mode] * isinstance(self, PeftModel))
        return plain(self, mode)

    monkeypatch.setattr(torch.nn.Module, "train", train)
    trainer, losses = small_trainer()
    assert len(losses) == 6 and all(module.training for module in trainer.model.modules())
    assert told == [True]


on_a_gpu = pytest.mark.skipif("not __import__('torch').cuda.is_available()", reason="no GPU")


def trained(trainer) -> str:
    from trainer.keeping.weights import adapter_hash, adapter_weights

    return adapter_hash(adapter_weights(trainer.model))


@on_a_gpu
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_graphs_train_what_kernels_one_by_one_train(small_trainer, kind):
    """Bit for bit, dropout too; and again."""
    eager, losses = small_trainer(capture=False, **kind)
    for _ in range(2):
        captured, found = small_trainer(capture=True, **kind)
        assert captured.graphs.capturing and not captured.graphs.failure
        assert captured.graphs.captured == 2
        assert found == losses
        assert trained(captured) == trained(eager)


@on_a_gpu
@pytest.mark.parametrize("noticed", [True, False], ids=["before", "while capturing"])
def test_a_model_that_cannot_be_captured_is_trained_without(small_trainer, monkeypatch, noticed):
    import torch

    from trainer.training import row_trainer

    def waiting(*arguments):
        loss = whole(*arguments)
        return loss * (1 if loss.item() > 0 else 2)

    whole = row_trainer.row_loss
    eager, losses = small_trainer(capture=False)
    monkeypatch.setattr(row_trainer, "row_loss", waiting)
    if not noticed:
        monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", lambda mode: None)
    found, found_losses = small_trainer(capture=True)
    assert found.graphs.failure and not found.graphs.capturing
    assert found_losses == losses
    assert trained(found) == trained(eager)
