"""Which names are near enough to be suggested."""

from __future__ import annotations

import pytest

from mngen.errors import did_you_mean, nearest


@pytest.mark.parametrize(
    ("name", "known", "wanted"),
    [
        ("gpus", ["vcpus", "memory"], []),
        ("nodes", ["notes", "node", "modes"], ["notes", "node", "modes"]),
        ("RUNING", ["RUNNING", "RUNNABLE"], ["RUNNING"]),
        ("mn101", ["MN101", "MN204"], ["MN101"]),
        ("instnace", ["instance"], ["instance"]),
        ("contain", ["container"], ["container"]),
        ("timeout", ["attempts"], []),
        ("cpu", ["vcpus"], []),
        ("image", ["images", "storage"], ["images"]),
    ],
)
def test_near_is_what_a_slip_of_the_hand_makes(
    name: str, known: list[str], wanted: list[str]
) -> None:
    assert sorted(nearest(name, known)) == sorted(wanted)


def test_where_none_is_near_there_is_no_hint() -> None:
    assert did_you_mean("gpus", ["vcpus"]) is None
