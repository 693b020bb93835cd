"""What a run must show: from the spec and the account, or from this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.cluster import job_ulimits
from mngen.selftest._types import Expected, Machine
from mngen.spec import LAUNCHERS_WITHOUT_MPIRUN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mngen.cluster import AmiRecord, Cluster, ResolvedEnvironment, ResolvedJob, ResolvedQueue
    from mngen.spec import Spec


def expected_on_aws(
    cluster: Cluster,
    job: ResolvedJob,
    queue: ResolvedQueue,
    nodes: int,
    *,
    amis: Mapping[str, str],
    records: Mapping[str, AmiRecord],
) -> Expected:
    """Returns what a run on the nodes of a queue must show.

    Args:
        cluster: The deployment.
        job: The job whose definition it is submitted with.
        queue: The queue that it goes to.
        nodes: Number of nodes.
        amis: The AMI that each environment of the account starts, by the environment's name.
        records: The record of the AMIs that were baked, by the images' names; empty for none.
    """
    environments = queue.environments
    # In another queue than its own the job requests what its smallest node has: see `_order`.
    gpus = job.gpus if queue.name == job.queue.name else min(each.gpus for each in environments)
    machines = {
        kind.name: Machine(
            cpus=each.schedulable_vcpus,
            threads=kind.threads_per_core if each.nr_cpus is None else 1,
            nr_cpus=each.nr_cpus,
            # The definition gives the container its devices.
            efa=job.efa_interfaces,
            gpus=gpus,
            scratch=kind.scratch_disks * kind.disk_size if job.scratch else 0,
            network=kind.network_performance,
            placed=each.placement_group is not None,
            ami=amis.get(each.name),
            problem=record_problem(
                records.get(each.image), each, cluster.spec, amis.get(each.name)
            ),
        )
        for each in reversed(environments)  # of two with one type, the first one counts
        for kind in reversed(each.types)
    }
    launcher = job.spec.launcher or ""
    types = ", ".join(
        dict.fromkeys(kind.name for each in queue.environments for kind in each.types)
    )
    return Expected(
        title=f"{cluster.spec.name}: {nodes} nodes of {types}, queue {queue.name}",
        nodes=nodes,
        machines=machines,
        mount=cluster.spec.storage.efs.mount,
        tls=cluster.spec.storage.efs.tls,
        lustre=cluster.spec.storage.fsx_mount or "",
        scratch=job.scratch or "",
        launcher=launcher if launcher in LAUNCHERS_WITHOUT_MPIRUN else "",
        shared_memory=job.shared_memory,
        limits={name: limit.soft for name, limit in job_ulimits(job).items()},
        root_is_expected=(job.spec.user or "").partition(":")[0] in {"root", "0"},
    )


def record_problem(
    record: AmiRecord | None, environment: ResolvedEnvironment, spec: Spec, ami: str | None
) -> str:
    """Returns what speaks against the record of an environment's AMI; empty for nothing."""
    if record is None:
        return ""
    if ami is not None and record.id != ami:
        return f"its environment starts {ami}, the record names {record.id}: apply has not run"
    made = record.baked_from
    if made is None:
        return ""
    wanted = {
        "nr_cpus": (made.nr_cpus, environment.nr_cpus),
        "efa": (made.efa, environment.spec.efa),
        "gpu": (made.gpu, environment.gpus > 0),
        "scratch": (made.scratch or "none", environment.spec.scratch or "none"),
        "mount": (made.mount, spec.storage.efs.mount),
        "tls": (made.tls, spec.storage.efs.tls),
        "iam": (made.iam, spec.storage.efs.iam),
        "fsx mount": (made.fsx_mount or "none", spec.storage.fsx_mount or "none"),
        "access_point": (made.access_point or "none", spec.storage.efs.access_point or "none"),
    }
    wrong = [f"{name} {was} instead of {now}" for name, (was, now) in wanted.items() if was != now]
    return f"its AMI was baked with {', '.join(wrong)}" if wrong else ""


def expected_here(nodes: int, cpus: int, usable: int, mount: str) -> Expected:
    """Returns what a rehearsal on this machine must show.

    Args:
        nodes: Number of nodes.
        cpus: CPUs of this machine that are online.
        usable: How many of them this process may use.
        mount: Where the nodes see the shared folder.
    """
    return Expected(
        title=f"rehearsal on this machine: {nodes} nodes of {usable} CPUs",
        nodes=nodes,
        machines={"": Machine(cpus=cpus, usable=usable, kernel=False)},
        mount=mount,
        efs=False,
        tls=False,
        root_is_expected=True,
        real=False,
    )
