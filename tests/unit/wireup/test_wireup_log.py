"""The lines of the wire-up's log."""

from __future__ import annotations

import pytest

from mngen_wireup.log import node_list, shortened


@pytest.mark.parametrize(
    ("indexes", "text"),
    [([3], "node 3"), ([3, 1], "nodes 1, 3"), ([5, 1, 2, 3, 9], "nodes 1-3, 5, 9")],
)
def test_nodes_are_named_briefly(indexes: list[int], text: str) -> None:
    assert node_list(indexes) == text


def test_a_program_in_the_command_is_shortened_in_the_log() -> None:
    assert shortened("/efs/app") == "/efs/app"
    assert shortened("x" * 6000) == "x" * 200 + "... (6000 characters)"
