"""Reads the plan of this node and runs its part of the job."""

from __future__ import annotations

import gc
import os
import sys

from mngen_wireup.errors import WireupError
from mngen_wireup.log import Log, shortened
from mngen_wireup.plan import plan_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mngen_wireup.child import ChildNode
    from mngen_wireup.main import MainNode
    from mngen_wireup.plan import Plan


def run() -> int:
    """Runs this node's part of the job and returns its exit code."""
    while os.open(os.devnull, os.O_RDWR) < 3:
        pass  # the parent may have closed the standard streams
    index = os.environ.get("AWS_BATCH_JOB_NODE_INDEX", "0")
    log = Log(int(index) if index.isdecimal() else 0)
    try:
        words, guarded, row = sys.argv[1:], [], None
        if "MNGEN_ROWS" in os.environ:
            # Takes some milliseconds, and most jobs have none.
            from mngen_wireup.row import take_row

            row = take_row(os.environ)
            guarded, words = words, row.command(words)
            os.environ.update(row.variables())
        plan = plan_from(os.environ, words)
        os.environ.pop("MNGEN_SECRET", None)  # no program that is started here may read it
        kind = "main" if plan.node == plan.main else "child"
        group = f", group {plan.group}" if plan.group else ""
        place = f"{kind} node of {plan.nodes}{group}"
        log.write("start", f"{place}, job {plan.job}, attempt {plan.attempt}")
        if row:
            log.write("row", shortened(row.described(guarded)))
        node = _node(plan, log)
    except WireupError as error:
        log.write(error.stage, str(error))
        log.write("end", f"exit {error.code}")
        return error.code
    gc.enable()  # see wireup.py: everything is imported
    return node.run()


def _node(plan: Plan, log: Log) -> MainNode | ChildNode:
    # Each kind of node imports only what it needs.
    if plan.node == plan.main:
        from mngen_wireup.main import MainNode

        return MainNode(plan, log)
    from mngen_wireup.child import ChildNode

    return ChildNode(plan, log)
