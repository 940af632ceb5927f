"""The names of Spider's four hardness levels, without sqlglot, which counting them needs (``hardness``)."""

from typing import Literal

Hardness = Literal["easy", "medium", "hard", "extra", "unknown"]
HARDNESS_LEVELS: tuple[Hardness, ...] = ("easy", "medium", "hard", "extra")
UNKNOWN: Hardness = "unknown"
