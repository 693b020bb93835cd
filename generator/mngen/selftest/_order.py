"""Which job's definition to submit with, what to change in it, and what it costs at most."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from mngen.cluster import CPUS_CHECK_VARIABLE, KEY_VARIABLES, WAIT_VARIABLE
from mngen.errors import InputError, did_you_mean
from mngen.jobs import Order
from mngen.selftest._program import command
from mngen.spec import LAUNCHERS_WITHOUT_MPIRUN

if TYPE_CHECKING:
    from mngen.cluster import Cluster, ResolvedJob, ResolvedQueue

DEFAULT_NODES = 2
DEFAULT_TIMEOUT = 600
"""Seconds that the job may run."""
SHORTEST_TIMEOUT = 120
_NAME = "mngen-selftest"
_SECONDS = 0.5
_MARGIN = 40
"""Seconds that a job has left to report what went wrong when a rank hangs."""


class Wish(Struct, frozen=True, kw_only=True):
    """What is asked for.

    Attributes:
        nodes: Number of nodes.
        job: The job whose definition is taken; None for the first one of several nodes.
        queue: The queue; None for the job's own.
        timeout: Seconds that the job may run.
    """

    nodes: int = DEFAULT_NODES
    job: str | None = None
    queue: str | None = None
    timeout: int = DEFAULT_TIMEOUT


class Choice(Struct, frozen=True, kw_only=True):
    """What will be submitted.

    Attributes:
        job: The job whose definition it is.
        queue: The queue that it goes to.
        order: The submission.
        timeout: Seconds that it may run.
    """

    job: ResolvedJob
    queue: ResolvedQueue
    order: Order
    timeout: int

    @property
    def nodes(self) -> int:
        """How many nodes it has."""
        return self.order.nodes or 1

    def bound(self, price: float | None = None) -> str:
        """Returns what the run costs at most, in a sentence.

        Prices differ by region, change, and take discounts, so none is assumed.

        Args:
            price: USD for an hour of one instance, if the user gives it.
        """
        minutes = self.nodes * self.timeout / 60
        types = ", ".join(
            dict.fromkeys(kind.name for each in self.queue.environments for kind in each.types)
        )
        text = (
            f"{self.nodes} nodes of {types}, stopped after {self.timeout / 60:g} min at the "
            f"latest: at most {minutes:g} instance-minutes"
        )
        if price is not None:
            text += f", {minutes / 60 * price:.2f} USD"
        text += "; instances that it starts are paid for from launch to termination, some minutes"
        text += " more each"
        return text if price is not None else f"{text} (--price USD an hour shows it as money)"


def choose(cluster: Cluster, wish: Wish) -> Choice:
    """Returns what to submit.

    The definition of a job of the spec is used: image, mounts, rights and devices are then those
    that are to be tested, and it needs no right that a submitter does not have.

    Raises:
        InputError: The spec has no such job or queue, or no job of several nodes.
    """
    if wish.nodes < 1 or wish.timeout < SHORTEST_TIMEOUT:
        raise InputError(
            f"--timeout {wish.timeout}: the job needs {SHORTEST_TIMEOUT} seconds at least"
            if wish.nodes >= 1
            else f"--nodes {wish.nodes}: a job has one node or more"
        )
    storage = cluster.spec.storage
    queue = _queue(cluster, wish.queue)
    job = _job(cluster, wish.job, queue)
    chosen = queue or job.queue
    own = chosen.name == job.queue.name
    environment = {
        # What the job's definition may set for its application, not for the nodes.
        CPUS_CHECK_VARIABLE: "warn",
        WAIT_VARIABLE: str(wish.timeout // 2),
    }
    if job.spec.launcher in LAUNCHERS_WITHOUT_MPIRUN:
        environment[KEY_VARIABLES["launcher"]] = "openmpi"
    order = Order(
        job=job.name,
        nodes=wish.nodes,
        queue=wish.queue,
        name=_NAME,
        command=command(
            storage.efs.mount,
            _SECONDS,
            wish.timeout - _MARGIN,
            storage.fsx_mount or "",
        ),
        environment=environment,
        vcpus=None if own else min(each.schedulable_vcpus for each in chosen.environments),
        memory=None if own else min(each.job_memory for each in chosen.environments),
        gpus=None if own else min(each.gpus for each in chosen.environments) or None,
        attempts=1,
        timeout=wish.timeout,
    )
    return Choice(job=job, queue=chosen, order=order, timeout=wish.timeout)


def _queue(cluster: Cluster, name: str | None) -> ResolvedQueue | None:
    if name is None:
        return None
    queues = {each.name: each for each in cluster.queues}
    if name not in queues:
        listed = f"the queues are {', '.join(queues)}"
        raise InputError(
            f"the spec has no queue `{name}`", hint=did_you_mean(name, queues) or listed
        )
    return queues[name]


def _job(cluster: Cluster, name: str | None, queue: ResolvedQueue | None) -> ResolvedJob:
    # A definition from a file may have any image: mngen's own has what is needed. Node groups have
    # their own commands, and perhaps such images.
    jobs = {
        each.name: each
        for each in cluster.jobs
        if each.spec.nodes is not None and not each.spec.definition and not each.groups
    }
    if name is not None:
        if any(each.name == name and each.spec.definition for each in cluster.jobs):
            raise InputError(
                f"the definition of `{name}` is from a file: its image may not have what is needed",
                hint="name a job without `definition`",
            )
        if any(each.name == name and each.groups for each in cluster.jobs):
            raise InputError(
                f"the nodes of `{name}` have their own commands",
                hint="name a job without `groups`; one on the same queue tests the same nodes",
            )
        if name not in jobs:
            listed = f"those of several nodes are {', '.join(jobs) or 'none'}"
            raise InputError(
                f"the spec has no multi-node job `{name}`", hint=did_you_mean(name, jobs) or listed
            )
        return jobs[name]
    if not jobs:
        raise InputError(
            "the spec has no multi-node job whose definition the self-test could use",
            hint="add one under `jobs`, such as `hello: {queue: QUEUE, nodes: 2, command: "
            "[hostname]}`, and run `mngen apply`",
        )
    # One of that queue rather than another's, and one on mngen's image, which has what is needed.
    return min(
        jobs.values(),
        key=lambda each: (
            queue is not None and each.queue.name != queue.name,
            each.spec.image is not None,
            each.name,
        ),
    )
