"""Launcher `main`: a command on the main node, with ssh to all nodes and hostfiles."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from mngen.rehearsal import Bind
from tests.support.container import SOON
from tests.support.wireup import (
    PYTHON,
    WIREUP,
    WITNESS,
    assert_clean,
    codes,
    job,
    needs,
    needs_mpi4py,
    said,
)

if TYPE_CHECKING:
    from pathlib import Path

MAIN = {"MNGEN_LAUNCHER": "main", "MNGEN_RANKS_PER_NODE": "2"}

# How the script of a multi-node job looks under ParallelCluster 3: it calls mpirun on the main
# node, with these options. Taken from tests/integration-tests/tests/schedulers/test_awsbatch/
# test_awsbatch/test_mpi_job.sh of aws-parallelcluster v3.9.3, where every node runs it, and the
# hostfile is ${HOME}/hostfile with lines such as `10.0.0.10 slots=4` (generate_hostfile.sh).
PARALLELCLUSTER = """\
set -e
if [[ "${AWS_BATCH_JOB_NODE_INDEX}" -eq  "${AWS_BATCH_JOB_MAIN_NODE_INDEX}" ]]; then
    echo "Hello I'm the main node $(hostname)! I run the mpi job!"
    mpirun --mca btl_tcp_if_include eth0 --allow-run-as-root --machinefile "${MNGEN_HOSTFILE}" \\
        /usr/bin/python3 /mngen/mpi_example.py
else
    echo "Hello I'm a compute node $(hostname)! I let the main node orchestrate the mpi execution!"
fi
"""


@pytest.mark.parametrize("count", [1, 3])
def test_script_that_calls_mpirun(count: int) -> None:
    needs("mpirun")
    needs_mpi4py()
    main = count - 1
    with job(count, "bash", "-c", PARALLELCLUSTER, main=main, environment=MAIN) as nodes:
        assert codes(nodes) == dict.fromkeys(range(count), 0)
        lines = said(nodes)
        assert f"Hello I'm the main node node{main}!" in lines
        assert "compute node" not in lines, "the command runs on the main node alone"
        for place in range(count):
            node = (main + place) % count
            for rank in (2 * place, 2 * place + 1):
                assert f"rank {rank} of {2 * count} runs on node{node}\n" in said(nodes, main)
        assert_clean(nodes, *range(count))


def test_script_that_calls_hydra() -> None:
    """What Hydra starts needs no MPI to show where it runs."""
    needs("hydra")
    ranks = 'echo "rank $PMI_RANK of $PMI_SIZE on $(hostname), index $AWS_BATCH_JOB_NODE_INDEX"'
    script = (
        'mpiexec.hydra -f "$MNGEN_HOSTFILE_HYDRA" -n "$MNGEN_TOTAL_RANKS" -genvnone "$@" && exit 6'
    )
    command = ("sh", "-c", script, "script", "sh", "-c", ranks)
    with job(3, *command, environment=MAIN) as nodes:
        assert codes(nodes) == {0: 6, 1: 6, 2: 6}
        for rank in range(6):
            node = rank // 2
            assert f"rank {rank} of 6 on node{node}, index {node}" in said(nodes, 0)
        assert "the command failed with exit code 6" in said(nodes, 2)
        assert_clean(nodes, 0, 1, 2)


def test_ssh_reaches_every_node_in_its_own_environment(tmp_path: Path) -> None:
    """Also the main node itself, by a user other than root, who leaves processes behind."""
    needs()
    passwd = tmp_path / "passwd"
    passwd.write_text(
        "root:x:0:0::/root:/bin/sh\nsshd:x:101:65534::/run/sshd:/usr/sbin/nologin\n"
        "rank:x:1234:1234::/tmp:/bin/sh\n"
    )
    remote = (
        'echo "$(hostname): $AWS_BATCH_JOB_NODE_INDEX, $(id -u), <$ODD>, <$MNGEN_SECRET>";'
        " setsid sleep 600 >/dev/null 2>&1 &"
    )
    script = 'while read -r host; do ssh -n "$host" "$REMOTE"; done <"$MNGEN_HOSTFILE_PLAIN"'
    odd = 'it\'s "$HOME" `id` ü'
    with job(
        3,
        "sh",
        "-c",
        script,
        binds=(Bind(passwd, "/etc/passwd"),),
        environment={**MAIN, "REMOTE": remote, "ODD": odd, "MNGEN_TEST_USER": "1234"},
    ) as nodes:
        assert codes(nodes) == {0: 0, 1: 0, 2: 0}
        for node in range(3):
            assert f"node{node}: {node}, 1234, <{odd}>, <>" in said(nodes, 0).splitlines()
        assert "running: first command from the main node" in said(nodes, 2)
        assert_clean(nodes, 0, 1, 2)


@pytest.mark.parametrize("node", [0, 1])
def test_sigterm_reaches_the_command_and_what_it_has_started(node: int) -> None:
    """The shell dies at once, its child has to save first: the job waits for the latter."""
    needs()
    child = (
        "import os, signal, sys, time\n"
        "def save(*_):\n"
        "    time.sleep(1)\n"
        "    os.write(1, b'saved\\n')\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, save)\n"
        "os.write(1, b'computes\\n')\n"
        "time.sleep(600)\n"
    )
    script = f'{PYTHON} -c "$CHILD"; echo never'
    with job(2, "sh", "-c", script, environment={**MAIN, "CHILD": child}) as nodes:
        assert nodes.wait_for_line("^computes", SOON), said(nodes)
        nodes.kill(node, signal.SIGTERM)
        assert codes(nodes) == {0: 143, 1: 143}
        assert "saved" in said(nodes, 0)
        assert "never" not in said(nodes, 0)
        assert f"cancelled by SIGTERM on node {node}" in said(nodes, 1)
        assert_clean(nodes, 0, 1)


def test_node_that_dies_ends_the_job() -> None:
    needs()
    script = 'ssh "$(tail -n 1 "$MNGEN_HOSTFILE_PLAIN")" "echo computes; sleep 600"; sleep 600'
    with job(3, "sh", "-c", script, environment=MAIN) as nodes:
        assert nodes.wait_for_line("^computes", SOON), said(nodes)
        nodes.kill(2)
        assert codes(nodes) == {0: 67, 1: 67, 2: 137}
        assert "lost: node 2 (10.0.0.12) closed its connection" in said(nodes, 0)
        assert_clean(nodes, 0, 1)


@pytest.mark.parametrize(("program", "node"), [("ssh", 0), ("sshd", 1)])
def test_image_without_ssh(program: str, node: int, tmp_path: Path) -> None:
    needs()
    missing = tmp_path / program
    missing.touch(mode=0o644)
    folder = {"ssh": "/usr/bin", "sshd": "/usr/sbin"}[program]
    binds = (Bind(missing, f"{folder}/{program}", read_only=True),)
    with job(2, "true", environment=MAIN, binds=binds) as nodes:
        assert codes(nodes) == {0: 68, 1: 68}
        assert f"{program} not found on PATH or in /usr/sbin: install it" in said(nodes, node)


WORKER = (
    "trap 'echo \"$MNGEN_GROUP saved\"; exit 3' TERM;"
    ' echo "$MNGEN_GROUP works"; touch "/efs/$AWS_BATCH_JOB_NODE_INDEX";'
    " while :; do sleep 0.1; done"
)
DRIVER = (
    "until [ -e /efs/1 ] && [ -e /efs/2 ]; do sleep 0.1; done;"
    ' for host in $(cat "$MNGEN_HOSTFILE_PLAIN");'
    ' do ssh -n "$host" "echo ssh to \\$(hostname)"; done'
)
WORKERS = {"MNGEN_GROUP": "workers", "MNGEN_RUNS_BESIDE": "yes"}


def test_workers_run_beside_their_driver(tmp_path: Path) -> None:
    """They end with it, by SIGTERM, and what they then exit with is of no account."""
    needs()
    with job(
        3,
        "sh",
        "-c",
        WORKER,
        environment={**MAIN, **WORKERS},
        node_environment={0: {"MNGEN_GROUP": "driver", "MNGEN_RUNS_BESIDE": ""}},
        node_commands={0: (*WITNESS, *WIREUP, "sh", "-c", DRIVER)},
        binds=(Bind(tmp_path, "/efs"),),
    ) as nodes:
        assert codes(nodes) == {0: 0, 1: 0, 2: 0}
        for node in range(3):
            assert f"ssh to node{node}" in said(nodes, 0).splitlines()
        for node in (1, 2):
            assert "workers works" in said(nodes, node).splitlines()
            assert "workers saved" in said(nodes, node).splitlines()
        assert_clean(nodes, 0, 1, 2)


def test_worker_that_fails_ends_the_job() -> None:
    needs()
    with job(
        2,
        "sh",
        "-c",
        "exit 9",
        environment={**MAIN, **WORKERS},
        node_environment={0: {"MNGEN_GROUP": "driver", "MNGEN_RUNS_BESIDE": ""}},
        node_commands={0: (*WITNESS, *WIREUP, "sleep", "600")},
    ) as nodes:
        assert codes(nodes) == {0: 9, 1: 9}
        assert "error: the command on node 1 failed with exit code 9" in said(nodes, 0)
        assert_clean(nodes, 0, 1)
