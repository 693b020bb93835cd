"""A shell in the container of a node, by ECS Exec: what is asked of AWS before it opens.

AWS Batch names the ECS task of each node. ECS knows its container and whether the agent of ECS Exec
runs there, and makes a session, which the Session Manager plugin connects to (`_plugin`).
Sources: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-exec.html,
https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ExecuteCommand.html
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mngen._json_text import pointer
from mngen.cluster import definition_name
from mngen.errors import InputError, ToolError
from mngen.jobs._arrays import require_no_array
from mngen.jobs._batch import describe
from mngen.jobs._cancel import require_own
from mngen.jobs._plugin import Session
from mngen.jobs._status import describe_one
from mngen.jobs._types import ENDED
from mngen.spec import JobFromFile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_batch.client import BatchClient
    from mypy_boto3_batch.type_defs import JobDetailTypeDef

    from mngen.cluster import Cluster

_AGENT = "ExecuteCommandAgent"
_TASK = re.compile(r"arn:[^:]+:ecs:[^:]+:[^:]+:task/(?P<cluster>[^/]+)/(?P<task>[^/]+)")
_NEEDS = (
    "the job's role must allow ECS Exec (MN466), its containers must reach Session Manager (MN465, "
    "MN467), and their root file system must be writable (MN480)"
)
_SHELL = ("/bin/sh", "-c", "command -v bash >/dev/null && exec bash; exec sh")
"""What runs without a command: bash if the image has it."""


@dataclass(frozen=True, slots=True)
class Place:
    """A container that a shell can be opened in.

    Attributes:
        node: Index of the node.
        cluster: Name of the ECS cluster.
        task: Id of the ECS task.
        container: Name of the container.
        runtime: Docker's id of the container.
    """

    node: int
    cluster: str
    task: str
    container: str
    runtime: str

    @property
    def target(self) -> str:
        """The container as Session Manager names it.

        Source: https://github.com/aws/aws-cli (awscli/customizations/ecs/executecommand.py)
        """
        return f"ecs:{self.cluster}_{self.task}_{self.runtime}"


def find_place(
    batch: BatchClient, ecs: Any, cluster: Cluster, identifier: str, node: int | None
) -> Place:
    """Returns the container of a node of a running job, if a shell can be opened in it.

    Args:
        batch: A client of AWS Batch.
        ecs: A client of ECS.
        cluster: The deployment.
        identifier: The id of the job, or of one of its nodes (`ID#N`).
        node: Index of the node; None for that of the id, or the main node.

    Raises:
        InputError: There is no such job or node, it does not run, or it was submitted without
            `shell`.
        ToolError: The agent of ECS Exec does not run in the container.
        botocore.exceptions.ClientError: AWS refused a call.
    """
    job = describe_one(batch, identifier)
    require_own(cluster, job)
    index = _node_of(job, identifier, node)
    found = _of_node(batch, job, index)
    where = _TASK.fullmatch(found.get("container", {}).get("taskArn") or "")
    if where is None:
        raise ToolError(
            f"AWS Batch does not name the ECS task of node {index}", hint="try again in a minute"
        )
    answer = ecs.describe_tasks(cluster=where["cluster"], tasks=[where["task"]])
    if not answer["tasks"]:
        raise InputError(f"node {index} has just ended", hint=f"mngen status {job['jobId']}")
    return _in_task(answer["tasks"][0], cluster, job, where, index)


def open_session(ecs: Any, place: Place, command: Sequence[str]) -> Session:
    """Starts a command in a container, and returns the session to connect to.

    The agent of ECS Exec splits the command at white space as a shell does, and runs it without
    one. Source: https://github.com/aws/amazon-ssm-agent (agent/session/shell/shell_unix.go)

    Args:
        ecs: A client of ECS.
        place: The container.
        command: Program and arguments; none for a shell.

    Raises:
        ToolError: The agent of ECS Exec is not connected.
        botocore.exceptions.ClientError: AWS refused the call for another reason.
    """
    try:
        answer = ecs.execute_command(
            cluster=place.cluster,
            task=place.task,
            container=place.container,
            command=shlex.join(command or _SHELL),
            interactive=True,
        )
    except ecs.exceptions.TargetNotConnectedException as error:
        raise ToolError(
            f"the agent of ECS Exec on node {place.node} has no connection to Session Manager",
            hint=f"if the job has just started, try again in a minute; otherwise {_NEEDS}",
        ) from error
    session = answer["session"]
    return Session(
        id=session["sessionId"],
        url=session["streamUrl"],
        token=session["tokenValue"],
        target=place.target,
    )


def _node_of(job: JobDetailTypeDef, identifier: str, node: int | None) -> int:
    """Returns the index of the node that is asked for.

    Raises:
        InputError: The job has no such node, or is an array of jobs.
    """
    require_no_array(job, "each with its own container")
    properties = job.get("nodeProperties")
    count = properties["numNodes"] if properties else 1
    named = identifier.partition("#")[2]
    given = int(named) if named.isdigit() else None
    if node is not None and given is not None and node != given:
        raise InputError(f"the id names node {given}, and --node is {node}", hint="pass only one")
    main = properties["mainNode"] if properties else 0
    index = next((each for each in (node, given) if each is not None), main)
    if not 0 <= index < count:
        last = f"nodes 0 to {count - 1}" if count > 1 else "one node, node 0"
        raise InputError(f"node {index} does not exist: the job has {last}", hint="change --node")
    return index


def _of_node(batch: BatchClient, job: JobDetailTypeDef, index: int) -> dict[str, Any]:
    """Returns what AWS Batch reports about a node.

    Raises:
        InputError: It does not run.
    """
    identifier = job["jobId"]
    found: dict[str, Any] = dict(job)
    what = f"`{identifier}`"
    if "nodeProperties" in job and job["status"] == "RUNNING":
        nodes = list(describe(batch, [f"{identifier}#{index}"]))
        found = dict(nodes[0]) if nodes else {"status": "STARTING"}
        what = f"node {index}"
    state = found["status"]
    if state != "RUNNING":
        reason = f"{what} has ended ({state})" if state in ENDED else f"{what} is {state}"
        shown = "logs" if state in ENDED else "status"
        raise InputError(
            f"{reason}: a shell needs a running container", hint=f"mngen {shown} {identifier}"
        )
    return found


def _in_task(
    task: dict[str, Any],
    cluster: Cluster,
    job: JobDetailTypeDef,
    where: re.Match[str],
    index: int,
) -> Place:
    """Returns the container of a task, if a shell can be opened in it.

    Raises:
        InputError: The job was submitted without `shell`.
        ToolError: The agent of ECS Exec does not run.
    """
    if not task.get("enableExecuteCommand"):
        raise InputError(
            f"node {index} of `{job['jobId']}` was submitted without `shell`",
            hint=_how_to_enable(cluster, job, index),
        )
    # Jobs of AWS Batch with `containerProperties` have one container, which it calls `default`.
    container = task["containers"][0]
    agents = [each for each in container.get("managedAgents", []) if each.get("name") == _AGENT]
    state = agents[0].get("lastStatus", "PENDING") if agents else "PENDING"
    if state != "RUNNING":
        reason = agents[0].get("reason") if agents else None
        hint = "it starts with the container: try again in a minute"
        if state != "PENDING":
            hint = f"submit the job again; {_NEEDS}"
        raise ToolError(
            f"the agent of ECS Exec on node {index} is {state}" + (f": {reason}" if reason else ""),
            hint=hint,
        )
    return Place(
        node=index,
        cluster=where["cluster"],
        task=where["task"],
        container=container["name"],
        runtime=container["runtimeId"],
    )


def _how_to_enable(cluster: Cluster, job: JobDetailTypeDef, index: int) -> str:
    """Returns what to change so that a node of the next job of the same definition has a shell."""
    name, _, revision = job["jobDefinition"].rpartition("/")[2].partition(":")
    then = "run mngen apply, and submit the job again: it cannot be added to a running one"
    for each in cluster.jobs:
        if definition_name(cluster.spec, each.name) != name:
            continue
        shell = each.spec.shell
        if isinstance(each.spec, JobFromFile):
            path, container = each.spec.from_file.container_of(index)
            shell = bool(container.get("enableExecuteCommand"))
            if not shell:
                return (
                    f'add `"enableExecuteCommand": true` to {pointer(path)} in '
                    f"{each.spec.definition}, {then}"
                )
        if shell:
            return f"it runs revision {revision} of its definition, from before `shell`; {then}"
        return f"add `shell: true` to `jobs.{each.name}` in the spec, {then}"
    return f"add `enableExecuteCommand` to its definition {name}, and submit the job again"
