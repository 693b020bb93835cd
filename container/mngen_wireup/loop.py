"""The one loop that waits for sockets, signals and the ends of processes."""

from __future__ import annotations

import os
import select
import time

from mngen_wireup.errors import BAD_LAUNCH, WireupError
from mngen_wireup.lean import signal
from mngen_wireup.processes import adopt_orphans, descendants, send_signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Callable

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Loop:
    """Waits for sockets, signals, and the ends of processes.

    Attributes:
        exits: Exit code of each process that has ended, by PID; 128 + N if signal N ended it.
        signals: Those that asked this process to end.
        signalled: When the first of them came, on the monotonic clock.
    """

    def __init__(self) -> None:
        self.exits: dict[int, int] = {}
        self.signals: list[int] = []
        self.signalled = float("inf")
        self._epoll = select.epoll()
        self._calls: dict[int, Callable[[], None]] = {}
        self._signal_reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (*SIGNALS, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        self.watch(self._signal_reader, self._read_signals)
        adopt_orphans()

    def watch(self, handle: int, call: Callable[[], None], *, write: bool = False) -> None:
        """Calls a function whenever a file descriptor can be read from (or also written to)."""
        events = select.EPOLLIN | (select.EPOLLOUT if write else 0)
        if handle in self._calls:
            self._epoll.modify(handle, events)
        else:
            self._epoll.register(handle, events)
        self._calls[handle] = call

    def unwatch(self, handle: int) -> None:
        """Undoes `watch`, before the file descriptor is closed."""
        if self._calls.pop(handle, None):
            self._epoll.unregister(handle)

    def step(self, seconds: float) -> None:
        """Waits until something happens, at most for some seconds, and handles it."""
        found = [(handle, self._calls[handle]) for handle, _ in self._epoll.poll(max(seconds, 0))]
        for handle, call in found:
            if self._calls.get(handle) is call:  # a call before may have closed it
                call()

    def _read_signals(self) -> None:
        try:
            numbers = os.read(self._signal_reader, 4096)
        except BlockingIOError:
            return
        self.signals += [number for number in numbers if number in SIGNALS]
        if self.signals:
            self.signalled = min(self.signalled, time.monotonic())
        self.reap()

    def reap(self) -> bool:
        """Collects all processes that have ended; returns whether any is still running."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if not pid:
                return True
            signalled = os.WIFSIGNALED(status)
            self.exits[pid] = 128 + os.WTERMSIG(status) if signalled else os.WEXITSTATUS(status)

    def spawn(
        self, argv: Sequence[str], env: Mapping[str, str], files: Mapping[int, int | str]
    ) -> int:
        """Starts a program in its own session and returns its PID.

        Args:
            argv: Its arguments; the first is looked up on PATH.
            env: Its environment.
            files: By its file descriptor, one of this process or the path of a file to write.

        Raises:
            WireupError: It cannot be started.
        """
        actions: list[tuple[Any, ...]] = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
        for number, source in files.items():
            if isinstance(source, str):
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
                actions.append((os.POSIX_SPAWN_OPEN, number, source, flags, 0o600))
            else:
                actions.append((os.POSIX_SPAWN_DUP2, source, number))
        try:
            return os.posix_spawnp(
                argv[0],
                list(argv),
                dict(env),
                file_actions=actions,
                setsid=True,
                # Python ignores SIGPIPE, which the program would inherit.
                setsigdef=(*SIGNALS, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD),
            )
        except OSError as error:
            raise WireupError(BAD_LAUNCH, f"cannot start {argv[0]}: {error.strerror}") from None

    def wait_for(self, pid: int) -> int:
        """Waits for a program that takes little time, and returns its exit code."""
        while pid not in self.exits:
            self.step(1.0)
        return self.exits[pid]

    def kill_all(self, seconds: float = 5.0) -> None:
        """Kills every process below this one and waits until they have ended."""
        deadline = time.monotonic() + seconds
        while self.reap() and time.monotonic() < deadline:
            for pid in descendants(os.getpid()):
                send_signal(pid, signal.SIGKILL)
            self.step(0.002)
