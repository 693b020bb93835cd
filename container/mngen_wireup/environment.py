"""The environment variables of the ranks, of the launcher, and of commands without MPI."""

from __future__ import annotations

import os

from mngen_wireup.host import interface_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from mngen_wireup.host import Host
    from mngen_wireup.plan import Plan


def job_environment(
    environ: Mapping[str, str], plan: Plan, host: Host, *, efa: bool
) -> dict[str, str]:
    """Returns the environment of the ranks on a node: its container's, without the secret."""
    env = {name: value for name, value in environ.items() if name != "MNGEN_SECRET"}
    if plan.threads > 1 or environ.get("MNGEN_THREADS_PER_RANK"):
        env["OMP_NUM_THREADS"] = str(plan.threads)
    env.setdefault("OMP_NUM_THREADS", "1")
    if plan.outputs:
        env["MNGEN_OUTPUTS"] = plan.outputs
    interface = interface_of(host.address)[0] if plan.nodes > 1 else ""
    if efa:
        env.setdefault("FI_PROVIDER", "efa")
    elif plan.nodes > 1 and plan.launcher in ("intelmpi", "mpich", "main"):
        env.setdefault("FI_PROVIDER", "tcp")
    if interface:
        names = ["NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME"]
        for name in names if efa else [*names, "FI_TCP_IFACE", "UCX_NET_DEVICES"]:
            env.setdefault(name, interface)
    return env


def hydra_environment(env: dict[str, str], folder: str, address: str) -> dict[str, str]:
    """Returns the environment of mpiexec.hydra itself, for Intel MPI and for MPICH."""
    interface = interface_of(address)[0]
    env = {
        "HYDRA_LAUNCHER_EXTRA_ARGS": f"-F {folder}/ssh_config",
        "I_MPI_HYDRA_BOOTSTRAP_EXEC_EXTRA_ARGS": f"-F {folder}/ssh_config",
        # Only the main node has the private key, so only it can start what starts the ranks.
        "I_MPI_HYDRA_BRANCH_COUNT": "-1",
        **env,
    }
    if interface:
        env.setdefault("HYDRA_IFACE", interface)
        env.setdefault("I_MPI_HYDRA_IFACE", interface)
    return env


def torch_environment(plan: Plan, main_address: str) -> dict[str, str]:
    """Returns the variables that programs with their own launcher, such as torchrun, read."""
    rank = (plan.node - plan.main) % plan.nodes  # the main node's is 0
    return {
        "MASTER_ADDR": main_address,
        "MASTER_PORT": os.environ.get("MASTER_PORT", "29500"),
        "NNODES": str(plan.nodes),
        "NODE_RANK": str(rank),
        "WORLD_SIZE": str(plan.nodes),
        "RANK": str(rank),
    }
