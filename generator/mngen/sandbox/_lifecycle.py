"""Starting, finding, attaching to and stopping emulated AWSs."""

from __future__ import annotations

import logging
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from mngen import __version__
from mngen._files import is_private
from mngen.errors import InputError, ToolError
from mngen.sandbox import _background, _process
from mngen.sandbox._environment import ENDPOINT_VARIABLE, sandbox_environment
from mngen.sandbox.machines._image import Images, mounted

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

_LOG = logging.getLogger(__name__)

DEFAULT_IDLE_SECONDS = 30 * 60.0


@dataclass(slots=True)
class Sandbox:
    """An emulated AWS that answers now.

    A context manager: leaving it stops the emulator that `start_sandbox` made, and leaves one that
    was only attached to running.

    Attributes:
        endpoint: URL on loopback, for every service.
        home: A private directory (mode 0700) that is removed when the emulator ends: the place for
            what must not outlive it, such as Terraform's working copies and their states.
        pid: The emulator's process.
        owned: Whether the emulator ends with this object.
    """

    endpoint: str
    home: Path
    pid: int
    owned: bool
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def environment(
        self, region: str = "us-east-1", base: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """Returns the environment for a process that sees only this sandbox.

        Args:
            region: The AWS region that its clients use.
            base: The environment to start from; this process's own by default.
        """
        return sandbox_environment(self.endpoint, region, os.environ if base is None else base)

    @contextmanager
    def applied(self, region: str = "us-east-1") -> Iterator[Sandbox]:
        """Gives this process itself the sandbox's environment for the length of a `with` block.

        boto3 sessions made in the block, and processes started in it, see the sandbox alone; the
        environment is put back at its end.
        """
        before = dict(os.environ)
        _replace_environment(self.environment(region, before))
        try:
            yield self
        finally:
            _replace_environment(before)

    def image_folder(self, ami_id: str) -> Path:
        """Returns what an AMI's disk has that the image below it has not, or has differently.

        It is an overlay's upper folder: a file that is gone is a character device 0/0 there.

        Args:
            ami_id: An image made of one of the sandbox's machines.

        Raises:
            InputError: The AMI was not made of a machine, or is not available yet.
        """
        return Images(self.home).folder(ami_id)

    @contextmanager
    def image_root(self, ami_id: str) -> Iterator[Path]:
        """Shows an AMI's whole file system in a `with` block, to be read only. Needs root.

        Symbolic links in it that begin with `/` lead to this computer's own files, not to the
        image's: read those with `os.readlink`, or with `chroot`.

        Args:
            ami_id: An image made of one of the sandbox's machines.

        Raises:
            InputError: As `image_folder`.
            ToolError: It cannot be mounted.
        """
        with mounted(Images(self.home).layers(ami_id)) as root:
            yield root

    def reset(self) -> None:
        """Empties the emulator, for the next test.

        Its machines end, and what their images keep is removed from its home; the rest of that is
        left as it is.

        Raises:
            ToolError: The emulator does not answer, or refuses.
        """
        _process.reset(self.endpoint)

    def stop(self) -> None:
        """Stops the emulator if it is owned, and removes its home."""
        if self._process is None:
            return
        _process.end(self._process)
        # A killed emulator could not remove it itself.
        shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def start_sandbox(port: int = 0) -> Sandbox:
    """Starts an emulator that ends with this process, however this process ends.

    Args:
        port: Loopback port; 0 takes a free one.

    Raises:
        ToolError: The extra is not installed, the port is taken, or the emulator did not start.
    """
    emulator, process = _process.launch(port=port)
    return Sandbox(emulator.endpoint, emulator.home, emulator.pid, owned=True, _process=process)


def open_sandbox(
    *,
    idle_seconds: float = DEFAULT_IDLE_SECONDS,
    environment: Mapping[str, str] | None = None,
) -> Sandbox:
    """Returns the sandbox that this command belongs to, starting one where there is none.

    Inside `mngen sandbox -- …` it is that one. Otherwise it is this user's background sandbox, so
    that commands run one after another see the same emulated account; it is started where none
    of this version runs, which is logged, and stops after a while without requests.

    Args:
        idle_seconds: After how long without a request a newly started one ends.
        environment: Where to look for `MNGEN_SANDBOX`; this process's own by default.

    Raises:
        InputError: `MNGEN_SANDBOX` is not a loopback URL.
        ToolError: The emulator named there does not answer, or none could be started.
    """
    named = (os.environ if environment is None else environment).get(ENDPOINT_VARIABLE)
    if named:
        return _attach(named)
    with _background.locked() as record:
        emulator = record.running()
        if emulator is not None and emulator.version != __version__:
            # Another mngen's emulator may close other gaps than this one relies on.
            _background.end(emulator)
            emulator = None
        if emulator is None:
            record.clear()
            emulator, _ = _process.launch(idle=idle_seconds, log=record.log)
            record.write(emulator)
            _LOG.info(
                "started a sandbox in the background (%s); it ends after %g idle minutes, or with "
                "mngen sandbox --stop",
                emulator.endpoint,
                idle_seconds / 60,
            )
    return Sandbox(emulator.endpoint, emulator.home, emulator.pid, owned=False)


def sandbox_status() -> Sandbox | None:
    """Returns this user's background sandbox, or None where none runs.

    Raises:
        ToolError: The folder of its state file belongs to someone else.
    """
    with _background.locked() as record:
        emulator = record.running()
    if emulator is None:
        return None
    return Sandbox(emulator.endpoint, emulator.home, emulator.pid, owned=False)


def stop_sandbox() -> bool:
    """Stops this user's background sandbox; False where none ran.

    Raises:
        ToolError: The folder of its state file belongs to someone else.
    """
    with _background.locked() as record:
        emulator = record.running()
        if emulator is not None:
            _background.end(emulator)
        record.clear()
    return emulator is not None


def _attach(endpoint: str) -> Sandbox:
    parts = urlsplit(endpoint)
    if parts.scheme != "http" or parts.hostname not in ("127.0.0.1", "localhost"):
        raise InputError(
            f"{ENDPOINT_VARIABLE} is {endpoint!r}, which is not a sandbox on this machine",
            hint=f"unset {ENDPOINT_VARIABLE}",
        )
    emulator = _process.probe(endpoint.rstrip("/"))
    if emulator is None:
        raise ToolError(
            f"the sandbox at {endpoint} does not answer",
            hint=f"it has stopped: leave its shell, or unset {ENDPOINT_VARIABLE}",
        )
    if not is_private(emulator.home):
        raise ToolError(
            f"the sandbox at {endpoint} is not yours: {emulator.home} is not private to you"
        )
    return Sandbox(emulator.endpoint, emulator.home, emulator.pid, owned=False)


def _replace_environment(environment: Mapping[str, str]) -> None:
    for name in set(os.environ) - set(environment):
        del os.environ[name]
    os.environ.update(environment)
