"""Hosts and plans of the wire-up, for tests of its parts."""

from __future__ import annotations

from typing import TypeVar

from mngen_wireup.host import Host
from mngen_wireup.plan import Plan, plan_from

KEY = "ssh-ed25519 " + "A" * 68

Record = TypeVar("Record", Host, Plan)


def host(
    node: int,
    address: str,
    network: str,
    cpus: int = 48,
    cores: int = 48,
    *,
    efa: bool = False,
    gpus: int = 0,
    ranks: int = 0,
    threads: int = 0,
    port: int = 0,
    key: str = "",
) -> Host:
    """Returns a host, by default one without sshd."""
    return Host(
        node=node,
        address=address,
        network=network,
        cpus=cpus,
        cores=cores,
        efa=efa,
        gpus=gpus,
        ranks=ranks,
        threads=threads,
        port=port,
        key=key,
    )


HOSTS = [
    host(0, "10.0.1.10", "10.0.1.0/24"),
    host(1, "10.0.1.11", "10.0.1.0/24", port=40001, key=KEY),
    host(2, "10.0.2.12", "10.0.2.0/24", port=40002, key=KEY.replace("A", "B")),
]
"""A main node and two children, one of them in another subnet."""


def plan(*, nodes: int = 3, **variables: str) -> Plan:
    """Returns the plan of a main node; `threads_per_rank="4"` sets MNGEN_THREADS_PER_RANK."""
    batch = {
        "AWS_BATCH_JOB_ID": "j",
        "AWS_BATCH_JOB_NUM_NODES": str(nodes),
        "AWS_BATCH_JOB_NODE_INDEX": "0",
        "AWS_BATCH_JOB_MAIN_NODE_INDEX": "0",
        "MNGEN_SECRET": "s" * 32,
    }
    named = {f"MNGEN_{name.upper()}": value for name, value in variables.items()}
    return plan_from({**batch, **named}, ["app"])


def changed(record: Record, **change: object) -> Record:
    """Returns a copy with other values."""
    return type(record)(**{**vars(record), **change})
