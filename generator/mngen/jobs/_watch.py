"""A deployment at a glance, round after round: its queues, environments and unfinished jobs.

A round takes at most 12 calls, however many nodes, jobs and queues there are:

- one each for the queues, their environments, and the ECS clusters of these, which know how many
  instances run;
- up to eight of ListJobs, which gives 1,000 jobs of one queue in one state. Queues and states that
  do not fit into a round take turns;
- one of DescribeJobs, which has the user and the timeout that ListJobs leaves out: of 100 jobs that
  were not described before. Neither of the two changes while a job exists.

Sources: https://docs.aws.amazon.com/batch/latest/APIReference/API_ListJobs.html,
https://docs.aws.amazon.com/batch/latest/APIReference/API_DescribeJobs.html,
https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeClusters.html
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from mngen._aws import translated, was_denied
from mngen.account import fault_of, size_of, stem_of
from mngen.cluster import SUBMITTER_TAG, aws_name, queue_name
from mngen.jobs import _clock
from mngen.jobs._arrays import counts_of
from mngen.jobs._batch import DESCRIBED_AT_ONCE, describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from mngen.cluster import Cluster
    from mngen.jobs._types import State

CALLS_A_ROUND = 12
_LISTS_A_ROUND = CALLS_A_ROUND - 4
_PAGE = 1000
_ASKED_AT_ONCE = 100
"""Most names of a call of DescribeJobQueues, DescribeComputeEnvironments or DescribeClusters.

Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_DescribeJobQueues.html,
https://docs.aws.amazon.com/batch/latest/APIReference/API_DescribeComputeEnvironments.html
"""

UNFINISHED: tuple[State, ...] = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING")
"""The states in which a job has not finished, in the order in which it moves on."""

_BY_PROGRESS: tuple[str, ...] = UNFINISHED[::-1]


class QueueView(Struct, frozen=True, kw_only=True):
    """A queue.

    Attributes:
        name: Its name in the spec.
        exists: Whether AWS Batch has it.
        fault: Why it takes no jobs, in the words of AWS Batch; None if it takes them.
        counts: How many jobs are in each state; a state that was not listed yet is missing. The
            jobs of an array count, where AWS Batch lists how many are in each state.
        oldest: When the job was submitted that has been RUNNABLE and was submitted first, in
            seconds since the epoch; None for none. Without a fair-share policy, that is the head of
            the queue.
    """

    name: str
    exists: bool
    fault: str | None
    counts: dict[str, int]
    oldest: float | None


class EnvironmentView(Struct, frozen=True, kw_only=True):
    """A compute environment.

    Attributes:
        name: Its name in the spec, or in AWS Batch if it is none of the spec's.
        fault: Why it takes no jobs, in the words of AWS Batch; None if it takes them.
        types: The instance types that it may start.
        vcpus: vCPUs of one instance; None if its types differ in them, or are not known.
        desired_vcpus: vCPUs that AWS Batch wants in it at the moment.
        max_vcpus: vCPUs that it may have.
        running: How many instances have joined its ECS cluster; None if that is not known.
    """

    name: str
    fault: str | None
    types: tuple[str, ...]
    vcpus: int | None
    desired_vcpus: int
    max_vcpus: int
    running: int | None


class ActiveJob(Struct, frozen=True, kw_only=True):
    """A job that has not finished.

    Attributes:
        id: Its id.
        name: Its name.
        queue: Its queue in the spec.
        state: Its state.
        nodes: How many nodes it has.
        array: How many jobs an array has; None for a job that is not an array.
        children: Of an array, how many of its jobs are in each state; empty where AWS Batch does
            not list it.
        created: When it was submitted, in seconds since the epoch.
        started: When its current attempt started to run, likewise; None if it does not run.
        described: Whether the following are known.
        timeout: After how many seconds AWS Batch stops an attempt; None for never.
        user: Who submitted it, as far as its tags show.
    """

    id: str
    name: str
    queue: str
    state: State
    nodes: int
    array: int | None
    children: dict[str, int] = {}
    created: float
    started: float | None
    described: bool
    timeout: int | None
    user: str | None

    def left(self, now: float) -> float | None:
        """Returns how many seconds of its timeout are left; None if it does not run or has none.

        A timeout counts from the start of each attempt.
        Source: https://docs.aws.amazon.com/batch/latest/userguide/job_timeouts.html

        Args:
            now: Seconds since the epoch.
        """
        if self.started is None or self.timeout is None:
            return None
        return max(0.0, self.started + self.timeout - now)


class Overview(Struct, frozen=True, kw_only=True):
    """A deployment at a glance.

    Attributes:
        deployment: Its name.
        region: Its region.
        time: When the round ended, in seconds since the epoch.
        oldest_figure: When the list of jobs was read that is oldest, likewise.
        complete: Whether every queue was listed in every state at least once.
        queues: The queues of the spec, by name.
        environments: The compute environments of the queues.
        jobs: The jobs that have not finished: those that run first, then those that start and those
            that wait, each in the order of submission.
    """

    deployment: str
    region: str
    time: float
    oldest_figure: float
    complete: bool
    queues: tuple[QueueView, ...]
    environments: tuple[EnvironmentView, ...]
    jobs: tuple[ActiveJob, ...]


@dataclass(slots=True)
class _Listing:
    """The jobs of one queue in one state, page by page.

    Attributes:
        queue: The queue's name in AWS.
        state: The state.
        jobs: The jobs as they were last listed.
        read: When that was, in seconds since the epoch; 0 for never.
        pages: The jobs of the pages read so far of the next list.
        token: What the next page is asked for with; None if the next page is a first one.
    """

    queue: str
    state: State
    jobs: list[Any] = field(default_factory=list)
    read: float = 0.0
    pages: list[Any] = field(default_factory=list)
    token: str | None = None

    def turn_page(self, batch: Any) -> None:
        """Reads a page with one call."""
        more = {"nextToken": self.token} if self.token else {}
        so_far, self.pages, self.token = self.pages, [], None
        # If this fails, the next attempt starts with the first page.
        answer = batch.list_jobs(
            jobQueue=self.queue, jobStatus=self.state, maxResults=_PAGE, **more
        )
        self.pages = [*so_far, *answer["jobSummaryList"]]
        self.token = answer.get("nextToken")
        if self.token is None:
            self.jobs, self.pages, self.read = self.pages, [], _clock.now()


class Watcher:
    """Looks at a deployment round after round; keeps what does not change.

    Args:
        cluster: The deployment.
        connect: Makes a client of a service.
    """

    def __init__(self, cluster: Cluster, connect: Callable[[str], Any]) -> None:
        self._cluster = cluster
        self._connect = connect
        self._clients: dict[str, Any] = {}
        self._names = {queue_name(cluster.spec, each.name): each.name for each in cluster.queues}
        # Those to be read first come first.
        self._turn: list[_Listing] = []
        self._details: dict[str, tuple[int | None, str | None]] = {}
        self._may_count = True

    def look(self) -> Overview:
        """Returns the deployment after one more round of at most 12 calls.

        Raises:
            ToolError: AWS does not answer, or refuses; the next round can still work.
        """
        with translated():
            batch = self._client("batch")
            queues = _in_parts(batch.describe_job_queues, "jobQueues", self._names)
            arns = dict.fromkeys(
                order["computeEnvironment"]
                for each in queues
                for order in each.get("computeEnvironmentOrder", [])
            )
            environments = _in_parts(
                batch.describe_compute_environments, "computeEnvironments", arns
            )
            running = self._count_instances(environments)
            self._list(batch, [each["jobQueueName"] for each in queues])
            jobs = self._jobs()
            self._describe(batch, jobs)
            return self._overview(queues, environments, running, jobs)

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self._connect(service)
        return self._clients[service]

    def _count_instances(self, environments: list[Any]) -> dict[str, int]:
        """Returns how many instances have joined the clusters of the spec's environments, by ARN.

        The permission is for those alone; without it, nothing is known and it is not asked again.
        """
        from botocore.exceptions import ClientError

        own = {self._stem(each.name) for each in self._cluster.environments}
        arns = [
            each["ecsClusterArn"]
            for each in environments
            if stem_of(each) in own and each.get("ecsClusterArn")
        ]
        if not arns or not self._may_count:
            return {}
        try:
            found = _in_parts(self._client("ecs").describe_clusters, "clusters", arns)
        except ClientError as error:
            if not was_denied(error):
                raise
            self._may_count = False
            return {}
        return {each["clusterArn"]: each["registeredContainerInstancesCount"] for each in found}

    def _list(self, batch: Any, queues: list[str]) -> None:
        """Lists jobs with at most eight calls: what was listed longest ago comes first."""
        known = {(each.queue, each.state) for each in self._turn}
        self._turn = [each for each in self._turn if each.queue in queues]
        self._turn += [
            _Listing(queue, state)
            for state in UNFINISHED
            for queue in queues
            if (queue, state) not in known
        ]
        # A long list goes on first, and leaves half of the calls to the others.
        left = _LISTS_A_ROUND - self._turn_pages(batch, _LISTS_A_ROUND // 2)
        for listing in self._turn[:left]:
            self._turn_page(batch, listing)
            left -= 1
        self._turn_pages(batch, left)

    def _turn_pages(self, batch: Any, most: int) -> int:
        """Goes on with lists of several pages; returns how many calls that took."""
        for count in range(most):
            unfinished = next((each for each in self._turn if each.token), None)
            if unfinished is None:
                return count
            self._turn_page(batch, unfinished)
        return most

    def _turn_page(self, batch: Any, listing: _Listing) -> None:
        self._turn.remove(listing)
        self._turn.append(listing)
        listing.turn_page(batch)

    def _jobs(self) -> list[tuple[str, Any]]:
        """Returns the unfinished jobs with their queues: those that run first.

        A job that moved on between two lists is in both: the later one counts.
        """
        found = {
            job["jobId"]: (listing.queue, {**job, "status": listing.state})
            for listing in sorted(self._turn, key=lambda each: each.read)
            for job in listing.jobs
        }
        return sorted(
            found.values(),
            key=lambda each: (
                _BY_PROGRESS.index(each[1]["status"]),
                each[1].get("createdAt", 0),
                each[1]["jobId"],
            ),
        )

    def _describe(self, batch: Any, jobs: list[tuple[str, Any]]) -> None:
        """Reads what ListJobs leaves out, of the first hundred jobs of which it is not known."""
        ids = [job["jobId"] for _, job in jobs]
        self._details = {each: self._details[each] for each in ids if each in self._details}
        new = [each for each in ids if each not in self._details][:DESCRIBED_AT_ONCE]
        if not new:
            return
        found: dict[str, Any] = {each["jobId"]: each for each in describe(batch, new)}
        for each in new:
            # One that is gone by now is not asked for again.
            job = found.get(each, {})
            self._details[each] = (
                job.get("timeout", {}).get("attemptDurationSeconds"),
                job.get("tags", {}).get(SUBMITTER_TAG),
            )

    def _overview(
        self,
        queues: list[Any],
        environments: list[Any],
        running: Mapping[str, int],
        jobs: list[tuple[str, Any]],
    ) -> Overview:
        there = {each["jobQueueName"]: each for each in queues}
        return Overview(
            deployment=self._cluster.spec.name,
            region=self._cluster.spec.region,
            time=_clock.now(),
            oldest_figure=min((each.read for each in self._turn), default=_clock.now()),
            complete=all(each.read for each in self._turn),
            queues=tuple(
                self._queue(aws, name, there.get(aws), jobs) for aws, name in self._names.items()
            ),
            environments=tuple(self._environment(each, running) for each in environments),
            jobs=tuple(self._job(queue, each) for queue, each in jobs),
        )

    def _queue(self, aws: str, name: str, described: Any, jobs: list[tuple[str, Any]]) -> QueueView:
        own = [job for queue, job in jobs if queue == aws]
        counts: dict[str, int] = {
            each.state: 0 for each in self._turn if each.queue == aws and each.read
        }
        for job in own:
            for state, count in _states(job).items():
                if state in counts:
                    counts[state] += count
        waiting = [job.get("createdAt", 0) for job in own if "RUNNABLE" in _states(job)]
        return QueueView(
            name=name,
            exists=described is not None,
            fault=fault_of(described) if described else None,
            counts={state: counts[state] for state in UNFINISHED if state in counts},
            oldest=min(waiting) / 1000 if waiting else None,
        )

    def _environment(self, described: Any, running: Mapping[str, int]) -> EnvironmentView:
        resources = described.get("computeResources", {})
        types = tuple(resources.get("instanceTypes", ()))
        own = {self._stem(each.name): each for each in self._cluster.environments}
        resolved = own.get(stem_of(described))
        known = {kind.name: kind.vcpus for kind in resolved.types} if resolved else {}
        sizes = {known.get(each) for each in types}
        return EnvironmentView(
            name=resolved.name if resolved else described["computeEnvironmentName"],
            fault=fault_of(described),
            types=types,
            vcpus=sizes.pop() if len(sizes) == 1 else None,
            desired_vcpus=resources.get("desiredvCpus") or 0,
            max_vcpus=resources.get("maxvCpus") or 0,
            running=running.get(described.get("ecsClusterArn", "")),
        )

    def _job(self, queue: str, job: Any) -> ActiveJob:
        described = job["jobId"] in self._details
        timeout, user = self._details.get(job["jobId"], (None, None))
        started = job.get("startedAt") if job["status"] == "RUNNING" else None
        return ActiveJob(
            id=job["jobId"],
            name=job["jobName"],
            queue=self._names[queue],
            state=job["status"],
            nodes=job.get("nodeProperties", {}).get("numNodes", 1),
            array=size_of(job),
            children=counts_of(job),
            created=job.get("createdAt", 0) / 1000,
            started=started / 1000 if started else None,
            described=described,
            timeout=timeout,
            user=user,
        )

    def _stem(self, environment: str) -> str:
        return aws_name(self._cluster.spec.name, environment)


def _states(job: Any) -> dict[str, int]:
    """Returns how many jobs a job of a list is, by their states: an array is many."""
    return counts_of(job) or {job["status"]: 1}


def _in_parts(call: Callable[..., Any], key: str, names: Iterable[str]) -> list[Any]:
    """Asks about things by name, a hundred a call; without names, AWS would describe them all."""
    wanted = list(names)
    return [
        each
        for first in range(0, len(wanted), _ASKED_AT_ONCE)
        for each in call(**{key: wanted[first : first + _ASKED_AT_ONCE]})[key]
    ]
