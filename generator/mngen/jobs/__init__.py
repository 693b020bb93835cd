"""Jobs: submitting them, watching them, understanding why they wait, cancelling them.

    >>> from mngen.jobs import Jobs
    >>> jobs = Jobs.of("mngen.yaml")                            # doctest: +SKIP
    >>> jobs.submit("mpi-example", nodes=4).id                  # doctest: +SKIP
    '6d1b8f0a-…'

Queues, job definitions and the log group are known by their names, which follow from the spec: no
access to Terraform's state is needed. AWS is asked each time; what this package keeps on the
machine (`_journal`) only bridges the moment in which AWS cannot answer yet.
"""

from typing import TYPE_CHECKING

from mngen._later import later
from mngen.jobs._types import (
    Cause,
    JobStatus,
    JobSummary,
    LogLine,
    NodeStatus,
    Order,
    ShareUse,
    Submission,
    Turns,
    as_data,
)

if TYPE_CHECKING:
    from mngen.jobs._cancel_many import NotCancelledError
    from mngen.jobs._inputs import Inputs
    from mngen.jobs._jobs import Jobs, resume_command
    from mngen.jobs._outputs import ArrayOutputs, Fetched, Outputs
    from mngen.jobs._request import with_inputs
    from mngen.jobs._retry import is_temporary
    from mngen.jobs._shared_outputs import folder_name
    from mngen.jobs._submit import Prepared, require_all
    from mngen.jobs._sweep import read_rows, rows_in_words
    from mngen.jobs._usage import NodeUsage, Usage
    from mngen.jobs._wait import WaitedTooLongError
    from mngen.jobs._watch import (
        UNFINISHED,
        ActiveJob,
        EnvironmentView,
        Overview,
        QueueView,
        Watcher,
    )

__all__ = [
    "UNFINISHED",
    "ActiveJob",
    "ArrayOutputs",
    "Cause",
    "EnvironmentView",
    "Fetched",
    "Inputs",
    "JobStatus",
    "JobSummary",
    "Jobs",
    "LogLine",
    "NodeStatus",
    "NodeUsage",
    "NotCancelledError",
    "Order",
    "Outputs",
    "Overview",
    "Prepared",
    "QueueView",
    "ShareUse",
    "Submission",
    "Turns",
    "Usage",
    "WaitedTooLongError",
    "Watcher",
    "as_data",
    "folder_name",
    "is_temporary",
    "read_rows",
    "require_all",
    "resume_command",
    "rows_in_words",
    "with_inputs",
]

# What `render` does without.
__getattr__ = later(
    __name__,
    {
        "UNFINISHED": "_watch",
        "ActiveJob": "_watch",
        "ArrayOutputs": "_outputs",
        "EnvironmentView": "_watch",
        "Fetched": "_outputs",
        "Inputs": "_inputs",
        "Jobs": "_jobs",
        "NodeUsage": "_usage",
        "NotCancelledError": "_cancel_many",
        "Outputs": "_outputs",
        "Overview": "_watch",
        "Prepared": "_submit",
        "QueueView": "_watch",
        "Usage": "_usage",
        "WaitedTooLongError": "_wait",
        "Watcher": "_watch",
        "folder_name": "_shared_outputs",
        "is_temporary": "_retry",
        "read_rows": "_sweep",
        "require_all": "_submit",
        "resume_command": "_jobs",
        "rows_in_words": "_sweep",
        "with_inputs": "_request",
    },
)
