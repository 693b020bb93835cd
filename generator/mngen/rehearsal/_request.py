"""What to start: a job's nodes, their command, their variables, what is wrong with them."""

from __future__ import annotations

import ipaddress
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mngen.parts import NODE_PATH

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet
    from pathlib import Path

NETWORK = ipaddress.IPv4Network("10.0.0.0/16")
"""The nodes' network. It exists only among them, so it conflicts with no other."""

MAX_NODES = 1000
"""Most nodes at a time: AWS Batch's own limit, and just below that of a bridge's ports.

Source: https://docs.aws.amazon.com/batch/latest/userguide/service_limits.html
"""

# In a VPC the first addresses of a subnet are AWS's own.
_FIRST_HOST = 10


@dataclass(frozen=True, slots=True)
class Bind:
    """A file or folder of this machine that the nodes see.

    Attributes:
        source: It. None is a new folder in memory, which all nodes share and anyone may write to,
            and which is gone with them.
        target: Absolute path in the node; is made where it does not exist.
        read_only: Whether the nodes may only read it.
    """

    source: Path | None
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class MemoryFiles:
    """A file system in memory that each node has for itself.

    Attributes:
        target: Absolute path in the node; is made where it does not exist.
        options: Its options as Docker takes them after `--tmpfs PATH:`, such as `size=64m`.
    """

    target: str
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodesRequest:
    """A multi-node job as AWS Batch would start it.

    Attributes:
        command: The entrypoint and its arguments; is PID 1 of every node.
        count: Number of nodes that the job expects, 1 to 1000.
        environment: Variables of every node, besides Batch's own and a container's PATH and HOME.
            Nothing of the caller's environment is passed on, and none without a value.
        node_environment: Further variables by node index; they win over all others.
        node_commands: Another command by node index.
        node_images: Another container image by node index, for container engines.
        binds: What the nodes see of this machine's files: the folder that stands for the EFS.
        unshared: Indexes of nodes that see separate folders in place of the new ones that the
            others share.
        root: An unpacked container image to be the nodes' root; each node writes to a separate
            layer. By default nodes see this machine's folders, read-only, with separate empty
            ones in place of /dev, /dev/shm, /root, /run, /tmp and /var/tmp.
        workdir: Working directory.
        user: Numbers of the user and group that commands run as; root by default.
        container_user: The user that containers run as, as Docker takes it; by default the image's.
        files: File systems in memory.
        limits: Soft and hard limits of processes, by their names in Docker; -1 for none.
        init: Whether a small init is PID 1 and the command its child, as tini does it.
        missing: Indexes of nodes that never come, though the others expect them.
        late: Seconds after the common start at which a node's command starts, by index.
        job: AWS_BATCH_JOB_ID; random by default.
        attempt: AWS_BATCH_JOB_ATTEMPT.
        main: Index of the main node.
    """

    command: tuple[str, ...]
    count: int
    environment: Mapping[str, str] = field(default_factory=dict)
    node_environment: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    node_commands: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    node_images: Mapping[int, str] = field(default_factory=dict)
    binds: tuple[Bind, ...] = ()
    unshared: AbstractSet[int] = frozenset()
    root: Path | None = None
    workdir: str = "/"
    user: tuple[int, int] | None = None
    container_user: str | None = None
    files: tuple[MemoryFiles, ...] = ()
    limits: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    init: bool = False
    missing: AbstractSet[int] = frozenset()
    late: Mapping[int, float] = field(default_factory=dict)
    job: str = field(default_factory=lambda: str(uuid.uuid4()))
    attempt: int = 1
    main: int = 0

    @property
    def indexes(self) -> tuple[int, ...]:
        """The nodes that come, in order."""
        return tuple(index for index in range(self.count) if index not in self.missing)


def address_of(index: int) -> str:
    """Returns the IPv4 address of a node."""
    return str(NETWORK[_FIRST_HOST + index])


def hostname_of(index: int) -> str:
    """Returns the host name of a node."""
    return f"node{index}"


def batch_environment(request: NodesRequest, index: int, main_address: str) -> dict[str, str]:
    """Returns the variables that AWS Batch sets in a node's container.

    Source: https://docs.aws.amazon.com/batch/latest/userguide/job_env_vars.html

    Args:
        request: The job.
        index: The node.
        main_address: IPv4 address of the main node, which only the others receive.
    """
    variables = {
        "AWS_BATCH_JOB_ID": request.job,
        "AWS_BATCH_JOB_ATTEMPT": str(request.attempt),
        "AWS_BATCH_JOB_NODE_INDEX": str(index),
        "AWS_BATCH_JOB_NUM_NODES": str(request.count),
        "AWS_BATCH_JOB_MAIN_NODE_INDEX": str(request.main),
    }
    if index != request.main:
        variables["AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS"] = main_address
    return variables


def variables_of(request: NodesRequest, index: int, main_address: str) -> dict[str, str]:
    """Returns the variables that a node's container is started with.

    Batch leaves out those without a value; with one of Open MPI's, PRRTE 3 crashes.
    Source: https://github.com/hashicorp/terraform-provider-aws/pull/29820

    Args:
        request: The job.
        index: The node.
        main_address: IPv4 address of the main node.
    """
    variables = {
        **request.environment,
        **batch_environment(request, index, main_address),
        **request.node_environment.get(index, {}),
    }
    return {name: value for name, value in variables.items() if value}


def environment_of(request: NodesRequest, index: int) -> dict[str, str]:
    """Returns the whole environment of a node's command."""
    return {
        "PATH": NODE_PATH,
        "HOME": "/root",
        "HOSTNAME": hostname_of(index),
        **variables_of(request, index, address_of(request.main)),
    }


def as_message(request: NodesRequest, pipes: Mapping[int, int], ip: str) -> dict[str, Any]:
    """Returns the message to the keeper, as JSON-ready data.

    Args:
        request: The job.
        pipes: The descriptor that takes a node's output, by index.
        ip: Where the program `ip` is.
    """
    return {
        "nodes": [
            {
                "index": index,
                "pipe": pipes[index],
                "command": request.node_commands.get(index, request.command),
                "environment": environment_of(request, index),
                "hostname": hostname_of(index),
                "address": f"{address_of(index)}/{NETWORK.prefixlen}",
                "late": request.late.get(index, 0),
            }
            for index in request.indexes
        ],
        "binds": [
            [None if each.source is None else str(each.source), each.target, each.read_only]
            for each in request.binds
        ],
        "unshared": sorted(request.unshared),
        "root": None if request.root is None else str(request.root),
        "files": [[each.target, each.options] for each in request.files],
        "habits": {
            "workdir": request.workdir,
            "user": request.user,
            "init": request.init,
            "limits": dict(request.limits),
            "ip": ip,
        },
    }
