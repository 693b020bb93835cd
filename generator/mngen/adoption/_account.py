"""Reads what an account has of the things that a cluster file only names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from mngen._aws import client, translated
from mngen.adoption._cluster import subnets_of_cluster
from mngen.adoption._inventory import Inventory, Network, Subnet
from mngen.adoption._lines import Line, Outcome, Place
from mngen.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_ec2.client import EC2Client
    from mypy_boto3_sts.client import STSClient

    Connect = Callable[[str, str], Any]

_T = TypeVar("_T")


def look_up(inventory: Inventory, region: str, *, connect: Connect = client) -> None:
    """Asks the account about what the environments name: the VPC and zones of subnets.

    What AWS denies is reported, and taken as unknown.

    Args:
        inventory: What there is; gets `network`, `account` and lines.
        region: AWS region.
        connect: Makes a client of a service in a region.

    Raises:
        ToolError: AWS cannot be reached, or does not accept the credentials.
    """
    with translated():
        sts: STSClient = connect("sts", region)
        inventory.account = inventory.account or sts.get_caller_identity()["Account"]
    wanted = sorted(set(subnets_of_cluster(inventory.cluster)))
    subnets = _tried(inventory, lambda: _subnets(connect("ec2", region), wanted))
    if subnets is None:
        return
    vpcs = {each.vpc for each in subnets.values()}
    s3_endpoint = _tried(inventory, lambda: _has_endpoint(connect("ec2", region), vpcs, region))
    inventory.network = Network(subnets=subnets, s3_endpoint=bool(s3_endpoint))


def _tried(inventory: Inventory, call: Callable[[], _T]) -> _T | None:
    try:
        with translated():
            return call()
    except ToolError as error:
        _unknown(inventory, error)
        return None


def _unknown(inventory: Inventory, error: ToolError) -> None:
    for problem in error.problems:
        inventory.lines.append(
            Line(
                outcome=Outcome.CHANGED,
                place=Place(inventory.source),
                why=f"{problem.message}; what it would show is not in the spec",
                todo=problem.hint or "",
            )
        )


def _subnets(ec2: EC2Client, ids: list[str]) -> dict[str, Subnet]:
    # A filter, unlike SubnetIds, leaves out what there is not.
    pages = ec2.get_paginator("describe_subnets").paginate(
        Filters=[{"Name": "subnet-id", "Values": ids}]
    )
    found = [each for page in pages for each in page["Subnets"]]
    return {each["SubnetId"]: Subnet(each["VpcId"], each["AvailabilityZone"]) for each in found}


def _has_endpoint(ec2: EC2Client, vpcs: set[str], region: str) -> bool:
    if not vpcs:
        return False
    found = ec2.describe_vpc_endpoints(
        Filters=[
            {"Name": "vpc-id", "Values": sorted(vpcs)},
            {"Name": "service-name", "Values": [f"com.amazonaws.{region}.s3"]},
        ]
    )
    return bool(found["VpcEndpoints"])
