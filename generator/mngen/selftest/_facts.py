"""What the program on the nodes writes, line by line; see `_on_nodes.py`.

Anything may stand in a job's log, and a line may be cut in two: what is not a whole fact is passed
over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec
from msgspec import Struct

from mngen.selftest._program import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable


class Cpus(Struct, frozen=True, tag_field="k", tag="cpu"):
    """The CPUs of a node.

    Attributes:
        node: Its index.
        online: CPUs that are online, as the kernel lists them: `0-3,8`.
        allowed: CPUs that what starts the ranks may use, likewise.
        siblings: The CPUs of each core, likewise.
        nr_cpus: The limit on the kernel's command line; 0 for none.
        host: The host's name.
        model: What the CPU calls itself.
        memory: MemTotal, MiB.
        kernel: Its release.
    """

    node: int
    online: str
    allowed: str
    siblings: tuple[str, ...]
    nr_cpus: int
    host: str = ""
    model: str = ""
    memory: int = 0
    kernel: str = ""


class Ranks(Struct, frozen=True, tag_field="k", tag="ranks"):
    """The ranks of a node, and the CPUs that each of them may use."""

    node: int
    count: int
    pins: tuple[str, ...]


class Mount(Struct, frozen=True, tag_field="k", tag="mount"):
    """What is mounted where the shared file system should be; an empty type for nothing."""

    node: int
    type: str
    source: str
    options: str
    path: str = ""


class Scratch(Struct, frozen=True, tag_field="k", tag="scratch"):
    """What is mounted where the scratch space should be, in GB; an empty type for nothing.

    The root is that of the mount in its file system: a folder, where Docker made one on the disk of
    the node since nothing was mounted there.
    """

    node: int
    path: str
    type: str
    root: str
    size: int
    free: int
    wrote: str = ""


class Limits(Struct, frozen=True, tag_field="k", tag="limits"):
    """Who the ranks are and what they may have: /dev/shm in MiB, limits in bytes, -1 for none.

    GPUs are counted; a program of an older mngen did not.
    """

    node: int
    uid: int
    shm: int
    memlock: int
    nofile: int = 0
    gid: int = 0
    gpus: int = 0


class Metadata(Struct, frozen=True, tag_field="k", tag="metadata"):
    """Whether the instance metadata service answers, and the role that it names."""

    node: int
    reached: bool
    role: str = ""
    why: str = ""


class Adapters(Struct, frozen=True, tag_field="k", tag="efa"):
    """The Elastic Fabric Adapters of a container."""

    node: int
    devices: int
    provider: str = ""


class Files(Struct, frozen=True, tag_field="k", tag="files"):
    """What a node made of the shared file system: why it cannot write, whom it cannot read."""

    node: int
    wrote: str
    writers: int
    bad: tuple[int, ...]


class Phase(Struct, frozen=True, tag_field="k", tag="phase"):
    """What is measured next."""

    at: str


class Pair(Struct, frozen=True, tag_field="k", tag="pair"):
    """What was measured between two nodes; bytes are those that the first one sent in a stream."""

    a: int
    b: int
    latency_us: float
    single_gbit: float
    gbit: float
    streams: int
    efa_bytes: int
    net_bytes: int


class Allreduce(Struct, frozen=True, tag_field="k", tag="allreduce"):
    """How long a sum over all ranks takes, in microseconds, and whether it is right."""

    ranks: int
    bytes: int
    us: float
    right: bool


class Nccl(Struct, frozen=True, tag_field="k", tag="nccl"):
    """How long NCCL's sum over all GPUs takes, or why it cannot be made.

    The bytes are those that the first rank's node has sent.
    """

    ranks: int = 0
    bytes: int = 0
    us: float = 0.0
    right: bool = False
    efa_bytes: int = 0
    net_bytes: int = 0
    why: str = ""


class End(Struct, frozen=True, tag_field="k", tag="end"):
    """The last line: how many there are."""

    lines: int
    nodes: int
    mpi: str = ""


class Fatal(Struct, frozen=True, tag_field="k", tag="fatal"):
    """Why a rank could not go on."""

    why: str


Fact = (
    Cpus
    | Ranks
    | Mount
    | Scratch
    | Limits
    | Metadata
    | Adapters
    | Files
    | Phase
    | Pair
    | Allreduce
    | Nccl
    | End
    | Fatal
)
AnyFact = TypeVar("AnyFact")
_DECODER: msgspec.json.Decoder[Fact] = msgspec.json.Decoder(Fact)


def parse(lines: Iterable[str]) -> tuple[Fact, ...]:
    """Returns the facts that are in a log."""
    facts = []
    for line in lines:
        _, found, text = line.partition(PREFIX)
        if found:
            try:
                facts.append(_DECODER.decode(text))
            except (msgspec.DecodeError, UnicodeError, RecursionError):
                continue
    return tuple(facts)


def of_kind(facts: Iterable[Fact], kind: type[AnyFact]) -> list[AnyFact]:
    """Returns the facts of a kind, by node where they have one."""
    found = [fact for fact in facts if isinstance(fact, kind)]
    return sorted(found, key=lambda fact: getattr(fact, "node", 0))


def complete(facts: Iterable[Fact]) -> bool:
    """Returns whether all lines of a run have arrived: its last one has their number."""
    known = tuple(facts)
    ends = of_kind(known, End)
    return bool(ends) and len(known) >= ends[0].lines


def cpus_of(text: str) -> frozenset[int]:
    """Returns the CPUs of a list as the kernel writes it: `0-3,8`.

    Source: https://docs.kernel.org/admin-guide/cputopology.html
    """
    cpus: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if first.isdecimal() and (last or first).isdecimal():
            cpus.update(range(int(first), int(last or first) + 1))
    return frozenset(cpus)


def nodes_of(nodes: Iterable[int]) -> str:
    """Returns nodes as text: `node 1`, `nodes 0, 2 and 5 more`."""
    numbers = sorted(nodes)
    shown = ", ".join(map(str, numbers[:8]))
    more = f" and {len(numbers) - 8} more" if len(numbers) > 8 else ""
    return f"node{'' if len(numbers) == 1 else 's'} {shown}{more}"
