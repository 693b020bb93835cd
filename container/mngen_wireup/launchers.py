"""The command lines and hostfiles of Open MPI, Intel MPI and MPICH."""

from __future__ import annotations

import os

from mngen_wireup.errors import WireupError
from mngen_wireup.image import found_program
from mngen_wireup.ssh import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mngen_wireup.host import Host
    from mngen_wireup.plan import Plan

BINDING_VARIABLES = ("OMPI_MCA_hwloc_base_binding_policy", "PRTE_MCA_hwloc_default_binding_policy")
"""Where Open MPI 4 and the PRRTE of Open MPI 5 read a binding; an option would override it."""

RANK = ("/bin/sh", "-c", 'echo $$ >"$MNGEN_RANKS"; unset MNGEN_RANKS; exec "$@"', "rank")
"""Reports the PID of a rank to its node, then becomes the application."""

RANK_OF_NODE = (
    "/bin/sh",
    "-c",
    'own=${MNGEN_RANKS%/*}/command; echo $$ >"$MNGEN_RANKS"; unset MNGEN_RANKS; . "$own"',
)
"""The same in a job with node groups: it becomes what the node's file `command` starts."""


def networks_of(hosts: Iterable[Host]) -> str:
    """Returns the subnets of the hosts, separated by commas."""
    return ",".join(sorted({host.network for host in hosts}))


def ranks_on(plan: Plan, host: Host) -> int:
    """Returns how many ranks run on a node."""
    return host.ranks or plan.ranks or max(1, host.cpus // plan.threads)


def threads_on(plan: Plan, host: Host) -> int:
    """Returns how many threads each rank of a node has."""
    return host.threads or plan.threads


def own_command(plan: Plan, folder: str) -> str:
    """Returns the script that becomes the command of this node, for `RANK_OF_NODE`.

    A rank would start in the working directory of the main node, which another image may not have.

    Args:
        plan: The node's own.
        folder: The working directory of its container.
    """
    words = " ".join(quoted(word) for word in plan.command)
    change = "" if _names_folder(plan) else f"cd {quoted(folder)} && "
    return f"{change}exec {words}\n"


def _names_folder(plan: Plan) -> bool:
    """Whether the user sets the working directory of the ranks."""
    return not {"wdir", "wd"}.isdisjoint(word.lstrip("-") for word in plan.mpi_args)


def hostfile(plan: Plan, hosts: Iterable[Host], form: str) -> str:
    """Returns the hosts, the main node first, one a line.

    Args:
        plan: The main node's own.
        hosts: All nodes.
        form: The launcher that reads them, with their slots; `plain` for the addresses alone.
    """
    if form == "plain":
        return "".join(f"{host.address}\n" for host in hosts)
    between = " slots=" if form == "openmpi" else ":"
    return "".join(f"{host.address}{between}{ranks_on(plan, host)}\n" for host in hosts)


def launcher_command(plan: Plan, hosts: Sequence[Host], folder: str, version: str) -> list[str]:
    """Returns the command that the main node runs, up to the application.

    The user's own arguments replace the same options of the wire-up.

    Args:
        plan: The main node's own.
        hosts: All nodes, the main node first.
        folder: Where the hostfile and ssh's configuration are.
        version: The output of `mpirun --version`.
    """
    given = {word.lstrip("-") for word in plan.mpi_args}
    words = [found_launcher(plan.launcher)]
    options = [*_options(plan, hosts, folder, version)]
    if plan.group and not _names_folder(plan):
        # Hydra fails before it starts a rank, and Open MPI goes to $HOME or fails, on a node whose
        # image lacks the main node's working directory. Ranks change to their own: `own_command`.
        # Source: https://github.com/pmodels/mpich/blob/main/src/pm/hydra/proxy/pmip_cb.c,
        # https://github.com/open-mpi/ompi/blob/v4.1.x/orte/util/context_fns.c
        options.append(("--wdir" if plan.launcher == "openmpi" else "-wdir", "/"))
    for option in options:
        # `--mca btl tcp` is overridden by `--mca btl`, and `--map-by slot` by `--map-by`.
        name = option[1] if len(option) == 3 else option[0].lstrip("-")
        if name not in given and not (name == "np" and given & {"n", "c"}):
            words += option
    return [*words, *plan.mpi_args]


def found_launcher(launcher: str) -> str:
    """Returns the path of the launcher's program.

    Raises:
        WireupError: It is not installed.
    """
    if launcher != "openmpi":
        try:
            return found_program("mpiexec.hydra")
        except WireupError:
            pass
    return found_program("mpirun")


def _options(
    plan: Plan, hosts: Sequence[Host], folder: str, version: str
) -> Iterable[tuple[str, ...]]:
    if plan.launcher == "openmpi":
        yield from _openmpi_options(plan, hosts, folder, version)
        return
    intel = plan.launcher == "intelmpi"
    yield ("-machinefile" if intel else "-f", f"{folder}/hosts")
    yield ("-n", str(sum(ranks_on(plan, host) for host in hosts)))
    yield ("-bootstrap" if intel else "-launcher", "ssh")
    # A rank gets the environment of its node's container, not that of the main node's.
    if not {"genvall", "genvlist"}.intersection(word.lstrip("-") for word in plan.mpi_args):
        yield ("-genvnone",)


def _openmpi_options(
    plan: Plan, hosts: Sequence[Host], folder: str, version: str
) -> Iterable[tuple[str, ...]]:
    newer = "Open MPI) 4" not in version and "Open MPI) 3" not in version
    yield ("--hostfile", f"{folder}/hosts")
    yield ("-np", str(sum(ranks_on(plan, host) for host in hosts)))
    if os.geteuid() == 0:
        yield ("--allow-run-as-root",)
    threads = max(threads_on(plan, host) for host in hosts)
    fits = all(ranks_on(plan, host) * threads_on(plan, host) <= host.cores for host in hosts)
    # AWS Batch may put several single-node jobs on an instance. Each sees all of its cores, and all
    # would bind their ranks to the first ones. Nodes of a multi-node job run nothing else:
    # https://docs.aws.amazon.com/batch/latest/userguide/multi-node-parallel-jobs.html
    shared = len(hosts) == 1 and ranks_on(plan, hosts[0]) * threads < hosts[0].cores
    # A mapping has one number of threads for all ranks.
    fits = fits and not shared and len({threads_on(plan, host) for host in hosts}) == 1
    yield ("--map-by", f"slot:PE={threads}" if threads > 1 and fits else "slot")
    if threads > 1:
        yield ("--bind-to", "core" if fits else "none")
    elif not _is_bound_by_user(plan):
        # A rank with a GPU is more than one thread: NCCL and data loaders have theirs. Examples:
        # https://github.com/awslabs/awsome-distributed-ai (1.architectures/3.aws-batch)
        if shared or any(host.gpus for host in hosts):
            yield ("--bind-to", "none")
        # Mapped by slot, more than two ranks would be bound to a whole socket or NUMA node each,
        # where the kernel may put two on one core.
        elif fits:
            yield ("--bind-to", "core")
    if len(hosts) > 1:
        yield from _openmpi_network(hosts, folder, newer=newer)


def _is_bound_by_user(plan: Plan) -> bool:
    """Whether the user sets in any way where ranks run."""
    words = {word.lstrip("-") for word in plan.mpi_args}
    given = words & {"map-by", "rankfile", "rf", "cpu-set", "cpu-list"}
    return bool(given) or any(os.environ.get(name) for name in BINDING_VARIABLES)


def _openmpi_network(
    hosts: Sequence[Host], folder: str, *, newer: bool
) -> Iterable[tuple[str, ...]]:
    for name, value in daemon_parameters(hosts, folder, newer=newer).items():
        yield ("--prtemca" if newer else "--mca", name, value)
    transports = f"tcp,{'sm' if newer else 'vader'},self"
    for name, value in message_parameters(hosts, transports).items():
        yield ("--mca", name, value)


def daemon_parameters(hosts: Sequence[Host], folder: str, *, newer: bool) -> dict[str, str]:
    """Returns the parameters of Open MPI's daemons, which mpirun starts on the nodes by ssh.

    Args:
        hosts: All nodes.
        folder: Where ssh's configuration is.
        newer: Whether they are those of Open MPI 5, from PRRTE, whose parameters are separate.
    """
    rsh = "plm_ssh" if newer else "plm_rsh"
    return {
        f"{rsh}_agent": f"ssh -F {folder}/ssh_config",
        # Only the main node has the private key, so only it can start the daemons.
        f"{rsh}_no_tree_spawn": "1",
        f"{rsh}_num_concurrent": "128",
        "prte_if_include" if newer else "oob_tcp_if_include": networks_of(hosts),
    }


def message_parameters(hosts: Sequence[Host], transports: str = "") -> dict[str, str]:
    """Returns the parameters of Open MPI's ranks: how messages get from one to another.

    Args:
        hosts: All nodes.
        transports: Those to use where there is no EFA; empty to have Open MPI choose.
    """
    if all(host.efa for host in hosts):
        return {"pml": "cm", "mtl": "ofi"}
    found = {"pml": "ob1"}
    if transports:
        found["btl"] = transports
    found["btl_tcp_if_include"] = networks_of(hosts)
    return found
