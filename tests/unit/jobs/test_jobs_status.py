"""Watching jobs over HTTP against the sandbox: states, reasons for waiting, ends, calls counted."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from mngen.errors import InputError, ToolError
from mngen.jobs import Jobs, WaitedTooLongError
from mngen.jobs._reasons import REMEDIES
from tests.support.batch import Deployed, hold, spec_text
from tests.support.cli import CHECKOUT, DEAF
from tests.support.faults import Faults
from tests.support.logs import logged
from tests.support.sandbox import client

if TYPE_CHECKING:
    from pathlib import Path

    from mngen.jobs import Cause
    from mngen.sandbox import Sandbox


def unique() -> str:
    return f"n{uuid4().hex[:10]}"


@pytest.mark.usefixtures("state_home")
class TestStatus:
    def test_each_node_of_a_running_job(self, deployed: Deployed, jobs: Jobs) -> None:
        identifier = hold(jobs, "RUNNING", nodes=3, attempts=2)
        found = jobs.status(identifier)
        assert (found.state, found.queue, found.attempt, found.attempts) == ("RUNNING", "big", 1, 2)
        assert found.definition == f"{deployed.name}-mpi:1"
        assert found.log_group == f"/mngen/{deployed.name}/jobs"
        assert [each.index for each in found.nodes] == [0, 1, 2]
        assert [each.main for each in found.nodes] == [True, False, False]
        for each in found.nodes:
            assert each.state == "RUNNING"
            assert each.since == found.started
            assert each.instance_type == "r5.12xlarge"
            assert re.fullmatch(r"i-[0-9a-f]{17}", each.instance or "")
            assert each.ami == deployed.images["r5.12xlarge"]
            cluster = f":container-instance/AWSBatch-{deployed.environments['r5']}-"
            assert cluster in (each.container_instance or "")
            assert each.exit_code is None
        assert len({each.instance for each in found.nodes}) == 3
        assert len({each.address for each in found.nodes}) == 3
        assert len({each.log_stream for each in found.nodes}) == 3
        jobs.cancel(identifier)

    def test_a_node_that_was_lost_while_the_others_run(
        self, deployed: Deployed, jobs: Jobs
    ) -> None:
        identifier = hold(jobs, "RUNNING", nodes=2)
        deployed.control(jobs={identifier: {"node_exits": {"1": 137}}})
        main, child = jobs.status(identifier).nodes
        assert (main.state, child.state, child.exit_code) == ("RUNNING", "FAILED", 137)
        jobs.cancel(identifier)

    def test_why_a_job_failed(self, deployed: Deployed, jobs: Jobs) -> None:
        identifier = hold(jobs, "RUNNING", nodes=2)
        reason = "OutOfMemoryError: Container killed due to memory usage"
        deployed.control(
            jobs={identifier: {"hold": None, "seconds": 0, "exits": [137], "reason": reason}}
        )
        found = jobs.wait(identifier)
        assert (found.state, found.exit_code) == ("FAILED", 137)
        assert found.nodes[0].reason == reason
        assert found.ended

    def test_a_job_that_waits_has_its_nodes_too(self, jobs: Jobs) -> None:
        identifier = hold(jobs, "RUNNABLE", nodes=4)
        found = jobs.status(identifier, why=False)
        assert [each.state for each in found.nodes] == ["RUNNABLE"] * 4
        assert {each.since for each in found.nodes} == {found.created}
        jobs.cancel(identifier)

    def test_a_job_of_one_node(self, jobs: Jobs) -> None:
        found = jobs.status(hold(jobs, "RUNNING", "one"))
        (node,) = found.nodes
        assert (node.main, node.state, node.instance_type) == (True, "RUNNING", "m4.4xlarge")
        jobs.cancel(found.id)

    def test_an_instance_that_ecs_forgot(self, jobs: Jobs) -> None:
        identifier = hold(jobs, "RUNNING", nodes=2)
        jobs.cancel(identifier)
        for each in jobs.status(identifier).nodes:
            assert each.instance is None
            assert each.container_instance

    @pytest.mark.parametrize(
        ("code", "status"),
        [
            ("AccessDeniedException", 400),
            ("ClusterNotFoundException", 400),
            ("ServerException", 500),
        ],
    )
    def test_without_ecs_the_rest_is_shown(
        self, deployed: Deployed, monkeypatch: pytest.MonkeyPatch, code: str, status: int
    ) -> None:
        with Faults(deployed.sandbox.endpoint) as faults:
            faults.redirect(monkeypatch)
            jobs = Jobs(deployed.cluster)
            identifier = hold(jobs, "RUNNING", nodes=2)
            faults.fail("ecs:DescribeContainerInstances", code, status=status)
            found = jobs.status(identifier)
            assert faults.count("ecs:DescribeContainerInstances")
        assert [each.state for each in found.nodes] == ["RUNNING"] * 2
        assert [each.instance for each in found.nodes] == [None] * 2
        assert all(each.address and each.container_instance for each in found.nodes)
        jobs.cancel(identifier)

    def test_the_command_shows_instances_whole(self, jobs: Jobs, run: Any) -> None:
        identifier = hold(jobs, "RUNNING", nodes=2)
        wanted = [each.instance for each in jobs.status(identifier).nodes]
        done = run("status", identifier, env={"COLUMNS": "40"})
        lines = [line for line in done.stdout.splitlines() if "r5.12xlarge i-" in line]
        assert [line.partition("r5.12xlarge ")[2].split()[0] for line in lines] == wanted
        shown = json.loads(run("status", identifier, "--format", "json").stdout)
        assert [each["instance"] for each in shown["nodes"]] == wanted
        jobs.cancel(identifier)

    @pytest.mark.parametrize(
        "text", ["{}#1", "arn:aws:batch:us-east-1:123456789012:job/{}", " {} "]
    )
    def test_a_job_is_found_by_any_of_its_names(self, jobs: Jobs, text: str) -> None:
        identifier = jobs.submit("one", name="any").id
        assert jobs.status(text.format(identifier)).id == identifier

    @pytest.mark.parametrize("text", ["", "nonsense", "#1", "it's"])
    def test_a_job_that_there_is_not(self, jobs: Jobs, text: str) -> None:
        with pytest.raises(InputError, match="not found"):
            jobs.status(text)

    def test_a_thousand_nodes_take_a_handful_of_calls(
        self, large: Deployed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Faults(large.sandbox.endpoint) as faults:
            faults.redirect(monkeypatch)
            jobs = Jobs(large.cluster)
            identifier = hold(jobs, "RUNNING", nodes=1000)
            earlier = len(faults.calls)
            steps: list[tuple[int, int]] = []
            found = jobs.status(identifier, progress=lambda done, of: steps.append((done, of)))
            calls = [call.action for call in faults.calls[earlier:]]
        assert len(found.nodes) == 1000
        assert {each.state for each in found.nodes} == {"RUNNING"}
        assert calls == ["batch:DescribeJobs"] * 11 + ["ecs:DescribeContainerInstances"] * 10
        assert len({each.instance for each in found.nodes} - {None}) == 1000
        assert steps[-1] == (1000, 1000)
        large.batch.terminate_job(jobId=identifier, reason="test")


@pytest.mark.usefixtures("state_home", "inside")
class TestWhy:
    """Every reason for waiting, produced and explained; each account is the test's own."""

    @pytest.fixture
    def own(self, sandbox: Sandbox, connect: Any) -> tuple[Deployed, Jobs]:
        deployed = Deployed(sandbox, spec_text(unique()))
        return deployed, Jobs(deployed.cluster, connect)

    def waiting(self, deployed: Deployed, **more: Any) -> str:
        """Submit past the rules, as the console does."""
        answer = deployed.batch.submit_job(
            **{
                "jobName": "past",
                "jobQueue": f"{deployed.name}-big",
                "jobDefinition": f"{deployed.name}-mpi",
                **more,
            }
        )
        return str(answer["jobId"])

    def causes(self, jobs: Jobs, identifier: str) -> tuple[Cause, ...]:
        found = jobs.status(identifier)
        assert found.state == "RUNNABLE"
        assert found.causes
        assert all(each.what and each.remedy for each in found.causes)
        return found.causes

    def certain(self, jobs: Jobs, identifier: str) -> list[str]:
        return [each.rule or each.what for each in self.causes(jobs, identifier) if each.certain]

    def test_nothing_is_wrong(self, jobs: Jobs) -> None:
        identifier = hold(jobs, "RUNNABLE")
        found = [each.what for each in self.causes(jobs, identifier)]
        assert any("nothing is wrong" in each for each in found) or all(
            each.rule in ("MN205", "MN206") for each in self.causes(jobs, identifier)
        )
        jobs.cancel(identifier)

    def test_a_job_that_does_not_wait_has_no_causes(self, jobs: Jobs) -> None:
        identifier = hold(jobs, "RUNNING")
        assert jobs.status(identifier).causes == ()
        jobs.cancel(identifier)

    def test_an_environment_is_disabled(self, own: tuple[Deployed, Jobs]) -> None:
        deployed, jobs = own
        name = deployed.environments["r5"]
        deployed.batch.update_compute_environment(computeEnvironment=name, state="DISABLED")
        found = self.causes(jobs, self.waiting(deployed))
        (rule,) = [each for each in found if each.rule == "MN311"]
        assert "is disabled" in rule.what

    def test_an_environment_is_invalid_with_its_reason(self, own: tuple[Deployed, Jobs]) -> None:
        deployed, jobs = own
        name = deployed.environments["r5"]
        deployed.batch.update_compute_environment(
            computeEnvironment=name, computeResources={"placementGroup": "nowhere"}
        )
        (rule,) = [
            each for each in self.causes(jobs, self.waiting(deployed)) if each.rule == "MN311"
        ]
        assert "is INVALID: CLIENT_ERROR - The Placement Group 'nowhere' is unknown" in rule.what

    def test_no_capacity(self, own: tuple[Deployed, Jobs]) -> None:
        deployed, jobs = own
        deployed.control(exhausted=["r5.12xlarge"])
        try:
            first = self.causes(jobs, self.waiting(deployed))[0]
        finally:
            deployed.control(exhausted=[])
        assert "INSUFFICIENT_INSTANCE_CAPACITY" in first.what
        assert "r5.12xlarge" in first.what
        assert "a queue of another zone" in first.remedy

    @pytest.mark.parametrize("code", REMEDIES)
    def test_each_reason_of_the_guide(self, own: tuple[Deployed, Jobs], code: str) -> None:
        deployed, jobs = own
        deployed.control(blocked={f"{deployed.name}-big": code})
        try:
            found = self.causes(jobs, self.waiting(deployed))
        finally:
            deployed.control(blocked={})
        [said] = [each for each in found if each.what.startswith(f"AWS Batch reports: {code} ")]
        assert said.certain is (code != "UNDETERMINED")
        assert said.remedy != "see the other causes"

    def test_more_than_a_node_registers(self, own: tuple[Deployed, Jobs]) -> None:
        deployed, jobs = own
        needs = [{"type": "VCPU", "value": "48"}, {"type": "MEMORY", "value": "393216"}]
        override = {"targetNodes": "0:", "containerOverrides": {"resourceRequirements": needs}}
        found = self.certain(
            jobs, self.waiting(deployed, nodeOverrides={"nodePropertyOverrides": [override]})
        )
        assert found[0].startswith("AWS Batch reports: MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT")
        assert {"MN303", "MN304"} <= set(found)

    def test_more_nodes_than_there_may_be(self, own: tuple[Deployed, Jobs]) -> None:
        deployed, jobs = own
        found = self.certain(jobs, self.waiting(deployed, nodeOverrides={"numNodes": 5}))
        assert found[0].startswith(
            "AWS Batch reports: MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE"
        )
        assert "MN305" in found

    def test_max_vcpus_is_reached_by_others(self, own: tuple[Deployed, Jobs]) -> None:
        deployed, jobs = own
        running = hold(jobs, "RUNNING", nodes=4)
        first, second = self.waiting(deployed), self.waiting(deployed)
        found = [each.what for each in self.causes(jobs, first)]
        assert any("4 of the 4 nodes" in each and running in each for each in found)
        found = [each.what for each in self.causes(jobs, second)]
        assert any("1 job is ahead" in each and first in each for each in found)

    def test_the_quota(self, own: tuple[Deployed, Jobs], sandbox: Sandbox) -> None:
        deployed, jobs = own
        quotas = client(sandbox, "service-quotas")
        quota = {"ServiceCode": "ec2", "QuotaCode": "L-1216C47A"}
        before = quotas.get_service_quota(**quota)["Quota"]["Value"]
        quotas.request_service_quota_increase(**quota, DesiredValue=50)
        try:
            assert "MN316" in self.certain(jobs, self.waiting(deployed))
        finally:
            quotas.request_service_quota_increase(**quota, DesiredValue=before)

    def test_the_machine_image_is_gone(self, own: tuple[Deployed, Jobs]) -> None:
        deployed, jobs = own
        deployed.ec2.deregister_image(ImageId=deployed.images["r5.12xlarge"])
        assert "MN313" in self.certain(jobs, self.waiting(deployed))

    def test_the_instance_profile_is_gone(self, own: tuple[Deployed, Jobs]) -> None:
        deployed, jobs = own
        profile = {"InstanceProfileName": deployed.profile}
        deployed.iam.remove_role_from_instance_profile(**profile, RoleName=deployed.profile)
        deployed.iam.delete_instance_profile(**profile)
        assert "MN315" in self.certain(jobs, self.waiting(deployed))

    def test_the_subnets_have_no_way_out(self, own: tuple[Deployed, Jobs]) -> None:
        deployed, jobs = own
        gateways = deployed.ec2.describe_internet_gateways()["InternetGateways"]
        identifier = hold(jobs, "RUNNABLE")
        found = self.certain(jobs, identifier)
        # The emulated default VPC has no gateway until one is given to it.
        assert ("MN205" in found) is not bool(gateways)

    def test_many_nodes_on_spot(self, own: tuple[Deployed, Jobs]) -> None:
        deployed, jobs = own
        identifier = self.waiting(deployed, jobQueue=f"{deployed.name}-small")
        assert "MN306" in self.certain(jobs, identifier)

    def test_a_job_that_it_depends_on(self, own: tuple[Deployed, Jobs]) -> None:
        deployed, jobs = own
        first = hold(jobs, "RUNNING")
        second = self.waiting(deployed, dependsOn=[{"jobId": first}])
        found = jobs.status(second)
        assert found.state == "PENDING"
        assert first in found.causes[0].what

    def test_a_refusal_hides_nothing_else(
        self, own: tuple[Deployed, Jobs], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        deployed, _ = own
        identifier = self.waiting(deployed, nodeOverrides={"numNodes": 5})
        with Faults(deployed.sandbox.endpoint) as faults:
            faults.redirect(monkeypatch)
            faults.fail("ec2:DescribeImages", "UnauthorizedOperation", status=403)
            faults.fail("iam:GetInstanceProfile", "AccessDenied", status=403)
            found = self.certain(Jobs(deployed.cluster), identifier)
        assert "MN305" in found
        assert "MN313" not in found

    def test_the_command_says_what_to_do(self, deployed: Deployed, run: Any) -> None:
        identifier = self.waiting(deployed, nodeOverrides={"numNodes": 5})
        done = run("status", identifier)
        assert done.returncode == 0
        assert "error[MN305]: the job requests 5 nodes, and `r5` has at most 4" in done.stdout
        assert "help: use fewer `--nodes`" in done.stdout
        shown = json.loads(run("status", identifier, "--format", "json").stdout)
        assert shown["causes"][0]["what"].startswith("AWS Batch reports:")
        assert [each["index"] for each in shown["nodes"]] == [0, 1, 2, 3, 4]
        deployed.batch.terminate_job(jobId=identifier, reason="test")


class TestList:
    def test_filters(self, jobs: Jobs) -> None:
        name = unique()
        held = hold(jobs, "RUNNABLE", "one", name=f"{name}-a")
        big = hold(jobs, "RUNNABLE", name=f"{name}-b", nodes=3)

        def ids(**wanted: Any) -> list[str]:
            return [each.id for each in jobs.list(**wanted) if each.name.startswith(name)]

        assert ids() == [big, held]
        assert ids(queue="small") == [held]
        assert ids(name=f"{name}-?") == [big, held]
        assert ids(name=f"{name}-b") == [big]
        assert ids(states=["RUNNABLE"]) == [big, held]
        assert ids(states=["RUNNING", "FAILED"]) == []
        assert ids(since=time.time() + 60) == []
        (shown,) = [each for each in jobs.list() if each.id == big]
        assert (shown.nodes, shown.queue, shown.state) == (3, "big", "RUNNABLE")
        jobs.cancel(held)
        jobs.cancel(big)

    def test_more_than_a_page(self, deployed: Deployed, jobs: Jobs) -> None:
        name = unique()
        hold = [{"name": "MNGEN_SANDBOX_HOLD", "value": "RUNNABLE"}]
        for _ in range(103):
            deployed.batch.submit_job(
                jobName=name,
                jobQueue=f"{deployed.name}-small",
                jobDefinition=f"{deployed.name}-one",
                containerOverrides={"environment": hold},
            )
        assert len(jobs.list(name=name)) == 103

    def test_what_there_is_not(self, jobs: Jobs) -> None:
        with pytest.raises(InputError) as caught:
            jobs.list(queue="bik")
        assert caught.value.problems[0].hint == "did you mean `big`?"
        with pytest.raises(InputError, match="unknown job state"):
            jobs.list(states=["DONE"])

    def test_the_command(self, jobs: Jobs, run: Any) -> None:
        identifier = hold(jobs, "RUNNABLE", "one", name="listed")
        done = run("jobs", "--name", "listed", "--since", "1h", "--status", "runnable")
        assert identifier in done.stdout
        shown = json.loads(run("jobs", "--name", "listed", "--format", "json").stdout)
        assert [each["id"] for each in shown] == [identifier]
        assert run("jobs", "--since", "yesterday").returncode == 1
        jobs.cancel(identifier)


class TestEnd:
    def test_waiting_for_success_and_failure(self, deployed: Deployed, run: Any) -> None:
        good = run("submit", "one", "--name", unique()).stdout.strip()
        bad = run(
            "submit", "one", "--name", unique(), "--env", "MNGEN_SANDBOX_EXIT=3"
        ).stdout.strip()
        deployed.control(jobs={good: {"seconds": 0}, bad: {"seconds": 0}})
        assert run("wait", good).returncode == 0
        done = run("wait", bad, "--format", "json")
        assert done.returncode == 1
        assert json.loads(done.stdout)["exit_code"] == 3
        assert done.stderr.splitlines()[-1].startswith("FAILED: ")

    def test_waiting_no_longer_than_asked(self, jobs: Jobs, run: Any) -> None:
        identifier = hold(jobs, "RUNNABLE", "one")
        with pytest.raises(WaitedTooLongError, match="RUNNABLE"):
            jobs.wait(identifier, timeout=0)
        # In real seconds: two pauses.
        began = time.monotonic()
        assert run("wait", identifier, "--timeout", "1.2").returncode == 3
        assert time.monotonic() - began > 1.2
        jobs.cancel(identifier)

    @pytest.mark.parametrize(
        ("start", "number"), [((), signal.SIGINT), (DEAF, signal.SIGTERM)], ids=["SIGINT", "deaf"]
    )
    def test_an_interrupt_ends_the_waiting_alone(
        self,
        deployed: Deployed,
        jobs: Jobs,
        folder: Path,
        start: tuple[str, ...],
        number: signal.Signals,
    ) -> None:
        identifier = hold(jobs, "RUNNING", "one")
        process = subprocess.Popen(
            [*start, *CHECKOUT, "wait", identifier],
            cwd=folder,
            env=deployed.sandbox.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        assert process.stderr.readline() == "RUNNING\n"
        process.send_signal(number)
        _, said = process.communicate(timeout=180)
        assert process.returncode == 130
        assert "the job continues" in said
        assert jobs.status(identifier).state == "RUNNING"
        jobs.cancel(identifier)

    def test_a_job_that_vanishes(self, deployed: Deployed, jobs: Jobs) -> None:
        identifier = hold(jobs, "RUNNING", "one")

        def forget(_state: str, _reason: str | None) -> None:
            deployed.control(forget=[identifier])

        with pytest.raises(ToolError, match="no longer has a record"):
            jobs.wait(identifier, on_progress=forget)

    def test_credentials_that_expire(
        self, deployed: Deployed, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        identifier = hold(jobs, "RUNNING", "one")
        with Faults(deployed.sandbox.endpoint) as faults:
            faults.redirect(monkeypatch)
            faults.fail("batch:DescribeJobs", "ExpiredTokenException", after=1)
            with pytest.raises(ToolError, match="expired") as caught:
                Jobs(deployed.cluster).wait(identifier)
        hint = str(caught.value.problems[0].hint)
        assert "aws sso login" in hint
        assert f"the job continues; to resume: mngen wait {identifier}" in hint
        jobs.cancel(identifier)

    def test_an_endpoint_that_fails_for_a_while(
        self, deployed: Deployed, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        identifier = hold(jobs, "RUNNING", "one")

        def end_once_it_answers(line: str) -> None:
            if line == "AWS answers again":
                deployed.control(jobs={identifier: {"hold": None, "seconds": 0, "exits": [0]}})

        with Faults(deployed.sandbox.endpoint) as faults, logged(end_once_it_answers) as said:
            faults.redirect(monkeypatch)
            # A client tries a call five times by itself.
            faults.fail("batch:DescribeJobs", "ServerException", status=500, after=1, times=6)
            found = Jobs(deployed.cluster).wait(identifier)
        assert found.state == "SUCCEEDED"
        assert any("trying again" in each for each in said)
        assert "AWS answers again" in said

    def test_cancelling_what_waits_and_what_runs(self, jobs: Jobs) -> None:
        for state in ("RUNNABLE", "RUNNING"):
            identifier = hold(jobs, state, nodes=2)
            # The id of a node stands for the job: all nodes end.
            assert jobs.cancel(f"{identifier}#1", "enough 'of' \"it\"") is True
            found = jobs.status(identifier)
            assert (found.state, found.reason) == ("FAILED", "enough 'of' \"it\"")
            assert {each.state for each in found.nodes} == {"FAILED"}
            assert jobs.cancel(identifier) is False

    def test_another_deployments_job_is_left_alone(
        self, sandbox: Sandbox, jobs: Jobs, connect: Any
    ) -> None:
        other = Deployed(sandbox, spec_text(unique()))
        identifier = Jobs(other.cluster, connect).submit("one").id
        with pytest.raises(InputError, match=f"of the deployment `{other.name}`"):
            jobs.cancel(identifier)

    def test_the_command_asks(self, jobs: Jobs, run: Any) -> None:
        identifier = hold(jobs, "RUNNABLE", "one")
        refused = run("cancel", identifier)
        assert refused.returncode == 1
        assert refused.stderr == (
            "error: not a terminal: pass --yes to confirm\n"
            f"  help: run mngen status {identifier} to see the job\n"
        )
        assert jobs.status(identifier).state == "RUNNABLE"
        assert run("cancel", identifier, "--yes").returncode == 0
        assert "already finished" in run("cancel", identifier, "-y").stderr
