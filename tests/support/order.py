"""Which end-to-end tests run first, and which in one worker.

What takes longest begins first: begun last, it would keep one worker busy while the others have
nothing left to do. Seconds are those of a run with six workers on a machine with two cores that
does nothing else, and only their order counts.
"""

from __future__ import annotations

import pytest

SECONDS = {
    "changes": 320,
    "boot": 290,
    "deployments": 290,
    "bake": 275,
    "wheel": 250,
    "playbooks": 220,
    "test_adoption_stages": 175,
    "test_deploy_adopted": 170,
    "test_deny_submit": 130,
    "key changes": 125,
    "test_demo_reduced": 125,
    "test_deploy_efa": 120,
    "machines": 80,
    "test_jobs_deployed": 60,
    "instances": 55,
    "container image": 50,
    "test_render_strings": 45,
    "security scan": 40,
    "test_outputs_uploaded": 30,
    "test_playbooks_efa": 30,
    "test_sandbox_terraform": 30,
    "test_jobs_outputs": 28,
    "test_inputs_fetched": 25,
    "test_terraform_broken_off": 25,
    "hostile environment": 20,
    "test_wireup_faults": 19,
    "docs site": 18,
    "test_terraform_sandbox": 18,
    "container image on Debian 13": 14,
    "test_jobs_many": 14,
    "test_jobs_cost": 12,
    "test_playbooks_no_init": 12,
    "test_playbooks_lint": 10,
    "test_rehearse_command": 10,
    "test_jobs_terminal": 9,
    "test_narrow_provider": 8,
    "test_provider6_rig": 8,
    "test_jobs_arrays": 7,
    "test_jobs_policy": 7,
    "variables": 5,
    "dashboard": 4,
}
"""How long a group takes, or the longest test of a file that has none."""

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
