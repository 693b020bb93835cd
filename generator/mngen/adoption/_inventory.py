"""What there is: Batch's objects in the API's own form, and what else is known of the account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from mngen.errors import InputError, Problem, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mngen.adoption._deployed import Deployed
    from mngen.adoption._item import Item
    from mngen.adoption._lines import Line


class Subnet(msgspec.Struct, frozen=True):
    """A subnet: its VPC and its availability zone."""

    vpc: str
    zone: str


class FileSystem(msgspec.Struct, frozen=True, kw_only=True):
    """An EFS file system.

    Attributes:
        id: Such as `fs-0123456789abcdef0`.
        name: Its tag `Name`; empty without one.
        encrypted: Whether it is encrypted at rest.
        subnets: Subnets of its mount targets.
        groups: Security groups of its mount targets, each once.
    """

    id: str
    name: str = ""
    encrypted: bool = True
    subnets: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """What an account has of the things that Batch's objects only name.

    Attributes:
        subnets: Subnets by id; None if AWS denied to show them.
        s3_endpoint: Whether the VPC of the subnets has an endpoint for S3.
        file_systems: Those with a mount target in the VPC of the subnets, or in one of them.
        profiles: ARNs of instance profiles by name.
        reserved: Reserved capacity that launch templates target, as the spec has it, by the name of
            the compute environment.
    """

    subnets: dict[str, Subnet] | None = None
    s3_endpoint: bool = False
    file_systems: tuple[FileSystem, ...] = ()
    profiles: dict[str, str] = {}
    reserved: dict[str, dict[str, str]] = {}


class Inventory(msgspec.Struct, kw_only=True):
    """What there is.

    Attributes:
        source: What was read, in words, for the header of the spec.
        environments: Compute environments, as CreateComputeEnvironment or
            DescribeComputeEnvironments has them.
        queues: Job queues, likewise.
        definitions: Job definitions, likewise.
        region: AWS region, as far as it is known.
        account: AWS account, as far as it is known.
        name: Name of the deployment of mngen that the queues belong to.
        exists: Whether all of it was seen in an account, and can be taken over.
        network: What the account has of what they name; None if it was not asked.
        released: Addresses in another Terraform state that it has to let go of.
        cluster: A cluster file of ParallelCluster, instead of all that.
        deployed: What the account has of the deployment of mngen that all of it belongs to; None
            if others have made it.
        written: The spec of a deployment of mngen, as its Terraform state has it.
        lines: What the reader has to report.
    """

    source: str
    environments: list[Item] = []
    queues: list[Item] = []
    definitions: list[Item] = []
    region: str | None = None
    account: str | None = None
    name: str | None = None
    exists: bool = False
    network: Network | None = None
    released: list[str] = []
    cluster: Item | None = None
    deployed: Deployed | None = None
    written: dict[str, Any] | None = None
    lines: list[Line] = []


def require(wanted: Iterable[str], what: str, there: list[str], where: str) -> None:
    """Refuses names that there are not.

    Args:
        wanted: The names asked for.
        what: What has them, in words.
        there: The names that exist.
        where: Where they were looked for.

    Raises:
        InputError: Some do not exist; carries one problem for each.
    """
    missing = [
        Problem(f'there is no {what} "{each}" {where}', hint=did_you_mean(each, there))
        for each in wanted
        if each not in there
    ]
    if missing:
        raise InputError(*missing)
