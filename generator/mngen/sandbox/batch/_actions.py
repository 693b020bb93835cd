"""The job actions of the emulated Batch, and the reading of what the jobs wrote."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

from moto.batch.exceptions import ClientException
from moto.batch.models import batch_backends
from moto.batch.responses import BatchResponse
from moto.logs.exceptions import InvalidParameterException, ResourceNotFoundException
from moto.logs.models import logs_backends
from moto.logs.responses import LogsResponse

from mngen.sandbox.batch import _job as job_model
from mngen.sandbox.batch._clock import clock_of
from mngen.sandbox.batch._list import list_jobs
from mngen.sandbox.batch._logs import write_output
from mngen.sandbox.batch._schedule import WAITING, State, advance, state_of, stop
from mngen.sandbox.batch._shares import snapshot
from mngen.sandbox.batch._submit import submit

_MAX_DESCRIBED = 100
_KILLED = 137
_MAX_TERMINATED = 50


class JobActions:
    """The actions on jobs; moto's run Docker containers."""

    batch_backend: Any
    body: Any
    path: str

    def submitjob(self) -> str:
        """Refuses what Batch refuses, and honours the overrides of multi-node jobs."""
        state = tick(self.batch_backend)
        job = submit(self.batch_backend, self.body, state.jobs, state.run_seconds)
        tick(self.batch_backend)
        return json.dumps({"jobArn": job.arn, "jobId": job.id, "jobName": job.name})

    def describejobs(self) -> str:
        """Describes at most 100 jobs, nodes of multi-node jobs among them; leaves unknown ones out.

        A node exists once the job is placed; its id is that of the job with `#` and its index. That
        of a child of an array is that of the array with `:` and its index.
        """
        wanted = json.loads(self.body or "{}").get("jobs") or []
        if not 1 <= len(wanted) <= _MAX_DESCRIBED:
            raise ClientException(f"Expected between 1 and {_MAX_DESCRIBED} job ids")
        state = tick(self.batch_backend)
        found = (_described(self.batch_backend, state, each) for each in dict.fromkeys(wanted))
        return json.dumps({"jobs": [each for each in found if each is not None]})

    def listjobs(self) -> str:
        """Filters, sorts and pages as Batch does; without a state, lists what is RUNNING."""
        request = json.loads(self.body or "{}")
        return json.dumps(list_jobs(self.batch_backend, tick(self.batch_backend), request))

    def getjobqueuesnapshot(self) -> str:
        """Lists the first jobs of a queue in the order of their dispatch, and its use by share."""
        name = json.loads(self.body or "{}").get("jobQueue")
        queue = self.batch_backend.get_job_queue(name)
        if queue is None:
            raise ClientException(f"Job queue {name} does not exist")
        jobs, now = tick(self.batch_backend).jobs.values(), clock_of(self.batch_backend).now()
        return json.dumps(snapshot(self.batch_backend, queue, jobs, now))

    def canceljob(self) -> str:
        """Cancels a job that is not yet placed; silently leaves any other as it is."""
        job, _, reason = self._target()
        if job is not None and job.status in WAITING:
            stop(job, reason, "cancelled", clock_of(self.batch_backend).now())
        return "{}"

    def terminatejob(self) -> str:
        """Cancels a job in any state, with all its nodes; the ID of a node cancels only it."""
        job, node, reason = self._target()
        if job is not None and node is not None and node != job.main:
            job.script.node_exits[node] = _KILLED
        elif job is not None:
            stop(job, reason, "terminated", clock_of(self.batch_backend).now())
            write_output(self.batch_backend)
        return "{}"

    def terminatejobs(self) -> str:
        """Cancels up to 50 jobs in any state; those that are not there count as cancelled.

        In which words more than 50 are refused is inferred.
        Source: botocore's model of AWS Batch (TerminateJobs)
        """
        request = json.loads(self.body or "{}")
        wanted = request.get("jobs") or []
        if not request.get("reason"):
            raise ClientException("'reason' is a required field (cannot be an empty string)")
        if not 1 <= len(wanted) <= _MAX_TERMINATED:
            raise ClientException(f"Expected between 1 and {_MAX_TERMINATED} job ids")
        state, now = tick(self.batch_backend), clock_of(self.batch_backend).now()
        for each in wanted:
            if each in state.jobs:
                stop(state.jobs[each], request["reason"], "terminated", now)
        write_output(self.batch_backend)
        return json.dumps({"successful": wanted, "errors": []})

    def tags(self) -> Any:
        """Tags what has tags: the nodes of a job and the children of an array have none.

        In which words Batch refuses is inferred.
        Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_TagResource.html
        """
        arn = unquote(self.path).rpartition("/v1/tags/")[2]
        if set("#:") & set(arn.rpartition(":job/")[2]) and ":job/" in arn:
            raise ClientException(f"Tags are not supported for child job {arn}")
        return _TAGS(self)

    def _target(self) -> tuple[job_model.Job | None, int | None, str]:
        request = json.loads(self.body or "{}")
        for field in ("jobId", "reason"):
            if not request.get(field):
                raise ClientException(f"'{field}' is a required field (cannot be an empty string)")
        identifier, _, node = request["jobId"].partition("#")
        job = tick(self.batch_backend).jobs.get(identifier)
        return job, int(node) if node.isdigit() else None, request["reason"]


class LogActions:
    """Reading of logs, which first updates what the jobs have written by now."""

    body: Any
    current_account: str
    region: str

    def get_log_events(self) -> Any:
        """Reads one stream; one that is not there yet is not a missing group."""
        tick(batch_backends[self.current_account][self.region])
        request = json.loads(self.body or "{}")
        group = logs_backends[self.current_account][self.region].groups.get(
            request.get("logGroupName")
        )
        if group is not None and request.get("logStreamName") not in group.streams:
            raise ResourceNotFoundException("The specified log stream does not exist.")
        return _GET(self)

    def filter_log_events(self) -> Any:
        """Reads many streams, at most 100, and interleaves their events by time, as AWS does.

        One stream that is not there is an error.
        Source: https://github.com/percona/rds_exporter/issues/81
        Source: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html
        """
        tick(batch_backends[self.current_account][self.region])
        request = json.loads(self.body or "{}")
        names = request.get("logStreamNames") or []
        if len(names) > _MAX_DESCRIBED:
            raise InvalidParameterException(
                "1 validation error detected: Value at 'logStreamNames' failed to satisfy "
                f"constraint: Member must have length less than or equal to {_MAX_DESCRIBED}"
            )
        logs = logs_backends[self.current_account][self.region]
        group = logs.groups.get(request.get("logGroupName"))
        if group is not None and not group.streams.keys() >= set(names):
            raise ResourceNotFoundException("The specified log stream does not exist.")
        events, token, searched = logs.filter_log_events(
            request.get("logGroupName"),
            names,
            request.get("startTime"),
            request.get("endTime"),
            request.get("limit"),
            request.get("nextToken"),
            request.get("filterPattern"),
            interleaved=True,
        )
        answer = {"events": events, "nextToken": token, "searchedLogStreams": searched}
        return json.dumps({key: value for key, value in answer.items() if value is not None})

    def describe_log_streams(self) -> Any:
        """Lists the streams of a group."""
        tick(batch_backends[self.current_account][self.region])
        return _DESCRIBE(self)


_TAGS: Any = BatchResponse.tags
_GET: Any = LogsResponse.get_log_events
_DESCRIBE: Any = LogsResponse.describe_log_streams


def tick(backend: Any) -> State:
    """Updates all jobs and their output to the present; returns them."""
    advance(backend, clock_of(backend).now())
    write_output(backend)
    return state_of(backend)


def _described(backend: Any, state: State, wanted: str) -> dict[str, Any] | None:
    identifier, _, node = wanted.rpartition(":job/")[2].partition("#")
    job = state.jobs.get(identifier)
    if job is None or not job.is_there:
        return None
    if not node:
        tags = {} if job.parent else backend.list_tags_for_resource(job.arn)
        return job_model.detail(job, tags)
    if job.multi_node and job.attempts and node.isdigit() and int(node) < len(job.containers):
        return job_model.node_detail(job, int(node))
    return None
