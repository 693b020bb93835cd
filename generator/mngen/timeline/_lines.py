"""The lines that the wire-up writes: `mngen[<node>] +<seconds>s <stage>: <text>`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """What a line of the wire-up is about."""

    START = "start"
    ROW = "row"
    CPUS = "cpus"
    INPUTS = "inputs"
    OUTPUTS = "outputs"
    RENDEZVOUS = "rendezvous"
    READY = "ready"
    LAUNCH = "launch"
    RUNNING = "running"
    END = "end"
    LOST = "lost"
    ERROR = "error"


_LINE = re.compile(
    r"mngen\[(?P<node>[0-9]{1,4})\] \+(?P<seconds>[0-9]{1,9}\.[0-9]{2})s "
    rf"(?P<stage>{'|'.join(Stage)}): (?P<text>.*)"
)


@dataclass(frozen=True, slots=True)
class WireUpLine:
    """A line of the wire-up.

    Attributes:
        node: Index of the node that wrote it.
        seconds: Since that node's own start.
        stage: What it is about.
        text: Its text.
    """

    node: int
    seconds: float
    stage: Stage
    text: str


def parse_line(text: str) -> WireUpLine | None:
    """Reads a line of a node's log; returns None for one that the wire-up did not write."""
    match = _LINE.fullmatch(text)
    if match is None:
        return None
    return WireUpLine(
        int(match["node"]), float(match["seconds"]), Stage(match["stage"]), match["text"]
    )
