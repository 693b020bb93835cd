"""ListJobs of the emulated Batch: one filter, its own order, and pages.

A filter does not apply to the nodes of a job and to the children of an array.
Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_ListJobs.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.batch.exceptions import ClientException

from mngen.sandbox.batch._job import STATES, node_summary, summary

if TYPE_CHECKING:
    from collections.abc import Callable

    from mngen.sandbox.batch._job import Job
    from mngen.sandbox.batch._schedule import State

_PAGE = 1000
_FILTERED_PAGE = 100


def list_jobs(backend: Any, state: State, request: dict[str, Any]) -> dict[str, Any]:
    """Returns one page of the answer to a ListJobs request.

    Raises:
        ClientException: Batch would refuse the request.
    """
    status = request.get("jobStatus") or "RUNNING"
    if status not in STATES:
        raise ClientException(f"Job status is not one of {' | '.join(STATES)}")
    filters = request.get("filters") or []
    scopes = [request.get(key) for key in ("jobQueue", "arrayJobId", "multiNodeJobId")]
    if sum(scope is not None for scope in scopes) != 1:
        raise ClientException("Exactly one of jobQueue, arrayJobId, multiNodeJobId must be given")
    if request.get("multiNodeJobId"):
        nodes = _nodes(state, request["multiNodeJobId"])
        found = [each for each in nodes if each["status"] == status]
        filters = []
    elif request.get("arrayJobId"):
        array = state.jobs.get(request["arrayJobId"])
        children = [] if array is None else array.children
        there = [each for each in children if each.is_there]
        found = [summary(each) for each in there if each.status == status]
        filters = []
    else:
        found = _jobs(backend, state, request, status)
    most = _FILTERED_PAGE if filters else _PAGE
    size = min(int(request.get("maxResults") or most), most)
    first = int(request.get("nextToken") or 0)
    answer: dict[str, Any] = {"jobSummaryList": found[first : first + size]}
    if first + size < len(found):
        answer["nextToken"] = str(first + size)
    return answer


def _jobs(backend: Any, state: State, request: dict[str, Any], status: str) -> list[dict[str, Any]]:
    queue = backend.get_job_queue(request.get("jobQueue"))
    if queue is None:
        raise ClientException(f"Job queue {request.get('jobQueue')} does not exist")
    # An array is listed, its children are not.
    own = [job for job in state.jobs.values() if job.queue is queue and job.parent is None]
    filters = request.get("filters") or []
    if not filters:
        return [summary(job) for job in own if job.status == status]
    if len(filters) > 1:
        raise ClientException("Only one filter can be used at a time")
    holds = _filter(filters[0]["name"], filters[0].get("values") or [])
    chosen = sorted((job for job in own if holds(job)), key=lambda job: job.created, reverse=True)
    return [summary(job) for job in chosen]


def _filter(name: str, values: list[str]) -> Callable[[Job], bool]:
    if name == "JOB_NAME":
        return lambda job: any(_matches(job.name.lower(), value.lower()) for value in values)
    if name == "JOB_DEFINITION":
        return lambda job: any(
            value == job.definition.arn or _matches(job.definition.name, value) for value in values
        )
    if name == "AFTER_CREATED_AT":
        return lambda job: round(job.created * 1000) > int(values[0])
    if name == "BEFORE_CREATED_AT":
        return lambda job: round(job.created * 1000) < int(values[0])
    raise ClientException(f"Filter {name} is not supported")


def _matches(text: str, pattern: str) -> bool:
    if pattern.endswith("*"):
        return text.startswith(pattern[:-1])
    return text == pattern


def _nodes(state: State, identifier: str) -> list[dict[str, Any]]:
    job = state.jobs.get(identifier)
    if job is None or not job.multi_node or not job.attempts:
        return []
    return [node_summary(job, node) for node in range(len(job.containers))]
