"""Tags of jobs, and cancelling many of them, over HTTP against the sandbox."""

from __future__ import annotations

import json
import time
from typing import Any, cast
from uuid import uuid4

import botocore.session
import pytest
from botocore.loaders import JSONFileLoader

from mngen.account import Target
from mngen.errors import InputError, ToolError
from mngen.jobs import Jobs, JobSummary, Order, _clock
from mngen.jobs._cancel_many import NotCancelledError, cancel_many
from mngen.rules import check_submission
from tests.support.batch import Deployed, hold
from tests.support.faults import Faults


def unique() -> str:
    return f"n{uuid4().hex[:10]}"


class TestTags:
    def test_they_are_the_jobs(self, deployed: Deployed, jobs: Jobs) -> None:
        name, tags = unique(), {"project": "wing 7", "cost-center": "47:11/a=b+c@d_e"}
        done = jobs.submit("mpi", name=name, tags=tags)
        found = deployed.job(done.id)["tags"]
        assert tags.items() <= found.items()
        assert found["mngen:deployment"] == deployed.name
        assert jobs.submit("mpi", name=name, tags=tags).existed
        assert not jobs.submit("mpi", name=name).existed

    @pytest.mark.parametrize(
        ("tags", "says"),
        [
            ({"k" * 129: ""}, "a key has 1 to 128 characters"),
            ({"k": "v" * 257}, "a value at most 256"),
            ({"k!": ""}, "use letters, digits"),
            ({"k": "é;"}, "use letters, digits"),
            ({"aws:x": ""}, "`aws:` are reserved"),
            ({"Mngen:deployment": "other"}, "are reserved"),
            ({"k": "AWS:x"}, "tag values starting with `AWS:` are reserved"),
        ],
    )
    def test_what_aws_refuses(self, jobs: Jobs, tags: dict[str, str], says: str) -> None:
        """Source: https://docs.aws.amazon.com/batch/latest/userguide/tag-restrictions.html"""
        with pytest.raises(InputError) as caught:
            jobs.submit("one", tags=tags)
        [problem] = caught.value.problems
        assert says in f"{problem.message} {problem.hint}"

    @pytest.mark.parametrize("job", ["one", "mpi"])
    def test_fifty(self, jobs: Jobs, job: str) -> None:
        # mngen adds three.
        most = {f"k{number}": "" for number in range(47)}
        jobs.prepare(Order(job=job, tags=most)).require()
        prepared = jobs.prepare(Order(job=job, tags={**most, "k47": ""}))
        assert [each.rule for each in prepared.problems] == ["MN322"]
        assert prepared.problems[0].message == "the job would have 51 tags"

    @pytest.mark.parametrize(
        ("job", "propagates", "refused"),
        [("one", True, True), ("one", False, False), ("mpi", True, False)],
    )
    def test_with_those_of_the_definition_where_they_are_propagated(
        self, jobs: Jobs, job: str, *, propagates: bool, refused: bool
    ) -> None:
        """Source: propagateTags in botocore's model of AWS Batch, and using-tags of its guide."""
        prepared = jobs.prepare(Order(job=job, tags={f"k{number}": "" for number in range(20)}))
        found: Any = prepared.definition
        definition = {
            **found,
            "propagateTags": propagates,
            "tags": {f"d{number}": "" for number in range(28)},
        }
        problems = check_submission(
            Target(prepared.intent, prepared.target.account, cast("Any", definition))
        )
        assert [each.rule for each in problems if each.rule == "MN322"] == ["MN322"] * refused
        if refused:
            [problem] = [each for each in problems if each.rule == "MN322"]
            assert "51 tags" in problem.message

    def test_the_list_has_those_with_all_tags(self, jobs: Jobs) -> None:
        tag = unique()
        both = jobs.submit("one", name=unique(), tags={"a": tag, "b": "1"})
        one = jobs.submit("one", name=unique(), tags={"a": tag})
        assert {each.id for each in jobs.list(tags={"a": tag})} == {both.id, one.id}
        assert [each.id for each in jobs.list(tags={"a": tag, "b": "1"})] == [both.id]
        assert jobs.list(tags={"a": tag, "b": "2"}) == ()


class TestBulkCallOfTheSandbox:
    """Source: botocore's model of AWS Batch (TerminateJobs)."""

    def test_what_is_not_there_counts_as_done(self, deployed: Deployed, jobs: Jobs) -> None:
        held = hold(jobs, "RUNNING", "one")
        gone = str(uuid4())
        answer = deployed.batch.terminate_jobs(jobs=[held, gone], reason="enough")
        assert (answer["successful"], answer["errors"]) == ([held, gone], [])
        found = deployed.job(held)
        assert (found["status"], found["statusReason"]) == ("FAILED", "enough")

    def test_fifty_at_most(self, deployed: Deployed) -> None:
        batch = deployed.batch
        with pytest.raises(batch.exceptions.ClientException):
            batch.terminate_jobs(jobs=[str(uuid4()) for _ in range(51)], reason="x")


class Refusing:
    """A client of Batch whose answers to TerminateJobs are set, in turn."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[list[str]] = []

    def terminate_jobs(self, *, jobs: list[str], reason: str) -> Any:
        assert reason
        assert len(jobs) <= 50
        self.asked.append(jobs)
        answer = self.answers.pop(0) if self.answers else {}
        if isinstance(answer, Exception):
            raise answer
        errors = [{"job": job, "code": code, "message": "said so"} for job, code in answer.items()]
        return {"successful": [job for job in jobs if job not in answer], "errors": errors}


def summaries(count: int, state: Any = "RUNNING") -> list[JobSummary]:
    return [
        JobSummary(id=f"i{n}", name=f"n{n}", queue="q", state=state, nodes=1, created=0.0)
        for n in range(count)
    ]


class TestMany:
    def test_fifty_a_call_and_those_that_wait_first(self) -> None:
        batch: Any = Refusing()
        seen: list[tuple[int, int]] = []
        running, waiting = summaries(70), summaries(50, "PENDING")
        cancel_many(batch, [*running, *waiting], "x", progress=lambda *two: seen.append(two))
        assert [len(each) for each in batch.asked] == [50, 50, 20]
        assert batch.asked[0] == [each.id for each in waiting]
        assert seen == [(50, 120), (100, 120), (120, 120)]

    def test_single_jobs_are_tried_again_while_batch_is_busy(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        batch: Any = Refusing({"i1": "ThrottlingException", "i2": "ServerException"}, {})
        pauses: list[float] = []
        monkeypatch.setattr(_clock, "sleep", pauses.append)
        cancel_many(batch, summaries(3), "x")
        assert batch.asked == [["i0", "i1", "i2"], ["i1", "i2"]]
        assert pauses == [1.0]

    def test_what_was_refused_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        throttled = {"i1": "ThrottlingException"}
        batch: Any = Refusing({"i0": "AccessDenied", **throttled}, *[throttled] * 4)
        monkeypatch.setattr(_clock, "sleep", lambda _: None)
        with pytest.raises(ToolError) as caught:
            cancel_many(batch, summaries(3), "x")
        first, *others = [each.message for each in caught.value.problems]
        assert first == "2 of 3 jobs could not be cancelled"
        assert others == [
            "i0 (n0): AccessDenied: said so",
            "i1 (n1): ThrottlingException: said so",
        ]

    def test_a_call_that_fails_leaves_the_rest(self) -> None:
        batch: Any = Refusing({}, OSError("no route"))
        with pytest.raises(ToolError) as caught:
            cancel_many(batch, summaries(120), "x")
        assert len(batch.asked) == 2
        assert "70 of 120 jobs are not cancelled, the first i50 (n50)" in str(caught.value)

    def test_what_was_refused_before_a_call_that_fails_is_named(self) -> None:
        batch: Any = Refusing({"i7": "AccessDenied"}, OSError("no route"))
        found = summaries(52)
        with pytest.raises(NotCancelledError) as caught:
            cancel_many(batch, found, "x")
        messages = [each.message for each in caught.value.problems]
        assert messages[-2:] == [
            "2 of 52 jobs are not cancelled, the first i50 (n50), and AWS Batch refused 1",
            "i7 (n7): AccessDenied: said so",
        ]
        assert set(caught.value.refused) == {"i7", "i50", "i51"}

    def test_a_botocore_that_knows_the_single_call_alone(
        self, deployed: Deployed, jobs: Jobs
    ) -> None:
        """The description of AWS Batch without TerminateJobs, as before botocore 1.43.93."""
        session: Any = botocore.session.get_session()
        loader = session.get_component("data_loader")
        # Its own: what all sessions of this process read must stay whole.
        loader.file_loader = JSONFileLoader()
        described = loader.load_service_model("batch", "service-2")
        del described["operations"]["TerminateJobs"]
        batch: Any = session.create_client(
            "batch",
            region_name="us-east-1",
            endpoint_url=deployed.sandbox.endpoint,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        assert not hasattr(batch, "terminate_jobs")
        name = unique()
        rows = [{"MNGEN_SANDBOX_HOLD": "RUNNABLE", "N": str(n)} for n in range(3)]
        jobs.sweep(Order(job="one", name=name), rows)
        found = jobs.list(name=f"{name}-*")
        seen: list[tuple[int, int]] = []
        cancel_many(batch, found, "enough", progress=lambda *two: seen.append(two))
        assert seen == [(1, 3), (2, 3), (3, 3)]
        assert {each.state for each in jobs.list(name=f"{name}-*")} == {"FAILED"}
        with Faults(deployed.sandbox.endpoint) as faults:
            for code in ("ClientException", "AccessDeniedException"):
                faults.fail("batch:TerminateJob", code, times=1)
            there: Any = session.create_client(
                "batch",
                region_name="us-east-1",
                endpoint_url=faults.environment()["AWS_ENDPOINT_URL"],
                aws_access_key_id="test",
                aws_secret_access_key="test",
            )
            with pytest.raises(ToolError) as caught:
                cancel_many(there, found, "enough")
        assert f"2 of 3 jobs are not cancelled, the first {found[1].id}" in str(caught.value)
        assert f"{found[0].id} ({found[0].name}): ClientException: injected" in str(caught.value)

    def test_the_jobs_of_a_list(self, deployed: Deployed, jobs: Jobs) -> None:
        name = unique()
        rows = [{"MNGEN_SANDBOX_HOLD": "RUNNABLE", "N": str(n)} for n in range(3)]
        done = jobs.sweep(Order(job="one", name=name), rows)
        jobs.cancel(done[0].id)
        jobs.cancel_many(jobs.list(name=f"{name}-*"), "all of it")
        reasons = [deployed.job(each.id)["statusReason"] for each in done]
        assert reasons == ["ended with mngen cancel", "all of it", "all of it"]


class TestCommand:
    def sweep(self, jobs: Jobs, count: int = 3) -> tuple[str, list[str]]:
        name = unique()
        rows = [{"MNGEN_SANDBOX_HOLD": "RUNNABLE", "N": str(n)} for n in range(count)]
        done = jobs.sweep(Order(job="one", name=name, tags={"run": name}), rows)
        return name, [each.id for each in done]

    def states(self, jobs: Jobs, name: str) -> set[str]:
        return {each.state for each in jobs.list(name=f"{name}-*")}

    def test_a_sweep(self, jobs: Jobs, run: Any) -> None:
        name, ids = self.sweep(jobs)
        asked = run("cancel", "--name", f"{name}-*")
        assert asked.returncode == 1
        assert "not a terminal: pass --yes" in asked.stderr
        assert self.states(jobs, name) == {"RUNNABLE"}
        done = run("cancel", "--name", f"{name}-*", "--yes", "--format", "json")
        assert done.returncode == 0, done.stderr
        assert {each["id"] for each in json.loads(done.stdout)} == set(ids)
        assert self.states(jobs, name) == {"FAILED"}
        again = run("cancel", "--tag", f"run={name}", "--yes")
        assert again.returncode == 0
        assert "No unfinished jobs found." in again.stderr

    def test_what_has_waited_for_more_than_a_week(
        self, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """AWS Batch counts the week that it keeps a job from the job's end.

        Source: https://docs.aws.amazon.com/batch/latest/userguide/job_states.html
        """
        name, ids = self.sweep(jobs)
        later = time.time() + 30 * 86_400
        with monkeypatch.context() as patch:
            patch.setattr(_clock, "now", lambda: later)
            assert {each.id for each in jobs.list(name=f"{name}-*")} == set(ids)
        jobs.cancel_many(jobs.list(name=f"{name}-*"))

    def test_by_tag_and_state(self, jobs: Jobs, run: Any) -> None:
        name, ids = self.sweep(jobs, 2)
        none = run("cancel", "--tag", f"run={name}", "--status", "running", "--yes")
        assert "No unfinished jobs" in none.stderr
        done = run("cancel", "--tag", f"run={name}", "--status", "runnable", "--yes")
        assert f"{len(ids)} jobs are being cancelled." in done.stderr
        assert self.states(jobs, name) == {"FAILED"}
        assert run("jobs", "--tag", f"run={name}").stdout.count(name) == 2

    @pytest.mark.parametrize("arguments", [(), ("id", "--name", "x"), ("--tag", "x", "--yes")])
    def test_one_or_the_other(self, run: Any, arguments: tuple[str, ...]) -> None:
        assert run("cancel", *arguments).returncode == 2

    def test_half_of_it_fails(self, deployed: Deployed, jobs: Jobs, run: Any) -> None:
        name, _ = self.sweep(jobs, 60)
        with Faults(deployed.sandbox.endpoint) as faults:
            faults.fail("batch:TerminateJobs", "AccessDeniedException", status=403, after=1)
            done = run("cancel", "--name", f"{name}-*", "--yes", env=faults.environment())
        assert done.returncode == 3
        assert "10 of 60 jobs are not cancelled" in done.stderr
        assert self.states(jobs, name) == {"FAILED", "RUNNABLE"}
        with Faults(deployed.sandbox.endpoint) as faults:
            faults.fail("batch:TerminateJobs", "AccessDeniedException", status=403)
            wanted = ("--yes", "--format", "json")
            shown = run("cancel", "--name", f"{name}-*", *wanted, env=faults.environment())
        assert shown.returncode == 3
        left = json.loads(shown.stdout)
        assert {each["ended"] for each in left} == {False}
        assert {each["id"] for each in left} == {
            each.id for each in jobs.list(name=f"{name}-*") if each.state == "RUNNABLE"
        }
        assert all("injected by the test" in each["reason"] for each in left), left[0]
        assert run("cancel", "--name", f"{name}-*", "--yes").returncode == 0
        assert self.states(jobs, name) == {"FAILED"}

    def test_what_a_pending_job_waits_for(self, jobs: Jobs, run: Any) -> None:
        """Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_CancelJob.html"""
        name = unique()
        first = hold(jobs, "RUNNING", "one", name=f"{name}-mesh")
        second = jobs.submit("one", name=f"{name}-solve", after=[first], tags={"run": name})
        third = jobs.submit("one", name=f"{name}-post", after=[second.id], tags={"run": name})
        one = run("cancel", third.id, "--yes")
        assert f"it depends on the job {second.id}" in one.stderr
        assert "cancel those jobs as well: mngen cancel ID" in one.stderr
        some = run("cancel", "--tag", f"run={name}", "--yes")
        assert some.returncode == 0
        assert f"mngen cancel {first}  # {name}-mesh" in some.stderr
        assert f"mngen cancel {second.id}" not in some.stderr
        everything = run("cancel", "--name", f"{name}-*", "--yes")
        assert "PENDING" not in everything.stderr
        assert self.states(jobs, name) == {"FAILED"}
