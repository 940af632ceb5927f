"""The processes of one training: one, or those that ``accelerate launch`` or ``torchrun`` started."""

from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list


def processes() -> PartialState:
    """This process among them, on its GPU; without any GPU they talk by gloo."""
    return PartialState(cpu=not torch.cuda.is_available())


def of_the_first(value: Any) -> Any:
    """The first process's value, in all of them: what is decided is decided once."""
    if processes().num_processes == 1:
        return value
    values = [value]
    broadcast_object_list(values)
    return values[0]


def the_least(value: float) -> float:
    """The smallest of all processes' values."""
    if processes().num_processes == 1:
        return value
    least = torch.tensor(value, dtype=torch.float64, device=processes().device)
    torch.distributed.all_reduce(least, torch.distributed.ReduceOp.MIN)
    return float(least)
