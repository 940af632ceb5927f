"""Whole numbers as a command line gives them, for argparse's ``type``: the trainer's and pytest's alike."""

import argparse


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
