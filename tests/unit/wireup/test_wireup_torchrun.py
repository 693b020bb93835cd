"""What launcher `torchrun` starts on a node, and with which variables."""

from __future__ import annotations

import pytest

from mngen_wireup.torchrun import torchrun_command, torchrun_environment
from tests.support.wireup_parts import changed, host, plan

HERE = host(1, "10.0.1.11", "10.0.1.0/24")


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        ("train.py --lr 1", "torchrun train.py --lr 1"),
        ("python3 train.py", "torchrun --no-python python3 train.py"),
        ("/opt/app --x", "torchrun --no-python /opt/app --x"),
        ("torchrun --max-restarts 3 train.py", "torchrun --max-restarts 3 train.py"),
        ("/venv/bin/torchrun train.py", "/venv/bin/torchrun train.py"),
        ("python3 -m torch.distributed.run train.py", "python3 -m torch.distributed.run train.py"),
    ],
)
def test_command(command: str, wanted: str) -> None:
    assert torchrun_command(command.split()) == wanted.split()


def test_all_nodes_meet_at_the_main_node() -> None:
    of_job = plan(launcher="torchrun", ranks_per_node="8")
    found = torchrun_environment({"HOME": "/root"}, changed(of_job, node=1), HERE, "10.0.1.10")
    assert found.pop("PET_RDZV_ID") == "j-1"
    assert found == {
        "HOME": "/root",
        "MASTER_ADDR": "10.0.1.10",
        "MASTER_PORT": "29500",
        "NNODES": "3",
        "NODE_RANK": "1",
        "NPROC_PER_NODE": "8",
        "WORLD_SIZE": "24",
        "PET_NNODES": "3",
        "PET_NODE_RANK": "1",
        "PET_NPROC_PER_NODE": "8",
        "PET_MASTER_ADDR": "10.0.1.10",
        "PET_MASTER_PORT": "29500",
        "PET_LOCAL_ADDR": "10.0.1.11",
    }


@pytest.mark.parametrize(
    ("command", "env", "endpoint"),
    [
        ("torchrun --rdzv-backend c10d train.py", {}, True),
        ("torchrun --rdzv_backend=c10d train.py", {}, True),
        ("train.py", {"PET_RDZV_BACKEND": "c10d"}, True),
        # get_rdzv_endpoint of torch/distributed/run.py: it would come before these.
        ("torchrun --master-port 29400 train.py", {}, False),
        ("train.py", {"PET_MASTER_PORT": "29400"}, False),
    ],
)
def test_only_other_rendezvous_get_an_endpoint(
    command: str, env: dict[str, str], endpoint: bool
) -> None:
    of_job = changed(plan(launcher="torchrun"), command=tuple(command.split()))
    found = torchrun_environment(env, of_job, HERE, "10.0.1.10")
    assert found.get("PET_RDZV_ENDPOINT") == ("10.0.1.10:29500" if endpoint else None)


def test_number_of_processes_is_left_to_torchrun() -> None:
    found = torchrun_environment({}, plan(launcher="torchrun"), HERE, "10.0.1.10")
    assert found["PET_NPROC_PER_NODE"] == found["NPROC_PER_NODE"] == "auto"
    assert "WORLD_SIZE" not in found


def test_what_the_job_sets_itself_stays() -> None:
    mine = {"PET_MAX_RESTARTS": "3", "PET_NPROC_PER_NODE": "gpu"}
    found = torchrun_environment(mine, plan(launcher="torchrun"), HERE, "10.0.1.10")
    assert (found["PET_MAX_RESTARTS"], found["PET_NPROC_PER_NODE"]) == ("3", "gpu")


def test_one_node_takes_a_free_port() -> None:
    alone = plan(nodes=1, launcher="torchrun", ranks_per_node="2")
    found = torchrun_environment({}, alone, HERE, "localhost")
    names = {name: value for name, value in found.items() if name.startswith("PET_")}
    assert names == {"PET_NPROC_PER_NODE": "2", "PET_STANDALONE": "1"}


def test_processes_of_node_groups_are_added_up_by_torchrun() -> None:
    of_group = plan(launcher="torchrun", ranks_per_node="8", group="trainers")
    found = torchrun_environment({}, of_group, HERE, "10.0.1.10")
    assert found["PET_NPROC_PER_NODE"] == "8"
    assert "WORLD_SIZE" not in found
