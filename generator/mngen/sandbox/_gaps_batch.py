"""The gaps of the emulated Batch: compute environments, job queues and job definitions.

moto refuses some calls that AWS accepts, accepts many that AWS refuses, and describes less than it
was told. Here each description gives back what was sent, and the refusals that decide the order in
which resources are replaced and destroyed are AWS's.
"""

from __future__ import annotations

import copy
import json
import re
from typing import Any

from moto.batch.exceptions import ClientException, InvalidParameterValueException
from moto.batch.models import BatchBackend, ComputeEnvironment, JobDefinition, JobQueue
from moto.batch.responses import BatchResponse
from moto.core.config import default_user_config
from moto.iam.exceptions import NotFoundException as RoleNotFoundError

from mngen.sandbox._gaps import graft
from mngen.sandbox._gaps_ec2 import placement_groups

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_STATES = ("ENABLED", "DISABLED")
_MAX_ENVIRONMENTS = 3
_MAX_NODES = 1000
_MAX_NODE_RANGES = 5
_SERVICE_LINKED_ROLE = "AWSServiceRoleForBatch"
_SCALING_KEYS = {"minvCpus", "maxvCpus", "desiredvCpus"}
_UPDATABLE_STRATEGIES = {
    "BEST_FIT_PROGRESSIVE",
    "SPOT_CAPACITY_OPTIMIZED",
    "SPOT_PRICE_CAPACITY_OPTIMIZED",
}
_CONTAINER_LISTS = (
    "command",
    "environment",
    "mountPoints",
    "resourceRequirements",
    "secrets",
    "ulimits",
    "volumes",
)


class Tables:
    """What moto's backend keeps to itself."""

    _compute_environments: dict[str, ComputeEnvironment]
    _job_queues: dict[str, JobQueue]
    _job_definitions: dict[str, JobDefinition]
    _validate_compute_resources: Any

    @property
    def environments(self) -> dict[str, ComputeEnvironment]:
        """Compute environments by ARN."""
        return self._compute_environments

    @property
    def queues(self) -> dict[str, JobQueue]:
        """Job queues by ARN."""
        return self._job_queues

    @property
    def definitions(self) -> dict[str, JobDefinition]:
        """Job definitions, every revision, by ARN."""
        return self._job_definitions

    def check_compute_resources(self, resources: dict[str, Any]) -> None:
        """Checks that what the resources name exists."""
        self._validate_compute_resources(resources)


class BatchActions:
    """The actions of Batch that answer as AWS does."""

    batch_backend: Any
    body: Any

    def createcomputeenvironment(self) -> str:
        """Creates an environment, without insisting on a service role.

        An empty role means the service-linked one, which Batch makes on first use.
        """
        environment = create_environment(self.batch_backend, json.loads(self.body))
        return json.dumps(
            {
                "computeEnvironmentArn": environment.arn,
                "computeEnvironmentName": environment.name,
            }
        )

    def updatecomputeenvironment(self) -> str:
        """Honours every field; moto takes the state and the role and drops the rest."""
        environment = update_environment(self.batch_backend, json.loads(self.body))
        return json.dumps(
            {
                "computeEnvironmentArn": environment.arn,
                "computeEnvironmentName": environment.name,
            }
        )

    def describecomputeenvironments(self) -> str:
        """Describes all that was sent, with the defaults that Batch fills in."""
        wanted = json.loads(self.body or "{}").get("computeEnvironments") or []
        backend = self.batch_backend
        chosen = [
            describe_environment(backend, environment)
            for arn, environment in backend.environments.items()
            if not wanted or arn in wanted or environment.name in wanted
        ]
        return json.dumps({"computeEnvironments": chosen})

    def deletecomputeenvironment(self) -> str:
        """Refuses an environment that is enabled or that a queue still names.

        One whose own service role has lost its policies stays behind, INVALID: Batch has no
        permission left to tear it down.
        """
        name = json.loads(self.body).get("computeEnvironment")
        backend = self.batch_backend
        environment = backend.get_compute_environment(name)
        if environment is not None:
            if environment.state != "DISABLED":
                raise ClientException(
                    "Cannot delete, compute environment must be in DISABLED state"
                )
            if any(environment in queue.environments for queue in backend.queues.values()):
                raise ClientException("Cannot delete, found existing JobQueue relationship")
            fault = _role_fault(backend, environment.service_role)
            if fault is None:
                backend.delete_compute_environment(name)
            else:
                environment.fault = fault
        return "{}"

    def createjobqueue(self) -> str:
        """Creates a queue, keeping its time limits, and refuses an order that Batch refuses."""
        queue = create_queue(self.batch_backend, json.loads(self.body))
        return json.dumps({"jobQueueArn": queue.arn, "jobQueueName": queue.name})

    def updatejobqueue(self) -> str:
        """Honours the order by name or ARN, the priority and the time limits."""
        request = json.loads(self.body)
        backend = self.batch_backend
        queue = backend.get_job_queue(request.get("jobQueue"))
        if queue is None:
            raise ClientException(f"Job queue {request.get('jobQueue')} does not exist")
        _check_state(request.get("state"))
        order = request.get("computeEnvironmentOrder")
        if order is not None:
            queue.environments, queue.env_order_json = _resolve_order(backend, order)
        queue.state = request.get("state") or queue.state
        if request.get("priority") is not None:
            queue.priority = request["priority"]
        if request.get("schedulingPolicyArn"):
            queue.schedule_policy = request["schedulingPolicyArn"]
        if request.get("jobStateTimeLimitActions") is not None:
            queue.time_limit_actions = request["jobStateTimeLimitActions"]
        return json.dumps({"jobQueueArn": queue.arn, "jobQueueName": queue.name})

    def describejobqueues(self) -> str:
        """Describes the time limits too, and the environments by ARN as Batch does."""
        wanted = json.loads(self.body or "{}").get("jobQueues") or []
        chosen = [
            _describe_queue(queue)
            for arn, queue in self.batch_backend.queues.items()
            if not wanted or arn in wanted or queue.name in wanted
        ]
        return json.dumps({"jobQueues": chosen})

    def deletejobqueue(self) -> str:
        """Refuses a queue that is still enabled."""
        name = json.loads(self.body).get("jobQueue")
        queue = self.batch_backend.get_job_queue(name)
        if queue is not None:
            if queue.state != "DISABLED":
                raise ClientException("Cannot delete, job queue must be in DISABLED state")
            self.batch_backend.delete_job_queue(name)
        return "{}"

    def registerjobdefinition(self) -> str:
        """Registers exactly what was sent, inheriting nothing from the revision before."""
        definition = register_definition(self.batch_backend, json.loads(self.body))
        return json.dumps(
            {
                "jobDefinitionArn": definition.arn,
                "jobDefinitionName": definition.name,
                "revision": definition.revision,
            }
        )

    def describejobdefinitions(self) -> str:
        """Describes the node properties too, and finds a definition by `name:revision`."""
        request = json.loads(self.body or "{}")
        name, status = request.get("jobDefinitionName"), request.get("status")
        wanted = request.get("jobDefinitions") or []
        chosen = [
            describe_definition(definition)
            for arn, definition in self.batch_backend.definitions.items()
            if (not name or definition.name == name)
            and (
                not wanted
                or arn in wanted
                or definition.name in wanted
                or f"{definition.name}:{definition.revision}" in wanted
            )
            and (not status or definition.status == status)
        ]
        return json.dumps({"jobDefinitions": chosen})


def create_environment(backend: Any, request: dict[str, Any]) -> ComputeEnvironment:
    """Creates a compute environment from a CreateComputeEnvironment request.

    Raises:
        ClientException: Batch would refuse the request.
    """
    name = request.get("computeEnvironmentName") or ""
    _check_name("computeEnvironmentName", name)
    _check_state(request.get("state"))
    if backend.get_compute_environment_by_name(name) is not None:
        raise ClientException("Object already exists")
    role = _service_role(backend, request.get("serviceRole"))
    resources = copy.deepcopy(request.get("computeResources"))
    if resources is not None:
        _check_spot_role(resources)
    environment: ComputeEnvironment = backend.create_compute_environment(
        compute_environment_name=name,
        _type=request.get("type"),
        state=request.get("state") or "ENABLED",
        compute_resources=resources,
        service_role=role,
        tags=request.get("tags"),
    )
    extra: Any = environment
    extra.update_policy = request.get("updatePolicy")
    extra.unmanaged_vcpus = request.get("unmanagedvCpus")
    _complete(backend, environment)
    return environment


def update_environment(backend: Any, request: dict[str, Any]) -> ComputeEnvironment:
    """Changes a compute environment as UpdateComputeEnvironment asks.

    Scaling is always possible. Everything else ("infrastructure update") needs the service-linked
    role and an allocation strategy other than BEST_FIT, see
    https://docs.aws.amazon.com/batch/latest/userguide/updating-compute-environments.html.

    Raises:
        ClientException: Batch would refuse the request.
    """
    name = request.get("computeEnvironment")
    environment: ComputeEnvironment | None = backend.get_compute_environment(name)
    if environment is None:
        raise ClientException(f"Compute environment {name} does not exist")
    _check_state(request.get("state"))
    changes = request.get("computeResources") or {}
    if changes:
        _check_infrastructure_update(environment, changes)
        merged = {**environment.compute_resources, **copy.deepcopy(changes)}
        merged.pop("updateToLatestImageVersion", None)
        merged["desiredvCpus"] = min(
            max(merged.get("desiredvCpus") or 0, merged.get("minvCpus", 0)), merged["maxvCpus"]
        )
        backend.check_compute_resources(merged)
        environment.compute_resources = merged
    if request.get("serviceRole"):
        environment.service_role = _service_role(backend, request["serviceRole"])
    environment.state = request.get("state") or environment.state
    extra: Any = environment
    if request.get("updatePolicy") is not None:
        extra.update_policy = request["updatePolicy"]
    if request.get("unmanagedvCpus") is not None:
        extra.unmanaged_vcpus = request["unmanagedvCpus"]
    _complete(backend, environment)
    return environment


def describe_environment(backend: Any, environment: ComputeEnvironment) -> dict[str, Any]:
    """Returns the structure that DescribeComputeEnvironments holds."""
    extra: Any = environment
    described: dict[str, Any] = {
        "computeEnvironmentArn": environment.arn,
        "computeEnvironmentName": environment.name,
        "containerOrchestrationType": "ECS",
        "ecsClusterArn": environment.ecs_arn,
        "serviceRole": environment.service_role,
        "state": environment.state,
        "type": environment.env_type,
        "status": "INVALID" if extra.fault else "VALID",
        "statusReason": extra.fault or "ComputeEnvironment Healthy",
        "tags": backend.list_tags_for_resource(environment.arn),
    }
    if environment.env_type == "MANAGED":
        described["computeResources"] = environment.compute_resources
    if extra.update_policy is not None:
        described["updatePolicy"] = extra.update_policy
    if extra.unmanaged_vcpus is not None:
        described["unmanagedvCpus"] = extra.unmanaged_vcpus
    return described


def create_queue(backend: Any, request: dict[str, Any]) -> JobQueue:
    """Creates a job queue from a CreateJobQueue request.

    Raises:
        ClientException: Batch would refuse the request.
    """
    name = request.get("jobQueueName") or ""
    _check_name("jobQueueName", name)
    state = request.get("state") or "ENABLED"
    _check_state(state)
    if request.get("priority") is None:
        raise ClientException("priority must be provided")
    if backend.get_job_queue_by_name(name) is not None:
        raise ClientException("Object already exists")
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


def register_definition(backend: Any, request: dict[str, Any]) -> JobDefinition:
    """Registers the next revision of a job definition.

    Raises:
        ClientException: Batch would refuse the request.
    """
    name = request.get("jobDefinitionName") or ""
    _check_name("jobDefinitionName", name)
    nodes = copy.deepcopy(request.get("nodeProperties"))
    if request.get("type") == "multinode":
        _check_nodes(nodes)
    for node_range in (nodes or {}).get("nodeRangeProperties", []):
        if "container" in node_range:
            _complete_container(node_range["container"])
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


def _check_name(field: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ClientException(
            f"Error executing request, Exception : {field} {name!r} must be up to 128 letters, "
            "digits, hyphens and underscores, beginning with a letter or a digit"
        )


def _check_state(state: str | None) -> None:
    if state and state not in _STATES:
        raise ClientException(f"state {state} must be one of {' | '.join(_STATES)}")


def _check_spot_role(resources: dict[str, Any]) -> None:
    strategy = resources.get("allocationStrategy") or "BEST_FIT"
    if (
        resources.get("type") == "SPOT"
        and strategy == "BEST_FIT"
        and not resources.get("spotIamFleetRole")
    ):
        raise ClientException(
            "Error executing request, Exception : spotIamFleetRole is required for SPOT "
            "compute environments with the BEST_FIT allocation strategy"
        )


def _check_infrastructure_update(environment: ComputeEnvironment, changes: dict[str, Any]) -> None:
    resources = environment.compute_resources
    if "FARGATE" in resources["type"] or not set(changes) - _SCALING_KEYS:
        return
    strategy = changes.get("allocationStrategy") or resources.get("allocationStrategy")
    if strategy not in _UPDATABLE_STRATEGIES or not environment.service_role.endswith(
        f"/{_SERVICE_LINKED_ROLE}"
    ):
        raise ClientException(
            "Error executing request, Exception : "
            f"{', '.join(sorted(set(changes) - _SCALING_KEYS))} can only be updated with the "
            "service-linked role and an allocation strategy other than BEST_FIT"
        )


def _service_role(backend: Any, role: str | None) -> str:
    """Returns the ARN of the role named, or of the service-linked one, made where missing."""
    iam = backend.iam_backend
    if role:
        try:
            iam.get_role_by_arn(role)
        except RoleNotFoundError:
            raise ClientException(
                f"Error executing request, Exception : Could not find IAM role {role}"
            ) from None
        return role
    for existing in iam.get_roles():
        if existing.name == _SERVICE_LINKED_ROLE:
            return str(existing.arn)
    made = iam.create_service_linked_role("batch.amazonaws.com", "", "")
    return str(made.arn)


def _complete(backend: Any, environment: ComputeEnvironment) -> None:
    """Fills in what Batch fills in, and notes what makes an environment INVALID."""
    resources = environment.compute_resources
    extra: Any = environment
    extra.fault = _role_fault(backend, environment.service_role)
    if not resources or "FARGATE" in resources["type"]:
        return
    resources.setdefault("desiredvCpus", resources.get("minvCpus", 0))
    if not resources.get("ec2Configuration"):
        resources["ec2Configuration"] = [{"imageType": "ECS_AL2023"}]
    template = resources.get("launchTemplate") or {}
    if template and not template.get("version"):
        template["version"] = "$Default"
    extra.fault = extra.fault or _launch_fault(backend.ec2_backend, resources)


def _role_fault(backend: Any, role_arn: str) -> str | None:
    """Says what keeps Batch from acting through a service role, or None."""
    iam = backend.iam_backend
    role = next((role for role in iam.get_roles() if role.arn == role_arn), None)
    if role is None:
        return f"CLIENT_ERROR - The role {role_arn} does not exist"
    if role.name == _SERVICE_LINKED_ROLE or role.managed_policies or role.policies:
        return None
    return f"CLIENT_ERROR - {role_arn} is not authorized to perform: autoscaling:*, ec2:*, ecs:*"


def _launch_fault(ec2: Any, resources: dict[str, Any]) -> str | None:
    """Says why EC2 could not launch an instance for these resources, or None."""
    group = resources.get("placementGroup")
    if group and group not in placement_groups(ec2):
        return f"CLIENT_ERROR - The Placement Group '{group}' is unknown"
    template = resources.get("launchTemplate") or {}
    template_id = template.get("launchTemplateId")
    name = template.get("launchTemplateName")
    if template_id and template_id not in ec2.launch_templates:
        return f"CLIENT_ERROR - The launch template {template_id} does not exist"
    if name and name not in ec2.launch_template_name_to_ids:
        return f"CLIENT_ERROR - The launch template {name} does not exist"
    return None


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


def _describe_queue(queue: JobQueue) -> dict[str, Any]:
    extra: Any = queue
    described = {
        **queue.describe(),
        "statusReason": "JobQueue Healthy",
        "jobStateTimeLimitActions": extra.time_limit_actions,
    }
    return {key: value for key, value in described.items() if value is not None}


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


def _retry_strategy(strategy: dict[str, Any] | None) -> Any:
    """Returns the strategy with its actions in lower case, as Batch stores them."""
    strategy = copy.deepcopy(strategy)
    for condition in (strategy or {}).get("evaluateOnExit", []):
        condition["action"] = condition.get("action", "").lower()
    return strategy


def close() -> None:
    """Closes the gaps of Batch."""
    # Batch's API knows two errors: ClientException and ServerException.
    InvalidParameterValueException.TYPE = "ClientException"
    graft(BatchBackend, Tables)
    graft(BatchResponse, BatchActions)
    # Without this moto runs each job as a Docker container of this machine.
    default_user_config["batch"] = {"use_docker": False}
