"""Which end-to-end tests run first, and which in one worker.

What takes longest begins first: begun last, it would keep one worker busy while the others have
nothing left to do. Seconds are those of a machine with two cores that does nothing else, and only
their order counts.
"""

from __future__ import annotations

import pytest

SECONDS = {
    "bake": 300,
    "wheel": 230,
    "boot": 200,
    "deployments": 200,
    "changes": 180,
    "key changes": 170,
    "container image": 120,
    "playbooks": 110,
    "machines": 90,
    "container image on Debian 13": 60,
    "test_jobs_deployed": 55,
    "docs site": 40,
    "test_terraform_sandbox": 40,
    "test_wireup_faults": 35,
    "test_rehearsal_nodes": 35,
    "hostile environment": 30,
    "instances": 30,
}
"""About how long a group takes, or each test of a file that has none."""

TOGETHER = {"test_instances": "instances", "test_playbooks_bake": "playbooks"}
"""Files whose tests share something that takes long to make, with their group: one worker makes
it, and no other makes it again or waits for it."""


def group(item: pytest.Item) -> str:
    """Return what `SECONDS` knows a test by: its group, or its file where it has none."""
    marker = item.get_closest_marker("xdist_group")
    return str(marker.args[0]) if marker else item.path.stem


def arrange(items: list[pytest.Item]) -> None:
    """Put the tests in their order, those of `TOGETHER` into their groups."""
    for item in items:
        if name := TOGETHER.get(item.path.stem):
            item.add_marker(pytest.mark.xdist_group(name))
    items.sort(key=lambda item: -SECONDS.get(group(item), 0))
