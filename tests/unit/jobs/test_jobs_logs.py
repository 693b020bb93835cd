"""Logs over HTTP against the sandbox: merged, followed without a gap, and lost in every way."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from mngen.errors import InputError, ToolError
from mngen.jobs import Jobs
from tests.support.batch import Deployed, hold, spec_text
from tests.support.cli import CHECKOUT, DEAF
from tests.support.faults import Faults
from tests.support.logs import logged

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mngen.sandbox import Sandbox


def unique() -> str:
    return f"n{uuid4().hex[:10]}"


@pytest.fixture
def running(deployed: Deployed, jobs: Jobs) -> Iterator[str]:
    """A job of two nodes that runs until it is told to end."""
    identifier = hold(jobs, "RUNNING")
    # The wire-up's lines bear the times of its phases: what a test writes must come after the last.
    while time.time() * 1000 <= max(each.time for each in jobs.logs(identifier)):
        time.sleep(0.01)
    yield identifier
    jobs.cancel(identifier)


def end(deployed: Deployed, job: str, code: int = 0) -> None:
    deployed.control(jobs={job: {"hold": None, "seconds": 0, "exits": [code]}})


def write(deployed: Deployed, job: str, node: int, *lines: str) -> None:
    deployed.control(jobs={job: {"log": {node: lines}}})


def started(deployed: Deployed, folder: Path, *arguments: str, start: tuple[str, ...] = ()) -> Any:
    return subprocess.Popen(
        [*start, *CHECKOUT, *arguments],
        cwd=folder,
        env=deployed.sandbox.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class TestRead:
    def test_all_nodes_in_the_order_of_time(
        self, deployed: Deployed, jobs: Jobs, running: str
    ) -> None:
        write(deployed, running, 1, "from the second node")
        time.sleep(0.01)
        write(deployed, running, 0, "from the first node")
        lines = list(jobs.logs(running))
        assert [each.time for each in lines] == sorted(each.time for each in lines)
        assert [(each.node, each.text) for each in lines[-2:]] == [
            (1, "from the second node"),
            (0, "from the first node"),
        ]
        assert {each.node for each in lines} == {0, 1}
        assert "mngen[1] +0.00s start: node 1 of 2, main node 0" in [each.text for each in lines]

    def test_one_node_and_since(self, deployed: Deployed, jobs: Jobs, running: str) -> None:
        write(deployed, running, 0, "old")
        time.sleep(0.02)
        since = time.time()
        write(deployed, running, 0, "new")
        write(deployed, running, 1, "other")
        assert [each.text for each in jobs.logs(running, node=1)][-1] == "other"
        assert [each.text for each in jobs.logs(running, node=0, since=since)] == ["new"]
        with pytest.raises(InputError, match="no node 2"):
            list(jobs.logs(running, node=2))

    def test_more_than_a_page(self, deployed: Deployed, jobs: Jobs, running: str) -> None:
        texts = [f"line {n}" for n in range(10_050)]
        write(deployed, running, 0, *texts)
        assert [each.text for each in jobs.logs(running, node=0)][-10_050:] == texts

    def test_a_job_that_has_not_run_yet(self, jobs: Jobs, run: Any) -> None:
        identifier = hold(jobs, "RUNNABLE", "one")
        done = run("logs", identifier)
        assert done.returncode == 1
        assert "the job is RUNNABLE: its nodes write once they run" in done.stderr
        jobs.cancel(identifier)

    def test_the_command(self, deployed: Deployed, run: Any, running: str) -> None:
        text = "quotes ' \" and \x1b[2J control"
        write(deployed, running, 1, text)
        done = run("logs", running, "--node", "1", "--timestamps")
        assert done.returncode == 0
        last = done.stdout.splitlines()[-1]
        assert last.endswith(f"Z   1 | {text}")
        lines = run("logs", running, "--format", "json").stdout.splitlines()
        assert json.loads(lines[-1])["text"] == text
        assert run("logs", running, "--since", "1h").stdout.count("\n") == len(lines)


class TestFollow:
    def test_each_line_once_until_the_end(
        self, deployed: Deployed, folder: Path, running: str
    ) -> None:
        process = started(deployed, folder, "logs", running, "--follow")
        seen = [process.stdout.readline()]
        for number in range(20):
            write(deployed, running, number % 2, f"line {number}")
        end(deployed, running)
        out, said = process.communicate(timeout=180)
        seen += out.splitlines()
        assert process.returncode == 0, said
        texts = [each.partition("| ")[2].strip() for each in seen]
        ours = [each for each in texts if each.startswith("line ")]
        assert sorted(ours) == sorted(f"line {n}" for n in range(20))
        assert len(texts) == len(set(texts))
        assert any("end: exit 0" in each for each in texts)
        assert said.splitlines()[0] == "RUNNING"
        assert "SUCCEEDED" in said

    def test_from_before_it_runs_to_its_failure(self, deployed: Deployed, jobs: Jobs) -> None:
        deployed.control(start_seconds=0.5)
        try:
            identifier = jobs.submit(
                "mpi", name=unique(), environment={"MNGEN_SANDBOX_EXIT": "3"}
            ).id
            states: list[tuple[str, str | None]] = []
            with logged() as said:
                texts = [
                    each.text
                    for each in jobs.follow(
                        identifier, on_progress=lambda *state: states.append(state)
                    )
                ]
        finally:
            deployed.control(start_seconds=0.1)
        assert any("end: exit 3" in each for each in texts)
        state, reason = states[-1]
        assert (state, said[-1]) == ("FAILED", f"FAILED: {reason}")

    def test_every_attempt(self, deployed: Deployed, jobs: Jobs) -> None:
        identifier = hold(jobs, "RUNNING", "one", attempts=2)
        lines = jobs.follow(identifier)
        # The first attempt has been seen, however late one looks again.
        texts = [next(lines).text]
        deployed.control(jobs={identifier: {"hold": None, "seconds": 0, "exits": [9, 0]}})
        texts += [each.text for each in lines]
        assert len([each for each in texts if "does not run" in each]) == 2

    def test_submitting_and_following(self, run: Any) -> None:
        """In real seconds: three rounds without a line after the last one."""
        began = time.monotonic()
        done = run("submit", "mpi", "--name", unique(), "--follow", "-e", "MNGEN_SANDBOX_EXIT=4")
        assert time.monotonic() - began > 3
        assert done.returncode == 1
        assert len(done.stdout.splitlines()[0]) == 36
        assert "end: exit 4" in done.stdout

    @pytest.mark.parametrize(
        ("start", "number"), [((), signal.SIGINT), (DEAF, signal.SIGTERM)], ids=["SIGINT", "deaf"]
    )
    def test_an_interrupt_leaves_the_job_alone(
        self,
        deployed: Deployed,
        jobs: Jobs,
        folder: Path,
        running: str,
        start: tuple[str, ...],
        number: signal.Signals,
    ) -> None:
        process = started(deployed, folder, "logs", running, "--follow", start=start)
        assert "start: node 0" in process.stdout.readline()
        process.send_signal(number)
        _, said = process.communicate(timeout=180)
        assert process.returncode == 130
        assert f"the job continues; to resume: mngen logs {running} --follow --since " in said
        assert jobs.status(running).state == "RUNNING"

    def test_a_reader_who_leaves(
        self, deployed: Deployed, jobs: Jobs, folder: Path, running: str
    ) -> None:
        process = started(deployed, folder, "logs", running, "--follow")
        process.stdout.readline()
        process.stdout.close()
        with process.stderr:
            deadline = time.monotonic() + 180
            while process.poll() is None:
                assert time.monotonic() < deadline
                write(deployed, running, 0, "into the void")
                time.sleep(0.2)
            assert (process.returncode, process.stderr.read()) == (0, "RUNNING\n")
        assert jobs.status(running).state == "RUNNING"

    def test_ten_megabytes(self, deployed: Deployed, jobs: Jobs, running: str) -> None:
        """What the busiest job writes in a minute: all of it, in order, once."""
        wanted = []
        for part in range(10):
            texts = [f"{part}-{n:04}-" + "x" * 1_000 for n in range(1_000)]
            write(deployed, running, 0, *texts)
            wanted += texts
        end(deployed, running)
        found = [each.text for each in jobs.follow(running, node=0)]
        assert [each for each in found if each.endswith("xx")] == wanted


class TestFaults:
    @pytest.fixture
    def faults(self, deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
        with Faults(deployed.sandbox.endpoint) as faults:
            faults.redirect(monkeypatch)
            yield faults

    def test_a_slow_endpoint(self, deployed: Deployed, running: str, faults: Faults) -> None:
        faults.delay("logs:GetLogEvents", 0.5, times=4)
        write(deployed, running, 1, "slow")
        end(deployed, running)
        texts = [each.text for each in Jobs(deployed.cluster).follow(running)]
        assert texts.count("slow") == 1

    def test_a_failing_endpoint(self, deployed: Deployed, running: str, faults: Faults) -> None:
        # A client tries a call five times by itself; then the follower's own retries begin.
        faults.fail("logs:GetLogEvents", "ServiceUnavailableException", status=503, times=6)
        faults.fail("batch:DescribeJobs", "ServerException", status=500, after=3, times=2)
        write(deployed, running, 0, "still there")
        end(deployed, running)
        with logged() as said:
            texts = [each.text for each in Jobs(deployed.cluster).follow(running)]
        assert texts.count("still there") == 1
        assert any("trying again; the job continues" in each for each in said)
        assert "AWS answers again" in said

    def test_credentials_that_expire(
        self, deployed: Deployed, jobs: Jobs, running: str, faults: Faults
    ) -> None:
        faults.fail("logs:GetLogEvents", "ExpiredTokenException", after=4)
        with pytest.raises(ToolError, match="expired") as caught:
            list(Jobs(deployed.cluster).follow(running))
        hint = str(caught.value.problems[0].hint)
        assert f"the job continues; to resume: mngen logs {running} --follow --since " in hint
        since = float(hint.rpartition(" ")[2])
        write(deployed, running, 0, "afterwards")
        end(deployed, running)
        assert "afterwards" in [each.text for each in jobs.follow(running, since=since)]

    @pytest.mark.usefixtures("jobs")
    def test_a_log_group_that_is_deleted(self, sandbox: Sandbox, connect: Any) -> None:
        other = Deployed(sandbox, spec_text(unique()))
        own = Jobs(other.cluster, connect)
        identifier = hold(own, "RUNNING")
        lines = own.follow(identifier)
        next(lines)
        other.logs.delete_log_group(logGroupName=f"/mngen/{other.name}/jobs")
        with pytest.raises(ToolError, match="does not exist") as caught:
            list(lines)
        assert "mngen apply" in str(caught.value.problems[0].hint)
        with pytest.raises(ToolError, match="does not exist"):
            list(own.logs(identifier))
        own.cancel(identifier)

    def test_a_job_that_vanishes(self, deployed: Deployed, jobs: Jobs) -> None:
        identifier = hold(jobs, "RUNNING", "one")
        lines = jobs.follow(identifier)
        next(lines)
        deployed.control(forget=[identifier])
        with pytest.raises(InputError, match="not found"):
            list(lines)
