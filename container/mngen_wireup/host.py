"""A node as the others see it: its address, CPUs and network adapter."""

from __future__ import annotations

import fcntl
import os
import struct
from types import SimpleNamespace

from mngen_wireup.errors import BAD_CPUS, WireupError
from mngen_wireup.files import tail
from mngen_wireup.lean import Socket, socket
from mngen_wireup.plan import is_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from mngen_wireup.log import Log
    from mngen_wireup.plan import Plan

_TYPES = {
    "node": int,
    "address": str,
    "network": str,
    "cpus": int,
    "cores": int,
    "efa": bool,
    "gpus": int,
    "ranks": int,
    "threads": int,
    "port": int,
    "key": str,
}


class Host(SimpleNamespace):
    """A node as the main node has to know it.

    Attributes:
        address: IPv4 address by which the other nodes reach it.
        network: The subnet of that address, such as 10.0.1.0/24.
        cpus: Logical CPUs that it may use.
        cores: Physical cores among them.
        efa: Whether it has an Elastic Fabric Adapter.
        gpus: NVIDIA GPUs that its container has.
        ranks: Ranks that its node group asks for; 0 for what the main node's settings give it.
        threads: Threads of each of them, likewise.
        port: Port of its sshd; 0 for none.
        key: Public host key of that sshd.
    """

    node: int
    address: str
    network: str
    cpus: int
    cores: int
    efa: bool
    gpus: int
    ranks: int
    threads: int
    port: int
    key: str

    def move_to(self, address: str) -> None:
        """Sets the address, and with it the subnet."""
        self.address, self.network = address, interface_of(address)[1]

    def values(self) -> list[Any]:
        """Returns what `checked_host` takes."""
        return [getattr(self, name) for name in _TYPES]


def checked_host(values: Any) -> Host:
    """Returns a host from a message.

    Raises:
        ValueError: It is not a host, or not safe to write into a file.
    """
    if isinstance(values, list) and [type(each) for each in values] == [*_TYPES.values()]:
        host = Host(**dict(zip(_TYPES, values)))
        network, _, prefix = host.network.partition("/")
        if (
            is_address(host.address)
            and is_address(network)
            and prefix.isdecimal()
            and 0 < host.cores <= host.cpus <= 100_000
            and 0 <= host.gpus <= 1000
            and 0 <= host.ranks <= 100_000
            and 0 <= host.threads <= 100_000
            and 0 <= host.port < 65_536
            and (host.key == "" or is_public_key(host.key))
        ):
            return host
    raise ValueError("malformed description of a host")


def is_public_key(text: str) -> bool:
    """Whether a text is an ed25519 public key as ssh writes it, and nothing else."""
    kind, _, data = text.partition(" ")
    plain = data.rstrip("=")
    return (
        kind == "ssh-ed25519"
        and len(data) == 68
        and all(c.isascii() and (c.isalnum() or c in "+/") for c in plain)
    )


def this_host(plan: Plan, address: str) -> Host:
    """Returns this node as seen from inside its container."""
    cpus = os.sched_getaffinity(0)
    threads = plan.threads if plan.group else 0
    return Host(
        node=plan.node,
        address=address,
        network=interface_of(address)[1],
        cpus=len(cpus),
        cores=count_cores(cpus, "/sys/devices/system/cpu"),
        efa=has_efa("/dev/infiniband"),
        gpus=count_gpus("/dev"),
        ranks=plan.ranks or max(1, len(cpus) // threads) if plan.group else 0,
        threads=threads,
        port=0,
        key="",
    )


def count_cores(cpus: Iterable[int], folder: str) -> int:
    """Returns how many physical cores some logical CPUs are; one each where that is unknown."""
    paths = [f"{folder}/cpu{cpu}/topology/thread_siblings_list" for cpu in cpus]
    return len({tail(path) or path for path in paths})


def has_efa(folder: str) -> bool:
    """Whether the container has an Elastic Fabric Adapter."""
    try:
        return any(name.startswith("uverbs") for name in os.listdir(folder))
    except OSError:
        return False


def count_gpus(folder: str) -> int:
    """Returns how many NVIDIA GPUs the container has: nvidia0 and so on, but not nvidiactl.

    Source: https://github.com/NVIDIA/libnvidia-container (src/nvc_internal.h, NV_DEVICE_PATH)
    """
    return sum(name.startswith("nvidia") and name[6:].isdecimal() for name in os.listdir(folder))


def interface_of(address: str) -> tuple[str, str]:
    """Returns the interface that has an IPv4 address, and its subnet, such as 10.0.1.0/24.

    The subnet names the same network on every node, whatever the interface is called there, and
    never `ecs-eth0`, which has the address 169.254.172.2 in every container of ECS. If no interface
    has the address as its first one, the name is empty and the subnet is the address alone.
    """
    get_address, get_netmask = 0x8915, 0x891B  # man 7 netdevice
    probe = Socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:15])
            try:
                found = fcntl.ioctl(probe, get_address, request)[20:24]
                if socket.inet_ntoa(found) != address:
                    continue
                mask = fcntl.ioctl(probe, get_netmask, request)[20:24]
            except OSError:
                continue
            network = bytes(a & m for a, m in zip(found, mask))
            prefix = bin(int.from_bytes(mask, "big")).count("1")
            return name, f"{socket.inet_ntoa(network)}/{prefix}"
    finally:
        probe.close()
    return "", f"{address}/32"


def check_cpus(plan: Plan, seen: int, log: Log) -> None:
    """Compares the CPUs that this node has with those it should have.

    Raises:
        WireupError: They differ, and the job is to fail in that case.
    """
    if not plan.cpus or plan.cpus_check == "off" or seen == plan.cpus:
        log.write("cpus", f"{seen} CPUs" + (", as expected" if seen == plan.cpus else ""))
        return
    text = f"has {seen} CPUs instead of {plan.cpus}"
    if seen > plan.cpus:
        text += ": hyper-threading is on, or the AMI was baked for a smaller instance type"
    else:
        text += ": the AMI was baked for a larger instance type, or the container is limited"
    if plan.cpus_check == "fail":
        raise WireupError(BAD_CPUS, f"node {plan.node} {text}", stage="cpus")
    log.write("cpus", f"warning: node {plan.node} {text}")
