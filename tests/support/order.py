"""Which end-to-end tests run first, and which in one worker.

What takes longest begins first: begun last, it would keep one worker busy while the others have
nothing left to do. Seconds are those of a run with six workers on a machine with two cores that
does nothing else, and only their order counts.
"""

from __future__ import annotations

import pytest

SECONDS = {
    "changes": 350,
    "deployments": 295,
    "boot": 290,
    "wheel": 280,
    "bake": 225,
    "playbooks": 195,
    "test_deploy_adopted": 190,
    "test_adoption_stages": 190,
    "test_demo_reduced": 170,
    "key changes": 150,
    "test_deny_submit": 140,
    "test_deploy_efa": 130,
    "test_wireup_faults": 130,
    "test_jobs_submit": 95,
    "machines": 85,
    "test_jobs_status": 80,
    "test_rehearse_command": 75,
    "container image": 65,
    "security scan": 65,
    "test_jobs_deployed": 60,
    "test_jobs_logs": 55,
    "test_terraform_broken_off": 40,
    "test_terraform_sandbox": 30,
    "instances": 27,
    "container image on Debian 13": 15,
    "test_rehearsal_nodes": 15,
    "dashboard": 15,
    "test_playbooks_no_init": 12,
    "test_playbooks_efa": 10,
    "docs site": 10,
    "hostile environment": 10,
    "test_playbooks_lint": 8,
    "variables": 5,
}
"""About how long a group takes, or each test of a file that has none."""

TOGETHER = {
    "test_instances": "instances",
    "test_playbooks_bake": "playbooks",
    "test_playbooks_variables": "variables",
}
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
