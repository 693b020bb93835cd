"""Submission over HTTP against the sandbox: read back field by field, and never made twice."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from mngen.errors import InputError, Severity, ToolError
from mngen.jobs import Jobs, Order
from tests.support.batch import Deployed, spec_text
from tests.support.cli import CHECKOUT, mngen
from tests.support.faults import Faults
from tests.support.sandbox import client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mngen.sandbox import Sandbox

QUOTES = """it's "quoted" $HOME `id` \\ %s {x} é 日本 ; & | < > * ? ! #"""


def unique() -> str:
    return f"n{uuid4().hex[:10]}"


def variables(container: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container["environment"]}


def nodes_of(job: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = job["nodeProperties"]["nodeRangeProperties"][0]["container"]
    return found


def named(deployed: Deployed, name: str, queue: str = "big") -> list[dict[str, Any]]:
    found = deployed.batch.list_jobs(
        jobQueue=f"{deployed.name}-{queue}", filters=[{"name": "JOB_NAME", "values": [name]}]
    )["jobSummaryList"]
    return [each for each in found if each["status"] != "FAILED"]


def test_a_multi_node_job_read_back_field_by_field(deployed: Deployed, jobs: Jobs) -> None:
    name = unique()
    done = jobs.submit(
        "mpi",
        nodes=3,
        name=name,
        command=["sh", "-c", QUOTES],
        environment={"A": QUOTES, "OMP_NUM_THREADS": "2"},
        vcpus=4,
        memory=4096,
        attempts=2,
        timeout=120,
    )
    job = deployed.job(done.id)
    assert job["jobName"] == name
    assert job["jobQueue"].endswith(f"/{deployed.name}-big")
    assert job["jobDefinition"].endswith(f"/{deployed.name}-mpi:1")
    assert job["nodeProperties"]["numNodes"] == 3
    assert job["retryStrategy"]["attempts"] == 2
    assert job["timeout"] == {"attemptDurationSeconds": 120}
    assert job["tags"]["mngen:deployment"] == deployed.name
    assert job["tags"]["mngen:submission"] == done.token
    container = nodes_of(job)
    assert container["command"] == ["sh", "-c", QUOTES]
    found = variables(container)
    assert re.fullmatch(r"[0-9a-f]{64}", found.pop("MNGEN_SECRET"))
    spec = {"MNGEN_SHARED": "/efs", "MNGEN_CPUS": "24"}
    assert found == {"A": QUOTES, "OMP_NUM_THREADS": "2", **spec}
    needs = {each["type"]: each["value"] for each in container["resourceRequirements"]}
    assert needs == {"VCPU": "4", "MEMORY": "4096"}
    assert (done.name, done.queue, done.nodes, done.existed) == (name, "big", 3, False)


def test_what_is_not_asked_for_is_the_definitions(deployed: Deployed, jobs: Jobs) -> None:
    job = deployed.job(jobs.submit("mpi", name=unique()).id)
    container = nodes_of(job)
    assert container["command"] == ["python3", "/efs/mpi_example.py"]
    assert variables(container).keys() == {
        "OMP_NUM_THREADS",
        "MNGEN_CPUS",
        "MNGEN_SECRET",
        "MNGEN_SHARED",
    }
    assert job["nodeProperties"]["numNodes"] == 2
    assert job["timeout"] == {"attemptDurationSeconds": 3600}


def test_a_job_of_one_node_has_no_secret(deployed: Deployed, jobs: Jobs) -> None:
    done = jobs.submit("one", name=unique(), command=["uname"], environment={"B": "c"})
    container = deployed.job(done.id)["container"]
    assert container["command"] == ["uname"]
    assert variables(container)["B"] == "c"
    assert "MNGEN_SECRET" not in variables(container)
    assert done.nodes == 1


def test_every_job_has_a_secret_of_its_own(deployed: Deployed, jobs: Jobs) -> None:
    name = unique()
    found = [
        variables(nodes_of(deployed.job(jobs.submit("mpi", name=name, again=True).id)))
        for _ in range(3)
    ]
    assert len({each["MNGEN_SECRET"] for each in found}) == 3


class TestRepeated:
    def test_the_same_submission_is_the_same_job(self, deployed: Deployed, jobs: Jobs) -> None:
        name = unique()
        first = jobs.submit("mpi", name=name)
        second = jobs.submit("mpi", name=name)
        assert second.id == first.id
        assert (first.existed, second.existed) == (False, True)
        assert second.by == first.by
        assert len(named(deployed, name)) == 1

    def test_from_another_machine_too(
        self, jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        name = unique()
        first = jobs.submit("mpi", name=name)
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "elsewhere"))
        assert jobs.submit("mpi", name=name).id == first.id

    def test_another_request_is_another_job(self, jobs: Jobs) -> None:
        name = unique()
        ids = {
            jobs.submit("mpi", name=name, **wanted).id
            for wanted in (
                {},
                {"nodes": 1},
                {"environment": {"A": "1"}},
                {"command": ["x"]},
                {"timeout": 61},
                {"attempts": 2},
                {"vcpus": 1},
            )
        }
        assert len(ids) == 7

    def test_again_is_another_job(self, jobs: Jobs) -> None:
        name = unique()
        assert jobs.submit("one", name=name).id != jobs.submit("one", name=name, again=True).id

    def test_a_job_that_succeeded_counts_and_one_that_failed_does_not(
        self, deployed: Deployed, jobs: Jobs
    ) -> None:
        name = unique()
        first = jobs.submit("one", name=name)
        deployed.control(jobs={first.id: {"seconds": 0}})
        again = jobs.submit("one", name=name)
        assert again.id == first.id
        failing = jobs.submit("one", name=unique(), environment={"MNGEN_SANDBOX_EXIT": "1"})
        deployed.control(jobs={failing.id: {"seconds": 0}})
        deployed.batch.terminate_job(jobId=failing.id, reason="test")
        assert deployed.job(failing.id)["status"] == "FAILED"
        repeated = jobs.submit("one", name=failing.name, environment={"MNGEN_SANDBOX_EXIT": "1"})
        assert repeated.id != failing.id
        assert repeated.existed is False

    def test_a_job_that_batch_forgot_does_not_count(self, deployed: Deployed, jobs: Jobs) -> None:
        name = unique()
        first = jobs.submit("one", name=name)
        deployed.control(forget=[first.id])
        assert jobs.submit("one", name=name).id != first.id

    def test_without_a_place_for_the_record(
        self, jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").touch()
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
        name = unique()
        assert jobs.submit("one", name=name).id == jobs.submit("one", name=name).id

    def test_a_record_cut_short_says_nothing(self, jobs: Jobs, state_home: Path) -> None:
        name = unique()
        first = jobs.submit("one", name=name)
        (file,) = (state_home / "mngen" / "submissions").glob("*.json")
        assert first.id in file.read_text(encoding="utf-8")
        assert file.stat().st_mode & 0o077 == 0
        file.write_text('{"began": 17', encoding="utf-8")
        assert jobs.submit("one", name=name).id == first.id

    def test_two_at_once_on_one_machine(self, deployed: Deployed, jobs: Jobs) -> None:
        name = unique()
        with ThreadPoolExecutor(2) as pool:
            done = list(pool.map(lambda _: jobs.submit("one", name=name).id, range(2)))
        assert done[0] == done[1]
        assert len(named(deployed, name, "small")) == 1

    def test_two_at_once_on_two_machines(
        self, deployed: Deployed, folder: Path, tmp_path: Path
    ) -> None:
        """Both have looked before either submits; in the end one job is left."""
        name = unique()
        with Faults(deployed.sandbox.endpoint) as faults:
            holds = [faults.hold("batch:SubmitJob", times=1) for _ in range(2)]
            processes = [
                subprocess.Popen(
                    [*CHECKOUT, "submit", "one", "--name", name],
                    cwd=folder,
                    env={**faults.environment(), "XDG_STATE_HOME": str(tmp_path / who)},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
                for who in ("anna", "bert")
            ]
            # Both requests are on their way before either goes on.
            assert all(hold.reached.wait(180) for hold in holds)
            for hold in holds:
                hold.released.set()
            said = [each.communicate(timeout=180) for each in processes]
        assert [each.returncode for each in processes] == [0, 0], said
        (left,) = named(deployed, name, "small")
        assert {out.split()[-1] for out, _ in said} == {left["jobId"]}

    def test_killed_before_the_answer_and_repeated(
        self, deployed: Deployed, folder: Path, run: Any, state_home: Path
    ) -> None:
        name = unique()
        with Faults(deployed.sandbox.endpoint) as faults:
            # Batch has taken the job, and whoever submitted it never reads so.
            held = faults.hold_answer("batch:SubmitJob")
            process = subprocess.Popen(
                [*CHECKOUT, "submit", "one", "--name", name],
                cwd=folder,
                env={**faults.environment(), "XDG_STATE_HOME": str(state_home)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            assert held.reached.wait(180)
            process.send_signal(signal.SIGKILL)
            process.communicate()
        done = run("submit", "one", "--name", name)
        assert done.returncode == 0
        assert done.stdout.split() == [named(deployed, name, "small")[0]["jobId"]]
        assert "was submitted earlier" in done.stderr


@pytest.mark.usefixtures("state_home", "clock")
class TestFaults:
    @pytest.fixture
    def faults(self, deployed: Deployed) -> Iterator[Faults]:
        with Faults(deployed.sandbox.endpoint) as faults:
            yield faults

    @pytest.fixture
    def through(self, faults: Faults, deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> Jobs:
        """The jobs of the deployment, asked through the faults."""
        faults.redirect(monkeypatch)
        return Jobs(deployed.cluster)

    def test_an_answer_that_is_lost_makes_no_second_job(
        self, deployed: Deployed, faults: Faults, through: Jobs
    ) -> None:
        name = unique()
        faults.lose("batch:SubmitJob", times=1)
        done = through.submit("one", name=name)
        assert [each["jobId"] for each in named(deployed, name, "small")] == [done.id]
        assert faults.count("batch:SubmitJob") == 1

    def test_a_server_error_that_hides_a_job_makes_no_second_one(
        self, deployed: Deployed, faults: Faults, through: Jobs
    ) -> None:
        name = unique()
        deployed.control(run_seconds=1.0)
        faults.fail("batch:SubmitJob", "ServerException", status=500, times=1)
        # Nothing is there after a while of looking, so the request is sent again.
        done = through.submit("one", name=name)
        assert [each["jobId"] for each in named(deployed, name, "small")] == [done.id]
        assert faults.count("batch:SubmitJob") == 2

    def test_throttling_is_waited_out(self, faults: Faults, through: Jobs) -> None:
        faults.fail("batch:SubmitJob", "TooManyRequestsException", status=429, times=2)
        faults.fail("batch:DescribeJobQueues", "TooManyRequestsException", status=429, times=2)
        assert through.submit("one", name=unique()).id
        assert faults.count("batch:SubmitJob") == 3

    def test_expired_credentials_are_said(self, faults: Faults, through: Jobs) -> None:
        faults.fail("batch:DescribeJobDefinitions", "ExpiredTokenException")
        with pytest.raises(ToolError, match="expired"):
            through.submit("one", name=unique())

    def test_a_refusal_is_said_and_not_repeated(self, faults: Faults, through: Jobs) -> None:
        faults.fail("batch:SubmitJob", "AccessDeniedException", "you may not", status=403)
        with pytest.raises(ToolError, match="denies SubmitJob"):
            through.submit("one", name=unique())
        assert faults.count("batch:SubmitJob") == 1

    def test_a_rule_without_permission_hides_no_other(self, faults: Faults, through: Jobs) -> None:
        faults.fail("ecr:DescribeImages", "AccessDeniedException", status=400)
        with pytest.raises(InputError) as caught:
            through.submit("mpi", name=unique(), nodes=5)
        assert [each.rule for each in caught.value.problems] == ["MN305"]
        assert through.submit("mpi", name=unique()).id

    def test_a_submission_takes_few_calls(self, faults: Faults, through: Jobs) -> None:
        through.submit("mpi", name=unique(), nodes=4)
        assert len(faults.calls) <= 14, [call.action for call in faults.calls]


class TestRules:
    """Each rule of a submission, on an account of its own where it changes things."""

    def found(self, jobs: Jobs, job: str = "mpi", **wanted: Any) -> list[str]:
        problems = jobs.prepare(Order(job=job, **wanted)).problems
        assert all(each.message and each.hint and each.source_url for each in problems)
        return [each.rule or "" for each in problems]

    def test_nothing_is_wrong_with_what_stands(self, jobs: Jobs) -> None:
        assert self.found(jobs) == []
        assert self.found(jobs, "one") == []

    @pytest.mark.parametrize(
        ("wanted", "rules"),
        [
            ({"vcpus": 25}, ["MN303"]),
            ({"memory": 393_216}, ["MN304"]),
            ({"nodes": 5}, ["MN305"]),
            ({"queue": "small", "vcpus": 8, "memory": 60_000}, ["MN306"]),
            ({"command": ("x" * 7_200,)}, ["MN308"]),
            ({"environment": {"AWS_BATCH_JOB_ID": "1", "A=B": "c", "": "d"}}, ["MN309"] * 3),
            ({"environment": {"A": ""}}, ["MN310"]),
            ({"vcpus": 25, "memory": 393_216, "nodes": 5}, ["MN303", "MN304", "MN305"]),
        ],
    )
    def test_what_cannot_be_asked_for(
        self, jobs: Jobs, wanted: dict[str, Any], rules: list[str]
    ) -> None:
        assert self.found(jobs, **wanted) == rules

    def test_the_overrides_leave_room_for_what_batch_adds(
        self, deployed: Deployed, jobs: Jobs
    ) -> None:
        """They may have 8,192 characters with it: the sources are those of the rule."""
        order = Order(job="mpi", command=("x",))
        length = len(jobs.prepare(order).intent.overrides)
        fits = ("x" * (8192 - 1024 - length + 1),)
        assert self.found(jobs, command=fits) == []
        assert self.found(jobs, command=(fits[0] + "x",)) == ["MN308"]
        job = deployed.job(jobs.submit("mpi", name=unique(), command=fits).id)
        assert nodes_of(job)["command"] == list(fits)
        assert deployed.reached(job["jobId"], "SUCCEEDED", "FAILED")["status"] == "SUCCEEDED"
        # How ECS counts other characters is not documented: they have six, as they are sent.
        assert self.found(jobs, command=("é" * 1300,)) == ["MN308"]

    @pytest.mark.usefixtures("jobs")
    def test_what_is_not_there(self, sandbox: Sandbox, connect: Any) -> None:
        deployed = Deployed(sandbox, spec_text(f"j{uuid4().hex[:10]}"))
        own = Jobs(deployed.cluster, connect)
        batch, name = deployed.batch, deployed.name
        assert self.found(own) == []

        deployed.ec2.deregister_image(ImageId=deployed.images["r5.12xlarge"])
        assert self.found(own) == ["MN313"]
        deployed.iam.remove_role_from_instance_profile(
            InstanceProfileName=deployed.profile, RoleName=deployed.profile
        )
        assert self.found(own) == ["MN313", "MN315"]
        deployed.iam.delete_instance_profile(InstanceProfileName=deployed.profile)
        assert self.found(own) == ["MN313", "MN315"]
        client(sandbox, "ecr").batch_delete_image(
            repositoryName=f"{name}/mpi", imageIds=[{"imageTag": "v1"}]
        )
        assert self.found(own) == ["MN312", "MN313", "MN315"]
        client(sandbox, "ecr").delete_repository(repositoryName=f"{name}/mpi")
        assert self.found(own) == ["MN312", "MN313", "MN315"]
        environment = {"computeEnvironment": deployed.environments["r5"]}
        batch.update_compute_environment(**environment, state="DISABLED")
        assert self.found(own) == ["MN311", "MN312", "MN313", "MN315"]
        batch.update_job_queue(jobQueue=f"{name}-big", state="DISABLED")
        assert self.found(own)[0] == "MN302"
        batch.delete_job_queue(jobQueue=f"{name}-big")
        assert self.found(own) == ["MN302", "MN312"]
        batch.deregister_job_definition(jobDefinition=f"{name}-mpi:1")
        assert self.found(own)[0] == "MN301"

    def test_a_quota_that_the_job_alone_exceeds(self, jobs: Jobs, sandbox: Sandbox) -> None:
        quotas = client(sandbox, "service-quotas")
        quota = {"ServiceCode": "ec2", "QuotaCode": "L-1216C47A"}
        before = quotas.get_service_quota(**quota)["Quota"]["Value"]
        quotas.request_service_quota_increase(**quota, DesiredValue=100)
        try:
            assert self.found(jobs, nodes=2) == []
            assert self.found(jobs, nodes=3) == ["MN316"]
            (problem,) = jobs.prepare(Order(job="mpi", nodes=3)).problems
            assert "fewer `--nodes`: 2 fit" in str(problem.hint)
            quotas.request_service_quota_increase(**quota, DesiredValue=40)
            (problem,) = jobs.prepare(Order(job="mpi", nodes=2)).problems
            assert str(problem.hint).endswith("which can take days")
        finally:
            quotas.request_service_quota_increase(**quota, DesiredValue=before)

    @pytest.mark.usefixtures("jobs")
    def test_a_definition_that_is_not_the_specs(self, sandbox: Sandbox, connect: Any) -> None:
        deployed = Deployed(sandbox, spec_text(f"j{uuid4().hex[:10]}"))
        text = spec_text(deployed.name, nodes=3, more="container: {tag: v2}\n")
        own = Jobs.of(self.write(text), connect)
        (problem,) = own.prepare(Order(job="mpi")).problems
        assert (problem.rule, problem.severity) == ("MN314", Severity.WARNING)
        assert "image, nodes" in problem.message

    @pytest.fixture(autouse=True)
    def write_to(self, tmp_path: Path) -> None:
        self._folder = tmp_path

    def write(self, text: str) -> Path:
        file = self._folder / "own.yaml"
        file.write_text(text, encoding="utf-8")
        return file

    @pytest.mark.usefixtures("jobs")
    def test_registering_what_the_spec_says(self, sandbox: Sandbox, connect: Any) -> None:
        deployed = Deployed(sandbox, spec_text(f"j{uuid4().hex[:10]}"))
        text = spec_text(deployed.name, nodes=3).replace("timeout: 3600", "timeout: 7200")
        own = Jobs.of(self.write(text), connect)
        done = own.submit("mpi", register=True, name=unique())
        assert done.definition == f"{deployed.name}-mpi:2"
        assert deployed.job(done.id)["timeout"] == {"attemptDurationSeconds": 7200}
        first, second = (
            deployed.batch.describe_job_definitions(jobDefinitions=[f"{deployed.name}-mpi:{n}"])[
                "jobDefinitions"
            ][0]
            for n in (1, 2)
        )
        assert second["nodeProperties"]["numNodes"] == 3
        assert second["tags"] == first["tags"]
        own_log, old_log = (
            each["nodeProperties"]["nodeRangeProperties"][0]["container"]["logConfiguration"]
            for each in (second, first)
        )
        assert own_log == old_log
        # Nothing is registered twice, and the same submission is the same job.
        assert own.submit("mpi", register=True, name=done.name).id == done.id
        assert own.prepare(Order(job="mpi")).problems == ()

    def test_killed_between_registration_and_submission_and_repeated(
        self, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        own = Deployed(sandbox, spec_text(f"j{uuid4().hex[:10]}"))
        self.write(spec_text(own.name, nodes=4))
        arguments = ["submit", "mpi", "--register", "--file", "own.yaml"]
        with Faults(sandbox.endpoint) as faults:
            hold = faults.hold("batch:ListJobs")
            environment = {**faults.environment(), "XDG_STATE_HOME": str(tmp_path)}
            process = subprocess.Popen(
                [*CHECKOUT, *arguments],
                cwd=tmp_path,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            assert hold.reached.wait(180)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            assert faults.count("batch:RegisterJobDefinition") == 1
        repeated = mngen(
            *arguments,
            cwd=tmp_path,
            env={**sandbox.environment(), "XDG_STATE_HOME": str(tmp_path)},
        )
        assert repeated.returncode == 0, repeated.stderr
        revisions = own.batch.describe_job_definitions(jobDefinitionName=f"{own.name}-mpi")
        assert [each["revision"] for each in revisions["jobDefinitions"]] == [1, 2]
        assert len(named(own, "mpi")) == 1


class TestCommand:
    def test_the_id_comes_first_and_alone(self, deployed: Deployed, run: Any) -> None:
        done = run("submit", "mpi", "--name", unique(), "--nodes", "3")
        assert done.returncode == 0
        (line,) = done.stdout.splitlines()
        assert deployed.job(line)["nodeProperties"]["numNodes"] == 3
        assert "3 nodes) to big" in done.stderr
        # 3 nodes, the timeout of an hour, 3.024 USD each.
        assert "price: at most mpi 9.07 USD (3 x r5.12xlarge x 1 h); on demand in" in done.stderr

    def test_a_damaged_price_table_stops_no_job(self, run: Any, folder: Path) -> None:
        table = folder / "mngen-prices.json"
        table.write_text("{", encoding="utf-8")
        try:
            done = run("submit", "mpi", "--name", unique())
        finally:
            table.unlink()
        assert done.returncode == 0, done.stderr
        assert "warning: cannot read the price table" in done.stderr
        assert "price: at most mpi 6.05 USD" in done.stderr

    def test_everything_that_is_wrong_at_once(self, run: Any) -> None:
        done = run("submit", "mpj", "--name", QUOTES, "--queue", "bik", "--timeout", "1")
        assert done.returncode == 1
        assert done.stdout == ""
        assert done.stderr.count("error: ") == 4
        assert "did you mean `mpi`?" in done.stderr
        assert "did you mean `big`?" in done.stderr

    def test_a_dry_run_shows_the_request_and_sends_nothing(
        self, deployed: Deployed, run: Any
    ) -> None:
        name = unique()
        done = run("submit", "mpi", "--dry-run", "--name", name, "-e", f"A={QUOTES}", "--", QUOTES)
        assert done.returncode == 0
        request = json.loads(done.stdout)
        overrides = request["nodeOverrides"]["nodePropertyOverrides"][0]["containerOverrides"]
        assert overrides["command"] == [QUOTES]
        assert variables(overrides) == {"A": QUOTES, "MNGEN_SECRET": "*" * 64}
        assert "nothing was submitted" in done.stderr
        assert "price: at most mpi 6.05 USD (2 x r5.12xlarge x 1 h); on demand in" in done.stderr
        assert named(deployed, name) == []
        assert run("submit", "mpi", "--dry-run", "--nodes", "5").returncode == 1

    def test_the_secret_is_shown_nowhere(
        self, deployed: Deployed, run: Any, state_home: Path
    ) -> None:
        shown = []
        for output in ("pretty", "json"):
            done = run("--debug", "submit", "mpi", "--name", unique(), "--format", output)
            shown += [done.stdout, done.stderr]
            said = [each for each in done.stderr.splitlines() if not each.startswith("debug ")]
            job = (done.stdout.splitlines() if output == "pretty" else said)[0]
            answered = r"^debug \S+ aws batch SubmitJob us-east-1: HTTP 200, request \S+, .+ s$"
            assert re.search(answered, done.stderr, re.MULTILINE)
            secret = variables(nodes_of(deployed.job(job)))["MNGEN_SECRET"]
            shown += [file.read_text() for file in state_home.rglob("*.json")]
            assert secret not in "".join(shown)

    def test_a_secret_of_ones_own_is_refused(self, run: Any) -> None:
        done = run("submit", "mpi", "-e", "MNGEN_SECRET=letmein")
        assert done.returncode == 1
        assert "letmein" not in done.stderr

    def test_json(self, run: Any) -> None:
        name = unique()
        first = json.loads(run("submit", "one", "--name", name, "--format", "json").stdout)
        second = json.loads(run("submit", "one", "--name", name, "--format", "json").stdout)
        assert first["id"] == second["id"]
        assert (first["existed"], second["existed"]) == (False, True)
        assert first["name"] == name
        # The instance of a job on Spot, for a day at 0.80 USD.
        assert first["price"]["jobs"][0]["total"] == pytest.approx(24 * 0.80)

    def test_a_variable_without_a_value_sign(self, run: Any) -> None:
        done = run("submit", "one", "-e", "A")
        assert done.returncode == 2
        assert '--env: "A": use NAME=VALUE' in done.stderr
