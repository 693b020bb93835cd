"""Reserved capacity of an emulated environment: what its launch template targets, and what is left.

AWS Batch passes a launch template on to EC2 Auto Scaling, and EC2 refuses to start an instance that
does not match the reservation that it targets. An environment becomes INVALID when its block ends:
https://aws.amazon.com/blogs/hpc/how-to-use-capacity-blocks-for-ml-with-aws-batch. AWS documents
nowhere which reason a job has before the block begins. It is that of missing capacity here, since
EC2 answers so to a fleet:
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-fleet-launch-instances-capacity-blocks-walkthrough.html

Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/capacity-reservations-launch.html and
capacity-blocks-launch.html
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mngen.sandbox.batch import _reasons as reasons
from mngen.sandbox.batch._interfaces import template_data
from mngen.sandbox.emulator._reservations import BLOCK, reservations

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mngen.sandbox.batch._job import Job
    from mngen.sandbox.emulator._reservations import Reservation


def reservation_fault(ec2: Any, resources: Mapping[str, Any]) -> str | None:
    """Returns why the reservation that an environment targets makes it INVALID, or None."""
    wanted = _target(ec2, resources)
    if wanted is None:
        return None
    found = reservations(ec2).get(wanted)
    if found is None:
        return f"CLIENT_ERROR - The capacity reservation ID '{wanted}' does not exist"
    if found.is_block and found.now == "expired":
        return f"CLIENT_ERROR - The capacity block '{wanted}' has expired"
    return None


def reservation_obstacle(
    ec2: Any, found: Reservation, resources: Mapping[str, Any], nodes: int, taken: int, now: float
) -> str | None:
    """Returns the code of why EC2 starts no instances in a reservation; None if it does.

    Args:
        ec2: The EC2 of the account and region.
        found: The reservation that an environment targets.
        resources: The environment's compute resources.
        nodes: Instances that a job needs.
        taken: Instances that other jobs have in the reservation.
        now: Seconds since the epoch.
    """
    market = template_data(ec2, resources).get("InstanceMarketOptions", {}).get("MarketType")
    options = found.options
    zones = {ec2.get_subnet(each).availability_zone for each in resources["subnets"]}
    fits = (
        options["InstanceType"] in resources["instanceTypes"]
        and options["AvailabilityZone"] in zones
        and options["Tenancy"] == "default"
        and options["InstancePlatform"] == "Linux/UNIX"
        and (market == BLOCK) is found.is_block
    )
    if not fits:
        return reasons.UNSUPPORTED
    group = options.get("PlacementGroupArn", "").rpartition("/")[2]
    left = options["TotalInstanceCount"] - found.elsewhere - taken
    over = now >= found.instances_until
    if (
        found.now != "active"
        or over
        or left < nodes
        or group != (resources.get("placementGroup") or "")
    ):
        return reasons.NO_CAPACITY
    return None


def instances_until(ec2: Any, resources: Mapping[str, Any]) -> float:
    """Returns when EC2 terminates the instances of an environment, in seconds since the epoch.

    Infinite for never.
    """
    found = reservation_of(ec2, resources)
    return math.inf if found is None else found.instances_until


def started(backend: Any, jobs: Iterable[Job], reservation: str) -> int:
    """Returns how many instances jobs have in a reservation."""
    return sum(
        len(job.containers)
        for job in jobs
        if job.status in ("STARTING", "RUNNING")
        and _target(backend.ec2_backend, job.attempts[-1].environment.compute_resources)
        == reservation
    )


def reservation_of(ec2: Any, resources: Mapping[str, Any]) -> Reservation | None:
    """Returns the reservation that an environment targets; None for none, or for a group."""
    wanted = _target(ec2, resources)
    return None if wanted is None else reservations(ec2).get(wanted)


def _target(ec2: Any, resources: Mapping[str, Any]) -> str | None:
    """Returns the id of the reservation that an environment's launch template targets."""
    chosen = template_data(ec2, resources).get("CapacityReservationSpecification", {})
    target: str | None = chosen.get("CapacityReservationTarget", {}).get("CapacityReservationId")
    return target
