"""Files on their way to a job: the shared file system where it is mounted, else the bucket."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec
import pytest

from mngen.errors import InputError, ToolError
from mngen.jobs import Jobs, Order
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
        done = room.submit("one", upload=data, command=["python3", "{inputs}mpi_example.py"])
        job = own.job(done.id)
        place = variables(job)["MNGEN_INPUTS"]
        bucket = f"{own.name}-inputs"
        assert place.startswith(f"s3://{bucket}/mngen/{own.name}/inputs/")
        assert job["container"]["command"] == ["python3", f"{place}mpi_example.py"]
        s3 = client(own.sandbox, "s3")
        prefix = place.removeprefix(f"s3://{bucket}/")
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

    def test_a_role_without_policies_is_warned_of(self, room: Jobs, data: Path) -> None:
        order = Order(job="one", environment={"MNGEN_INPUTS": room.find_inputs(data).location})
        assert [each.rule for each in room.prepare(order).problems] == ["MN317"]

    def test_nothing_is_brought_if_a_rule_is_broken(
        self, own: Deployed, room: Jobs, data: Path
    ) -> None:
        (data / "unique").write_text(uuid4().hex)
        with pytest.raises(InputError):
            room.submit("mpi", nodes=5, upload=data)
        place = room.find_inputs(data).location.removeprefix(f"s3://{own.name}-inputs/")
        listed = client(own.sandbox, "s3").list_objects_v2(
            Bucket=f"{own.name}-inputs", Prefix=place
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
        with pytest.raises(InputError, match="cannot be read"):
            room.bring(inputs)

    def test_the_command(self, own: Deployed, tmp_path: Path, data: Path) -> None:
        text = spec_text(own.name, more=f"storage: {{bucket: {own.name}-inputs}}\n")
        (tmp_path / "mngen.yaml").write_text(text, encoding="utf-8")
        done = mngen(
            *("submit", "one", "--upload", str(data / "mpi_example.py"), "--output", "json"),
            *("--", "python3", "{inputs}mpi_example.py"),
            cwd=tmp_path,
            env={**own.sandbox.environment(), "XDG_STATE_HOME": str(tmp_path)},
        )
        assert done.returncode == 0, done.stderr
        assert "warning[MN317]" in done.stderr
        command = own.job(json.loads(done.stdout)["id"])["container"]["command"]
        assert command[1].endswith("/mpi_example.py")
        assert command[1].startswith("s3://")

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
        with pytest.raises(InputError, match="cannot be written"):
            mounted.bring(inputs)
        assert list(Path(inputs.location).parent.iterdir()) == []


class TestNowhere:
    def test_neither_mounted_nor_a_bucket(self, jobs: Jobs, data: Path) -> None:
        with pytest.raises(InputError, match="no place") as caught:
            jobs.submit("one", upload=data)
        assert "bucket: NAME" in str(caught.value.problems[0].hint)

    def test_no_files(self, room: Jobs, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        with pytest.raises(InputError, match="holds no files"):
            room.find_inputs(tmp_path / "empty")
        with pytest.raises(InputError, match="cannot be read"):
            room.find_inputs(tmp_path / "absent")
