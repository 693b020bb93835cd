"""What a job depends on: what it still waits for, and which of those jobs has failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.account import size_of
from mngen.jobs._arrays import counts_of, list_children
from mngen.jobs._batch import describe
from mngen.jobs._types import ENDED, WAITING, Awaited, Cause

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mypy_boto3_batch.client import BatchClient
    from mypy_boto3_batch.type_defs import JobDetailTypeDef

_DEPENDENCY_FAILED = "Dependent Job failed"
DEPENDENCIES = "https://docs.aws.amazon.com/batch/latest/userguide/job_dependencies.html"


def dependencies_of(job: JobDetailTypeDef) -> tuple[str, ...]:
    """Returns the IDs of the jobs that a job depends on, in Batch's order, each once."""
    return tuple(
        dict.fromkeys(each["jobId"] for each in job.get("dependsOn", []) if "jobId" in each)
    )


def was_cancelled(job: JobDetailTypeDef) -> bool:
    """Returns whether a user has cancelled a job, which may take effect only later.

    CancelJob cancels a PENDING job once the jobs that it depends on have finished. AWS does not
    document when TerminateJob does, which mngen calls.
    Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_CancelJob.html
    """
    return bool(job.get("isCancelled") or job.get("isTerminated"))


def awaited_of(batch: BatchClient, ids: Iterable[str]) -> dict[str, tuple[Awaited, ...]]:
    """Returns which jobs each job still waits for, in two calls for each hundred.

    Args:
        batch: The client.
        ids: IDs of jobs that are PENDING.
    """
    wanted = {each["jobId"]: dependencies_of(each) for each in describe(batch, list(ids))}
    others = list(dict.fromkeys(each for found in wanted.values() for each in found))
    known = {each["jobId"]: each for each in describe(batch, others)}
    return {
        job: tuple(
            Awaited(id=each, name=known[each]["jobName"], state=known[each]["status"])
            for each in found
            if each in known and known[each]["status"] not in ENDED
        )
        for job, found in wanted.items()
    }


def unfinished_causes(batch: BatchClient, job: JobDetailTypeDef) -> Iterator[Cause]:
    """Yields the jobs that a waiting job waits for."""
    if job["status"] not in WAITING:
        return
    waits = False
    for each in describe(batch, dependencies_of(job)):
        if each["status"] not in ENDED:
            waits = True
            yield Cause(
                what=f"it depends on the job {each['jobId']} ({each['jobName']}), which is "
                f"{each['status']}",
                remedy=f"wait for it, or see why it waits: mngen status {each['jobId']}",
                see=DEPENDENCIES,
            )
    if waits and was_cancelled(job):
        yield Cause(
            what="it was cancelled; AWS Batch may cancel a PENDING job only when the jobs that it "
            "depends on have finished",
            remedy="wait, or cancel those jobs as well: mngen cancel ID",
            see="https://docs.aws.amazon.com/batch/latest/APIReference/API_CancelJob.html",
        )


def failed_causes(batch: BatchClient, job: JobDetailTypeDef) -> Iterator[Cause]:
    """Yields the jobs whose failure made a job fail before it ran: of a chain, the first ones.

    Batch reports "Dependent Job failed", and not which one. What counts here is what the jobs show.
    Source: https://github.com/insitro/redun (redun/executors/aws_batch.py), for Batch's words

    An array fails if one of its jobs does: the first that did is named.
    Source: https://docs.aws.amazon.com/batch/latest/userguide/array_jobs.html
    """
    if not _failed_unstarted(job):
        if job["status"] == "FAILED" and size_of(job) is not None:
            yield from _failed_child(batch, job)
        return
    seen: set[str] = {job["jobId"]}
    level = dependencies_of(job)
    while level:
        seen.update(level)
        following: list[str] = []
        for each in describe(batch, level):
            further = dependencies_of(each) if _failed_unstarted(each) else ()
            if further:
                following += [one for one in further if one not in seen]
            elif each["status"] == "FAILED":
                yield _failed_cause(each)
        level = tuple(dict.fromkeys(following))


def _failed_cause(job: JobDetailTypeDef) -> Cause:
    how = "was cancelled" if was_cancelled(job) else "failed"
    reason = job.get("statusReason")
    return Cause(
        what=f"it never ran, since the job {job['jobId']} ({job['jobName']}) {how}"
        + (f": {reason}" if reason else ""),
        remedy=f"see mngen status {job['jobId']}; then submit both jobs again",
        see=DEPENDENCIES,
    )


def _failed_child(batch: BatchClient, array: JobDetailTypeDef) -> Iterator[Cause]:
    for each in list_children(batch, array["jobId"], ("FAILED",), most=1):
        count = counts_of(array).get("FAILED", 1)
        reason = each.get("container", {}).get("reason") or each.get("statusReason")
        code = each.get("container", {}).get("exitCode")
        exited = "" if code is None else f" with exit code {code}"
        yield Cause(
            what=f"{count} of its {size_of(array)} jobs failed, one of them {each['jobId']}{exited}"
            + (f": {reason}" if reason else ""),
            remedy=f"see mngen logs {each['jobId']}; mngen jobs --array {array['jobId']} "
            "--status FAILED lists them",
            see="https://docs.aws.amazon.com/batch/latest/userguide/array_jobs.html",
        )


def _failed_unstarted(job: JobDetailTypeDef) -> bool:
    """Returns whether a job failed before its first attempt, and not because it was cancelled.

    An array has no attempts at all.
    """
    if size_of(job) is not None and job.get("statusReason") != _DEPENDENCY_FAILED:
        return False
    return job["status"] == "FAILED" and not job.get("attempts") and not was_cancelled(job)
