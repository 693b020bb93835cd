"""Arrays that another tool has submitted, over HTTP against the sandbox: all commands read them."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from mngen.errors import InputError, ToolError
from mngen.jobs import Jobs, Order
from tests.support.batch import Deployed, array_of, hold
from tests.support.faults import Faults

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def drained(deployed: Deployed) -> Iterator[None]:
    """End each test without jobs, so that all instances are free again."""
    yield
    deployed.drain()


def held(deployed: Deployed, state: str = "RUNNING", size: int = 3, **changes: Any) -> str:
    """Submit an array whose jobs do not leave a state, and wait until they are there."""
    array = array_of(deployed, size, variables={"MNGEN_SANDBOX_HOLD": state}, **changes)
    for index in range(size):
        deployed.reached(f"{array}:{index}", state)
    return array


def half_done(deployed: Deployed, **changes: Any) -> str:
    """Submit an array of which job 0 has succeeded, job 1 has failed and job 2 runs."""
    array = held(deployed, **changes)
    deployed.control(
        jobs={
            f"{array}:0": {"hold": None, "seconds": 0},
            f"{array}:1": {"hold": None, "seconds": 0, "exits": [7]},
        }
    )
    deployed.reached(f"{array}:0", "SUCCEEDED")
    deployed.reached(f"{array}:1", "FAILED")
    return array


HALF = {"RUNNING": 1, "SUCCEEDED": 1, "FAILED": 1}


def test_the_list_has_the_array_with_the_states_of_its_jobs(
    deployed: Deployed, jobs: Jobs, run: Any
) -> None:
    name = f"n{uuid4().hex[:8]}"
    array = half_done(deployed, jobName=name)
    (found,) = jobs.list(name=name)
    assert (found.id, found.state, found.size, found.children) == (array, "PENDING", 3, HALF)
    # The array as a whole is PENDING, and one of its jobs runs.
    assert [each.id for each in jobs.list(name=name, states=["RUNNING"])] == [array]
    assert jobs.list(name=name, states=["RUNNABLE"]) == ()
    assert [each.id for each in jobs.list(tags={"of": name})] == []
    shown = run("jobs", "--name", name).stdout
    assert f"{name}[3]" in shown
    assert "1 RUNNING" in shown
    listed = json.loads(run("jobs", "--name", name, "--format", "json").stdout)
    assert (listed[0]["size"], listed[0]["children"]) == (3, HALF)


def test_the_jobs_of_an_array_are_listed_by_index(deployed: Deployed, jobs: Jobs, run: Any) -> None:
    array = half_done(deployed)
    found = jobs.list_array(array)
    assert [(each.id, each.state) for each in found] == [
        (f"{array}:0", "SUCCEEDED"),
        (f"{array}:1", "FAILED"),
        (f"{array}:2", "RUNNING"),
    ]
    assert [each.exit_code for each in found] == [0, 7, None]
    shown = run("jobs", "--array", array, "--status", "failed", "--format", "json")
    assert [each["id"] for each in json.loads(shown.stdout)] == [f"{array}:1"]
    assert run("jobs", "--array", array, "--name", "x").returncode == 2
    job = hold(jobs, "RUNNABLE", "one")
    with pytest.raises(InputError, match="is not an array"):
        jobs.list_array(job)
    with pytest.raises(InputError, match="unknown job state"):
        jobs.list_array(array, states=["RUNING"])


def test_the_status_of_an_array_has_counts_and_names_a_failed_job(
    deployed: Deployed, jobs: Jobs, run: Any
) -> None:
    array = half_done(deployed, tags={"mngen:deployment": deployed.name})
    found = jobs.status(array)
    assert (found.state, found.size, found.children, found.nodes) == ("PENDING", 3, HALF, ())
    assert "array of 3 jobs: 1 RUNNING, 1 SUCCEEDED, 1 FAILED" in run("status", array).stdout
    child = jobs.status(f"{array}:1")
    assert (child.state, child.exit_code, child.size, len(child.nodes)) == ("FAILED", 7, None, 1)
    deployed.control(jobs={f"{array}:2": {"hold": None, "seconds": 0}})
    ended = jobs.wait(array, timeout=180)
    assert (ended.state, ended.children) == ("FAILED", {"SUCCEEDED": 2, "FAILED": 1})
    (cause,) = jobs.status(array).causes
    assert cause.what.startswith(f"1 of its 3 jobs failed, one of them {array}:1 with exit code 7")
    assert f"mngen logs {array}:1" in cause.remedy
    assert run("wait", array).returncode == 1


def test_an_array_waits_for_what_its_jobs_wait_for(deployed: Deployed, jobs: Jobs) -> None:
    environment = deployed.environments["m4"]
    deployed.control(exhausted=[environment])
    try:
        array = array_of(deployed, 3)
        deployed.reached(f"{array}:2", "RUNNABLE")
        causes = jobs.status(array).causes
        assert any("CAPACITY" in (each.see or "") + each.what or each.certain for each in causes)
        assert [each.what for each in causes] == [
            each.what for each in jobs.status(f"{array}:0").causes
        ]
    finally:
        deployed.control(exhausted=[])


def test_an_array_that_takes_the_instances_is_named(deployed: Deployed, jobs: Jobs) -> None:
    """The environment has 8 instances: all are taken by jobs of the array, which is PENDING."""
    array = held(deployed, size=8, jobName="many")
    job = hold(jobs, "RUNNABLE", "one")
    deployed.control(jobs={job: {"hold": None}})
    taken = [each.what for each in jobs.status(job).causes if "are taken by" in each.what]
    assert len(taken) == 1
    assert taken[0].startswith("8 of the 8 nodes")
    assert array in taken[0]


def test_an_array_depends_on_a_job_and_a_job_on_one_of_its_jobs(
    deployed: Deployed, jobs: Jobs, run: Any
) -> None:
    first = hold(jobs, "RUNNING", "one")
    array = array_of(deployed, 3, dependsOn=[{"jobId": first}])
    (cause,) = jobs.status(array).causes
    assert f"it depends on the job {first}" in cause.what
    (listed,) = [each for each in jobs.list() if each.id == array]
    assert [each.id for each in listed.awaits] == [first]
    after = jobs.submit("one", name=f"n{uuid4().hex[:8]}", after=[f"{array}:1"])
    assert after.after == (f"{array}:1",)
    whole = jobs.submit("one", name=f"n{uuid4().hex[:8]}", after=[array])
    jobs.cancel(first)
    assert jobs.wait(array, timeout=180).state == "FAILED"
    (cause,) = jobs.status(array).causes
    assert cause.what.startswith(f"it never ran, since the job {first}")
    for each in (after, whole):
        assert jobs.wait(each.id, timeout=180).state == "FAILED"
        (cause,) = jobs.status(each.id).causes
        assert cause.what.startswith(f"it never ran, since the job {first}")
    refused = run("submit", "one", "--after", f"{array}:7", "--dry-run")
    assert "has no record of the job" in refused.stderr


def test_nothing_waits_for_an_array_that_will_fail(deployed: Deployed, jobs: Jobs) -> None:
    array = half_done(deployed)
    with pytest.raises(InputError, match="will fail: 1 of its jobs failed"):
        jobs.submit("one", name=f"n{uuid4().hex[:8]}", after=[array])
    after = jobs.submit("one", name=f"n{uuid4().hex[:8]}", after=[f"{array}:2"])
    assert jobs.status(after.id).state == "PENDING"


def test_the_log_of_an_array_is_that_of_its_jobs(deployed: Deployed, jobs: Jobs, run: Any) -> None:
    array = held(deployed)
    line = {f"{array}:{index}": {"log": {0: [f"row {index}"]}} for index in range(3)}
    deployed.control(jobs=line)
    written = {(each.node, each.text) for each in jobs.logs(array)}
    assert {(index, f"row {index}") for index in range(3)} <= written
    assert {each.text for each in jobs.logs(array, node=1)} == {
        "the sandbox does not run: hostname",
        "row 1",
    }
    assert {each.node for each in jobs.logs(f"{array}:1")} == {0}
    with pytest.raises(InputError, match="the array has no job 3"):
        list(jobs.logs(array, node=3))
    waiting = held(deployed, "RUNNABLE")
    with pytest.raises(InputError, match="none of its jobs has run"):
        list(jobs.logs(waiting))
    with pytest.raises(InputError, match="is an array of 3 jobs, which have a timeline each"):
        jobs.timeline(array)
    assert jobs.timeline(f"{array}:0").title.endswith(f"{array}:0")
    with pytest.raises(InputError, match="is an array of 3 jobs, each with its own container"):
        jobs.open_shell(array)


def test_an_array_is_followed_to_its_end(deployed: Deployed, jobs: Jobs) -> None:
    array = held(deployed, retryStrategy={"attempts": 2})
    seen: list[tuple[int, str]] = []
    states: list[str] = []

    def follow() -> None:
        seen.extend(
            (each.node, each.text)
            for each in jobs.follow(array, on_progress=lambda state, _: states.append(state))
        )

    reader = threading.Thread(target=follow)
    reader.start()
    # Its first attempt fails, and the second one writes to another stream.
    deployed.control(jobs={f"{array}:1": {"exits": [1, 0]}})
    deployed.control(jobs={f"{array}:{index}": {"hold": None, "seconds": 2} for index in range(3)})
    reader.join(timeout=180)
    assert not reader.is_alive()
    text = "the sandbox does not run: hostname"
    assert sorted(seen) == [(0, text), (1, text), (1, text), (2, text)]
    assert states == ["PENDING", "SUCCEEDED"]


def test_a_large_array_is_not_followed(deployed: Deployed, jobs: Jobs) -> None:
    array = array_of(deployed, 1001, variables={"MNGEN_SANDBOX_HOLD": "RUNNABLE"})
    with pytest.raises(InputError, match="more than the 1000 that can be followed") as caught:
        next(iter(jobs.follow(array)))
    assert f"{array}:1000" in str(caught.value.problems[0].hint)


def test_an_array_is_cancelled_with_its_jobs(deployed: Deployed, jobs: Jobs, run: Any) -> None:
    name = f"n{uuid4().hex[:8]}"
    array = half_done(deployed, jobName=name)
    # Its own state is PENDING: it is not one of the jobs that run.
    none = run("cancel", "--name", name, "--status", "running", "--yes")
    assert "No unfinished jobs found." in none.stderr
    assert jobs.cancel(f"{array}:0") is False
    other = held(deployed, jobName=name)
    assert jobs.cancel(f"{other}:0") is True
    assert deployed.job(other)["status"] == "PENDING"
    done = run("cancel", "--name", name, "--yes")
    assert done.returncode == 0, done.stderr
    assert "2 jobs (3 jobs in arrays) are being cancelled." in done.stderr
    for each, child in ((array, "2"), (other, "1")):
        assert jobs.wait(each, timeout=180).state == "FAILED"
        assert deployed.job(f"{each}:{child}")["statusReason"] == "cancelled with mngen cancel"
    third = held(deployed)
    assert "is being cancelled" in run("cancel", third, "--yes").stderr
    assert deployed.job(f"{third}:1")["status"] == "FAILED"


def test_a_job_of_another_deployments_array_is_not_cancelled(
    deployed: Deployed, jobs: Jobs
) -> None:
    array = held(deployed, tags={"mngen:deployment": "other"})
    with pytest.raises(InputError, match="is a job of the deployment `other`"):
        jobs.cancel(f"{array}:1")
    assert deployed.job(f"{array}:1")["status"] == "RUNNING"


def test_top_counts_the_jobs_of_arrays(deployed: Deployed, jobs: Jobs, run: Any) -> None:
    array = half_done(deployed, jobName="rows")
    watcher = jobs.watcher()
    # One round does not list all queues in all states.
    watcher.look()
    found = watcher.look()
    (queue,) = [each for each in found.queues if each.name == "small"]
    assert (queue.counts["RUNNING"], queue.counts["PENDING"]) == (1, 0)
    (job,) = [each for each in found.jobs if each.id == array]
    assert (job.array, job.children) == (3, HALF)
    assert "rows[2/3]" in run("top", "--once").stdout


def test_the_turn_of_an_array_is_that_of_its_first_job(
    deployed: Deployed, jobs: Jobs, run: Any
) -> None:
    first = hold(jobs, "RUNNABLE", "one")
    array = held(deployed, "RUNNABLE")
    listed = json.loads(run("jobs", "--queue", "small", "--format", "json").stdout)
    turns = {each["id"]: each["turn"] for each in listed}
    assert (turns[first], turns[array]) == (1, 2)


def test_a_list_without_counts_is_completed(deployed: Deployed, jobs: Jobs) -> None:
    """ListJobs has had the counts since February 2026: aws-sdk-net, release 3.7.1215.0."""
    array = half_done(deployed)

    class Older:
        """The client of a Batch whose ListJobs shows the size of an array alone."""

        def __getattr__(self, name: str) -> Any:
            return getattr(deployed.batch, name)

        def get_paginator(self, name: str) -> Any:
            pages = deployed.batch.get_paginator(name)

            class Paginator:
                def paginate(self, **wanted: Any) -> Iterator[Any]:
                    for page in pages.paginate(**wanted):
                        for each in page["jobSummaryList"]:
                            for key in ("statusSummary", "statusSummaryLastUpdatedAt"):
                                each.get("arrayProperties", {}).pop(key, None)
                        yield page

            return Paginator()

    older = Jobs(
        deployed.cluster,
        lambda service, _: Older() if service == "batch" else deployed.client(service),
    )
    (found,) = [each for each in older.list() if each.id == array]
    assert found.children == HALF


class TestJobsToCome:
    """AWS Batch spawns the jobs of an array after the array was submitted.

    Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_JobSummary.html (`createdAt`)
    """

    @pytest.fixture
    def array(self, deployed: Deployed) -> str:
        return array_of(deployed, 3, variables={"MNGEN_SANDBOX_HOLD": "SUBMITTED"})

    def test_they_are_as_far_as_their_array(
        self, deployed: Deployed, jobs: Jobs, array: str
    ) -> None:
        assert deployed.batch.describe_jobs(jobs=[f"{array}:2"])["jobs"] == []
        found = jobs.status(f"{array}:2")
        assert (found.id, found.state, found.size) == (f"{array}:2", "SUBMITTED", None)

    @pytest.mark.parametrize("index", ["3", "x"])
    def test_an_index_that_there_will_not_be(self, jobs: Jobs, array: str, index: str) -> None:
        with pytest.raises(InputError, match="not found"):
            jobs.status(f"{array}:{index}")

    def test_they_can_be_waited_for(self, deployed: Deployed, jobs: Jobs, array: str) -> None:
        seen: list[str] = []

        def go_on(state: str, _reason: str | None) -> None:
            seen.append(state)
            ids = [array, *(f"{array}:{index}" for index in range(3))]
            deployed.control(jobs={each: {"hold": None, "seconds": 0} for each in ids})

        done = jobs.wait(f"{array}:1", timeout=180, on_progress=go_on)
        assert (done.id, done.state, seen[0]) == (f"{array}:1", "SUCCEEDED", "SUBMITTED")

    def test_a_job_can_be_after_one(self, jobs: Jobs, array: str) -> None:
        for there, wanted in (("2", []), ("3", ["MN321"])):
            prepared = jobs.prepare(Order(job="one", after=(f"{array}:{there}",)))
            assert [each.rule for each in prepared.problems if each.rule == "MN321"] == wanted

    def test_they_cost_nothing_yet(self, jobs: Jobs, array: str) -> None:
        assert [each for each in jobs.usage() if each.id.startswith(array)] == []
        found = jobs.usage_of(array)
        assert (found.is_forgotten, found.seconds, found.by_node) == (False, 0, ())


def test_a_policy_that_asks_for_tags_keeps_one_job_of_an_array_from_being_cancelled(
    deployed: Deployed, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Children have no tags: https://docs.aws.amazon.com/batch/latest/userguide/using-tags.html."""
    array = held(deployed)
    with Faults(deployed.sandbox.endpoint) as faults:
        faults.fail("batch:TerminateJob", "AccessDeniedException", status=403)
        faults.redirect(monkeypatch)
        room = Jobs(deployed.cluster)
        with pytest.raises(ToolError, match=f"does not let you cancel `{array}:1` alone") as caught:
            room.cancel(f"{array}:1")
        [problem] = caught.value.problems
        assert f"mngen cancel {array})" in (problem.hint or "")
        # That of the array as a whole is refused as AWS does.
        with pytest.raises(ToolError) as caught:
            room.cancel(array)
        assert "alone" not in str(caught.value)
    assert jobs.cancel(f"{array}:1")
