"""Text from outside, made safe to show; and numbers with what they count."""

from __future__ import annotations


def printable(text: str, *, keep: str = "\t") -> str:
    """Escapes control characters, so that no text can drive the user's terminal.

    Args:
        text: From a spec, a tool or AWS.
        keep: Control characters to leave as they are.
    """
    return "".join(
        char if char.isprintable() or char in keep else ascii(char)[1:-1] for char in text
    )


def replaced(text: str) -> str:
    """Replaces control characters, where a page or a picture cannot show them escaped."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def counted(number: int, what: str) -> str:
    """Returns a number with what it counts: `1 node`, `2 nodes`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
