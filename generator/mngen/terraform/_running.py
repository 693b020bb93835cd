"""Jobs that run where a plan would update the compute environment: shown before the apply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mngen._aws import client, translate
from mngen.errors import Problem, Severity
from mngen.terraform._missing import search_of
from mngen.terraform._summary import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mngen.terraform._plan import Plan

_ENVIRONMENT = "aws_batch_compute_environment"
_ON_INSTANCES = ("STARTING", "RUNNING")
# Its resource has no `timeouts` block, and this is the default of the provider's `create`, `update`
# and `delete`: internal/service/batch/compute_environment.go of terraform-provider-aws.
_PROVIDER_MINUTES = 20


def running_jobs(plan: Plan, connect: Callable[[str, str], Any] = client) -> Iterator[Problem]:
    """Yields a warning for each environment whose instances are replaced under running jobs.

    Args:
        plan: The plan.
        connect: Makes a boto3 client of a service and a region.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    replaced = {
        each.address: each.consequence
        for each in plan.summary.of(Kind.UPDATE)
        if each.type == _ENVIRONMENT and each.consequence
    }
    search = search_of(plan.data)
    if search is None or not replaced:
        return
    try:
        batch = connect("batch", search.region)
        for each in plan.data["resource_changes"]:
            if each["address"] in replaced:
                jobs = _jobs(batch, each["change"]["before"]["arn"])
                if jobs:
                    yield _warning(each["address"], jobs, replaced[each["address"]] or "")
    except (BotoCoreError, ClientError) as error:
        problem = translate(error).problems[0]
        yield Problem(
            f"cannot check for running jobs on instances to be replaced: {problem.message}",
            severity=Severity.INFO,
            hint=problem.hint,
        )


def _warning(address: str, count: int, consequence: str) -> Problem:
    jobs = "1 job is" if count == 1 else f"{count} jobs are"
    return Problem(
        f"{jobs} STARTING or RUNNING in the queues of this environment; {consequence}",
        severity=Severity.WARNING,
        path=address,
        hint="wait for them first (`mngen jobs --status RUNNING`), or add a second environment "
        "with the change and put it first in the queue. AWS updates the environment only once they "
        f"have ended: Terraform gives up after {_PROVIDER_MINUTES} minutes while AWS goes on, so "
        "run `mngen apply` again when `aws batch describe-compute-environments` shows VALID",
    )


def _jobs(batch: Any, environment: str) -> int:
    """Returns how many jobs are on instances in the queues that name an environment.

    An array is PENDING while its jobs run, and its entry has how many do.
    Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_ListJobs.html (jobStatus),
    https://docs.aws.amazon.com/batch/latest/APIReference/API_ArrayPropertiesSummary.html
    """
    queues = [
        queue["jobQueueArn"]
        for page in batch.get_paginator("describe_job_queues").paginate()
        for queue in page["jobQueues"]
        if environment in (each["computeEnvironment"] for each in queue["computeEnvironmentOrder"])
    ]
    return sum(
        1 if state in _ON_INSTANCES else _on_instances(job)
        for queue in queues
        for state in (*_ON_INSTANCES, "PENDING")
        for page in batch.get_paginator("list_jobs").paginate(jobQueue=queue, jobStatus=state)
        for job in page["jobSummaryList"]
    )


def _on_instances(job: Any) -> int:
    counts = job.get("arrayProperties", {}).get("statusSummary", {})
    return sum(counts.get(state, 0) for state in _ON_INSTANCES)
