"""The rule of a submission that waits for other jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.account import array_of, is_to_come
from mngen.rules._rule import Match, Waiting
from mngen.rules.submission._rule import SubmissionRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.account import Target


class DependenciesCanSucceed(SubmissionRule):
    id = "MN321"
    title = "The jobs that a job waits for must exist and must not have failed"
    why = (
        "AWS Batch starts a job once all jobs that it depends on have succeeded. If one of them "
        "fails, the job fails too, without running. AWS Batch keeps a job for a week after it has "
        "finished; after that, nothing can wait for it."
    )
    remedy = "submit that job again, and wait for its new ID"
    source_url = "https://docs.aws.amazon.com/batch/latest/userguide/job_dependencies.html"
    manual_test = "aws batch describe-jobs --jobs ID --query 'jobs[].[jobId,status,statusReason]'"
    calls = ("batch:DescribeJobs",)
    waiting = Waiting.NOTHING

    @classmethod
    def matches(cls, target: Target) -> Iterator[Match]:
        wanted = target.intent.after
        if not wanted:
            return
        place = ("jobs", target.intent.job.name)
        # A job of an array that AWS Batch has not made yet is as far as its array.
        arrays = {each: array for each in wanted if (array := array_of(each))}
        ids = [*wanted, *dict.fromkeys(arrays.values())]
        known = {each["jobId"]: each for each in target.batch.describe_jobs(jobs=ids)["jobs"]}
        for identifier in wanted:
            job = known.get(identifier)
            whole = known.get(arrays.get(identifier, ""))
            if job is None and whole is not None and is_to_come(whole, identifier):
                continue
            if job is None:
                yield Match(
                    place,
                    f"AWS Batch has no record of the job `{identifier}` to wait for",
                    "check the ID and the region; mngen jobs lists the jobs",
                )
            elif job["status"] == "FAILED":
                yield Match(
                    place, f"the job `{identifier}` ({job['jobName']}) to wait for has failed"
                )
            elif failed := job.get("arrayProperties", {}).get("statusSummary", {}).get("FAILED"):
                yield Match(
                    place,
                    f"the array `{identifier}` ({job['jobName']}) to wait for will fail: {failed} "
                    "of its jobs failed",
                )
            elif job["status"] != "SUCCEEDED" and (
                job.get("isCancelled") or job.get("isTerminated")
            ):
                yield Match(
                    place, f"the job `{identifier}` ({job['jobName']}) to wait for was cancelled"
                )
