"""Long names, cut to what fits into a box."""

from __future__ import annotations


def cut(text: str, longest: int) -> str:
    """Cuts text in its middle: names of one deployment often differ at their ends.

    Args:
        text: A line.
        longest: How many characters fit.
    """
    if len(text) <= longest:
        return text
    end = (longest - 1) // 2
    return f"{text[: longest - 1 - end]}…{text[len(text) - end :]}"
