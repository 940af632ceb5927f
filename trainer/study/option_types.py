"""Numbers as a command line gives them, for argparse's ``type``: the trainer's and pytest's alike."""

import argparse
import math


def natural(text: str) -> int:
    """The type of options that number something, e.g. a seed."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 or more")
    return int(text)


def positive(text: str) -> int:
    """The type of options that count something."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def amount(text: str) -> float:
    """The type of options that measure something of which there must be some, e.g. gigabytes."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value
