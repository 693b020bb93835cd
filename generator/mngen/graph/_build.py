"""The graph of a deployment, from the spec and the catalog alone."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from mngen._text import counted
from mngen.cluster import (
    creates_execution_role,
    creates_roles,
    creates_spot_fleet_role,
    log_group_name,
    names,
    repository_name,
)
from mngen.graph._model import Edge, Graph, Group, Kind, Node
from mngen.spec import DEFAULT_CIDR, DEFAULT_RETENTION, JobFromFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mngen.cluster import Cluster, ResolvedEnvironment, ResolvedJob, ResolvedQueue
    from mngen.spec import Spec

_MOST_NAMES = 3
"""Of a list in a box."""


def graph_of(cluster: Cluster) -> Graph:
    """Returns the graph of a deployment.

    Args:
        cluster: The spec joined with the catalog.
    """
    spec = cluster.spec
    nodes = (
        *map(_job, cluster.jobs),
        *map(_queue, cluster.queues),
        *map(_environment, cluster.environments),
        *(Node(kind=Kind.LEGACY, name=name, existing=True) for name in _legacy_names(cluster)),
        *_amis(cluster),
        *_containers(spec),
        *_messages(spec),
        *_storage(spec),
        *_network(spec),
    )
    return Graph(
        title=f"Deployment {spec.name} in {spec.region}",
        nodes=nodes,
        edges=tuple(chain(_node_edges(cluster), _group_edges(nodes))),
    )


def _job(job: ResolvedJob) -> Node:
    if job.spec.definition and not isinstance(job.spec, JobFromFile):
        # The record of a spec names the file and does not hold it.
        lines = ["definition from a file"]
    else:
        lines = _size(job)
    if job.spec.predecessors:
        lines.append(f"after {_list(job.spec.predecessors)}")
    image = job.spec.image
    if image and any(each.spec.image == image for each in job.parts):
        lines.append(image)
    own = [f"{each.group}: {each.spec.image}" for each in job.groups if each.spec.image != image]
    return Node(kind=Kind.JOB, name=job.name, lines=(*lines, *_first(own)))


def _size(job: ResolvedJob) -> list[str]:
    """Returns how many nodes a job has, and of what size: lines for its box."""
    nodes = job.spec.nodes or 1
    size = counted(nodes, "node")
    parts = [(str(each.group), each) for each in job.groups]
    named = [f"node groups {_list([name for name, _ in parts])}"] if parts else []
    if len({(each.vcpus, each.gpus) for each in job.parts}) == 1:
        part = job.parts[0]
        gpus = f" and {counted(part.gpus, 'GPU')}" if part.gpus else ""
        each_node = " each" if nodes > 1 else ""
        return [f"{size}, {counted(part.vcpus, 'vCPU')}{gpus}{each_node}", *named]
    if len(parts) <= _MOST_NAMES:
        return [size, *(_group(part, *job.spec.groups[each].bounds(nodes)) for each, part in parts)]
    vcpus, gpus = (
        _range([getattr(part, key) for part in job.groups], what)
        for key, what in (("vcpus", "vCPU"), ("gpus", "GPU"))
    )
    return [", ".join(filter(None, (size, vcpus, gpus))), *named]


def _group(part: ResolvedJob, first: int, last: int) -> str:
    """Returns which nodes a node group has, and the size of each."""
    gpus = f", {counted(part.gpus, 'GPU')}" if part.gpus else ""
    return f"{part.group} ({first}:{last}): {counted(part.vcpus, 'vCPU')}{gpus}"


def _range(numbers: Sequence[int], what: str) -> str:
    """Returns the least and the most of something that nodes have; empty where none has any."""
    least, most = min(numbers), max(numbers)
    if least == most:
        return f"{counted(most, what)} each" if most else ""
    return f"{least} to {counted(most, what)}"


def _queue(queue: ResolvedQueue) -> Node:
    line = f"priority {queue.spec.priority}"
    if queue.spec.is_fair:
        line += ", fair share"
    lines = [line] if queue.spec.enabled else [line, "takes no new jobs"]
    return Node(kind=Kind.QUEUE, name=queue.name, lines=tuple(lines))


def _environment(environment: ResolvedEnvironment) -> Node:
    spec = environment.spec
    types = spec.instance
    if spec.alternatives:
        types += f" or {counted(len(spec.alternatives), 'other type')}"
    nodes = f"{spec.min_nodes} to {counted(spec.max_nodes, 'node')}"
    if spec.purchase == "spot":
        nodes += ", Spot"
    if spec.efa:
        nodes += ", EFA"
    lines = [types, nodes]
    if spec.scratch:
        lines.append(f"scratch at {spec.scratch}")
    if not spec.multi_node:
        lines.append("single-node jobs")
    if environment.placement_group:
        lines.append(f"placement group {environment.placement_group}")
    if spec.capacity:
        kind = "block" if spec.capacity.block else "group" if spec.capacity.group else "reservation"
        lines.append(f"capacity {kind} {spec.capacity.id or spec.capacity.group}")
    return Node(kind=Kind.ENVIRONMENT, name=environment.name, lines=tuple(lines))


def _amis(cluster: Cluster) -> Iterator[Node]:
    for image in cluster.machine_images:
        limit = "" if image.nr_cpus is None else f", {counted(image.nr_cpus, 'CPU')}"
        line = f"{image.architecture}{limit}"
        yield Node(kind=Kind.AMI, name=image.name, lines=(line,))
    for name in sorted({each.spec.image for each in cluster.environments if each.spec.image}):
        yield Node(kind=Kind.AMI, name=name, existing=True)


def _containers(spec: Spec) -> Iterator[Node]:
    if spec.container.image:
        yield Node(kind=Kind.IMAGE, name=spec.container.image, existing=True)
    else:
        lines = (f"ECR {repository_name(spec)}", f"tag {spec.container.tag}")
        yield Node(kind=Kind.IMAGE, lines=lines)
    if creates_roles(spec):
        roles = {
            "instances": spec.roles.instance_profile == "create",
            "jobs": spec.roles.job == "create",
            "secrets": creates_execution_role(spec),
            "AWS Batch": spec.roles.service == "create",
            "Spot": creates_spot_fleet_role(spec),
        }
        line = f"for {', '.join(name for name, created in roles.items() if created)}"
        yield Node(kind=Kind.ROLES, lines=(line,))
    if spec.logs.group:
        yield Node(kind=Kind.LOGS, name=spec.logs.group, existing=True)
    else:
        days = spec.logs.retention or DEFAULT_RETENTION
        kept = "kept indefinitely" if days == "never" else f"kept {counted(days, 'day')}"
        yield Node(kind=Kind.LOGS, lines=(log_group_name(spec), kept))


def _messages(spec: Spec) -> Iterator[Node]:
    if spec.notify:
        events = f"jobs {', '.join(dict.fromkeys(spec.notify.events))}"
        if spec.notify.topic:
            name = spec.notify.topic.rpartition(":")[2]
            yield Node(kind=Kind.MESSAGES, name=name, lines=(events,), existing=True)
        else:
            # Addresses are not for every reader of a pull request.
            count = len({*spec.notify.emails, *spec.notify.webhooks})
            addresses = "address" if count == 1 else "addresses"
            yield Node(kind=Kind.MESSAGES, lines=(events, f"{count} {addresses}"))
    if spec.budget:
        lines = [f"{spec.budget.monthly} {names.currency_of(spec.region)} a month"]
        if denied := spec.budget.deny_submit:
            # Who it is, is not for every reader of a pull request either.
            lines.append(f"denies submissions above {denied.at} %")
        yield Node(kind=Kind.BUDGET, lines=tuple(lines))
    if spec.dashboard:
        yield Node(kind=Kind.DASHBOARD, lines=(names.dashboard(spec.name, spec.region),))


def _storage(spec: Spec) -> Iterator[Node]:
    efs, fsx = spec.storage.efs, spec.storage.fsx
    yield Node(
        kind=Kind.EFS, name=efs.id or "", lines=(f"at {efs.mount}",), existing=efs.id is not None
    )
    if fsx and fsx.id:
        yield Node(kind=Kind.FSX, name=fsx.id, lines=(f"at {fsx.mount}",), existing=True)
    elif fsx:
        lines = [f"{fsx.type}, {fsx.size} GiB", f"at {fsx.mount}"]
        if fsx.s3:
            lines.append(counted(len(fsx.s3), "folder") + " linked to S3")
        yield Node(kind=Kind.FSX, lines=tuple(lines))
    if spec.storage.bucket:
        uploads = any(job.outputs is not None for job in spec.jobs.values())
        held = "inputs and outputs of jobs" if uploads else "inputs of jobs"
        yield Node(kind=Kind.BUCKET, name=spec.storage.bucket, lines=(held,), existing=True)


def _network(spec: Spec) -> Iterator[Node]:
    network = spec.network
    lines = [_list(network.zones)]
    if network.vpc == "new":
        lines = [network.cidr or DEFAULT_CIDR, *lines]
        yield Node(kind=Kind.VPC, lines=tuple(lines))
        if network.nat is not False:
            yield Node(kind=Kind.NAT)
    else:
        if network.subnets:
            lines = [counted(len(network.subnets), "subnet"), *lines]
        yield Node(kind=Kind.VPC, name=network.vpc, lines=tuple(lines), existing=True)
    interfaces = len({*network.endpoints} - {"s3"})
    parts = [*(["S3 gateway"] if "s3" in network.endpoints else [])]
    if interfaces:
        parts.append(counted(interfaces, "interface"))
    if parts:
        yield Node(kind=Kind.ENDPOINTS, lines=(", ".join(parts),))


def _node_edges(cluster: Cluster) -> Iterator[Edge]:
    for job in cluster.jobs:
        yield Edge((Kind.JOB, job.name), (Kind.QUEUE, job.queue.name))
    for queue in cluster.queues:
        for environment in queue.environments:
            yield Edge((Kind.QUEUE, queue.name), (Kind.ENVIRONMENT, environment.name))
        for arn in queue.spec.legacy:
            yield Edge((Kind.QUEUE, queue.name), (Kind.LEGACY, _legacy_name(arn)))
    own = {name: image.name for image in cluster.machine_images for name in image.names}
    for environment in cluster.environments:
        image = environment.spec.image or own[environment.image]
        yield Edge((Kind.ENVIRONMENT, environment.name), (Kind.AMI, image))


def _group_edges(nodes: tuple[Node, ...]) -> Iterator[Edge]:
    kinds = {node.kind for node in nodes}
    if Kind.JOB in kinds:
        yield Edge(Group.JOBS, Group.CONTAINERS, "use")
    if Kind.MESSAGES in kinds:
        yield Edge(Group.QUEUES, Group.MESSAGES, "events")
    yield Edge(Group.ENVIRONMENTS, Group.STORAGE, "mount")
    yield Edge(Group.ENVIRONMENTS, Group.NETWORK, "in")


def _legacy_names(cluster: Cluster) -> list[str]:
    arns = {arn for queue in cluster.queues for arn in queue.spec.legacy}
    return sorted({_legacy_name(arn) for arn in arns})


def _legacy_name(arn: str) -> str:
    return arn.rpartition("/")[2]


def _list(names: Sequence[str]) -> str:
    """Returns the first of some names, with how many more there are."""
    return ", ".join(_first(names))


def _first(lines: Sequence[str]) -> list[str]:
    """Returns the first of some lines, and then how many more there are."""
    more = [f"{len(lines) - _MOST_NAMES} more"] if len(lines) > _MOST_NAMES else []
    return [*lines[:_MOST_NAMES], *more]
