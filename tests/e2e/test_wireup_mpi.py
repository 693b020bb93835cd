"""The wire-up with real sshd and mpirun across nodes that are network namespaces."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mngen.cluster import ROWS_GUARD, ROWS_VARIABLE
from mngen.jobs._rows import Rows, pack
from mngen.rehearsal import Bind
from tests.support.wireup import (
    END,
    EXAMPLE,
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
    from mngen.rehearsal import Nodes


@pytest.fixture(autouse=True)
def _programs() -> None:
    needs("mpirun")


@pytest.mark.parametrize("count", [1, 2, 4, 16])
def test_example_runs_on_every_node(count: int) -> None:
    needs_mpi4py()
    with job(count, *EXAMPLE) as nodes:
        assert codes(nodes) == dict.fromkeys(range(count), 0)
        for rank in range(count):
            assert f"rank {rank} of {count} runs on node{rank}\n" in said(nodes, 0)
        assert f"the sum over all ranks is {count * (count + 1) // 2}, as it should be" in said(
            nodes, 0
        )
        assert_clean(nodes, *range(count))
        last = [line.text for line in nodes.lines if line.text.startswith("mngen[0]")][-1]
        assert re.search(END, last)
        stages = [line.text.split()[2] for line in nodes.lines if line.text.startswith("mngen[0]")]
        wanted = ["start:", "cpus:", "rendezvous:", "ready:", "launch:", "running:", "end:"]
        if count == 1:
            wanted = [stage for stage in wanted if stage not in ("rendezvous:", "ready:")]
        assert list(dict.fromkeys(stages)) == wanted


ROWS = Rows("0" * 32, (4, 7), ({"n": "1", "text": "a b"}, {"n": "2", "text": "it's $HOME {n}"}))
SWEEP = {ROWS_VARIABLE: pack(ROWS), "MNGEN_RANKS_PER_NODE": "2"}


def test_a_child_of_an_array_runs_its_row_on_every_rank() -> None:
    script = 'test -z "$MNGEN_ROWS" || exit 1; echo "<$n> <$1>"'
    environment = {**SWEEP, "AWS_BATCH_JOB_ARRAY_INDEX": "1"}
    command = (ROWS_GUARD, "sh", "-c", script, "sh", "{text}")
    with job(1, *command, environment=environment) as nodes:
        assert codes(nodes) == {0: 0}
        assert said(nodes).count("<2> <it's $HOME {n}>\n") == 2
        # A value that the command does not name may be a secret.
        assert "s row: 7, index 1 of the array: n, text=it's $HOME {n}\n" in said(nodes)
        assert_clean(nodes, 0)


def test_a_wire_up_that_knows_no_rows_fails_before_any_work() -> None:
    """An older one does not look at the variable."""
    with job(1, ROWS_GUARD, "sh", "-c", "echo work-$((40 + 2))") as nodes:
        assert codes(nodes) == {0: 127}
        assert ROWS_GUARD in said(nodes)
        assert "work-42" not in said(nodes)


def test_main_node_need_not_be_the_first() -> None:
    needs_mpi4py()
    with job(3, *EXAMPLE, main=1) as nodes:
        assert codes(nodes) == {0: 0, 1: 0, 2: 0}
        for rank, node in enumerate((1, 2, 0)):
            assert f"rank {rank} of 3 runs on node{node}\n" in said(nodes, 1)


def test_ranks_have_the_environment_of_their_own_node() -> None:
    script = (
        'test -z "$MNGEN_SECRET" || exit 1;'
        ' echo "$AWS_BATCH_JOB_NODE_INDEX $OMP_NUM_THREADS <$ODD> $NCCL_SOCKET_IFNAME"'
    )
    odd = 'it\'s "$HOME" `id` \\ ü'
    environment = {"ODD": odd, "MNGEN_THREADS_PER_RANK": "2"}
    with job(2, "sh", "-c", script, environment=environment) as nodes:
        assert codes(nodes) == {0: 0, 1: 0}
        for node in (0, 1):
            assert f"{node} 2 <{odd}> eth0" in said(nodes, 0).splitlines()


# A coupled model: each program finds those of its own kind, as MPI's manuals show it, and all
# exchange a sum. https://www.mpi-forum.org/docs/mpi-4.1/mpi41-report/node187.htm
COUPLED = """\
import os, sys
from mpi4py import MPI
name = sys.argv[1]
world = MPI.COMM_WORLD
mine = world.Split(len(name), world.rank)
threads = os.environ["OMP_NUM_THREADS"]
total = world.allreduce(world.rank)
print(f"{name} {mine.rank} of {mine.size}, {world.rank} of {world.size} in all on",
      f"{os.uname().nodename} in {os.getcwd()}, {threads} threads, sum {total}", flush=True)
"""


def test_node_groups_run_programs_of_their_own() -> None:
    needs_mpi4py()
    atmosphere, ocean = ((PYTHON, "-c", COUPLED, name) for name in ("atmosphere", "ocean"))
    of_ocean = {"MNGEN_GROUP": "ocean", "MNGEN_RANKS_PER_NODE": "1", "MNGEN_THREADS_PER_RANK": "2"}
    with job(
        3,
        *atmosphere,
        environment={"MNGEN_GROUP": "atmosphere", "MNGEN_RANKS_PER_NODE": "2"},
        node_environment={2: of_ocean},
        node_commands={2: (*WITNESS, "env", "-C", "/tmp", *WIREUP, *ocean)},
    ) as nodes:
        assert codes(nodes) == {0: 0, 1: 0, 2: 0}
        lines = said(nodes, 0).splitlines()
        for rank in range(4):
            assert (
                f"atmosphere {rank} of 4, {rank} of 5 in all on node{rank // 2} in /, 1 threads,"
                " sum 10"
            ) in lines
        assert "ocean 0 of 1, 4 of 5 in all on node2 in /tmp, 2 threads, sum 10" in lines
        assert re.search(r"start: child node of 3, group ocean, job \S+, attempt 1", said(nodes, 2))
        assert_clean(nodes, 0, 1, 2)


def test_hydra_runs_the_programs_of_node_groups() -> None:
    """What Hydra starts needs no MPI to show where it runs."""
    needs("hydra")
    ranks = 'echo "$MNGEN_GROUP: rank $PMI_RANK of $PMI_SIZE on $(hostname)"'
    with job(
        3,
        *("sh", "-c", f"{ranks}; exit 0"),
        environment={
            "MNGEN_LAUNCHER": "mpich",
            "MNGEN_GROUP": "air",
            "MNGEN_RANKS_PER_NODE": "2",
        },
        node_environment={2: {"MNGEN_GROUP": "ocean", "MNGEN_RANKS_PER_NODE": "1"}},
        node_commands={2: (*WITNESS, *WIREUP, "sh", "-c", ranks)},
    ) as nodes:
        assert codes(nodes) == {0: 0, 1: 0, 2: 0}
        lines = said(nodes, 0).splitlines()
        for rank in range(4):
            assert f"air: rank {rank} of 5 on node{rank // 2}" in lines
        assert "ocean: rank 4 of 5 on node2" in lines
        assert_clean(nodes, 0, 1, 2)


def test_slots_are_the_cpus_seen_and_threads_get_cores_of_their_own() -> None:
    cpus = len(os.sched_getaffinity(0))
    with job(2, "sh", "-c", "echo a rank", environment={"MNGEN_RANKS_PER_NODE": ""}) as nodes:
        assert codes(nodes) == {0: 0, 1: 0}
        assert said(nodes, 0).splitlines().count("a rank") == 2 * cpus


def test_arguments_of_the_user_win() -> None:
    with job(
        2,
        "sh",
        "-c",
        'echo "<$GREETING>"',
        environment={"MNGEN_MPI_ARGS": "-np 1 -x 'GREETING=hello there' --mca btl tcp,self"},
    ) as nodes:
        assert codes(nodes) == {0: 0, 1: 0}
        assert said(nodes, 0).splitlines().count("<hello there>") == 1


def test_secret_travels_through_the_shared_folder(tmp_path: Path) -> None:
    needs_mpi4py()
    # What a crashed run of the same attempt left.
    stale = tmp_path / ".mngen" / "job-1-1"
    stale.mkdir(parents=True)
    stale.chmod(0o700)
    (stale / "secret").write_text("f" * 64)
    (stale / "secret").chmod(0o600)
    with job(
        3,
        *EXAMPLE,
        environment={"MNGEN_SECRET": "", "MNGEN_SHARED": "/efs"},
        binds=(Bind(tmp_path, "/efs"),),
        job="job-1",
        late={0: 1.0},
    ) as nodes:
        assert codes(nodes) == {0: 0, 1: 0, 2: 0}
        assert_clean(nodes, 0, 1, 2)
    assert list((tmp_path / ".mngen").iterdir()) == []


def test_user_other_than_root(tmp_path: Path) -> None:
    passwd = tmp_path / "passwd"
    passwd.write_text(
        "root:x:0:0::/root:/bin/sh\nsshd:x:101:65534::/run/sshd:/usr/sbin/nologin\n"
        "rank:x:1234:1234::/tmp:/bin/sh\n"
    )
    script = "import os; print('user', os.getuid(), flush=True)"
    with job(
        2,
        PYTHON,
        "-c",
        script,
        binds=(Bind(passwd, "/etc/passwd"),),
        environment={"MNGEN_TEST_USER": "1234"},
    ) as nodes:
        assert codes(nodes) == {0: 0, 1: 0}
        assert said(nodes, 0).splitlines().count("user 1234") == 2
        assert_clean(nodes, 0, 1)


def test_user_for_whom_ssh_cannot_work() -> None:
    with job(2, "true", environment={"MNGEN_TEST_USER": "54321"}) as nodes:
        assert codes(nodes) == {0: 64, 1: 64}
        assert "user ID 54321 has no entry in /etc/passwd" in said(nodes, 1)


def test_mpich() -> None:
    """With the provider of libfabric that the wire-up chooses, which is tcp.

    MPICH 4.0 now and then hangs in MPI_Finalize on a busy machine, less often with the provider
    `sockets`: with it, the job is tried again, and must end once. Up to MPI_Finalize, nothing is
    tried again.
    """
    needs("mpich")
    if not mpich_ends("tcp"):
        assert any(mpich_ends("sockets", FI_PROVIDER="sockets") for _ in range(3))


def mpich_ends(provider: str, **variables: str) -> bool:
    """Run a job, and return whether it ended; every rank has to come as far as MPI_Finalize."""
    with job(
        3,
        PYTHON,
        "/support/mpich_ranks.py",
        environment={"MNGEN_LAUNCHER": "mpich", "MNGEN_RANKS_PER_NODE": "2", **variables},
    ) as nodes:
        # Once every rank has said its sum, MPI_Finalize alone is left.
        if not nodes.wait(40) and ranks_that_added_up(nodes, provider) == RANKS:
            return False
        assert codes(nodes) == {0: 0, 1: 0, 2: 0}
        assert ranks_that_added_up(nodes, provider) == RANKS
        assert_clean(nodes, 0, 1, 2)
    return True


RANKS = [("0", "0"), ("1", "0"), ("2", "1"), ("3", "1"), ("4", "2"), ("5", "2")]


def ranks_that_added_up(nodes: Nodes, provider: str) -> list[tuple[str, str]]:
    """Return each rank that has said the sum of all, with its node."""
    return sorted(re.findall(rf"rank (\d) of 6, node (\d), by {provider}, sum 15", said(nodes, 0)))


TORCH_PROCESS = 'echo "$RANK/$LOCAL_RANK of $WORLD_SIZE at $MASTER_ADDR on $(hostname)"'


@pytest.fixture
def torchrun() -> dict[str, Any]:
    """What a job needs to find the stand-in for torchrun."""
    program = Path(__file__).parents[1] / "support" / "torchrun.py"
    return {
        "binds": (Bind(program, "/usr/local/sbin/torchrun", read_only=True),),
        "environment": {"MNGEN_LAUNCHER": "torchrun", "MNGEN_RANKS_PER_NODE": "2"},
    }


def test_torchrun_waits_for_all_nodes(torchrun: dict[str, Any]) -> None:
    with job(3, "sh", "-c", TORCH_PROCESS, main=1, late={1: 1.0}, **torchrun) as nodes:
        assert codes(nodes) == {0: 0, 1: 0, 2: 0}
        for place, node in enumerate((1, 2, 0)):
            for local in (0, 1):
                line = f"{2 * place + local}/{local} of 6 at {nodes.address(1)} on node{node}"
                assert line in said(nodes, node).splitlines()
        assert_clean(nodes, 0, 1, 2)


def test_process_of_torchrun_that_fails_ends_the_job(torchrun: dict[str, Any]) -> None:
    script = "test $RANK = 3 && exit 9; sleep 600"
    with job(2, "sh", "-c", script, **torchrun) as nodes:
        assert codes(nodes) == {0: 1, 1: 1}
        assert "the command on node 1 failed with exit code 1" in said(nodes, 0)
        assert_clean(nodes, 0, 1)


def test_image_without_torchrun() -> None:
    with job(2, "true", environment={"MNGEN_LAUNCHER": "torchrun"}) as nodes:
        assert codes(nodes) == {0: 68, 1: 68}
        assert "torchrun not found on PATH or in /usr/sbin: install it" in said(nodes, 1)


def test_commands_that_need_no_mpi() -> None:
    script = 'echo "$NODE_RANK of $NNODES, $WORLD_SIZE, main $MASTER_ADDR:$MASTER_PORT"'
    with job(3, "sh", "-c", script, main=1, environment={"MNGEN_LAUNCHER": "none"}) as nodes:
        assert codes(nodes) == {0: 0, 1: 0, 2: 0}
        for node, rank in enumerate((2, 0, 1)):
            assert f"{rank} of 3, 3, main {nodes.address(1)}:29500" in said(nodes, node)
        assert_clean(nodes, 0, 1, 2)
