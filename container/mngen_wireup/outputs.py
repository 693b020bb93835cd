"""Uploading the job's outputs from the main node, once the application has ended on all nodes."""

from __future__ import annotations

import os
import sys
import time

from mngen_wireup.files import private_folder, remove_folder, tail
from mngen_wireup.lean import signal
from mngen_wireup.processes import send_signal, signal_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mngen_wireup.log import Log
    from mngen_wireup.loop import Loop
    from mngen_wireup.plan import Plan

_CONTAINER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROGRAM = f"{_CONTAINER}/upload_outputs.py"
"""The program that uploads them, beside wireup.py."""

CANCEL_SECONDS = 27.0
"""Seconds after the first SIGTERM at which an upload stops; AWS Batch sends SIGKILL after 30.

Stopping the ranks and waiting for the other nodes, which come before, count in it.
"""


class Outputs:
    """Runs upload_outputs.py.

    Attributes:
        problem: Why the outputs were not uploaded; empty if they were.
        stopped: The signal that stopped the upload; 0 if none did.
    """

    def __init__(self, plan: Plan, log: Log, loop: Loop) -> None:
        self.problem = ""
        self.stopped = 0
        self._plan, self._log, self._loop = plan, log, loop

    def upload(self) -> None:
        """Uploads them, and reports how that ended.

        It takes as long as it takes, but stops in time where AWS Batch is about to kill the
        container: what has arrived by then stays.
        """
        plan, loop = self._plan, self._loop
        self._log.write("outputs", f"uploading {plan.outputs} to {plan.outputs_to}/")
        folder = private_folder()
        try:
            pid = loop.spawn(
                # What the job adds to Python's path is meant for the application.
                [sys.executable, "-I", PROGRAM, plan.outputs, plan.outputs_to],
                os.environ,
                {1: f"{folder}/outputs"},
            )
            if self._wait(pid):
                code, output = loop.exits[pid], tail(f"{folder}/outputs", 2000)
                failed = f"upload_outputs.py failed with exit code {code}; its output is above"
                self.problem = (output or failed) if code else ""
            else:
                send_signal(pid, signal.SIGTERM)
                self.stopped = loop.signals[0]
                output = ""
                name = signal_name(self.stopped)
                self.problem = f"stopped by {name} before all files were uploaded"
        finally:
            remove_folder(folder)
        if self.problem:
            self._log.write("error", f"outputs: {self.problem}")
        else:
            self._log.write("outputs", output)

    def _wait(self, pid: int) -> bool:
        """Waits until a program has ended; returns whether it did in time."""
        while pid not in self._loop.exits:
            if time.monotonic() >= self._loop.signalled + CANCEL_SECONDS:
                return False
            self._loop.step(1.0)
        return True
