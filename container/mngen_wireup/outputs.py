"""Uploading the job's outputs from the main node, once the application has ended on all nodes.

Whether they can be uploaded is checked before it starts, while the nodes connect.
"""

from __future__ import annotations

import os
import sys
import time

from mngen_wireup.errors import BAD_ENVIRONMENT, WireupError
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

CHECK_SECONDS = 30.0
"""How long the start of the application waits for S3 at most."""
CANCEL_SECONDS = 27.0
"""Seconds after the first SIGTERM at which an upload stops; AWS Batch sends SIGKILL after 30.

Stopping the ranks and waiting for the other nodes, which come before, count in it.
"""


class Outputs:
    """Runs upload_outputs.py.

    Attributes:
        pid: The program that checks whether they can be; 0 if there is nothing to wait for.
        problem: Why the outputs were not uploaded; empty if they were.
        stopped: The signal that stopped the upload; 0 if none did.
    """

    def __init__(self, plan: Plan, log: Log, loop: Loop) -> None:
        self.pid = 0
        self.problem = ""
        self.stopped = 0
        self._plan, self._log, self._loop = plan, log, loop
        self._output, self._deadline = "", float("inf")

    def start_check(self, folder: str) -> None:
        """Starts to check whether they can be uploaded.

        Args:
            folder: The job's, for a file of what the program prints.
        """
        self._output, self._deadline = f"{folder}/outputs", time.monotonic() + CHECK_SECONDS
        self.pid = self._spawn(self._output, "--check")

    def check(self) -> None:
        """Reports how the check ended, once it has, or that it takes too long.

        Raises:
            WireupError: They cannot be uploaded, and a retry does not help.
        """
        if self.pid in self._loop.exits:
            code = self._loop.exits[self.pid]
            output = tail(self._output, 2000)
        elif self.pid and time.monotonic() >= self._deadline:
            send_signal(self.pid, signal.SIGTERM)
            code, output = 128 + signal.SIGTERM, f"no response from S3 in {CHECK_SECONDS:g} s"
        else:
            return
        self.pid = 0
        output = output or f"upload_outputs.py failed with exit code {code}; its output is above"
        # Python itself exits with 2 if it cannot open the program.
        if code in (2, BAD_ENVIRONMENT):
            raise WireupError(BAD_ENVIRONMENT, f"outputs: {output}")
        if code:
            self._log.write("outputs", f"{output}; the upload may still succeed at the end")

    def _spawn(self, output: str, what: str) -> int:
        """Starts the program with its first argument; what it prints goes to a file."""
        return self._loop.spawn(
            # What the job adds to Python's path is meant for the application.
            [sys.executable, "-I", PROGRAM, what, self._plan.outputs_to],
            os.environ,
            {1: output},
        )

    def upload(self) -> None:
        """Uploads them, and reports how that ended.

        It takes as long as it takes, but stops in time where AWS Batch is about to kill the
        container: what has arrived by then stays.
        """
        plan, loop = self._plan, self._loop
        self._log.write("outputs", f"uploading {plan.outputs} to {plan.outputs_to}/")
        folder = private_folder()
        try:
            pid = self._spawn(f"{folder}/outputs", plan.outputs)
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
            left = self._loop.signalled + CANCEL_SECONDS - time.monotonic()
            if left <= 0:
                return False
            self._loop.step(min(1.0, left))
        return True
