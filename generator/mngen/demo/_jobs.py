"""The demo's job: submitted to the emulated queue, and rehearsed with real MPI where that works."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from mngen import parts
from mngen.errors import InterruptedRunError, ToolError

if TYPE_CHECKING:
    from pathlib import Path

    from mngen.cluster import Cluster

_LOG = logging.getLogger(__name__)
_WAIT_SECONDS = 300.0


def submit_job(cluster: Cluster) -> str:
    """Submits the spec's first job to the emulated AWS that this process sees, and waits.

    Args:
        cluster: The cluster, applied and with its images.

    Returns:
        What became of it, in a line.

    Raises:
        ToolError: It did not succeed.
    """
    from mngen.jobs import Jobs

    jobs = Jobs(cluster)
    job = jobs.submit(cluster.jobs[0].name).id
    _LOG.info("submitted %s", job)
    status = jobs.wait(job, timeout=_WAIT_SECONDS)
    if status.state != "SUCCEEDED":
        raise ToolError(f"the job {job} ended as {status.state}: {status.reason or 'no reason'}")
    return f"{status.name}: {status.state}, {len(status.nodes)} nodes"


def rehearse_job(cluster: Cluster, *, picture: Path) -> str:
    """Runs the same job with real MPI on this machine, in network namespaces.

    What the nodes write is logged.

    Args:
        cluster: The cluster.
        picture: The SVG file to draw the timeline into.

    Returns:
        What became of it, or why it cannot be rehearsed here, in a line.

    Raises:
        ToolError: It failed; its timeline is drawn all the same.
        InterruptedRunError: The user interrupted; the nodes have ended.
    """
    from mngen.rehearsal import NetworkNamespaces, rehearsal_of, rehearse, unavailable
    from mngen.timeline import to_svg

    found = parts.trouble("demo-rehearse")
    if reason := found.message if found else unavailable():
        _LOG.info("not rehearsed: %s", reason)
        return f"not here: {reason}"
    outcome = rehearse(
        rehearsal_of(cluster, cluster.jobs[0].name),
        NetworkNamespaces(),
        on_line=lambda line: _LOG.info("[%d] %s", line.node, line.text),
    )
    picture.write_text(to_svg(outcome.timeline), encoding="utf-8")
    if outcome.stopped == "interrupt":
        raise InterruptedRunError("interrupted; the nodes have ended")
    if not outcome.succeeded:
        raise ToolError(
            f"the rehearsal failed with exit code {outcome.exit_code}: {outcome.reason}"
        )
    return f"exit code 0 on {len(outcome.exit_codes)} nodes, with real MPI"
