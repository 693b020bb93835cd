"""python-terraform's command lines, over mngen's own processes.

python-terraform knows how Terraform's options are written; how it starts a process does not
serve here (see `_process`), so only that is replaced. Two more of its behaviours are turned off: it
reads the state file into memory, which fails on a damaged one, and `init` would pass
`-reconfigure`, which silently leaves an old state behind (see `init_quietly`).
"""

from __future__ import annotations

import logging
import os
import tempfile
from typing import TYPE_CHECKING, Any

import python_terraform

from mngen.terraform._process import Finished, run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mngen.terraform._program import Program

_LOG = logging.getLogger(__name__)

FLAG = python_terraform.IsFlagged
NO_FLAG = python_terraform.IsNotFlagged

_INTERRUPT_MESSAGES = {
    1: "interrupted: Terraform finishes its current step first, please wait",
    2: "still waiting; interrupt again to stop Terraform at once, at the risk that what it is "
    "working on is missing from the state",
    3: "stopping Terraform at once",
}

# No prompts, no questions to the vendor about newer versions, no advice on commands that the
# user did not type.
_FIXED_ENVIRONMENT = {"TF_INPUT": "0", "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}


class InterruptedCommandError(Exception):
    """A command was interrupted, and has ended."""

    def __init__(self, finished: Finished) -> None:
        super().__init__("interrupted")
        self.finished = finished


class Commands(python_terraform.Terraform):  # type: ignore[misc]
    """Terraform's commands in one folder, each returning exit code, output and error output.

    Beside Terraform's options every command takes `on_line` and `on_error_line`, called with
    each line as it comes, and `descriptors`, the file descriptors that Terraform inherits.
    """

    def __init__(self, program: Program, folder: Path, environment: Mapping[str, str]) -> None:
        self.program = program
        self.folder = folder
        # A provider makes its socket there, in /tmp without it (https://pkg.go.dev/os#TempDir).
        # Python finds another folder where the user cannot write to /tmp.
        temporary = {"TMPDIR": tempfile.gettempdir()}
        self.environment = {**temporary, **environment, **_FIXED_ENVIRONMENT}
        super().__init__(working_dir=str(folder), terraform_bin_path=program.where)

    def read_state_file(self, file_path: str | None = None) -> None:
        """Leaves the state alone: Terraform is asked for what is in it."""

    def cmd(self, cmd: str, *args: str, **kwargs: Any) -> tuple[int, str, str]:
        """Runs one Terraform command to its end.

        Raises:
            InterruptedCommandError: This process was interrupted meanwhile; Terraform has ended.
        """
        on_line = kwargs.pop("on_line", _ignore)
        on_error_line = kwargs.pop("on_error_line", _ignore)
        descriptors = kwargs.pop("descriptors", ())
        _, *arguments = self.generate_cmd_string(cmd, *args, **kwargs)
        finished = run(
            self.program.command(arguments, os.getpid()),
            folder=self.folder,
            environment=self.environment,
            on_line=on_line,
            on_error_line=on_error_line,
            on_interrupt=self._on_interrupt,
            descriptors=descriptors,
        )
        if finished.interrupts:
            raise InterruptedCommandError(finished)
        return finished.code, finished.stdout, finished.stderr

    def init_quietly(self) -> tuple[int, str, str]:
        """Runs `terraform init`, leaving the decision over a changed backend to the user."""
        result: tuple[int, str, str] = self.init(reconfigure=NO_FLAG, var=None)
        return result

    def _on_interrupt(self, number: int) -> None:
        message = _INTERRUPT_MESSAGES.get(number)
        if message:
            _LOG.info("%s", message)


def _ignore(_line: str) -> None:
    pass
