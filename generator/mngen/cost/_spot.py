"""What Spot instances cost now and did lately, beside the price on demand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from mngen.cluster.names import currency_of
from mngen.cost._money import money

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mypy_boto3_ec2.type_defs import SpotPriceTypeDef

    from mngen.catalog import Prices
    from mngen.cluster import Cluster

SPOT_DAYS = 7
"""How many days of the history are read: Spot prices follow supply and demand slowly."""


class SpotPrice(Struct, frozen=True, kw_only=True):
    """What an instance type costs on the Spot market, in the zones of an environment.

    Attributes:
        environment: Name of the environment in the spec.
        instance: The instance type.
        now: What an hour costs now in the cheapest and the dearest zone; None if it is not sold in
            any of them.
        lately: The lowest and the highest price of the last `SPOT_DAYS` days; None likewise.
        on_demand: What an hour costs on demand; None if that is not known.
        limit: The part of `on_demand` in percent above which none is started; None for no limit.
        currency: What the amounts are in.
    """

    environment: str
    instance: str
    now: tuple[float, float] | None
    lately: tuple[float, float] | None
    on_demand: float | None
    currency: str
    limit: int | None = None

    def line(self) -> str:
        """Returns the prices for a person."""
        start = f"spot: {self.environment} {self.instance}"
        if self.now is None or self.lately is None:
            return f"{start} is not sold on the Spot market of its zones"
        line = f"{start} {_span(self.now, self.currency)}/h now"
        if self.lately != self.now:
            line += f", {_span(self.lately, self.currency)} in the last {SPOT_DAYS} days"
        if self.on_demand is None:
            return line
        line += f"; on demand {money(self.on_demand, self.currency)}"
        if self.limit is None:
            return line
        most = self.on_demand * self.limit / 100
        line += f", limit {money(most, self.currency)} (bid_percentage {self.limit})"
        # https://docs.aws.amazon.com/batch/latest/APIReference/API_ComputeResource.html
        return line if self.now[0] < most else f"{line}: AWS Batch starts none now"


def spot_types(cluster: Cluster) -> list[str]:
    """Returns the instance types of a deployment's Spot environments, each once."""
    return list(dict.fromkeys(kind for _, kind, _ in _offers(cluster)))


def spot_prices(
    cluster: Cluster, prices: Prices, history: Iterable[SpotPriceTypeDef]
) -> tuple[SpotPrice, ...]:
    """Returns what each type of each Spot environment costs.

    Args:
        cluster: The deployment.
        prices: The prices on demand.
        history: The changes of prices of these types, as EC2 describes them, in any order.
    """
    region = cluster.spec.region
    place = prices.region(region)
    # Those of the China regions are in CNY, as are the prices on demand there.
    currency = place.currency if place else currency_of(region)
    changes: dict[tuple[str, str], list[SpotPriceTypeDef]] = {}
    for change in history:
        at = (change["InstanceType"], change["AvailabilityZone"])
        changes.setdefault(at, []).append(change)
    found = []
    for environment, kind, zones in _offers(cluster):
        own = [
            sorted(each, key=lambda change: change["Timestamp"])
            for (name, zone), each in changes.items()
            if name == kind and (not zones or zone in zones)
        ]
        found.append(
            SpotPrice(
                environment=environment,
                instance=kind,
                now=_range([each[-1] for each in own]),
                lately=_range([change for each in own for change in each]),
                on_demand=prices.hourly(kind, region),
                currency=currency,
                limit=cluster.spec.environments[environment].bid_percentage,
            )
        )
    return tuple(found)


def _offers(cluster: Cluster) -> list[tuple[str, str, tuple[str, ...]]]:
    """Returns the Spot environments with each of their types and their zones; empty for all."""
    return [
        (each.name, kind.name, each.zones or cluster.spec.network.zones)
        for each in cluster.environments
        if each.spec.purchase == "spot"
        for kind in each.types
    ]


def _range(changes: Sequence[SpotPriceTypeDef]) -> tuple[float, float] | None:
    amounts = [float(each["SpotPrice"]) for each in changes]
    return (min(amounts), max(amounts)) if amounts else None


def _span(amounts: tuple[float, float], currency: str) -> str:
    low, high = (money(each, currency) for each in amounts)
    return high if low == high else f"{low.removesuffix(f' {currency}')} to {high}"
