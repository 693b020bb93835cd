"""A machine to run a playbook on: one of the sandbox's, without an emulated AWS around it.

When it ends, all that it started and mounted is gone; the overlay's upper folder stays, and shows
what was done.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mngen.parts import NODE_PATH
from mngen.sandbox import MACHINE_SSH_PORT
from mngen.sandbox.machines._address import claim_address
from mngen.sandbox.machines._groups import group_name
from mngen.sandbox.machines._machine import PENDING, RUNNING
from mngen.sandbox.machines._machine import Machine as Booted
from mngen.sandbox.machines._root import USER, machine_layers

if TYPE_CHECKING:
    from collections.abc import Iterator

_START_SECONDS = 180.0


class Machine:
    """A machine that runs or ran.

    Attributes:
        address: Where its sshd listens, on loopback.
        key: The private key that opens it.
        upper: What differs from the base.
        pid: The process of its init, as the host numbers it; 0 without one.
        console: What it wrote to its console.
        socket: Where ssh keeps one connection for all of its commands; None: each has its own.
    """

    def __init__(self, folder: Path, address: str, base: str) -> None:
        self.address = address
        self.key = folder / "key"
        self.upper = folder / "upper"
        self.pid = 0
        self.socket: Path | None = None
        self.console = folder / "console.log"
        self._layers = (self.upper, *machine_layers(base))

    def path(self, name: str) -> Path:
        """Return where a file of the machine is: in what was changed, or in the base.

        A folder that was removed and made again hides all of its former self, which is not seen
        here: a test that looks into one names files of it.
        """
        for layer in self._layers:
            path = layer / name.lstrip("/")
            if path.is_symlink() or path.exists():
                return path
        return self.upper / name.lstrip("/")

    def exists(self, name: str) -> bool:
        """Return whether the machine has a file: a whiteout hides that of the base."""
        path = self.path(name)
        if path.is_symlink():
            return True
        hidden = any(
            parent.is_char_device()
            for parent in (self.upper / name.lstrip("/")).parents
            if parent.is_relative_to(self.upper)
        )
        return path.exists() and not path.is_char_device() and not hidden

    def read(self, name: str) -> str:
        """Return the text of a file."""
        return self.path(name).read_text(encoding="utf-8")

    def listing(self, name: str) -> list[str]:
        """Return what is in a folder, sorted."""
        names = {
            path.name for layer in self._layers for path in (layer / name.lstrip("/")).glob("*")
        }
        return sorted(each for each in names if self.exists(f"{name}/{each}"))

    def run(
        self, command: str, *, check: bool = True, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command as root inside the machine, for some seconds at most.

        Raises:
            subprocess.CalledProcessError: It failed, and that is not expected.
        """
        inside = ["nsenter", f"--target={self.pid}", "--all", "--root", "--wd"]
        return subprocess.run(
            [*inside, "/bin/sh", "-c", command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=check,
            # A machine has its own folders: the caller's search path may name none of them.
            env={**os.environ, "PATH": NODE_PATH},
        )


@contextmanager
def booted(
    folder: Path, base: str, *, shared: bool = True, user_data: bytes = b"", init: bool = True
) -> Iterator[Machine]:
    """Boot a machine in a folder, and stop it at the end.

    A folder that already holds a machine boots it again, as an instance of an image: it gets host
    keys and the key that may log in.

    Args:
        folder: Where the machine is kept.
        base: What it looks like.
        shared: Keep one connection for all commands of ssh.
        user_data: A script that cloud-init runs at the first boot.
        init: Boot its own init, and not the chroot of a host without systemd-nspawn.
    """
    address = claim_address()
    machine = Machine(folder, address.ip, base)
    if not machine.key.exists():
        _keygen(machine.key)
    instance = folder / f"i-{uuid.uuid4().hex[:17]}"
    instance.mkdir()
    machine.upper.mkdir(exist_ok=True)
    machine.upper.rename(instance / "upper")
    machine.upper.symlink_to(instance / "upper")
    key = machine.key.with_suffix(".pub").read_text(encoding="utf-8").strip()
    host = ("ip-" + address.ip.replace(".", "-"), "ec2.internal")
    layers = machine_layers(base)
    running = Booted(instance, lambda: layers, address, host, key, user_data, init=init)
    # A socket for this boot alone: an older one would lead to another machine. Its name must be
    # short, as that of every socket.
    sockets = tempfile.TemporaryDirectory(prefix="mngen-", dir="/tmp")
    try:
        running.boot()
        while running.state == PENDING:
            time.sleep(0.05)
        console = (instance / "console.log").read_text(encoding="utf-8", errors="replace")
        assert running.state == RUNNING, (running.failure, console)
        machine.pid = _init(group_name(address.ip)) if init else 0
        if shared:
            machine.socket = Path(sockets.name) / "s"
        _wait_for_ssh(machine, Path(sockets.name) / "errors")
        machine.console = instance / "console.log"
        yield machine
    finally:
        running.power_off()
        address.release()
        machine.upper.unlink()
        (instance / "upper").rename(machine.upper)
        # With the machine gone, so is the process that holds the connection, but not at once.
        sockets.cleanup()


def copied(source: Path, target: Path) -> Path:
    """Copy a machine that does not run, with all that differs from its base."""
    target.mkdir()
    for name in ("upper", "key", "key.pub"):
        subprocess.run(["cp", "--archive", str(source / name), str(target / name)], check=True)
    return target


def _keygen(file: Path) -> None:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(file)],
        stdin=subprocess.DEVNULL,
        check=True,
    )


def _init(name: str) -> int:
    """Return the process of a machine's init: the first one in the innermost namespace."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            groups = (process / "cgroup").read_text(encoding="utf-8")
            status = (process / "status").read_text(encoding="utf-8")
        except OSError:
            continue
        numbers = next(
            (line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")), []
        )
        if name in groups and len(numbers) > 2 and numbers[-1] == "1":
            return int(process.name)
    raise AssertionError(f"{name} has no init")


def ssh_options(machine: Machine) -> list[str]:
    """Return ssh's options: this key, a connection of this boot's, whatever host key it has."""
    options: tuple[str, ...] = (f"Port={MACHINE_SSH_PORT}", "UserKnownHostsFile=/dev/null")
    options += ("StrictHostKeyChecking=no", "IdentitiesOnly=yes", "LogLevel=ERROR", "BatchMode=yes")
    if machine.socket:
        options += ("ControlMaster=auto", f"ControlPath={machine.socket}", "ControlPersist=60")
    else:
        options += ("ControlMaster=no", "ControlPath=none")
    return [
        *("-F", "/dev/null", "-i", str(machine.key)),
        *(word for option in options for word in ("-o", option)),
    ]


def _wait_for_ssh(machine: Machine, errors: Path) -> None:
    """Wait until a login succeeds, whose connection is then there where all commands share one."""
    command = ["ssh", *ssh_options(machine), f"{USER}@{machine.address}", "true"]
    deadline = time.monotonic() + _START_SECONDS
    while True:
        # Not a pipe, which the process that keeps the connection would hold open.
        with errors.open("wb") as file:
            attempt = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=file,
                timeout=60,
                check=False,
            )
        if attempt.returncode == 0:
            return
        assert time.monotonic() < deadline, errors.read_text(encoding="utf-8")
        time.sleep(0.1)
