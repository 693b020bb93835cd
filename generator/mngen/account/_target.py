"""What is about to be submitted, and what AWS has of where it would go."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from mngen.account._definition import containers_of
from mngen.account._environment import stem_of
from mngen.cluster import aws_name, queue_name
from mngen.spec import need_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from mypy_boto3_batch.client import BatchClient
    from mypy_boto3_batch.type_defs import (
        ComputeEnvironmentDetailTypeDef,
        JobDefinitionTypeDef,
        JobQueueDetailTypeDef,
    )

    from mngen.account._account import Account
    from mngen.account._reservations import Wait
    from mngen.cluster import ResolvedEnvironment, ResolvedJob, ResolvedQueue


class Intent(msgspec.Struct, frozen=True):
    """What is about to be submitted.

    Attributes:
        job: The job of the spec.
        queue: The queue that it goes to: its own, or another that was asked for.
        nodes: Nodes of a multi-node parallel job; None for a job of one node.
        vcpus: vCPUs of each node that are asked for; None for the definition's.
        memory: MiB of each node that are asked for; None for the definition's.
        gpus: GPUs of each node that are asked for; None for the definition's.
        command: Program and arguments; empty for the definition's.
        environment: Variables that are set over the definition's.
        overrides: The overrides of one node as the JSON that is sent, with all that is added.
        registering: Whether a new revision of the definition is registered first.
        share: Share identifier for a queue with a fair-share scheduling policy; None for none.
        after: IDs of the jobs that must succeed before it starts.
        tags: Tags of the job, beside those that mngen gives it.
        priority: Priority within the share; None for the definition's.
        size: How many jobs an array job has; None for a job that is none.
    """

    job: ResolvedJob
    queue: ResolvedQueue
    nodes: int | None
    vcpus: int | None
    memory: int | None
    gpus: int | None
    command: tuple[str, ...]
    environment: Mapping[str, str]
    overrides: str
    registering: bool = False
    share: str | None = None
    after: tuple[str, ...] = ()
    tags: Mapping[str, str] = {}
    priority: int | None = None
    size: int | None = None


class Target:
    """Where an intent would go: the queue, the definition and the environments of the account.

    Attributes:
        intent: What is about to be submitted.
        account: The account.
        definition: The revision that it would be submitted with; None where there is none.
    """

    def __init__(
        self, intent: Intent, account: Account, definition: JobDefinitionTypeDef | None
    ) -> None:
        self.intent = intent
        self.account = account
        self.definition = definition

    @property
    def batch(self) -> BatchClient:
        """The client of Batch."""
        found: BatchClient = self.account.client("batch")
        return found

    @property
    def deployment(self) -> str:
        """Name of the deployment, with which all its names begin."""
        return self.account.cluster.spec.name

    @cached_property
    def queue(self) -> JobQueueDetailTypeDef | None:
        """The queue in the account; None where there is none."""
        name = queue_name(self.account.cluster.spec, self.intent.queue.name)
        found = self.batch.describe_job_queues(jobQueues=[name])["jobQueues"]
        return next(iter(found), None)

    @cached_property
    def environments(self) -> list[ComputeEnvironmentDetailTypeDef]:
        """The queue's environments in the account, in their order."""
        if self.queue is None:
            return []
        order = sorted(self.queue["computeEnvironmentOrder"], key=lambda each: each["order"])
        arns = [each["computeEnvironment"] for each in order]
        if not arns:
            return []
        found = self.batch.describe_compute_environments(computeEnvironments=arns)
        by_arn = {each["computeEnvironmentArn"]: each for each in found["computeEnvironments"]}
        return [by_arn[arn] for arn in arns if arn in by_arn]

    def live(self, environment: ResolvedEnvironment) -> ComputeEnvironmentDetailTypeDef | None:
        """Returns the environment of the account that the spec's stands for, or None."""
        name = aws_name(self.deployment, environment.name)
        for each in self.environments:
            if stem_of(each) == name:
                return each
        return None

    @cached_property
    def containers(self) -> list[dict[str, Any]]:
        """The containers of the definition: that of each node range, or the only one."""
        return containers_of(self.definition)

    @property
    def container(self) -> dict[str, Any]:
        """The container of the definition: that of the first node range, or the only one."""
        return self.containers[0]

    def resource(self, kind: str) -> int | None:
        """Returns the most that a node asks for of `VCPU`, `MEMORY` (MiB) or `GPU`.

        It is that of the submission, or else of the definition.
        """
        intent = self.intent
        asked = {"VCPU": intent.vcpus, "MEMORY": intent.memory, "GPU": intent.gpus}[kind]
        if asked is not None:
            return asked
        return max(need_of(each, kind)[1] for each in self.containers) or None

    def waits_for_capacity(self, now: datetime) -> Iterator[tuple[ResolvedEnvironment, Wait]]:
        """Yields the queue's environments with reserved capacity that has no room for the job now.

        Nothing if another environment of the queue may take the job.

        Raises:
            botocore.exceptions.ClientError: AWS refused to describe a reservation.
        """
        found = []
        for environment in self.intent.queue.environments:
            identifier = environment.reservation_id
            reserved = self.account.reservation(identifier) if identifier else None
            wait = reserved.wait(self.nodes, now) if reserved else None
            if wait is None:
                return
            found.append((environment, wait))
        yield from found

    @property
    def nodes(self) -> int:
        """How many instances the job takes."""
        return self.intent.nodes or 1
