"""The gaps of the emulated Batch: compute environments, job queues and what goes with them.

moto refuses some calls that AWS accepts, accepts many that AWS refuses, and describes less than it
was sent. Here each description gives back what was sent, and the refusals that decide the order in
which resources are replaced and destroyed are AWS's.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from moto.batch.exceptions import ClientException, InvalidParameterValueException
from moto.batch.models import BatchBackend
from moto.batch.responses import BatchResponse
from moto.batch.urls import url_paths
from moto.ecs.responses import EC2ContainerServiceResponse
from moto.logs.responses import LogsResponse

from mngen.sandbox.batch import _definitions as jobs
from mngen.sandbox.batch import _environments as environments
from mngen.sandbox.batch import _shares as shares
from mngen.sandbox.batch._actions import JobActions, LogActions, tick
from mngen.sandbox.batch._exec import ExecActions
from mngen.sandbox.batch._machines import MachineActions
from mngen.sandbox.batch._schedule import scaled
from mngen.sandbox.emulator._patch import patch, patch_attribute, patch_table

if TYPE_CHECKING:
    from moto.batch.models import ComputeEnvironment, JobDefinition, JobQueue, SchedulingPolicy


class Tables:
    """What moto's backend keeps to itself."""

    _compute_environments: dict[str, ComputeEnvironment]
    _job_queues: dict[str, JobQueue]
    _job_definitions: dict[str, JobDefinition]
    _scheduling_policies: dict[str, SchedulingPolicy]
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

    @property
    def policies(self) -> dict[str, SchedulingPolicy]:
        """Scheduling policies by ARN."""
        return self._scheduling_policies

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
        environment = environments.create_environment(self.batch_backend, json.loads(self.body))
        return json.dumps(
            {
                "computeEnvironmentArn": environment.arn,
                "computeEnvironmentName": environment.name,
            }
        )

    def updatecomputeenvironment(self) -> str:
        """Honours every field; moto takes the state and the role and drops the rest."""
        environment = environments.update_environment(self.batch_backend, json.loads(self.body))
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
        tick(backend)
        chosen = [
            scaled(backend, environment, environments.describe_environment(backend, environment))
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
            fault = environments.role_fault(backend, environment.service_role)
            if fault is None:
                backend.delete_compute_environment(name)
            else:
                environment.fault = fault
        return "{}"

    def createjobqueue(self) -> str:
        """Creates a queue, keeping its time limits, and refuses an order that Batch refuses."""
        queue = jobs.create_queue(self.batch_backend, json.loads(self.body))
        return json.dumps({"jobQueueArn": queue.arn, "jobQueueName": queue.name})

    def updatejobqueue(self) -> str:
        """Honours the order by name or ARN, the priority and the time limits."""
        queue = jobs.update_queue(self.batch_backend, json.loads(self.body))
        return json.dumps({"jobQueueArn": queue.arn, "jobQueueName": queue.name})

    def describejobqueues(self) -> str:
        """Describes the time limits too, and the environments by ARN as Batch does."""
        wanted = json.loads(self.body or "{}").get("jobQueues") or []
        chosen = [
            jobs.describe_queue(queue)
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

    def createschedulingpolicy(self) -> str:
        """Refuses weights and shares that Batch refuses."""
        policy = shares.create_policy(self.batch_backend, json.loads(self.body))
        return json.dumps(policy.to_dict(create=True))

    def updateschedulingpolicy(self) -> str:
        """Refuses what a new policy could not have, and a policy that does not exist."""
        shares.update_policy(self.batch_backend, json.loads(self.body))
        return "{}"

    def deleteschedulingpolicy(self) -> str:
        """Refuses a policy that a queue uses."""
        shares.delete_policy(self.batch_backend, json.loads(self.body)["arn"])
        return "{}"

    def registerjobdefinition(self) -> str:
        """Registers exactly what was sent, inheriting nothing from the revision before."""
        definition = jobs.register_definition(self.batch_backend, json.loads(self.body))
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
            jobs.describe_definition(definition)
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


def close() -> None:
    """Closes the gaps of Batch."""
    # Batch's API knows two errors: ClientException and ServerException.
    patch_attribute(
        InvalidParameterValueException, "TYPE", "InvalidParameterValue", "ClientException"
    )
    patch(
        BatchBackend,
        Tables,
        adds=(
            "environments",
            "queues",
            "definitions",
            "policies",
            "check_compute_resources",
        ),
    )
    patch(BatchResponse, BatchActions)
    patch(BatchResponse, JobActions, adds=("_target", "getjobqueuesnapshot", "terminatejobs"))
    for action in ("getjobqueuesnapshot", "terminatejobs"):
        patch_table(url_paths, f"{{0}}/v1/{action}$", BatchResponse.dispatch)
    patch(LogsResponse, LogActions)
    patch(EC2ContainerServiceResponse, MachineActions, adds=("_known",))
    patch(EC2ContainerServiceResponse, ExecActions, adds=("execute_command", "_tasks"))
