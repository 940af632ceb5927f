"""Libraries that Transformers and PEFT import wherever they are installed, and that no answer of ours needs."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Transformers takes one function each from them, for assisted decoding and for detecting objects in pictures; with
# what they import themselves, such as pandas, that is two of seven seconds.
_UNNEEDED = ("sklearn", "scipy")
# PEFT imports it, and it the half of torch's compiler: more than a second.
_QUANTISING = "bitsandbytes"


@contextmanager
def unneeded_left_out(*, quantised: bool) -> Iterator[None]:
    """Inside, Transformers and PEFT are imported as if what they do not need here were not installed.

    They remember for good that it is not, so a process that has imported Transformers already is left as it is. Of
    ours nothing is hidden: behind it the same names are imported as ever.
    """
    names = [*_UNNEEDED, *([] if quantised else [_QUANTISING])]
    hidden = [name for name in names if name not in sys.modules and "transformers" not in sys.modules]
    # None is how the import system writes "not there": find_spec finds nothing, import raises.
    sys.modules.update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
