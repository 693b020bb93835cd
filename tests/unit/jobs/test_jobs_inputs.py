"""Files on their way to a job: to the shared file system, by a bucket where it is not mounted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec
import pytest

from mngen.errors import InputError, Severity, ToolError
from mngen.jobs import Jobs, Order, with_inputs
from mngen.policy import Part, policy
from mngen.sandbox import ACCOUNT_ID
from tests.support.batch import Deployed, spec_text
from tests.support.cli import mngen
from tests.support.sandbox import client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.sandbox import Sandbox

ODD = 'it\'s "quoted" é.py'


@pytest.fixture(scope="module")
def own(sandbox: Sandbox) -> Deployed:
    """A deployment with a bucket of its own."""
    name = f"j{uuid4().hex[:10]}"
    client(sandbox, "s3").create_bucket(Bucket=f"{name}-inputs")
    return Deployed(sandbox, spec_text(name, more=f"storage: {{bucket: {name}-inputs}}\n"))


@pytest.fixture
def room(own: Deployed, state_home: Path, inside: None, connect: Any) -> Jobs:
    return Jobs(own.cluster, connect)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    (folder / "mpi_example.py").write_text("print(1)\n")
    (folder / "sub" / ODD).write_bytes(bytes(range(256)))
    return folder


def variables(job: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in job["container"]["environment"]}


class TestBucket:
    def test_a_folder_is_there_before_the_job(self, own: Deployed, room: Jobs, data: Path) -> None:
        done = room.submit("one", upload=data, command=["python3", "{inputs}/mpi_example.py"])
        job = own.job(done.id)
        told = variables(job)
        place = told["MNGEN_INPUTS"]
        digest = place.removeprefix(f"/efs/mngen-inputs/{own.name}/")
        assert len(digest) == 16
        assert job["container"]["command"] == ["python3", f"{place}/mpi_example.py"]
        bucket, prefix = f"{own.name}-inputs", f"mngen/{own.name}/inputs/{digest}/"
        assert told["MNGEN_INPUTS_FROM"] == f"s3://{bucket}/{prefix}"
        # That of the deployment, whose endpoint for S3 serves no other.
        assert told["MNGEN_INPUTS_REGION"] == "us-east-1"
        s3 = client(own.sandbox, "s3")
        for name in ("mpi_example.py", f"sub/{ODD}"):
            body = s3.get_object(Bucket=bucket, Key=prefix + name)["Body"].read()
            assert body == (data / name).read_bytes()

    def test_the_same_files_are_the_same_submission(self, room: Jobs, data: Path) -> None:
        wanted: dict[str, Any] = {"name": f"n{uuid4().hex[:8]}", "upload": data}
        first = room.submit("one", **wanted)
        assert room.submit("one", **wanted).id == first.id
        (data / "mpi_example.py").write_text("print(2)\n")
        second = room.submit("one", **wanted)
        assert second.id != first.id
        (data / "mpi_example.py").rename(data / "renamed.py")
        assert room.submit("one", **wanted).id not in (first.id, second.id)

    def test_a_variable_of_the_users_own_comes_first(self, room: Jobs, data: Path) -> None:
        order = Order(job="one", environment={"MNGEN_INPUTS_REGION": "eu-west-1"})
        told = with_inputs(order, room.find_inputs(data)).environment
        assert told["MNGEN_INPUTS_REGION"] == "eu-west-1"
        assert told["MNGEN_INPUTS_FROM"].startswith("s3://")

    def test_nothing_is_brought_if_a_rule_is_broken(
        self, own: Deployed, room: Jobs, data: Path
    ) -> None:
        (data / "unique").write_text(uuid4().hex)
        with pytest.raises(InputError):
            room.submit("mpi", nodes=5, upload=data)
        url = room.find_inputs(data).url or ""
        listed = client(own.sandbox, "s3").list_objects_v2(
            Bucket=f"{own.name}-inputs", Prefix=url.removeprefix(f"s3://{own.name}-inputs/")
        )
        assert listed["KeyCount"] == 0

    def test_a_bucket_that_is_gone(self, own: Deployed, connect: Any, data: Path) -> None:
        spec = own.cluster.spec
        storage = msgspec.structs.replace(spec.storage, bucket="no-such-bucket-here")
        cluster = msgspec.structs.replace(
            own.cluster, spec=msgspec.structs.replace(spec, storage=storage)
        )
        with own.sandbox.applied(), pytest.raises(ToolError, match="NoSuchBucket"):
            Jobs(cluster, connect).submit("one", upload=data)

    def test_a_file_that_goes_meanwhile(self, room: Jobs, data: Path) -> None:
        inputs = room.find_inputs(data)
        (data / "sub" / ODD).unlink()
        with pytest.raises(InputError, match="cannot read"):
            room.bring(inputs)

    def test_the_command(self, own: Deployed, tmp_path: Path, data: Path) -> None:
        text = spec_text(own.name, more=f"storage: {{bucket: {own.name}-inputs}}\n")
        (tmp_path / "mngen.yaml").write_text(text, encoding="utf-8")
        done = mngen(
            *("submit", "one", "--upload", str(data / "mpi_example.py"), "--format", "json"),
            *("--", "python3", "{inputs}/mpi_example.py"),
            cwd=tmp_path,
            env={**own.sandbox.environment(), "XDG_STATE_HOME": str(tmp_path)},
        )
        assert done.returncode == 0, done.stderr
        assert "MN317" not in done.stderr
        command = own.job(json.loads(done.stdout)["id"])["container"]["command"]
        assert command[1].endswith("/mpi_example.py")
        assert command[1].startswith(f"/efs/mngen-inputs/{own.name}/")

    def test_a_submitter_may_write_inputs_and_nothing_else(self, own: Deployed) -> None:
        found = [
            each
            for each in policy(Part.SUBMITTER, own.cluster, ACCOUNT_ID)["Statement"]
            if any(action.startswith("s3:") for action in each["Action"])
        ]
        (statement,) = found
        assert statement["Action"] == ["s3:PutObject"]
        assert statement["Resource"] == [
            f"arn:aws:s3:::{own.name}-inputs/mngen/{own.name}/inputs/*"
        ]


@pytest.fixture(scope="module")
def other(sandbox: Sandbox) -> Deployed:
    """A deployment that was not applied since the bucket came into the spec."""
    name = f"j{uuid4().hex[:10]}"
    made = Deployed(sandbox, spec_text(name, more="storage: {bucket: an-older-bucket}\n"))
    storage = msgspec.structs.replace(made.cluster.spec.storage, bucket=f"{name}-inputs")
    spec = msgspec.structs.replace(made.cluster.spec, storage=storage)
    made.cluster = msgspec.structs.replace(made.cluster, spec=spec)
    return made


class TestRole:
    """What is warned of before all machines are up: that the container may not fetch."""

    def warnings(self, room: Jobs, data: Path, job: str = "one") -> list[str]:
        order = with_inputs(Order(job=job), room.find_inputs(data))
        problems = room.prepare(order).problems
        assert {each.severity for each in problems} <= {Severity.WARNING}
        return [f"{each.rule}: {each.message} ({each.hint})" for each in problems]

    @pytest.mark.parametrize("job", ["one", "mpi"])
    def test_one_that_may_read_them(self, room: Jobs, data: Path, job: str) -> None:
        assert self.warnings(room, data, job) == []

    @pytest.mark.usefixtures("state_home", "inside")
    def test_one_that_may_not_yet(self, other: Deployed, connect: Any, data: Path) -> None:
        room = Jobs(other.cluster, connect)
        assert room.prepare(Order(job="one")).problems == ()
        (older,) = self.warnings(room, data)
        other.iam.delete_role_policy(RoleName=other.job_role, PolicyName="inputs")
        (none,) = self.warnings(room, data)
        for found in (older, none):
            assert found.startswith(f"MN317: the role `{other.job_role}` may not read s3://")
            assert found.endswith("(run `mngen apply`)")

    @pytest.mark.usefixtures("state_home", "inside")
    def test_one_of_somebody_elses(self, other: Deployed, connect: Any, data: Path) -> None:
        job = next(each for each in other.cluster.jobs if each.name == "mpi")
        room = Jobs(other.cluster, connect)
        other.register(job, jobRoleArn="arn:aws:iam::123456789012:role/path/mine")
        (found,) = self.warnings(room, data, "mpi")
        assert "has the role `mine`, not the deployment's own" in found


class TestFileSystem:
    @pytest.fixture
    def mounted(self, deployed: Deployed, connect: Any) -> Iterator[Jobs]:
        """A machine with the shared file system; what Linux always has mounted stands for it."""
        name = f"t{uuid4().hex[:10]}"
        spec = deployed.cluster.spec
        efs = msgspec.structs.replace(spec.storage.efs, mount="/dev/shm")
        storage = msgspec.structs.replace(spec.storage, efs=efs)
        changed = msgspec.structs.replace(spec, name=name, storage=storage)
        yield Jobs(msgspec.structs.replace(deployed.cluster, spec=changed), connect)
        shutil.rmtree(Path("/dev/shm/mngen-inputs") / name, ignore_errors=True)

    def test_files_are_copied_all_or_nothing(self, mounted: Jobs, data: Path) -> None:
        inputs = mounted.find_inputs(data)
        assert list(inputs.variables) == ["MNGEN_INPUTS"]
        mounted.bring(inputs)
        place = Path(inputs.location)
        assert place.parent == Path("/dev/shm/mngen-inputs") / mounted.cluster.spec.name
        assert (place / "sub" / ODD).read_bytes() == bytes(range(256))
        assert place.stat().st_mode & 0o777 == 0o755
        mounted.bring(inputs)
        assert [each.name for each in place.parent.iterdir()] == [place.name]

    def test_a_file_that_goes_meanwhile_leaves_nothing(self, mounted: Jobs, data: Path) -> None:
        inputs = mounted.find_inputs(data)
        (data / "sub" / ODD).unlink()
        with pytest.raises(InputError, match="cannot write"):
            mounted.bring(inputs)
        assert list(Path(inputs.location).parent.iterdir()) == []


class TestNowhere:
    def test_neither_mounted_nor_a_bucket(self, jobs: Jobs, data: Path) -> None:
        with pytest.raises(
            InputError, match="is not mounted on this machine, and the spec has no bucket"
        ) as caught:
            jobs.submit("one", upload=data)
        assert "bucket: NAME" in str(caught.value.problems[0].hint)

    def test_no_files(self, room: Jobs, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        with pytest.raises(InputError, match="contains no files"):
            room.find_inputs(tmp_path / "empty")
        with pytest.raises(InputError, match="cannot read"):
            room.find_inputs(tmp_path / "absent")
