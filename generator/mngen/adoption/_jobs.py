"""Job definitions: they stay as they are, in files that the spec names or outside it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import msgspec

from mngen._batch_shapes import members_of
from mngen.adoption._draft import key_of
from mngen.adoption._lines import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.adoption._draft import Draft
    from mngen.adoption._item import Item
    from mngen.adoption._lines import Place
    from mngen.adoption._queues import MappedQueue
    from mngen.spec import Path

FOLDER = "definitions"
"""Folder of the job definitions, beside the spec."""

_DESCRIBES = frozenset({"containerOrchestrationType", "jobDefinitionArn", "revision", "status"})
_NOTES = {
    "parameters": "with `Ref::` in the command, as today",
    "retryStrategy": "attempts, and when to stop trying",
    "volumes": "paths on the instance",
    "secrets": "read by the execution role when a container starts",
}
_RANGES = ("nodeProperties", "nodeRangeProperties")
_WHOLE = re.compile(r"[0-9]{1,9}")

Part = tuple["Path", dict[str, Any]]
"""An object in a job definition, with its path there."""


class MappedJob(msgspec.Struct, kw_only=True):
    """A job definition, and what it names that a spec also names.

    Attributes:
        name: Its name in AWS.
        key: Its key in the spec; empty if it stays outside.
        arn: ARN of the revision, if it was seen in an account.
        item: The definition.
        images: Its container images, with their places.
        mounts: Host paths that its containers mount, with their places.
        file_systems: EFS file systems that it names itself, with their places.
    """

    name: str
    item: Item
    key: str = ""
    arn: str = ""
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
        if each.get("type") == "VCPU" and _WHOLE.fullmatch(str(each.get("value", ""))):
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


def map_job(
    draft: Draft, item: Item, queues: list[MappedQueue], *, taken: bool, wanted: bool
) -> MappedJob:
    """Reports a job definition, which stays as it is, and returns what it names.

    Args:
        draft: The spec in the making.
        item: The definition.
        queues: The queues of the spec.
        taken: Whether to add a job for it to the spec.
        wanted: Whether the user named it.
    """
    name = str(item.take("jobDefinitionName", ""))
    mapped = MappedJob(name=name, item=item, images=[], mounts=[], file_systems=[])
    elsewhere = _elsewhere(item)
    if elsewhere:
        report = draft.cannot if wanted else draft.kept
        report(
            item.at("jobDefinitionName"),
            "",
            f"{name} stays as it is, outside the spec: its jobs run on {elsewhere}, not on the "
            "instances of the spec",
        )
        _report_keys(draft, item, [], "")
        return mapped
    containers = list(containers_of(item))
    queue = _queue_for(item, containers, queues)
    if taken and queue:
        _take(draft, mapped, queue)
    else:
        where = f", with the queue {queue.name}" if queue else ""
        draft.kept(
            item.at("jobDefinitionName"),
            "",
            f"{name} stays as it is, outside the spec: "
            + ("" if queue else "the spec has no queue for its jobs; ")
            + f"scripts go on using its name{where}",
            # Of files, all are taken that have a queue.
            f"--job {name} takes it into the spec" if queue and not taken else "",
        )
    spec = f"jobs.{mapped.key}.definition" if mapped.key else ""
    _report_keys(draft, item, containers, spec)
    _report_tasks(draft, item, spec)
    for path, container in containers:
        _collect(mapped, item, path, container)
    for path, task in _tasks_of(item):
        points = [
            point for each in task.get("containers", []) for point in each.get("mountPoints", [])
        ]
        _collect(mapped, item, path, {"volumes": task.get("volumes", []), "mountPoints": points})
    return mapped


def _take(draft: Draft, mapped: MappedJob, queue: MappedQueue) -> None:
    """Adds a job to the spec whose definition is a file, as it is."""
    name, item = mapped.name, mapped.item
    mapped.key = key_of(name, draft.jobs)
    mapped.arn = str(item.data.get("jobDefinitionArn", ""))
    path = f"jobs.{mapped.key}"
    file = f"{FOLDER}/{name}.json"
    revision = item.data.get("revision")
    draft.kept(
        item.at("jobDefinitionName"),
        f"{path}.aws_name",
        f"{name}: scripts go on using it"
        + (f"; revision {revision}, the newest active one" if revision else ""),
    )
    draft.changed(
        item.at("jobDefinitionName"),
        f"{path}.queue",
        f"{queue.key}: a job definition names no queue, and this one fits best",
        "correct it if its jobs go to another one",
    )
    draft.files[file] = _text(item)
    draft.jobs[mapped.key] = {"queue": queue.key, "aws_name": name, "definition": file}
    if draft.inventory.exists:
        draft.jobs[mapped.key]["protect"] = True


def _text(item: Item) -> str:
    """Returns what `aws batch register-job-definition --cli-input-json` takes."""
    takes = members_of("definitions")
    data = {
        key: value for key, value in item.data.items() if key in takes and value not in ({}, [])
    }
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def leave_out(draft: Draft, mapped: MappedJob) -> None:
    """Removes the job of a definition from the spec, and leaves what was reported of its values."""
    path = f"jobs.{mapped.key}"
    del draft.files[draft.jobs.pop(mapped.key)["definition"]]
    lines = []
    for line in draft.lines:
        if line.outcome is Outcome.CANNOT or not line.spec.startswith(f"{path}."):
            lines.append(line)
        elif line.spec == f"{path}.definition":
            lines.append(msgspec.structs.replace(line, spec=""))
    draft.lines = lines
    mapped.key = mapped.arn = ""


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
            not several or not any(each.single_node for each in environments),
            not types or frozenset().union(*(each.types for each in environments)) >= types,
            any(each.cpus == vcpus for each in environments),
        )

    # Of those that fit alike, the first one.
    return max(queues, key=fit, default=None)


def _report_keys(draft: Draft, item: Item, containers: list[Part], spec: str) -> None:
    for key in item.data:
        if key not in _DESCRIBES and key != "jobDefinitionName":
            item.take(key)
            if key not in {"containerProperties", "ecsProperties", "nodeProperties"}:
                draft.kept(item.at(key), spec, _NOTES.get(key, "as it is"))
    nodes = item.data.get("nodeProperties", {})
    for key in nodes:
        if key != "nodeRangeProperties":
            draft.kept(item.at("nodeProperties", key), spec, "as it is")
    for number, each in enumerate(nodes.get("nodeRangeProperties", [])):
        place = item.at(*_RANGES, number, "targetNodes")
        draft.kept(place, spec, f"nodes {each.get('targetNodes')}, as they are")
    for path, container in containers:
        _report_container(draft, item, path, container, spec)
        if "ecsProperties" not in path and not container.get("jobRoleArn"):
            _report_no_role(draft, item.at(*path, "jobRoleArn"), "jobRoleArn", spec)


def _report_tasks(draft: Draft, item: Item, spec: str) -> None:
    for path, task in _tasks_of(item):
        rest = {key: value for key, value in task.items() if key != "containers"}
        _report_container(draft, item, path, rest, spec)
        if not task.get("taskRoleArn"):
            _report_no_role(draft, item.at(*path, "taskRoleArn"), "taskRoleArn", spec)


def _report_container(
    draft: Draft, item: Item, path: Path, container: dict[str, Any], spec: str
) -> None:
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
            todo = "an AMI from mngen bake has only the paths of `storage.efs` and `storage.fsx`"
        alone = "ecsProperties" not in path and not container.get("executionRoleArn")
        if key == "secrets" and value and alone:
            draft.changed(
                item.at(*path, key),
                spec,
                "no execution role, which reads them: Amazon ECS refuses the task (MN415)",
                "add an `executionRoleArn` to the definition",
                breaks=True,
            )
            continue
        draft.kept(item.at(*path, key), spec, why, todo)


def _report_no_role(draft: Draft, place: Place, key: str, spec: str) -> None:
    draft.changed(
        place,
        spec,
        "no job role: its programs use the permissions of the instance, which containers on "
        "instances of mngen do not get",
        f"add a `{key}` to the definition before jobs run on them",
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
