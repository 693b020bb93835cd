"""What is rehearsed: a job of the spec, as far as this machine can play it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mngen import _resources
from mngen.catalog import load_catalog
from mngen.errors import InputError
from mngen.rehearsal import (
    Bind,
    Fault,
    FaultKind,
    NetworkNamespaces,
    Rehearsal,
    rehearsal_of,
    rehearse,
)
from mngen.rehearsal._plan import absent_files, absent_on_lustre, nodes_request
from mngen.rehearsal._request import MemoryFiles, address_of, environment_of
from mngen.rules import require
from mngen.spec import load_text

if TYPE_CHECKING:
    from pathlib import Path

    from mngen.cluster import Cluster

TUTORIAL = (_resources.examples() / "tutorial.yaml").read_text("utf-8")


def cluster_of(text: str = TUTORIAL) -> Cluster:
    return require(load_text(text.encode()), load_catalog())


def with_jobs(jobs: str) -> Cluster:
    return cluster_of(TUTORIAL.partition("\njobs:")[0] + "\njobs:\n" + jobs)


def test_the_only_job_is_rehearsed_with_its_numbers() -> None:
    planned = rehearsal_of(cluster_of())

    assert planned.name == "mpi-example"
    assert planned.command == ("python3", "/efs/mpi_example.py")
    assert (planned.nodes, planned.ranks_per_node) == (2, 1)
    assert (planned.real_nodes, planned.real_ranks_per_node) == (2, 24)
    assert planned.environment["OMP_NUM_THREADS"] == "1"
    assert (planned.mount, planned.timeout) == ("/efs", 3600.0)
    assert planned.image == "localhost/tutorial/aws_multi_node_batch:v1.1"


def test_a_folder_stands_for_lustre(tmp_path: Path) -> None:
    planned = rehearsal_of(cluster_of(TUTORIAL.replace("  efs:", "  fsx: {mount: /fast}\n  efs:")))
    assert planned.lustre_mount == "/fast"
    assert nodes_request(planned, tmp_path, in_image=True).binds == (
        Bind(tmp_path, "/efs"),
        Bind(None, "/fast"),
    )
    given = nodes_request(planned, tmp_path, in_image=True, lustre=tmp_path / "x")
    assert Bind(tmp_path / "x", "/fast") in given.binds
    words = replace(planned, command=("solve", "/fast/wing", "/fast/there", "/efs/x"))
    (tmp_path / "there").touch()
    assert absent_on_lustre(words, tmp_path) == ["/fast/wing"]
    assert absent_on_lustre(words, None) == ["/fast/wing", "/fast/there"]
    assert absent_on_lustre(rehearsal_of(cluster_of()), None) == []
    with pytest.raises(InputError, match="the spec has no `storage"):
        rehearse(
            rehearsal_of(cluster_of()),
            NetworkNamespaces(),
            on_line=lambda _: None,
            lustre=tmp_path,
        )


def test_a_job_is_no_larger_than_this_machine_takes_by_default() -> None:
    jobs = "  large: {queue: MultiNodeQueue_R5_MAX_48, nodes: 16, command: [x]}\n"
    planned = rehearsal_of(with_jobs(jobs.replace("nodes: 16", "nodes: 12")))
    assert planned.nodes == 12
    two = with_jobs(jobs.replace("command", "threads_per_rank: 4, command"))
    assert rehearsal_of(two).real_ranks_per_node == 12
    fixed = with_jobs(jobs.replace("command", "ranks_per_node: 3, command"))
    assert rehearsal_of(fixed).real_ranks_per_node == 3
    huge = cluster_of(
        TUTORIAL.replace("nodes: 2", "nodes: 100").replace("_nodes: 16", "_nodes: 100")
    )
    planned = rehearsal_of(huge)
    assert (planned.nodes, planned.real_nodes) == (16, 100)


def test_a_job_on_a_single_node_is_one_node() -> None:
    jobs = "  single: {queue: M4_SPOT_MAXCPU_8, command: [x], image: docker.io/me/app:1}\n"
    planned = rehearsal_of(with_jobs(jobs))
    assert (planned.nodes, planned.image) == (1, "docker.io/me/app:1")


def test_a_job_on_a_part_of_an_instance_has_a_rank_for_each_core_of_it() -> None:
    jobs = "  part: {queue: M4_SPOT_MAXCPU_8, vcpus: 4, launcher: LAUNCHER, command: [x]}\n"
    planned = rehearsal_of(with_jobs(jobs.replace("LAUNCHER", "mpich")))
    assert planned.environment["MNGEN_RANKS_PER_NODE"] == "4"
    assert planned.real_ranks_per_node == 4
    unset = rehearsal_of(with_jobs(jobs.replace("LAUNCHER", "none")))
    assert "MNGEN_RANKS_PER_NODE" not in unset.environment


def test_a_job_that_is_not_there_is_refused_with_the_nearest() -> None:
    two = (
        "  one: {queue: MultiNodeQueue_R5_MAX_24, nodes: 2, command: [x]}\n"
        "  other: {queue: MultiNodeQueue_R5_MAX_24, nodes: 2, command: [x]}\n"
    )
    with pytest.raises(InputError) as unknown:
        rehearsal_of(with_jobs(two), "othr")
    (problem,) = unknown.value.problems
    assert problem.message == "the spec has no job `othr`"
    assert problem.hint == "did you mean `other`?"
    with pytest.raises(InputError) as far:
        rehearsal_of(with_jobs(two), "zzz")
    assert far.value.problems[0].hint == "the jobs of the spec: one, other"
    with pytest.raises(InputError) as which:
        rehearsal_of(with_jobs(two))
    assert str(which.value) == "the spec has several jobs: one, other"
    assert rehearsal_of(with_jobs(two), "one").name == "one"


def test_nodes_get_what_the_job_says_and_what_this_machine_needs(tmp_path: Path) -> None:
    planned = Rehearsal(
        name="try",
        command=("app", "--fast"),
        nodes=4,
        environment={
            "MNGEN_CPUS": "24",
            "MNGEN_RANKS_PER_NODE": "24",
            "MNGEN_CPUS_CHECK": "fail",
            "MNGEN_OUTPUTS": "/data/efs/runs",
            "MNGEN_OUTPUTS_TO": "s3://bucket/outputs/",
            "OMPI_MCA_mpi_yield_when_idle": "0",
            "MINE": "1",
        },
        ranks_per_node=2,
        mount="/data/efs",
        faults=(
            Fault(FaultKind.MISSING, 3),
            Fault(FaultKind.SLOW, 2, 1.5),
            Fault(FaultKind.KILL, 1, 5.0),
        ),
    )
    request = nodes_request(planned, tmp_path, in_image=False)

    assert request.command == ("python3", "/opt/mngen/wireup.py", "app", "--fast")
    launcher, package = (
        Bind(_resources.container() / name, f"/opt/mngen/{name}", read_only=True)
        for name in ("wireup.py", "mngen_wireup")
    )
    assert request.binds == (Bind(tmp_path, "/data/efs"), launcher, package)
    assert (request.count, request.missing, request.late) == (4, {3}, {2: 1.5})
    assert request.init
    environment = environment_of(request, 1)
    assert len(environment.pop("MNGEN_SECRET")) == 64
    assert environment == {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "HOSTNAME": "node1",
        "MINE": "1",
        "MNGEN_CPUS": "24",
        "MNGEN_CPUS_CHECK": "off",
        # Nothing is uploaded.
        "MNGEN_OUTPUTS": "/data/efs/runs",
        "MNGEN_RANKS_PER_NODE": "2",
        "MNGEN_SHARED": "/data/efs",
        "OMPI_MCA_mpi_yield_when_idle": "0",
        "OMPI_MCA_hwloc_base_binding_policy": "none",
        "AWS_BATCH_JOB_ID": request.job,
        "AWS_BATCH_JOB_ATTEMPT": "1",
        "AWS_BATCH_JOB_NODE_INDEX": "1",
        "AWS_BATCH_JOB_NUM_NODES": "4",
        "AWS_BATCH_JOB_MAIN_NODE_INDEX": "0",
        "AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS": address_of(0),
    }


def test_every_rehearsal_has_a_secret_of_its_own(tmp_path: Path) -> None:
    planned = Rehearsal(name="try", command=("app",))
    secrets = {
        nodes_request(planned, tmp_path, in_image=True).environment["MNGEN_SECRET"]
        for _ in range(3)
    }
    assert len(secrets) == 3


def test_in_an_image_the_wire_up_is_the_entrypoint(tmp_path: Path) -> None:
    planned = Rehearsal(name="try", command=("app",))
    request = nodes_request(planned, tmp_path, in_image=True)
    assert request.command == ("app",)
    assert request.binds == (Bind(tmp_path, "/efs"),)
    assert not request.init


def test_each_node_has_a_separate_scratch_space(tmp_path: Path) -> None:
    disks = TUTORIAL.replace("r5.24xlarge", "r5d.24xlarge").replace(
        "instance: r5d.24xlarge", "scratch: /scratch\n    instance: r5d.24xlarge"
    )
    planned = rehearsal_of(cluster_of(disks))
    assert planned.scratch == planned.environment["MNGEN_SCRATCH"] == "/scratch"
    request = nodes_request(planned, tmp_path, in_image=True)
    assert request.binds == (Bind(tmp_path, "/efs"),)
    # A node's own is mounted so that programs in it run, unlike a tmpfs of Docker by default.
    assert request.files == (MemoryFiles("/scratch", ("mode=1777", "exec")),)
    assert rehearsal_of(cluster_of()).scratch is None


def test_by_default_the_shared_folder_has_the_example_alone() -> None:
    planned = Rehearsal(name="try", command=("python3", "/efs/mpi_example.py", "/efs/absent.py"))
    request = nodes_request(planned, None, in_image=True)
    example = _resources.container() / "mpi_example.py"
    assert request.binds == (
        Bind(None, "/efs"),
        Bind(example, "/efs/mpi_example.py", read_only=True),
    )
    assert absent_files(planned, None) == ["/efs/absent.py"]


def test_files_that_the_shared_folder_lacks_are_found(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there/app.py").touch()
    command = ("python3", "/efs/there/app.py", "/efs/absent.py", "/efsother", "efs/absent", "/efs")
    planned = Rehearsal(name="try", command=command)
    assert absent_files(planned, tmp_path) == ["/efs/absent.py"]


def test_a_variable_without_a_value_is_left_out_as_by_batch(tmp_path: Path) -> None:
    planned = Rehearsal(
        name="any",
        command=("app",),
        environment={"OMPI_MCA_hwloc_base_binding_policy": "", "EMPTY": ""},
        ranks_per_node=None,
        cpus={1: "0,2"},
        unshared={1},
    )
    request = nodes_request(planned, tmp_path, in_image=False)
    names = set(environment_of(request, 0))
    assert "OMPI_MCA_mpi_yield_when_idle" in names
    assert not names & {"OMPI_MCA_hwloc_base_binding_policy", "EMPTY", "MNGEN_RANKS_PER_NODE"}
    assert request.node_commands == {1: ("taskset", "--cpu-list", "0,2", *request.command)}
    assert request.unshared == {1}


IN_CONTAINER = """\
  wave:
    queue: MultiNodeQueue_R5_MAX_48
    nodes: 2
    command: [wave]
    user: "{user}"
    secrets: {{TOKEN: /lab/token}}
    ulimits: {{stack: -1, nofile: {{soft: 1024, hard: 4096}}}}
    tmpfs: [{{path: /work, size: 64, options: [exec]}}]
    mounts:
      - {{host: /opt/licences, path: /licences, read_only: true}}
      - {{host: /opt/data, path: /data}}
"""


def test_a_job_has_its_limits_files_and_user(tmp_path: Path) -> None:
    planned = rehearsal_of(with_jobs(IN_CONTAINER.format(user="root")))
    assert planned.limits == {"nofile": (1024, 4096), "stack": (-1, -1)}
    assert planned.secrets == ("TOKEN",)
    planned = replace(planned, folders={"/opt/data": tmp_path})
    request = nodes_request(planned, None, in_image=False)
    assert (request.user, request.container_user) == ((0, 0), None)
    assert request.files == (
        MemoryFiles("/work", ("size=64m", "exec")),
        # Nothing of this machine stands for it.
        MemoryFiles("/licences", ("mode=1777", "exec", "ro")),
    )
    assert Bind(tmp_path, "/data") in request.binds
    inside = nodes_request(planned, None, in_image=True)
    assert (inside.user, inside.container_user) == (None, "root")
    assert inside.limits == request.limits


def test_numbers_need_no_user_of_this_machine() -> None:
    planned = rehearsal_of(with_jobs(IN_CONTAINER.format(user="54321")))
    assert nodes_request(planned, None, in_image=False).user == (54321, 0)
    planned = rehearsal_of(with_jobs(IN_CONTAINER.format(user="54321:42")))
    assert nodes_request(planned, None, in_image=False).user == (54321, 42)


@pytest.mark.parametrize("user", ["nobody-here", "root:nogroup-here"])
def test_a_user_whom_this_machine_does_not_have(user: str) -> None:
    planned = rehearsal_of(with_jobs(IN_CONTAINER.format(user=user)))
    with pytest.raises(InputError, match="this machine has no") as raised:
        nodes_request(planned, None, in_image=False)
    assert "--engine docker" in str(raised.value.problems[0].hint)
    assert nodes_request(planned, None, in_image=True).container_user == user


GROUPS = """\
  coupled:
    queue: MultiNodeQueue_R5_MAX_48
    nodes: 24
    command: [atmosphere, /efs/absent]
    environment: {STEP: "60", SEED: "1"}
    groups:
      ocean:
        nodes: "20:"
        command: [ocean]
        image: "a/ocean:1"
        environment: {STEP: "600", SEED: "", DEPTH: ""}
      coupler: {nodes: "0:0", command: [/efs/coupler], ranks_per_node: 2}
      atmosphere: {nodes: "1:19"}
"""


def grouped() -> Rehearsal:
    text = TUTORIAL.partition("\njobs:")[0].replace("max_nodes: 16", "max_nodes: 24")
    return rehearsal_of(cluster_of(f"{text}\njobs:\n{GROUPS}"))


def test_each_node_group_has_its_command_its_variables_and_its_image(tmp_path: Path) -> None:
    planned = grouped()
    # All groups have a node, though there are more than are started by default.
    assert (planned.nodes, planned.real_nodes) == (21, 24)
    request = nodes_request(planned, tmp_path, in_image=True)
    assert [request.node_commands[index] for index in (0, 1, 19, 20)] == [
        ("/efs/coupler",),
        ("atmosphere", "/efs/absent"),
        ("atmosphere", "/efs/absent"),
        ("ocean",),
    ]
    assert request.node_images == {20: "a/ocean:1"}
    variables = [environment_of(request, index) for index in (0, 1, 20)]
    assert [each["MNGEN_GROUP"] for each in variables] == ["coupler", "atmosphere", "ocean"]
    assert [each["STEP"] for each in variables] == ["60", "60", "600"]
    # Batch leaves out what has no value.
    assert [each.get("SEED") for each in variables] == ["1", "1", None]
    assert not any("DEPTH" in each for each in variables)
    # One rank a node, as with every rehearsal.
    assert {each["MNGEN_RANKS_PER_NODE"] for each in variables} == {"1"}
    here = nodes_request(planned, tmp_path, in_image=False)
    assert here.node_commands[20] == ("python3", "/opt/mngen/wireup.py", "ocean")
    assert absent_files(planned, tmp_path) == ["/efs/coupler", "/efs/absent"]


def test_no_node_group_is_left_out(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="`ocean` of `coupled` starts at node 20, and 20 nodes"):
        nodes_request(replace(grouped(), nodes=20), tmp_path, in_image=True)
