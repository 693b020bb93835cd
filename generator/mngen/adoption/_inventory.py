"""What there is: Batch's objects in the API's own form, and what else is known of the account."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from mngen.adoption._item import Item
    from mngen.adoption._lines import Line


class Subnet(msgspec.Struct, frozen=True):
    """A subnet: its VPC and its availability zone."""

    vpc: str
    zone: str


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """What an account has of the things that Batch's objects only name.

    Attributes:
        subnets: Subnets by id.
        s3_endpoint: Whether the VPC of the subnets has an endpoint for S3.
    """

    subnets: dict[str, Subnet] = {}
    s3_endpoint: bool = False


class Inventory(msgspec.Struct, kw_only=True):
    """What there is.

    Attributes:
        source: What was read, in words, for the header of the spec.
        cluster: A cluster file of ParallelCluster.
        region: AWS region, as far as it is known.
        account: AWS account, as far as it is known.
        network: What the account has of what it names; None if it was not asked.
        lines: What the reader has to report.
    """

    source: str
    cluster: Item
    region: str | None = None
    account: str | None = None
    network: Network | None = None
    lines: list[Line] = []
