"""Capacity that is reserved in EC2: reservations, capacity blocks and resource groups of them.

Sources: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CapacityReservation.html;
https://docs.aws.amazon.com/autoscaling/ec2/userguide/launch-template-capacity-blocks.html for the
instances of a block, which EC2 terminates before its end.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_ec2.client import EC2Client
    from mypy_boto3_ec2.type_defs import CapacityReservationTypeDef

_UNKNOWN = ("InvalidCapacityReservationId.NotFound", "InvalidCapacityReservationId.Malformed")
_POOL = "AWS::EC2::CapacityReservationPool"
_ENDED = ("expired", "cancelled", "cancelling", "failed", "payment-failed", "unsupported")
_BEFORE_END = timedelta(minutes=30)
_A_DAY = timedelta(days=1)
_AN_HOUR = timedelta(hours=1)


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """A capacity reservation, or a capacity block.

    Attributes:
        id: Its id.
        instance: Its instance type.
        zone: Its availability zone.
        platform: Its operating system; `Linux/UNIX` for those that AWS Batch starts.
        tenancy: `default` for shared hardware, or `dedicated`.
        state: Its state.
        total: Instances that are reserved.
        available: Instances of them that do not run.
        starts: When it begins; None if EC2 does not show it.
        ends: When it ends; None for never.
        group: Name of the placement group that it was made in; None for none.
        is_block: Whether it is a capacity block.
        is_open: Whether any matching instance of the account takes it up.
    """

    id: str
    instance: str
    zone: str
    platform: str
    tenancy: str
    state: str
    total: int
    available: int
    starts: datetime | None
    ends: datetime | None
    group: str | None
    is_block: bool
    is_open: bool

    @property
    def kind(self) -> str:
        """What it is, in words."""
        return "capacity block" if self.is_block else "capacity reservation"

    @property
    def has_ended(self) -> bool:
        """Whether no instance will ever start in it again."""
        return self.state in _ENDED

    @property
    def instances_until(self) -> datetime | None:
        """When EC2 terminates its instances; None for never.

        Those of an on-demand reservation stay when it ends.
        """
        return self.ends - _BEFORE_END if self.is_block and self.ends else None

    def wait(self, nodes: int, now: datetime) -> Wait | None:
        """Returns why a job does not start in it now; None if it does, or never will.

        Args:
            nodes: Instances that the job needs.
            now: The time.
        """
        name = f"the {self.kind} `{self.id}`"
        if self.has_ended:
            return None
        if self.starts is not None and now < self.starts:
            return Wait(
                what=f"{name} begins at {utc(self.starts)}, {_ahead(self.starts - now)}",
                remedy="wait until then; AWS Batch starts the instances",
            )
        if self.state != "active":
            return Wait(
                what=f"{name} is {self.state}", remedy="wait until it is active, or ask AWS Support"
            )
        if self.instances_until is not None and self.instances_until <= now:
            return Wait(
                what=f"{name} ends at {utc(self.ends)}, and EC2 has terminated its instances",
                remedy="name another block in the spec and run `mngen apply`",
            )
        if self.total < nodes:
            return Wait(
                what=f"{name} has {self.total} instances, and the job needs {nodes}",
                remedy="submit with fewer `--nodes`",
            )
        if self.available < nodes:
            # Instances that AWS Batch keeps for a moment after a job take the next one.
            return Wait(
                what=f"{self.available} of the {self.total} instances of {name} are left, and the "
                f"job needs {nodes}",
                remedy="wait until jobs end, or end other instances that run in it",
                certain=False,
            )
        return None


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """Why a job does not start in reserved capacity now.

    Attributes:
        what: The reason.
        remedy: What to do.
        certain: Whether the job waits for this.
    """

    what: str
    remedy: str
    certain: bool = True


class ReservationGroup(msgspec.Struct, frozen=True, kw_only=True):
    """A resource group of capacity reservations.

    Attributes:
        is_pool: Whether launches can target it.
        reservations: The reservations in it.
    """

    is_pool: bool
    reservations: tuple[Reservation, ...]


def read_reservation(ec2: EC2Client, identifier: str) -> Reservation | None:
    """Returns a capacity reservation; None if the account sees none of this id.

    Raises:
        botocore.exceptions.ClientError: AWS refused the call.
    """
    from botocore.exceptions import ClientError

    try:
        answer = ec2.describe_capacity_reservations(CapacityReservationIds=[identifier])
    except ClientError as error:
        if error.response["Error"]["Code"] in _UNKNOWN:
            return None
        raise
    return next(map(_reservation, answer["CapacityReservations"]), None)


def read_group(
    client: Any, read: Callable[[str], Reservation | None], group: str
) -> ReservationGroup | None:
    """Returns a resource group with its reservations; None if the account has none of this name.

    Args:
        client: A client of Resource Groups.
        read: Returns the reservation of an id, or None.
        group: Its name or ARN.

    Raises:
        botocore.exceptions.ClientError: AWS refused a call.
    """
    try:
        answer = client.get_group_configuration(Group=group)
        pages = client.get_paginator("list_group_resources").paginate(Group=group)
        listed = [each for page in pages for each in page["Resources"]]
    except client.exceptions.NotFoundException:
        return None
    kinds = [each["Type"] for each in answer["GroupConfiguration"].get("Configuration") or ()]
    ids = [each["Identifier"]["ResourceArn"].rpartition("/")[2] for each in listed]
    found = [read(each) for each in ids if each.startswith("cr-")]
    return ReservationGroup(
        is_pool=_POOL in kinds, reservations=tuple(each for each in found if each is not None)
    )


def utc(time: datetime | None) -> str:
    """Returns a time to the minute, with its zone."""
    return time.strftime("%Y-%m-%d %H:%M UTC") if time else "an unknown time"


def _ahead(time: timedelta) -> str:
    if time >= _A_DAY:
        days, rest = divmod(time, _A_DAY)
        return f"in {days} d {rest // _AN_HOUR} h"
    hours, rest = divmod(time, _AN_HOUR)
    return f"in {hours} h {rest // timedelta(minutes=1)} min"


def _reservation(found: CapacityReservationTypeDef) -> Reservation:
    group = found.get("PlacementGroupArn")
    return Reservation(
        id=found["CapacityReservationId"],
        instance=found["InstanceType"],
        zone=found["AvailabilityZone"],
        platform=found["InstancePlatform"],
        tenancy=found["Tenancy"],
        state=found["State"],
        total=found["TotalInstanceCount"],
        available=found["AvailableInstanceCount"],
        starts=found.get("StartDate"),
        ends=found.get("EndDate"),
        group=group.rpartition("/")[2] if group else None,
        is_block=found.get("ReservationType") == "capacity-block",
        is_open=found.get("InstanceMatchCriteria") == "open",
    )
