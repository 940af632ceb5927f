"""How numbers are written, for terminal, page, paper and card alike. Fractions come in, per cent or points go out."""

import re
from collections.abc import Sequence

NONE = "–"  # where there is no number


def percent(fraction: float | None) -> str:
    """``75.0%``; a dash where there is no number."""
    return NONE if fraction is None else f"{100 * fraction:.1f}%"


def share_or_count(value: float | int | None) -> str:
    """A fraction in per cent, a number as it is."""
    return str(value) if isinstance(value, int) else percent(value)


def points(fraction: float | None) -> str:
    """A difference in percentage points, signed: ``+51.0``; a dash where there is no number."""
    return NONE if fraction is None else f"{100 * fraction:+.1f}"


def size(fraction: float | None) -> str:
    """How large something in points is, unsigned: ``7.2``; a dash where there is no number."""
    return NONE if fraction is None else f"{100 * fraction:.1f}"


def whole(fraction: float) -> str:
    """A size in points that somebody chose, such as a margin, with no more digits than it has: ``5``, ``2.5``."""
    return f"{100 * fraction:g}"


def whole_points(fraction: float) -> str:
    """The same with its unit: ``1 point``, ``2.5 points``."""
    said = whole(fraction)
    return f"{said} point" if said == "1" else f"{said} points"


def relative(percentage: float | None) -> str:
    """A change in per cent of what it was, signed: ``-15.0%``; a dash where there is no number."""
    return NONE if percentage is None else f"{percentage:+.1f}%"


def fraction_text(fraction: float | None) -> str:
    """A fraction as gates are written in: ``0.7500``; a dash where there is no number."""
    return NONE if fraction is None else f"{fraction:.4f}"


def interval(low: float | None, high: float | None, *, signed: bool = False, between: str = " to ") -> str:
    """Both ends in per cent or points: ``18.6 to 30.4``; a dash where there is none."""
    if low is None or high is None:
        return NONE
    sign = "+" if signed else ""
    return f"{100 * low:{sign}.1f}{between}{100 * high:{sign}.1f}"


def p_text(p: float) -> str:
    """A p value as people print it: ``0.031``, ``<0.001``."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def minus(text: str) -> str:
    """``text`` with typographic minus signs before numbers; a hyphen inside a name stays."""
    return re.sub(r"(?<!\w)-(?=\d)", "\u2212", text)


def listed(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
