"""What the self-test expects, what it saw, and the card that compares the two: frozen data."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from mngen.selftest._facts import Fact


class State(StrEnum):
    """What a check came to; the order of definition is the order of weight."""

    ERROR = "error"
    WARNING = "warning"
    SKIPPED = "skipped"
    OK = "ok"


class Machine(Struct, frozen=True, kw_only=True):
    """What a node of one instance type must be.

    Attributes:
        cpus: CPUs that are online.
        usable: CPUs that the ranks may use; None for all that are online.
        threads: Hardware threads a core that are online; None where it does not matter.
        nr_cpus: The kernel's CPU limit; None where there must be none.
        kernel: Whether the kernel's limit is known at all; on the rehearsing machine it is not.
        efa: Elastic Fabric Adapters in the container.
        gpus: GPUs in the container.
        scratch: Size of the node's scratch space, in GB; 0 for none.
        network: AWS's words for its network, such as `100 Gigabit`; empty for no promise.
        placed: Whether nodes are in a cluster placement group.
        ami: The AMI that its environment starts; None where it is not known.
        problem: What speaks against that AMI's record; empty for nothing.
    """

    cpus: int
    usable: int | None = None
    threads: int | None = None
    nr_cpus: int | None = None
    kernel: bool = True
    efa: int = 0
    gpus: int = 0
    scratch: int = 0
    network: str = ""
    placed: bool = False
    ami: str | None = None
    problem: str = ""


class Expected(Struct, frozen=True, kw_only=True):
    """What a run of the self-test must show.

    Attributes:
        title: What was tested, in a few words.
        nodes: Number of nodes.
        machines: What nodes must be, by instance type. The one with an empty name is for nodes of
            a type that is not known.
        mount: Where the shared file system is.
        lustre: Where FSx for Lustre must be; empty for none.
        efs: Whether it must be EFS; a rehearsal has none.
        tls: Whether its traffic must be encrypted.
        scratch: Where nodes have their scratch space; empty where the job has none.
        shared_memory: Least size of /dev/shm, MiB; 0 where it does not matter.
        limits: Soft limits of processes that the job sets, by name; -1 for none.
        launcher: The launcher of the job where that starts no mpirun, whose image may lack what the
            self-test needs; empty for another.
        root_is_expected: Whether ranks may run as root without a warning.
        real: Whether it ran on AWS: a rehearsal's network shows nothing about AWS.
    """

    title: str
    nodes: int
    machines: dict[str, Machine]
    mount: str
    lustre: str = ""
    efs: bool = True
    tls: bool = True
    scratch: str = ""
    shared_memory: int = 0
    limits: dict[str, int] = {}
    launcher: str = ""
    root_is_expected: bool = False
    real: bool = True


class Run(Struct, frozen=True, kw_only=True):
    """A run that has ended.

    Attributes:
        facts: What the program on the nodes wrote.
        succeeded: Whether the job succeeded.
        exit_code: The main node's exit code, if it had one.
        reason: Why it failed, as far as Batch or the wire-up reports it.
        id: The job's id; empty for a rehearsal.
        types: Instance types by node, as far as known.
        amis: AMIs by node, as far as known.
    """

    facts: tuple[Fact, ...]
    succeeded: bool
    exit_code: int | None = None
    reason: str = ""
    id: str = ""
    types: dict[int, str] = {}
    amis: dict[int, str] = {}


class Check(Struct, frozen=True, kw_only=True):
    """A line of the card.

    Attributes:
        id: A short name that stays the same, such as `cpus`.
        title: What is required.
        state: What came of it.
        seen: What was seen, with the nodes where that matters.
        remedy: What to do; empty where nothing is wrong.
    """

    id: str
    title: str
    state: State
    seen: str
    remedy: str = ""


class Figure(Struct, frozen=True, kw_only=True):
    """Something that was measured.

    Attributes:
        name: What, such as `latency, nodes 0 and 1`.
        value: How much.
        unit: In what.
        promise: The best possible value, in the same unit; None if AWS documents none.
        note: What the promise is.
    """

    name: str
    value: float
    unit: str
    promise: float | None = None
    note: str = ""


class Card(Struct, frozen=True, kw_only=True):
    """The report card.

    Attributes:
        title: What was tested.
        job: The job's id; empty for a rehearsal.
        checks: All checks, in a fixed order.
        figures: All figures.
    """

    title: str
    job: str
    checks: tuple[Check, ...]
    figures: tuple[Figure, ...]

    @property
    def passed(self) -> bool:
        """Whether no check is an error."""
        return not self.count(State.ERROR)

    def count(self, state: State) -> int:
        """Returns how many checks came to a state."""
        return sum(check.state is state for check in self.checks)
