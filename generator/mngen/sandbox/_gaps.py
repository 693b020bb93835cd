"""Where the emulator differs from AWS, and how each difference is closed.

moto emulates most of what mngen needs. Where it answers unlike AWS, the difference is closed here,
in the process that serves it, so that no fault of the emulator ever shapes what mngen renders. Each
closure is a method that takes the place of moto's own, or is added beside it; its docstring says
which behaviour of AWS it restores. One module a service:

- `_gaps_batch`, `_gaps_batch_environments`, `_gaps_batch_jobs`: Batch's resources;
- `_gaps_batch_actions`, `_gaps_batch_submit`, `_gaps_batch_job`, `_gaps_batch_schedule`,
  `_gaps_batch_list`, `_gaps_batch_logs`, `_gaps_batch_machines`: Batch's jobs;
- `_gaps_ec2`: placement groups, launch templates;
- `_gaps_instances`: instances, of which builders are real machines (`_machines`);
- `_gaps_images`: AMIs, snapshots, the volumes of a launch;
- `_gaps_network`: security groups and their rules, the default VPC;
- `_gaps_misc`: EFS, Service Quotas, IAM.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mngen.sandbox._machines import Machines


def close_gaps(machines: Machines) -> None:
    """Closes every known gap in the moto of this process. Call once, before serving.

    Args:
        machines: The machines that instances can be.
    """
    from mngen.sandbox import (
        _gaps_batch,
        _gaps_ec2,
        _gaps_images,
        _gaps_instances,
        _gaps_misc,
        _gaps_network,
    )

    _gaps_batch.close()
    _gaps_ec2.close()
    _gaps_instances.close(machines)
    _gaps_images.close()
    _gaps_network.close()
    _gaps_misc.close()
