"""A record on this machine of what was submitted, for when AWS cannot answer yet.

Between the moment that a request leaves and the moment that its answer is read, this process may
be killed; and Batch lists a new job a little after it took it. The record shows that a request was
begun, and which job came of it. It is only a help: what counts is what Batch reports.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from mngen._files import make_private, state_home
from mngen.jobs import _clock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_KEPT_SECONDS = 8 * 86_400.0


@dataclass(slots=True)
class Entry:
    """The record of one request; valid while its lock is held.

    Attributes:
        began: When the request was sent, in seconds since the epoch; None for never.
        job: Id of the job that came of it; None where that is not known.
        part: Token of the request, where the record is of something that takes several: a sweep.
        earlier: Ids of the jobs that came of the requests before it.
    """

    began: float | None = None
    job: str | None = None
    part: str | None = None
    earlier: tuple[str, ...] = ()
    _file: IO[str] | None = None

    @property
    def jobs(self) -> tuple[str, ...]:
        """Ids of all jobs that are known to have come of it."""
        return self.earlier if self.job is None else (*self.earlier, self.job)

    @property
    def is_lost(self) -> bool:
        """Whether a request was begun of which it is not known what came of it."""
        return self.began is not None and self.job is None

    def begin(self, part: str | None = None) -> None:
        """Notes that the request is about to be sent.

        Args:
            part: See the class; what came of the requests before it is kept then.
        """
        self.earlier = () if part is None else self.jobs
        self.began, self.job, self.part = _clock.now(), None, part
        self._write()

    def finish(self, job: str) -> None:
        """Notes which job came of it."""
        self.job = job
        self._write()

    def _write(self) -> None:
        if self._file is None:
            return
        # A full disk must not keep a job from being submitted.
        with suppress(OSError):
            self._file.seek(0)
            self._file.truncate()
            said: dict[str, Any] = {"began": self.began, "job": self.job}
            if self.part is not None:
                said |= {"part": self.part, "earlier": self.earlier}
            json.dump(said, self._file)
            self._file.flush()
            os.fsync(self._file.fileno())


@contextmanager
def recorded(token: str) -> Iterator[Entry]:
    """Holds the lock of a request: of two that are the same, on one machine, one waits.

    Args:
        token: The request's token.
    """
    file = _open(token)
    if file is None:
        yield Entry()
        return
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        said = _read(file)
        earlier = tuple(said.get("earlier", ()))
        yield Entry(said.get("began"), said.get("job"), said.get("part"), earlier, file)


def _open(token: str) -> IO[str] | None:
    """Opens the record of a request; None where none can be kept."""
    try:
        folder = state_home() / "submissions"
        make_private(folder)
        _forget_old(folder)
        descriptor = os.open(folder / f"{token}.json", os.O_RDWR | os.O_CREAT, 0o600)
    # Someone without a home folder has none to keep a record in.
    except (OSError, RuntimeError):
        return None
    return os.fdopen(descriptor, "r+", encoding="utf-8")


def _forget_old(folder: Path) -> None:
    before = _clock.now() - _KEPT_SECONDS
    for path in folder.glob("*.json"):
        with suppress(OSError):
            if path.stat().st_mtime < before:
                path.unlink()


def _read(file: IO[str]) -> dict[str, Any]:
    """Reads a record; one that was cut short counts as none."""
    try:
        said = json.load(file)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
