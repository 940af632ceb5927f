"""The processes of one training: one, or those that ``accelerate launch`` or ``torchrun`` started."""

import torch
from accelerate import PartialState


def processes() -> PartialState:
    """This process among them, on its GPU; without any GPU they talk by gloo."""
    return PartialState(cpu=not torch.cuda.is_available())
