"""Locks of files that a thread has to wait for."""

from __future__ import annotations

import fcntl
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def waits_for_lock(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Return what is set once a thread of this process has to wait for a lock (flock(2))."""
    waits = threading.Event()
    lock = fcntl.flock

    def flock(descriptor: int, operation: int) -> None:
        try:
            lock(descriptor, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            waits.set()
            lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    return waits
