"""What jobs cost: how long they used instances, at the price on demand; pure."""

from __future__ import annotations

import csv
import io
from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from mngen.catalog import Prices
    from mngen.jobs import Usage

NOT_COUNTED = (
    "the start of instances and the pull of images",
    "instances that wait for another job before AWS Batch terminates them",
    "disks, file systems, NAT gateways, public IPv4 addresses, data transfer and logs",
    "discounts, and that Spot instances and reserved capacity have other prices than on demand",
)
"""What AWS bills and AWS Batch does not remember of a job."""

IN_BLOCK = "may have run in a capacity block, which is paid in advance"
FORGOTTEN = "is an array, and AWS Batch no longer has a record of some of its jobs"
OPEN = "has ended, but AWS Batch does not report when"
NO_PRICE = "no price of"
EXISTING = "may have run on existing environments, whose instance types the spec does not have"

_SECONDS_PER_HOUR = 3600


class By(StrEnum):
    """What costs are summed by."""

    USER = "user"
    JOB = "job"
    QUEUE = "queue"


class Spent(Struct, frozen=True, kw_only=True):
    """What a job or a node cost.

    Attributes:
        name: The id of the job, or the index of the node or of the job in its array.
        instance: The instance type whose price counts: of several possible ones, the dearest; None
            where no price counts.
        share: The part of an instance that counts, from 0 to 1.
        hours: Hours of its nodes, all attempts together.
        amount: What they cost; None if that is not known.
        reason: Why it is not known; empty otherwise.
        possible: The instance types of which the dearest counts, where there are several.
    """

    name: str
    instance: str | None
    share: float
    hours: float
    amount: float | None
    reason: str = ""
    possible: tuple[str, ...] = ()


class Row(Struct, frozen=True, kw_only=True):
    """What the jobs of a user, a job of the spec, or a queue cost.

    Attributes:
        name: Whose; empty for jobs whose tags do not show who submitted them.
        jobs: How many jobs.
        node_hours: Hours of their nodes, all attempts together.
        amount: What those with a known price cost together; None if no job that ran has one.
        unpriced: How many of the jobs have no known price, and are not in the amount.
    """

    name: str
    jobs: int
    node_hours: float
    amount: float | None
    unpriced: int


class Report(Struct, frozen=True, kw_only=True):
    """What jobs cost.

    Attributes:
        region: The region.
        currency: What amounts are in; None if there are no prices of the region.
        date: The day on which the prices were read; None likewise.
        by: What the rows are.
        rows: The dearest first.
        total: All of them together; its name is `total`.
        reasons: Why jobs have no known price, with how many those are.
        dearest: How many jobs count at the price of the dearest of several possible instance types.
        not_counted: What AWS bills besides.
    """

    region: str
    currency: str | None
    date: date | None
    by: By
    rows: tuple[Row, ...]
    total: Row
    reasons: dict[str, int]
    dearest: int = 0
    not_counted: tuple[str, ...] = NOT_COUNTED

    def csv(self) -> str:
        """Returns the rows as CSV with a header; the total is left to who reads it."""
        names = (self.by.value, "jobs", "node_hours", "amount", "currency", "unpriced")
        rows = [
            (
                *(each.name, each.jobs, f"{each.node_hours:.6f}", _csv_amount(each.amount)),
                *(self.currency or "", each.unpriced),
            )
            for each in self.rows
        ]
        return csv_text(names, rows)


class JobReport(Struct, frozen=True, kw_only=True):
    """What one job cost, node by node, or an array, job by job.

    Attributes:
        usage: How long it used instances.
        currency: What amounts are in; None if there are no prices of the region.
        date: The day on which the prices were read; None likewise.
        nodes: Each node, or each job of an array.
        total: All of them together; the amount is None if that of a node is.
        not_counted: What AWS bills besides.
    """

    usage: Usage
    currency: str | None
    date: date | None
    nodes: tuple[Spent, ...]
    total: Spent
    not_counted: tuple[str, ...] = NOT_COUNTED

    def csv(self) -> str:
        """Returns the nodes as CSV with a header."""
        names = ("node", "instance", "hours", "amount", "currency")
        rows = [
            (
                *(each.name, each.instance or "", f"{each.hours:.6f}"),
                *(_csv_amount(each.amount), self.currency or ""),
            )
            for each in self.nodes
        ]
        return csv_text(names, rows)


def costs_of(usages: Iterable[Usage], prices: Prices, region: str) -> list[tuple[Usage, Spent]]:
    """Returns jobs with what they cost.

    Args:
        usages: How long each job used instances.
        prices: The prices of instance types.
        region: The region of the deployment.
    """
    return [(each, spent_of(each, prices, region)) for each in usages]


def report(usages: Iterable[Usage], prices: Prices, region: str, by: By) -> Report:
    """Returns what jobs cost, summed.

    Args:
        usages: How long each job used instances.
        prices: The prices of instance types.
        region: The region of the deployment.
        by: What to sum by.
    """
    return summed(costs_of(usages, prices, region), prices, region, by)


def summed(spent: Sequence[tuple[Usage, Spent]], prices: Prices, region: str, by: By) -> Report:
    """Returns what jobs cost, summed, of jobs whose costs are known.

    Args:
        spent: Jobs with what they cost, such as `costs_of` returns them.
        prices: The prices of instance types.
        region: The region of the deployment.
        by: What to sum by.
    """
    groups: dict[str, list[Spent]] = {}
    for usage, cost in spent:
        groups.setdefault(name_by(usage, by), []).append(cost)
    rows = [_row(name, costs) for name, costs in groups.items()]
    reasons: dict[str, int] = {}
    for _, cost in spent:
        if cost.reason:
            reasons[cost.reason] = reasons.get(cost.reason, 0) + 1
    place = prices.region(region)
    return Report(
        region=region,
        currency=place.currency if place else None,
        date=place.date if place else None,
        by=by,
        rows=tuple(
            sorted(rows, key=lambda each: (-(each.amount or 0.0), -each.node_hours, each.name))
        ),
        total=_row("total", [cost for _, cost in spent]),
        reasons=dict(sorted(reasons.items())),
        dearest=sum(bool(cost.possible) for _, cost in spent),
    )


def name_by(usage: Usage, by: By) -> str:
    """Returns what a job is summed with; empty where its tags do not show who submitted it."""
    return {By.USER: usage.user or "", By.JOB: usage.job, By.QUEUE: usage.queue}[by]


def job_report(usage: Usage, prices: Prices, region: str) -> JobReport:
    """Returns what one job cost.

    Args:
        usage: How long it and its nodes used instances.
        prices: The prices of instance types.
        region: The region of the deployment.
    """
    nodes = [
        spent_of(
            replace(
                usage,
                id=str(node.index),
                size=None,
                is_forgotten=False,
                seconds=node.seconds,
                shares={node.instance: 1.0} if node.instance else usage.shares,
                # What AWS Batch reports of a node is its type, wherever it ran.
                is_existing=usage.is_existing and not node.instance,
                is_open=node.is_open,
            ),
            prices,
            region,
        )
        for node in usage.by_node
    ] or [spent_of(replace(usage, id="0"), prices, region)]
    place = prices.region(region)
    amounts = [each.amount for each in nodes if each.amount is not None]
    reason = next((each.reason for each in nodes if each.reason), "")
    if usage.is_forgotten:
        reason = FORGOTTEN
    whole = len(amounts) == len(nodes) and not usage.is_forgotten
    return JobReport(
        usage=usage,
        currency=place.currency if place else None,
        date=place.date if place else None,
        nodes=tuple(nodes),
        total=Spent(
            name=usage.id,
            instance=nodes[0].instance if len({each.instance for each in nodes}) == 1 else None,
            share=nodes[0].share,
            hours=sum(each.hours for each in nodes),
            amount=sum(amounts) if whole else None,
            reason=reason,
        ),
    )


def spent_of(usage: Usage, prices: Prices, region: str) -> Spent:
    """Returns what a job or a node cost; not known of an array of whose jobs some are forgotten.

    Args:
        usage: How long it used instances.
        prices: The prices of instance types.
        region: The region of the deployment.
    """
    hours = usage.seconds / _SECONDS_PER_HOUR
    by_type = {name: prices.hourly(name, region) for name in usage.shares}
    missing = [name for name, price in by_type.items() if price is None]
    reason = ""
    if usage.is_forgotten:
        reason = FORGOTTEN
    elif usage.is_open:
        reason = OPEN
    elif usage.seconds == 0:
        # What never ran cost nothing, whatever its price.
        return Spent(name=usage.id, instance=None, share=0.0, hours=0.0, amount=0.0)
    elif usage.in_block:
        reason = IN_BLOCK
    elif usage.is_existing:
        reason = EXISTING
    elif missing or not by_type:
        reason = f"{NO_PRICE} {', '.join(missing)} in {region}"
    if reason:
        return Spent(
            name=usage.id, instance=None, share=1.0, hours=hours, amount=None, reason=reason
        )
    _, instance = max(
        ((price or 0.0) * usage.shares[name], name) for name, price in by_type.items()
    )
    share = usage.shares[instance]
    return Spent(
        name=usage.id,
        instance=instance,
        share=share,
        hours=hours,
        amount=hours * share * (by_type[instance] or 0.0),
        possible=tuple(sorted(by_type)) if len(by_type) > 1 else (),
    )


def _row(name: str, costs: Iterable[Spent]) -> Row:
    found = list(costs)
    known = sum(each.amount or 0.0 for each in found)
    unpriced = sum(each.amount is None for each in found)
    return Row(
        name=name,
        jobs=len(found),
        node_hours=sum(each.hours for each in found),
        amount=known if known or not unpriced else None,
        unpriced=unpriced,
    )


def _csv_amount(amount: float | None) -> str:
    return "" if amount is None else f"{amount:.6f}"


def csv_text(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Returns rows as CSV with a header."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
    return out.getvalue()
