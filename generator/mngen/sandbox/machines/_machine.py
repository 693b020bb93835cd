"""One machine of the sandbox: an overlay, namespaces, an sshd, and nothing left when it ends."""

from __future__ import annotations

import hashlib
import shutil
import socket
import subprocess
import sys
import threading
import time
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mngen.sandbox.machines._address import MACHINE_SSH_PORT, Address
from mngen.sandbox.machines._groups import group_name, remove_abandoned_groups, remove_groups

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PENDING, RUNNING, ENDED, FAILED = "pending", "running", "ended", "failed"

_HERE = Path(__file__).parent
_INIT, _CHROOT = _HERE / "_boot.sh", _HERE / "_chroot.sh"
_FORWARD = _HERE / "_forward.py"
_UNSHARE = ("unshare", "--mount", "--pid", "--uts", "--fork", "--kill-child")
_UNSHARE_INIT = (*_UNSHARE, "--net", "--ipc")
# What systemd reports for multi-user.target, and the chroot's script at its end.
_COMPLETE = "Multi-User System"
_SSH_PORT = 22
_BOOT_SECONDS = 180.0
_SSHD_SECONDS = 10.0
_END_SECONDS = 20.0
_POLL_SECONDS = 0.05
_LINES = 5
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class BootError(Exception):
    """The machine did not come up; the message is the reason."""


class Machine:
    """A machine with its own disk, which can be booted, stopped and copied.

    What takes time happens in the machine's thread, one thing after the other. It ends
    with this process, however this process ends: its first process reads from a pipe that only
    this process holds.

    Attributes:
        folder: Holds its disk (`upper`) and its console's output (`console.log`).
        address: Where its sshd is reached, on `MACHINE_SSH_PORT`.
        init: Whether the system's own init runs it.
    """

    def __init__(
        self,
        folder: Path,
        layers: Callable[[], Sequence[Path]],
        address: Address,
        host: tuple[str, str],
        key: str = "",
        user_data: bytes = b"",
        *,
        init: bool = True,
    ) -> None:
        """Makes a machine that has not booted yet.

        Args:
            folder: A folder that does not exist yet.
            layers: Called at the first boot for the folders below its disk, topmost first; may
                take a minute where they have to be built.
            address: Its address; released when the machine is removed.
            host: Its name and its domain.
            key: The public key, in OpenSSH's format, that may log in as `ec2-user`.
            user_data: Run as root at the first boot, if it is a script.
            init: Boot the system's own init, rather than an sshd in a chroot.
        """
        self.init = init
        self.folder = folder
        self.address = address
        self._layers = layers
        self._host = host
        self._key = key
        self._user_data = user_data
        self._worker = ThreadPoolExecutor(1)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._wanted = threading.Event()
        self._booting: Future[None] | None = None

    @property
    def upper(self) -> Path:
        """What differs on its disk from the layers below."""
        return self.folder / "upper"

    @property
    def state(self) -> str:
        """`pending` while it boots, then `running`; `ended`; `failed` if it never came up.

        It is up when its sshd answers, or does not though all has been started. A machine that
        shut itself down has `ended` as well.
        """
        booting, process = self._booting, self._process
        if booting is not None:
            if not booting.done():
                return PENDING
            if booting.exception() is not None and self._wanted.is_set():
                return FAILED
        if process is None or process.poll() is not None:
            return ENDED
        return RUNNING

    @property
    def failure(self) -> str:
        """Why it is `failed`."""
        booting = self._booting
        error = booting.exception() if booting is not None and booting.done() else None
        return str(error) if error else ""

    def boot(self) -> None:
        """Begins to boot; `state` shows when it is up."""
        self._wanted.set()
        self._booting = self._worker.submit(self._boot)

    def power_off(self) -> None:
        """Has its init stop everything in order, as far as it can; then stops what is left."""
        with self._lock:
            process = self._process
        if self.init and process is not None and process.stdin is not None:
            with suppress(OSError, subprocess.TimeoutExpired):
                process.stdin.write(b"power off\n")
                process.wait(_END_SECONDS)
        self.end()

    def end(self) -> None:
        """Stops all its processes, if it runs, and waits until they are gone."""
        with self._lock:
            self._wanted.clear()
            process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        remove_groups(self.address.ip)

    def copy(self, target: Path) -> Future[None]:
        """Begins to copy its disk, after what was asked of it before.

        Args:
            target: The copy, a folder that does not exist yet: an overlay's upper folder, with its
                whiteouts and extended attributes.
        """
        return self._worker.submit(_copy, self.upper, target)

    def layers(self) -> Sequence[Path]:
        """Returns the folders below its disk, topmost first."""
        return self._layers()

    def remove(self) -> None:
        """Stops it, and removes its disk once the copies that were begun are complete."""
        self.end()
        self._worker.submit(self._remove)
        self._worker.shutdown(wait=False)

    def _remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.address.release()

    def _boot(self) -> None:
        metadata = self.folder / "metadata"
        first = not metadata.exists()
        if first:
            for each in (self.upper, self.folder / "root", metadata):
                each.mkdir(parents=True, exist_ok=True)
            (metadata / "instance-id").write_text(self.folder.name)
            (metadata / "hostname").write_text(self._host[0])
            (metadata / "key").write_text(self._key)
            (metadata / "user-data").write_bytes(self._user_data)
            for number, layer in enumerate(self._layers()):
                (self.folder / f"lower{number}").symlink_to(layer)
        # An overlay that was not unmounted cleanly may not be mounted over its old work folder.
        shutil.rmtree(self.folder / "work", ignore_errors=True)
        (self.folder / "work").mkdir()
        with self._lock:
            if not self._wanted.is_set():
                return
            process = self._process = self._start(first=first)
        deadline = time.monotonic() + _BOOT_SECONDS
        complete = False
        while self._wanted.is_set() and not _answers(self.address.ip):
            if process.poll() is not None:
                raise BootError(f"it ended while it booted: {self._console()}")
            if not complete and _COMPLETE in self._said():
                # Its sshd may be broken, which EC2 knows nothing of.
                complete, deadline = True, time.monotonic() + _SSHD_SECONDS
            if time.monotonic() > deadline:
                if complete:
                    return
                raise BootError(f"not up within {_BOOT_SECONDS:g} s: {self._console()}")
            time.sleep(_POLL_SECONDS)

    def _start(self, *, first: bool) -> subprocess.Popen[bytes]:
        host, domain = self._host
        lower = ":".join(sorted(each.name for each in self.folder.glob("lower*")))
        environment = {
            "PATH": _PATH,
            "LC_ALL": "C",
            "LOWER": lower,
            "ADDRESS": self.address.ip,
            "HOST": host,
            "DOMAIN": domain,
        }
        if not self.init:
            environment |= {
                "PORT": str(MACHINE_SSH_PORT),
                "FIRST": "1" if first else "0",
                "COMPLETE": _COMPLETE,
            }
            return self._popen([*_UNSHARE, "--", "/bin/sh", str(_CHROOT)], environment)
        remove_abandoned_groups()
        with socket.create_server((self.address.ip, MACHINE_SSH_PORT)) as listener:
            environment |= {
                "NAME": group_name(self.address.ip),
                "UUID": _uuid(self.folder.name),
                "LISTENER": str(listener.fileno()),
                "PYTHON": sys.executable,
                "FORWARD": str(_FORWARD),
                "SSH_PORT": str(_SSH_PORT),
            }
            command = [*_UNSHARE_INIT, "--", "/bin/sh", str(_INIT)]
            return self._popen(command, environment, listener.fileno())

    def _popen(
        self, command: list[str], environment: dict[str, str], *descriptors: int
    ) -> subprocess.Popen[bytes]:
        with (self.folder / "console.log").open("wb") as console:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env=environment,
                # Nothing is held back that could not be written to a machine that has ended.
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=console,
                stderr=console,
                pass_fds=descriptors,
                start_new_session=True,
            )

    def _said(self) -> str:
        """Returns all that it wrote to its console."""
        with suppress(OSError):
            return (self.folder / "console.log").read_text("utf-8", "replace")
        return ""

    def _console(self) -> str:
        """Returns the last lines of its console."""
        lines = [line.strip() for line in self._said().splitlines()]
        return " / ".join([line for line in lines if line][-_LINES:])


def _uuid(name: str) -> str:
    """Returns the hardware's id of an instance, which begins as those of EC2 do."""
    return str(uuid.UUID("ec2" + hashlib.sha256(name.encode()).hexdigest()[:29]))


def _answers(ip: str) -> bool:
    try:
        with socket.create_connection((ip, MACHINE_SSH_PORT), timeout=5) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def _copy(source: Path, target: Path) -> None:
    # `cp` ends with this process: what is left of a copy is not used then.
    subprocess.run(
        ["setpriv", "--pdeathsig", "KILL", "cp", "-a", "--reflink=auto", "--", source, target],
        env={"PATH": _PATH, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
