"""SubmitJob of the emulated Batch: the refusals are AWS's, and the overrides take effect.

moto takes any request, ignores `nodeOverrides` and runs a Docker container.
Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_SubmitJob.html; the messages about
node ranges: https://github.com/aws/aws-parallelcluster/pull/964,
https://github.com/aws/aws-cdk/issues/29415; about too many dependencies:
https://github.com/OpenNeuroOrg/openneuro/issues/100; about the size of a request:
https://github.com/ASFHyP3/hyp3/issues/3041.

Inferred, since no public source shows it: that a dependency of which Batch has no record is
refused, and in which words; that SubmitJob itself refuses an empty word of a command, which
API_ContainerOverrides does not allow, and in which words; that an empty variable is ignored here as
it is in job definitions.
"""

from __future__ import annotations

import copy
import json
import math
import re
import uuid
from typing import TYPE_CHECKING, Any

from moto.batch.exceptions import ClientException
from moto.batch.utils import make_arn_for_job

from mngen.sandbox.batch._array import add_children, check_array
from mngen.sandbox.batch._clock import clock_of
from mngen.sandbox.batch._definitions import check_needs, check_retries
from mngen.sandbox.batch._job import Job, Jobs, Script
from mngen.sandbox.batch._overrides import submitted_length

if TYPE_CHECKING:
    from moto.batch.models import JobDefinition, JobQueue

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_MAX_DEPENDENCIES = 20
_MAX_NODES = 1000
_MAX_PAYLOAD = 30 * 1024
_MAX_TAGS = 50
_MAX_ATTEMPTS = 10
_MIN_TIMEOUT = 60

# What a job's environment may ask of the emulator in place of an application.
_SECONDS = "MNGEN_SANDBOX_SECONDS"
_EXIT = "MNGEN_SANDBOX_EXIT"
_HOLD = "MNGEN_SANDBOX_HOLD"


def submit(backend: Any, body: str, jobs: Jobs, seconds: float) -> Job:
    """Submits a job from a SubmitJob request; an array with its children.

    Args:
        backend: The Batch of an account and region.
        body: The request.
        jobs: The jobs so far, by id; the new one is added.
        seconds: How long a job runs whose environment does not set it.

    Raises:
        ClientException: Batch would refuse the request.
    """
    if len(body.encode()) > _MAX_PAYLOAD:
        size = math.ceil(len(body.encode()) / 1024)
        raise ClientException(f"Job size must be less than 30 KiB, got {size} KiB")
    request = json.loads(body)
    if not _NAME.fullmatch(request.get("jobName") or ""):
        raise ClientException("Job name should match valid pattern")
    queue = _queue(backend, request.get("jobQueue") or "")
    definition = _definition(backend, request.get("jobDefinition") or "")
    _check_share(queue, definition, request)
    _check_limits(request)
    check_array(request, jobs, multi_node=definition.type == "multinode")
    containers, main = _containers(definition, request)
    identifier = str(uuid.uuid4())
    job = Job(
        id=identifier,
        name=request["jobName"],
        arn=make_arn_for_job(backend.account_id, identifier, backend.region_name),
        queue=queue,
        definition=definition,
        request=request,
        containers=containers,
        main=main,
        multi_node=definition.type == "multinode",
        created=clock_of(backend).now(),
        script=_script(containers[main], seconds),
        depends_on=request.get("dependsOn") or [],
        overridden=submitted_length(request),
    )
    add_children(job, (request.get("arrayProperties") or {}).get("size") or 0)
    # The state of an array follows from its children's, which come first.
    for each in (*job.children, job):
        jobs[each.id] = each
    backend.tag_resource(job.arn, request.get("tags") or {})
    return job


def _queue(backend: Any, name: str) -> JobQueue:
    queue: JobQueue | None = backend.get_job_queue(name)
    if queue is None:
        raise ClientException(f"Job queue {name} does not exist")
    if queue.state != "ENABLED":
        raise ClientException(f"Job queue {queue.arn} is not in ENABLED state")
    return queue


def _definition(backend: Any, name: str) -> JobDefinition:
    """Returns the revision that is named, or the newest active one."""
    wanted = name.rpartition("/")[2]
    found: list[JobDefinition] = [
        each
        for each in backend.definitions.values()
        if each.status == "ACTIVE" and wanted in (each.name, f"{each.name}:{each.revision}")
    ]
    if not found:
        raise ClientException(f"JobDefinition {name} does not exist or is not active")
    return max(found, key=lambda each: each.revision)


def _check_share(queue: Any, definition: Any, request: dict[str, Any]) -> None:
    """Demands a share where the queue has a scheduling policy, and refuses it elsewhere.

    A submission to a queue in FIFO order can name neither a share nor a priority; that of a job
    definition has no effect there. Source:
    https://docs.aws.amazon.com/batch/latest/userguide/job_scheduling.html,
    https://docs.aws.amazon.com/batch/latest/APIReference/API_RegisterJobDefinition.html
    (schedulingPriority); of the last message: https://github.com/nextflow-io/nextflow/pull/3505
    """
    share, override = request.get("shareIdentifier"), request.get("schedulingPriorityOverride")
    if not queue.schedule_policy:
        if share or override is not None:
            raise ClientException(
                "Job with shareIdentifier or schedulingPriority can only be submitted to job queue "
                "with fair share scheduling policy."
            )
        return
    if not share:
        raise ClientException(
            "shareIdentifier must be specified: the job queue has a scheduling policy"
        )
    if override is None and getattr(definition, "scheduling_priority", None) is None:
        raise ClientException(
            "Either schedulingPriority in job definition or schedulingPriorityOverride should be "
            "specified."
        )


def _check_limits(request: dict[str, Any]) -> None:
    if len(request.get("dependsOn") or []) > _MAX_DEPENDENCIES:
        raise ClientException(f"Job cannot have more than {_MAX_DEPENDENCIES} dependencies")
    if len(request.get("tags") or {}) > _MAX_TAGS:
        raise ClientException(f"A job can have at most {_MAX_TAGS} tags")
    check_retries(request.get("retryStrategy"))
    attempts = (request.get("retryStrategy") or {}).get("attempts")
    if attempts is not None and not 1 <= attempts <= _MAX_ATTEMPTS:
        raise ClientException(f"Job attempts must be between 1 and {_MAX_ATTEMPTS}")
    timeout = (request.get("timeout") or {}).get("attemptDurationSeconds")
    if timeout is not None and timeout < _MIN_TIMEOUT:
        raise ClientException(f"attemptDurationSeconds must be at least {_MIN_TIMEOUT}")


def _containers(
    definition: JobDefinition, request: dict[str, Any]
) -> tuple[list[dict[str, Any]], int]:
    """Returns what each node runs, and which is the main node."""
    if definition.type != "multinode":
        if request.get("nodeOverrides"):
            raise ClientException("nodeOverrides are for multi-node parallel jobs alone")
        overrides = request.get("containerOverrides") or {}
        return [_overridden(definition.container_properties or {}, overrides)], 0
    if request.get("containerOverrides"):
        raise ClientException("containerOverrides cannot be set for a multi-node parallel job")
    overrides = request.get("nodeOverrides") or {}
    properties: dict[str, Any] = definition.node_properties or {}
    count = int(overrides.get("numNodes") or properties["numNodes"])
    main = int(properties["mainNode"])
    ranges = [_range(each) for each in properties["nodeRangeProperties"]]
    if overrides.get("numNodes"):
        _check_count(count, main, ranges)
    containers: list[dict[str, Any]] = [{} for _ in range(count)]
    for (first, last), each in zip(ranges, properties["nodeRangeProperties"], strict=True):
        for node in range(first, (count if last is None else min(last + 1, count))):
            containers[node] = copy.deepcopy(each["container"])
    for each in overrides.get("nodePropertyOverrides") or []:
        first, last = _range(each)
        if (first, last) not in ranges:
            raise ClientException(
                "NodeOverride targets should match job definition. Non matching targets - "
                f"{each['targetNodes']}"
            )
        for node in range(first, count if last is None else last + 1):
            containers[node] = _overridden(containers[node], each.get("containerOverrides") or {})
    return containers, main


def _range(each: dict[str, Any]) -> tuple[int, int | None]:
    match = re.fullmatch(r"(\d*):(\d*)", each.get("targetNodes", ""))
    if match is None:
        raise ClientException(f"targetNodes {each.get('targetNodes')!r} is not a node range")
    return int(match[1] or 0), int(match[2]) if match[2] else None


def _check_count(count: int, main: int, ranges: list[tuple[int, int | None]]) -> None:
    """Refuses another number of nodes where the definition leaves no room for it."""
    if not 1 <= count <= _MAX_NODES:
        raise ClientException(f"numNodes must be between 1 and {_MAX_NODES}")
    if all(last is not None for _, last in ranges):
        raise ClientException(
            "NumNodes override can only be applied if the job definition has at least 1 target "
            "node without a range_end i.e (:) or (range_start:)."
        )
    if any(first >= count for first, _ in ranges):
        raise ClientException("numNodes must be greater than the lower boundary of every range")
    if main >= count:
        raise ClientException("numNodes must be greater than the index of the main node")


def _overridden(container: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    if any(not word for word in overrides.get("command") or []):
        raise ClientException("Container command cannot contain an empty string")
    result = copy.deepcopy(container)
    if overrides.get("command"):
        result["command"] = overrides["command"]
    variables = {each["name"]: each["value"] for each in result.get("environment") or []}
    for each in overrides.get("environment") or []:
        if each["name"].startswith("AWS_BATCH"):
            raise ClientException("Environment variables cannot start with AWS_BATCH")
        if each.get("value"):
            variables[each["name"]] = each["value"]
    result["environment"] = [{"name": name, "value": value} for name, value in variables.items()]
    needs = {each["type"]: each["value"] for each in result.get("resourceRequirements") or []}
    check_needs(overrides.get("resourceRequirements") or [])
    for each in overrides.get("resourceRequirements") or []:
        needs[each["type"]] = each["value"]
    result["resourceRequirements"] = [
        {"type": kind, "value": value} for kind, value in sorted(needs.items())
    ]
    return result


def _script(container: dict[str, Any], seconds: float) -> Script:
    said = {each["name"]: each["value"] for each in container.get("environment") or []}
    return Script(
        hold=said.get(_HOLD) or None,
        seconds=float(said.get(_SECONDS) or seconds),
        exits=tuple(int(code) for code in (said.get(_EXIT) or "0").split(",")),
    )
