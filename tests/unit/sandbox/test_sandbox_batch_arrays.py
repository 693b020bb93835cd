"""Array jobs of the emulated Batch, over HTTP: their children run, and the parent follows them.

What is expected here is what AWS documents and what answers of AWS that users have published show;
`mngen.sandbox.batch._array` names the sources.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from tests.support.batch import Deployed, refused
from tests.support.sandbox import client

if TYPE_CHECKING:
    from mngen.sandbox import Sandbox

ENDED = ("SUCCEEDED", "FAILED")
STATES = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", *ENDED)
NAME = "rows"


def submit(deployed: Deployed, size: int | None = 3, **changes: Any) -> str:
    """Submit an array of the single-node job, or a plain job; variables make the emulator's job."""
    variables = changes.pop("variables", {})
    environment = [{"name": name, "value": value} for name, value in variables.items()]
    answer = deployed.batch.submit_job(
        **{
            "jobName": NAME,
            "jobQueue": f"{deployed.name}-small",
            "jobDefinition": f"{deployed.name}-one",
            "containerOverrides": {"environment": environment},
            **({} if size is None else {"arrayProperties": {"size": size}}),
            **changes,
        }
    )
    assert answer["jobName"] == changes.get("jobName", NAME)
    return str(answer["jobId"])


def held(deployed: Deployed, state: str = "RUNNING", size: int = 3, **changes: Any) -> str:
    """Submit an array whose children do not leave a state, and wait until they are there."""
    array = submit(deployed, size, variables={"MNGEN_SANDBOX_HOLD": state}, **changes)
    for index in range(size):
        deployed.reached(f"{array}:{index}", state)
    return array


def children(deployed: Deployed, array: str, size: int = 3) -> list[dict[str, Any]]:
    found = deployed.batch.describe_jobs(jobs=[f"{array}:{index}" for index in range(size)])
    jobs: list[dict[str, Any]] = found["jobs"]
    return jobs


def counted(job: dict[str, Any]) -> dict[str, int]:
    """Returns the counts of an array that are not 0; there is one for each state."""
    summary: dict[str, int] = job["arrayProperties"]["statusSummary"]
    assert {*summary} == {*STATES}
    return {state: count for state, count in summary.items() if count}


def test_an_array_is_pending_while_its_children_run(deployed: Deployed) -> None:
    array = held(deployed)
    found = deployed.job(array)
    assert found["status"] == "PENDING"
    assert found["arrayProperties"]["size"] == 3
    assert found["arrayProperties"]["statusSummaryLastUpdatedAt"] >= found["createdAt"]
    assert counted(found) == {"RUNNING": 3}
    assert found["attempts"] == []
    assert "startedAt" not in found
    deployed.control(jobs={f"{array}:1": {"hold": None, "seconds": 0}})
    deployed.reached(f"{array}:1", "SUCCEEDED")
    found = deployed.job(array)
    assert (found["status"], counted(found)) == ("PENDING", {"RUNNING": 2, "SUCCEEDED": 1})
    rest = {f"{array}:{index}": {"hold": None, "seconds": 0} for index in (0, 2)}
    deployed.control(jobs=rest)
    found = deployed.reached(array, *ENDED)
    assert (found["status"], counted(found)) == ("SUCCEEDED", {"SUCCEEDED": 3})
    assert found["stoppedAt"] == max(each["stoppedAt"] for each in children(deployed, array))


def test_children_have_ids_indices_and_streams_but_no_tags(deployed: Deployed) -> None:
    array = held(deployed, tags={"by": "me"})
    parent, found = deployed.job(array), children(deployed, array)
    assert [each["jobId"] for each in found] == [f"{array}:{index}" for index in range(3)]
    assert [each["jobArn"] for each in found] == [
        f"{parent['jobArn']}:{index}" for index in range(3)
    ]
    assert [each["arrayProperties"] for each in found] == [
        {"index": index, "statusSummary": {}} for index in range(3)
    ]
    assert {each["jobName"] for each in found} == {NAME}
    assert parent["tags"] == {"by": "me"}
    assert [each["tags"] for each in found] == [{}] * 3
    for key in ("logStreamName", "taskArn", "containerInstanceArn"):
        assert len({each["container"][key] for each in found}) == 3
    # Nothing of what Batch itself sets in a container is shown.
    names = {each["name"] for one in found for each in one["container"]["environment"]}
    assert not any(name.startswith("AWS_BATCH") for name in names)
    # An index that there is not.
    assert deployed.batch.describe_jobs(jobs=[f"{array}:3", f"{array}:x"])["jobs"] == []
    # By ARN too.
    assert deployed.job(found[2]["jobArn"])["jobId"] == f"{array}:2"


def test_each_child_writes_its_own_log(deployed: Deployed) -> None:
    array = submit(deployed, 2, variables={"MNGEN_SANDBOX_SECONDS": "0"})
    deployed.reached(array, "SUCCEEDED")
    streams = [each["container"]["logStreamName"] for each in children(deployed, array, 2)]
    for stream in streams:
        lines = deployed.logs.get_log_events(
            logGroupName=f"/mngen/{deployed.name}/jobs", logStreamName=stream
        )["events"]
        assert [each["message"] for each in lines] == ["the sandbox does not run: hostname"]


def test_a_queue_lists_the_array_and_the_array_its_children(deployed: Deployed) -> None:
    array = held(deployed, jobName=f"n{uuid4().hex[:8]}")
    queue, name = f"{deployed.name}-small", deployed.job(array)["jobName"]

    def listed(**arguments: Any) -> list[str]:
        found = deployed.batch.list_jobs(**arguments)["jobSummaryList"]
        return [each["jobId"] for each in found if each["jobName"] == name]

    assert listed(jobQueue=queue) == []
    assert listed(jobQueue=queue, jobStatus="PENDING") == [array]
    assert listed(jobQueue=queue, filters=[{"name": "JOB_NAME", "values": [name]}]) == [array]
    assert listed(arrayJobId=array) == [f"{array}:{index}" for index in range(3)]
    assert listed(arrayJobId=array, jobStatus="SUCCEEDED") == []
    # A filter does not apply to children.
    nothing = [{"name": "JOB_NAME", "values": ["nothing"]}]
    assert len(listed(arrayJobId=array, filters=nothing)) == 3
    first = deployed.batch.list_jobs(arrayJobId=array, maxResults=2)
    assert len(first["jobSummaryList"]) == 2
    assert [each["arrayProperties"] for each in first["jobSummaryList"]] == [
        {"index": 0},
        {"index": 1},
    ]
    assert listed(arrayJobId=array, nextToken=first["nextToken"]) == [f"{array}:2"]
    (summary,) = [
        each
        for each in deployed.batch.list_jobs(jobQueue=queue, jobStatus="PENDING")["jobSummaryList"]
        if each["jobId"] == array
    ]
    assert counted(summary) == {"RUNNING": 3}
    assert listed(arrayJobId=f"{array}:0") == []


def test_a_child_is_retried_by_itself(deployed: Deployed) -> None:
    array = submit(
        deployed,
        retryStrategy={"attempts": 2},
        variables={"MNGEN_SANDBOX_HOLD": "RUNNABLE", "MNGEN_SANDBOX_SECONDS": "0"},
    )
    wishes: dict[str, Any] = {f"{array}:0": {"hold": None}}
    wishes[f"{array}:1"] = {"hold": None, "exits": [1, 0]}
    wishes[f"{array}:2"] = {"hold": None, "exits": [7]}
    deployed.control(jobs=wishes)
    found = deployed.reached(array, *ENDED)
    assert (found["status"], found["statusReason"]) == ("FAILED", "Array Child Job failed")
    assert counted(found) == {"SUCCEEDED": 2, "FAILED": 1}
    codes = [
        [attempt["container"]["exitCode"] for attempt in each["attempts"]]
        for each in children(deployed, array)
    ]
    assert codes == [[0], [1, 0], [7, 7]]


def test_a_failed_child_leaves_the_array_pending_until_all_have_ended(deployed: Deployed) -> None:
    array = held(deployed)
    deployed.control(jobs={f"{array}:0": {"hold": None, "seconds": 0, "exits": [1]}})
    deployed.reached(f"{array}:0", "FAILED")
    found = deployed.job(array)
    assert (found["status"], counted(found)) == ("PENDING", {"RUNNING": 2, "FAILED": 1})


def test_terminating_an_array_terminates_its_children(deployed: Deployed) -> None:
    array = held(deployed)
    deployed.batch.terminate_job(jobId=array, reason="no more")
    found = deployed.job(array)
    assert (found["status"], found["statusReason"]) == ("FAILED", "no more")
    assert found["isTerminated"]
    assert counted(found) == {"FAILED": 3}
    for child in children(deployed, array):
        assert (child["status"], child["statusReason"]) == ("FAILED", "no more")


def test_terminating_one_child_leaves_the_others(deployed: Deployed) -> None:
    array = held(deployed)
    deployed.batch.terminate_job(jobId=f"{array}:1", reason="this one")
    assert counted(deployed.job(array)) == {"RUNNING": 2, "FAILED": 1}
    deployed.batch.terminate_jobs(jobs=[f"{array}:0", f"{array}:2"], reason="all")
    found = deployed.job(array)
    assert (found["status"], found["statusReason"]) == ("FAILED", "Array Child Job failed")


def test_cancelling_an_array_spares_the_children_that_run(deployed: Deployed) -> None:
    """Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_CancelJob.html"""
    array = held(deployed, "RUNNABLE")
    deployed.control(jobs={f"{array}:0": {"hold": "RUNNING"}})
    deployed.reached(f"{array}:0", "RUNNING")
    deployed.batch.cancel_job(jobId=array, reason="no more")
    found = deployed.job(array)
    assert (found["status"], found["isCancelled"]) == ("PENDING", True)
    assert counted(found) == {"RUNNING": 1, "FAILED": 2}
    deployed.control(jobs={f"{array}:0": {"hold": None, "seconds": 0}})
    found = deployed.reached(array, *ENDED)
    assert (found["status"], found["statusReason"]) == ("FAILED", "no more")
    assert counted(found) == {"SUCCEEDED": 1, "FAILED": 2}


def test_a_job_waits_for_the_whole_array_or_for_one_child(deployed: Deployed) -> None:
    array = held(deployed)
    whole = submit(deployed, None, dependsOn=[{"jobId": array}])
    one = submit(deployed, None, dependsOn=[{"jobId": f"{array}:1"}])
    assert deployed.job(whole)["status"] == deployed.job(one)["status"] == "PENDING"
    deployed.control(jobs={f"{array}:1": {"hold": None, "seconds": 0}})
    deployed.reached(one, "SUCCEEDED")
    assert deployed.job(whole)["status"] == "PENDING"
    deployed.batch.terminate_job(jobId=f"{array}:0", reason="this one")
    assert deployed.job(whole)["status"] == "PENDING"
    deployed.control(jobs={f"{array}:2": {"hold": None, "seconds": 0}})
    assert deployed.reached(whole, *ENDED)["statusReason"] == "Dependent Job failed"


def test_an_array_waits_for_a_job(deployed: Deployed) -> None:
    first = submit(deployed, None, variables={"MNGEN_SANDBOX_HOLD": "RUNNING"})
    array = submit(deployed, dependsOn=[{"jobId": first}])
    found = deployed.job(array)
    assert (found["status"], found["dependsOn"]) == ("PENDING", [{"jobId": first}])
    assert counted(found) == {"PENDING": 3}
    deployed.batch.terminate_job(jobId=first, reason="test")
    found = deployed.job(array)
    assert (found["status"], found["statusReason"]) == ("FAILED", "Dependent Job failed")
    assert counted(found) == {"FAILED": 3}


def test_children_in_sequence_wait_for_each_other(deployed: Deployed) -> None:
    """Source: https://docs.aws.amazon.com/batch/latest/userguide/array_jobs.html"""
    array = submit(
        deployed,
        dependsOn=[{"type": "SEQUENTIAL"}],
        variables={"MNGEN_SANDBOX_HOLD": "RUNNING", "MNGEN_SANDBOX_SECONDS": "0"},
    )
    deployed.reached(f"{array}:0", "RUNNING")
    assert [each["status"] for each in children(deployed, array)][1:] == ["PENDING"] * 2
    deployed.control(jobs={f"{array}:0": {"hold": None}})
    deployed.reached(f"{array}:1", "RUNNING")
    assert deployed.job(f"{array}:2")["status"] == "PENDING"
    deployed.control(jobs={f"{array}:1": {"hold": None, "exits": [1]}})
    found = deployed.reached(array, *ENDED)
    assert (found["status"], found["statusReason"]) == ("FAILED", "Array Child Job failed")
    assert deployed.job(f"{array}:2")["statusReason"] == "Dependent Job failed"


def test_children_wait_for_those_with_their_index(deployed: Deployed) -> None:
    """Source: https://docs.aws.amazon.com/batch/latest/userguide/array_jobs.html"""
    first = held(deployed)
    second = submit(
        deployed,
        dependsOn=[{"jobId": first, "type": "N_TO_N"}],
        variables={"MNGEN_SANDBOX_SECONDS": "0"},
    )
    deployed.control(jobs={f"{first}:1": {"hold": None, "seconds": 0}})
    deployed.reached(f"{second}:1", "SUCCEEDED")
    assert counted(deployed.job(second)) == {"PENDING": 2, "SUCCEEDED": 1}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"size": 1}, "between 2 and 10000"),
        ({"size": 10_001}, "between 2 and 10000"),
        ({"dependsOn": [{"jobId": str(uuid4()), "type": "N_TO_N"}]}, "does not exist"),
        ({"dependsOn": [{"type": "N_TO_N"}]}, "does not exist"),
        ({"size": None, "dependsOn": [{"type": "SEQUENTIAL"}]}, "Only array jobs"),
        ({"jobDefinition": "mpi", "containerOverrides": {}}, "multi-node"),
    ],
)
def test_what_batch_refuses_of_arrays(
    deployed: Deployed, change: dict[str, Any], says: str
) -> None:
    if "jobDefinition" in change:
        change = {**change, "jobDefinition": f"{deployed.name}-mpi"}
    size = change.pop("size", 3)
    assert says in refused(lambda **more: submit(deployed, size, **more), **change)


def test_an_array_of_another_size_has_no_children_to_wait_for(deployed: Deployed) -> None:
    array = held(deployed, "RUNNABLE")
    depends = [{"jobId": array, "type": "N_TO_N"}]
    assert "size 2" in refused(lambda **more: submit(deployed, 2, **more), dependsOn=depends)


def test_children_cannot_be_tagged(deployed: Deployed) -> None:
    """Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_TagResource.html"""
    array = held(deployed, "RUNNABLE")
    arn = deployed.job(array)["jobArn"]
    assert "not supported" in refused(
        deployed.batch.tag_resource, resourceArn=f"{arn}:0", tags={"a": "b"}
    )
    assert "not supported" in refused(deployed.batch.list_tags_for_resource, resourceArn=f"{arn}:0")
    deployed.batch.tag_resource(resourceArn=arn, tags={"a": "b"})
    assert deployed.job(array)["tags"] == {"a": "b"}


def test_children_share_the_instances_of_their_environment(
    sandbox: Sandbox, deployed: Deployed
) -> None:
    """The environment has 8 instances: 8 of 12 children run, each on one, and 4 wait."""
    array = submit(deployed, 12, variables={"MNGEN_SANDBOX_HOLD": "RUNNING"})
    for index in range(8):
        deployed.reached(f"{array}:{index}", "RUNNING")
    assert counted(deployed.job(array)) == {"RUNNING": 8, "RUNNABLE": 4}
    assert len(deployed.ecs_members("m4")) == 8
    front = client(sandbox, "batch").get_job_queue_snapshot(jobQueue=f"{deployed.name}-small")
    waiting = [each["jobArn"] for each in front["frontOfQueue"]["jobs"]]
    assert [each.rpartition(":")[2] for each in waiting] == ["8", "9", "10", "11"]
    deployed.control(jobs={f"{array}:3": {"hold": None, "seconds": 0}})
    deployed.reached(f"{array}:8", "RUNNING")


def test_ten_thousand_children(deployed: Deployed) -> None:
    array = submit(deployed, 10_000, variables={"MNGEN_SANDBOX_HOLD": "RUNNABLE"})
    assert counted(deployed.job(array)) == {"RUNNABLE": 10_000}
    pages = deployed.batch.get_paginator("list_jobs").paginate(
        arrayJobId=array, jobStatus="RUNNABLE"
    )
    found = [each["jobId"] for page in pages for each in page["jobSummaryList"]]
    assert found == [f"{array}:{index}" for index in range(10_000)]
    deployed.batch.terminate_job(jobId=array, reason="test")
    assert deployed.job(array)["status"] == "FAILED"
    deployed.control(forget=[array])
    assert deployed.batch.describe_jobs(jobs=[array, f"{array}:0"])["jobs"] == []
