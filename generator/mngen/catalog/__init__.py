"""The instance catalog: facts of EC2 instance types, dated, with their source.

One data file ships with mngen; a spec's folder may hold its own (`mngen-catalog.json`), which
`mngen instances --refresh` writes from EC2's DescribeInstanceTypes and which is committed with
the spec. Look-ups are made offline, in a few milliseconds for all types.

The shipped facts are EC2's answer as moto publishes it (https://github.com/getmoto/moto, Apache
License 2.0). EC2 does not report how much memory Linux has on a type. That comes from the
measurements of https://github.com/vantage-sh/ec2instances.info (`manually_fetched_data.json`),
which are under the MIT License, see `instance-types.LICENSE`.

Prices are in a separate table, likewise dated (`instance-prices.json`, or `mngen-prices.json`
beside the spec): USD or CNY for an hour on demand, by region. The shipped ones are AWS's price list
as https://github.com/aws/karpenter-provider-aws publishes it (copyright Amazon.com, Inc. or its
affiliates, Apache License 2.0), for us-east-1, GovCloud and Beijing; `scripts/karpenter_prices.py`
writes them. `mngen instances --refresh` reads those of any other region from AWS.

    >>> from mngen.catalog import load_catalog
    >>> load_catalog().require("r5.24xlarge").nr_cpus
    48
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.catalog._load import CATALOG_NAME, Catalog, catalog_path, load_catalog
from mngen.catalog._prices import (
    PRICES_NAME,
    PricedRegion,
    Prices,
    encode_prices,
    load_prices,
    price_list_region,
    prices_path,
)
from mngen.catalog._quotas import Quota, vcpu_quota
from mngen.catalog._types import Architecture, InstanceType

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import date
    from pathlib import Path

    from mngen.catalog._refresh import Refreshed
    from mngen.catalog._refresh_prices import RefreshedPrices

__all__ = [
    "CATALOG_NAME",
    "PRICES_NAME",
    "Architecture",
    "Catalog",
    "InstanceType",
    "PricedRegion",
    "Prices",
    "Quota",
    "catalog_path",
    "encode_prices",
    "load_catalog",
    "load_prices",
    "price_list_region",
    "prices_path",
    "refresh_catalog",
    "refresh_prices",
    "vcpu_quota",
]


def refresh_catalog(
    path: Path,
    region: str | None = None,
    *,
    source: str | None = None,
    today: date | None = None,
    memory: Path | None = None,
) -> Refreshed:
    """Reads all types from EC2 and writes them to a catalog file, atomically.

    EC2 names the types that are offered in the region asked, so the file fits specs of that region.
    Needs the permission `ec2:DescribeInstanceTypes` alone.

    Args:
        path: The file; one that is there is compared and replaced.
        region: Region to ask, such as `us-east-1`; None for that of the AWS environment or profile.
        source: The origin to record in the file; by default, the call and the region.
        today: The date that the file bears; by default, today's in UTC.
        memory: Measurements of memory, a copy of ec2instances.info's `manually_fetched_data.json`.
            By default those of the file that is replaced, or else those that mngen ships.

    Raises:
        ToolError: AWS could not be asked, or named no type that can be used.
        InputError: The file cannot be written, or the measurements cannot be used.
    """
    from mngen.catalog._refresh import refresh

    return refresh(path, region, source=source, today=today, memory=memory)


def refresh_prices(
    path: Path,
    region: str | None = None,
    *,
    names: Collection[str] | None = None,
    today: date | None = None,
) -> RefreshedPrices | None:
    """Reads the prices of a region from AWS's price list and writes them to a file, atomically.

    What the file has of other regions stays; a new file also has the prices that mngen ships. Needs
    the permission `pricing:GetProducts` alone.

    Args:
        path: The file; one that is there is compared and replaced.
        region: Region whose prices are wanted, such as `us-east-1`; None for that of the AWS
            environment or profile.
        names: The instance types to keep; by default those of the catalog beside the file.
        today: The date that the prices bear; by default, today's in UTC.

    Returns:
        What changed; None for a region whose partition has no price list that can be asked.

    Raises:
        ToolError: AWS could not be asked, or named no price of the region.
        InputError: The file cannot be written.
    """
    from mngen.catalog._refresh_prices import refresh

    return refresh(path, region, names=names, today=today)
