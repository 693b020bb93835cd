"""What a job can cost at most, before it runs: nodes, attempts, timeout and the price on demand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from mngen.catalog import price_list_region
from mngen.cost._money import length, money
from mngen.cost._standing import EFS, SERVICES_DATE, Standing, standing_of
from mngen.spec import JobFromFile, Spec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from mngen.catalog import Catalog, Prices
    from mngen.cluster import Cluster, ResolvedJob, ResolvedQueue

_SHOWN = 3


class Bound(Struct, frozen=True, kw_only=True):
    """What a job costs at most: all its attempts, on demand, from the start of its containers.

    A node is counted as a whole instance, also where several jobs share one.

    Attributes:
        job: Name of the job in the spec.
        nodes: How many nodes it has.
        instance: The dearest instance type that its queue can place it on; None where there is one
            whose price is not known.
        hourly: What an hour of all its nodes costs; None likewise.
        attempts: How often it is tried in all.
        seconds: After how long an attempt is stopped; None for never.
        total: What all attempts cost together; None if the price is not known, or without a
            timeout.
        missing: Instance types whose price is not known.
    """

    job: str
    nodes: int
    instance: str | None
    hourly: float | None
    attempts: int
    seconds: int | None
    total: float | None
    missing: tuple[str, ...] = ()

    def in_words(self, currency: str) -> str:
        """Returns the bound in short: `24.19 USD (2 x r5.24xlarge x 1 h)`."""
        if self.hourly is None:
            return f"not known (no price of {', '.join(self.missing)})"
        factors = f"{self.nodes} x {self.instance}"
        if self.total is None:
            return f"{money(self.hourly, currency)}/h ({factors}, no timeout)"
        if self.seconds is not None:
            factors += f" x {length(self.seconds)}"
        if self.attempts > 1:
            factors += f" x {self.attempts} attempts"
        return f"{money(self.total, currency)} ({factors})"


class Estimate(Struct, frozen=True, kw_only=True):
    """What a deployment can cost.

    Attributes:
        region: Its region.
        currency: What all amounts are in; None if there are no prices of the region.
        date: The day on which the prices were read; None likewise.
        source: Where, in words; None likewise.
        jobs: What each job of the spec costs at most, the dearest first. Those are left out of
            which `bound_of` does not know it.
        standing: What is billed for while no job runs.
        unbounded: Names of the jobs of the spec that are left out.
    """

    region: str
    currency: str | None
    date: date | None
    source: str | None
    jobs: tuple[Bound, ...]
    standing: tuple[Standing, ...]
    unbounded: tuple[str, ...] = ()

    @property
    def standing_hourly(self) -> float:
        """What is known to be billed by the hour while no job runs."""
        return sum(each.hourly or 0.0 for each in self.standing)

    def as_dict(self) -> dict[str, Any]:
        """Returns the estimate as JSON-ready data."""
        data: dict[str, Any] = msgspec.to_builtins(self)
        return {**data, "services_date": str(SERVICES_DATE)}

    def lines(self) -> list[str]:
        """Returns the estimate for a person: a line of the jobs, and one of what is billed idle."""
        return [line for line in (self.job_line(), self._standing_line()) if line]

    def job_line(self) -> str | None:
        """Returns the line of the jobs; None for none."""
        if not self.jobs:
            return None
        if self.currency is None:
            return f"price: {no_prices(self.region)}"
        parts = [f"{each.job} {each.in_words(self.currency)}" for each in self.jobs[:_SHOWN]]
        if len(self.jobs) > _SHOWN:
            parts.append(f"{len(self.jobs) - _SHOWN} more jobs")
        end = _remedy(self.region) if any(each.missing for each in self.jobs) else ""
        return f"price: at most {'; '.join(parts)}; on demand in {self.region}, {self.date}{end}"

    def _standing_line(self) -> str | None:
        if all(each.what == EFS for each in self.standing):
            return None
        # Without prices of the region there is nothing that is billed in another currency.
        currency = self.currency or "USD"
        parts = "; ".join(each.in_words(currency) for each in self.standing)
        total = f" {money(self.standing_hourly, currency)}/h:" if self.standing_hourly else ""
        return f"idle:{total} {parts}"


def estimate(cluster: Cluster, prices: Prices) -> Estimate:
    """Returns what a deployment can cost.

    Args:
        cluster: The spec joined with the catalog.
        prices: The prices of instance types.
    """
    found = {job.name: bound_of(cluster, prices, job) for job in cluster.jobs}
    bounds = [bound for bound in found.values() if bound]
    made = estimate_of(cluster, prices, *bounds, standing=standing_of(cluster, prices))
    unbounded = tuple(name for name, bound in found.items() if bound is None)
    return msgspec.structs.replace(made, unbounded=unbounded)


def estimate_of(
    cluster: Cluster, prices: Prices, *bounds: Bound, standing: tuple[Standing, ...] = ()
) -> Estimate:
    """Returns an estimate of given jobs.

    Args:
        cluster: The deployment.
        prices: The prices of instance types.
        bounds: What the jobs cost at most.
        standing: What is billed for while no job runs.
    """
    region = prices.region(cluster.spec.region)
    return Estimate(
        region=cluster.spec.region,
        currency=region.currency if region else None,
        date=region.date if region else None,
        source=region.source if region else None,
        jobs=tuple(sorted(bounds, key=lambda each: (-_weight(each), each.job))),
        standing=standing,
    )


def bound_of(
    cluster: Cluster,
    prices: Prices,
    job: ResolvedJob,
    *,
    queue: ResolvedQueue | None = None,
    nodes: int | None = None,
    attempts: int | None = None,
    timeout: int | None = None,
    described: Mapping[str, Any] | None = None,
) -> Bound | None:
    """Returns what a job costs at most; None where that is unknown.

    That is so in a capacity block, which is paid in advance, on existing compute environments,
    whose instance types the spec does not have, and for a definition in a file that was not read.

    Args:
        cluster: The deployment.
        prices: The prices of instance types.
        job: The job.
        queue: Another queue than the job's own.
        nodes: Other nodes than the job's.
        attempts: Other attempts than the job's.
        timeout: Another timeout than the job's, in seconds.
        described: The revision of the definition that counts, as AWS Batch describes it, where its
            attempts and timeout may differ from the spec.
    """
    queue = queue or job.queue
    blocks = any(each.block for each in queue.environments)
    unread = job.spec.definition and not isinstance(job.spec, JobFromFile)
    if blocks or queue.spec.legacy or unread:
        return None
    region = cluster.spec.region
    types = dict.fromkeys(kind.name for each in queue.environments for kind in each.types)
    known = {name: prices.hourly(name, region) for name in types}
    missing = tuple(name for name, price in known.items() if price is None)
    count = nodes or job.spec.nodes or 1
    if described is None:
        tries, seconds = job.spec.attempts, _timeout(job)
    else:
        tries = described.get("retryStrategy", {}).get("attempts", 1)
        seconds = described.get("timeout", {}).get("attemptDurationSeconds")
    tries, seconds = attempts or tries, timeout or seconds
    instance = hourly = total = None
    if not missing:
        hourly, instance = max((price or 0.0, name) for name, price in known.items())
        hourly *= count
        total = None if seconds is None else hourly * seconds / 3600 * tries
    return Bound(
        job=job.name,
        nodes=count,
        instance=instance,
        hourly=hourly,
        attempts=tries,
        seconds=seconds,
        total=total,
        missing=missing,
    )


def no_prices(region: str) -> str:
    """Returns that a region has no prices, and how to get them where that is possible."""
    return f"no prices of {region}{_remedy(region)}"


def recorded_cluster(record: Any, catalog: Catalog) -> Cluster | None:
    """Returns the deployment of the spec that Terraform keeps in an output; None if it is not one.

    Args:
        record: The value of the output, as `mngen.spec.written` made it.
        catalog: The facts of the instance types.
    """
    from mngen.cluster import resolve
    from mngen.errors import InputError

    try:
        return resolve(msgspec.convert(record, Spec), catalog)
    except (msgspec.ValidationError, InputError, KeyError):
        return None


def _remedy(region: str) -> str:
    """Returns how to get prices of a region; empty for GovCloud, which has no price list."""
    listed = price_list_region(region) is not None
    return f"; run mngen instances --refresh --region {region}" if listed else ""


def _timeout(job: ResolvedJob) -> int | None:
    """Returns the timeout of a job; a definition from a file has none if the file has none."""
    if isinstance(job.spec, JobFromFile) and "timeout" not in job.spec.from_file.content:
        return None
    return job.spec.timeout


def _weight(bound: Bound) -> float:
    """Returns by how much a job comes first: one without an end is the dearest."""
    if bound.total is not None:
        return bound.total
    return float("inf") if bound.hourly is not None else 0.0
