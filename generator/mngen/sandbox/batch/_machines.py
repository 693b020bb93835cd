"""The machines of the emulated Batch's jobs, as ECS knows them.

A node of a job runs on a container instance, which is an EC2 instance that has joined the ECS
cluster of its compute environment. The emulated jobs run nowhere, so moto's ECS knows none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.batch.models import batch_backends
from moto.core.responses import ActionResult
from moto.ecs.exceptions import ClusterNotFoundException, InvalidParameterException
from moto.ecs.responses import EC2ContainerServiceResponse

from mngen.sandbox.batch._actions import tick
from mngen.sandbox.batch._job import ecs_arn
from mngen.sandbox.batch._unjoined import members

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mngen.sandbox.batch._job import Job

_MAX_DESCRIBED = 100
_DESCRIBE_CLUSTERS: Any = EC2ContainerServiceResponse.describe_clusters


class MachineActions:
    """The actions of ECS that show which EC2 instances are container instances."""

    ecs_backend: Any
    current_account: str
    region: str
    _get_param: Any

    def describe_container_instances(self) -> ActionResult:
        """Describes the machines of running jobs, at most 100, and names those that are gone.

        A container instance is forgotten soon after its machine has ended; here, with its job.
        Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeContainerInstances.html;
        of the message, https://github.com/traefik/traefik/issues/3625
        """
        wanted = self._get_param("containerInstances") or []
        if len(wanted) > _MAX_DESCRIBED:
            raise InvalidParameterException(f"instanceIds can have at most {_MAX_DESCRIBED} items.")
        known = self._known()
        found = [known.get(each.rpartition("/")[2]) for each in wanted]
        gone = [each for each, machine in zip(wanted, found, strict=True) if machine is None]
        return ActionResult(
            {
                "containerInstances": [each for each in found if each is not None],
                "failures": [{"arn": each, "reason": "MISSING"} for each in gone],
            }
        )

    def list_container_instances(self) -> ActionResult:
        """Lists the machines of a cluster, at most 100 a page.

        Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListContainerInstances.html
        """
        size = int(self._get_param("maxResults") or _MAX_DESCRIBED)
        if not 1 <= size <= _MAX_DESCRIBED:
            raise InvalidParameterException(
                f"maxResults must be between 1 and {_MAX_DESCRIBED}, inclusive."
            )
        arns = sorted(each["containerInstanceArn"] for each in self._known().values())
        first = int(self._get_param("nextToken") or 0)
        answer: dict[str, Any] = {"containerInstanceArns": arns[first : first + size]}
        if first + size < len(arns):
            answer["nextToken"] = str(first + size)
        return ActionResult(answer)

    def describe_clusters(self) -> Any:
        """Counts the machines of clusters, and the tasks on them, before moto describes them.

        Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Cluster.html
        """
        for name in self._get_param("clusters", []):
            cluster = self.ecs_backend.clusters.get(name.rpartition("/")[2])
            if cluster is not None:
                members = self._known(cluster.name).values()
                cluster.registered_container_instances_count = len(members)
                cluster.running_tasks_count = sum(each["runningTasksCount"] for each in members)
        return _DESCRIBE_CLUSTERS(self)

    def _known(self, name: str | None = None) -> dict[str, dict[str, Any]]:
        """Returns what ECS reports about the machines in a cluster, by their IDs.

        Args:
            name: The cluster; None for the one asked for.
        """
        cluster = name or self._get_param("cluster", "default").rpartition("/")[2]
        if cluster not in self.ecs_backend.clusters:
            raise ClusterNotFoundException
        backend: Any = batch_backends[self.current_account][self.region]
        state = tick(backend)
        idle = [
            each
            for environment in backend.environments.values()
            if environment.ecs_name == cluster and environment.name in state.unjoined
            for each in members(environment, state.unjoined[environment.name])
        ]
        known = _machines(state.jobs.values(), cluster)
        return known | {each["containerInstanceArn"].rpartition("/")[2]: each for each in idle}


def _machines(jobs: Iterable[Job], cluster: str) -> dict[str, dict[str, Any]]:
    """Returns what ECS reports about the machines in a cluster that jobs run on, by their IDs."""
    return {
        job.container_instance(node): _described(job, node)
        for job in jobs
        if job.status in ("STARTING", "RUNNING")
        and job.attempts[-1].environment.ecs_name == cluster
        for node in range(len(job.containers))
    }


def _described(job: Job, node: int) -> dict[str, Any]:
    """Returns one machine, with the attributes that the agent registers.

    Source: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-placement-constraints.html
    """
    resources = job.attempts[-1].environment.compute_resources
    image: dict[str, str] = next(iter(resources.get("ec2Configuration", [])), {})
    values = {
        "ecs.ami-id": image.get("imageIdOverride"),
        "ecs.instance-type": job.attempts[-1].instance_type,
        "ecs.os-type": "linux",
    }
    return {
        # moto makes of this what the API gives: a list of names with values.
        "attributes": {name: value for name, value in values.items() if value},
        "containerInstanceArn": ecs_arn(
            job.attempts[-1].environment, "container-instance", job.container_instance(node)
        ),
        "ec2InstanceId": job.instance(node),
        "status": "ACTIVE",
        "agentConnected": True,
        "runningTasksCount": 1,
        "pendingTasksCount": 0,
    }
