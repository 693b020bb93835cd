"""Launcher `torchrun`: on each node, the agent of PyTorch that starts the processes there."""

from __future__ import annotations

import os

from mngen_wireup.environment import torch_environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mngen_wireup.host import Host
    from mngen_wireup.plan import Plan

PROGRAM = "torchrun"


def torchrun_command(command: Sequence[str]) -> list[str]:
    """Returns what a node runs so that each process runs a command.

    A Python file runs under the Python of torchrun. A command that calls torchrun itself,
    with its options, stays as it is.
    """
    if os.path.basename(command[0]) == PROGRAM or "torch.distributed.run" in command[:3]:
        return [*command]
    is_file = command[0].endswith(".py")
    return [PROGRAM, *([] if is_file else ["--no-python"]), *command]


def torchrun_environment(
    env: Mapping[str, str], plan: Plan, host: Host, main_address: str
) -> dict[str, str]:
    """Returns the environment of torchrun on a node.

    torchrun reads the variables `PET_…` in place of options that the command does not give it:
    https://github.com/pytorch/pytorch/blob/main/torch/distributed/argparse_util.py

    Args:
        env: That of the node's ranks; what it sets comes first.
        plan: The node's own.
        host: The node.
        main_address: Address of the main node.
    """
    named = torch_environment(plan, main_address)
    # Each process has its own, which torchrun sets.
    del named["RANK"], named["WORLD_SIZE"]
    # Node groups may differ in their numbers, which torchrun adds up when the nodes meet.
    if plan.ranks and not plan.group:
        named["WORLD_SIZE"] = str(plan.nodes * plan.ranks)
    # Without a number, torchrun starts one for each GPU, or for each CPU where there is no GPU.
    named["NPROC_PER_NODE"] = str(plan.ranks or "auto")
    options = {"NPROC_PER_NODE": named["NPROC_PER_NODE"]}
    if plan.nodes == 1:
        # Its port is free also where another job runs on the instance.
        options["STANDALONE"] = "1"
    else:
        for name in ("NNODES", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT"):
            options[name] = named[name]
        if _names_backend(env, plan.command):
            options["RDZV_ENDPOINT"] = f"{named['MASTER_ADDR']}:{named['MASTER_PORT']}"
        options["RDZV_ID"] = f"{plan.job}-{plan.attempt}"
        # Not its host name, which other nodes may not be able to look up.
        options["LOCAL_ADDR"] = host.address
    return {**{f"PET_{name}": value for name, value in options.items()}, **env, **named}


def _names_backend(env: Mapping[str, str], command: Sequence[str]) -> bool:
    """Whether the job chooses a rendezvous other than torchrun's default, `static`.

    Others need the endpoint. With `static`, it would replace --master-addr and --master-port.
    """
    options = [word.replace("_", "-") for word in command]
    return "PET_RDZV_BACKEND" in env or any("--rdzv-backend" in word for word in options)
