"""The demo's job: submitted to the emulated queue, and rehearsed with real MPI where that works."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mngen.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mngen.cluster import Cluster

_WAIT_SECONDS = 300.0
_MANIFEST = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "config": {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": f"sha256:{'0' * 64}",
        "size": 2,
    },
    "layers": [],
}


def submit_job(cluster: Cluster, tell: Callable[[str], None]) -> str:
    """Submits the spec's first job to the emulated AWS that this process sees, and waits.

    The emulated registry takes no pushes, so the container image is there by name alone: the
    emulated Batch runs jobs as data.

    Args:
        cluster: The cluster, applied and with its images.
        tell: Is called with each line of progress.

    Returns:
        What became of it, in a line.

    Raises:
        ToolError: It did not succeed.
    """
    from mngen._aws import client
    from mngen.jobs import Jobs

    spec = cluster.spec
    client("ecr", spec.region).put_image(
        repositoryName=f"{spec.name}/{spec.container.repository}",
        imageManifest=json.dumps(_MANIFEST),
        imageTag=spec.container.tag,
    )
    jobs = Jobs(cluster)
    job = jobs.submit(cluster.jobs[0].name).id
    tell(f"submitted {job}")
    status = jobs.wait(job, timeout=_WAIT_SECONDS, tell=tell)
    if status.state != "SUCCEEDED":
        raise ToolError(f"the job {job} ended as {status.state}: {status.reason or 'no reason'}")
    return f"{status.name}: {status.state}, {len(status.nodes)} nodes"


def rehearse_job(cluster: Cluster, tell: Callable[[str], None]) -> str:
    """Runs the same job with real MPI on this machine, in network namespaces.

    Args:
        cluster: The cluster.
        tell: Is called with each line of progress, the nodes' own among them.

    Returns:
        What became of it, or why it cannot be rehearsed here, in a line.

    Raises:
        ToolError: It failed.
    """
    from mngen.rehearsal import NetworkNamespaces, rehearsal_of, rehearse, unavailable

    if reason := unavailable():
        tell(f"not rehearsed: {reason}")
        return f"not here: {reason}"
    outcome = rehearse(
        rehearsal_of(cluster, cluster.jobs[0].name),
        NetworkNamespaces(),
        on_line=lambda line: tell(f"[{line.node}] {line.text}"),
        tell=tell,
    )
    if not outcome.succeeded:
        raise ToolError(
            f"the rehearsal failed with exit code {outcome.exit_code}: {outcome.reason}"
        )
    return f"exit code 0 on {len(outcome.exit_codes)} nodes, with real MPI"
