"""Faults of AWS on demand: a loopback port before a sandbox that fails the requested calls.

    with Faults(sandbox.endpoint) as faults:
        faults.fail("ec2:RunInstances", "InsufficientInstanceCapacity", status=500, times=1)
        subprocess.run(["mngen", "bake"], env=faults.environment())
    assert faults.count("ec2:RunInstances") == 2

An action is named by the service as signatures name it and by the operation: `ec2:RunInstances`,
`ssm:GetParameter`, `elasticfilesystem:CreateFileSystem`. Each call meets at most one fault, the
one that was asked for first among those that are due.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mngen.sandbox import sandbox_environment
from mngen.sandbox.emulator._protocol import error_document
from tests.support.recording import Call, read_call
from tests.support.relay import Answer, Relay, Request

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

HUNG_UP = Answer(0, (), b"")
"""Stands in the log for a connection that was closed without an answer."""


@dataclass
class _Fault:
    action: str
    answer: Callable[[Call, Request], Answer]
    times: int | None
    after: int


@dataclass
class Hold:
    """Calls that wait before they reach the sandbox: time to kill the caller.

    Attributes:
        reached: Is set when a call has come.
        released: Lets it, and all later ones, go on.
    """

    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)


class Faults(Relay):
    """A loopback port that hands requests on to a sandbox, but for those that it is to fail.

    Of every fault, `times` is how many calls meet it (None: all that come), and `after` how many
    calls of this action are spared first, counted from when the fault was asked for.
    """

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self._lock = threading.Lock()
        self._calls: list[Call] = []
        self._faults: list[_Fault] = []
        self._holds: list[Hold] = []

    @property
    def calls(self) -> list[Call]:
        """All calls so far, as they were answered; status 0 where the connection was dropped."""
        with self._lock:
            return list(self._calls)

    def count(self, action: str, *, status: int | None = None) -> int:
        """Count the calls of an action, of any status or of one."""
        return sum(call.action == action and status in (None, call.status) for call in self.calls)

    def environment(self, region: str = "us-east-1") -> dict[str, str]:
        """Return the environment of a process that sees the sandbox through this port alone."""
        return sandbox_environment(self.endpoint, region, os.environ)

    def redirect(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let clients that this process makes from now on, until the test ends, use this port."""
        for name, value in self.environment().items():
            monkeypatch.setenv(name, value)

    def fail(
        self,
        action: str,
        code: str,
        message: str = "injected by the test",
        *,
        status: int = 400,
        times: int | None = None,
        after: int = 0,
    ) -> None:
        """Refuse calls in the service's own protocol; they do not reach the sandbox."""

        def answer(call: Call, _: Request) -> Answer:
            kind, body = error_document(call.service, code, message)
            return Answer(status, (("Content-Type", kind), ("x-amzn-ErrorType", code)), body)

        self._add(_Fault(action, answer, times, after))

    def delay(
        self, action: str, seconds: float, *, times: int | None = None, after: int = 0
    ) -> None:
        """Let calls wait before they reach the sandbox."""

        def answer(_: Call, request: Request) -> Answer:
            time.sleep(seconds)
            return self.forward(request)

        self._add(_Fault(action, answer, times, after))

    def drop(self, action: str, *, times: int | None = None, after: int = 0) -> None:
        """Close the connection of calls, which do not reach the sandbox."""
        self._add(_Fault(action, lambda _call, _request: HUNG_UP, times, after))

    def lose(self, action: str, *, times: int | None = None, after: int = 0) -> None:
        """Close the connection of calls that the sandbox has carried out."""

        def answer(_: Call, request: Request) -> Answer:
            self.forward(request)
            return HUNG_UP

        self._add(_Fault(action, answer, times, after))

    def hold(self, action: str, *, times: int | None = None, after: int = 0) -> Hold:
        """Let calls wait until the returned hold, or this port, is released."""
        hold = Hold()

        def answer(_: Call, request: Request) -> Answer:
            hold.reached.set()
            hold.released.wait()
            return self.forward(request)

        with self._lock:
            self._holds.append(hold)
        self._add(_Fault(action, answer, times, after))
        return hold

    def hold_answer(self, action: str, *, times: int | None = None, after: int = 0) -> Hold:
        """Let answers wait: the sandbox has carried the calls out, and their makers do not know."""
        hold = Hold()

        def answer(_: Call, request: Request) -> Answer:
            done = self.forward(request)
            hold.reached.set()
            hold.released.wait()
            return done

        with self._lock:
            self._holds.append(hold)
        self._add(_Fault(action, answer, times, after))
        return hold

    def clear(self) -> None:
        """Forget all faults and release all holds; the log of calls stays."""
        with self._lock:
            self._faults.clear()
            holds = list(self._holds)
        for hold in holds:
            hold.released.set()

    def handle(self, request: Request) -> Answer | None:
        """Answer a request as the faults ask; unsigned ones belong to no service."""
        if "authorization" not in request.headers:
            return self.forward(request)
        call = read_call(request, HUNG_UP)
        fault = self._due(call.action)
        answer = fault.answer(call, request) if fault else self.forward(request)
        with self._lock:
            self._calls.append(read_call(request, answer))
        return None if answer is HUNG_UP else answer

    def __exit__(self, *_: object) -> None:
        self.clear()
        super().__exit__()

    def _add(self, fault: _Fault) -> None:
        with self._lock:
            self._faults.append(fault)

    def _due(self, action: str) -> _Fault | None:
        """Take the first fault that this call meets; it passes the others' count too."""
        due = None
        with self._lock:
            for fault in self._faults:
                if fault.action != action:
                    continue
                if fault.after:
                    fault.after -= 1
                elif due is None and fault.times != 0:
                    due = fault
                    if fault.times is not None:
                        fault.times -= 1
        return due
