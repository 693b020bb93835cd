"""The ECS tasks of the emulated Batch's jobs, and ECS Exec in their containers.

Each node of a job is a task with one container. The emulated jobs run nowhere: a session has the
form of AWS's, and nothing listens at its address.

The shapes are those of botocore's model of ECS. Other sources:

- what AWS requires of tasks:
  https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-exec.html; that the agent stops
  where the root file system is read-only: https://github.com/aws/containers-roadmap/issues/1359
- messages: https://github.com/boto/boto3/issues/2822 (interactive),
  https://github.com/Mic-U/ecsher/issues/56 (length of an id),
  https://github.com/keidarcy/e1s/issues/206 (not enabled, or no agent),
  https://github.com/aws/aws-cli/issues/8080 (not connected),
  https://github.com/aws/copilot-cli/issues/3551 (no tasks),
  https://github.com/gchq/sleeper/issues/555 (too many tasks),
  https://github.com/evergreen-ci/cocoa (ecs: the task is not there)
- the session: https://github.com/aws/session-manager-plugin/issues/10

A role without the permissions of ECS Exec has an agent that runs and does not connect: AWS
documents it as a cause of TargetNotConnectedException, not what DescribeTasks shows then.

One message is inferred, from the wording of the others: that a container is not in the task.
"""

from __future__ import annotations

import json
import secrets
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from moto.batch.models import batch_backends
from moto.core.responses import ActionResult
from moto.ecs.exceptions import (
    ClusterNotFoundException,
    ECSException,
    InvalidParameterException,
)
from moto.ecs.responses import EC2ContainerServiceResponse

from mngen.sandbox.batch._actions import tick
from mngen.sandbox.batch._job import ecs_arn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.sandbox.batch._job import Job

_MAX_DESCRIBED = 100
_LENGTHS = (32, 36)
_CONTAINER = "default"
_AGENT = "ExecuteCommandAgent"
_ACTIONS = (
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
)
_NOT_ENABLED = (
    "The execute command failed because execute command was not enabled when the task was run or "
    "the execute command agent isn\u2019t running. Wait and try again or run a new task with "
    "execute command enabled and try again."
)
_NOT_CONNECTED = "The execute command failed due to an internal error. Try again later."
_DESCRIBE_TASKS: Any = EC2ContainerServiceResponse.describe_tasks


class ExecActions:
    """The actions of ECS on the tasks of jobs."""

    ecs_backend: Any
    current_account: str
    region: str
    _get_param: Any

    def describe_tasks(self) -> Any:
        """Describes tasks by their ids or ARNs, at most 100, and names those that are not there."""
        wanted = self._get_param("tasks") or []
        if len(wanted) > _MAX_DESCRIBED:
            raise InvalidParameterException(f"taskIds can have at most {_MAX_DESCRIBED} items.")
        known = self._tasks()
        ids = [each.rpartition("/")[2] for each in wanted]
        if not wanted or not known.keys() & set(ids):
            # Tasks that Batch has not started are moto's.
            described = _DESCRIBE_TASKS(self)
            if wanted and not described.result["tasks"]:
                missing = [{"arn": each, "reason": "MISSING"} for each in wanted]
                return ActionResult({"tasks": [], "failures": missing})
            return described
        return ActionResult(
            {
                "tasks": [known[each][0] for each in ids if each in known],
                "failures": [
                    {"arn": each, "reason": "MISSING"}
                    for each, identifier in zip(wanted, ids, strict=True)
                    if identifier not in known
                ],
            }
        )

    def execute_command(self) -> ActionResult:
        """Makes a session in a container whose agent of ECS Exec runs and is connected."""
        identifier = (self._get_param("task") or "").rpartition("/")[2]
        known = self._tasks()
        if self._get_param("interactive") is not True:
            raise InvalidParameterException("Interactive is the only mode supported currently.")
        if len(identifier) not in _LENGTHS:
            raise InvalidParameterException(f"task length should be one of {_listed(_LENGTHS)}")
        if identifier not in known:
            raise InvalidParameterException("The referenced task was not found.")
        task, role = known[identifier]
        container = task["containers"][0]
        if self._get_param("container") not in (None, container["name"]):
            # Inferred.
            raise InvalidParameterException("The specified container was not found in the task.")
        running = [each["lastStatus"] == "RUNNING" for each in container.get("managedAgents", [])]
        if not task["enableExecuteCommand"] or not any(running):
            raise InvalidParameterException(_NOT_ENABLED)
        backend: Any = batch_backends[self.current_account][self.region]
        if not _carries_shells(backend.iam_backend, role):
            raise ECSException("TargetNotConnectedException", _NOT_CONNECTED)
        session = f"ecs-execute-command-{secrets.token_hex(9)[:17]}"
        return ActionResult(
            {
                "clusterArn": task["clusterArn"],
                "containerArn": container["containerArn"],
                "containerName": container["name"],
                "interactive": True,
                "session": {
                    "sessionId": session,
                    "streamUrl": f"wss://ssmmessages.{self.region}.amazonaws.com/v1/data-channel/"
                    f"{session}?role=publish_subscribe",
                    "tokenValue": secrets.token_urlsafe(400),
                },
                "taskArn": task["taskArn"],
            }
        )

    def _tasks(self) -> dict[str, tuple[dict[str, Any], str]]:
        """Returns the tasks of jobs in the cluster asked for, with their roles, by their ids."""
        cluster = (self._get_param("cluster") or "default").rpartition("/")[2]
        if cluster not in self.ecs_backend.clusters:
            raise ClusterNotFoundException
        state = tick(batch_backends[self.current_account][self.region])
        return {
            task["taskArn"].rpartition("/")[2]: (task, role)
            for job in state.jobs.values()
            for task, role in _tasks_of(job, cluster)
        }


def _tasks_of(job: Job, cluster: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Yields the tasks of a job in a cluster so far, each with the role of its container."""
    for number, attempt in enumerate(job.attempts):
        if not attempt.environment.ecs_arn.endswith(f":cluster/{cluster}"):
            continue
        state = "STOPPED" if attempt.stopped else "RUNNING" if attempt.started else "PENDING"
        for node, container in enumerate(job.containers):
            # A node that ends before the main one.
            early = state == "RUNNING" and node != job.main and job.script.node_exits.get(node)
            now = "STOPPED" if early else state
            arn = ecs_arn(attempt.environment, "task", job.task(node, number))
            described: dict[str, Any] = {
                "name": _CONTAINER,
                "containerArn": ecs_arn(attempt.environment, "container", job.task(node, number)),
                "taskArn": arn,
                "lastStatus": now,
                "image": container["image"],
            }
            if attempt.started:
                described["runtimeId"] = f"{job.task(node, number)}{job.task(node, number)}"
            enabled = bool(container.get("enableExecuteCommand"))
            if enabled:
                described["managedAgents"] = [{"name": _AGENT, **_agent(job, container, now)}]
            yield (
                {
                    "taskArn": arn,
                    "clusterArn": attempt.environment.ecs_arn,
                    "containerInstanceArn": ecs_arn(
                        attempt.environment, "container-instance", job.container_instance(node)
                    ),
                    "containers": [described],
                    "desiredStatus": "STOPPED" if now == "STOPPED" else "RUNNING",
                    "enableExecuteCommand": enabled,
                    "lastStatus": now,
                    "launchType": "EC2",
                },
                container.get("jobRoleArn") or "",
            )


def _agent(job: Job, container: dict[str, Any], state: str) -> dict[str, str]:
    """Returns the state of the agent of ECS Exec in a container."""
    if state != "RUNNING":
        return {"lastStatus": state}
    if container.get("readonlyRootFilesystem"):
        return {"lastStatus": "STOPPED"}
    return {"lastStatus": job.script.agent}


def _carries_shells(iam: Any, arn: str) -> bool:
    """Whether the policies of a role allow what the agent needs, on all resources."""
    role = next((each for each in iam.get_roles() if each.arn == arn), None)
    if role is None:
        return False
    documents = [*role.policies.values()]
    documents += [
        version.document
        for policy in role.managed_policies.values()
        for version in policy.versions
        if version.version_id == policy.default_version_id
    ]
    allowed = [
        pattern
        for document in documents
        for statement in _each(json.loads(document).get("Statement"))
        if statement.get("Effect") == "Allow" and "*" in _each(statement.get("Resource"))
        for pattern in _each(statement.get("Action"))
    ]
    return all(any(fnmatchcase(action, each) for each in allowed) for action in _ACTIONS)


def _each(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _listed(numbers: tuple[int, ...]) -> str:
    return "[" + ",".join(map(str, numbers)) + "]"
