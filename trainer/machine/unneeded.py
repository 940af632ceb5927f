"""Libraries that Transformers and PEFT import wherever they are installed, and that no answer of ours needs."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Transformers takes one function each from them, for assisted decoding and for detecting objects in pictures; with
# what they import themselves, such as pandas, that is two of seven seconds.
_UNNEEDED = ("sklearn", "scipy")
# PEFT imports it, and it the half of torch's compiler: more than a second.
_QUANTISING = ("bitsandbytes",)
# Where only a tokenizer is wanted of Transformers, it does without both: two of three seconds.
_COMPUTING = ("torch", "accelerate")
_UNADVISED = "TRANSFORMERS_NO_ADVISORY_WARNINGS"  # it would warn that there is no torch


@contextmanager
def unneeded_left_out(*, quantised: bool, computing: bool = True) -> Iterator[None]:
    """Inside, Transformers and PEFT are imported as if what they do not need here were not installed.

    ``quantised``: the base model's weights are; ``computing``: this process runs a model, or reads a GGUF file.

    They remember for good that it is not, so a process that has imported Transformers already is left as it is. Of
    ours nothing is hidden: behind it the same names are imported as ever.
    """
    names = [*_UNNEEDED, *(() if quantised else _QUANTISING), *(() if computing else _COMPUTING)]
    hidden = [name for name in names if name not in sys.modules and "transformers" not in sys.modules]
    # None is how the import system writes "not there": find_spec finds nothing, import raises.
    sys.modules.update(dict.fromkeys(hidden))
    advised = os.environ.get(_UNADVISED)
    if not computing:
        os.environ[_UNADVISED] = "1"
    try:
        yield
    finally:
        if not computing and advised is None:
            del os.environ[_UNADVISED]
        for name in hidden:
            del sys.modules[name]
