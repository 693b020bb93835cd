"""The record of a user's background sandbox: one file, one lock, both private to the user."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mngen._files import is_private, locked_file, runtime_home, write_atomically
from mngen.errors import ToolError
from mngen.sandbox import _process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mngen.sandbox._process import Emulator

_END_SECONDS = 10.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of the background sandbox; valid while its lock is held.

    Attributes:
        folder: The private folder that holds the state file and the emulator's log.
    """

    folder: Path

    @property
    def log(self) -> Path:
        """The log file of the background emulator."""
        return self.folder / "sandbox.log"

    @property
    def _file(self) -> Path:
        return self.folder / "sandbox.json"

    def running(self) -> Emulator | None:
        """Returns the emulator on record if it still answers, and is the same one."""
        recorded = self._read()
        if recorded is None:
            return None
        return recorded if _process.probe(recorded.endpoint) == recorded else None

    def write(self, emulator: Emulator) -> None:
        """Records an emulator."""
        text = json.dumps(
            {
                "endpoint": emulator.endpoint,
                "home": str(emulator.home),
                "instance": emulator.instance,
                "pid": emulator.pid,
                "version": emulator.version,
            }
        )
        write_atomically(self._file, text.encode())

    def clear(self) -> None:
        """Forgets the emulator on record, and removes the home that a killed one left behind."""
        recorded = self._read()
        if recorded is not None and is_private(recorded.home):
            shutil.rmtree(recorded.home, ignore_errors=True)
        self._file.unlink(missing_ok=True)

    def _read(self) -> Emulator | None:
        try:
            return _process.Emulator.from_json(json.loads(self._file.read_text(encoding="utf-8")))
        # A file cut short by a crash names nothing that could still be found.
        except (OSError, ValueError):
            return None


@contextmanager
def locked() -> Iterator[Record]:
    """Holds the user's lock: of two commands that start a sandbox, one waits and attaches.

    Raises:
        ToolError: The folder cannot be created, or belongs to another user.
    """
    folder = _folder()
    with locked_file(folder / "sandbox.lock"):
        yield Record(folder)


def end(emulator: Emulator) -> None:
    """Stops an emulator, which has just answered under this PID, and waits until it is gone.

    Raises:
        ToolError: It does not end.
    """
    with suppress(ProcessLookupError):
        os.kill(emulator.pid, signal.SIGTERM)
    deadline = time.monotonic() + _END_SECONDS
    while _process.probe(emulator.endpoint) == emulator:
        if time.monotonic() > deadline:
            raise ToolError(
                f"the sandbox (process {emulator.pid}) does not stop",
                hint=f"stop it with: kill -9 {emulator.pid}",
            )
        time.sleep(_POLL_SECONDS)


def _folder() -> Path:
    folder = runtime_home()
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ToolError(f"cannot make {folder}: {error.strerror}") from error
    if not is_private(folder):
        raise ToolError(
            f"{folder} is not a private folder of yours",
            hint="delete it, or set XDG_RUNTIME_DIR to a private folder",
        )
    return folder
