"""Job definitions: they stay as they are, and show what a spec must have for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.adoption._draft import Draft
    from mngen.adoption._item import Item
    from mngen.adoption._lines import Place
    from mngen.adoption._queues import MappedQueue
    from mngen.spec import Path

_DESCRIBES = frozenset({"containerOrchestrationType", "jobDefinitionArn", "revision", "status"})
_NOTES = {
    "parameters": "with `Ref::` in the command, as today",
    "retryStrategy": "attempts, and when to stop trying",
    "volumes": "paths on the instance",
    "secrets": "read by the execution role when a container starts",
}
_RANGES = ("nodeProperties", "nodeRangeProperties")

Part = tuple["Path", dict[str, Any]]
"""An object in a job definition, with its path there."""


class MappedJob(msgspec.Struct, kw_only=True):
    """A job definition, and what it names that a spec also names.

    Attributes:
        name: Its name in AWS.
        images: Its container images, with their places.
        mounts: Host paths that its containers mount, with their places.
        file_systems: EFS file systems that it names itself, with their places.
    """

    name: str
    images: list[tuple[str, Place]]
    mounts: list[tuple[str, Place]]
    file_systems: list[tuple[str, Place]]


def containers_of(item: Item) -> Iterator[Part]:
    """Yields the containers of a job definition with their paths in it."""
    alone = item.data.get("containerProperties")
    if isinstance(alone, dict):
        yield ("containerProperties",), alone
    ranges = item.data.get("nodeProperties", {}).get("nodeRangeProperties", [])
    for number, each in enumerate(ranges):
        if isinstance(each.get("container"), dict):
            yield (*_RANGES, number, "container"), each["container"]
    for path, task in _tasks_of(item):
        for number, each in enumerate(task.get("containers", [])):
            yield (*path, "containers", number), each


def _tasks_of(item: Item) -> Iterator[Part]:
    """Yields the ECS tasks of a job definition, which have several containers each."""
    ranges = item.data.get("nodeProperties", {}).get("nodeRangeProperties", [])
    owners: list[Part] = [((), item.data)]
    owners += [((*_RANGES, number), each) for number, each in enumerate(ranges)]
    for path, owner in owners:
        for number, each in enumerate(owner.get("ecsProperties", {}).get("taskProperties", [])):
            yield (*path, "ecsProperties", "taskProperties", number), each


def vcpus_of(container: dict[str, Any]) -> int:
    """Returns the vCPUs that a container asks for; 0 if it names none."""
    for each in container.get("resourceRequirements", []):
        if each.get("type") == "VCPU" and str(each.get("value", "")).isdigit():
            return int(each["value"])
    return int(container.get("vcpus") or 0)


def newest(items: list[Item]) -> list[Item]:
    """Returns the newest active revision of each job definition, sorted by name."""
    found: dict[str, Item] = {}
    for item in items:
        name = str(item.data.get("jobDefinitionName", ""))
        active = str(item.data.get("status", "ACTIVE")).upper() == "ACTIVE"
        before = found.get(name)
        if active and (before is None or _revision(before) < _revision(item)):
            found[name] = item
    return [found[name] for name in sorted(found)]


def map_job(draft: Draft, item: Item, queues: list[MappedQueue]) -> MappedJob:
    """Reports a job definition, which stays as it is, and returns what it names."""
    name = str(item.take("jobDefinitionName", ""))
    mapped = MappedJob(name=name, images=[], mounts=[], file_systems=[])
    elsewhere = _elsewhere(item)
    if elsewhere:
        draft.kept(
            item.at("jobDefinitionName"),
            "",
            f"{name} stays as it is, outside the spec: its jobs run on {elsewhere}, not on the "
            "instances of the spec",
        )
        _report_keys(draft, item, [])
        return mapped
    containers = list(containers_of(item))
    queue = _queue_for(item, containers, queues)
    where = f", with the queue {queue.name}" if queue else ""
    draft.kept(
        item.at("jobDefinitionName"),
        "",
        f"{name} stays as it is, outside the spec: scripts go on using its name{where}",
        "write a job in the spec to submit it with mngen",
    )
    _report_keys(draft, item, containers)
    _report_tasks(draft, item)
    for path, container in containers:
        _collect(mapped, item, path, container)
    for path, task in _tasks_of(item):
        points = [
            point for each in task.get("containers", []) for point in each.get("mountPoints", [])
        ]
        _collect(mapped, item, path, {"volumes": task.get("volumes", []), "mountPoints": points})
    return mapped


def _elsewhere(item: Item) -> str:
    """Returns what runs the jobs of a definition, if that is not an EC2 instance of Batch."""
    if item.data.get("eksProperties"):
        return "Amazon EKS"
    capabilities = item.data.get("platformCapabilities", [])
    return "Fargate" if "FARGATE" in capabilities and "EC2" not in capabilities else ""


def _queue_for(item: Item, containers: list[Part], queues: list[MappedQueue]) -> MappedQueue | None:
    """Returns the queue that fits a job definition best: by type, nodes and CPUs."""
    types = {each.get("instanceType") for _, each in containers} - {None}
    vcpus = max((vcpus_of(each) for _, each in containers), default=0)
    several = bool(item.data.get("nodeProperties"))

    def fit(queue: MappedQueue) -> tuple[bool, bool, bool]:
        environments = queue.environments
        return (
            not several or not any(each.spot for each in environments),
            not types or {each.instance.name for each in environments} >= types,
            any(each.cpus == vcpus for each in environments),
        )

    # Of those that fit alike, the first one.
    return max(queues, key=fit, default=None)


def _report_keys(draft: Draft, item: Item, containers: list[Part]) -> None:
    for key in item.data:
        if key not in _DESCRIBES and key != "jobDefinitionName":
            item.take(key)
            if key not in {"containerProperties", "ecsProperties", "nodeProperties"}:
                draft.kept(item.at(key), "", _NOTES.get(key, "as it is"))
    nodes = item.data.get("nodeProperties", {})
    for key in nodes:
        if key != "nodeRangeProperties":
            draft.kept(item.at("nodeProperties", key), "", "as it is")
    for number, each in enumerate(nodes.get("nodeRangeProperties", [])):
        place = item.at(*_RANGES, number, "targetNodes")
        draft.kept(place, "", f"nodes {each.get('targetNodes')}, as they are")
    for path, container in containers:
        _report_container(draft, item, path, container)
        if "ecsProperties" not in path and not container.get("jobRoleArn"):
            _report_no_role(draft, item, path, "jobRoleArn")


def _report_tasks(draft: Draft, item: Item) -> None:
    for path, task in _tasks_of(item):
        rest = {key: value for key, value in task.items() if key != "containers"}
        _report_container(draft, item, path, rest)
        if not task.get("taskRoleArn"):
            _report_no_role(draft, item, path, "taskRoleArn")


def _report_container(draft: Draft, item: Item, path: Path, container: dict[str, Any]) -> None:
    for key, value in container.items():
        why = _NOTES.get(key, "as it is")
        todo = ""
        if key == "volumes":
            paths = ", ".join(
                each["host"]["sourcePath"]
                for each in value
                if each.get("host", {}).get("sourcePath")
            )
            why = f"as they are: {paths or 'none on the instance'}"
            todo = "an AMI from mngen bake has only the path of `storage.efs.mount`"
        draft.kept(item.at(*path, key), "", why, todo)


def _report_no_role(draft: Draft, item: Item, path: Path, key: str) -> None:
    draft.changed(
        item.at(*path, key),
        "",
        "no job role: its programs use the permissions of the instance, which containers on "
        "instances of mngen do not get",
        f"register a revision with a `{key}` before jobs run on them",
        breaks=True,
    )


def _collect(mapped: MappedJob, item: Item, path: Path, container: dict[str, Any]) -> None:
    if container.get("image"):
        mapped.images.append((str(container["image"]), item.at(*path, "image")))
    used = {each.get("sourceVolume") for each in container.get("mountPoints", [])}
    for number, each in enumerate(container.get("volumes", [])):
        place = item.at(*path, "volumes", number)
        host = each.get("host", {}).get("sourcePath")
        system = each.get("efsVolumeConfiguration", {}).get("fileSystemId")
        if host and each.get("name") in used:
            mapped.mounts.append((str(host), place))
        if system:
            mapped.file_systems.append((str(system), place))


def _revision(item: Item) -> int:
    return int(item.data.get("revision") or 0)
