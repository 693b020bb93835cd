"""Where the emulator differs from AWS, and how each difference is closed.

moto emulates most of what mngen needs. Where it answers unlike AWS, the difference is closed here,
in the process that serves it, so that no fault of the emulator ever shapes what mngen renders. Each
closure is a method that takes the place of moto's own, or is added beside it; its docstring names
which behaviour of AWS it restores. With a version of moto that they do not fit, the emulator
answers each request with that (`_patch`). One module a service:

- `mngen.sandbox.batch`: all of Batch;
- `_ec2`: placement groups, launch templates;
- `_reservations`: capacity reservations, capacity blocks, resource groups;
- `_instances`: instances, of which builders are real machines (`_machines`);
- `_images`: AMIs, snapshots, the volumes of a launch;
- `_network`: security groups and their rules, the default VPC;
- `_fsx`: FSx for Lustre;
- `_budgets`, `_budget_actions`: budgets with tags, alerts and actions;
- `_cost_tags`: cost allocation tags;
- `_dashboards`: dashboards of CloudWatch;
- `_sns`: subscriptions that wait for their confirmation;
- `_zones`: VPC endpoints and mount targets, in zones that may lack their service;
- `_misc`: EFS, Service Quotas, IAM.

AWS's price list, which moto does not have at all, is in `_pricing`. What only speeds moto up is in
`_moto` and `_serialize`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mngen.sandbox.machines._machines import Machines


def close_gaps(machines: Machines) -> None:
    """Closes every known gap in the moto of this process. Call once, before serving.

    Args:
        machines: The machines that instances can be.
    """
    from mngen.sandbox.batch import _backend
    from mngen.sandbox.emulator import (
        _budgets,
        _cost_tags,
        _dashboards,
        _ec2,
        _fsx,
        _images,
        _instances,
        _misc,
        _network,
        _reservations,
        _sns,
        _zones,
    )

    _backend.close()
    _ec2.close()
    _reservations.close()
    _instances.close(machines)
    _images.close()
    _network.close()
    _fsx.close()
    _sns.close()
    _budgets.close()
    _cost_tags.close()
    _dashboards.close()
    _zones.close()
    _misc.close()
