"""The EC2 instances of a job's nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from mngen.account import instances_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from mngen.jobs._types import JobStatus


def with_instances(status: JobStatus, connect: Callable[[], Any]) -> JobStatus:
    """Returns a job with the EC2 instances of its nodes, as far as ECS reports them.

    Args:
        status: The job as Batch reports it.
        connect: Makes a client of ECS; is called only where there is something to ask.
    """
    arns = [each.container_instance for each in status.nodes if each.container_instance]
    if not arns:
        return status
    found = instances_of(connect(), arns)
    nodes = []
    for each in status.nodes:
        instance, ami = found.get(each.container_instance or "", (None, None))
        nodes.append(msgspec.structs.replace(each, instance=instance, ami=ami))
    return msgspec.structs.replace(status, nodes=tuple(nodes))
