"""The lines of the wire-up's log."""

from __future__ import annotations

import pytest

from mngen_wireup.connection import MESSAGE_BYTES
from mngen_wireup.log import listed, node_list, shortened
from mngen_wireup.messages import packed


@pytest.mark.parametrize(
    ("indexes", "text"),
    [([3], "node 3"), ([3, 1], "nodes 1, 3"), ([5, 1, 2, 3, 9], "nodes 1-3, 5, 9")],
)
def test_nodes_are_named_briefly(indexes: list[int], text: str) -> None:
    assert node_list(indexes) == text


def test_a_program_in_the_command_is_shortened_in_the_log() -> None:
    assert shortened("/efs/app") == "/efs/app"
    assert shortened("x" * 6000) == "x" * 200 + "... (6000 characters)"


def test_the_reason_fits_into_a_message_however_many_nodes_are_lost() -> None:
    lost = [f"node {n} (10.0.{n // 250}.{n % 250}) closed its connection" for n in range(1, 1000)]
    assert listed(lost[:2]) == f"{lost[0]}; {lost[1]}"
    assert listed(lost).endswith("node 20 (10.0.0.20) closed its connection; 979 more")
    assert len(packed({"end": [67, "; ".join(lost)]})) > MESSAGE_BYTES
    assert len(packed({"end": [67, listed(lost)]})) < MESSAGE_BYTES / 10
