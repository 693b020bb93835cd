"""What the wire-up reads from a container's environment, and how it rejects what is invalid."""

from __future__ import annotations

import pytest

from mngen_wireup.errors import WireupError
from mngen_wireup.plan import Plan, plan_from

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
    assert plan_from(BATCH, ["app", "-x"]) == Plan(
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
        group="",
        runs_beside=False,
        ranks=0,
        threads=1,
        mpi_args=(),
        wait=900,
        heartbeat=5,
        port=7710,
        inputs="",
        inputs_from="",
        outputs="",
        outputs_to="",
        command=("app", "-x"),
    )


def test_every_variable() -> None:
    plan = plan_from(
        {
            **BATCH,
            "MNGEN_SHARED": "/efs",
            "MNGEN_CPUS": "48",
            "MNGEN_CPUS_CHECK": "fail",
            "MNGEN_LAUNCHER": "intelmpi",
            "MNGEN_GROUP": "ocean",
            "MNGEN_RUNS_BESIDE": "yes",
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
    assert (plan.group, plan.runs_beside) == ("ocean", True)
    assert plan.mpi_args == ("-x", "A=b c", "--tag")
    assert (plan.wait, plan.heartbeat, plan.port) == (0.5, 2, 7000)
    assert (plan.inputs, plan.inputs_from) == ("/efs/in", "s3://bucket/in/")


def test_job_on_one_node_needs_nothing() -> None:
    plan = plan_from({}, ["app"])
    assert (plan.nodes, plan.node, plan.main, plan.job) == (1, 0, 0, "local")


def test_inputs_without_a_url_need_no_folder() -> None:
    assert plan_from({"MNGEN_INPUTS": "anything"}, ["app"]).inputs_from == ""


@pytest.mark.parametrize(
    ("origin", "folder"),
    [("s3://bucket/in/", ""), ("s3://bucket/in/", "efs/in"), ("https://bucket/in/", "/efs/in")],
)
def test_a_url_of_inputs_needs_a_folder(origin: str, folder: str) -> None:
    environ = {"MNGEN_INPUTS": folder, "MNGEN_INPUTS_FROM": origin}
    with pytest.raises(WireupError, match="expected an s3:// URL and the absolute path") as caught:
        plan_from(environ, ["app"])
    assert caught.value.code == 64


def test_outputs_are_of_this_job_and_attempt() -> None:
    environ = {
        "AWS_BATCH_JOB_ID": "0c3a-77:4",
        "AWS_BATCH_JOB_ATTEMPT": "2",
        "MNGEN_OUTPUTS": "/efs/{job}/out-{job}/",
        "MNGEN_OUTPUTS_TO": "s3://bucket/out/",
    }
    plan = plan_from(environ, ["app"])
    # ROMIO takes what is before a colon for a file system: https://github.com/pmodels/mpich/pull/5951
    assert plan.outputs == "/efs/0c3a-77-4/out-0c3a-77-4"
    assert plan.outputs_to == "s3://bucket/out/0c3a-77:4/2"
    del environ["MNGEN_OUTPUTS_TO"]
    assert plan_from(environ, ["app"]).outputs_to == ""


@pytest.mark.parametrize(
    ("url", "folder"),
    [
        ("s3://bucket/out/", ""),
        ("s3://bucket/out/", "efs/out"),
        ("https://bucket/out/", "/efs/out"),
        ("", "out"),
        ("", "/"),
    ],
)
def test_outputs_need_a_folder(url: str, folder: str) -> None:
    environ = {"MNGEN_OUTPUTS": folder, "MNGEN_OUTPUTS_TO": url}
    with pytest.raises(WireupError, match="expected the absolute path of a folder") as caught:
        plan_from(environ, ["app"])
    assert caught.value.code == 64


def test_main_node_needs_no_address() -> None:
    environ = {**BATCH, "AWS_BATCH_JOB_NODE_INDEX": "0"}
    del environ["AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS"]
    assert plan_from(environ, ["app"]).node == 0


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        (
            "AWS_BATCH_JOB_NODE_INDEX",
            "",
            "AWS_BATCH_JOB_NODE_INDEX is not set: expected a number from 0 to 3",
        ),
        ("AWS_BATCH_JOB_NODE_INDEX", "4", "expected a number from 0 to 3"),
        ("AWS_BATCH_JOB_MAIN_NODE_INDEX", "", "AWS_BATCH_JOB_MAIN_NODE_INDEX is not set"),
        ("AWS_BATCH_JOB_NUM_NODES", "1001", "expected a number from 1 to 1000"),
        (
            "AWS_BATCH_JOB_NUM_NODES",
            "2.5",
            "invalid AWS_BATCH_JOB_NUM_NODES='2.5': expected a whole number",
        ),
        ("AWS_BATCH_JOB_ID", "../../etc", "AWS_BATCH_JOB_ID='../../etc': expected letters"),
        ("AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS", "10.0.0", "expected an IPv4 address"),
        ("AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS", "10.0.0.256", "expected an IPv4 address"),
        ("MNGEN_SECRET", "short", "MNGEN_SECRET is shorter than 16 characters"),
        ("MNGEN_SECRET", "", "needs MNGEN_SECRET, which `mngen submit` sets, or MNGEN_SHARED"),
        ("MNGEN_CPUS", "many", "invalid MNGEN_CPUS='many'"),
        (
            "MNGEN_CPUS_CHECK",
            "no",
            "invalid MNGEN_CPUS_CHECK='no': expected one of warn, fail, off",
        ),
        (
            "MNGEN_LAUNCHER",
            "slurm",
            "expected one of openmpi, intelmpi, mpich, main, none, torchrun",
        ),
        ("MNGEN_RANKS_PER_NODE", "-1", "MNGEN_RANKS_PER_NODE='-1'"),
        ("MNGEN_THREADS_PER_RANK", "0", "expected a number from 1"),
        ("MNGEN_MPI_ARGS", "-x 'A", 'invalid MNGEN_MPI_ARGS="-x \'A": No closing quotation'),
        ("MNGEN_WAIT", "nan", "MNGEN_WAIT='nan'"),
        ("MNGEN_HEARTBEAT", "inf", "MNGEN_HEARTBEAT='inf'"),
        ("MNGEN_PORT", "65536", "MNGEN_PORT='65536'"),
    ],
)
def test_wrong_value_is_refused_with_its_reason(name: str, value: str, reason: str) -> None:
    with pytest.raises(WireupError) as caught:
        plan_from({**BATCH, name: value}, ["app"])
    assert reason in str(caught.value)
    assert caught.value.code == 64


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(WireupError) as caught:
        plan_from({**BATCH, "MNGEN_PORT": "x", "MNGEN_WAIT": "y"}, [])
    for reason in ("MNGEN_PORT", "MNGEN_WAIT", "no command to run"):
        assert reason in str(caught.value)
