"""PyTorch's compiler, imported while something else is waited for: it takes seconds, which no cache saves."""

import contextlib
import functools
import importlib
from concurrent.futures import Future, ThreadPoolExecutor

import torch

# They import all that compiling attention does.
_MODULES = ("torch._inductor.compile_fx", "torch._inductor.select_algorithm", "torch._inductor.lowering")


@functools.cache
def import_compiler() -> Future | None:
    """Begin to import it, once a process; what comes back is done when it is there. None without a GPU."""
    if not torch.cuda.is_available():
        return None
    return ThreadPoolExecutor(1).submit(_import_all)


def _import_all() -> None:
    # What is missing here is said where it is used, if it is.
    with contextlib.suppress(ImportError):
        for name in _MODULES:
            importlib.import_module(name)
