"""Jobs that wait for other jobs, over HTTP against the sandbox."""

from __future__ import annotations

import json
import logging
from typing import Any
from uuid import uuid4

import pytest

from mngen.errors import InputError
from mngen.jobs import Jobs, Order
from tests.support.batch import Deployed, hold

GONE = "00000000-0000-0000-0000-000000000000"


def unique() -> str:
    return f"n{uuid4().hex[:10]}"


class TestSubmit:
    def test_the_request_names_the_jobs(self, deployed: Deployed, jobs: Jobs) -> None:
        first, second = (hold(jobs, "RUNNING", "one") for _ in range(2))
        arn, node = deployed.job(second)["jobArn"], f"{first}#0"
        done = jobs.submit("mpi", name=unique(), after=[arn, node, first])
        assert done.after == tuple(sorted([first, second]))
        found = deployed.job(done.id)
        assert {each["jobId"] for each in found["dependsOn"]} == {first, second}
        assert found["status"] == "PENDING"
        for each in (first, second):
            deployed.control(jobs={each: {"hold": None, "seconds": 0}})
        assert jobs.wait(done.id, timeout=180).state == "SUCCEEDED"

    def test_what_is_waited_for_is_part_of_the_request(self, jobs: Jobs) -> None:
        first, second = (hold(jobs, "RUNNING", "one") for _ in range(2))
        name = unique()
        done = jobs.submit("one", name=name, after=[first, second])
        assert jobs.submit("one", name=name, after=[second, first]).id == done.id
        other = jobs.submit("one", name=name, after=[second])
        assert not other.existed
        for each in (first, second):
            jobs.cancel(each)

    def test_a_job_that_has_succeeded_is_not_waited_for(self, jobs: Jobs) -> None:
        first = jobs.submit("one", name=unique(), environment={"MNGEN_SANDBOX_SECONDS": "0.01"})
        jobs.wait(first.id, timeout=180)
        done = jobs.submit("one", name=unique(), after=[first.id])
        assert jobs.wait(done.id, timeout=180).state == "SUCCEEDED"

    def test_a_sweep_waits_too(self, deployed: Deployed, jobs: Jobs) -> None:
        first = hold(jobs, "RUNNING", "one")
        order = Order(job="one", name=unique(), after=(first,))
        done = jobs.sweep(order, [{"A": "1"}, {"A": "2"}])
        [array] = {each.id.partition(":")[0] for each in done}
        assert deployed.job(array)["dependsOn"] == [{"jobId": first}]
        jobs.cancel(first)

    def test_one_that_is_not_there(self, jobs: Jobs) -> None:
        with pytest.raises(InputError, match=f"no record of the job `{GONE}`") as caught:
            jobs.submit("one", name=unique(), after=[GONE])
        assert [each.rule for each in caught.value.problems] == ["MN321"]

    def test_one_that_has_failed(self, jobs: Jobs) -> None:
        first = hold(jobs, "RUNNING", "one")
        jobs.cancel(first)
        with pytest.raises(InputError, match=r"to wait for has failed"):
            jobs.submit("one", name=unique(), after=[first])

    def test_one_that_is_being_cancelled(self, jobs: Jobs) -> None:
        first = hold(jobs, "RUNNING", "one")
        name = unique()
        second = jobs.submit("one", name=name, after=[first])
        jobs.cancel(second.id)
        with pytest.raises(InputError, match=r"to wait for was cancelled"):
            jobs.submit("one", name=unique(), after=[second.id])
        assert any("it was cancelled" in each.what for each in jobs.status(second.id).causes)
        # It no longer stands for its request.
        again = jobs.submit("one", name=name, after=[first])
        assert not again.existed
        jobs.cancel(first)

    def test_more_than_twenty(self, jobs: Jobs) -> None:
        many = [str(uuid4()) for _ in range(21)]
        with pytest.raises(InputError, match="at most 20 jobs, not 21"):
            jobs.submit("one", after=many)
        with pytest.raises(InputError, match="empty job ID"):
            jobs.submit("one", after=[" "])


class TestFailed:
    def test_the_first_failure_of_a_chain_is_named(self, jobs: Jobs) -> None:
        first = hold(jobs, "RUNNING", "one", name="mesh")
        middle = jobs.submit("one", name=unique(), after=[first])
        last = jobs.submit("one", name=unique(), after=[middle.id])
        jobs.cancel(first, "the mesh is wrong")
        found = jobs.wait(last.id, timeout=180)
        assert (found.state, found.reason) == ("FAILED", "Dependent Job failed")
        [cause] = found.causes
        assert cause.what == (
            f"it never ran, since the job {first} (mesh) was cancelled: the mesh is wrong"
        )
        assert jobs.status(last.id).causes == (cause,)
        assert jobs.status(first).causes == ()

    def test_a_job_that_failed_by_itself_has_no_such_cause(self, jobs: Jobs) -> None:
        first = jobs.submit("one", name=unique(), environment={"MNGEN_SANDBOX_EXIT": "3"})
        second = jobs.submit("one", name=unique(), after=[first.id])
        [cause] = jobs.wait(second.id, timeout=180).causes
        assert f"the job {first.id}" in cause.what
        assert "failed: Essential container in task exited" in cause.what
        assert jobs.status(first.id).causes == ()


def test_the_list_shows_what_waits_for_what(deployed: Deployed, jobs: Jobs, run: Any) -> None:
    first = hold(jobs, "RUNNING", "one", name="mesh")
    second = jobs.submit("one", name="solve", after=[first])
    found = {each.id: each for each in jobs.list()}
    assert [each.id for each in found[second.id].awaits] == [first]
    assert found[first].awaits == ()
    done = run("jobs", "--status", "pending")
    [line] = [each for each in done.stdout.splitlines() if each.startswith(second.id)]
    assert line.endswith(f"mesh {first}")
    shown = json.loads(run("jobs", "--status", "PENDING", "--format", "json").stdout)
    [pending] = [each for each in shown if each["id"] == second.id]
    assert pending["awaits"] == [{"id": first, "name": "mesh", "state": "RUNNING"}]
    jobs.cancel(first)
    assert "waits for" not in run("jobs", "--name", "solve").stdout


def test_following_one_that_waits_and_never_runs(deployed: Deployed, jobs: Jobs) -> None:
    first = hold(jobs, "RUNNING", "one", name="mesh")
    second = jobs.submit("one", name=unique(), after=[first])
    logged: list[str] = []

    class Cancelling(logging.Handler):
        """Cancels the first job as soon as it is named."""

        def emit(self, record: logging.LogRecord) -> None:
            logged.append(record.getMessage())
            if logged[-1].startswith("PENDING: it depends on"):
                deployed.batch.terminate_job(jobId=first, reason="enough")

    log, handler = logging.getLogger("mngen.jobs"), Cancelling(logging.INFO)
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        assert list(jobs.follow(second.id)) == []
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
    waits = f"PENDING: it depends on the job {first} (mesh), which is RUNNING"
    assert logged.count(waits) == 1
    assert logged[-1] == f"it never ran, since the job {first} (mesh) was cancelled: enough"


def test_the_command_waits_and_says_why(deployed: Deployed, jobs: Jobs, run: Any) -> None:
    first = hold(jobs, "RUNNING", "one")
    done = run("submit", "one", "--name", unique(), "--after", first)
    assert done.returncode == 0, done.stderr
    identifier = done.stdout.strip()
    assert f"to small, after {first}" in done.stderr
    assert f"it depends on the job {first}" in run("status", identifier).stdout
    jobs.cancel(first, "enough")
    waited = run("wait", identifier)
    assert waited.returncode == 1
    assert f"it never ran, since the job {first}" in waited.stderr
    shown = run("status", identifier)
    assert f"help: see mngen status {first}" in shown.stdout
    refused = run("submit", "one", "--after", first)
    assert refused.returncode == 1
    assert "error[MN321]" in refused.stderr
