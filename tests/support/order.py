"""Which end-to-end tests run first, and which in one worker.

What takes longest begins first: begun last, it would keep one worker busy while the others have
nothing left to do. Seconds are those of a run with eight workers on a machine with two cores that
does nothing else, and only their order counts.
"""

from __future__ import annotations

import pytest

SECONDS = {
    "changes": 340,
    "deployments": 300,
    "bake": 295,
    "playbooks": 260,
    "test_adoption_stages": 235,
    "boot": 225,
    "test_demo": 195,
    "test_deploy_adopted": 170,
    "test_deny_submit": 150,
    "key changes": 130,
    "test_demo_reduced": 115,
    "machines": 75,
    "test_outputs_uploaded": 70,
    "test_jobs_deployed": 57,
    "test_deploy_efa": 56,
    "instances": 54,
    "test_wireup_faults": 50,
    "container image": 40,
    "container image on Debian 13": 40,
    "security scan": 35,
    "test_jobs_outputs": 30,
    "test_terraform_broken_off": 30,
    "test_inputs_fetched": 25,
    "test_playbooks_efa": 25,
    "test_render_strings": 25,
    "test_sandbox_terraform": 25,
    "docs site": 20,
    "hostile environment": 20,
    "test_jobs_cost": 20,
    "test_jobs_many": 20,
    "test_playbooks_no_init": 20,
    "test_terraform_sandbox": 20,
    "test_jobs_policy": 15,
    "test_jobs_terminal": 15,
    "test_rehearse_command": 15,
    "test_jobs_arrays": 12,
    "test_narrow_provider": 12,
    "test_playbooks_lint": 12,
    "test_provider6_rig": 12,
    "test_jobs_submit": 10,
    "ansible": 8,
    "wheel": 8,
    "variables": 5,
    "dashboard": 4,
}
"""How long a group takes, or the longest test of a file that has none."""

TOGETHER = {
    "test_instances": "instances",
    "test_playbooks_bake": "playbooks",
    "test_playbooks_efa_version": "ansible",
    "test_playbooks_forked": "ansible",
    "test_playbooks_kernel_arguments": "ansible",
    "test_playbooks_variables": "variables",
    "test_wheel": "wheel",
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
