"""Why a job definition in a file cannot be registered as it is.

AWS Batch refuses it, or the AWS provider of Terraform would leave a part of it out.

Sources: https://docs.aws.amazon.com/batch/latest/APIReference/API_RegisterJobDefinition.html, and
of the provider internal/service/batch/job_definition.go and node_properties.go (5.100 and 6.x).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, get_args

from mngen._batch_shapes import Fault, empty_values, faults, lacking, lacking_properties
from mngen.errors import did_you_mean
from mngen.spec._definition import containers_of
from mngen.spec._document import text_fault
from mngen.spec._model import ROLE_ARN, UlimitName

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.spec._document import Path

_CONTAINER = frozenset(
    {
        "command",
        "enableExecuteCommand",
        "environment",
        "executionRoleArn",
        "image",
        "instanceType",
        "jobRoleArn",
        "linuxParameters",
        "logConfiguration",
        "memory",
        "mountPoints",
        "privileged",
        "readonlyRootFilesystem",
        "repositoryCredentials",
        "resourceRequirements",
        "secrets",
        "ulimits",
        "user",
        "vcpus",
        "volumes",
    }
)
"""What the provider carries of a container on EC2, from its version 5.100.0 on.

It decodes a container into the types of its AWS SDK for Go: in 5.100.0, service/batch 1.52.4.
"""

_FARGATE = frozenset(
    {
        "ephemeralStorage",
        "fargatePlatformConfiguration",
        "networkConfiguration",
        "runtimePlatform",
    }
)
_VOLUME = frozenset({"efsVolumeConfiguration", "host", "name"})
_VOLUME_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_LEAST_MEMORY = 4
_MOST_SWAPPINESS = 100
_NOT_CARRIED = "not supported by the AWS provider of Terraform, which leaves it out"
_REQUIRED = "missing; AWS Batch requires it"
_RANGE = re.compile(r"([0-9]{0,4}):([0-9]{0,4})")
_WHOLE = re.compile(r"[1-9][0-9]{0,8}")
_ROLE = re.compile(ROLE_ARN)
_CONDITIONS = {
    "onExitCode": re.compile(r"(?=.{1,512}\Z)[0-9]*\*?"),
    "onReason": re.compile(r"(?=.{1,512}\Z)[0-9A-Za-z.:\s]*\*?", re.DOTALL),
    "onStatusReason": re.compile(r"(?=.{1,512}\Z)[0-9A-Za-z.:\s]*\*?", re.DOTALL),
}
_MOST_CONDITIONS = 5
_MOST_RANGES = 5
_MOST_NODES = 1000
_MOST_ATTEMPTS = 10
_LEAST_TIMEOUT = 60
_MOST_PRIORITY = 9999


def definition_faults(data: Any) -> Iterator[Fault]:
    """Yields why a definition cannot be registered as it is."""
    if not isinstance(data, dict):
        yield Fault((), "expected a JSON object")
        return
    if "jobDefinitions" in data and "jobDefinitionName" not in data:
        yield Fault(
            ("jobDefinitions",),
            "expected one job definition, not the output of describe-job-definitions",
            hint="write one entry of the list, as --query 'jobDefinitions[0]' prints it",
        )
        return
    found = list(faults("definitions", data))
    if not found:
        found = [
            Fault(path, _REQUIRED)
            # The name is that of the spec.
            for path in lacking("definitions", data)
            if path != ("jobDefinitionName",)
        ]
    wrong = {fault.path for fault in found}
    found += [
        Fault(path, 'empty (""): AWS refuses it', hint="fill it in, or remove it")
        for path in empty_values(data)
        if path not in wrong
    ]
    found += list(_text_faults(data, ()))
    yield from found or _semantic_faults(data)


def property_faults(properties: dict[str, Any]) -> Iterator[tuple[Path, str, str | None]]:
    """Yields why container properties cannot be registered: path, message and what to do.

    They are a part of a container: what a container requires may be elsewhere.
    """
    found = [
        Fault(fault.path[1:], fault.message, hint=fault.hint)
        for fault in faults("definitions", {"containerProperties": properties})
    ]
    found += [Fault(path, 'empty (""): AWS refuses it') for path in empty_values(properties)]
    found += [
        Fault(path, "no value", hint="write one, or remove it") for path in _nulls(properties)
    ]
    found = found or [
        *_carried_faults((), properties),
        *_swap_faults((), properties),
        *(Fault(path, _REQUIRED) for path in lacking_properties(properties)),
    ]
    for fault in found:
        yield fault.path, fault.message, fault.hint or None


def _nulls(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yields the places of nulls, which YAML takes a key for that nothing stands after."""
    if value is None:
        yield path
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _nulls(each, (*path, key))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _nulls(each, (*path, number))


def _text_faults(value: Any, path: Path) -> Iterator[Fault]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _text_faults(key, (*path, key))
            yield from _text_faults(each, (*path, key))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _text_faults(each, (*path, number))
    elif isinstance(value, str):
        found = text_fault(value)
        if found:
            yield Fault(path, found[0], hint=found[1])


def _semantic_faults(data: dict[str, Any]) -> Iterator[Fault]:
    yield from _kind_faults(data)
    yield from _container_faults(data)
    yield from _node_faults(data.get("nodeProperties"))
    yield from _policy_faults(data)


def _kind_faults(data: dict[str, Any]) -> Iterator[Fault]:
    """Yields what is not a job on EC2 instances of ECS, in one container a node."""
    elsewhere = "leave the definition outside the spec"
    if "FARGATE" in data.get("platformCapabilities", []):
        yield Fault(("platformCapabilities",), "jobs on Fargate are not supported", hint=elsewhere)
    ranges = data.get("nodeProperties", {}).get("nodeRangeProperties", [])
    owners: list[tuple[Path, dict[str, Any]]] = [((), data)]
    owners += [
        (("nodeProperties", "nodeRangeProperties", number), each)
        for number, each in enumerate(ranges)
    ]
    for path, owner in owners:
        if "eksProperties" in owner:
            yield Fault(
                (*path, "eksProperties"), "jobs on Amazon EKS are not supported", hint=elsewhere
            )
        if "ecsProperties" in owner:
            yield Fault(
                (*path, "ecsProperties"),
                "several containers in one task are not supported",
                hint="leave the definition outside the spec, or write one container in "
                "`containerProperties` or `nodeProperties`",
            )
        if "consumableResourceProperties" in owner:
            yield Fault(
                (*path, "consumableResourceProperties"),
                _NOT_CARRIED,
                hint="leave the definition outside the spec",
            )
        if path and "instanceTypes" in owner:
            yield Fault(
                (*path, "instanceTypes"),
                "the AWS provider of Terraform does not see when it changes",
                hint="write `instanceType` in the container",
            )
    kinds = {"container": "containerProperties", "multinode": "nodeProperties"}
    kind = data["type"]
    if kind not in kinds:
        yield Fault(("type",), f'unknown type "{kind}"', hint="write container or multinode")
        return
    for other, key in kinds.items():
        if other != kind and key in data:
            yield Fault((key,), f'excluded by "type": "{kind}"', hint="remove one of the two")
    if kinds[kind] not in data and "ecsProperties" not in data and "eksProperties" not in data:
        yield Fault((kinds[kind],), f'missing; "type": "{kind}" requires it')


def _container_faults(data: dict[str, Any]) -> Iterator[Fault]:
    for path, container in containers_of(data):
        yield from _carried_faults(path, container)
        yield from _need_faults(path, container)
        yield from _mount_faults(path, container)
        yield from _swap_faults(path, container)
        yield from _limit_faults(path, container)
        if "image" not in container:
            yield Fault((*path, "image"), _REQUIRED)
        for key in ("jobRoleArn", "executionRoleArn"):
            if key in container and not _ROLE.fullmatch(container[key]):
                yield Fault((*path, key), "expected the ARN of an IAM role")


def _carried_faults(path: Path, container: dict[str, Any]) -> Iterator[Fault]:
    """Yields what of a container would get lost on the way to AWS Batch."""
    for key in container:
        if key in _FARGATE:
            yield Fault((*path, key), "for jobs of Fargate only", hint="remove it")
        elif key not in _CONTAINER:
            yield Fault((*path, key), _NOT_CARRIED, hint="remove it")
    for number, volume in enumerate(container.get("volumes", [])):
        for key in sorted(volume.keys() - _VOLUME):
            yield Fault((*path, "volumes", number, key), _NOT_CARRIED, hint="remove it")


def _mount_faults(path: Path, container: dict[str, Any]) -> Iterator[Fault]:
    """Yields mount points without their volume, and volumes that AWS does not mount.

    Amazon ECS refuses the task of a container that mounts another volume: "Unknown volume". AWS
    does not document whether AWS Batch refuses the definition already, or only fails its jobs.

    Sources: https://docs.aws.amazon.com/batch/latest/APIReference/API_Volume.html,
    API_MountPoint.html, API_EFSVolumeConfiguration.html and API_EFSAuthorizationConfig.html there;
    the message in https://github.com/ansible/ansible/issues/35751.
    """
    volumes = container.get("volumes", [])
    names = [each.get("name", "") for each in volumes]
    for number, each in enumerate(volumes):
        place = (*path, "volumes", number)
        if "name" in each and not _VOLUME_NAME.fullmatch(each["name"]):
            yield Fault(
                (*place, "name"), "expected 1 to 255 letters, digits, hyphens and underscores"
            )
        yield from _efs_faults(place, each.get("efsVolumeConfiguration", {}), container)
    for number, each in enumerate(container.get("mountPoints", [])):
        place = (*path, "mountPoints", number, "sourceVolume")
        source = each.get("sourceVolume")
        if source is None:
            yield Fault(place, "missing; it names the volume")
        elif source not in names:
            known = ", ".join(filter(None, names)) or "none"
            yield Fault(
                place,
                f"there is no volume `{source}`",
                hint=f"add it to `volumes` of this container, or name one of these: {known}",
            )


def _efs_faults(place: Path, system: dict[str, Any], container: dict[str, Any]) -> Iterator[Fault]:
    """Yields what excludes or lacks the authorization of an EFS volume."""
    key = "efsVolumeConfiguration"
    access = system.get("authorizationConfig", {})
    by_role = access.get("iam") == "ENABLED"
    point = access.get("accessPointId")
    if (by_role or point) and system.get("transitEncryption") != "ENABLED":
        cause = "`iam`" if by_role else "`accessPointId`"
        yield Fault((*place, key, "transitEncryption"), f"{cause} requires ENABLED")
    if point and system.get("rootDirectory", "/") != "/":
        yield Fault(
            (*place, key, "rootDirectory"),
            "the access point decides what is mounted",
            hint='remove it, or write "/"',
        )
    if by_role and "jobRoleArn" not in container:
        yield Fault(
            (*place, key, "authorizationConfig", "iam"),
            "requires a `jobRoleArn` of the container, as which it mounts the file system",
        )


def _swap_faults(path: Path, container: dict[str, Any]) -> Iterator[Fault]:
    """Yields numbers outside what AWS documents for swap space.

    Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_LinuxParameters.html
    """
    linux = container.get("linuxParameters", {})
    place = (*path, "linuxParameters")
    if linux.get("maxSwap", 0) < 0:
        yield Fault((*place, "maxSwap"), "expected 0 or more")
    if not 0 <= linux.get("swappiness", 0) <= _MOST_SWAPPINESS:
        yield Fault((*place, "swappiness"), f"expected 0 to {_MOST_SWAPPINESS}")


def _need_faults(path: Path, container: dict[str, Any]) -> Iterator[Fault]:
    """Yields what is wrong with the CPUs and the memory that a container asks for."""
    requirements = container.get("resourceRequirements", [])
    for number, each in enumerate(requirements):
        place = (*path, "resourceRequirements", number)
        if each["type"] not in {"GPU", "MEMORY", "VCPU"}:
            yield Fault((*place, "type"), "expected VCPU, MEMORY or GPU")
        elif not _WHOLE.fullmatch(each["value"]):
            yield Fault((*place, "value"), 'expected a whole number in quotes, such as "4"')
        elif each["type"] == "MEMORY" and int(each["value"]) < _LEAST_MEMORY:
            yield Fault((*place, "value"), f"expected at least {_LEAST_MEMORY} MiB")
    listed = {each["type"] for each in requirements}
    if "MEMORY" not in listed and 0 < container.get("memory", 0) < _LEAST_MEMORY:
        yield Fault((*path, "memory"), f"expected at least {_LEAST_MEMORY} MiB")
    for key, kind in (("vcpus", "VCPU"), ("memory", "MEMORY")):
        if kind not in listed and container.get(key, 0) < 1:
            yield Fault(
                (*path, "resourceRequirements"),
                f"no {kind}; AWS Batch requires it",
                hint=f'add {{"type": "{kind}", "value": "…"}}',
            )


def _limit_faults(path: Path, container: dict[str, Any]) -> Iterator[Fault]:
    """Yields what is wrong with limits of processes and with file systems in memory."""
    known = get_args(UlimitName)
    for number, each in enumerate(container.get("ulimits", [])):
        if each["name"] not in known:
            yield Fault(
                (*path, "ulimits", number, "name"),
                f"expected one of {', '.join(known)}",
                hint=did_you_mean(each["name"], known) or "",
            )
    for number, each in enumerate(container.get("linuxParameters", {}).get("tmpfs", [])):
        if each["size"] < 1:
            yield Fault(
                (*path, "linuxParameters", "tmpfs", number, "size"), "expected 1 or more (MiB)"
            )


def _node_faults(nodes: dict[str, Any] | None) -> Iterator[Fault]:
    if nodes is None:
        return
    count, place = nodes["numNodes"], ("nodeProperties", "nodeRangeProperties")
    if not 1 <= count <= _MOST_NODES:
        yield Fault(("nodeProperties", "numNodes"), f"expected 1 to {_MOST_NODES}")
        return
    if not 0 <= nodes["mainNode"] < count:
        yield Fault(("nodeProperties", "mainNode"), f"expected one of the nodes 0 to {count - 1}")
    ranges = nodes["nodeRangeProperties"]
    if not 1 <= len(ranges) <= _MOST_RANGES:
        yield Fault(place, f"expected 1 to {_MOST_RANGES} node ranges")
        return
    covered: set[int] = set()
    sound = True
    for number, each in enumerate(ranges):
        if not any(key in each for key in ("container", "ecsProperties", "eksProperties")):
            yield Fault((*place, number, "container"), _REQUIRED)
        found = _RANGE.fullmatch(each["targetNodes"])
        bounds = (int(found[1] or 0), int(found[2] or count - 1)) if found else (1, 0)
        if not bounds[0] <= bounds[1] < count:
            sound = False
            yield Fault(
                (*place, number, "targetNodes"),
                f"expected a range of the nodes 0 to {count - 1}, such as 0:{count - 1} or 0:",
            )
        else:
            covered.update(range(bounds[0], bounds[1] + 1))
    if sound and len(covered) < count:
        missing = min(set(range(count)) - covered)
        yield Fault(place, f"node {missing} is in no node range")
    yield from _type_faults(ranges)


def _type_faults(ranges: list[dict[str, Any]]) -> Iterator[Fault]:
    """Yields the node ranges with another instance type than the first that names one.

    Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_ContainerProperties.html
    """
    named = [
        (number, each["container"]["instanceType"])
        for number, each in enumerate(ranges)
        if "instanceType" in each.get("container", {})
    ]
    for number, instance in named[1:]:
        if instance != named[0][1]:
            yield Fault(
                ("nodeProperties", "nodeRangeProperties", number, "container", "instanceType"),
                f"{instance} differs from {named[0][1]} in node range {named[0][0]}; AWS Batch "
                "requires the same instance type in all node ranges",
            )


def _policy_faults(data: dict[str, Any]) -> Iterator[Fault]:
    """Yields what is wrong with retries, timeout, priority and tags."""
    yield from _retry_faults(data.get("retryStrategy", {}))
    timeout = data.get("timeout", {})
    if timeout and timeout.get("attemptDurationSeconds", 0) < _LEAST_TIMEOUT:
        yield Fault(
            ("timeout", "attemptDurationSeconds"), f"expected at least {_LEAST_TIMEOUT} seconds"
        )
    priority = data.get("schedulingPriority", 1)
    if priority == 0:
        yield Fault(
            ("schedulingPriority",),
            "0 is not supported by the AWS provider of Terraform, which leaves it out",
            hint="write 1 or more, or remove it and give the priority when you submit",
        )
    elif not 0 < priority <= _MOST_PRIORITY:
        yield Fault(("schedulingPriority",), f"expected 1 to {_MOST_PRIORITY}")
    for key in data.get("tags", {}):
        if key.casefold().startswith("mngen:"):
            yield Fault(
                ("tags", key), "tag keys starting with `mngen:` are reserved", hint="remove it"
            )


def _retry_faults(retries: dict[str, Any]) -> Iterator[Fault]:
    conditions = retries.get("evaluateOnExit", [])
    place = ("retryStrategy", "evaluateOnExit")
    if not 1 <= retries.get("attempts", 1) <= _MOST_ATTEMPTS:
        yield Fault(("retryStrategy", "attempts"), f"expected 1 to {_MOST_ATTEMPTS}")
    if conditions and "attempts" not in retries:
        yield Fault(("retryStrategy", "attempts"), "required beside `evaluateOnExit`")
    if len(conditions) > _MOST_CONDITIONS:
        yield Fault(place, f"AWS Batch takes {_MOST_CONDITIONS} conditions at most")
    for number, each in enumerate(conditions):
        if each["action"].upper() not in {"RETRY", "EXIT"}:
            yield Fault((*place, number, "action"), "expected RETRY or EXIT")
        for key, pattern in _CONDITIONS.items():
            if key in each and not pattern.fullmatch(each[key]):
                taken = "digits" if key == "onExitCode" else "letters, digits, spaces, . and :"
                yield Fault((*place, number, key), f"expected {taken}, and * at the end only")
