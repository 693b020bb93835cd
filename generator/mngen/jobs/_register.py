"""A revision of a job definition that matches the spec, made from the newest one.

What the spec does not know (the job role, other mounts, the log driver) stays as Terraform made it.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from mngen.account import (
    EFA_DEVICE,
    SCRATCH_VOLUME,
    Target,
    differences_of,
    environment_wanted,
    image_wanted,
)
from mngen.cluster import (
    ECR_IMAGE,
    GROUP_VARIABLE,
    apply_properties,
    definition_name,
    has_secrets,
)
from mngen.errors import InputError, Problem
from mngen.jobs._request import retry_strategy

if TYPE_CHECKING:
    from mypy_boto3_batch.type_defs import JobDefinitionTypeDef

    from mngen.cluster import ResolvedJob

_SENT = (
    "jobDefinitionName",
    "type",
    "parameters",
    "schedulingPriority",
    "containerProperties",
    "nodeProperties",
    "retryStrategy",
    "propagateTags",
    "timeout",
    "tags",
    "platformCapabilities",
)
_EXECUTION_ROLE = "executionRoleArn"


def revision_wanted(target: Target) -> JobDefinitionTypeDef | None:
    """Returns the newest revision, changed to match the spec.

    Args:
        target: A submission with the newest revision.

    Returns:
        The definition as DescribeJobDefinitions would give it; the newest one itself where nothing
        is to be changed, or where it is for one node and the spec has node groups, which MN307
        reports; None where there is none to start from.

    Raises:
        InputError: Terraform has yet to give a container the role that reads its secrets, or the
            newest revision has properties of ECS tasks or of Kubernetes.
    """
    if target.definition is None or not differences_of(target):
        return target.definition
    _require_one_container(target.definition)
    wanted: Any = copy.deepcopy(target.definition)
    job = target.intent.job
    ranges = _ranges_wanted(target, wanted)
    if job.groups and not ranges:
        return target.definition
    containers = [each["container"] for each in ranges] or [wanted["containerProperties"]]
    parts = job.groups or (job,) * len(containers)
    for part, container in zip(parts, containers, strict=True):
        container["command"] = list(part.spec.command)
        container["image"] = image_wanted(target, part)
        container["environment"] = [
            {"name": name, "value": value}
            for name, value in environment_wanted(target, part).items()
        ]
        container["resourceRequirements"] = [
            *(
                each
                for each in container.get("resourceRequirements", [])
                if each["type"] not in ("GPU", "MEMORY", "VCPU")
            ),
            *([{"type": "GPU", "value": str(part.gpus)}] if part.gpus else []),
            {"type": "MEMORY", "value": str(part.memory)},
            {"type": "VCPU", "value": str(part.vcpus)},
        ]
        container.setdefault("linuxParameters", {})["sharedMemorySize"] = part.shared_memory
        fit_to_nodes(container, part)
        apply_properties(target.account.cluster.spec, part, container)
        _give_execution_role(target, part, container)
    if ranges and job.spec.nodes is not None:
        wanted["nodeProperties"]["numNodes"] = job.spec.nodes
    wanted["retryStrategy"] = retry_strategy(job.spec.attempts, job.spec)
    wanted["timeout"] = {"attemptDurationSeconds": job.spec.timeout}
    revised: JobDefinitionTypeDef = wanted
    return revised


def _require_one_container(definition: JobDefinitionTypeDef) -> None:
    """Refuses a revision that describes ECS tasks or pods in place of containers.

    Terraform makes none such; someone else has registered it since.
    """
    described: dict[str, Any] = dict(definition)
    ranges = described.get("nodeProperties", {}).get("nodeRangeProperties", [])
    owners, key = (ranges, "container") if ranges else ([described], "containerProperties")
    other = next((each for each in owners if each.get(key) is None), None)
    if other is None:
        return
    found = next((name for name in ("ecsProperties", "eksProperties") if name in other), None)
    name = f"{described['jobDefinitionName']}:{described['revision']}"
    has = f"has `{found}`" if found else f"has no `{key}`"
    raise InputError(
        Problem(
            f"{name}, the newest revision of the job definition in AWS, {has}, and cannot be "
            "changed to match the spec",
            hint=f"deregister it: `aws batch deregister-job-definition --job-definition {name}`",
        )
    )


def _ranges_wanted(target: Target, wanted: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the node ranges of a definition, changed to those of the job's node groups.

    A group that the definition does not have yet begins as the first of its ranges.

    Args:
        target: A submission with the newest revision.
        wanted: That revision, which is changed; one of a single node has no ranges.
    """
    ranges: list[dict[str, Any]] = wanted.get("nodeProperties", {}).get("nodeRangeProperties", [])
    job = target.intent.job
    of_groups = any(
        each["name"] == GROUP_VARIABLE
        for container in target.containers
        for each in container.get("environment", [])
    )
    if not ranges or not (job.groups or of_groups):
        return ranges
    known = {each["targetNodes"]: each for each in ranges}
    name = definition_name(target.account.cluster.spec, job.name)
    found = []
    for part in job.parts:
        each = copy.deepcopy(known.get(part.target, ranges[0]))
        if part.target not in known:
            # With it the agent could pull the images of containers with secrets alone.
            each["container"].pop(_EXECUTION_ROLE, None)
        each["targetNodes"] = part.target
        options = each["container"].get("logConfiguration", {}).get("options", {})
        if "awslogs-stream-prefix" in options:
            options["awslogs-stream-prefix"] = f"{name}/{part.group}" if part.group else name
        found.append(each)
    wanted["nodeProperties"]["nodeRangeProperties"] = found
    return found


def _give_execution_role(target: Target, part: ResolvedJob, container: dict[str, Any]) -> None:
    """Gives a container with secrets a role that may read them, unless it has one.

    Terraform's role may read what containers needed at the last apply: another container has it
    for the same secrets and repository, or it is not known to be enough.

    Args:
        target: A submission with the newest revision.
        part: The part of the job that the container is of.
        container: Its properties, which are changed.

    Raises:
        InputError: There is no such role.
    """
    spec = target.account.cluster.spec
    if not has_secrets(spec, part.spec) or container.get(_EXECUTION_ROLE):
        return
    named = spec.roles.execution
    roles = [
        str(each[_EXECUTION_ROLE])
        for each in target.containers
        if each.get(_EXECUTION_ROLE) and _needs(container) <= _needs(each)
    ]
    if named == "create" and not roles:
        of_group = f" of the node group `{part.group}`" if part.group else ""
        raise InputError(
            Problem(
                f"the job definition in AWS has no execution role for the secrets{of_group} of the "
                f"job `{part.name}`",
                hint="apply the spec: `mngen apply`",
            )
        )
    container[_EXECUTION_ROLE] = roles[0] if named == "create" else named


def _needs(container: dict[str, Any]) -> set[str]:
    """Returns what an execution role must allow for a container: secrets and a repository."""
    found = {str(each["valueFrom"]) for each in container.get("secrets") or []}
    found |= set((container.get("repositoryCredentials") or {}).values())
    image = ECR_IMAGE.fullmatch(str(container.get("image", "")))
    return found | ({"/".join(image.group("account", "region", "repository"))} if image else set())


def fit_to_nodes(container: dict[str, Any], job: ResolvedJob) -> None:
    """Gives a container what follows from the nodes of its queue, as the rendered module does.

    These are the EFA devices and the scratch space. Other devices and mounts stay.

    Args:
        container: Its properties, which are changed.
        job: The job of the spec.
    """
    parameters = container.setdefault("linuxParameters", {})
    devices = [
        {"hostPath": path, "containerPath": path, "permissions": ["READ", "WRITE", "MKNOD"]}
        for path in (f"{EFA_DEVICE}{index}" for index in range(job.efa_interfaces))
    ]
    devices += [
        each
        for each in parameters.pop("devices", [])
        if not each["hostPath"].startswith(EFA_DEVICE)
    ]
    if devices:
        parameters["devices"] = devices
    for key, name in (("volumes", "name"), ("mountPoints", "sourceVolume")):
        kept = [each for each in container.get(key, []) if each.get(name) != SCRATCH_VOLUME]
        if kept or key in container:
            container[key] = kept
    if job.scratch is not None:
        container.setdefault("volumes", []).append(
            {"name": SCRATCH_VOLUME, "host": {"sourcePath": job.scratch}}
        )
        container.setdefault("mountPoints", []).append(
            {
                "containerPath": job.scratch,
                "readOnly": False,
                "sourceVolume": SCRATCH_VOLUME,
            }
        )


def register(target: Target, wanted: JobDefinitionTypeDef) -> str:
    """Registers a revision, and returns its ARN; that of the newest one if it is the same.

    So a registration that was followed by no submission is not made again.
    """
    if wanted == target.definition:
        return wanted["jobDefinitionArn"]
    described: dict[str, Any] = dict(wanted)
    arguments: Any = {key: described[key] for key in _SENT if described.get(key)}
    return target.batch.register_job_definition(**arguments)["jobDefinitionArn"]
