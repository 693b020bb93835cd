"""Job queues and job definitions of the emulated Batch, kept and described as Batch does."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

from moto.batch.exceptions import ClientException
from moto.batch.models import JobDefinition, JobQueue

from mngen.sandbox.batch import _reasons as reasons
from mngen.sandbox.batch._environments import check_name, check_state
from mngen.sandbox.batch._shares import check_policy

if TYPE_CHECKING:
    from moto.batch.models import ComputeEnvironment

_MAX_ENVIRONMENTS = 3
_LIMITED_REASONS = (reasons.NO_CAPACITY, reasons.MAX_RESOURCE, reasons.JOB_RESOURCE)
_LIMIT_SECONDS = range(600, 86_400 + 1)
_MAX_NODES = 1000
_MAX_NODE_RANGES = 5
_MAX_CONDITIONS = 5
# Letters, digits, periods, colons and white space; `Host EC2 (instance …)` is met by its beginning.
_CONDITIONS = {
    "onExitCode": r"[0-9]{0,511}\*?",
    "onReason": r"[A-Za-z0-9.:\s]{0,511}\*?",
    "onStatusReason": r"[A-Za-z0-9.:\s]{0,511}\*?",
}
_ULIMITS = (
    *("core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc"),
    *("rss", "rtprio", "rttime", "sigpending", "stack"),
)
_CONTAINER_LISTS = (
    "command",
    "environment",
    "mountPoints",
    "resourceRequirements",
    "secrets",
    "ulimits",
    "volumes",
)


def create_queue(backend: Any, request: dict[str, Any]) -> JobQueue:
    """Creates a job queue from a CreateJobQueue request.

    Raises:
        ClientException: Batch would refuse the request.
    """
    name = request.get("jobQueueName") or ""
    check_name("jobQueueName", name)
    state = request.get("state") or "ENABLED"
    check_state(state)
    if request.get("priority") is None:
        raise ClientException("priority must be provided")
    if backend.get_job_queue_by_name(name) is not None:
        raise ClientException("Object already exists")
    _check_time_limits(request)
    check_policy(backend, request.get("schedulingPolicyArn"))
    environments, order = _resolve_order(backend, request.get("computeEnvironmentOrder") or [])
    # The type checker takes moto's models for abstract; moto makes them in the same way.
    make_queue: Any = JobQueue
    queue: JobQueue = make_queue(
        name,
        request["priority"],
        state,
        environments,
        order,
        schedule_policy=request.get("schedulingPolicyArn"),
        backend=backend,
        tags=request.get("tags"),
    )
    extra: Any = queue
    extra.time_limit_actions = request.get("jobStateTimeLimitActions") or []
    backend.queues[queue.arn] = queue
    return queue


def update_queue(backend: Any, request: dict[str, Any]) -> JobQueue:
    """Changes a job queue as UpdateJobQueue asks.

    Raises:
        ClientException: Batch would refuse the request.
    """
    queue: Any = backend.get_job_queue(request.get("jobQueue"))
    if queue is None:
        raise ClientException(f"Job queue {request.get('jobQueue')} does not exist")
    check_state(request.get("state"))
    _check_time_limits(request)
    order = request.get("computeEnvironmentOrder")
    if order is not None:
        queue.environments, queue.env_order_json = _resolve_order(backend, order)
    queue.state = request.get("state") or queue.state
    if request.get("priority") is not None:
        queue.priority = request["priority"]
    if request.get("schedulingPolicyArn"):
        # https://docs.aws.amazon.com/batch/latest/APIReference/API_CreateJobQueue.html
        if not queue.schedule_policy:
            raise ClientException("A scheduling policy cannot be added to a FIFO job queue")
        check_policy(backend, request["schedulingPolicyArn"])
        queue.schedule_policy = request["schedulingPolicyArn"]
    if request.get("jobStateTimeLimitActions") is not None:
        queue.time_limit_actions = request["jobStateTimeLimitActions"]
    updated: JobQueue = queue
    return updated


def describe_queue(queue: JobQueue) -> dict[str, Any]:
    """Returns the structure that DescribeJobQueues holds."""
    extra: Any = queue
    described = {
        **queue.describe(),
        "statusReason": "JobQueue Healthy",
        "jobStateTimeLimitActions": extra.time_limit_actions,
    }
    return {key: value for key, value in described.items() if value is not None}


_RESOURCES = ("GPU", "MEMORY", "VCPU")
"""The types of `resourceRequirements`."""


def check_needs(needs: list[dict[str, Any]]) -> None:
    """Refuses resource requirements that Batch refuses; GPUs are counted in whole ones.

    Its answer to no GPU was reported with `GPU` and `0`, that to a number with a point with `VCPU`
    and `1.0`: the same message for GPUs is inferred, and so is that for another type.
    Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_ResourceRequirement.html,
    https://github.com/nrdg/cloudknot/issues/301,
    https://github.com/kestra-io/plugin-aws/issues/504

    Raises:
        ClientException: Another type of resource, or a part of a GPU, or none.
    """
    for each in needs:
        kind, value = each["type"], str(each["value"])
        if kind not in _RESOURCES:
            raise ClientException(f"Resource type must be one of {' | '.join(_RESOURCES)}")
        if kind == "GPU" and not re.fullmatch("-?[0-9]+", value):
            raise ClientException(
                f"Error executing request, Exception : Value {value} for type {kind} in "
                "resourceRequirement is not valid. Please provide a numeric value."
            )
        if kind == "GPU" and int(value) < 1:
            raise ClientException(
                "Error executing request, Exception : GPU in resourceRequirement must be at least "
                f"1, got {value}."
            )


def check_container(container: dict[str, Any]) -> None:
    """Refuses a container whose task Amazon ECS would refuse.

    The messages about volumes, secrets and tmpfs are those of RegisterTaskDefinition, which Batch
    calls for a job. Its documentation does not show whether Batch refuses the job definition
    already, as it is done here, or lets the job fail. It lists the names of limits.
    Source: https://github.com/ansible/ansible/issues/35751 (volume),
    https://github.com/fabfuel/ecs-deploy/issues/87 (secrets),
    https://github.com/aws/amazon-ecs-agent/issues/2226 (tmpfs),
    https://docs.aws.amazon.com/batch/latest/APIReference/API_Ulimit.html, and for EFS
    https://docs.aws.amazon.com/batch/latest/APIReference/API_EFSAuthorizationConfig.html

    Raises:
        ClientException: It mounts a volume that it does not have, has secrets and no execution
            role, an unknown limit, a tmpfs without a size, or authorization for EFS without what
            that requires.
    """
    volumes = container.get("volumes") or []
    names = [each.get("name") for each in volumes]
    for each in container.get("mountPoints") or []:
        if each.get("sourceVolume") not in names:
            raise ClientException(f"Unknown volume '{each.get('sourceVolume', 'null')}'.")
    if container.get("secrets") and not container.get("executionRoleArn"):
        raise ClientException(
            "When you are specifying container secrets, you must also specify a value for "
            "'executionRoleArn'."
        )
    for limit in container.get("ulimits") or []:
        if limit.get("name") not in _ULIMITS:
            raise ClientException(f"ulimit name must be one of {' | '.join(_ULIMITS)}")
    for files in (container.get("linuxParameters") or {}).get("tmpfs") or []:
        if int(files.get("size") or 0) < 1:
            raise ClientException(
                "The container has an invalid tmpfs size value specified. It must be a non-zero, "
                "non-negative integer."
            )
    for each in volumes:
        _check_efs(each.get("efsVolumeConfiguration") or {}, container)


def _check_efs(system: dict[str, Any], container: dict[str, Any]) -> None:
    access = system.get("authorizationConfig") or {}
    by_role = access.get("iam") == "ENABLED"
    if not by_role and not access.get("accessPointId"):
        return
    if system.get("transitEncryption") != "ENABLED":
        raise ClientException("EFS authorization requires transitEncryption ENABLED")
    if by_role and not container.get("jobRoleArn"):
        raise ClientException("EFS IAM authorization requires a jobRoleArn")
    if access.get("accessPointId") and system.get("rootDirectory", "/") != "/":
        raise ClientException("rootDirectory must be / with an EFS access point")


def register_definition(backend: Any, request: dict[str, Any]) -> JobDefinition:
    """Registers the next revision of a job definition.

    Raises:
        ClientException: Batch would refuse the request.
    """
    name = request.get("jobDefinitionName") or ""
    check_name("jobDefinitionName", name)
    nodes = copy.deepcopy(request.get("nodeProperties"))
    if request.get("type") == "multinode":
        _check_nodes(nodes)
    ranges = (nodes or {}).get("nodeRangeProperties", [])
    containers = [each["container"] for each in ranges if "container" in each]
    for each in [request.get("containerProperties") or {}, *containers]:
        check_needs(each.get("resourceRequirements") or [])
        check_container(each)
    for each in containers:
        _complete_container(each)
    before = backend.get_job_definition_by_name(name)
    make_definition: Any = JobDefinition
    definition: JobDefinition = make_definition(
        name,
        request.get("parameters"),
        request.get("type", ""),
        copy.deepcopy(request.get("containerProperties")),
        node_properties=nodes,
        eks_properties=copy.deepcopy(request.get("eksProperties")),
        tags=request.get("tags") or {},
        retry_strategy=_retry_strategy(request.get("retryStrategy")),
        timeout=request.get("timeout") or {},
        backend=backend,
        platform_capabilities=request.get("platformCapabilities") or [],
        propagate_tags=bool(request.get("propagateTags")),
        revision=before.revision if before else 0,
    )
    extra: Any = definition
    extra.scheduling_priority = request.get("schedulingPriority")
    backend.definitions[definition.arn] = definition
    return definition


def describe_definition(definition: JobDefinition) -> dict[str, Any]:
    """Returns the structure that DescribeJobDefinitions holds, without what was never sent."""
    extra: Any = definition
    described = {
        **definition.describe(),
        "containerOrchestrationType": "ECS",
        "nodeProperties": definition.node_properties,
        "schedulingPriority": extra.scheduling_priority,
    }
    return {key: value for key, value in described.items() if value is not None}


def _check_time_limits(request: dict[str, Any]) -> None:
    """Refuses actions on jobs that wait for too long which Batch does not document.

    AWS's guide names three reasons; a copy for the European Sovereign Cloud also has
    EC2_INSTANCE_CONFIGURATION_UNSUPPORTED. Whether Batch refuses others is not documented: nothing
    shall rely on them.
    Source: https://docs.aws.amazon.com/batch/latest/userguide/job_stuck_in_runnable_time_limit_actions.html,
    https://docs.aws.amazon.com/batch/latest/APIReference/API_JobStateTimeLimitAction.html
    """
    for each in request.get("jobStateTimeLimitActions") or []:
        if each.get("reason") not in _LIMITED_REASONS:
            raise ClientException(f"reason {each.get('reason')} is not supported")
        if each.get("state") != "RUNNABLE" or each.get("action") != "CANCEL":
            raise ClientException("state must be RUNNABLE and action must be CANCEL")
        if each.get("maxTimeSeconds") not in _LIMIT_SECONDS:
            raise ClientException("maxTimeSeconds must be between 600 and 86400")


def _resolve_order(
    backend: Any, order: list[dict[str, Any]]
) -> tuple[list[ComputeEnvironment], list[dict[str, Any]]]:
    """Resolves a queue's order to environments; refuses more than three and unknown ones."""
    if not order:
        raise ClientException("At least 1 compute environment must be provided")
    if len(order) > _MAX_ENVIRONMENTS:
        raise ClientException(
            "Error executing request, Exception : the number of compute environments in a job "
            f"queue must not exceed {_MAX_ENVIRONMENTS}"
        )
    environments, resolved = [], []
    for item in sorted(order, key=lambda entry: int(entry["order"])):
        environment = backend.get_compute_environment(item["computeEnvironment"])
        if environment is None:
            raise ClientException(f"{item['computeEnvironment']} does not exist")
        if environment in environments:
            raise ClientException(f"{item['computeEnvironment']} is named more than once")
        environments.append(environment)
        resolved.append({"order": item["order"], "computeEnvironment": environment.arn})
    return environments, resolved


def _check_nodes(nodes: dict[str, Any] | None) -> None:
    """Refuses node properties that Batch refuses."""
    if not nodes or not nodes.get("nodeRangeProperties"):
        raise ClientException("nodeProperties must be provided for a multinode job definition")
    count, main = int(nodes.get("numNodes", 0)), int(nodes.get("mainNode", 0))
    if not 1 <= count <= _MAX_NODES:
        raise ClientException(f"numNodes must be between 1 and {_MAX_NODES}")
    if not 0 <= main < count:
        raise ClientException("mainNode must be less than numNodes")
    ranges = nodes["nodeRangeProperties"]
    if len(ranges) > _MAX_NODE_RANGES:
        raise ClientException(f"at most {_MAX_NODE_RANGES} node ranges may be given")
    covered: set[int] = set()
    for item in ranges:
        match = re.fullmatch(r"(\d*):(\d*)", item.get("targetNodes", ""))
        if match is None:
            raise ClientException(f"targetNodes {item.get('targetNodes')!r} is not a node range")
        first, last = int(match[1] or 0), int(match[2] or count - 1)
        if first > last or last >= count:
            raise ClientException(f"targetNodes {item['targetNodes']} is outside 0:{count - 1}")
        covered.update(range(first, last + 1))
    if len(covered) != count:
        raise ClientException("nodeRangeProperties must cover all nodes")


def _complete_container(container: dict[str, Any]) -> None:
    """Fills in empty lists and drops variables without a value, as Batch does."""
    for key in _CONTAINER_LISTS:
        container.setdefault(key, [])
    container["environment"] = [
        variable for variable in container["environment"] if variable.get("value")
    ]


def check_retries(strategy: dict[str, Any] | None) -> None:
    """Refuses conditions that Batch refuses.

    Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_RetryStrategy.html
    Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_EvaluateOnExit.html

    Raises:
        ClientException: More than five, without attempts, or with another pattern or action.
    """
    conditions = (strategy or {}).get("evaluateOnExit") or []
    if len(conditions) > _MAX_CONDITIONS:
        raise ClientException(f"evaluateOnExit can have at most {_MAX_CONDITIONS} conditions")
    if conditions and not (strategy or {}).get("attempts"):
        raise ClientException("attempts must be specified if evaluateOnExit is specified")
    for each in conditions:
        if each.get("action", "").upper() not in ("RETRY", "EXIT"):
            raise ClientException(f"action {each.get('action')} must be one of RETRY | EXIT")
        for field, pattern in _CONDITIONS.items():
            if field in each and not re.fullmatch(pattern, each[field]):
                raise ClientException(f"{field} {each[field]!r} is not a valid pattern")


def _retry_strategy(strategy: dict[str, Any] | None) -> Any:
    """Returns the strategy with its actions in lower case, as Batch stores them."""
    check_retries(strategy)
    strategy = copy.deepcopy(strategy)
    for condition in (strategy or {}).get("evaluateOnExit", []):
        condition["action"] = condition.get("action", "").lower()
    return strategy
