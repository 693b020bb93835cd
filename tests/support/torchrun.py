#!/usr/bin/python3
"""A stand-in for PyTorch's torchrun, which is too large to install for a test.

Options, their variables `PET_<OPTION>`, what each process gets, and that rank 0's node waits for
the others, are taken from torch/distributed/run.py and argparse_util.py of PyTorch
(https://github.com/pytorch/pytorch). Other options are refused. Processes are
numbered by the node's rank, as by the rendezvous `static`.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import time

SECONDS = 60.0


def options() -> argparse.Namespace:
    """Returns the options, with the variables as defaults."""
    parser = argparse.ArgumentParser()

    def option(name: str, default: str) -> None:
        variable = f"PET_{name.upper().replace('-', '_')}"
        parser.add_argument(f"--{name}", default=os.environ.get(variable, default))

    for name, default in (
        ("nnodes", "1:1"),
        ("nproc-per-node", "1"),
        ("node-rank", "0"),
        ("master-addr", "127.0.0.1"),
        ("master-port", "29500"),
        ("rdzv-backend", "static"),
        ("rdzv-endpoint", ""),
        ("rdzv-id", "none"),
        ("local-addr", ""),
        ("max-restarts", "0"),
    ):
        option(name, default)
    for flag in ("standalone", "no-python"):
        variable = f"PET_{flag.upper().replace('-', '_')}"
        is_set = bool(int(os.environ.get(variable, "0")))
        parser.add_argument(f"--{flag}", action="store_true", default=is_set)
    parser.add_argument("script")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    return parser.parse_args()


def rendezvous(given: argparse.Namespace, nodes: int, rank: int) -> None:
    """Returns when all nodes with this id have met at the endpoint."""
    host, _, port = (given.rdzv_endpoint or f"{given.master_addr}:{given.master_port}").rpartition(
        ":"
    )
    if rank == 0:
        with socket.create_server((given.local_addr or host, int(port)), backlog=nodes) as server:
            others: list[socket.socket] = []
            while len(others) < nodes - 1:
                other, _ = server.accept()
                if other.recv(200).decode() == given.rdzv_id:
                    others.append(other)
            for other in others:
                other.sendall(b"go")
        return
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            with socket.create_connection((host, int(port)), timeout=SECONDS) as store:
                store.sendall(given.rdzv_id.encode())
                if store.recv(2) == b"go":
                    return
        except ConnectionRefusedError:
            time.sleep(0.05)
    sys.exit("no rendezvous")


def main() -> int:
    """Runs the processes of this node; stops all and returns 1 once one has failed."""
    given = options()
    least, _, most = given.nnodes.partition(":")
    nodes = 1 if given.standalone else int(most or least)
    rank = 0 if given.standalone else int(given.node_rank)
    count = os.cpu_count() or 1 if given.nproc_per_node == "auto" else int(given.nproc_per_node)
    if nodes > 1:
        rendezvous(given, nodes, rank)
    command = [given.script, *given.arguments]
    if not given.no_python:
        command = [sys.executable, "-u", *command]
    processes = []
    for local in range(count):
        process = {
            "LOCAL_RANK": local,
            "RANK": rank * count + local,
            "GROUP_RANK": rank,
            "LOCAL_WORLD_SIZE": count,
            "WORLD_SIZE": nodes * count,
            "MASTER_ADDR": given.master_addr,
            "MASTER_PORT": given.master_port,
            "TORCHELASTIC_RUN_ID": given.rdzv_id,
        }
        env = {**os.environ, **{name: str(value) for name, value in process.items()}}
        processes.append(subprocess.Popen(command, env=env))
    while processes:
        ended = [each for each in processes if each.poll() is not None]
        processes = [each for each in processes if each not in ended]
        if any(each.returncode for each in ended):
            for each in processes:
                each.terminate()
            return 1
        time.sleep(0.02)
    return 0


if __name__ == "__main__":
    sys.exit(main())
