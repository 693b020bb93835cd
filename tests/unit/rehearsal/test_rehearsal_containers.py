"""Nodes as containers: the command lines for the engine, and what is made of its answers.

No engine can run where these tests run; a script that writes down how it was called stands in.
"""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import pytest

from mngen.errors import ToolError
from mngen.rehearsal import Bind, ContainerEngine, Line, MemoryFiles, NodesRequest
from mngen.rehearsal._containers import Group

GROUP = Group("docker", "localhost/seismic/mpi:v1", "mngen-0a1b2c3d", 300)
REQUEST = NodesRequest(
    command=("python3", "/efs/my app.py"),
    count=3,
    job="0f2c",
    environment={"MNGEN_SECRET": "s3cret", "MINE": "a=b"},
    binds=(Bind(Path("/data/shared"), "/efs"), Bind(Path("/data/ro"), "/ro", read_only=True)),
    files=(MemoryFiles("/scratch", ("mode=1777", "exec")),),
)


def test_a_network_is_made_and_removed() -> None:
    assert GROUP.make_network() == [
        *("docker", "network", "create", "--subnet", "198.19.44.0/24", "mngen-0a1b2c3d"),
    ]
    assert GROUP.remove_network() == ["docker", "network", "rm", "mngen-0a1b2c3d"]


def test_a_node_is_run_with_the_names_of_its_variables() -> None:
    names = [
        *("AWS_BATCH_JOB_ATTEMPT", "AWS_BATCH_JOB_ID", "AWS_BATCH_JOB_MAIN_NODE_INDEX"),
        *("AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS", "AWS_BATCH_JOB_NODE_INDEX"),
        *("AWS_BATCH_JOB_NUM_NODES", "MINE", "MNGEN_SECRET"),
    ]
    assert GROUP.run(REQUEST, 2) == [
        *("docker", "run", "--rm", "--name", "mngen-0a1b2c3d-2", "--label", "mngen"),
        *("--network", "mngen-0a1b2c3d", "--ip", "198.19.44.12", "--hostname", "node2"),
        *(word for name in names for word in ("--env", name)),
        *("--mount", "type=bind,source=/data/shared,target=/efs"),
        *("--mount", "type=bind,source=/data/ro,target=/ro,readonly"),
        *("--tmpfs", "/scratch:mode=1777,exec"),
        *("localhost/seismic/mpi:v1", "python3", "/efs/my app.py"),
    ]
    variables = GROUP.variables(REQUEST, 2)
    assert sorted(variables) == names
    assert variables["MINE"] == "a=b"
    assert variables["AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS"] == "198.19.44.10"
    assert "PATH" not in variables


def test_limits_files_and_user_are_those_of_the_job() -> None:
    """In the words of `docker run`: https://docs.docker.com/reference/cli/docker/container/run/."""
    request = replace(
        REQUEST,
        binds=(),
        container_user="1000:1000",
        limits={"stack": (-1, -1), "nofile": (1024, 65536)},
        files=(MemoryFiles("/work", ("size=64m", "noexec")), MemoryFiles("/data", ("ro",))),
    )
    words = GROUP.run(request, 0)
    assert words[words.index("--user") : words.index(GROUP.image)] == [
        *("--user", "1000:1000", "--ulimit", "nofile=1024:65536", "--ulimit", "stack=-1:-1"),
        *("--tmpfs", "/work:size=64m,noexec", "--tmpfs", "/data:ro"),
    ]


def test_harm_is_done_by_the_engine() -> None:
    node = "mngen-0a1b2c3d-1"
    assert GROUP.kill(1, signal.SIGKILL) == ["docker", "kill", "--signal", "SIGKILL", node]
    assert GROUP.kill(1, signal.SIGTERM) == ["docker", "kill", "--signal", "SIGTERM", node]
    assert GROUP.cut(1) == [
        *("docker", "network", "disconnect", "--force", "mngen-0a1b2c3d", node),
    ]
    assert GROUP.freeze(1) == ["docker", "pause", node]
    assert GROUP.remove(1) == ["docker", "rm", "--force", node]


@pytest.mark.parametrize("subnet", [0, 255, 256, 511])
def test_networks_stay_in_the_range_for_benchmarks(subnet: int) -> None:
    first, second, *_ = Group("podman", "i", "n", subnet).address(0).split(".")
    assert (first, second) in {("198", "18"), ("198", "19")}


ENGINE = """#!/bin/sh
echo "$@" >> "$0.calls"
case "$1 $2" in
  "run --rm")
    echo "secret $MNGEN_SECRET, node $AWS_BATCH_JOB_NODE_INDEX"
    case "$4" in
      *-1) touch "$0.up"; while ! [ -e "$0.over" ]; do sleep 0.05; done; exit 137 ;;
      *) exit 7 ;;
    esac ;;
  "kill --signal") touch "$0.over" ;;
  "rm --force") touch "$0.over" ;;
  "network create") [ -z "$REFUSE" ] || { echo "Pool overlaps" >&2; exit 1; } ;;
esac
"""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "podman"
    program.write_text(ENGINE)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return program


def calls(engine: Path) -> list[str]:
    written = Path(f"{engine}.calls").read_text(encoding="utf-8").splitlines()
    return [" ".join(line.split()[:2]) for line in written]


def test_containers_run_to_their_end(engine: Path) -> None:
    lines: list[Line] = []
    request = NodesRequest(
        command=("app",), count=2, environment={"MNGEN_SECRET": "s3cret"}, late={0: 0.1}
    )
    with ContainerEngine("podman", "image:1").start(request, lines.append) as nodes:
        while not Path(f"{engine}.up").exists():
            assert not nodes.wait(0.05)
        nodes.kill(1)
        assert nodes.wait(30)

    assert nodes.exit_codes == {0: 7, 1: 137}
    assert sorted(line.text for line in lines) == ["secret s3cret, node 0", "secret s3cret, node 1"]
    assert "s3cret" not in Path(f"{engine}.calls").read_text(encoding="utf-8")
    made, *between, removed = calls(engine)
    assert (made, removed) == ("network create", "network rm")
    assert sorted(between) == ["kill --signal", "run --rm", "run --rm"]


def test_containers_are_removed_when_the_block_is_left_early(engine: Path) -> None:
    request = NodesRequest(command=("app",), count=2, late={0: 1000.0})
    with ContainerEngine("podman", "image:1").start(request, lambda _: None) as nodes:
        while not Path(f"{engine}.up").exists():
            assert not nodes.wait(0.05)

    assert calls(engine)[-1] == "network rm"
    assert "rm --force" in calls(engine)
    assert 0 not in nodes.exit_codes


def test_what_the_engine_refuses_is_said(engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFUSE", "1")
    podman = ContainerEngine("podman", "image:1")
    with (
        pytest.raises(ToolError, match="`podman network create` failed: Pool overlaps"),
        podman.start(NodesRequest(command=("app",), count=2), lambda _: None),
    ):
        pass


def test_a_missing_engine_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    docker = ContainerEngine("docker", "image:1")
    with (
        pytest.raises(ToolError) as caught,
        docker.start(NodesRequest(command=("app",), count=2), lambda _: None),
    ):
        pass
    (problem,) = caught.value.problems
    assert problem.message == "docker is not on PATH"
    assert problem.hint == "install docker, or run as root: --engine netns needs none"


def test_one_that_does_not_answer_is_to_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "docker"
    program.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    docker = ContainerEngine("docker", "image:1")
    with (
        pytest.raises(ToolError, match="docker is installed, but its daemon does not") as caught,
        docker.start(NodesRequest(command=("app",), count=2), lambda _: None),
    ):
        pass
    (problem,) = caught.value.problems
    assert problem.hint == "start docker, or run as root: --engine netns needs none"
