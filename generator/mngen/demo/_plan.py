"""The steps of the demo before it starts: which of them are reduced and why, and the time left."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mngen import _resources, parts
from mngen.demo._container import reason_against_building

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CHECK = "check the spec"
RENDER = "render it, fetch the AWS provider"
FIRST_APPLY = "apply: network, file system, roles, registry"
BAKE = "bake the AMIs"
CONTAINER = "build the container image"
SECOND_APPLY = "apply: compute environments, queues"
SUBMIT = "submit a job"
REHEARSE = "rehearse it on this machine"
DESTROY = "destroy"

# About how long each step takes on a machine with two cores, in seconds: in full, and reduced. Most
# of both applies and of `destroy` is the provider's own waiting, which no faster machine shortens.
_SECONDS: Mapping[str, tuple[float, float]] = {
    CHECK: (1, 1),
    RENDER: (5, 5),
    FIRST_APPLY: (25, 25),
    BAKE: (45, 1),
    CONTAINER: (60, 1),
    SECOND_APPLY: (45, 45),
    SUBMIT: (10, 10),
    REHEARSE: (6, 1),
    DESTROY: (65, 65),
}
# A step without it has needs that the demo as a whole has.
_REDUCIBLE = {BAKE: "demo-bake", REHEARSE: "demo-rehearse"}
# So many seconds of the measured pace count as known before the first step has ended.
_PRIOR_SECONDS = 20.0
_LEAST_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step that will be run.

    Attributes:
        name: What is done.
        seconds: How long that takes on a machine with two cores.
        reduced: What is left out of it, and why; empty for nothing.
    """

    name: str
    seconds: float
    reduced: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the demo will do.

    Attributes:
        steps: The steps in order.
        help: How to get what is missing for those that are reduced.
    """

    steps: tuple[PlannedStep, ...]
    help: tuple[str, ...] = ()


def plan_demo(*, build: bool | None = None) -> Plan:
    """Looks at what this machine has, and plans the demo with it.

    Args:
        build: Whether the container image is built; None for where its base is there already.

    Raises:
        ToolError: Something is missing that the demo does not work without.
    """
    parts.require("demo")
    findings = parts.find_all(parts.all_parts_of("demo"))
    against = "as --no-container asks for"
    if build is not False:
        against = "" if build else reason_against_building(_resources.container()) or ""
    return planned(parts.judge("demo", findings), parts.this_system(), against)


def planned(judgement: parts.Judgement, system: parts.System, against: str) -> Plan:
    """Returns the plan for what was found.

    Args:
        judgement: That of the need `demo`.
        system: The system.
        against: Why the container image is not built; empty where it is.
    """
    left_out = {each.name: each for each in judgement.left_out}
    reduced = {}
    for step, need in _REDUCIBLE.items():
        if need in left_out:
            titles = ", ".join(parts.PARTS[name].title for name in left_out[need].missing)
            reduced[step] = f"{left_out[need].what}; missing: {titles}"
    if against:
        reduced[CONTAINER] = f"the container image is not built; {against}"
    steps = tuple(
        PlannedStep(name, short if name in reduced else full, reduced.get(name, ""))
        for name, (full, short) in _SECONDS.items()
    )
    return Plan(steps, parts.how_to_get(judgement.worth_installing, system).lines)


@dataclass(slots=True)
class Clock:
    """Estimates the time left from what the steps took so far.

    Attributes:
        steps: The steps.
        ended: Seconds that each finished step took.
    """

    steps: Sequence[PlannedStep]
    ended: list[float] = field(default_factory=list)

    def left(self, elapsed: float = 0.0) -> float:
        """Returns the seconds that are probably left.

        Args:
            elapsed: Seconds since the current step began.
        """
        rest = [step.seconds * self._pace() for step in self.steps[len(self.ended) :]]
        if not rest:
            return 0.0
        # A step that takes longer than expected ends soon, as far as anyone knows.
        return max(rest[0] - elapsed, _LEAST_SECONDS) + sum(rest[1:])

    def share(self, elapsed: float = 0.0) -> float:
        """Returns which share of the whole is done, 0 to 1."""
        done = sum(self.ended) + elapsed
        whole = done + self.left(elapsed)
        return done / whole if whole else 1.0

    def _pace(self) -> float:
        """Returns how many times longer than measured everything takes here."""
        expected = sum(step.seconds for step in self.steps[: len(self.ended)])
        return (sum(self.ended) + _PRIOR_SECONDS) / (expected + _PRIOR_SECONDS)


def in_words(seconds: float) -> str:
    """Returns an estimate of the time left for people, no more exact than it is."""
    if seconds < 15:
        return "a few seconds left"
    if seconds < 50:
        return f"about {round(seconds / 10) * 10} s left"
    return f"about {max(1, round(seconds / 60))} min left"
