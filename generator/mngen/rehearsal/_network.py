"""The nodes' network, as batches of commands for iproute2's `ip`.

All of it is in the keeper's network namespace and in the nodes': nothing of it is ever visible to
the machine's own network, and it is gone with the processes that live in it.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_BRIDGE = "br0"
# What the ECS agent gives every task in awsvpc mode, the same on every machine: a launcher that
# does not choose its interfaces tries to reach other nodes through it, and hangs.
# Source: https://github.com/aws/amazon-ecs-cni-plugins
_ECS_INTERFACE = "ecs-eth0"
_ECS_ADDRESS = "169.254.172.2/22"


def bridge() -> list[str]:
    """Returns the commands that make the nodes' bridge."""
    return [f"link add {_BRIDGE} type bridge mcast_snooping 0", f"link set {_BRIDGE} up"]


def attach(nodes: Iterable[tuple[int, int]]) -> list[str]:
    """Returns the commands that connect nodes to the bridge.

    Args:
        nodes: Index and process of each node.
    """
    commands = []
    for index, pid in nodes:
        commands += [
            f"link add n{index} type veth peer name eth0 netns {pid}",
            f"link set n{index} master {_BRIDGE} up",
            f"link add e{index} type veth peer name {_ECS_INTERFACE} netns {pid}",
            f"link set e{index} up",
        ]
    return commands


def configure(address: str) -> list[str]:
    """Returns the commands that give a node its addresses, to be run inside it.

    Args:
        address: The node's own, with the length of the prefix.
    """
    return [
        "link set lo up",
        f"address add {address} dev eth0",
        "link set eth0 up",
        f"address add {_ECS_ADDRESS} dev {_ECS_INTERFACE}",
        f"link set {_ECS_INTERFACE} up",
    ]


def cut(index: int) -> list[str]:
    """Returns the commands after which nothing reaches a node, without any notice to it.

    The node's interface stays up; its packets go nowhere.
    """
    return [f"link set n{index} nomaster"]


def run(program: str, commands: Sequence[str]) -> None:
    """Runs commands in this process's network namespace.

    Args:
        program: Where `ip` is.
        commands: What it reads.

    Raises:
        OSError: One of them failed, or there is no such program.
    """
    done = subprocess.run(
        [program, "-batch", "-"],
        input="\n".join(commands) + "\n",
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise OSError(f"ip: {' '.join(done.stderr.split())}")
