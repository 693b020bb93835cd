"""What the package takes and returns: frozen data, ready for JSON."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

State = Literal["SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED"]

STATES: tuple[State, ...] = (
    "SUBMITTED",
    "PENDING",
    "RUNNABLE",
    "STARTING",
    "RUNNING",
    "SUCCEEDED",
    "FAILED",
)
"""Batch's words for the states of a job, in their order."""

WAITING: tuple[State, ...] = ("SUBMITTED", "PENDING", "RUNNABLE")
ENDED: tuple[State, ...] = ("SUCCEEDED", "FAILED")


class Order(Struct, frozen=True, kw_only=True):
    """What is asked for; everything but the job is taken from the definition unless given.

    Attributes:
        job: Name of the job in the spec.
        nodes: Nodes of a multi-node parallel job.
        queue: Name of a queue in the spec.
        name: Name of the job in Batch; the job's own by default.
        command: Program and arguments.
        environment: Variables that are set over the definition's.
        vcpus: vCPUs of each node, as the ECS agent counts them.
        memory: MiB of each node.
        gpus: GPUs of each node.
        attempts: How often the job is tried in all.
        timeout: Seconds after which an attempt is stopped.
        share: Share identifier, for a queue with a fair-share scheduling policy; by default that
            of the job in the spec, or else the submitter's name.
        priority: Priority among the jobs of the share; higher comes first.
        inputs: The folder of the uploaded inputs; part of what makes two submissions the same.
        after: IDs of the jobs that must succeed before it starts.
        tags: Tags of the job, beside those that mngen gives it.
    """

    job: str
    nodes: int | None = None
    queue: str | None = None
    name: str | None = None
    command: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    vcpus: int | None = None
    memory: int | None = None
    gpus: int | None = None
    attempts: int | None = None
    timeout: int | None = None
    share: str | None = None
    priority: int | None = None
    inputs: str | None = None
    after: tuple[str, ...] = ()
    tags: dict[str, str] = {}


class Submission(Struct, frozen=True, kw_only=True):
    """A job that was submitted, now or before.

    Attributes:
        id: Its id in Batch.
        name: Its name.
        queue: Name of its queue in the spec.
        definition: The revision of the definition, as `name:revision`.
        nodes: How many nodes it has.
        token: Identifies the request; equal for the same request.
        existed: Whether the same had been submitted before, and nothing was sent now.
        by: Who submitted it, as far as its tags show.
        state: Its state when it was last seen.
        after: IDs of the jobs that must succeed before it starts.
    """

    id: str
    name: str
    queue: str
    definition: str
    nodes: int
    token: str
    existed: bool = False
    by: str | None = None
    state: State = "SUBMITTED"
    after: tuple[str, ...] = ()


class Awaited(Struct, frozen=True, kw_only=True):
    """A job that another one waits for.

    Attributes:
        id: Its id.
        name: Its name.
        state: Its state.
    """

    id: str
    name: str
    state: State


class JobSummary(Struct, frozen=True, kw_only=True):
    """One line of a list of jobs. Times are seconds since the epoch, None for not yet.

    Attributes:
        id: Its id in Batch.
        name: Its name.
        queue: Name of its queue, as in the spec where it is one of the deployment's.
        state: Its state.
        nodes: How many nodes it has.
        created: When it was submitted.
        started: When its last attempt started to run.
        stopped: When it ended.
        exit_code: What its container exited with, as far as Batch lists it.
        reason: Why it is in its state, in Batch's words.
        awaits: The unfinished jobs that it waits for, while it is PENDING.
        share: Its share, in a queue with a fair-share scheduling policy.
        turn: Its place among the RUNNABLE jobs of its queue, from 1, of an array that of the first
            of its jobs; None where that was not asked, or is not among the first 100.
        size: How many jobs an array has, which is PENDING while they run; None for other jobs.
        children: Of an array, how many of its jobs are in each state; states without any are left
            out.
    """

    id: str
    name: str
    queue: str
    state: State
    nodes: int
    created: float
    started: float | None = None
    stopped: float | None = None
    exit_code: int | None = None
    reason: str | None = None
    awaits: tuple[Awaited, ...] = ()
    share: str | None = None
    turn: int | None = None
    size: int | None = None
    children: dict[str, int] = {}


class ShareUse(Struct, frozen=True, kw_only=True):
    """What the jobs of a share use now.

    Attributes:
        share: The share identifier.
        vcpus: Their vCPUs.
    """

    share: str
    vcpus: float


class Turns(Struct, frozen=True, kw_only=True):
    """Whose turn it is in a queue, as Batch last saw it.

    Attributes:
        queue: Name of the queue in the spec.
        jobs: Ids of the first RUNNABLE jobs, at most 100, in the order in which they start.
        vcpus: vCPUs in use by all jobs of the queue.
        shares: What the jobs of each share use, the largest use first: at most 20 shares, none
            without a scheduling policy.
    """

    queue: str
    jobs: tuple[str, ...]
    vcpus: float = 0.0
    shares: tuple[ShareUse, ...] = ()


class NodeStatus(Struct, frozen=True, kw_only=True):
    """One node of a job.

    Attributes:
        index: Its index, from 0.
        main: Whether it is the main node.
        state: Its state.
        since: Since when it is in this state, in seconds since the epoch; None if Batch does
            not report it.
        started: When its container started, likewise.
        stopped: When it ended, likewise.
        instance: Id of the EC2 instance that it runs on, such as `i-0123456789abcdef0`; None where
            it is not known: it was not asked for, may not be, or the instance is gone.
        ami: The AMI that this instance was started from, such as `ami-0123456789abcdef0`; None
            where it is not known, likewise.
        container_instance: ARN of that instance as ECS knows it.
        instance_type: The EC2 instance type.
        address: Its private IPv4 address.
        exit_code: What its container exited with.
        reason: Why it is in this state, or its container ended.
        log_stream: Name of its log stream.
        group: The node group that it belongs to; None in a job without groups.
    """

    index: int
    main: bool
    state: State
    since: float | None = None
    started: float | None = None
    stopped: float | None = None
    instance: str | None = None
    ami: str | None = None
    container_instance: str | None = None
    instance_type: str | None = None
    address: str | None = None
    exit_code: int | None = None
    reason: str | None = None
    log_stream: str | None = None
    group: str | None = None


class Cause(Struct, frozen=True, kw_only=True):
    """One thing for which a job waits, or may wait, or failed before it ran.

    Attributes:
        what: What it is, in one sentence.
        remedy: What to do about it.
        certain: Whether the job cannot run while it is so; otherwise it is worth a look.
        rule: The rule that found it, such as `MN211`, where one did.
        see: Where it is documented.
        instances: Ids of the EC2 instances that it is about.
        console: The last relevant lines that one of them wrote to its console, as plain text.
    """

    what: str
    remedy: str
    certain: bool = True
    rule: str | None = None
    see: str | None = None
    instances: tuple[str, ...] = ()
    console: tuple[str, ...] = ()


class JobStatus(Struct, frozen=True, kw_only=True):
    """A job with its nodes.

    Attributes:
        id: Its id.
        name: Its name.
        queue: Name of its queue, as in the spec where it is one of the deployment's.
        definition: The revision of its definition.
        state: Its state.
        reason: Why, in Batch's words.
        created: When it was submitted, in seconds since the epoch.
        started: When its last attempt started to run, likewise; None for not yet.
        stopped: When it ended, likewise.
        attempt: The attempt that runs or ran last, from 1; 0 before the first.
        attempts: How often it is tried in all.
        exit_code: What the main node's container exited with.
        log_group: The group that holds its log streams.
        nodes: Its nodes, by index. An array has none: its jobs have.
        after: IDs of the jobs that must succeed before it starts.
        retried: Why its last attempt was tried again, or was not; None where neither was decided.
        causes: Why it waits, or failed before it ran; empty where neither is so, or nothing was
            asked for.
        size: How many jobs an array has, which is PENDING while they run; None for other jobs.
        children: Of an array, how many of its jobs are in each state; states without any are left
            out.
    """

    id: str
    name: str
    queue: str
    definition: str
    state: State
    created: float
    reason: str | None = None
    started: float | None = None
    stopped: float | None = None
    attempt: int = 0
    attempts: int = 1
    exit_code: int | None = None
    log_group: str = ""
    nodes: tuple[NodeStatus, ...] = ()
    after: tuple[str, ...] = ()
    retried: str | None = None
    causes: tuple[Cause, ...] = ()
    size: int | None = None
    children: dict[str, int] = {}

    @property
    def ended(self) -> bool:
        """Whether it is in a final state."""
        return self.state in ENDED


class LogLine(Struct, frozen=True):
    """One line of a job's output.

    Attributes:
        node: Index of the node; of an array, of its job.
        time: When it was written, in milliseconds since the epoch.
        text: The line, without its end.
        group: The name of the node's group; None where the job has none.
    """

    node: int
    time: int
    text: str
    group: str | None = None


def as_data(value: Any) -> Any:
    """Returns structs as JSON-ready data."""
    import msgspec

    return msgspec.to_builtins(value)
