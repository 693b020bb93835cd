"""`mngen rehearse` with the real wire-up, sshd and mpirun: the tutorial's job, and every fault."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pexpect
import pytest

from mngen import _resources
from mngen.catalog import load_catalog
from mngen.errors import ToolError
from mngen.parts import PARTS, Family, this_system
from mngen.rehearsal import NetworkNamespaces, rehearsal_of, unavailable
from mngen.rehearsal import rehearse as run_rehearsal
from mngen.rules import require
from mngen.spec import load
from tests.support.cli import CHECKOUT, DEAF, mngen
from tests.support.hidden import hiding
from tests.support.needs import skip_without
from tests.support.processes import as_nobody, mentioned

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Many times what it takes: the machine may be busy with other tests.
SOON = 120.0
REHEARSE = ("rehearse", "--nodes", "2")
# Nodes beat faster than on AWS, so that a lost one is noticed sooner, but not so fast that a busy
# machine looks like one; and none is waited for as long as there.
PACE = ("--env", "MNGEN_HEARTBEAT=3", "--env", "MNGEN_WAIT=60")


@pytest.fixture(autouse=True)
def nodes_can_run_mpi() -> None:
    skip_without("demo-rehearse")
    reason = unavailable()
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(_resources.examples() / "tutorial.yaml", tmp_path / "mngen.yaml")
    return tmp_path


def rehearse(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return mngen("rehearse", *arguments, cwd=folder, timeout=SOON)


def is_running(mark: str) -> bool:
    return bool(mentioned(f"sleep\0{mark}"))


def wait_until_gone(mark: str) -> None:
    deadline = time.monotonic() + SOON
    while is_running(mark):
        assert time.monotonic() < deadline, "processes of the rehearsal are left"
        time.sleep(0.1)


def verdict(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout.splitlines()[-1]


def test_the_tutorials_job_runs_as_it_is(folder: Path) -> None:
    done = rehearse(folder, "mpi-example", "--svg", "timeline.svg")

    assert done.returncode == 0, done.stdout + done.stderr
    for rank in range(2):
        assert f"[0] rank {rank} of 2 runs on node{rank}\n" in done.stdout
    assert "[0] the sum over all ranks is 3, as it should be\n" in done.stdout
    assert re.search(r"^\[1\] mngen\[1\] \+\d+\.\d\ds end: exit 0", done.stdout, re.MULTILINE)
    assert re.search(r"^\[0\] main │.*█.*│ exit 0$", done.stdout, re.MULTILINE)
    assert verdict(done).startswith("the job succeeded: exit code 0 (rendezvous ")
    assert "\x1b" not in done.stdout
    assert (
        "mngen: rehearsing mpi-example with network namespaces: 2 nodes, 1 rank each "
        "(on AWS: 2 nodes, 24 ranks each)\n"
    ) in done.stderr
    picture = ET.parse(folder / "timeline.svg").getroot()
    told = [each.text or "" for each in picture.iter("{http://www.w3.org/2000/svg}title")]
    assert any(each.startswith("node 1, run: ") for each in told)
    assert sorted(each.name for each in folder.iterdir()) == ["mngen.yaml", "timeline.svg"]


def test_node_groups_run_their_own_commands(folder: Path) -> None:
    spec = folder / "mngen.yaml"
    groups = """\
  coupled:
    queue: MultiNodeQueue_R5_MAX_48
    nodes: 3
    command: [sh, -c, 'echo "$MNGEN_GROUP: ${STEP:-none} of $OMPI_COMM_WORLD_SIZE on $(hostname)"']
    groups:
      ocean: {nodes: "1:", environment: {STEP: "600"}}
      coupler: {nodes: "0:0", command: [sh, -c, 'echo "couples as $OMPI_COMM_WORLD_RANK"']}
"""
    spec.write_text(f"{spec.read_text(encoding='utf-8')}\n{groups}", encoding="utf-8")
    done = rehearse(folder, "coupled", *PACE)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "[0] couples as 0\n" in done.stdout
    for node in (1, 2):
        assert f"[0] ocean: 600 of 3 on node{node}\n" in done.stdout
    refused = rehearse(folder, "coupled", "--", "hostname")
    assert refused.returncode == 1
    assert "a command would replace that of every node group of `coupled`" in refused.stderr
    refused = rehearse(folder, "coupled", "--nodes", "1")
    assert "the node group `ocean` of `coupled` starts at node 1" in refused.stderr


def test_more_nodes_and_ranks_and_a_result_as_data(folder: Path) -> None:
    done = rehearse(folder, "--nodes", "4", "--ranks-per-node", "2", "--format", "json")

    assert done.returncode == 0, done.stderr
    assert "[0] the sum over all ranks is 36, as it should be\n" in done.stderr
    result = json.loads(done.stdout)
    assert result.pop("seconds") > 0
    assert sorted(result.pop("phases")) == ["rendezvous", "run", "ssh", "teardown"]
    assert result == {
        "job": "mpi-example",
        "nodes": 4,
        "ranks_per_node": 2,
        "succeeded": True,
        "exit_code": 0,
        "exit_codes": {"0": 0, "1": 0, "2": 0, "3": 0},
        "stopped": None,
        "reason": None,
        "svg": None,
    }


def test_a_command_alone_needs_no_spec_and_its_exit_code_is_shown(tmp_path: Path) -> None:
    shared = tmp_path / "data"
    shared.mkdir()
    script = "echo $MNGEN_SHARED > /efs/made-by-$OMPI_COMM_WORLD_RANK; exit 7"
    done = rehearse(tmp_path, "--shared", "data", "--", "sh", "-c", script)

    assert done.returncode == 1
    assert verdict(done).startswith("the job failed: exit code 7")
    # mpirun ends the other rank as soon as one has failed.
    made = {each.name: each.read_text() for each in shared.iterdir()}
    assert made
    assert set(made) <= {"made-by-0", "made-by-1"}
    assert set(made.values()) == {"/efs\n"}


def test_a_file_that_the_shared_folder_lacks_is_told_of(folder: Path) -> None:
    (folder / "data").mkdir()
    done = rehearse(folder, "--nodes", "1", "--shared", "data")

    assert done.returncode == 1
    assert "mngen: warning: /efs/mpi_example.py is not in data\n" in done.stderr


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        (["--kill", "2@running"], 67, r"node 2 \(10\.0\.0\.12\) closed its connection"),
        (["--cut", "1@running"], 67, r"node 1 \(10\.0\.0\.11\) sent no heartbeat for \d+ s"),
        (["--freeze", "1@running"], 67, r"node 1 \(10\.0\.0\.11\) sent no heartbeat for \d+ s"),
        (
            ["--missing", "1"],
            66,
            r"nodes? 1.* of 3 did not connect within 8 s",
        ),
    ],
    ids=["kill", "cut", "freeze", "missing"],
)
def test_a_fault_ends_the_job_on_every_node_and_is_named(
    folder: Path, fault: list[str], code: int, words: str
) -> None:
    pace = [*PACE, "--env", "MNGEN_WAIT=8"] if code == 66 else PACE
    done = rehearse(folder, "--nodes", "3", *fault, *pace, "--format", "json", "--", "sleep", "300")

    assert done.returncode == 1
    result = json.loads(done.stdout)
    assert result["exit_code"] == code
    assert re.search(words, result["reason"])
    harmed = {"--kill": "2", "--cut": None, "--freeze": "1", "--missing": "1"}[fault[0]]
    others = {index: code for index, code in result["exit_codes"].items() if index != harmed}
    assert set(others.values()) == {code}
    assert result["exit_codes"].get(harmed or "", None) == (
        None if harmed is None or fault[0] == "--missing" else 137
    )


def test_a_killed_main_node_ends_the_job(folder: Path) -> None:
    done = rehearse(folder, "--nodes", "3", "--kill", "0@running", *PACE, "--", "sleep", "300")

    assert done.returncode == 1
    assert "mngen: node 0 is killed at `running`\n" in done.stderr
    assert re.search(
        r"^\[0\] main │.*✗.*│ killed at \d+\.\d s, exit 137$", done.stdout, re.MULTILINE
    )
    assert re.search(r"^\[2\] +│.*│ exit 67$", done.stdout, re.MULTILINE)
    assert verdict(done) == "the job failed: exit code 137"


def test_a_slow_node_is_waited_for(folder: Path) -> None:
    done = rehearse(folder, "--slow", "1@3s", "--format", "json")

    assert done.returncode == 0, done.stderr
    assert "mngen: node 1 starts 3 s late\n" in done.stderr
    assert json.loads(done.stdout)["phases"]["rendezvous"] > 1


def test_a_job_that_takes_too_long_is_ended_as_by_batch(folder: Path) -> None:
    done = rehearse(folder, "--timeout", "3", "--", "sleep", "300")

    assert done.returncode == 1
    assert "mngen: timeout after 3 s: SIGTERM to every node\n" in done.stderr
    assert verdict(done).startswith("the job timed out: exit code 143, cancelled by SIGTERM")


@pytest.fixture
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture
def started(
    folder: Path, temporary: Path, request: pytest.FixtureRequest
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A rehearsal whose ranks have started, and the number of seconds that they sleep.

    A parameter is how it is started.
    """
    mark = f"86405.{os.getpid()}{time.monotonic_ns() % 10**6}"
    process = subprocess.Popen(
        [*getattr(request, "param", ()), *CHECKOUT, *REHEARSE, "--", "sleep", mark],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        try:
            assert process.stdout
            assert any("ranks have started on all 2 nodes" in line for line in process.stdout)
            assert is_running(mark)
            yield process, mark
        finally:
            process.kill()


@pytest.mark.usefixtures("hang_ups")
@pytest.mark.parametrize(
    ("started", "number"),
    [((), signal.SIGINT), ((), signal.SIGTERM), ((), signal.SIGHUP), (DEAF, signal.SIGTERM)],
    ids=["SIGINT", "SIGTERM", "SIGHUP", "deaf"],
    indirect=["started"],
)
def test_an_interruption_cancels_the_job_and_says_so(
    started: tuple[subprocess.Popen[str], str], number: signal.Signals
) -> None:
    process, mark = started
    process.send_signal(number)
    output, _ = process.communicate(timeout=SOON)

    assert process.returncode == 130
    assert "mngen: cancelled, as by AWS Batch: SIGTERM to every node" in output
    assert re.search(r"^\[1\] mngen\[1\] \S+ end: exit 143", output, re.MULTILINE)
    assert output.splitlines()[-1].startswith("the job was cancelled: exit code 143")
    assert not is_running(mark)


def test_nothing_is_left_when_mngen_is_killed(
    started: tuple[subprocess.Popen[str], str], tmp_path: Path, temporary: Path
) -> None:
    process, mark = started
    process.kill()
    process.wait(SOON)
    wait_until_gone(mark)
    assert [each.name for each in tmp_path.iterdir()] == ["mngen.yaml"]
    assert list(temporary.iterdir()) == []


def test_a_reader_that_goes_away_ends_the_job(
    started: tuple[subprocess.Popen[str], str],
) -> None:
    process, mark = started
    assert process.stdout
    process.stdout.close()
    process.send_signal(signal.SIGINT)
    process.wait(SOON)
    assert not is_running(mark)


@pytest.mark.parametrize("no_colour", ["", "1"])
def test_each_node_has_a_colour_on_a_terminal(folder: Path, no_colour: str) -> None:
    child = pexpect.spawn(
        CHECKOUT[0],
        ["rehearse", "--", "true"],
        cwd=str(folder),
        env={**os.environ, "NO_COLOR": no_colour, "TERM": "xterm"},
        dimensions=(24, 100),
        encoding="utf-8",
        timeout=SOON,
    )
    screen = child.read()
    child.close()

    assert child.exitstatus == 0
    first, second = "\x1b[36m[0]\x1b[0m mngen[0]", "\x1b[33m[1]\x1b[0m mngen[1]"
    if no_colour:
        assert "\x1b[36m" not in screen
        assert "[0] mngen[0]" in screen
    else:
        assert first in screen
        assert second in screen


def test_without_root_it_says_what_to_do(folder: Path) -> None:
    # Nobody may not be able to read the modules that are imported on the way.
    planned = rehearsal_of(require(load(folder / "mngen.yaml"), load_catalog()))

    def explained() -> str:
        try:
            outcome = run_rehearsal(planned, NetworkNamespaces(), on_line=print)
            return repr(outcome)
        except ToolError as error:
            return f"{error.problems[0].message}; {error.problems[0].hint}"

    assert as_nobody(explained) == repr(
        "cannot rehearse this job; missing: root (this user is not root); root: run as root, with "
        "sudo; or rehearse with --engine docker or podman"
    )


@pytest.mark.parametrize(
    ("part", "launcher", "package"),
    [
        ("mpirun", "openmpi", "openmpi-bin"),
        ("sshd", "openmpi", "openssh-server"),
        ("sshd", "mpich", "openssh-server"),
        ("sshd", "main", "openssh-server"),
        ("mpi4py", "openmpi", "python3-mpi4py"),
        ("ip", "none", "iproute2"),
    ],
)
def test_what_the_launcher_lacks_is_said_before_any_node_starts(
    folder: Path, part: str, launcher: str, package: str
) -> None:
    command = hiding([part], *CHECKOUT, "rehearse", "--env", f"MNGEN_LAUNCHER={launcher}")
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=SOON, check=False
    )
    assert (done.returncode, done.stdout) == (3, "")
    problem = done.stderr[done.stderr.index("error: ") :]
    assert problem.startswith(f"error: cannot rehearse this job; missing: {PARTS[part].title}")
    if this_system().family is Family.DEBIAN:
        assert f"apt-get install --yes --no-install-recommends {package};" in problem


def test_a_job_without_a_launcher_needs_no_mpi(folder: Path) -> None:
    options = ("--env", "MNGEN_LAUNCHER=none", *PACE)
    command = hiding(["mpirun", "sshd"], *CHECKOUT, "rehearse", *options, "--", "hostname")
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=SOON, check=False
    )
    assert done.returncode == 0, done.stderr
    assert {"[0] node0", "[1] node1"} <= set(done.stdout.splitlines())


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--kill", "2"], 2, "--kill: invalid fault `2`: expected NODE@TIME, such as 2@5s"),
        (["--kill", "9@5s"], 2, "--kill: no node 9 in a job of 2 nodes: indexes start at 0"),
        (
            ["--missing", "0", "--missing", "1"],
            2,
            "--missing: no node to rehearse: all of them are missing",
        ),
        (["--missing", "1", "--cut", "1@3s"], 2, "--cut: node 1 is missing: it cannot be cut off"),
        (["--env", "MINE"], 2, '--env: "MINE": use NAME=VALUE'),
        (["--engine", "podman", "--", "true"], 2, "--image: required for a command without a job"),
        (["--svg", "absent/t.svg"], 1, "cannot write absent/t.svg: folder absent does not exist"),
        (["--shared", "absent"], 1, "no such folder: absent"),
        (["mpi-exampel"], 1, "the spec has no job `mpi-exampel`"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_starts(
    folder: Path, arguments: list[str], code: int, words: str
) -> None:
    done = rehearse(folder, *arguments)
    assert done.returncode == code
    assert words in done.stderr
    assert done.stdout == ""
