"""How long does the wire-up take, from the start of all containers to MPI_Init, and to the end?

Nodes are network namespaces of this machine, so this needs root, Open MPI and sshd. In turns with
the wire-up run the floor (mpirun on nodes whose sshd is up and whose hostfile is written) and, from
checkouts that are given, the peers: aws-samples' aws-mnpbatch-template and batch-mpi-examples.
Then 1,000 nodes register at once, without MPI.

    python benchmarks/job_start.py [--nodes 4 16] [--rounds 5] [--peer CHECKOUT ...]
"""

from __future__ import annotations

import argparse
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from _measure import ROOT, Spread, verdict
from _wireup_peers import floor_request, name_of, peer_request, wireup_request

from mngen.rehearsal import start_nodes, unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mngen.rehearsal import NodesRequest

_MOST_TO_FLOOR = 1.15
_LEAST_TO_PEER = 2.0
_MOST_EXIT = 0.1
_GOAL_NODES = 16
_REGISTERING = 1000
_MOST_REGISTERING = 3.0


class Times(NamedTuple):
    """One job.

    Attributes:
        start: Seconds from the start of all containers to the end of MPI_Init on all ranks.
        end: Seconds from the end of mpirun until every node is gone; None where one never went.
    """

    start: float
    end: float | None


def _run(request: NodesRequest) -> Times:
    # `date` in a shell knows only the time of day.
    offset = time.time() - time.monotonic()
    with start_nodes(request) as nodes:
        if nodes.wait_for_line("^bench: mpirun ended", 120) is None:
            said = "\n".join(line.text for line in nodes.lines[-30:])
            sys.exit(f"mpirun did not end:\n{said}")
        # The keeper's word of a node's end takes no longer than this, or the node stays.
        nodes.wait(3.0)
        said = "\n".join(line.text for line in nodes.lines)
        begun = re.search(r"^bench: started (\S+)$", said, re.MULTILINE)
        start = float(begun[1]) - offset if begun else nodes.started
        ready = float(_only(r"^bench: ready (\S+)$", said))
        ended = float(_only(r"^bench: mpirun ended (\S+)$", said)) - offset
        gone = None
        if len(nodes.exit_codes) == request.count:
            gone = nodes.started + max(nodes.end_times.values()) - ended
        return Times(ready - start, gone)


def _only(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        sys.exit(f"no line like {pattern} in\n{text}")
    return found[1]


def _measure(
    requests: dict[str, Callable[[Path], NodesRequest]], rounds: int
) -> dict[str, list[Times]]:
    """Runs all ways in turns, once unmeasured."""
    times: dict[str, list[Times]] = {name: [] for name in requests}
    for index in range(1 + rounds):
        for name, make in requests.items():
            with tempfile.TemporaryDirectory(prefix="mngen-bench-") as folder:
                found = _run(make(Path(folder)))
            if index:
                times[name].append(found)
    return times


def _compare(times: dict[str, list[Times]], count: int) -> None:
    ours = times["wire-up"]
    for name, runs in times.items():
        start = Spread.of([run.start for run in runs])
        ends = [run.end for run in runs if run.end is not None]
        end = Spread.of(ends).show(" s", 3) if len(ends) == len(runs) else "children stay"
        if name == "floor":
            end = ""
        line = f"{count:>5}  {name:<22}{start.show(' s'):<24}{end:<26}"
        if name != "wire-up":
            ratios = [a.start / b.start for a, b in zip(ours, runs, strict=True)]
            if name != "floor":
                ratios = [1 / ratio for ratio in ratios]
            line += f"{Spread.of(ratios).show()}"
        print(line, flush=True)
    if count != _GOAL_NODES:
        return
    for name, runs in times.items():
        ratio = Spread.of([a.start / b.start for a, b in zip(ours, runs, strict=True)]).median
        if name == "floor":
            goal = verdict(met=ratio <= _MOST_TO_FLOOR, goal=f"at most {_MOST_TO_FLOOR}")
            print(f"start at {count} nodes: {ratio:.2f} times the floor, {goal}")
        elif name != "wire-up":
            goal = verdict(met=1 / ratio >= _LEAST_TO_PEER, goal=f"at least {_LEAST_TO_PEER}")
            print(f"start at {count} nodes: {1 / ratio:.2f} times as fast as {name}, {goal}")
    last = Spread.of([run.end if run.end is not None else float("inf") for run in ours]).median
    goal = verdict(met=last < _MOST_EXIT, goal=f"under {_MOST_EXIT} s")
    print(f"end at {count} nodes: {last:.3f} s, {goal}")


def _register() -> float:
    """Returns the seconds in which all children join a main node; they are in this process."""
    secret = "0123456789abcdef" * 2
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environ = {
        "AWS_BATCH_JOB_ID": "bench",
        "AWS_BATCH_JOB_NUM_NODES": str(_REGISTERING),
        "AWS_BATCH_JOB_NODE_INDEX": "0",
        "AWS_BATCH_JOB_MAIN_NODE_INDEX": "0",
        "MNGEN_SECRET": secret,
        "MNGEN_PORT": str(port),
        "MNGEN_LAUNCHER": "none",
        "PATH": os.defpath,
    }
    main = subprocess.Popen(
        [sys.executable, str(ROOT / "container" / "wireup.py"), "sleep", "60"],
        env=environ,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert main.stderr is not None
        while "waiting on port" not in main.stderr.readline():
            pass
        return _register_all(port, secret.encode())
    finally:
        main.terminate()
        main.communicate()


def _register_all(port: int, secret: bytes) -> float:
    from mngen_wireup.host import Host
    from mngen_wireup.messages import Session, parsed, plain_line

    start = time.perf_counter()
    children = []
    for node in range(1, _REGISTERING):
        greeting = {"job": "bench", "attempt": "1", "node": node, "nonce": os.urandom(32).hex()}
        child = socket.create_connection(("127.0.0.1", port))
        child.sendall(plain_line(greeting))
        children.append((node, greeting, child, child.makefile("rb")))
    sessions = []
    for node, greeting, child, stream in children:
        nonce = parsed(stream.readline().rstrip(b"\n"))["nonce"]
        session = Session(secret, greeting, nonce, is_main=False)
        session.open(stream.readline().rstrip(b"\n"))
        here = Host(
            node=node,
            address="127.0.0.1",
            network="127.0.0.0/8",
            cpus=1,
            cores=1,
            efa=False,
            gpus=0,
            port=0,
            key="",
        )
        child.sendall(session.seal({"host": here.values()}))
        sessions.append(session)
    for session, (_, _, _, stream) in zip(sessions, children, strict=True):
        message: dict[str, object] = {}
        while "go" not in message:
            message = session.open(stream.readline().rstrip(b"\n"))
    seconds = time.perf_counter() - start
    for _, _, child, stream in children:
        stream.close()
        child.close()
    return seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a line for each way and number of nodes, and how the goals stand."""
    parser = argparse.ArgumentParser(description="Times the wire-up against other ways.")
    parser.add_argument("--nodes", type=int, nargs="+", default=[4, _GOAL_NODES])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer", type=Path, action="append", default=[])
    given = parser.parse_args(arguments)
    sys.path.insert(0, str(ROOT / "container"))
    reason = unavailable()
    if reason:
        print(f"not measured: {reason}")
    else:
        print(
            "nodes  way                   start to MPI_Init        mpirun's end to all gone  ratio"
        )
        for count in given.nodes:
            requests: dict[str, Callable[[Path], NodesRequest]] = {
                "floor": partial(floor_request, count),
                "wire-up": partial(wireup_request, count),
            }
            for peer in given.peer:
                requests[name_of(peer)] = partial(_peer, peer.resolve(), count)
            _compare(_measure(requests, given.rounds), count)
    registering = Spread.of([_register() for _ in range(given.rounds)])
    goal = verdict(met=registering.median < _MOST_REGISTERING, goal=f"under {_MOST_REGISTERING} s")
    print(f"{_REGISTERING} nodes register in {registering.show(' s')}, {goal}")
    return 1 if reason else 0


def _peer(checkout: Path, count: int, folder: Path) -> NodesRequest:
    return peer_request(count, folder, checkout)


if __name__ == "__main__":
    sys.exit(main())
