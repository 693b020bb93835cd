"""A machine to run a playbook on: an overlay over the sandbox's layers, with an sshd in it.

The sshd is PID 1 of its own process namespace and sees its own mounts, at a loopback address of its
own. When it ends, all that it started and mounted is gone; the overlay's upper folder stays, and
shows what was done.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mngen.sandbox._machine_root import USER, machine_layers

if TYPE_CHECKING:
    from collections.abc import Iterator

PORT = 2222
_START_SECONDS = 60.0

# Runs in a mount namespace of its own; the arguments are the overlay's options, the machine's
# folder and name, and sshd's command. What stays running is sshd itself.
_BOOT = """
set -e
options=$1 root=$2 name=$3
shift 3
hostname "$name"
mount -t overlay overlay -o "$options" "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do
  : > "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
ln -s /proc/self/fd "$root/dev/fd"
mkdir -p "$root/dev/pts" "$root/dev/shm" "$root/run/sshd"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
exec chroot "$root" "$@"
"""


class Machine:
    """A machine that runs or ran.

    Attributes:
        address: Where its sshd listens, on loopback.
        key: The private key that opens it.
        upper: What differs from the base.
        pid: The sshd's process.
        socket: Where ssh keeps one connection for all of its commands; None: each has its own.
    """

    def __init__(self, folder: Path, address: str, base: str) -> None:
        self.address = address
        self.key = folder / "key"
        self.upper = folder / "upper"
        self.pid = 0
        self.socket: Path | None = None
        self._layers = (self.upper, *machine_layers(base))

    def path(self, name: str) -> Path:
        """Return where a file of the machine is: in what was changed, or in the base.

        A folder that was removed and made again hides all of its former self, which is not seen
        here: whoever looks into one names files of it.
        """
        for layer in self._layers:
            path = layer / name.lstrip("/")
            if path.is_symlink() or path.exists():
                return path
        return self.upper / name.lstrip("/")

    def exists(self, name: str) -> bool:
        """Tell whether the machine has a file: a whiteout hides that of the base."""
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

    def run(self, command: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a shell command as root inside the running machine.

        Raises:
            subprocess.CalledProcessError: It failed, and that is not expected.
        """
        inside = ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--root", "--wd"]
        return subprocess.run(
            [*inside, "/bin/sh", "-c", command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=check,
        )


@contextmanager
def booted(
    folder: Path, base: str, address: str | None = None, *, shared: bool = True
) -> Iterator[Machine]:
    """Boot a machine in a folder, and end it at the end.

    Without an address it gets the one that belongs to this process, and can be the only one.

    A folder that already holds a machine boots it again, as an instance of an image: it gets host
    keys and the key of whoever may log in.
    """
    machine = Machine(folder, address or own_address(), base)
    names = {name: folder / name for name in ("upper", "work", "root")}
    for path in names.values():
        path.mkdir(exist_ok=True)
    if not machine.key.exists():
        _keygen(machine.key)
    _let_in(machine)
    layers = ":".join(map(str, machine_layers(base)))
    options = f"lowerdir={layers},upperdir={names['upper']},workdir={names['work']}"
    sshd = ["/usr/sbin/sshd", "-D", "-e", "-p", str(PORT)]
    for option in (f"ListenAddress={machine.address}", "UsePAM=no", "PidFile=none"):
        sshd += ["-o", option]
    namespaces = ["--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child"]
    with (folder / "sshd.log").open("ab") as log:
        process = subprocess.Popen(
            [
                *("unshare", *namespaces, "/bin/sh", "-c", _BOOT, "boot"),
                *(options, str(names["root"]), "localhost", *sshd),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    # A socket for this boot alone: an older one would lead to another machine. Its name must be
    # short, as that of every socket.
    sockets = tempfile.TemporaryDirectory(prefix="mngen-", dir="/tmp")
    try:
        machine.pid = _child(process)
        _wait_for_ssh(machine, process, folder / "sshd.log")
        if shared:
            machine.socket = Path(sockets.name) / "s"
        yield machine
    finally:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
        # With the machine gone, so is whoever holds the connection, but not at once.
        sockets.cleanup()


def own_address() -> str:
    """Return the loopback address that no other process has while this one runs."""
    pid = os.getpid()
    return f"127.{64 + (pid >> 16) % 64}.{pid >> 8 & 255}.{pid & 255}"


def copied(source: Path, target: Path) -> Path:
    """Copy a machine that does not run, with all that differs from its base."""
    target.mkdir()
    for name in ("upper", "key", "key.pub"):
        subprocess.run(["cp", "--archive", str(source / name), str(target / name)], check=True)
    return target


def _let_in(machine: Machine) -> None:
    """Do what cloud-init does at boot: host keys, and the key of whoever may log in."""
    etc = machine.upper / "etc" / "ssh"
    home = machine.upper / "home" / USER
    for folder, mode in ((etc, 0o755), (home, 0o700), (home / ".ssh", 0o700)):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(mode)
    host_key = etc / "ssh_host_ed25519_key"
    for path in (host_key, host_key.with_suffix(".pub")):
        path.unlink(missing_ok=True)
    _keygen(host_key)
    authorized = home / ".ssh" / "authorized_keys"
    authorized.unlink(missing_ok=True)
    authorized.write_text(machine.key.with_suffix(".pub").read_text(encoding="utf-8"))
    authorized.chmod(0o600)
    for path in (home, home / ".ssh", authorized):
        os.chown(path, 1000, 1000)


def _keygen(file: Path) -> None:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(file)],
        stdin=subprocess.DEVNULL,
        check=True,
    )


def _child(process: subprocess.Popen[bytes]) -> int:
    """Return the process that unshare forked, which is PID 1 of the machine."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if found := children.read_text(encoding="utf-8").split():
            return int(found[0])
        time.sleep(0.02)
    raise AssertionError("the machine did not start")


def ssh_options(machine: Machine) -> list[str]:
    """Return ssh's options: this key, a connection of this boot's, whatever host key it has."""
    options: tuple[str, ...] = (f"Port={PORT}", "UserKnownHostsFile=/dev/null")
    options += ("StrictHostKeyChecking=no", "IdentitiesOnly=yes", "LogLevel=ERROR", "BatchMode=yes")
    if machine.socket:
        options += ("ControlMaster=auto", f"ControlPath={machine.socket}", "ControlPersist=60")
    else:
        options += ("ControlMaster=no", "ControlPath=none")
    return [
        *("-F", "/dev/null", "-i", str(machine.key)),
        *(word for option in options for word in ("-o", option)),
    ]


def _wait_for_ssh(machine: Machine, process: subprocess.Popen[bytes], log: Path) -> None:
    command = ["ssh", *ssh_options(machine), f"{USER}@{machine.address}", "true"]
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None:
        attempt = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
        )
        if attempt.returncode == 0:
            return
        assert time.monotonic() < deadline, (attempt.stderr, log.read_text(encoding="utf-8"))
        time.sleep(0.1)
    raise AssertionError(log.read_text(encoding="utf-8"))
