"""What is done to a node, and when: `2@5s` as data."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from mngen._text import counted
from mngen.timeline import Stage


class FaultKind(StrEnum):
    """What happens to a node."""

    KILL = "kill"
    """It is killed: SIGKILL to all its processes."""
    CUT = "cut"
    """It is disconnected from the network; no connection is closed."""
    FREEZE = "freeze"
    """All its processes stop."""
    SLOW = "slow"
    """It starts late."""
    MISSING = "missing"
    """It never comes."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that happens to a node.

    Attributes:
        kind: What.
        node: Index of the node.
        seconds: When, since the start; for a node that is missing, nothing.
        stage: When instead: as soon as the node's wire-up logs this stage.
    """

    kind: FaultKind
    node: int
    seconds: float = 0.0
    stage: Stage | None = None

    def __str__(self) -> str:
        if self.kind is FaultKind.MISSING:
            return f"node {self.node} never comes"
        if self.kind is FaultKind.SLOW:
            return f"node {self.node} starts {self.seconds:g} s late"
        moment = f"after {self.seconds:g} s" if self.stage is None else f"at `{self.stage}`"
        return f"node {self.node} is {_DONE[self.kind]} {moment}"


_DONE = {
    FaultKind.KILL: "killed",
    FaultKind.CUT: "cut off",
    FaultKind.FREEZE: "frozen",
}
_FAULT = re.compile(r"(?P<node>[0-9]{1,4})@(?P<count>[0-9]{1,6}(\.[0-9]{1,3})?)(?P<unit>ms|s|m|)")
_AT_STAGE = re.compile(r"(?P<node>[0-9]{1,4})@(?P<stage>start|rendezvous|ready|launch|running)")
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "ms": 0.001}


def parse_fault(kind: FaultKind, text: str) -> Fault:
    """Parses a fault as the command line gives it.

    Args:
        kind: What happens.
        text: `NODE@TIME`, the time in seconds or with a unit: `2@5s`, `2@500ms`, `2@1m`. Or
            `NODE@STAGE`, a stage of the wire-up: `2@running` is when its first rank has started.
            Only the node where it never comes.

    Raises:
        ValueError: It is invalid; the message is for the user.
    """
    if kind is FaultKind.MISSING:
        if not (text.isascii() and text.isdecimal()):
            raise ValueError(f"invalid node `{text}`: expected an index, such as 3")
        return Fault(kind, int(text))
    if kind is not FaultKind.SLOW and (match := _AT_STAGE.fullmatch(text)):
        return Fault(kind, int(match["node"]), stage=Stage(match["stage"]))
    match = _FAULT.fullmatch(text)
    if match is None:
        stages = "" if kind is FaultKind.SLOW else ", or NODE@STAGE, such as 2@running"
        raise ValueError(f"invalid fault `{text}`: expected NODE@TIME, such as 2@5s{stages}")
    return Fault(kind, int(match["node"]), float(match["count"]) * _UNITS[match["unit"]])


def check_faults(faults: tuple[Fault, ...], nodes: int) -> None:
    """Checks that faults make sense together.

    Raises:
        ValueError: They do not; the message is for the user.
    """
    for fault in faults:
        if fault.node >= nodes:
            raise ValueError(
                f"no node {fault.node} in a job of {counted(nodes, 'node')}: indexes start at 0"
            )
    missing = {fault.node for fault in faults if fault.kind is FaultKind.MISSING}
    for fault in faults:
        if fault.kind is not FaultKind.MISSING and fault.node in missing:
            raise ValueError(f"node {fault.node} is missing: it cannot be {_word(fault.kind)} too")
    if len(missing) == nodes:
        raise ValueError("no node to rehearse: all of them are missing")


def _word(kind: FaultKind) -> str:
    return _DONE.get(kind, str(kind))
