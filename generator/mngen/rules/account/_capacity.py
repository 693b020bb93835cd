"""Rules that ask AWS about capacity that is reserved in EC2."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from mngen.account import utc
from mngen.errors import Severity
from mngen.rules._rule import Match, Waiting
from mngen.rules.account._rule import AwsRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.account import Account, Reservation
    from mngen.cluster import ResolvedEnvironment
    from mngen.spec import Path

_LAUNCH = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/capacity-reservations-launch.html"
_BLOCKS = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-capacity-blocks.html"
_IN_GROUPS = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/cr-cpg.html"
_LIST = (
    "aws ec2 describe-capacity-reservations --query 'CapacityReservations[].[CapacityReservationId,"
    "ReservationType,InstanceType,AvailabilityZone,State,StartDate,EndDate]'"
)
_DESCRIBE = "ec2:DescribeCapacityReservations"
_LINUX = "Linux/UNIX"


class ReservationExists(AwsRule):
    id = "MN240"
    title = "A capacity reservation or block must exist, and must not have ended"
    why = (
        "EC2 starts an instance that targets a reservation in it or not at all. If the account "
        "does not see the reservation, or it has ended, jobs stay RUNNABLE; when a capacity block "
        "ends, its environment becomes INVALID."
    )
    remedy = "correct the id, or share the reservation with this account through AWS RAM"
    source_url = _LAUNCH
    manual_test = _LIST
    calls = (_DESCRIBE,)
    waiting = Waiting.CAUSE

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        for environment in account.cluster.environments:
            identifier = environment.reservation_id
            if identifier is None:
                continue
            path = _path(environment)
            found = account.reservation(identifier)
            if found is None:
                yield Match(
                    path,
                    f"there is no capacity reservation `{identifier}` in "
                    f"{account.cluster.spec.region} that this account may use",
                )
            elif found.is_block is not (environment.block is not None):
                right = "block" if found.is_block else "reservation"
                yield Match(
                    path,
                    f"`{found.id}` is a {found.kind}",
                    f"write `capacity: {{{right}: {found.id}}}`",
                )
            elif found.has_ended:
                ended = f", since {utc(found.ends)}" if found.ends else ""
                yield Match(
                    path,
                    f"the {found.kind} `{found.id}` is {found.state}{ended}",
                    f"name another {found.kind} and run `mngen apply`, or remove the environment",
                )


class ReservationFits(AwsRule):
    id = "MN241"
    title = "A capacity reservation must match its environment"
    why = (
        "EC2 refuses to start an instance in a reservation of another type, zone, platform or "
        "tenancy, or outside the placement group that the reservation was made in. Jobs stay "
        "RUNNABLE."
    )
    remedy = "change the environment, or name another reservation"
    source_url = _LAUNCH
    manual_test = _LIST
    calls = (_DESCRIBE, "ec2:DescribeSubnets", "ec2:DescribeVpcs")
    waiting = Waiting.CAUSE

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        for environment, found in _named(account):
            yield from _misfits(account, environment, found)


class ReservationInGroup(AwsRule):
    id = "MN242"
    severity = Severity.WARNING
    title = "A capacity reservation should be made in the placement group of its environment"
    why = (
        "A reservation that was not made in the placement group may have its instances elsewhere: "
        "EC2 then has no room for them in the group although the reservation has."
    )
    remedy = "remove `placement_group`, or create a reservation in the group"
    source_url = _IN_GROUPS
    manual_test = (
        "aws ec2 describe-capacity-reservations "
        "--query 'CapacityReservations[].[CapacityReservationId,PlacementGroupArn]'"
    )
    calls = (_DESCRIBE,)

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        for environment, found in _named(account):
            # A rule without AWS judges the groups that the deployment makes.
            if (
                found.group is None
                and environment.placement_group
                and not (environment.has_own_group or found.is_block)
            ):
                yield Match(
                    ("environments", environment.name, "placement_group"),
                    f"the capacity reservation `{found.id}` was not made in the placement group "
                    f"`{environment.placement_group}`",
                )


class ReservationHoldsNodes(AwsRule):
    id = "MN243"
    severity = Severity.WARNING
    title = "A capacity reservation should have an instance for each node"
    why = (
        "AWS Batch starts jobs up to `max_nodes`. EC2 starts no instance beyond those that are "
        "reserved, so a job that needs more waits and blocks the queue."
    )
    remedy = "lower `max_nodes`, or reserve more instances"
    source_url = _LAUNCH
    manual_test = (
        "aws ec2 describe-capacity-reservations --query 'CapacityReservations[].["
        "CapacityReservationId,TotalInstanceCount,AvailableInstanceCount]'"
    )
    calls = (_DESCRIBE,)

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        sharing: dict[Reservation, list[ResolvedEnvironment]] = defaultdict(list)
        for environment, found in _named(account):
            sharing[found].append(environment)
        for found, environments in sharing.items():
            wanted = sum(each.spec.max_nodes for each in environments)
            if wanted > found.total:
                whose = "the environments that name it" if len(environments) > 1 else "`max_nodes`"
                yield Match(
                    ("environments", environments[-1].name, "max_nodes"),
                    f"the {found.kind} `{found.id}` has {found.total} instances, and {whose} "
                    f"allow{'s' if len(environments) == 1 else ''} {wanted}",
                )


class JobsEndWithBlock(AwsRule):
    id = "MN244"
    severity = Severity.WARNING
    title = "A job should end before its capacity block does"
    why = (
        "EC2 terminates the instances of a capacity block 30 minutes before it ends. A job that "
        "still runs fails, and has no instances for another attempt."
    )
    remedy = "lower `timeout`, write checkpoints, or extend the block"
    source_url = (
        "https://docs.aws.amazon.com/autoscaling/ec2/userguide/launch-template-capacity-blocks.html"
    )
    manual_test = _LIST
    calls = (_DESCRIBE,)

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        now = datetime.now(UTC)
        blocks = {environment.name: found for environment, found in _named(account)}
        for job in account.cluster.jobs:
            for environment in job.queue.environments:
                found = blocks.get(environment.name)
                if found is None or found.instances_until is None:
                    continue
                left = found.instances_until - max(now, found.starts or now)
                if timedelta(0) < left < timedelta(seconds=job.spec.timeout):
                    begun = found.starts is None or found.starts <= now
                    yield Match(
                        ("jobs", job.name, "timeout"),
                        f"an attempt may take {job.spec.timeout} seconds, and EC2 terminates the "
                        f"instances of the capacity block `{found.id}` at "
                        f"{utc(found.instances_until)}, {left.total_seconds():.0f} seconds "
                        + ("from now" if begun else "after it begins"),
                    )


class ReservationIsTargeted(AwsRule):
    id = "MN245"
    severity = Severity.INFO
    title = "A capacity reservation should be for instances that target it"
    why = (
        "An `open` reservation also takes up any other instance of the account with the same type "
        "and zone. Then fewer are left for jobs."
    )
    remedy = (
        "make it targeted, if nothing else should use it: `aws ec2 modify-capacity-reservation "
        "--instance-match-criteria targeted --capacity-reservation-id ID`"
    )
    source_url = (
        "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyCapacityReservation.html"
    )
    manual_test = (
        "aws ec2 describe-capacity-reservations "
        "--query 'CapacityReservations[].[CapacityReservationId,InstanceMatchCriteria]'"
    )
    calls = (_DESCRIBE,)

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        for environment, found in _named(account):
            if found.is_open:
                yield Match(
                    _path(environment),
                    f"any matching instance of the account may take up `{found.id}`, which is open",
                )


class ReservationGroupFits(AwsRule):
    id = "MN246"
    title = "A group of capacity reservations must have one that matches the environment"
    why = (
        "EC2 targets only groups that are configured as a pool of capacity reservations. If none "
        "in the group matches an instance, EC2 buys it on demand while the reservations are billed "
        "too. EC2 starts instances in a capacity block of the group only with the market type for "
        "blocks, which `group` does not set: `block` does."
    )
    remedy = "correct the name, or add a reservation to the group"
    source_url = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/create-cr-group.html"
    manual_test = "aws resource-groups list-group-resources --group NAME"
    calls = (
        "resource-groups:GetGroupConfiguration",
        "resource-groups:ListGroupResources",
        _DESCRIBE,
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcs",
    )

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        for environment in account.cluster.environments:
            group = environment.spec.capacity.group if environment.spec.capacity else None
            if group is None:
                continue
            found, path = account.reservation_group(group), _path(environment)
            name = environment.instance.name
            if found is None:
                region = account.cluster.spec.region
                yield Match(path, f"there is no resource group `{group}` in {region}")
            elif not found.is_pool:
                yield Match(
                    path,
                    f"the resource group `{group}` is not a pool of capacity reservations",
                    "create one with the configuration AWS::EC2::CapacityReservationPool",
                )
            elif not any(_takes(account, environment, each) for each in found.reservations):
                zones = account.zones_of(environment)
                yield Match(
                    path,
                    f"no reservation in the resource group `{group}` is for {name}"
                    + (f" in {' or '.join(zones)}" if zones else ""),
                )


def _named(account: Account) -> Iterator[tuple[ResolvedEnvironment, Reservation]]:
    """Yields the environments with what they name, if that is of the kind and has not ended."""
    for environment in account.cluster.environments:
        identifier = environment.reservation_id
        found = account.reservation(identifier) if identifier else None
        if found is None or found.has_ended:
            continue
        if found.is_block is (environment.block is not None):
            yield environment, found


def _misfits(
    account: Account, environment: ResolvedEnvironment, found: Reservation
) -> Iterator[Match]:
    """Yields what keeps the instances of an environment out of a reservation."""
    zones = account.zones_of(environment)
    name = f"the {found.kind} `{found.id}`"
    if found.instance != environment.instance.name:
        yield Match(
            ("environments", environment.name, "instance"),
            f"{name} is for {found.instance}, and the environment has {environment.instance.name}",
            f"write `instance: {found.instance}`",
        )
    if zones and found.zone not in zones:
        key = "zones" if environment.spec.zones else "capacity"
        yield Match(
            ("environments", environment.name, key),
            f"{name} is in {found.zone}, and the environment in {', '.join(zones)}",
            f"write `zones: [{found.zone}]`",
        )
    if found.platform != _LINUX or found.tenancy != "default":
        yield Match(
            _path(environment),
            f"{name} is for {found.platform} on hardware with {found.tenancy} tenancy, and "
            "AWS Batch starts Linux instances on shared hardware",
        )
    if found.group not in (None, environment.placement_group):
        yield Match(
            ("environments", environment.name, "placement_group"),
            f"{name} was made in the placement group `{found.group}`",
            f"write `placement_group: {{existing: {found.group}}}`",
        )


def _takes(account: Account, environment: ResolvedEnvironment, found: Reservation) -> bool:
    """Whether a reservation of a group takes instances of an environment."""
    fits = next(_misfits(account, environment, found), None) is None
    return fits and not (found.is_block or found.has_ended)


def _path(environment: ResolvedEnvironment) -> Path:
    """Returns the place of the id or name in an environment's `capacity`."""
    key = "group"
    if environment.reservation_id:
        key = "block" if environment.block else "reservation"
    return ("environments", environment.name, "capacity", key)
