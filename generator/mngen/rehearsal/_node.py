"""A node, from its start in the keeper to the job's command that it becomes."""

from __future__ import annotations

import os
import resource
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from mngen.rehearsal import _linux, _network

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mngen.rehearsal._root import Roots

_READY = b"."
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126
# The numbers of limits on x86_64 and arm64.
# Source: https://github.com/torvalds/linux/blob/master/include/uapi/asm-generic/resource.h
_LIMITS = {
    "cpu": 0,
    "fsize": 1,
    "data": 2,
    "stack": 3,
    "core": 4,
    "rss": 5,
    "nproc": 6,
    "nofile": 7,
    "memlock": 8,
    "locks": 10,
    "sigpending": 11,
    "msgqueue": 12,
    "nice": 13,
    "rtprio": 14,
    "rttime": 15,
}
_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


# No dataclass, whose module takes longer to import than all of this, and no tuple, in which `index`
# is a method.
class Node:
    """What one node is to be; see `mngen.rehearsal._request.as_message`."""

    def __init__(
        self,
        index: int,
        pipe: int,
        command: Sequence[str],
        environment: Mapping[str, str],
        hostname: str,
        address: str,
        late: float,
    ) -> None:
        self.index = index
        self.pipe = pipe
        self.command = command
        self.environment = environment
        self.hostname = hostname
        self.address = address
        self.late = late


class Habits(NamedTuple):
    """What all nodes do alike; see `mngen.rehearsal.NodesRequest`.

    Attributes:
        ip: Where the program `ip` is, which gives them their addresses.
    """

    workdir: str
    user: Sequence[int] | None
    init: bool
    limits: Mapping[str, Sequence[int]]
    ip: str


class Gates(NamedTuple):
    """Where nodes report, and the two gates that all of them wait at.

    A gate is the reading end of a pipe that nothing is ever written to: when its only writer
    closes, all who read wake in the same instant.
    """

    reports: tuple[int, int]
    network: tuple[int, int]
    start: tuple[int, int]

    @classmethod
    def create(cls) -> Gates:
        """Makes them."""
        return cls(os.pipe(), os.pipe(), os.pipe())

    def keep(self) -> None:
        """Leaves the keeper only its own ends."""
        for descriptor in (self.reports[1], self.network[0], self.start[0]):
            os.close(descriptor)

    def join(self) -> None:
        """Leaves a node only its own ends."""
        for descriptor in (self.reports[0], self.network[1], self.start[1]):
            os.close(descriptor)

    def await_reports(self, count: int) -> None:
        """Waits until so many nodes have reported that they are ready.

        Raises:
            OSError: One of them could not be made.
        """
        while count > 0:
            read = os.read(self.reports[0], 4096)
            failure = read.lstrip(_READY)
            if failure or not read:
                raise OSError(failure.decode(errors="replace") or "a node ended at once")
            count -= len(read)

    def open_network(self) -> None:
        """Lets the nodes use their network interfaces."""
        os.close(self.network[1])

    def open_start(self) -> None:
        """Lets all commands start."""
        os.close(self.start[1])


def live(
    node: Node,
    others: Sequence[int],
    gates: Gates,
    roots: Roots,
    habits: Habits,
) -> NoReturn:
    """Is the node: the calling process, just forked and first of its PID namespace.

    Args:
        node: What to be.
        others: Descriptors of the other nodes' output, to be closed.
        gates: Where to report and to wait.
        roots: Where the node's root comes from.
        habits: How the command is run.
    """
    try:
        gates.join()
        for descriptor in others:
            os.close(descriptor)
        _settle(node, gates, roots, habits.ip)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        message = f"node {node.index}: {place}{error.strerror or error}"
        os.write(gates.reports[1], message.encode()[:4096])
        os._exit(1)
    try:
        _wait(gates.start[0])
        _sleep(node.late)
        _become(node, habits)
    except OSError as error:
        os.write(1, f"cannot run `{node.command[0]}`: {error.strerror}\n".encode())
        os._exit(_NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_EXECUTABLE)
    finally:
        os._exit(1)


def _settle(node: Node, gates: Gates, roots: Roots, ip: str) -> None:
    """Makes all that is the node's own; ends when it is ready to run."""
    os.setsid()
    os.umask(0o022)
    _linux.unshare(
        _linux.NEW_MOUNTS | _linux.NEW_NETWORK | _linux.NEW_NAMES | _linux.NEW_IPC,
    )
    with suppress(OSError):
        # The interfaces of a task on ECS have no IPv6 addresses, unless the subnet has.
        Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1", "ascii")
    os.write(gates.reports[1], _READY)
    _wait(gates.network[0])
    _network.run(ip, _network.configure(node.address))
    socket.sethostname(node.hostname)
    roots.enter(node.index, node.hostname, node.address.partition("/")[0])
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(node.pipe, 1)
    os.dup2(node.pipe, 2)
    _linux.drop_capabilities()
    os.write(gates.reports[1], _READY)


def _wait(gate: int) -> None:
    os.read(gate, 1)


def _sleep(seconds: float) -> None:
    """Waits for a late start; SIGTERM ends that, and with it the node."""
    signal.signal(signal.SIGTERM, lambda number, _: os._exit(128 + number))
    time.sleep(seconds)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _become(node: Node, habits: Habits) -> NoReturn:
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    _limit(habits.limits)
    if habits.user is not None:
        user, group = habits.user
        # A program that opens /dev/stdout opens this pipe again.
        os.fchown(1, user, group)
        os.setgroups([group])
        os.setgid(group)
        os.setuid(user)
    os.chdir(habits.workdir)
    if habits.init:
        _stay_above(node)
    _execute(node)


def _limit(limits: Mapping[str, Sequence[int]]) -> None:
    """Sets the limits of processes; the node goes on without those that this machine refuses."""
    for name, (soft, hard) in limits.items():
        try:
            resource.setrlimit(_LIMITS[name], (soft, hard))
        except (OSError, ValueError) as error:
            os.write(1, f"mngen: cannot set the limit {name} to {soft}:{hard}: {error}\n".encode())


def _execute(node: Node) -> NoReturn:
    # A container starts with no signal ignored. Python ignores some, and under nohup or in the
    # background of a script mngen ignores others; the command would inherit that.
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    os.execvpe(node.command[0], list(node.command), dict(node.environment))


def _stay_above(node: Node) -> NoReturn:
    """Runs the command as a child: passes signals on, collects orphans, ends with its code."""
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        _execute(node)
    for number in _FORWARDED:
        signal.signal(number, lambda received, _: os.kill(child, received))
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)
