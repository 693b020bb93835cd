"""Whatever dies, the wire-up ends the job on every node, gives the reason, and leaves nothing."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from mngen.rehearsal import Bind, NodesRequest, start_nodes
from tests.support.container import SOON
from tests.support.wireup import (
    CONTAINER,
    EXAMPLE,
    PYTHON,
    WIREUP,
    assert_clean,
    codes,
    job,
    needs,
    needs_mpi4py,
    said,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mngen.rehearsal import Nodes

SLEEP = ("sleep", "600")
ALL_RUN = "ranks have started on all"


@pytest.fixture(autouse=True)
def _programs() -> None:
    needs("mpirun")


def await_ranks(nodes: Nodes, pattern: str = ALL_RUN) -> None:
    assert nodes.wait_for_line(pattern, SOON), said(nodes)


# --- the application and the launcher ---


def test_exit_code_of_the_application_is_that_of_every_node() -> None:
    script = 'test "$AWS_BATCH_JOB_NODE_INDEX" = 1 && exit 5; exit 0'
    with job(3, "sh", "-c", script) as nodes:
        assert codes(nodes) == {0: 5, 1: 5, 2: 5}
        assert "error: the application failed with exit code 5" in said(nodes, 0)
        assert "end: exit 5: the application failed with exit code 5" in said(nodes, 2)
        assert_clean(nodes, 0, 1, 2)


def test_rank_killed_by_a_signal() -> None:
    script = 'test "$AWS_BATCH_JOB_NODE_INDEX" = 1 && kill -SEGV $$; sleep 600'
    with job(2, "sh", "-c", script) as nodes:
        assert codes(nodes) == {0: 139, 1: 139}
        assert "the application failed with exit code 139 (SIGSEGV)" in said(nodes, 0)
        assert_clean(nodes, 0, 1)


def test_command_that_is_not_in_the_image() -> None:
    with job(2, "nonesuch") as nodes:
        assert codes(nodes) == {0: 127, 1: 127}
        assert "command not found in the container image" in said(nodes, 0)


def test_failure_of_a_command_without_mpi_ends_all() -> None:
    script = "test $NODE_RANK = 2 && exit 9; sleep 600"
    with job(3, "sh", "-c", script, environment={"MNGEN_LAUNCHER": "none"}) as nodes:
        assert codes(nodes) == {0: 9, 1: 9, 2: 9}
        assert "the command on node 2 failed with exit code 9" in said(nodes, 0)
        assert_clean(nodes, 0, 1, 2)


def test_launcher_that_fails_before_any_rank_runs() -> None:
    with job(2, "true", environment={"MNGEN_MPI_ARGS": "--nonesuch"}) as nodes:
        assert codes(nodes) == {0: 68, 1: 68}
        assert "mpirun failed with exit code 1 before any rank started" in said(nodes, 0)
        assert_clean(nodes, 0, 1)


def test_launcher_that_is_not_in_the_image() -> None:
    with job(2, "true", environment={"PATH": "/nowhere"}) as nodes:
        assert codes(nodes) == {0: 68, 1: 68}
        assert "mpirun not found on PATH or in /usr/sbin" in said(nodes, 1)


@pytest.mark.parametrize("launcher", ["openmpi", "none"])
def test_processes_that_the_application_leaves_behind(launcher: str) -> None:
    script = (
        "exec >/dev/null 2>&1; setsid sleep 600 &"
        " (setsid sh -c 'trap \"\" TERM; sleep 600; sleep 600' &) ; exit 0"
    )
    with job(2, "sh", "-c", script, environment={"MNGEN_LAUNCHER": launcher}) as nodes:
        assert codes(nodes) == {0: 0, 1: 0}
        assert_clean(nodes, 0, 1)


ADOPTS = """
import ctypes, sys
sys.path.insert(0, "/mngen")
from mngen_wireup.processes import adopt_orphans
adopt_orphans()
adopts = ctypes.c_int()
get_child_subreaper = 37  # man 2 prctl
ctypes.CDLL(None).prctl(get_child_subreaper, ctypes.byref(adopts), 0, 0, 0)
print("adopts:", adopts.value)
"""


@pytest.mark.parametrize(
    ("first", "adopts"), [("", 0), ("tini", 0), ("docker-init", 0), ("other", 1)]
)
def test_orphans_are_adopted_unless_they_end_with_the_node(
    first: str, adopts: int, tmp_path: Path
) -> None:
    """The kernel itself gives the first process of a PID namespace all orphans: man 7."""
    command: tuple[str, ...] = (PYTHON, "-IS", "-c", ADOPTS)
    if first:
        # The kernel names a process after its program's file.
        shutil.copy("/bin/sh", tmp_path / first)
        command = (f"/first/{first}", "-c", '"$@"; exit $?', "sh", *command)
    binds = (Bind(CONTAINER, "/mngen", read_only=True), Bind(tmp_path, "/first", read_only=True))
    with start_nodes(NodesRequest(command=command, count=1, binds=binds)) as nodes:
        assert codes(nodes) == {0: 0}
        assert f"adopts: {adopts}" in said(nodes)


# --- nodes that are missing or lost ---


def test_child_that_never_connects() -> None:
    with job(5, "true", environment={"MNGEN_WAIT": "3"}, missing={2, 3}) as nodes:
        assert codes(nodes) == {0: 66, 1: 66, 4: 66}
        for node in (0, 1, 4):
            assert "nodes 2-3 of 5 did not connect within 3 s" in said(nodes, node)
        assert_clean(nodes, 0, 1, 4)


def test_main_node_that_never_starts() -> None:
    with job(3, "true", environment={"MNGEN_WAIT": "3"}, missing={0}) as nodes:
        assert codes(nodes) == {1: 66, 2: 66}
        assert "main node 0 at 10.0.0.10, port 7710, did not answer within 3 s" in said(nodes, 2)
        assert_clean(nodes, 1, 2)


def test_nodes_that_come_late() -> None:
    with job(3, "true", late={0: 2.0, 2: 3.0}) as nodes:
        assert codes(nodes) == {0: 0, 1: 0, 2: 0}


def test_child_that_is_killed() -> None:
    with job(3, *SLEEP) as nodes:
        await_ranks(nodes)
        nodes.kill(1)
        assert codes(nodes) == {0: 67, 1: 137, 2: 67}
        assert "lost: node 1 (10.0.0.11) closed its connection" in said(nodes, 0)
        assert_clean(nodes, 0, 2)


def test_main_that_is_killed() -> None:
    with job(3, *SLEEP) as nodes:
        await_ranks(nodes)
        nodes.kill(0)
        assert codes(nodes) == {0: 137, 1: 67, 2: 67}
        assert "lost: main node 0 closed the connection" in said(nodes, 1)
        assert_clean(nodes, 1, 2)


@pytest.mark.parametrize("cut", [0, 2])
def test_node_that_vanishes_from_the_network(cut: int) -> None:
    with job(3, *SLEEP, environment={"MNGEN_HEARTBEAT": "2"}) as nodes:
        await_ranks(nodes)
        nodes.cut(cut)
        assert codes(nodes, 90) == {0: 67, 1: 67, 2: 67}
        assert re.search(r"lost: main node 0 sent no heartbeat for \d+ s", said(nodes, 2))
        assert re.search(r"lost: node [12] .* sent no heartbeat for \d+ s", said(nodes, 0))
        assert_clean(nodes, 0, 1, 2)


def test_node_that_hangs() -> None:
    with job(2, *SLEEP, environment={"MNGEN_HEARTBEAT": "2"}) as nodes:
        await_ranks(nodes)
        nodes.freeze(1)
        assert nodes.wait_for_line(r"^left: nothing", 60, node=0), said(nodes)
        nodes.thaw(1)
        assert codes(nodes) == {0: 67, 1: 67}
        assert_clean(nodes, 0, 1)


# --- cancelling ---


@pytest.mark.parametrize("node", [0, 2])
@pytest.mark.parametrize("launcher", ["openmpi", "none"])
def test_sigterm_reaches_the_ranks_of_every_node(node: int, launcher: str) -> None:
    # Not with print: a handler must not come in between the halves of another print.
    script = (
        "import os, signal, sys, time\n"
        "def say(what):\n"
        "    os.write(1, f'node {os.environ[\"AWS_BATCH_JOB_NODE_INDEX\"]} {what}\\n'.encode())\n"
        "def end(*_):\n"
        "    say('cleans up')\n"
        "    sys.exit(1)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "say('computes')\n"
        "time.sleep(600)\n"
    )
    environment = {"MNGEN_LAUNCHER": launcher}
    with job(3, PYTHON, "-c", script, environment=environment) as nodes:
        for index in range(3):
            await_ranks(nodes, f"node {index} computes")
        nodes.kill(node, signal.SIGTERM)
        assert codes(nodes) == {0: 143, 1: 143, 2: 143}
        for index in range(3):
            assert f"node {index} cleans up" in said(nodes)
        assert f"cancelled by SIGTERM on node {node}" in said(nodes, 1)
        assert_clean(nodes, 0, 1, 2)


def test_ranks_that_ignore_sigterm_are_gone_before_batch_kills() -> None:
    script = (
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        " print('node', os.environ['AWS_BATCH_JOB_NODE_INDEX'], 'is deaf', flush=True);"
        " time.sleep(600)"
    )
    with job(2, PYTHON, "-c", script) as nodes:
        for node in (0, 1):
            await_ranks(nodes, f"node {node} is deaf")
        for node in (0, 1):  # as Batch does
            nodes.kill(node, signal.SIGTERM)
        assert codes(nodes) == {0: 143, 1: 143}
        teardown = re.search(r"end: exit 143; .* teardown (\S+)s", said(nodes, 0))
        assert teardown is not None
        assert 10 < float(teardown[1]) < 29
        assert_clean(nodes, 0, 1)


@pytest.mark.parametrize("node", [0, 1])
def test_sigterm_while_waiting_for_a_node(node: int) -> None:
    with job(3, "true", missing={2}) as nodes:
        await_ranks(nodes, "joined as")
        nodes.kill(node, signal.SIGTERM)
        assert codes(nodes) == {0: 143, 1: 143}
        assert_clean(nodes, 0, 1)


def test_sigterm_on_a_child_that_looks_for_main() -> None:
    with job(2, "true", missing={0}) as nodes:
        await_ranks(nodes, "connecting to main")
        nodes.kill(1, signal.SIGTERM)
        assert codes(nodes) == {1: 143}


# --- nodes and connections that do not belong to the job ---


def test_two_nodes_that_claim_one_index() -> None:
    with job(
        3,
        "true",
        environment={"MNGEN_WAIT": "4"},
        node_environment={2: {"AWS_BATCH_JOB_NODE_INDEX": "1"}},
    ) as nodes:
        assert sorted(codes(nodes).values()) == [66, 66, 69]
        assert "the main node refused this node: node 1 has already joined from 10.0.0.1" in said(
            nodes
        )
        assert "node 2 of 3 did not connect within 4 s" in said(nodes, 0)


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("AWS_BATCH_JOB_ATTEMPT", "1", "it belongs to attempt 1; this is attempt 2"),
        ("AWS_BATCH_JOB_ID", "another", "it belongs to job another; this is job mine"),
        ("AWS_BATCH_JOB_NUM_NODES", "9", "invalid index 8 of a child: 3 nodes with main node 0"),
        ("MNGEN_SECRET", "f" * 32, "wrong secret or altered message"),
    ],
)
def test_node_that_belongs_elsewhere_is_refused_and_the_job_goes_on(
    variable: str, value: str, reason: str
) -> None:
    """An old child of the attempt before, above all."""
    needs_mpi4py()
    other = {"AWS_BATCH_JOB_NODE_INDEX": "8" if "NUM_NODES" in variable else "1", variable: value}
    with job(
        4,
        *EXAMPLE,
        job="mine",
        attempt=2,
        late={2: 2.0},
        node_environment={
            **{index: {"AWS_BATCH_JOB_NUM_NODES": "3"} for index in range(3)},
            3: {"AWS_BATCH_JOB_NUM_NODES": "3", **other},
        },
    ) as nodes:
        # If the odd one were let in as node 1, the real node 1 could not be.
        assert codes(nodes) == {0: 0, 1: 0, 2: 0, 3: 69}
        assert reason in said(nodes, 3)
        assert "the sum over all ranks is 6" in said(nodes, 0)


def test_unauthenticated_connections_do_not_keep_the_nodes_out() -> None:
    needs_mpi4py()
    nodes_of_job = {"AWS_BATCH_JOB_NUM_NODES": "3"}
    with job(
        4,
        *EXAMPLE,
        node_environment=dict.fromkeys(range(3), nodes_of_job),
        node_commands={3: (PYTHON, "/support/unauthenticated.py", "10.0.0.10", "7710", "5")},
        late={1: 3.0, 2: 3.0},
    ) as nodes:
        assert codes(nodes) == {0: 0, 1: 0, 2: 0, 3: 0}
        assert "unauthenticated: 1000 connections" in said(nodes, 3)
        assert "the sum over all ranks is 6" in said(nodes, 0)
        reported = re.findall(r"refused 10\.0\.0\.13.*", said(nodes, 0))
        assert len(reported) == 10, "the log must not grow with the attack"
        assert re.search(r"refused \d{3,} connections in total", said(nodes, 0))
        assert_clean(nodes, 0, 1, 2)


# --- machines that are not as they should be ---


def test_cpu_check_on_one_node_ends_all() -> None:
    with job(
        3,
        "true",
        environment={"MNGEN_CPUS_CHECK": "fail"},
        node_environment={2: {"MNGEN_CPUS": "4096"}},
    ) as nodes:
        assert codes(nodes) == {0: 65, 1: 65, 2: 65}
        for node in range(3):
            assert re.search(r"node 2 has \d+ CPUs instead of 4096", said(nodes, node))


def test_cpu_check_warns() -> None:
    with job(2, "true", environment={"MNGEN_CPUS": "4096"}) as nodes:
        assert codes(nodes) == {0: 0, 1: 0}
        assert re.search(r"cpus: warning: node 1 has \d+ CPUs instead of 4096", said(nodes, 1))


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system on which nothing more can be written."""
    folder = tmp_path / "full"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "mngen-full", str(folder)]
    if subprocess.run(mount, check=False).returncode:
        pytest.skip("file systems cannot be mounted here")
    try:
        assert shutil.disk_usage(folder).total < 1e6
        with suppress(OSError), (folder / "fill").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1024))
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_no_room_for_the_keys_on_main(full_disk: Path) -> None:
    binds = tuple(Bind(full_disk, target) for target in ("/full", "/dev/shm", "/run"))
    with job(2, "true", binds=binds, node_environment={0: {"TMPDIR": "/full"}}) as nodes:
        assert codes(nodes) == {0: 64, 1: 64}
        assert "no folder is writable for the job's keys: /full/mngen-" in said(nodes, 1)
        assert "No space left on device" in said(nodes, 0)


def test_shared_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with job(
        2,
        "true",
        environment={"MNGEN_SECRET": "", "MNGEN_SHARED": "/efs", "MNGEN_WAIT": "3"},
        binds=(Bind(tmp_path, "/efs", read_only=True),),
    ) as nodes:
        assert codes(nodes) == {0: 64, 1: 66}
        assert "cannot write the job's secret to /efs/.mngen/" in said(nodes, 0)


def test_port_that_is_taken() -> None:
    taken = (
        "import os, socket, sys; taken = socket.create_server(('', 7710));"
        " taken.set_inheritable(True); os.execvp(sys.argv[1], sys.argv[1:])"
    )
    with job(
        2,
        "true",
        environment={"MNGEN_WAIT": "3"},
        node_commands={0: (PYTHON, "-c", taken, *WIREUP, "true")},
    ) as nodes:
        assert codes(nodes)[0] == 64
        assert "cannot listen on port 7710: Address already in use" in said(nodes, 0)
