"""The account that a cluster is meant for: clients, and facts that are asked for once."""

from __future__ import annotations

from functools import cached_property
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Any

from mngen._aws import client
from mngen.account._buckets import region_of
from mngen.account._cost_tags import read_cost_tag
from mngen.account._reservations import read_group, read_reservation
from mngen.cluster import DEPLOYMENT_TAG, names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from mypy_boto3_ec2.client import EC2Client
    from mypy_boto3_ec2.type_defs import (
        FilterTypeDef,
        RouteTableTypeDef,
        SubnetTypeDef,
        VpcTypeDef,
    )
    from mypy_boto3_efs.client import EFSClient
    from mypy_boto3_efs.type_defs import (
        FileSystemDescriptionTypeDef,
        MountTargetDescriptionTypeDef,
    )
    from mypy_boto3_iam.client import IAMClient
    from mypy_boto3_iam.type_defs import RoleTypeDef

    from mngen.account._cost_tags import CostTag
    from mngen.account._reservations import Reservation, ReservationGroup
    from mngen.cluster import AmiRecord, Cluster, ResolvedEnvironment


class Account:
    """The account and region that a cluster is meant for, as seen through its API.

    A fact is asked for when the first rule needs it. If that fails, it is asked for again
    by the next rule, so that every rule that needs it reports so.

    Attributes:
        cluster: The cluster.
        images: The record of the AMIs that were baked, by the images' names.
    """

    def __init__(
        self,
        cluster: Cluster,
        images: Mapping[str, AmiRecord],
        connect: Callable[[str, str], Any] = client,
    ) -> None:
        self.cluster = cluster
        self.images = images
        self._connect = connect
        self._clients: dict[str, Any] = {}
        self._roles: dict[str, RoleTypeDef | None] = {}
        self._bucket_regions: dict[str, str | None] = {}
        self._reservations: dict[str, Reservation | None] = {}
        self._groups: dict[str, ReservationGroup | None] = {}

    def client(self, service: str, region: str | None = None) -> Any:
        """Returns a client of a service in the cluster's region, or in another."""
        region = region or self.cluster.spec.region
        key = f"{service} {region}"
        if key not in self._clients:
            self._clients[key] = self._connect(service, region)
        return self._clients[key]

    @property
    def ec2(self) -> EC2Client:
        """The client of EC2."""
        found: EC2Client = self.client("ec2")
        return found

    def role(self, arn: str) -> RoleTypeDef | None:
        """Returns the IAM role of an ARN, or None. Each is asked for once."""
        if arn not in self._roles:
            iam: IAMClient = self.client("iam")
            try:
                found = iam.get_role(RoleName=arn.rpartition("/")[2])["Role"]
            except iam.exceptions.NoSuchEntityException:
                self._roles[arn] = None
            else:
                # A role of this name may have another path.
                self._roles[arn] = found if found["Arn"] == arn else None
        return self._roles[arn]

    def bucket_region(self, bucket: str) -> str | None:
        """Returns the region of a bucket, see `region_of`. Each is asked for once.

        Raises:
            ToolError: S3 denies it: the bucket may be of another account.
            botocore.exceptions.ClientError: S3 refuses to answer.
        """
        if bucket not in self._bucket_regions:
            self._bucket_regions[bucket] = region_of(self.client("s3"), bucket)
        return self._bucket_regions[bucket]

    def reservation(self, identifier: str) -> Reservation | None:
        """Returns a capacity reservation or block, or None. Each is asked for once."""
        if identifier not in self._reservations:
            self._reservations[identifier] = read_reservation(self.ec2, identifier)
        return self._reservations[identifier]

    def reservation_group(self, group: str) -> ReservationGroup | None:
        """Returns a resource group of capacity reservations, or None. Each is asked for once."""
        if group not in self._groups:
            self._groups[group] = read_group(
                self.client("resource-groups"), self.reservation, group
            )
        return self._groups[group]

    @cached_property
    def cost_tag(self) -> CostTag:
        """The state of the tag of deployments in AWS Billing, which is asked for once."""
        return read_cost_tag(self.client("ce"), DEPLOYMENT_TAG)

    @property
    def has_vpc(self) -> bool:
        """Whether the VPC is there already, rather than created by this deployment."""
        return self.cluster.spec.network.vpc != "new"

    @cached_property
    def vpc(self) -> VpcTypeDef | None:
        """The VPC, default or named; None if it does not exist, or is to be created."""
        wanted = self.cluster.spec.network.vpc
        if wanted == "new":
            return None
        by_default: FilterTypeDef = {"Name": "is-default", "Values": ["true"]}
        by_id: FilterTypeDef = {"Name": "vpc-id", "Values": [wanted]}
        found = self.ec2.describe_vpcs(Filters=[by_default if wanted == "default" else by_id])
        return next(iter(found["Vpcs"]), None)

    @cached_property
    def subnets(self) -> list[SubnetTypeDef]:
        """The existing subnets that the nodes may use, in the zones of the network."""
        network = self.cluster.spec.network
        if self.vpc is None:
            return []
        filters: list[FilterTypeDef] = [{"Name": "vpc-id", "Values": [self.vpc["VpcId"]]}]
        if network.vpc == "default":
            filters.append({"Name": "default-for-az", "Values": ["true"]})
        else:
            filters.append({"Name": "subnet-id", "Values": list(network.subnets)})
        pages = self.ec2.get_paginator("describe_subnets").paginate(Filters=filters)
        found = [subnet for page in pages for subnet in page["Subnets"]]
        return [
            each for each in found if not network.zones or each["AvailabilityZone"] in network.zones
        ]

    @cached_property
    def available_zones(self) -> list[str]:
        """The zones of the region that every account may use, sorted."""
        found = self.ec2.describe_availability_zones(
            Filters=[
                {"Name": "state", "Values": ["available"]},
                {"Name": "opt-in-status", "Values": ["opt-in-not-required"]},
            ]
        )
        return sorted(each["ZoneName"] for each in found["AvailabilityZones"])

    @property
    def zones(self) -> list[str]:
        """The zones of the network, in the order in which Terraform takes them."""
        network = self.cluster.spec.network
        if network.zones or network.vpc == "new":
            return list(network.zones)
        return sorted({each["AvailabilityZone"] for each in self.subnets})

    def zones_of(self, environment: ResolvedEnvironment) -> list[str]:
        """Returns the zones of an environment: its own, the network's first, or all of them."""
        if environment.zones:
            return list(environment.zones)
        return self.zones[:1] if environment.spec.multi_node else self.zones

    @cached_property
    def route_tables(self) -> list[RouteTableTypeDef]:
        """The route tables of the existing VPC."""
        if self.vpc is None:
            return []
        pages = self.ec2.get_paginator("describe_route_tables").paginate(
            Filters=[{"Name": "vpc-id", "Values": [self.vpc["VpcId"]]}]
        )
        return [table for page in pages for table in page["RouteTables"]]

    def route_table_of(self, subnet_id: str) -> RouteTableTypeDef | None:
        """Returns the route table that a subnet uses: its own, or else the VPC's main one."""
        main = None
        for table in self.route_tables:
            for association in table.get("Associations", []):
                if association.get("SubnetId") == subnet_id:
                    return table
                if association.get("Main"):
                    main = table
        return main

    @cached_property
    def endpoint_zones(self) -> dict[str, set[str]]:
        """The zones that offer each interface endpoint of the spec, in the spec's order."""
        spec = self.cluster.spec
        services = {
            names.endpoint_service(spec.region, each): each
            for each in spec.network.endpoints
            if each != "s3"
        }
        zones: dict[str, set[str]] = {each: set() for each in services.values()}
        if not services:
            return zones
        pages = self.ec2.get_paginator("describe_vpc_endpoint_services").paginate(
            Filters=[{"Name": "service-name", "Values": sorted(services)}]
        )
        for page in pages:
            for each in page["ServiceDetails"]:
                zones[services[each["ServiceName"]]].update(each.get("AvailabilityZones", []))
        return zones

    @cached_property
    def file_system(self) -> FileSystemDescriptionTypeDef | None:
        """The file system that the spec names; None if it names none, or it does not exist."""
        wanted = self.cluster.spec.storage.efs.id
        if wanted is None:
            return None
        efs: EFSClient = self.client("efs")
        try:
            found = efs.describe_file_systems(FileSystemId=wanted)
        except efs.exceptions.FileSystemNotFound:
            return None
        return found["FileSystems"][0]

    @cached_property
    def lustre(self) -> dict[str, Any] | None:
        """The FSx file system that the spec names; None if it names none, or it does not exist."""
        fsx = self.cluster.spec.storage.fsx
        if fsx is None or fsx.id is None:
            return None
        client = self.client("fsx")
        try:
            found = client.describe_file_systems(FileSystemIds=[fsx.id])["FileSystems"]
        except client.exceptions.FileSystemNotFound:
            return None
        system: dict[str, Any] = found[0]
        return system

    def subnets_within(self, ranges: Iterable[str]) -> bool:
        """Returns whether every subnet of the nodes is inside one of some IPv4 ranges.

        A VPC can have several ranges: what counts are those of the nodes' own subnets.
        """
        networks = [IPv4Network(each) for each in ranges]
        return all(
            any(IPv4Network(subnet["CidrBlock"]).subnet_of(each) for each in networks)
            for subnet in self.subnets
        )

    @cached_property
    def mount_targets(self) -> list[MountTargetDescriptionTypeDef]:
        """The mount targets of that file system."""
        if self.file_system is None:
            return []
        efs: EFSClient = self.client("efs")
        pages = efs.get_paginator("describe_mount_targets").paginate(
            FileSystemId=self.file_system["FileSystemId"]
        )
        return [target for page in pages for target in page["MountTargets"]]
