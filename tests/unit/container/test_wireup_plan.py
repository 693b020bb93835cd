"""What the wire-up reads from a container's environment, and how it refuses what is wrong."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from container import wireup

BATCH = {
    "AWS_BATCH_JOB_ID": "0c3a-77#2",
    "AWS_BATCH_JOB_ATTEMPT": "3",
    "AWS_BATCH_JOB_NODE_INDEX": "2",
    "AWS_BATCH_JOB_NUM_NODES": "4",
    "AWS_BATCH_JOB_MAIN_NODE_INDEX": "0",
    "AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS": "10.0.0.5",
    "MNGEN_SECRET": "s" * 32,
}


def test_defaults() -> None:
    assert wireup.plan_from(BATCH, ["app", "-x"]) == wireup.Plan(
        job="0c3a-77",
        attempt="3",
        node=2,
        nodes=4,
        main=0,
        main_address="10.0.0.5",
        secret="s" * 32,
        shared="",
        cpus=0,
        cpus_check="warn",
        launcher="openmpi",
        ranks=0,
        threads=1,
        mpi_args=(),
        wait=900,
        heartbeat=5,
        port=7710,
        inputs="",
        inputs_from="",
        command=("app", "-x"),
    )


def test_every_variable() -> None:
    plan = wireup.plan_from(
        {
            **BATCH,
            "MNGEN_SHARED": "/efs",
            "MNGEN_CPUS": "48",
            "MNGEN_CPUS_CHECK": "fail",
            "MNGEN_LAUNCHER": "intelmpi",
            "MNGEN_RANKS_PER_NODE": "12",
            "MNGEN_THREADS_PER_RANK": "4",
            "MNGEN_MPI_ARGS": "-x 'A=b c' --tag",
            "MNGEN_WAIT": "0.5",
            "MNGEN_HEARTBEAT": " 2 ",
            "MNGEN_PORT": "7000",
            "MNGEN_INPUTS": "/efs/in",
            "MNGEN_INPUTS_FROM": "s3://bucket/in/",
        },
        ["app"],
    )
    assert (plan.shared, plan.cpus, plan.cpus_check) == ("/efs", 48, "fail")
    assert (plan.launcher, plan.ranks, plan.threads) == ("intelmpi", 12, 4)
    assert plan.mpi_args == ("-x", "A=b c", "--tag")
    assert (plan.wait, plan.heartbeat, plan.port) == (0.5, 2, 7000)
    assert (plan.inputs, plan.inputs_from) == ("/efs/in", "s3://bucket/in/")


def test_job_on_one_node_needs_nothing() -> None:
    plan = wireup.plan_from({}, ["app"])
    assert (plan.nodes, plan.node, plan.main, plan.job) == (1, 0, 0, "local")


def test_inputs_that_are_there_need_no_origin() -> None:
    assert wireup.plan_from({"MNGEN_INPUTS": "anything"}, ["app"]).inputs_from == ""


@pytest.mark.parametrize(
    ("origin", "folder"),
    [("s3://bucket/in/", ""), ("s3://bucket/in/", "efs/in"), ("https://bucket/in/", "/efs/in")],
)
def test_an_origin_of_inputs_goes_with_a_folder(origin: str, folder: str) -> None:
    environ = {"MNGEN_INPUTS": folder, "MNGEN_INPUTS_FROM": origin}
    with pytest.raises(
        wireup.TroubleError, match="goes with an s3://… there and the path"
    ) as caught:
        wireup.plan_from(environ, ["app"])
    assert caught.value.code == 64


def test_main_node_needs_no_address() -> None:
    environ = {**BATCH, "AWS_BATCH_JOB_NODE_INDEX": "0"}
    del environ["AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS"]
    assert wireup.plan_from(environ, ["app"]).node == 0


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("AWS_BATCH_JOB_NODE_INDEX", "", "AWS_BATCH_JOB_NODE_INDEX='' is not a number from 0 to 3"),
        ("AWS_BATCH_JOB_NODE_INDEX", "4", "is not a number from 0 to 3"),
        ("AWS_BATCH_JOB_MAIN_NODE_INDEX", "", "AWS_BATCH_JOB_MAIN_NODE_INDEX=''"),
        ("AWS_BATCH_JOB_NUM_NODES", "1001", "is not a number from 1 to 1000"),
        ("AWS_BATCH_JOB_NUM_NODES", "2.5", "AWS_BATCH_JOB_NUM_NODES='2.5' is not a whole number"),
        ("AWS_BATCH_JOB_ID", "../../etc", "AWS_BATCH_JOB_ID='../../etc' is not the id of a job"),
        ("AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS", "10.0.0", "is not an IPv4 address"),
        ("AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS", "10.0.0.256", "is not an IPv4 address"),
        ("MNGEN_SECRET", "short", "MNGEN_SECRET has fewer than 16 characters"),
        ("MNGEN_SECRET", "", "needs MNGEN_SECRET, which `mngen submit` sets, or MNGEN_SHARED"),
        ("MNGEN_CPUS", "many", "MNGEN_CPUS='many' is not a number"),
        ("MNGEN_CPUS_CHECK", "no", "MNGEN_CPUS_CHECK='no' is none of warn, fail, off"),
        ("MNGEN_LAUNCHER", "slurm", "is none of openmpi, intelmpi, mpich, none"),
        ("MNGEN_RANKS_PER_NODE", "-1", "MNGEN_RANKS_PER_NODE='-1'"),
        ("MNGEN_THREADS_PER_RANK", "0", "is not a number from 1"),
        ("MNGEN_MPI_ARGS", "-x 'A", "MNGEN_MPI_ARGS cannot be split into words"),
        ("MNGEN_WAIT", "nan", "MNGEN_WAIT='nan'"),
        ("MNGEN_HEARTBEAT", "inf", "MNGEN_HEARTBEAT='inf'"),
        ("MNGEN_PORT", "65536", "MNGEN_PORT='65536'"),
    ],
)
def test_wrong_value_is_refused_with_its_reason(name: str, value: str, reason: str) -> None:
    with pytest.raises(wireup.TroubleError) as caught:
        wireup.plan_from({**BATCH, name: value}, ["app"])
    assert reason in str(caught.value)
    assert caught.value.code == 64


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(wireup.TroubleError) as caught:
        wireup.plan_from({**BATCH, "MNGEN_PORT": "x", "MNGEN_WAIT": "y"}, [])
    for reason in ("MNGEN_PORT", "MNGEN_WAIT", "there is no command to run"):
        assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("indexes", "text"),
    [([3], "node 3"), ([3, 1], "nodes 1, 3"), ([5, 1, 2, 3, 9], "nodes 1-3, 5, 9")],
)
def test_nodes_are_named_briefly(indexes: list[int], text: str) -> None:
    assert wireup.named(indexes) == text


def test_cores_are_counted_by_their_siblings(tmp_path: Path) -> None:
    for cpu, siblings in enumerate(["0,2", "1,3", "0,2", "1,3"]):
        topology = tmp_path / f"cpu{cpu}" / "topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(f"{siblings}\n")
    assert wireup.count_cores({0, 1, 2, 3}, str(tmp_path)) == 2
    assert wireup.count_cores({0, 1}, str(tmp_path)) == 2
    assert wireup.count_cores({7, 8, 9}, str(tmp_path)) == 3, "unknown: each is one"


def test_efa_is_seen_by_its_device(tmp_path: Path) -> None:
    assert not wireup.has_efa(str(tmp_path / "absent"))
    assert not wireup.has_efa(str(tmp_path))
    (tmp_path / "uverbs0").touch()
    assert wireup.has_efa(str(tmp_path))


def test_interface_is_found_by_its_address() -> None:
    assert wireup.interface_of("127.0.0.1") == ("lo", "127.0.0.0/8")
    assert wireup.interface_of("192.0.2.1") == ("", "192.0.2.1/32")


def test_clock_of_the_day_is_never_asked() -> None:
    """Nodes whose clocks differ must not notice it."""
    tree = ast.parse(Path(wireup.__file__).read_text(encoding="utf-8"))
    asked = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in ("time", "datetime")
    }
    assert asked == {"monotonic"}


def test_file_is_python_3_9() -> None:
    ast.parse(Path(wireup.__file__).read_text(encoding="utf-8"), feature_version=(3, 9))


def test_wrong_environment_ends_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    import os
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-IS", wireup.__file__],
        env={**os.environ, "MNGEN_LAUNCHER": "slurm", "AWS_BATCH_JOB_NODE_INDEX": "7"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 64
    lines = done.stderr.splitlines()
    assert lines[0].startswith("mngen[7] +0.0")
    assert "error: " in lines[0]
    assert lines[1].endswith("end: exit 64")
    assert done.stdout == ""
