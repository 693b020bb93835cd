"""The lines of the report: what became of each value that was found."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Outcome(StrEnum):
    """What became of a value."""

    CANNOT = "cannot"
    CHANGED = "changed"
    KEPT = "kept"


class Place(msgspec.Struct, frozen=True):
    """Where a value was found.

    Attributes:
        file: The file as the user named it, or the ARN of what was read from an account.
        pointer: JSON pointer in it (RFC 6901).
    """

    file: str
    pointer: str = ""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the report.

    Attributes:
        outcome: Whether the value was kept, was changed, or cannot be written in a spec.
        place: Where it was found.
        spec: Its path in the spec; empty if it has none.
        why: What it became, and why.
        todo: What the user should do; empty if nothing.
        breaks: Whether a job that runs today may fail because of it.
    """

    outcome: Outcome
    place: Place
    spec: str = ""
    why: str
    todo: str = ""
    breaks: bool = False

    def as_dict(self) -> dict[str, object]:
        """Returns the line as JSON-ready data."""
        return {
            "outcome": self.outcome.value,
            "file": self.place.file,
            "pointer": self.place.pointer,
            "spec": self.spec,
            "why": self.why,
            "todo": self.todo,
            "breaks": self.breaks,
        }


def in_order(lines: list[Line]) -> list[Line]:
    """Sorts lines: what breaks a job first, the rest by outcome; otherwise as they were found."""
    weights = list(Outcome)
    return sorted(
        lines, key=lambda line: (not line.breaks, not line.breaks and weights.index(line.outcome))
    )
