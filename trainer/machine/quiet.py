"""Silence for the libraries below, in a process whose terminal is ours."""

import logging
import warnings


def quiet_libraries() -> None:
    """Turn off the libraries' warnings, logs and progress bars. Call it first: some warn when they are imported."""
    warnings.simplefilter("ignore")
    for name in ("bitsandbytes", "peft", "trl", "accelerate", "datasets", "huggingface_hub"):
        logging.getLogger(name).setLevel(logging.ERROR)

    import datasets
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    datasets.disable_progress_bars()
