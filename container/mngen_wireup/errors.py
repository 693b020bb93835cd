"""The exit codes that are not the application's, and the exception that carries one."""

from __future__ import annotations

BAD_ENVIRONMENT = 64
"""Invalid environment, arguments or image, unreadable inputs, or a bucket for outputs that the job
may not write; a retry does not help."""
BAD_CPUS = 65
"""A node has another number of CPUs than expected."""
MISSING = 66
"""A node did not connect in time."""
LOST = 67
"""A node died or vanished."""
BAD_LAUNCH = 68
"""The launcher failed before the application started."""
REFUSED = 69
"""A node was refused: wrong secret, job, attempt or index."""
BAD_INPUTS = 70
"""The inputs could not be fetched; a retry may succeed."""

BAD_OUTPUTS = 71
"""The application succeeded, and its outputs could not be uploaded."""


class WireupError(Exception):
    """Why the job ends without the application's own exit code.

    Attributes:
        code: Exit code of every node.
        stage: Stage under which the log reports it.
        grace: Seconds between SIGTERM and SIGKILL for the ranks.
    """

    def __init__(self, code: int, text: str, stage: str = "error", grace: float = 0.0) -> None:
        super().__init__(text)
        self.code = code
        self.stage = stage
        self.grace = grace


def as_wireup_error(error: WireupError | OSError) -> WireupError:
    """Returns an error as it is; a failed system call means that this container is unusable."""
    return error if isinstance(error, WireupError) else WireupError(BAD_ENVIRONMENT, str(error))
