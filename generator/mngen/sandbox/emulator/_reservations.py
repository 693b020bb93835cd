"""Capacity reservations and capacity blocks of the emulated EC2, and resource groups of them.

moto has no reservations, and does not list what is in a group. The state of a reservation follows
from its dates: `scheduled` until it begins, `active`, and `expired` when it is over. The control
sets what takes time or another account (`POST /_mngen/batch`, key `reservations`).

Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CapacityReservation.html,
API_CreateCapacityReservation.html, API_PurchaseCapacityBlock.html and errors-overview.html, and
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-capacity-blocks.html
"""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.ec2.responses import EC2Response
from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, EC2_RESOURCE_TO_PREFIX, generic_filter
from moto.moto_api._internal import mock_random
from moto.resourcegroups.models import ResourceGroupsBackend
from moto.resourcegroups.responses import ResourceGroupsResponse
from moto.resourcegroups.urls import url_paths

from mngen.sandbox.emulator._ec2 import placement_groups
from mngen.sandbox.emulator._patch import patch, patch_table

if TYPE_CHECKING:
    from collections.abc import Mapping

BLOCK = "capacity-block"
"""The type of a reservation that is a capacity block, and the market type of its instances."""

_ID = re.compile(r"cr-[0-9a-f]{8,17}")
_LINUX = "Linux/UNIX"
_BEFORE_END = timedelta(minutes=30)
"""How long before the end of a block EC2 terminates its instances."""


class Reservation(TaggedEC2Resource):
    """A capacity reservation, or a capacity block.

    Attributes:
        id: Its id.
        starts: When it begins.
        ends: When it ends; None for one that stays until it is cancelled.
        state: Its state, if that does not follow from its dates.
        owner: The account that it belongs to.
        elsewhere: Instances in it that no emulated environment has started.
        options: What else DescribeCapacityReservations shows of it.
    """

    def __init__(
        self, backend: Any, options: dict[str, Any], starts: datetime, ends: datetime | None
    ) -> None:
        self.ec2_backend = backend
        self.id = f"cr-0{mock_random.get_random_hex(16)}"
        self.starts = starts
        self.ends = ends
        self.created = datetime.now(UTC)
        self.state: str | None = None
        self.owner: str = backend.account_id
        self.elsewhere = 0
        self.options = options

    @property
    def now(self) -> str:
        """Its state."""
        if self.state is not None:
            return self.state
        time = datetime.now(UTC)
        if time < self.starts:
            return "scheduled"
        return "expired" if self.ends is not None and self.ends <= time else "active"

    @property
    def is_block(self) -> bool:
        """Whether it is a capacity block."""
        return bool(self.options["ReservationType"] == BLOCK)

    @property
    def instances_until(self) -> float:
        """When EC2 terminates its instances, in seconds since the epoch; infinite for never.

        Those of an on-demand reservation stay when it ends.
        """
        if not self.is_block or self.ends is None:
            return math.inf
        return (self.ends - _BEFORE_END).timestamp()

    def describe(self) -> dict[str, Any]:
        """Returns the structure that DescribeCapacityReservations holds."""
        backend = self.ec2_backend
        state = self.now
        total = self.options["TotalInstanceCount"] if state in ("active", "scheduled") else 0
        left = total - self.elsewhere - _started(backend, self.id) if state == "active" else 0
        limits: dict[str, Any] = {"EndDateType": "unlimited"}
        if self.ends is not None:
            limits = {"EndDateType": "limited", "EndDate": self.ends}
        return {
            "CapacityReservationId": self.id,
            "CapacityReservationArn": f"arn:{backend.partition}:ec2:{backend.region_name}:"
            f"{self.owner}:capacity-reservation/{self.id}",
            "OwnerId": self.owner,
            "State": state,
            "StartDate": self.starts,
            "CreateDate": self.created,
            "Tags": self.get_tags(),
            **self.options,
            **limits,
            "TotalInstanceCount": total,
            "AvailableInstanceCount": max(0, left),
        }

    def get_filter_value(self, filter_name: str, method_name: str | None = None) -> Any:
        """Returns what a filter of DescribeCapacityReservations compares with."""
        fields = {
            "instance-type": "InstanceType",
            "owner-id": "OwnerId",
            "availability-zone": "AvailabilityZone",
            "state": "State",
            "placement-group-arn": "PlacementGroupArn",
        }
        if filter_name in fields:
            return self.describe().get(fields[filter_name])
        return super().get_filter_value(filter_name, method_name or "DescribeCapacityReservations")


def reservations(backend: Any) -> dict[str, Reservation]:
    """Returns an EC2 backend's capacity reservations by id; a reset empties them too."""
    found: dict[str, Reservation] = backend.__dict__.setdefault("capacity_reservations", {})
    return found


def set_reservations(backend: Any, wishes: Mapping[str, Mapping[str, Any]]) -> None:
    """Sets what of reservations no call sets; see `_control`.

    Raises:
        KeyError: There is no such reservation.
        TypeError: It has no such attribute.
    """
    for identifier, wish in wishes.items():
        reservation = reservations(backend)[identifier]
        for name, value in wish.items():
            if name in ("starts", "ends"):
                setattr(reservation, name, datetime.fromtimestamp(value, UTC))
            elif name in ("state", "owner", "elsewhere"):
                setattr(reservation, name, value)
            else:
                raise TypeError(f"a reservation has no {name} to set")


class ReservationActions:
    """The actions on capacity reservations, which moto does not have."""

    ec2_backend: Any
    _get_param: Any
    _filters_from_querystring: Any
    error_on_dryrun: Any

    def create_capacity_reservation(self) -> ActionResult:
        """Reserves on demand: at once, or from a date in the future."""
        self.error_on_dryrun()
        ends, kind = self._get_param("EndDate"), self._get_param("EndDateType") or "unlimited"
        if (kind == "limited") is not (ends is not None):
            raise EC2ClientError(
                "InvalidParameterCombination", "EndDate must be specified for EndDateType limited"
            )
        options = {
            "ReservationType": "default",
            "InstanceMatchCriteria": self._get_param("InstanceMatchCriteria") or "open",
            "Tenancy": self._get_param("Tenancy") or "default",
        }
        if group := self._get_param("PlacementGroupArn"):
            if group.rpartition("/")[2] not in placement_groups(self.ec2_backend):
                raise EC2ClientError(
                    "InvalidPlacementGroup.Unknown", f"The Placement Group '{group}' is unknown."
                )
            options["PlacementGroupArn"] = group
        starts = _time(self._get_param("StartDate")) or datetime.now(UTC)
        return self._reserve(options, starts, _time(ends))

    def describe_capacity_block_offerings(self) -> ActionResult:
        """Offers a block from the next day on, at 11:30 UTC, in the first zone."""
        name, count = self._get_param("InstanceType"), self._get_param("InstanceCount")
        if BLOCK not in INSTANCE_TYPES.get(name, {}).get("SupportedUsageClasses", []):
            return ActionResult({"CapacityBlockOfferings": []})
        starts = datetime.now(UTC).replace(hour=11, minute=30, second=0, microsecond=0)
        starts += timedelta(days=1)
        hours = int(self._get_param("CapacityDurationHours"))
        offering = {
            "CapacityBlockOfferingId": f"cbo-0{mock_random.get_random_hex(16)}",
            "InstanceType": name,
            "AvailabilityZone": f"{self.ec2_backend.region_name}a",
            "InstanceCount": int(count),
            "StartDate": starts,
            "EndDate": starts + timedelta(hours=hours),
            "CapacityBlockDurationHours": hours,
            "CurrencyCode": "USD",
            "Tenancy": "default",
        }
        _offerings(self.ec2_backend)[offering["CapacityBlockOfferingId"]] = offering
        return ActionResult({"CapacityBlockOfferings": [offering]})

    def purchase_capacity_block(self) -> ActionResult:
        """Makes the reservation of a block that was offered."""
        self.error_on_dryrun()
        wanted = self._get_param("CapacityBlockOfferingId")
        offering = _offerings(self.ec2_backend).get(wanted)
        if offering is None:
            raise EC2ClientError(
                "InvalidCapacityBlockOfferingIdNotFound",
                f"The Capacity Block offering ID '{wanted}' does not exist",
            )
        options = {
            "ReservationType": BLOCK,
            "InstanceMatchCriteria": "targeted",
            **{key: offering[key] for key in ("AvailabilityZone", "InstanceType", "Tenancy")},
            "TotalInstanceCount": offering["InstanceCount"],
        }
        return self._reserve(options, offering["StartDate"], offering["EndDate"])

    def _reserve(
        self, options: dict[str, Any], starts: datetime, ends: datetime | None
    ) -> ActionResult:
        backend = self.ec2_backend
        asked = {
            "AvailabilityZone": self._get_param("AvailabilityZone"),
            "InstanceType": self._get_param("InstanceType"),
            "InstancePlatform": self._get_param("InstancePlatform") or _LINUX,
            "TotalInstanceCount": int(self._get_param("InstanceCount") or 0),
        }
        found = {**asked, **options}
        if found["InstanceType"] not in INSTANCE_TYPES:
            raise EC2ClientError(
                "InvalidParameterValue", f"Invalid instance type: {found['InstanceType']}"
            )
        if found["AvailabilityZone"] not in {
            each.name for each in backend.describe_availability_zones()
        }:
            raise EC2ClientError(
                "InvalidParameterValue", f"Invalid zone: {found['AvailabilityZone']}"
            )
        reservation = Reservation(backend, found, starts, ends)
        reservations(backend)[reservation.id] = reservation
        return ActionResult({"CapacityReservation": reservation.describe()})

    def describe_capacity_reservations(self) -> ActionResult:
        """Describes reservations; an unknown id is refused."""
        found = reservations(self.ec2_backend)
        wanted = self._get_param("CapacityReservationIds", []) or []
        for each in wanted:
            if not _ID.fullmatch(each):
                raise EC2ClientError(
                    "InvalidCapacityReservationId.Malformed",
                    f'Invalid id: "{each}" (expecting "cr-...")',
                )
            if each not in found:
                raise EC2ClientError(
                    "InvalidCapacityReservationId.NotFound",
                    f"The capacity reservation ID '{each}' does not exist",
                )
        chosen = [each for key, each in found.items() if not wanted or key in wanted]
        chosen = generic_filter(self._filters_from_querystring(), chosen)
        return ActionResult({"CapacityReservations": [each.describe() for each in chosen]})

    def cancel_capacity_reservation(self) -> ActionResult:
        """Cancels an on-demand reservation; a block cannot be cancelled."""
        self.error_on_dryrun()
        wanted = self._get_param("CapacityReservationId")
        reservation = reservations(self.ec2_backend).get(wanted)
        if reservation is None:
            raise EC2ClientError(
                "InvalidCapacityReservationId.NotFound",
                f"The capacity reservation ID '{wanted}' does not exist",
            )
        if reservation.is_block:
            raise EC2ClientError("UnsupportedOperation", "A Capacity Block cannot be cancelled")
        reservation.state = "cancelled"
        return ActionResult({"Return": True})


class GroupActions:
    """Members of resource groups, which moto does not keep."""

    resourcegroups_backend: Any
    _get_param: Any

    def group_resources(self) -> str:
        """Adds resources to a group."""
        group = self.resourcegroups_backend.get_group(self._get_param("Group"))
        members = group.__dict__.setdefault("members", [])
        arns = self._get_param("ResourceArns")
        members.extend(arn for arn in arns if arn not in members)
        return json.dumps({"Succeeded": arns, "Failed": []})

    def list_group_resources(self) -> str:
        """Lists the resources of a group."""
        group = self.resourcegroups_backend.get_group(self._get_param("Group"))
        found = [
            {"ResourceArn": arn, "ResourceType": "AWS::EC2::CapacityReservation"}
            for arn in vars(group).get("members", [])
        ]
        return json.dumps(
            {
                "Resources": [{"Identifier": each} for each in found],
                "ResourceIdentifiers": found,
            }
        )


class Groups:
    """Resource groups that are found by their ARN too."""

    get_group: Any

    def get_group_configuration(self, group_name: str) -> list[dict[str, Any]] | None:
        """Returns a group's configuration; moto knows only names, and fails for an unknown one."""
        found: list[dict[str, Any]] | None = self.get_group(group_name).configuration
        return found


def _time(value: Any) -> datetime | None:
    """Returns a time of a request, which moto has parsed or not."""
    if value is None:
        return None
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _offerings(backend: Any) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = backend.__dict__.setdefault("block_offerings", {})
    return found


def _started(backend: Any, reservation: str) -> int:
    """Returns how many instances emulated environments have in a reservation."""
    from moto.batch.models import batch_backends

    from mngen.sandbox.batch._actions import tick
    from mngen.sandbox.batch._reserved import started

    batch = batch_backends[backend.account_id][backend.region_name]
    return started(batch, tick(batch).jobs.values(), reservation)


def close() -> None:
    """Closes the gaps of capacity reservations and their groups."""
    patch_table(EC2_RESOURCE_TO_PREFIX, "capacity-reservation", "cr")
    patch_table(EC2_PREFIX_TO_RESOURCE, "cr", "capacity-reservation")
    patch(
        EC2Response,
        ReservationActions,
        adds=(
            "create_capacity_reservation",
            "describe_capacity_reservations",
            "cancel_capacity_reservation",
            "describe_capacity_block_offerings",
            "purchase_capacity_block",
            "_reserve",
        ),
    )
    patch(ResourceGroupsBackend, Groups)
    patch(ResourceGroupsResponse, GroupActions, adds=("group_resources",))
    for path in ("group-resources", "list-group-resources"):
        patch_table(url_paths, f"{{0}}/{path}$", ResourceGroupsResponse.dispatch)
