"""A job definition as AWS has it, and in what it differs from the spec."""

from __future__ import annotations

from contextlib import suppress
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from mngen.cluster import (
    ECR_IMAGE,
    FINAL_UPLOAD_EXIT_CODE,
    job_variables,
    keys_of_properties,
    repository_name,
    retry_conditions,
    wanted_keys,
)
from mngen.spec import JobFromFile

if TYPE_CHECKING:
    from mypy_boto3_batch.client import BatchClient
    from mypy_boto3_batch.type_defs import JobDefinitionTypeDef
    from mypy_boto3_ecr.client import ECRClient

    from mngen.account._target import Target
    from mngen.cluster import ResolvedJob

EFA_DEVICE = "/dev/infiniband/uverbs"
"""What the paths of the devices of Elastic Fabric Adapters start with."""

SCRATCH_VOLUME = "scratch"
"""The name of the volume of a job's scratch space."""


def newest_definition(batch: BatchClient, name: str) -> JobDefinitionTypeDef | None:
    """Returns the newest active revision of a job definition, or None."""
    pages = batch.get_paginator("describe_job_definitions").paginate(
        jobDefinitionName=name, status="ACTIVE"
    )
    found = [each for page in pages for each in page["jobDefinitions"]]
    return max(found, key=lambda each: each["revision"], default=None)


def containers_of(definition: JobDefinitionTypeDef | None) -> list[dict[str, Any]]:
    """Returns the containers of a job definition, as DescribeJobDefinitions gives them.

    There is one, or that of each node range.
    """
    described: dict[str, Any] = dict(definition or {})
    ranges = described.get("nodeProperties", {}).get("nodeRangeProperties", [])
    containers = [each.get("container", {}) for each in ranges]
    return containers or [described.get("containerProperties") or {}]


def differences_of(target: Target) -> list[str]:
    """Returns the keys of the spec's job in which the definition of the account differs.

    A definition from a file is registered by Terraform alone, which compares it.
    """
    if isinstance(target.intent.job.spec, JobFromFile):
        return []
    job, definition = target.intent.job, dict[str, Any](target.definition or {})
    properties = definition.get("nodeProperties", {})
    targets = [each["targetNodes"] for each in properties.get("nodeRangeProperties", [])]
    pairs: dict[str, tuple[Any, Any]] = {
        "nodes": (job.spec.nodes, properties.get("numNodes")),
        "attempts": (job.spec.attempts, definition.get("retryStrategy", {}).get("attempts", 1)),
        "timeout": (
            job.spec.timeout,
            definition.get("timeout", {}).get("attemptDurationSeconds"),
        ),
    }
    if job.spec.retry is not None or not job.spec.protect:
        # Terraform leaves the conditions of a protected definition as they are.
        wanted = retry_conditions(job.spec.retry, uploads=job.spec.outputs is not None)
        pairs["retry"] = (_comparable(wanted), _retried(definition))
    elif target.account.cluster.spec.storage.bucket and job.spec.outputs and job.spec.attempts > 1:
        # One without the condition would compute everything again if the upload alone has failed.
        pairs["retry"] = (True, _ends_after_upload(definition))
    found = [name for name, (here, there) in pairs.items() if here != there]
    if job.groups and targets != [part.target for part in job.groups]:
        return ["groups", *found]
    # Of a job without groups, the first range stands for all that a script may have made.
    of_parts = [
        name
        for part, container in zip(job.parts, target.containers, strict=False)
        for name, (wanted, there) in _pairs(target, part, container).items()
        if wanted != there
    ]
    return list(dict.fromkeys([*of_parts, *found]))


def _ends_after_upload(definition: dict[str, Any]) -> bool:
    """Returns whether a job whose outputs alone could not be uploaded is not tried again.

    The first condition decides all of whose patterns match. Of the reasons, which are not known
    here, `*` alone does for sure.
    Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_EvaluateOnExit.html
    """
    for each in _retried(definition):
        code = fnmatchcase(str(FINAL_UPLOAD_EXIT_CODE), each.get("onExitCode", "*"))
        if code and all(each.get(key, "*") == "*" for key in ("onReason", "onStatusReason")):
            return each["action"] == "EXIT"
    return False


def _retried(definition: dict[str, Any]) -> list[dict[str, str]]:
    return _comparable(definition.get("retryStrategy", {}).get("evaluateOnExit", []))


def _comparable(conditions: list[dict[str, str]]) -> list[dict[str, str]]:
    """Returns conditions with their actions in upper case, as not all that registers writes it."""
    return [{**each, "action": each["action"].upper()} for each in conditions]


def _pairs(
    target: Target, part: ResolvedJob, container: dict[str, Any]
) -> dict[str, tuple[Any, Any]]:
    """Returns what the spec asks for of a container, and what it has, by the keys of the job."""
    spec = target.account.cluster.spec
    needs = {each["type"]: each["value"] for each in container.get("resourceRequirements", [])}
    own = {each["name"]: each["value"] for each in container.get("environment", [])}
    image = str(container.get("image", ""))
    found = keys_of_properties(part.spec, container)
    return {
        "command": (list(part.spec.command), list(container.get("command", []))),
        "vcpus": (str(part.vcpus), needs.get("VCPU")),
        "memory": (str(part.memory), needs.get("MEMORY")),
        "gpus": (str(part.gpus), needs.get("GPU", "0")),
        "environment": (environment_wanted(target, part), own),
        "image": (image_wanted(target, part), image),
        "efa": (part.efa_interfaces, _efa_devices(container)),
        "scratch": (part.scratch, _scratch(container)),
        "shared_memory": (
            part.shared_memory,
            container.get("linuxParameters", {}).get("sharedMemorySize", part.shared_memory),
        ),
        **{key: (wanted, found[key]) for key, wanted in wanted_keys(spec, part).items()},
    }


def _efa_devices(container: dict[str, Any]) -> int:
    devices = container.get("linuxParameters", {}).get("devices", [])
    return sum(each["hostPath"].startswith(EFA_DEVICE) for each in devices)


def _scratch(container: dict[str, Any]) -> str | None:
    """Returns the path of the scratch space that a container mounts; None for none."""
    volumes = {each.get("name"): each for each in container.get("volumes", [])}
    path = volumes.get(SCRATCH_VOLUME, {}).get("host", {}).get("sourcePath")
    return str(path) if path else None


def environment_wanted(target: Target, part: ResolvedJob) -> dict[str, str]:
    """Returns the variables that the spec gives to a part of the job it is about.

    Batch drops those without a value.
    """
    variables = job_variables(target.account.cluster.spec, part)
    return {name: value for name, value in variables.items() if value}


def image_wanted(target: Target, part: ResolvedJob) -> str:
    """Returns the container image that the spec names for a part of the job it is about.

    The address of the deployment's own repository is the account's: it is that of the definition.
    Where that one names the image by its digest, so does this, as long as the spec's tag is there.
    """
    spec = target.account.cluster.spec
    named = part.spec.image or spec.container.image
    if named:
        return named
    images = [str(each.get("image", "")) for each in target.containers]
    own = f"/{repository_name(spec)}"
    image = next((each for each in images if own in each), images[0])
    repository = f"{image.partition('/')[0]}/{repository_name(spec)}"
    found = ECR_IMAGE.fullmatch(image)
    if found is not None and found["digest"]:
        client: ECRClient = target.account.client("ecr", found["region"])
        missing = (
            client.exceptions.ImageNotFoundException,
            client.exceptions.RepositoryNotFoundException,
        )
        with suppress(*missing):
            details = client.describe_images(
                registryId=found["account"],
                repositoryName=repository_name(spec),
                imageIds=[{"imageTag": spec.container.tag}],
            )["imageDetails"]
            return f"{repository}@{details[0]['imageDigest']}"
    return f"{repository}:{spec.container.tag}"
