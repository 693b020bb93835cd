"""The demo's plan: which steps are reduced and why, and how the time left is estimated."""

from __future__ import annotations

import pytest

from mngen.demo import Clock, PlannedStep, in_words
from mngen.demo._plan import BAKE, CONTAINER, REHEARSE, planned
from mngen.parts import PARTS, Family, Finding, System, judge

DEBIAN = System(Family.DEBIAN, root=False, apt=True)


def reduced(*absent: str, against: str = "") -> dict[str, str]:
    findings = {name: Finding(found=name not in absent) for name in PARTS}
    plan = planned(judge("demo", findings), DEBIAN, against)
    return {step.name: step.reduced for step in plan.steps if step.reduced}


def test_nothing_is_reduced_where_all_is_there() -> None:
    assert reduced() == {}


def test_each_step_says_what_is_missing_for_it() -> None:
    against = "no container engine is installed"
    assert reduced("debootstrap", "engine", "mpirun", "sshd", against=against) == {
        BAKE: "AMIs are copied from their base, not baked; missing: debootstrap",
        CONTAINER: "the container image is not built; no container engine is installed",
        REHEARSE: "the job is not rehearsed with real MPI; missing: OpenSSH server, Open MPI",
    }


def test_without_root_it_is_root_that_is_missing() -> None:
    assert set(reduced("root", "namespaces", "overlay").values()) == {
        "AMIs are copied from their base, not baked; missing: root",
        "the job is not rehearsed with real MPI; missing: root",
    }


def test_what_was_not_asked_for_is_not_missing() -> None:
    assert reduced("engine") == {}


def test_a_reduced_step_is_expected_to_take_less_time() -> None:
    findings = {name: Finding(found=True) for name in PARTS}
    whole = planned(judge("demo", findings), DEBIAN, "")
    less = planned(judge("demo", findings | {"root": Finding(found=False)}), DEBIAN, "no")
    assert Clock(less.steps).left() < Clock(whole.steps).left()
    assert less.help == ("root: run as root, with sudo",)


STEPS = [PlannedStep("a", 10), PlannedStep("b", 30), PlannedStep("c", 60)]


def test_the_time_left_is_that_of_the_steps_to_come() -> None:
    assert Clock(STEPS).left() == 100
    assert Clock(STEPS).left(elapsed=4) == 96
    assert Clock(STEPS, [10]).left() == 90
    assert Clock(STEPS, [10, 30, 60]).left() == 0


def test_a_slow_machine_is_noticed() -> None:
    assert Clock(STEPS, [20, 60]).left() == pytest.approx(60 * 100 / 60)
    assert Clock(STEPS, [5]).left() == pytest.approx(90 * 25 / 30)


def test_a_step_that_takes_longer_than_expected_never_leaves_less_than_nothing() -> None:
    assert Clock(STEPS, [10, 30]).left(elapsed=500) == 1
    assert Clock(STEPS).left(elapsed=500) == 91


def test_the_share_grows_to_the_whole() -> None:
    assert Clock(STEPS).share() == 0
    assert Clock(STEPS, [10]).share(30) == pytest.approx(40 / 101)
    assert Clock(STEPS, [10, 30, 60]).share() == 1


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "a few seconds left"),
        (14, "a few seconds left"),
        (22, "about 20 s left"),
        (49, "about 50 s left"),
        (50, "about 1 min left"),
        (89, "about 1 min left"),
        (100, "about 2 min left"),
        (241, "about 4 min left"),
    ],
)
def test_the_estimate_is_no_more_exact_than_it_is(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
