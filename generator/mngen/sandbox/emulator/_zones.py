"""Endpoints and mount targets: on AWS not every zone has every endpoint service, or EFS.

The control sets which ones (`POST /_mngen/batch`, key `lacking`); none by default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.ec2.exceptions import InvalidParameter
from moto.ec2.models import ec2_backends
from moto.ec2.models.vpcs import VPCBackend
from moto.efs.exceptions import EFSError
from moto.efs.models import EFSBackend

from mngen.sandbox._environment import ACCOUNT_ID
from mngen.sandbox.emulator._patch import patch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_FILE_SYSTEMS = "efs"
_make_endpoint: Any = vars(VPCBackend)["create_vpc_endpoint"]
_describe_services: Any = vars(VPCBackend)["describe_vpc_endpoint_services"]
_make_mount_target: Any = vars(EFSBackend)["create_mount_target"]


class UnsupportedZoneError(EFSError):
    """EFS is not offered in the zone of a subnet.

    Source: https://docs.aws.amazon.com/efs/latest/ug/API_CreateMountTarget.html
    """

    code = 400

    def __init__(self) -> None:
        super().__init__(
            "UnsupportedAvailabilityZone",
            "Mount targets are not supported in subnet's availability zone.",
        )


class Endpoints:
    """VPC endpoints, in the zones that have their service."""

    def describe_vpc_endpoint_services(self, **named: Any) -> dict[str, Any]:
        """Leaves the zones out that lack a service; reads filters, which moto misnames."""
        named["filters"] = [
            {"Name": each["Name"], "Value": each.get("Values", [])} for each in named["filters"]
        ]
        found: dict[str, Any] = _describe_services(self, **named)
        found["servicesDetails"] = [
            {
                **each,
                "AvailabilityZones": [
                    zone
                    for zone in each["AvailabilityZones"]
                    if not _lacks(self, zone, each["ServiceName"])
                ],
            }
            for each in found["servicesDetails"]
        ]
        return found

    def create_vpc_endpoint(self, *arguments: Any, **named: Any) -> Any:
        """Refuses a subnet in a zone that lacks the service; makes a gateway without a type.

        moto describes an endpoint that was made without a type as one without any. Source:
        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVpcEndpoint.html
        (VpcEndpointType), https://github.com/terraform-aws-modules/terraform-aws-vpc/issues/785
        """
        backend: Any = self
        service = named["service_name"]
        for subnet in named.get("subnet_ids") or ():
            if _lacks(backend, backend.get_subnet(subnet).availability_zone, service):
                raise InvalidParameter(
                    f"The VPC endpoint service {service} does not support the availability zone of "
                    f"the subnet: {subnet}."
                )
        named["endpoint_type"] = named.get("endpoint_type") or "Gateway"
        return _make_endpoint(self, *arguments, **named)


class MountTargets:
    """Mount targets, in the zones that have EFS."""

    def create_mount_target(self, **named: Any) -> Any:
        """Refuses a subnet in a zone that lacks EFS; without groups, takes the VPC's default one.

        Source: https://docs.aws.amazon.com/efs/latest/ug/API_CreateMountTarget.html
        """
        backend: Any = self
        ec2: Any = ec2_backends[backend.account_id][backend.region_name]
        # moto keeps the subnets of a zone by their id.
        for zone, subnets in ec2.subnets.items():
            if named["subnet_id"] not in subnets:
                continue
            if _lacks(ec2, zone, _FILE_SYSTEMS):
                raise UnsupportedZoneError
            if not named.get("security_groups"):
                vpc = subnets[named["subnet_id"]].vpc_id
                named["security_groups"] = [ec2.get_default_security_group(vpc).id]
        return _make_mount_target(self, **named)


def let_zones_lack(region: str, lacking: Mapping[str, Iterable[str]]) -> None:
    """Sets which services zones lack: short names, such as `ecs-agent`, and `efs`."""
    vars(ec2_backends[ACCOUNT_ID][region])["lacking"] = {
        zone: frozenset(services) for zone, services in lacking.items()
    }


def _lacks(backend: Any, zone: str, service: str) -> bool:
    """Whether a zone lacks a service, by its short name or `com.amazonaws.REGION.NAME`."""
    lacking: dict[str, frozenset[str]] = vars(backend).get("lacking", {})
    return service.rpartition(f".{backend.region_name}.")[2] in lacking.get(zone, ())


def close() -> None:
    """Closes the gaps of what zones lack."""
    patch(VPCBackend, Endpoints)
    patch(EFSBackend, MountTargets)
