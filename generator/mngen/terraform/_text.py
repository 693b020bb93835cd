"""Text from outside, made safe to show."""

from __future__ import annotations


def printable(text: str) -> str:
    """Escapes control characters, so that what a tool prints cannot drive the terminal."""
    return "".join(
        char if char.isprintable() or char == "\t" else ascii(char)[1:-1] for char in text
    )
