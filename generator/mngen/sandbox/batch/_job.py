"""A job of the emulated Batch: what was submitted, how far it is, and how Batch describes it.

moto runs a job as a Docker container of the machine that it runs on. Here a job is data: which
state it has reached follows from the time that has passed (`_schedule`).
"""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mngen.sandbox.batch._clock import clock_of

if TYPE_CHECKING:
    from collections.abc import Iterator, ValuesView

    from moto.batch.models import ComputeEnvironment, JobDefinition, JobQueue

ENDED = ("SUCCEEDED", "FAILED")
STATES = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", *ENDED)

LOG_GROUP = "/aws/batch/job"
"""Where containers log if their definition names no group.

Source: https://docs.aws.amazon.com/batch/latest/userguide/using_awslogs.html
"""


@dataclass(slots=True)
class Script:
    """What the application of a job does, where no container runs.

    Attributes:
        hold: A state that the job does not leave; None for none.
        released: When the control released it, in seconds since the epoch: it has not ended before.
        seconds: How long an attempt runs.
        exits: Exit codes of the main node, one an attempt; the last one is that of all further.
        node_exits: Exit codes of single nodes, by index.
        reason: Batch's reason for the end of the container, such as `OutOfMemoryError: …`.
        lost: Whether each attempt ends with the loss of the main node's instance.
        unpulled: How many attempts fail since the image cannot be pulled.
        agent: The state of the agent of ECS Exec in containers that have it, while they run.
    """

    hold: str | None = None
    released: float = 0.0
    seconds: float = 1.0
    exits: tuple[int, ...] = (0,)
    node_exits: dict[int, int] = field(default_factory=dict)
    reason: str | None = None
    lost: bool = False
    unpulled: int = 0
    agent: str = "RUNNING"


@dataclass(slots=True)
class Attempt:
    """One attempt of a job; times are seconds since the epoch, 0 for not yet.

    Attributes:
        placed: When an environment took it.
        environment: The environment.
        instance_type: The type of its instances there.
        started: When its containers started.
        stopped: When they ended.
        exit_code: What the main node's container exited with.
        reason: Why its container ended, in Docker's or ECS's words.
        status_reason: Why the attempt ended, in Batch's words.
        written: How much of its output is in the logs: 0 nothing, 1 the beginning, 2 all.
    """

    placed: float
    environment: ComputeEnvironment
    instance_type: str
    started: float = 0.0
    stopped: float = 0.0
    exit_code: int | None = None
    reason: str | None = None
    status_reason: str | None = None
    written: int = 0


@dataclass(slots=True, eq=False)
class Job:
    """A job: multi-node parallel, of one node, an array, or a child of one.

    An array is not scheduled: its state follows from its children's (`_array`).

    Attributes:
        id: Its id.
        name: Its name.
        arn: Its ARN.
        queue: The queue that it waits in.
        definition: The revision of the definition that it was submitted with.
        request: The request that submitted it.
        containers: What each node runs: the definition with the overrides applied, by node index;
            that of node 0 alone for a job of one node.
        main: Index of the main node.
        multi_node: Whether it is a multi-node parallel job.
        created: When it was submitted, in seconds since the epoch.
        script: What its application does.
        depends_on: What it waits for, in the form of the API.
        overridden: How many characters its submission overrides in a container (`_overrides`).
        parent: The array that it is a child of, or None.
        index: Its index in that array, or None.
        children: The children of an array, by index; empty for any other job.
        status: Batch's word for its state.
        status_reason: Why it is in that state, or None.
        attempts: The attempts so far, the last one perhaps running.
        end: What ended it from outside: `cancelled`, `terminated` or an empty string. Of a job that
            is PENDING, it takes effect later.
        end_reason: The reason that was given for it.
        settled: Whether it has ended and all its output is in the logs.
    """

    id: str
    name: str
    arn: str
    queue: JobQueue
    definition: JobDefinition
    request: dict[str, Any]
    containers: list[dict[str, Any]]
    main: int
    multi_node: bool
    created: float
    script: Script
    depends_on: list[dict[str, str]] = field(default_factory=list)
    overridden: int = 0
    parent: Job | None = field(default=None, repr=False)
    index: int | None = None
    children: list[Job] = field(default_factory=list, repr=False)
    status: str = "SUBMITTED"
    status_reason: str | None = None
    attempts: list[Attempt] = field(default_factory=list)
    end: str = ""
    end_reason: str = ""
    settled: bool = False

    @property
    def ended(self) -> bool:
        """Whether it is in a final state."""
        return self.status in ENDED

    @property
    def is_there(self) -> bool:
        """Whether Batch knows it: not yet where its array is held as it was submitted."""
        array = self.parent
        return array is None or not array.status == array.script.hold == "SUBMITTED"

    @property
    def child_states(self) -> dict[str, int]:
        """How many children of an array are in each state, states without any among them."""
        found = dict.fromkeys(STATES, 0)
        for child in self.children:
            found[child.status] += 1
        return found

    @property
    def share(self) -> str:
        """Its share identifier; empty in a queue without a scheduling policy."""
        return str(self.request.get("shareIdentifier") or "")

    @property
    def priority(self) -> int | None:
        """Its priority within its share: the submission's, or else the definition's.

        Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_SubmitJob.html
        """
        own: int | None = self.request.get("schedulingPriorityOverride")
        return getattr(self.definition, "scheduling_priority", None) if own is None else own

    @property
    def vcpus(self) -> float:
        """The vCPUs that all its nodes ask for."""
        return sum(
            float(each["value"])
            for container in self.containers
            for each in container.get("resourceRequirements") or []
            if each["type"] == "VCPU"
        )

    @property
    def most_attempts(self) -> int:
        """How often it is tried in all."""
        strategy = self.request.get("retryStrategy") or self.definition.retry_strategy or {}
        return int(dict(strategy).get("attempts") or 1)

    @property
    def conditions(self) -> list[dict[str, str]]:
        """What decides over another attempt: the submission's conditions, or the definition's."""
        strategy = self.request.get("retryStrategy") or self.definition.retry_strategy or {}
        return list(dict(strategy).get("evaluateOnExit") or [])

    @property
    def timeout(self) -> dict[str, Any]:
        """The timeout that holds: the submission's, or the definition's."""
        return dict(self.request.get("timeout") or self.definition.timeout or {})

    def exit_of(self, node: int, attempt: int) -> int:
        """Returns the exit code of a node in an attempt, both counted from 0."""
        if node in self.script.node_exits:
            return self.script.node_exits[node]
        return self.script.exits[min(attempt, len(self.script.exits) - 1)]

    def stream(self, node: int, attempt: int) -> str:
        """Returns the name of the log stream of a node in an attempt."""
        options = self.log_options(node)
        prefix = options.get("awslogs-stream-prefix") or self.definition.name
        return f"{prefix}/default/{self.task(node, attempt)}"

    def task(self, node: int, attempt: int) -> str:
        """Returns the id of a node's ECS task, as many hexadecimal digits as ECS gives it."""
        return f"{self._digits}{attempt:02x}{self._place(node):06x}"

    def container_instance(self, node: int) -> str:
        """Returns the id of the ECS container instance that a node runs on."""
        return f"{self._digits}ff{self._place(node):06x}"

    def instance(self, node: int) -> str:
        """Returns the id of the EC2 instance that a node runs on."""
        return f"i-0{self._digits[:10]}{self._place(node):06x}"

    def _place(self, node: int) -> int:
        """Returns what distinguishes the nodes of a job, or the children of an array."""
        return node if self.index is None else self.index

    @property
    def _digits(self) -> str:
        return self.id.replace("-", "")[:24]

    def log_options(self, node: int) -> dict[str, str]:
        """Returns the options of a node's log driver."""
        configuration = self.containers[node].get("logConfiguration") or {}
        return dict(configuration.get("options") or {})

    def log_group(self, node: int) -> str:
        """Returns the log group of a node: Batch's own where the definition names none."""
        return self.log_options(node).get("awslogs-group") or LOG_GROUP


class Jobs(MutableMapping[str, Job]):
    """The jobs of a Batch by id, in the order of submission.

    Whatever changes it sets or deletes one item at a time, which a subclass of dict does not.
    """

    def __init__(self) -> None:
        self._all: dict[str, Job] = {}
        self._unsettled: dict[str, Job] = {}

    def __getitem__(self, identifier: str) -> Job:
        return self._all[identifier]

    def __setitem__(self, identifier: str, job: Job) -> None:
        self._all[identifier] = job
        self._unsettled[identifier] = job

    def __delitem__(self, identifier: str) -> None:
        del self._all[identifier]
        self._unsettled.pop(identifier, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def values(self) -> ValuesView[Job]:
        """Returns the jobs, without looking up each of thousands."""
        return self._all.values()

    def unsettled(self) -> list[Job]:
        """Returns the jobs that can still change, or have output to write: of thousands, a few."""
        found = [job for job in self._unsettled.values() if not job.settled]
        if len(found) < len(self._unsettled):
            self._unsettled = {job.id: job for job in found}
        return found


def summary(job: Job) -> dict[str, Any]:
    """Returns the structure that ListJobs holds."""
    found: dict[str, Any] = {
        "jobArn": job.arn,
        "jobId": job.id,
        "jobName": job.name,
        "createdAt": _ms(job.created),
        "status": job.status,
        "statusReason": job.status_reason,
        "startedAt": _ms(_started(job)),
        "stoppedAt": _ms(_stopped(job)),
        "jobDefinition": job.definition.arn,
        "shareIdentifier": job.share or None,
    }
    if job.children:
        found["arrayProperties"] = _array(job)
    elif job.index is not None:
        found["arrayProperties"] = {"index": job.index}
    if job.multi_node:
        found["nodeProperties"] = {"numNodes": len(job.containers)}
    elif job.attempts and job.attempts[-1].exit_code is not None:
        found["container"] = _exit(job.attempts[-1].exit_code, job.attempts[-1].reason)
    return _present(found)


def detail(job: Job, tags: dict[str, str]) -> dict[str, Any]:
    """Returns the structure that DescribeJobs holds for a job as a whole."""
    found: dict[str, Any] = {
        **summary(job),
        "jobQueue": job.queue.arn,
        "dependsOn": job.depends_on,
        "parameters": {**job.definition.parameters, **(job.request.get("parameters") or {})},
        "retryStrategy": {"attempts": job.most_attempts, "evaluateOnExit": job.conditions},
        "timeout": job.timeout or None,
        "schedulingPriority": job.priority,
        "tags": tags,
        "propagateTags": bool(job.definition.propagate_tags),
        "platformCapabilities": job.definition.platform_capabilities or ["EC2"],
        "attempts": [
            _attempt(job, job.main, number, ended) for number, ended in enumerate(_ended(job))
        ],
        "isCancelled": job.end == "cancelled",
        "isTerminated": job.end == "terminated",
    }
    if job.multi_node:
        found["nodeProperties"] = {
            "numNodes": len(job.containers),
            "mainNode": job.main,
            "nodeRangeProperties": _ranges(job),
        }
    else:
        found["container"] = {**job.containers[0], **_container(job, 0)}
    if job.index is not None:
        found["arrayProperties"] = {"index": job.index, "statusSummary": {}}
    return _present(found)


def _array(job: Job) -> dict[str, Any]:
    """Returns what Batch knows of an array: its size, and how far its children are."""
    return {
        "size": len(job.children),
        "statusSummary": job.child_states,
        "statusSummaryLastUpdatedAt": _ms(clock_of(job.queue.backend).now()),
    }


def node_summary(job: Job, node: int) -> dict[str, Any]:
    """Returns the structure that ListJobs holds for one node of a multi-node job."""
    found = {
        **summary(job),
        "jobArn": f"{job.arn}#{node}",
        "jobId": f"{job.id}#{node}",
        **_node_state(job, node),
        "nodeProperties": {
            "isMainNode": node == job.main,
            "numNodes": len(job.containers),
            "nodeIndex": node,
        },
    }
    container = _container(job, node)
    if "exitCode" in container:
        found["container"] = _present(
            {"exitCode": container["exitCode"], "reason": container.get("reason")}
        )
    return _present(found)


def node_detail(job: Job, node: int) -> dict[str, Any]:
    """Returns the structure that DescribeJobs holds for one node of a multi-node job."""
    found = {
        **detail(job, {}),
        "jobArn": f"{job.arn}#{node}",
        "jobId": f"{job.id}#{node}",
        **_node_state(job, node),
        "nodeDetails": {"nodeIndex": node, "isMainNode": node == job.main},
        "container": {**job.containers[node], **_container(job, node)},
        "attempts": [
            _attempt(job, node, number, ended) for number, ended in enumerate(_ended(job))
        ],
    }
    del found["nodeProperties"]
    return _present(found)


def _node_state(job: Job, node: int) -> dict[str, Any]:
    """A node that ends before the main one is in its final state while the job runs on."""
    if job.ended and node != job.main and job.attempts and not job.end:
        failed = job.exit_of(node, len(job.attempts) - 1) != 0
        return {"status": "FAILED" if failed else "SUCCEEDED"}
    if job.status == "RUNNING" and node != job.main and job.script.node_exits.get(node):
        return {"status": "FAILED", "statusReason": "Essential container in task exited"}
    return {"status": job.status, "statusReason": job.status_reason}


def _container(job: Job, node: int) -> dict[str, Any]:
    """Returns what Batch knows of a node's container once it is placed."""
    if not job.attempts:
        return {}
    number, attempt = len(job.attempts) - 1, job.attempts[-1]
    index = node % 250
    found: dict[str, Any] = {
        "containerInstanceArn": ecs_arn(
            attempt.environment, "container-instance", job.container_instance(node)
        ),
        "taskArn": ecs_arn(attempt.environment, "task", job.task(node, number)),
        "instanceType": attempt.instance_type,
    }
    if attempt.started:
        found["logStreamName"] = job.stream(node, number)
        found["networkInterfaces"] = [
            {
                "attachmentId": job.task(node, number),
                "privateIpv4Address": f"10.0.{node // 250}.{index + 4}",
            }
        ]
    early = node != job.main and job.status == "RUNNING" and job.script.node_exits.get(node)
    if attempt.exit_code is not None or early:
        code = job.exit_of(node, number)
        if node == job.main or job.end:
            code = 0 if attempt.exit_code is None else attempt.exit_code
        found |= _exit(code, attempt.reason if node == job.main else None)
    return found


def _attempt(job: Job, node: int, number: int, attempt: Attempt) -> dict[str, Any]:
    code = attempt.exit_code if node == job.main else job.exit_of(node, number)
    return _present(
        {
            "container": _present(
                {
                    "taskArn": ecs_arn(attempt.environment, "task", job.task(node, number)),
                    "exitCode": code,
                    "reason": attempt.reason,
                    "logStreamName": job.stream(node, number) if attempt.started else None,
                }
            ),
            "startedAt": _ms(attempt.started),
            "stoppedAt": _ms(attempt.stopped),
            "statusReason": attempt.status_reason,
        }
    )


def _ended(job: Job) -> list[Attempt]:
    return [attempt for attempt in job.attempts if attempt.stopped]


def ecs_arn(environment: ComputeEnvironment, kind: str, identifier: str) -> str:
    """Returns the ARN of something in the ECS cluster of an environment.

    Args:
        environment: The environment.
        kind: Such as `task`.
        identifier: Its id.
    """
    return f"{environment.ecs_arn.replace(':cluster/', f':{kind}/')}/{identifier}"


def _ranges(job: Job) -> list[dict[str, Any]]:
    """Returns the node ranges with the overrides applied and their ends filled in."""
    ranges = []
    for each in (job.definition.node_properties or {})["nodeRangeProperties"]:
        first, _, last = each["targetNodes"].partition(":")
        first, last = first or "0", last or str(len(job.containers) - 1)
        ranges.append(
            {"targetNodes": f"{first}:{last}", "container": job.containers[int(first)]},
        )
    return ranges


def _started(job: Job) -> float:
    return job.attempts[-1].started if job.attempts else 0.0


def _stopped(job: Job) -> float:
    if not job.ended:
        return 0.0
    if job.children:
        return max(_stopped(child) for child in job.children)
    return job.attempts[-1].stopped if job.attempts else job.created


def _exit(code: int | None, reason: str | None) -> dict[str, Any]:
    return _present({"exitCode": code, "reason": reason})


def _ms(seconds: float) -> int | None:
    return round(seconds * 1000) or None


def _present(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
