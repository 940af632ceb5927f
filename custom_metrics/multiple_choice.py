"""From the log-likelihoods of a multiple-choice question's options to the option a model chose.

Both rules follow lm-evaluation-harness (``process_results`` in lm_eval/api/task.py), ties included: its argmax
takes the first of equal options.
"""

import math
from collections.abc import Sequence

LETTERS = "ABCD"


def choose_letter(log_likelihoods: Sequence[float]) -> str:
    """The letter whose continuation (`` A`` to `` D``) is the most likely; the harness's ``acc``.

    Raises:
        ValueError: not four log-likelihoods, or one is not a number (the model has diverged; no letter was chosen).

    >>> choose_letter([-2.5, -0.5, -0.5, -7.0])
    'B'
    """
    _check(log_likelihoods)
    return LETTERS[max(range(len(LETTERS)), key=log_likelihoods.__getitem__)]


def choose_cloze(log_likelihoods: Sequence[float], lengths: Sequence[int]) -> str:
    """The letter of the option whose text is the most likely per unit of length; the harness's ``acc_norm``.

    ``lengths`` are those of the options' texts, without the space before them. The harness counts characters for
    ``acc_norm`` and UTF-8 bytes for ``acc_bytes``; the two agree on ASCII.

    Raises:
        ValueError: as ``choose_letter``, or not four lengths above 0.
    """
    return choose_letter(by_length(log_likelihoods, lengths))


def by_length(log_likelihoods: Sequence[float], lengths: Sequence[int]) -> list[float]:
    """Log-likelihoods per unit of length, as ``choose_cloze`` compares them.

    Raises:
        ValueError: as ``choose_cloze``.
    """
    if len(lengths) != len(LETTERS) or min(lengths) < 1:
        raise ValueError(f"expected four lengths of at least 1, got {list(lengths)!r}")
    _check(log_likelihoods)
    return [value / length for value, length in zip(log_likelihoods, lengths, strict=True)]


def is_tied(log_likelihoods: Sequence[float]) -> bool:
    """Whether two options or more are exactly as likely as the most likely one; the first of them is chosen.

    Raises:
        ValueError: as ``choose_letter``.

    >>> is_tied([-2.5, -0.5, -0.5, -7.0]), is_tied([-2.5, -0.5, -2.5, -7.0])
    (True, False)
    """
    _check(log_likelihoods)
    return list(log_likelihoods).count(max(log_likelihoods)) > 1


def letter_mass(log_likelihoods: Sequence[float]) -> float:
    """The probability, from 0 to 1, that the model answers with one of the four letters at all.

    Low mass means that the model does not follow the format; its letter then says little about what it knows.

    Raises:
        ValueError: as ``choose_letter``.
    """
    _check(log_likelihoods)
    return math.fsum(map(math.exp, log_likelihoods))


def _check(log_likelihoods: Sequence[float]) -> None:
    if len(log_likelihoods) != len(LETTERS) or any(map(math.isnan, log_likelihoods)):
        raise ValueError(f"expected four log-likelihoods, one per letter, got {list(log_likelihoods)!r}")
