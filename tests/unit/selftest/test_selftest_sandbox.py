"""Submitted to an emulated Batch: the question, the job, its log, the exit codes, the end of it.

The emulated jobs run nothing. What nodes would write is written for them, line by line as the
program writes it; that a real run writes such lines is tested end to end.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec
import pytest

from mngen.errors import ToolError
from mngen.jobs import Jobs
from mngen.selftest import OnAws, Wish, choose
from tests.support.batch import Deployed, spec_text
from tests.support.cli import CHECKOUT, mngen
from tests.support.logs import logged
from tests.support.selftest import CMDLINE, common_lines, node_lines, write_cpus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mngen.sandbox import Sandbox

SOON = 180.0


@pytest.fixture(scope="module")
def deployed(sandbox: Sandbox) -> Deployed:
    return Deployed(sandbox, spec_text(f"s{uuid4().hex[:10]}"))


@pytest.fixture
def folder(tmp_path: Path, deployed: Deployed) -> Path:
    (tmp_path / "mngen.yaml").write_text(spec_text(deployed.name), encoding="utf-8")
    return tmp_path


@pytest.fixture
def state_home(tmp_path: Path, deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let this process see the sandbox, with a record of submissions of its own."""
    for name, value in deployed.sandbox.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def held(deployed: Deployed) -> Iterator[None]:
    """Jobs run until they are told to end."""
    deployed.control(run_seconds=3600)
    yield
    deployed.control(run_seconds=1)


class Running:
    """A self-test that is under way."""

    def __init__(self, deployed: Deployed, folder: Path, *arguments: str) -> None:
        environment: Any = {**deployed.sandbox.environment(), "XDG_STATE_HOME": str(folder / "s")}
        self.deployed = deployed
        self.process = subprocess.Popen(
            # A shell that starts tests in the background has them ignore SIGINT.
            ["env", "--default-signal=INT,HUP", *CHECKOUT, "selftest", "--yes", *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said = ""
        assert self.process.stderr
        for line in self.process.stderr:
            self.said += line
            if found := re.match(r"submitted (\S+) to big$", line):
                self.job = found[1]
                return
        raise AssertionError(self.said)

    def await_running(self) -> None:
        deadline = time.monotonic() + SOON
        while self.deployed.job(self.job)["status"] != "RUNNING":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        # It has been seen to run, and its machines were asked about, before it may end.
        assert self.process.stderr
        for line in self.process.stderr:
            self.said += line
            if line.startswith("RUNNING"):
                return
        raise AssertionError(self.said)

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=SOON)
        return self.process.returncode, out, self.said + err


@pytest.fixture
def started(deployed: Deployed, folder: Path, held: None) -> Iterator[Callable[..., Running]]:
    processes = []

    def start(*arguments: str) -> Running:
        running = Running(deployed, folder, *arguments)
        processes.append(running.process)
        return running

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def written(tmp_path: Path, **changed: Any) -> list[str]:
    root = tmp_path / "node"
    write_cpus(root, "0-23", [str(cpu) for cpu in range(24)], f"{CMDLINE} nr_cpus=24")
    first, second = node_lines(root, 0), node_lines(root, 1, **changed)
    return [*first, *second, *common_lines(len(first) + len(second))]


def test_it_passes_where_nodes_are_as_the_spec_wants_them(
    started: Callable[..., Running], deployed: Deployed, tmp_path: Path
) -> None:
    running = started("--format", "json", "--keep", "kept")
    job = deployed.job(running.job)
    assert job["jobName"] == "mngen-selftest"
    assert (job["retryStrategy"]["attempts"], job["timeout"]) == (
        1,
        {"attemptDurationSeconds": 600},
    )
    container = job["nodeProperties"]["nodeRangeProperties"][0]["container"]
    assert container["command"][:2] == ["python3", "-c"]
    running.await_running()
    deployed.control(jobs={running.job: {"log": {"0": written(tmp_path)}}})
    deployed.control(jobs={running.job: {"seconds": 0}})
    code, out, err = running.end()
    assert code == 0, err
    card = json.loads(out)
    assert card["passed"]
    assert card["job"] == running.job
    seen = {each["id"]: each["seen"] for each in card["checks"]}
    # The machines told which AMI they run, and it is the one of their environment.
    assert seen["image"] == f"{deployed.images['r5.12xlarge']}, nr_cpus=24"
    assert "2 nodes of r5.12xlarge, stopped after 10 min at the latest: at most 20" in err
    kept = tmp_path / "kept"
    assert sorted(each.name for each in kept.iterdir()) == ["card.json", "log.txt", "report.html"]
    assert "mngen-selftest" in (kept / "log.txt").read_text()


def test_it_fails_with_what_to_do_where_they_are_not(
    started: Callable[..., Running], deployed: Deployed, tmp_path: Path
) -> None:
    running = started()
    running.await_running()
    reached = {"reached": True, "role": "seismic-node", "why": ""}
    lines = written(tmp_path, metadata=reached)
    deployed.control(jobs={running.job: {"log": {"0": lines}}})
    deployed.control(jobs={running.job: {"seconds": 0}})
    code, out, err = running.end()
    assert code == 1, err
    assert "failed: 1 of 18 checks" in out
    assert "the metadata service hands out the role seismic-node" in " ".join(out.split())
    assert "help:" in out


def test_a_job_that_fails_says_why(
    started: Callable[..., Running], deployed: Deployed, tmp_path: Path
) -> None:
    running = started("--format", "json")
    running.await_running()
    lines = [
        "mngen[0] +300.10s error: node 1 (10.0.0.5) never came",
        "mngen[0] +300.20s end: exit 66",
    ]
    deployed.control(jobs={running.job: {"log": {"0": lines}}})
    deployed.control(jobs={running.job: {"exits": [66], "seconds": 0}})
    code, out, err = running.end()
    assert code == 1, err
    job = json.loads(out)["checks"][0]
    assert job["seen"] == "exit code 66; node 1 (10.0.0.5) never came"


def test_the_emulated_aws_alone_runs_nothing_and_the_card_says_so(
    deployed: Deployed, folder: Path
) -> None:
    done = mngen(
        "selftest",
        "--yes",
        cwd=folder,
        env={**deployed.sandbox.environment(), "XDG_STATE_HOME": str(folder / "s")},
    )
    assert done.returncode == 1, done.stderr
    assert "it succeeded, but its log holds no report" in " ".join(done.stdout.split())
    assert "use --rehearse" in " ".join(done.stdout.split())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_whatever_interrupts_it_cancels_the_job(
    started: Callable[..., Running], deployed: Deployed, number: signal.Signals
) -> None:
    running = started()
    running.await_running()
    running.process.send_signal(number)
    code, _, err = running.end()
    assert code == 130, err
    assert f"cancelled {running.job}" in err
    deadline = time.monotonic() + SOON
    while deployed.job(running.job)["status"] != "FAILED":
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_job_that_does_not_start_is_given_up(deployed: Deployed, state_home: Path) -> None:
    deployed.control(exhausted=["r5.12xlarge"])
    jobs = Jobs(deployed.cluster)
    # As if it might run for no time at all, so that the whole wait is that for nodes.
    choice = msgspec.structs.replace(choose(deployed.cluster, Wish()), timeout=0)
    run = OnAws(jobs, choice, {})
    try:
        with (
            logged() as messages,
            pytest.raises(ToolError, match="the job did not finish within 2 s: ") as caught,
        ):
            run.run(run.prepare(), wait=2)
    finally:
        deployed.control(exhausted=[])
    assert caught.value.problems[0].hint
    assert messages[-1] == f"cancelled {run.id}"
    deadline = time.monotonic() + SOON
    while deployed.job(run.id)["status"] != "FAILED":
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_without_a_terminal_it_does_not_ask(deployed: Deployed, folder: Path) -> None:
    def submitted() -> int:
        filters = [{"name": "JOB_NAME", "values": ["mngen-selftest"]}]
        found = deployed.batch.list_jobs(jobQueue=f"{deployed.name}-big", filters=filters)
        return len(found["jobSummaryList"])

    before = submitted()
    done = mngen("selftest", cwd=folder, env=dict(deployed.sandbox.environment()))
    assert done.returncode == 1
    assert "not a terminal: pass --yes to confirm" in done.stderr
    assert "instance-minutes" in done.stderr
    assert submitted() == before
