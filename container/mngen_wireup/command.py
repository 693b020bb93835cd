"""Launcher `main`: what a command needs that runs on the main node alone, to reach all nodes.

Such commands start processes themselves: scripts that call mpirun, DeepSpeed, horovodrun.
"""

from __future__ import annotations

import os

from mngen_wireup.environment import hydra_environment
from mngen_wireup.files import private_folder, write_private
from mngen_wireup.launchers import daemon_parameters, hostfile, message_parameters, ranks_on
from mngen_wireup.ssh import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mngen_wireup.host import Host
    from mngen_wireup.plan import Plan

HOSTFILES = {
    "MNGEN_HOSTFILE": "openmpi",
    "MNGEN_HOSTFILE_HYDRA": "mpich",
    "MNGEN_HOSTFILE_PLAIN": "plain",
}
"""The variable that names each hostfile, and its form."""


def write_hostfiles(plan: Plan, hosts: Sequence[Host], folder: str) -> dict[str, str]:
    """Writes the hosts in each form; returns the variables that name the files."""
    variables = {}
    for variable, form in HOSTFILES.items():
        variables[variable] = f"{folder}/hosts-{form}"
        write_private(variables[variable], hostfile(plan, hosts, form))
    return variables


def write_ssh(program: str, config: str) -> str:
    """Writes an `ssh` that reaches the nodes; returns its folder, which goes on PATH.

    What a launcher looks up on PATH needs no further option then, and `~/.ssh` stays as it is.

    Args:
        program: Path of the real one.
        config: Its configuration.

    Raises:
        WireupError: No folder takes programs.
    """
    folder = private_folder(executable=True)
    write_private(f"{folder}/ssh", f'#!/bin/sh\nexec {quoted(program)} -F {quoted(config)} "$@"\n')
    os.chmod(f"{folder}/ssh", 0o700)
    return folder


def command_environment(
    env: dict[str, str], plan: Plan, hosts: Sequence[Host], folder: str
) -> dict[str, str]:
    """Returns the environment of the command: with what MPI launchers read, if it calls one.

    Its own values stay.

    Args:
        env: The environment of the main node's ranks.
        plan: The main node's own.
        hosts: All nodes, the main node first.
        folder: Where ssh's configuration is.
    """
    return {
        **_openmpi_variables(hosts, folder),
        **hydra_environment(env, folder, hosts[0].address),
        "MNGEN_SSH_CONFIG": f"{folder}/ssh_config",
        "MNGEN_TOTAL_RANKS": str(sum(ranks_on(plan, host) for host in hosts)),
    }


def _openmpi_variables(hosts: Sequence[Host], folder: str) -> dict[str, str]:
    """Returns what the other launchers give mpirun as options, for Open MPI 4 and 5."""
    found = {}
    if os.geteuid() == 0:
        for prefix in ("OMPI", "PRTE"):
            found[f"{prefix}_ALLOW_RUN_AS_ROOT"] = "1"
            found[f"{prefix}_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1"
    if len(hosts) == 1:
        return found
    for prefix, parameters in (
        ("OMPI", daemon_parameters(hosts, folder, newer=False)),
        ("PRTE", daemon_parameters(hosts, folder, newer=True)),
        ("OMPI", message_parameters(hosts)),
    ):
        found |= {f"{prefix}_MCA_{name}": value for name, value in parameters.items()}
    return found
