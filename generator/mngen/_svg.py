"""Parts of pictures in SVG: numbers, text and the ticks of an axis, the same each time."""

from __future__ import annotations

import math
from xml.sax.saxutils import escape

from mngen._text import replaced


def number(value: float) -> str:
    """Returns a length or a place, to a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0")


def text(content: str) -> str:
    """Escapes text for XML, which has no way to write most control characters."""
    return escape(replaced(content))


def step(most: float, ticks: int) -> float:
    """Returns a round distance between the ticks of an axis that begins at 0.

    Args:
        most: The end of the axis.
        ticks: About how many ticks there are to be.
    """
    if most <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(most / ticks))
    return next(factor * power for factor in (1, 2, 5, 10) if most / (factor * power) <= ticks)
