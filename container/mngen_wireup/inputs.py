"""Fetching the job's inputs on the main node, while the nodes connect."""

from __future__ import annotations

import os
import sys

from mngen_wireup.errors import BAD_ENVIRONMENT, BAD_INPUTS, WireupError
from mngen_wireup.files import tail
from mngen_wireup.lean import signal
from mngen_wireup.processes import send_signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mngen_wireup.log import Log
    from mngen_wireup.loop import Loop
    from mngen_wireup.plan import Plan

_CONTAINER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROGRAM = f"{_CONTAINER}/fetch_inputs.py"
"""The program that fetches them, beside wireup.py."""


class Inputs:
    """Runs fetch_inputs.py, if the inputs are not on the shared file system yet.

    Attributes:
        pid: The program that fetches them; 0 if there is nothing to wait for.
    """

    def __init__(self, plan: Plan, log: Log, loop: Loop) -> None:
        self.pid = 0
        self._plan, self._log, self._loop = plan, log, loop
        self._output = ""

    def start(self, folder: str) -> None:
        """Starts to fetch them; what the program prints goes to a file in the job's folder."""
        plan = self._plan
        if not plan.inputs_from:
            return
        if os.path.isdir(plan.inputs):
            self._log.write("inputs", f"{plan.inputs} already exists")
            return
        self._log.write("inputs", f"fetching {plan.inputs_from} to {plan.inputs}")
        self._output = f"{folder}/inputs"
        self.pid = self._loop.spawn(
            # What the job adds to Python's path is meant for the application.
            [sys.executable, "-I", PROGRAM, plan.inputs_from, plan.inputs],
            os.environ,
            {1: self._output},
        )

    def check(self) -> None:
        """Reports how the program ended, once it has.

        Raises:
            WireupError: It failed.
        """
        if not self.has_ended():
            return
        code, output = self._loop.exits[self.pid], tail(self._output, 2000)
        self.pid = 0
        if not code:
            self._log.write("inputs", output)
            return
        # Python itself exits with 2 if it cannot open the program.
        permanent = code in (2, BAD_ENVIRONMENT)
        raise WireupError(
            BAD_ENVIRONMENT if permanent else BAD_INPUTS,
            output or f"fetch_inputs.py failed with exit code {code}; its output is above",
        )

    def has_ended(self) -> bool:
        """Whether a program was started and has ended."""
        return self.pid in self._loop.exits

    def cancel(self) -> None:
        """Asks the program to end; it removes what it has fetched so far."""
        send_signal(self.pid, signal.SIGTERM)
