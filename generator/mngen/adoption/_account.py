"""Reads what an account has: queues with their environments, job definitions, and what they name.

Only calls that describe. 200 queues and 1,000 job definitions take about 20 of them: Batch gives
100 of each at a time.
Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_DescribeJobDefinitions.html
"""

from __future__ import annotations

from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Any, TypeVar

from mngen._aws import client, region_of, translated
from mngen.adoption._cluster import subnets_of_cluster
from mngen.adoption._deployed import read_deployed
from mngen.adoption._file_systems import MOST_FILE_SYSTEMS, all_file_systems, mounted
from mngen.adoption._inventory import Inventory, Network, Subnet, require
from mngen.adoption._item import Item
from mngen.adoption._jobs import containers_of, newest
from mngen.adoption._lines import Line, Outcome, Place
from mngen.adoption._queues import environments_of
from mngen.adoption._reserved import reserved_in, template_data
from mngen.cluster import DEPLOYMENT_TAG, names
from mngen.errors import InputError, Problem, ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from mypy_boto3_batch.client import BatchClient
    from mypy_boto3_ec2.client import EC2Client
    from mypy_boto3_efs.client import EFSClient
    from mypy_boto3_iam.client import IAMClient
    from mypy_boto3_sts.client import STSClient

    from mngen.adoption._inventory import FileSystem

    Connect = Callable[[str, str], Any]

_T = TypeVar("_T")
_BATCH_LIMIT = 100


def read_account(
    queues: Collection[str] = (),
    jobs: Collection[str] = (),
    *,
    name: str | None = None,
    region: str | None = None,
    connect: Connect = client,
) -> Inventory:
    """Reads queues, the environments in them and job definitions.

    Args:
        queues: Names of the queues; none for all.
        jobs: Names of job definitions that must exist.
        name: Name of the deployment, if the user gives one. If mngen made a deployment of this
            name, or all the queues, the inventory is that of the deployment.
        region: AWS region; None for the configured one.
        connect: Makes a client of a service in a region.

    Raises:
        InputError: The account has no such queue or job definition, or no queue at all.
        ToolError: AWS denies the calls to Batch, or cannot be reached.
    """
    region = region_of(region)
    with translated():
        sts: STSClient = connect("sts", region)
        account = sts.get_caller_identity()["Account"]
        batch: BatchClient = connect("batch", region)
        found_queues = [_plain(each) for each in all_queues(batch)]
        names_there = [each["jobQueueName"] for each in found_queues]
        require(queues, "job queue", names_there, f"in {region}")
        chosen = [each for each in found_queues if not queues or each["jobQueueName"] in queues]
        owner = _owner(chosen, name)
        others = [each for each in chosen if deployment_of(each) != owner]
        if queues and others:
            raise InputError(*map(_of_another, others, repeat(owner)))
        chosen = [each for each in chosen if each not in others]
        environments = [_plain(each) for each in _environments(batch, chosen, owner)]
        made = owner is not None and bool(environments)
        if not made:
            # A deployment of which no AMI is baked yet has taken a queue over, with what that has.
            environments = [_plain(each) for each in _environments(batch, chosen, None)]
        definitions = [
            Item(_plain(each), Place(each["jobDefinitionArn"]))
            for page in batch.get_paginator("describe_job_definitions").paginate(status="ACTIVE")
            for each in page["jobDefinitions"]
        ]
    active = newest(definitions)
    names_there = [each.data["jobDefinitionName"] for each in active]
    require(jobs, "active job definition", names_there, f"in {region}")
    if not chosen:
        raise InputError(
            f"account {account} has no job queues in {region}"
            + (" but those of deployments of mngen" if others else ""),
            hint=_name_them(others),
        )
    inventory = Inventory(
        source=f"account {account} in {region}",
        environments=[Item(each, Place(each["computeEnvironmentArn"])) for each in environments],
        queues=[Item(each, Place(each["jobQueueArn"])) for each in chosen],
        definitions=[
            each
            for each in active
            if (
                deployment_of(each.data) == owner
                if made
                else each.data["jobDefinitionName"] in jobs or _fits(each, environments)
            )
        ],
        region=region,
        account=account,
        exists=not made,
        name=owner,
        lines=[_left_alone(each) for each in others],
    )
    if owner is None or not made:
        look_up(inventory, region, connect=connect)
        return inventory
    inventory.deployed = read_deployed(
        owner,
        inventory.environments,
        inventory.queues,
        inventory.definitions,
        region,
        connect,
        lambda call: _tried(inventory, call),
    )
    return inventory


def deployment_of(described: dict[str, Any]) -> str | None:
    """Returns the deployment of mngen that an object of Batch belongs to, by its tag."""
    owner = described.get("tags", {}).get(DEPLOYMENT_TAG)
    return None if owner is None else str(owner)


def _owner(queues: list[dict[str, Any]], name: str | None) -> str | None:
    """Returns the deployment whose spec is asked for: by its name, or since all queues are its."""
    owners = {deployment_of(each) for each in queues}
    if name is not None:
        return name if name in owners else None
    return owners.pop() if len(owners) == 1 else None


def _of_another(queue: dict[str, Any], owner: str | None) -> Problem:
    """Describes a queue that was asked for, but that another Terraform state manages."""
    name, other = queue["jobQueueName"], deployment_of(queue)
    if other is None:
        return Problem(
            f"the job queue {name} does not belong to the deployment {owner}",
            hint="import it without --name, or under another name",
        )
    return Problem(
        f"the job queue {name} belongs to mngen's deployment {other}",
        hint=f"for the spec of that, pass --name {other}",
    )


def _name_them(queues: list[dict[str, Any]]) -> str | None:
    owners = sorted({deployment_of(each) or "" for each in queues} - {""})
    return f"for the spec of one of them, pass --name {' or '.join(owners)}" if owners else None


def _left_alone(queue: dict[str, Any]) -> Line:
    owner = deployment_of(queue)
    place = Place(str(queue["jobQueueArn"]))
    if owner is None:
        return Line(
            outcome=Outcome.KEPT, place=place, why="left alone: it is not of the deployment"
        )
    return Line(
        outcome=Outcome.KEPT,
        place=place,
        why=f"left alone: it belongs to mngen's deployment {owner}",
        todo=f"for its spec, pass --name {owner}",
    )


def look_up(inventory: Inventory, region: str, *, connect: Connect = client) -> None:
    """Asks the account about what the environments name: subnets, file systems, profiles.

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
    resources = [each.data.get("computeResources", {}) for each in inventory.environments]
    wanted = {str(each) for one in resources for each in one.get("subnets", []) if each}
    if inventory.cluster:
        wanted |= set(subnets_of_cluster(inventory.cluster))
    roles = {str(each["instanceRole"]) for each in resources if each.get("instanceRole")}
    ec2: EC2Client = connect("ec2", region)
    subnets = _tried(inventory, lambda: _subnets(ec2, sorted(wanted)))
    vpcs = {each.vpc for each in (subnets or {}).values()}
    s3_endpoint = _tried(inventory, lambda: _has_endpoint(ec2, vpcs, region))
    near = vpcs | wanted
    systems = _tried(inventory, lambda: _file_systems(inventory, connect("efs", region), near))
    profiles = _tried(inventory, lambda: _profiles(connect("iam", region), roles))
    found = {str(each.data.get("computeEnvironmentName")): each for each in inventory.environments}
    reserved = {
        name: _tried(inventory, partial(_reserved, ec2, each.data)) for name, each in found.items()
    }
    inventory.network = Network(
        subnets=subnets,
        s3_endpoint=bool(s3_endpoint),
        file_systems=systems or (),
        profiles=profiles or {},
        reserved={name: each for name, each in reserved.items() if each},
    )


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


def all_queues(batch: BatchClient) -> Iterator[Any]:
    """Yields every job queue of a region as Batch describes it."""
    for page in batch.get_paginator("describe_job_queues").paginate():
        yield from page["jobQueues"]


def _environments(
    batch: BatchClient, queues: list[dict[str, Any]], owner: str | None
) -> Iterator[Any]:
    if owner is None:
        used = sorted({each for queue in queues for each in environments_of(queue)})
        yield from described_environments(batch, used)
        return
    # Those of a deployment may be in no queue, and a queue may have others.
    for page in batch.get_paginator("describe_compute_environments").paginate():
        for each in page["computeEnvironments"]:
            if each.get("tags", {}).get(DEPLOYMENT_TAG) == owner:
                yield each


def described_environments(batch: BatchClient, names: list[str]) -> Iterator[Any]:
    """Yields those of the compute environments named that exist, as Batch describes them."""
    for start in range(0, len(names), _BATCH_LIMIT):
        found = batch.describe_compute_environments(
            computeEnvironments=names[start : start + _BATCH_LIMIT]
        )
        yield from found["computeEnvironments"]


def _fits(definition: Item, environments: list[dict[str, Any]]) -> bool:
    """Returns whether instances of the environments can run a job definition by its type."""
    kinds = {
        str(each.get("computeResources", {}).get("type", "EC2")).partition("_")[0]
        for each in environments
    }
    types = {
        str(each)
        for one in environments
        for each in one.get("computeResources", {}).get("instanceTypes", [])
    }
    data = definition.data
    if "FARGATE" in data.get("platformCapabilities", []):
        return "FARGATE" in kinds
    if data.get("eksProperties"):
        return False
    named = {each.get("instanceType") for _, each in containers_of(definition)} - {None}
    return named <= types


def _subnets(ec2: EC2Client, ids: list[str]) -> dict[str, Subnet]:
    # A filter, unlike SubnetIds, leaves out what there is not.
    found = [
        each
        for start in range(0, len(ids), _BATCH_LIMIT)
        for page in ec2.get_paginator("describe_subnets").paginate(
            Filters=[{"Name": "subnet-id", "Values": ids[start : start + _BATCH_LIMIT]}]
        )
        for each in page["Subnets"]
    ]
    return {each["SubnetId"]: Subnet(each["VpcId"], each["AvailabilityZone"]) for each in found}


def _reserved(ec2: EC2Client, environment: dict[str, Any]) -> dict[str, str]:
    """Returns the reserved capacity that the launch template of an environment targets."""
    template = environment.get("computeResources", {}).get("launchTemplate", {})
    return reserved_in(template_data(ec2, template))


def _has_endpoint(ec2: EC2Client, vpcs: set[str], region: str) -> bool:
    if not vpcs:
        return False
    found = ec2.describe_vpc_endpoints(
        Filters=[
            {"Name": "vpc-id", "Values": sorted(vpcs)},
            {"Name": "service-name", "Values": [names.endpoint_service(region, "s3")]},
        ]
    )
    return bool(found["VpcEndpoints"])


def _file_systems(inventory: Inventory, efs: EFSClient, near: set[str]) -> tuple[FileSystem, ...]:
    """Returns the file systems with a mount target in one of these VPCs or subnets."""
    systems = all_file_systems(efs)
    if len(systems) > MOST_FILE_SYSTEMS:
        inventory.lines.append(
            Line(
                outcome=Outcome.CHANGED,
                place=Place(inventory.source),
                spec="storage.efs.id",
                why=f"{len(systems)} file systems: where they are mounted was not asked",
                todo="write the `id` of the one that jobs use",
            )
        )
        return ()
    return tuple(mounted(efs, systems, near))


def _profiles(iam: IAMClient, roles: set[str]) -> dict[str, str]:
    """Returns the ARNs of the instance profiles that environments name otherwise."""
    found = {}
    for role in sorted(roles):
        name = role.rpartition("/")[2]
        if ":instance-profile/" not in role:
            try:
                profile = iam.get_instance_profile(InstanceProfileName=name)
            except iam.exceptions.NoSuchEntityException:
                continue
            found[name] = profile["InstanceProfile"]["Arn"]
    return found


def _plain(described: Any) -> dict[str, Any]:
    return dict(described)
