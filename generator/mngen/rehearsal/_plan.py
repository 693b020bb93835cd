"""What to rehearse: a job of the spec, or a command, as far as this machine can play it."""

from __future__ import annotations

import grp
import pwd
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mngen import _resources
from mngen.cluster import (
    CPUS_CHECK_VARIABLE,
    KEY_VARIABLES,
    OUTPUTS_TO_VARIABLE,
    RENDEZVOUS_VARIABLE,
    SHARED_VARIABLE,
)
from mngen.errors import InputError, did_you_mean
from mngen.rehearsal._faults import FaultKind
from mngen.rehearsal._request import Bind, MemoryFiles, NodesRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from mngen.cluster import Cluster, ResolvedJob
    from mngen.rehearsal._faults import Fault
    from mngen.spec import Mount, Spec, Tmpfs

_PLACE = "/opt/mngen"
# All nodes share this machine's cores. Ranks that wait must let the others work, and Open MPI must
# not bind the first rank of every node to the first core.
_SHARED_CORES = {
    "OMPI_MCA_mpi_yield_when_idle": "1",
    "OMPI_MCA_hwloc_base_binding_policy": "none",
}
EXAMPLE = "mpi_example.py"
"""The tutorial's program, beside the wire-up."""

DEFAULT_MOUNT = "/efs"
DEFAULT_NODES = 2
MOST_NODES_BY_DEFAULT = 16
"""Most nodes that are started without being asked for: real MPI on more takes many seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RehearsedGroup:
    """A node group of a job to be rehearsed.

    Attributes:
        name: It.
        first: Its first node. It ends where the next group starts, the last one with the job.
        command: What its nodes run, which the wire-up gets.
        environment: Variables besides those of the job, or in their place.
        image: The container image, which container engines run; None for that of the job.
    """

    name: str
    first: int
    command: tuple[str, ...]
    environment: Mapping[str, str]
    image: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """A job to be rehearsed.

    Attributes:
        name: What it is called in the picture.
        command: The job's command, which the wire-up gets.
        nodes: Number of nodes.
        environment: The job's own environment variables.
        real_nodes: How many nodes the job has, if that is known.
        real_ranks_per_node: How many ranks each of them has, if that is known.
        mount: Where nodes see the shared folder, as they would see the EFS.
        lustre_mount: Where nodes see the folder that stands for FSx for Lustre; None for none.
        scratch: Where each node sees a separate folder, as it would see its scratch space; None
            for nowhere.
        image: The container image, which container engines run.
        faults: What happens to nodes.
        timeout: Seconds after which the job is stopped, or None.
        cpus: The CPUs of this machine that a node may use, as `taskset` lists them, by index; all
            by default.
        unshared: Indexes of nodes that see a separate folder instead of the shared one.
        limits: Soft and hard limits of processes, by name; -1 for none.
        files: File systems in memory.
        mounts: What the containers see of their node.
        folders: Folders of this machine that stand for those of the node, by their paths there.
            What is not in it is an empty folder.
        user: The user that the job names, by name or number.
        secrets: Variables whose values the job gets from AWS, and a rehearsal from `environment`.
        groups: The node groups of the job, in the order of their nodes; empty for none.
    """

    name: str
    command: tuple[str, ...]
    nodes: int = DEFAULT_NODES
    environment: Mapping[str, str] = field(default_factory=dict)
    ranks_per_node: int | None = 1
    real_nodes: int | None = None
    real_ranks_per_node: int | None = None
    mount: str = DEFAULT_MOUNT
    lustre_mount: str | None = None
    scratch: str | None = None
    image: str | None = None
    faults: tuple[Fault, ...] = ()
    timeout: float | None = None
    cpus: Mapping[int, str] = field(default_factory=dict)
    unshared: AbstractSet[int] = frozenset()
    limits: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    files: tuple[Tmpfs, ...] = ()
    mounts: tuple[Mount, ...] = ()
    folders: Mapping[str, Path] = field(default_factory=dict)
    user: str | None = None
    secrets: tuple[str, ...] = ()
    groups: tuple[RehearsedGroup, ...] = ()

    @property
    def commands(self) -> tuple[tuple[str, ...], ...]:
        """The commands of all nodes."""
        return tuple(group.command for group in self.groups) or (self.command,)

    def group_of(self, node: int) -> RehearsedGroup | None:
        """Returns the node group that a node belongs to; None in a job without groups."""
        return next((each for each in self.groups[::-1] if each.first <= node), None)


def rehearsal_of(cluster: Cluster, job: str | None = None) -> Rehearsal:
    """Returns the rehearsal of a job of a spec.

    Args:
        cluster: The spec, resolved.
        job: Name of the job; None for the only one that there is.

    Raises:
        InputError: There is no such job, or none was named where there are several.
    """
    from mngen.cluster import job_variables

    spec = cluster.spec
    found = _chosen(cluster.jobs, job)
    command = found.parts[0].spec.command
    if not command:
        raise InputError(
            f"the job `{found.name}` has no command: its container image has one",
            hint="give a command after --",
        )
    variables = job_variables(spec, found)
    groups = tuple(_group(spec, part, variables) for part in found.groups)
    fewest = groups[-1].first + 1 if groups else 1
    return Rehearsal(
        name=found.name,
        command=command,
        nodes=max(fewest, min(found.spec.nodes or 1, MOST_NODES_BY_DEFAULT)),
        environment=variables,
        real_nodes=found.spec.nodes or 1,
        real_ranks_per_node=None if groups else _ranks(variables, found.vcpus),
        mount=spec.storage.efs.mount,
        lustre_mount=spec.storage.fsx_mount,
        scratch=found.scratch,
        image=found.spec.image or image_of(cluster),
        timeout=float(found.spec.timeout),
        limits=_limits(found),
        files=found.spec.tmpfs,
        mounts=_own_mounts(spec, found),
        user=found.spec.user,
        secrets=tuple(sorted(found.spec.secrets)),
        groups=groups,
    )


def _group(spec: Spec, part: ResolvedJob, of_job: Mapping[str, str]) -> RehearsedGroup:
    from mngen.cluster import job_variables

    return RehearsedGroup(
        name=str(part.group),
        first=int(part.target.partition(":")[0]),
        command=part.spec.command,
        environment={
            name: value
            for name, value in job_variables(spec, part).items()
            if of_job.get(name) != value and name != KEY_VARIABLES["ranks_per_node"]
        },
        image=part.spec.image,
    )


def _limits(job: ResolvedJob) -> dict[str, tuple[int, int]]:
    """Returns the limits that the job sets, without those that come with EFA and GPUs."""
    # Loads packages that the Python of the nodes' keeper need not have.
    from mngen.cluster import job_ulimits

    return {
        name: (limit.soft, limit.hard)
        for name, limit in job_ulimits(job).items()
        if name in job.spec.ulimits
    }


def _own_mounts(spec: Spec, job: ResolvedJob) -> tuple[Mount, ...]:
    """Returns what a job mounts besides the file systems of nodes, which files mount themselves."""
    known = {*spec.storage.mounts, job.scratch}
    return tuple(each for each in job.spec.mounts if each.path not in known)


def image_of(cluster: Cluster) -> str:
    """Returns what the spec's container image is called on this machine."""
    from mngen.container import plan_image

    # It is called the same on every platform.
    return cluster.spec.container.image or plan_image(cluster, target_platform="any").reference


def _chosen(jobs: Sequence[ResolvedJob], name: str | None) -> ResolvedJob:
    names = [job.name for job in jobs]
    listed = ", ".join(names) or "none"
    if name is None:
        if len(jobs) == 1:
            return jobs[0]
        raise InputError(
            f"the spec has several jobs: {listed}", hint="name one, or give a command after --"
        )
    for job in jobs:
        if job.name == name:
            return job
    hint = did_you_mean(name, names) or f"the jobs of the spec: {listed}"
    raise InputError(f"the spec has no job `{name}`", hint=hint)


def _ranks(variables: Mapping[str, str], vcpus: int) -> int:
    """Returns how many ranks the wire-up would start on a real node."""
    asked = variables.get(KEY_VARIABLES["ranks_per_node"], "")
    if asked.isdecimal():
        return int(asked)
    threads = variables.get(KEY_VARIABLES["threads_per_rank"], "")
    return max(1, vcpus // max(1, int(threads) if threads.isdecimal() else 1))


def nodes_request(
    rehearsal: Rehearsal, shared: Path | None, *, in_image: bool, lustre: Path | None = None
) -> NodesRequest:
    """Returns the nodes of a rehearsal.

    Args:
        rehearsal: It.
        shared: The folder that stands for the EFS; None for a new one with the example program.
        in_image: Whether the nodes are containers of the image, whose entrypoint is the wire-up.
        lustre: The folder that stands for FSx for Lustre; None for a new one.

    Raises:
        InputError: A node group of the job would have no node, or this machine has no such user.
    """
    last = rehearsal.groups[-1] if rehearsal.groups else None
    if last is not None and rehearsal.nodes <= last.first:
        raise InputError(
            f"the node group `{last.name}` of `{rehearsal.name}` starts at node {last.first}, and "
            f"{rehearsal.nodes} nodes are to be rehearsed",
            hint=f"use more than {last.first} `--nodes`",
        )
    faults = rehearsal.faults
    binds: tuple[Bind, ...] = (Bind(shared, rehearsal.mount),)
    if shared is None:
        example = _resources.container() / EXAMPLE
        binds += (Bind(example, f"{rehearsal.mount}/{EXAMPLE}", read_only=True),)
    if rehearsal.lustre_mount is not None:
        binds += (Bind(lustre, rehearsal.lustre_mount),)
    wire_up: tuple[str, ...] = ()
    if not in_image:
        container = _resources.container()
        binds += tuple(
            Bind(container / name, f"{_PLACE}/{name}", read_only=True)
            for name in ("wireup.py", "mngen_wireup")
        )
        wire_up = ("python3", f"{_PLACE}/wireup.py")
    command = (*wire_up, *rehearsal.command)
    binds += tuple(
        Bind(rehearsal.folders[each.host].absolute(), each.path, read_only=each.read_only)
        for each in rehearsal.mounts
        if each.host in rehearsal.folders
    )
    files = tuple(
        MemoryFiles(each.path, (f"size={each.size}m", *each.options)) for each in rehearsal.files
    )
    files += tuple(
        MemoryFiles(each.path, ("mode=1777", "exec", "ro" if each.read_only else "rw"))
        for each in rehearsal.mounts
        if each.host not in rehearsal.folders
    )
    if rehearsal.scratch is not None:
        files += (MemoryFiles(rehearsal.scratch, ("mode=1777", "exec")),)
    ranks = rehearsal.ranks_per_node
    groups = {index: rehearsal.group_of(index) for index in range(rehearsal.nodes)}
    return NodesRequest(
        command=command,
        count=rehearsal.nodes,
        environment={
            **_SHARED_CORES,
            **rehearsal.environment,
            RENDEZVOUS_VARIABLE: secrets.token_hex(32),
            SHARED_VARIABLE: rehearsal.mount,
            **({} if ranks is None else {KEY_VARIABLES["ranks_per_node"]: str(ranks)}),
            # It is about the machines' CPUs, and these are not the job's.
            CPUS_CHECK_VARIABLE: "off",
            # Outputs stay where they are, as no job has a bucket here.
            OUTPUTS_TO_VARIABLE: "",
        },
        node_environment={index: group.environment for index, group in groups.items() if group},
        node_commands={
            **{
                index: (*wire_up, *group.command)
                for index, group in groups.items()
                if group is not None
            },
            **{
                index: ("taskset", "--cpu-list", cpus, *command)
                for index, cpus in rehearsal.cpus.items()
            },
        },
        node_images={
            index: group.image for index, group in groups.items() if group and group.image
        },
        binds=binds,
        unshared=rehearsal.unshared,
        init=not in_image,
        user=None if in_image or rehearsal.user is None else _numbers(rehearsal.user),
        container_user=rehearsal.user if in_image else None,
        files=files,
        limits=rehearsal.limits,
        missing=frozenset(each.node for each in faults if each.kind is FaultKind.MISSING),
        late={each.node: each.seconds for each in faults if each.kind is FaultKind.SLOW},
    )


def _numbers(user: str) -> tuple[int, int]:
    """Returns the numbers of a user and a group, named as in a job.

    Raises:
        InputError: This machine, whose programs the nodes run, does not have them.
    """
    name, _, group = user.partition(":")
    try:
        entry = pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
        number, own = entry.pw_uid, entry.pw_gid
    except (KeyError, OverflowError):
        if not name.isdecimal():
            raise InputError(
                f"this machine has no user `{name}`, which the job's containers run as",
                hint="rehearse in the job's image: --engine docker or podman",
            ) from None
        # Docker, too, takes a number without an entry, and the group 0 with it.
        # Source: https://github.com/moby/sys (user/user.go, GetExecUser)
        number, own = int(name), 0
    if not group:
        return number, own
    try:
        return number, int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
    except KeyError:
        raise InputError(
            f"this machine has no group `{group}`, which the job's containers run as",
            hint="rehearse in the job's image: --engine docker or podman",
        ) from None


def absent_files(rehearsal: Rehearsal, shared: Path | None) -> list[str]:
    """Returns the words of the command that name files of the EFS which the folder lacks.

    Args:
        rehearsal: What is to be rehearsed.
        shared: The folder that stands for the EFS; None for one with the example program alone.
    """
    return _absent(rehearsal, rehearsal.mount, shared, (EXAMPLE,))


def absent_on_lustre(rehearsal: Rehearsal, lustre: Path | None) -> list[str]:
    """Returns the words of the command that name files which FSx for Lustre's folder lacks.

    Args:
        rehearsal: What is to be rehearsed.
        lustre: The folder that stands for FSx for Lustre; None for an empty one.
    """
    mount = rehearsal.lustre_mount
    return [] if mount is None else _absent(rehearsal, mount, lustre, ())


def _absent(
    rehearsal: Rehearsal, mount: str, folder: Path | None, known: tuple[str, ...]
) -> list[str]:
    def is_there(name: str) -> bool:
        return name in known if folder is None else (folder / name).exists()

    below = mount.rstrip("/") + "/"
    words = dict.fromkeys(word for command in rehearsal.commands for word in command)
    return [
        word for word in words if word.startswith(below) and not is_there(word.removeprefix(below))
    ]
