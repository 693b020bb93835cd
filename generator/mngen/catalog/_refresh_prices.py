"""Reads the prices of a region from AWS's price list and writes them to a price table.

The filters are those with which Karpenter finds the price of an instance on demand:
https://github.com/aws/karpenter-provider-aws (pkg/providers/pricing/pricing.go).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from mngen._aws import client, region_of, translated
from mngen.catalog._load import load_catalog
from mngen.catalog._prices import (
    PricedRegion,
    Prices,
    decode_prices,
    encode_prices,
    load_prices,
    price_list_region,
)
from mngen.catalog._refresh import origin, replace
from mngen.errors import InputError, ToolError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import date
    from pathlib import Path

_ON_DEMAND = {
    "operatingSystem": "Linux",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
    "marketoption": "OnDemand",
}
_KINDS = (
    {"productFamily": "Compute Instance", "tenancy": "Shared"},
    {"productFamily": "Compute Instance (bare metal)", "tenancy": "Dedicated"},
)


class _Attributes(msgspec.Struct, rename="camel"):
    instance_type: str = ""


class _Product(msgspec.Struct):
    attributes: _Attributes


class _Dimension(msgspec.Struct, rename="camel"):
    unit: str
    price_per_unit: dict[str, str]


class _Term(msgspec.Struct, rename="camel"):
    price_dimensions: dict[str, _Dimension]


class _Terms(msgspec.Struct, rename="pascal"):
    on_demand: dict[str, _Term] = {}


class _Item(msgspec.Struct):
    """What is read of one entry of `PriceList`, which is JSON in a string."""

    product: _Product
    terms: _Terms


@dataclass(frozen=True, slots=True)
class RefreshedPrices:
    """What a refresh did to a price table.

    Attributes:
        path: The file written.
        region: Whose prices were read.
        currency: What they are in.
        total: Instance types that have a price in this region now.
        changed: Types with another price than before, in the order of the catalog.
        missing: Types of the catalog without a price, likewise.
    """

    path: Path
    region: str
    currency: str
    total: int
    changed: tuple[str, ...]
    missing: tuple[str, ...]


def hourly_prices(items: Iterable[str]) -> dict[str, dict[str, float]]:
    """Returns the prices of an hour, by currency and instance type.

    Entries without a price, such as those of capacity that is paid elsewhere, have 0 and are left
    out. Of several prices of a type, the highest counts.

    Args:
        items: Entries of `PriceList` of GetProducts.
    """
    found: dict[str, dict[str, float]] = {}
    for item in items:
        try:
            content = msgspec.json.decode(item, type=_Item)
        except msgspec.DecodeError as error:
            raise ToolError(f"AWS answered GetProducts with an unknown entry: {error}") from error
        instance = content.product.attributes.instance_type
        for term in content.terms.on_demand.values():
            for dimension in term.price_dimensions.values():
                if not instance or dimension.unit != "Hrs":
                    continue
                for currency, text in dimension.price_per_unit.items():
                    price = float(text)
                    prices = found.setdefault(currency, {})
                    if price > 0:
                        prices[instance] = max(price, prices.get(instance, 0.0))
    return found


def refresh(
    path: Path,
    region: str | None,
    *,
    names: Collection[str] | None,
    today: date | None,
) -> RefreshedPrices | None:
    """Reads the prices of a region and writes them to a price table; see `refresh_prices`."""
    wanted = region_of(region)
    asked = price_list_region(wanted)
    if asked is None:
        return None
    pricing: Any = client("pricing", asked)
    with translated():
        by_currency = hourly_prices(_ask(pricing, wanted))
    known = load_catalog(path).names if names is None else tuple(names)
    currency, prices = max(by_currency.items(), key=lambda each: len(each[1]), default=("", {}))
    kept = {name: prices[name] for name in known if name in prices}
    if not kept:
        raise ToolError(
            f"AWS named no price of an instance type in {wanted}; no prices were written",
            hint="check the region with `--region`",
        )
    before = _previous(path)
    old = before.of_region(wanted)
    fresh = PricedRegion(
        name=wanted,
        date=today or datetime.now(UTC).date(),
        currency=currency,
        source=origin("AWS Price List GetProducts", pricing.meta.endpoint_url, asked),
    )
    regions = {each.name: each for each in before.regions} | {wanted: fresh}
    hourly = {name: before.of_region(name) for name in regions} | {wanted: kept}
    # Other regions may have types that this region's catalog does not know.
    rows = dict.fromkeys([*known, *sorted({name for each in hourly.values() for name in each})])
    replace(path, encode_prices(Prices(regions.values(), hourly), rows), "the price table")
    return RefreshedPrices(
        path=path,
        region=wanted,
        currency=currency,
        total=len(kept),
        changed=tuple(name for name in kept if old.get(name, kept[name]) != kept[name]),
        missing=tuple(name for name in known if name not in kept),
    )


def _ask(pricing: Any, region: str) -> Iterable[str]:
    paginator = pricing.get_paginator("get_products")
    for kind in _KINDS:
        wanted = {"regionCode": region, **_ON_DEMAND, **kind}
        filters = [
            {"Type": "TERM_MATCH", "Field": field, "Value": value}
            for field, value in wanted.items()
        ]
        for page in paginator.paginate(ServiceCode="AmazonEC2", Filters=filters):
            yield from page["PriceList"]


def _previous(path: Path) -> Prices:
    """Reads what a refresh replaces.

    Where there is no file, or a damaged one, that is what mngen ships: a file beside the spec
    replaces it, and must not lack the regions that were known without it.
    """
    try:
        return decode_prices(path.read_bytes(), str(path))
    except (OSError, InputError):
        return load_prices()
