"""A model's fingerprint sees every bit of it that changes."""

import pytest


@pytest.fixture
def model():
    import torch

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(130, 70), torch.nn.Linear(70, 7), torch.nn.BatchNorm1d(7))
    return model.to(torch.bfloat16)


def last_bit(model):
    import torch

    model[1].bias.data.view(torch.int16)[-1] ^= 1


def two_rows(model):
    model[0].weight.data[:2] = model[0].weight.data[:2].flip(0)


def buffer(model):
    model[2].num_batches_tracked += 1


def other_tensor(model):
    model[0].weight.data = model[0].weight.data * 1.5


def other_module(model):
    import copy

    model[0] = copy.deepcopy(model[0])


@pytest.mark.parametrize("change", [last_bit, two_rows, buffer, other_tensor, other_module])
def test_a_change_is_seen(change, model):
    from fixtures.engines.fingerprint import Fingerprint

    before = Fingerprint(model)
    assert not before.changed(model)
    change(model)
    assert before.changed(model)


def test_wrapping_a_module_is_no_change(model):
    import torch

    from fixtures.engines.fingerprint import Fingerprint

    before = Fingerprint(model)
    model[0] = torch.nn.Sequential(model[0], torch.nn.ReLU())
    assert not before.changed(model)
