"""Outputs of jobs on their way to a user's machine, from a bucket in which they lie."""

from __future__ import annotations

import errno
import json
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec
import pytest
from s3transfer.utils import OSUtils

from mngen.errors import InputError, MngenError, Severity, ToolError
from mngen.jobs import Fetched, Jobs, Order
from mngen.policy import Part, policy
from mngen.sandbox import ACCOUNT_ID
from tests.support.batch import Deployed, array_of, hold, spec_text
from tests.support.cli import mngen
from tests.support.faults import Faults
from tests.support.iam import Request, allows
from tests.support.locks import waits_for_lock
from tests.support.sandbox import client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from mngen.sandbox import Sandbox

ODD = 'it\'s "quoted" é.txt'
FILES = {"a.txt": b"first\n", f"sub/deep/{ODD}": b"second\n", "empty": b""}


def text_of(name: str) -> str:
    """Write a spec whose single-node job has outputs; the other one has none."""
    more = f"storage: {{bucket: {name}-results}}\n"
    text = spec_text(name, more=more)
    return text.replace("[hostname]}", "[hostname], outputs: '/efs/runs/{job}'}")


@pytest.fixture(scope="module")
def own(sandbox: Sandbox) -> Deployed:
    """A deployment with a bucket of its own."""
    name = f"j{uuid4().hex[:10]}"
    client(sandbox, "s3").create_bucket(Bucket=f"{name}-results")
    return Deployed(sandbox, text_of(name))


@pytest.fixture
def room(own: Deployed, state_home: Path, inside: None, connect: Any) -> Jobs:
    return Jobs(own.cluster, connect)


@pytest.fixture
def short_listings(connect: Any) -> Iterator[Counter[str]]:
    """Let S3 list ten keys in an answer; counts the answers by prefix."""
    asked: Counter[str] = Counter()

    def shorten(params: dict[str, Any], **_: Any) -> None:
        params["MaxKeys"] = 10
        asked[params["Prefix"]] += 1

    events = connect("s3", "us-east-1").meta.events
    events.register("before-parameter-build.s3.ListObjectsV2", shorten)
    yield asked
    events.unregister("before-parameter-build.s3.ListObjectsV2", shorten)


def put(own: Deployed, job: str, files: Mapping[str, bytes], attempt: int = 1) -> None:
    """Put files into the bucket as the main node does, without a record."""
    s3 = client(own.sandbox, "s3")
    for name, body in files.items():
        key = f"mngen/{own.name}/outputs/{job}/{attempt}/{name}"
        s3.put_object(Bucket=f"{own.name}-results", Key=key, Body=body)


def put_record(own: Deployed, job: str, count: int, attempt: int = 1, body: bytes = b"") -> None:
    """Put the record of an upload into the bucket."""
    record = {"folder": "/efs/runs/x", "files": count, "bytes": 13, "left_out": 0}
    client(own.sandbox, "s3").put_object(
        Bucket=f"{own.name}-results",
        Key=f"mngen/{own.name}/outputs/{job}/{attempt}.json",
        Body=body or json.dumps(record).encode(),
    )


def ended(jobs: Jobs, job: str = "one", **wanted: Any) -> str:
    """Submit a job and wait for its end."""
    identifier = jobs.submit(job, name=f"n{uuid4().hex[:8]}", **wanted).id
    jobs.wait(identifier)
    return identifier


def forgotten() -> str:
    """Make an ID that AWS Batch does not know."""
    return str(uuid4())


def there(folder: Path) -> dict[str, bytes]:
    """Read all files of a folder."""
    return {
        each.relative_to(folder).as_posix(): each.read_bytes()
        for each in folder.rglob("*")
        if each.is_file()
    }


class TestFetch:
    def test_all_files_of_a_job_that_batch_has_forgotten(
        self, own: Deployed, room: Jobs, tmp_path: Path
    ) -> None:
        job = forgotten()
        put(own, job, FILES)
        put_record(own, job, 3)
        seen: list[tuple[int, int]] = []
        done = room.fetch(
            room.find_outputs(f"{job}#0"),
            tmp_path / "new" / "got",
            progress=lambda done, total: seen.append((done, total)),
        )
        url = f"s3://{own.name}-results/mngen/{own.name}/outputs/{job}/1/"
        assert done == Fetched(
            id=job,
            attempt=1,
            url=url,
            folder=str(tmp_path / "new" / "got"),
            files=3,
            bytes=13,
            left_out=0,
            missing=0,
            complete=True,
        )
        assert there(tmp_path / "new" / "got") == FILES
        assert [each.name for each in (tmp_path / "new").iterdir()] == ["got"]
        assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]

    def test_more_files_than_a_listing_has(
        self, own: Deployed, room: Jobs, short_listings: Counter[str]
    ) -> None:
        """S3 lists at most 1,000 keys in one answer, and may list fewer.

        Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
        """
        job = forgotten()
        files = {f"step-{number:04}.vtk": b"12" for number in range(21)}
        put(own, job, files)
        put_record(own, job, len(files))
        found = room.find_outputs(job)
        assert found.files == 21
        assert found.objects == dict.fromkeys(files, 2)
        assert max(short_listings.values()) == 3

    def test_the_last_attempt_or_the_one_asked_for(
        self, own: Deployed, room: Jobs, tmp_path: Path
    ) -> None:
        job = forgotten()
        for attempt in (1, 2, 10):
            put(own, job, {"n": str(attempt).encode()}, attempt)
            put_record(own, job, 1, attempt)
        assert room.fetch(room.find_outputs(job), tmp_path / "last").attempt == 10
        assert there(tmp_path / "last") == {"n": b"10"}
        room.fetch(room.find_outputs(job, attempt=2), tmp_path / "second")
        assert there(tmp_path / "second") == {"n": b"2"}

    def test_the_check_before_an_attempt_is_not_taken_for_outputs(
        self, own: Deployed, room: Jobs, tmp_path: Path
    ) -> None:
        """The main node uploads `<attempt>.started` before the command starts."""
        job = forgotten()
        key = f"mngen/{own.name}/outputs/{job}"
        for attempt in (1, 2):
            client(own.sandbox, "s3").put_object(
                Bucket=f"{own.name}-results", Key=f"{key}/{attempt}.started", Body=b""
            )
        with pytest.raises(InputError, match=f"no outputs of job `{job}`"):
            room.find_outputs(job)
        put(own, job, FILES)
        put_record(own, job, 3)
        done = room.fetch(room.find_outputs(job), tmp_path / "got")
        assert (done.attempt, done.files, done.complete) == (1, 3, True)
        assert there(tmp_path / "got") == FILES

    def test_an_existing_folder_is_overwritten_only_if_asked(
        self, own: Deployed, room: Jobs, tmp_path: Path
    ) -> None:
        job = forgotten()
        put(own, job, FILES)
        put_record(own, job, 3)
        found = room.find_outputs(job)
        target = tmp_path / "got"
        (target / "sub").mkdir(parents=True)
        (target / "a.txt").write_text("mine")
        (target / "other").write_text("mine too")
        with pytest.raises(InputError, match="already exists") as caught:
            room.fetch(found, target)
        assert "--force" in str(caught.value.problems[0].hint)
        assert there(target) == {"a.txt": b"mine", "other": b"mine too"}
        room.fetch(found, target, force=True)
        assert there(target) == {**FILES, "other": b"mine too"}
        assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".")] == []

    def test_links_in_an_existing_folder_are_not_followed(
        self, own: Deployed, room: Jobs, tmp_path: Path
    ) -> None:
        job = forgotten()
        put(own, job, FILES)
        put_record(own, job, 3)
        target, outside = tmp_path / "got", tmp_path / "outside"
        target.mkdir()
        outside.mkdir()
        (outside / "file").write_text("kept")
        (target / "a.txt").symlink_to(outside / "file")
        (target / "sub").symlink_to(outside)
        with pytest.raises(InputError, match="sub is a symbolic link, which is not followed"):
            room.fetch(room.find_outputs(job), target, force=True)
        assert there(outside) == {"file": b"kept"}

    @pytest.mark.usefixtures("state_home")
    def test_an_interrupted_download_is_continued(
        self, own: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        job = forgotten()
        files = {f"{number:02}": bytes(2000 + number) for number in range(40)}
        put(own, job, files)
        put_record(own, job, len(files))

        def interrupted(done: int, _total: int) -> None:
            if done == 5:
                raise KeyboardInterrupt

        with Faults(own.sandbox.endpoint) as faults:
            faults.redirect(monkeypatch)
            jobs = Jobs(own.cluster)
            found = jobs.find_outputs(job)
            with pytest.raises(KeyboardInterrupt):
                jobs.fetch(found, tmp_path / "got", progress=interrupted)
            assert not (tmp_path / "got").exists()
            [beside] = [each for each in tmp_path.iterdir() if each.name.startswith(".got.")]
            beside /= "files"
            kept = there(beside)
            assert len(kept) >= 5
            # Nothing has its name before it is complete.
            assert all(files[name] == body for name, body in kept.items())
            # What a killed process leaves, and what somebody else has put there.
            (beside / "39.0a1b2c3d").write_bytes(b"half")
            (beside / "38").unlink(missing_ok=True)
            (beside / "38").symlink_to("/etc/passwd")
            kept.pop("38", None)
            before = len([c for c in faults.calls if c.action == "s3:GetObject"])
            jobs.fetch(found, tmp_path / "got")
            gets = [c for c in faults.calls if c.action == "s3:GetObject"][before:]
        assert there(tmp_path / "got") == files
        assert not (tmp_path / "got" / "38").is_symlink()
        assert len({call.values["Key"] for call in gets}) == len(files) - len(kept)
        assert not beside.parent.exists()

    def test_a_full_disk(
        self, own: Deployed, room: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        job = forgotten()
        put(own, job, FILES)
        put_record(own, job, 3)
        found = room.find_outputs(job)
        renamed = OSUtils.rename_file

        def full(self: OSUtils, current: str, new: str) -> None:
            if new.endswith("a.txt"):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            renamed(self, current, new)

        with monkeypatch.context() as patched:
            patched.setattr(OSUtils, "rename_file", full)
            with pytest.raises(ToolError, match="No space left on device") as caught:
                room.fetch(found, tmp_path / "got")
        assert "what has been downloaded is kept" in str(caught.value.problems[0].hint)
        assert not (tmp_path / "got").exists()
        room.fetch(found, tmp_path / "got")
        assert there(tmp_path / "got") == FILES

    def test_a_place_that_cannot_be_written(
        self, own: Deployed, room: Jobs, tmp_path: Path
    ) -> None:
        job = forgotten()
        put(own, job, FILES)
        put_record(own, job, 3)
        (tmp_path / "file").write_text("x")
        with pytest.raises(InputError, match="cannot write"):
            room.fetch(room.find_outputs(job), tmp_path / "file" / "got")

    @pytest.mark.usefixtures("state_home")
    @pytest.mark.parametrize(
        ("code", "status"), [("AccessDenied", 403), ("SlowDown", 503), ("InternalError", 500)]
    )
    def test_errors_of_s3(
        self,
        own: Deployed,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        code: str,
        status: int,
    ) -> None:
        job = forgotten()
        put(own, job, FILES)
        put_record(own, job, 3)
        with Faults(own.sandbox.endpoint) as faults:
            faults.redirect(monkeypatch)
            jobs = Jobs(own.cluster)
            found = jobs.find_outputs(job)
            faults.fail("s3:GetObject", code, status=status)
            with pytest.raises(ToolError):
                jobs.fetch(found, tmp_path / "got")
        assert not (tmp_path / "got").exists()

    @pytest.mark.usefixtures("state_home")
    @pytest.mark.parametrize("after", [0, 1])
    def test_what_s3_has_archived(
        self, own: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
    ) -> None:
        """The record as well as the files.

        Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html (403)
        """
        job = forgotten()
        put(own, job, FILES)
        put_record(own, job, 3)
        with Faults(own.sandbox.endpoint) as faults:
            faults.redirect(monkeypatch)
            jobs = Jobs(own.cluster)
            faults.fail("s3:GetObject", "InvalidObjectState", status=403, after=after)
            with pytest.raises(ToolError, match="S3 has archived objects of s3://") as caught:
                jobs.fetch(jobs.find_outputs(job), tmp_path / "got")
        assert "aws s3api restore-object" in str(caught.value.problems[0].hint)

    @pytest.mark.usefixtures("state_home")
    @pytest.mark.parametrize("force", [False, True])
    def test_two_at_the_same_time(
        self, own: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, force: bool
    ) -> None:
        job = forgotten()
        put(own, job, FILES)
        put_record(own, job, 3)
        with Faults(own.sandbox.endpoint) as faults, ThreadPoolExecutor() as pool:
            faults.redirect(monkeypatch)
            one, two = Jobs(own.cluster), Jobs(own.cluster)
            found = one.find_outputs(job)
            before = faults.count("s3:GetObject")
            hold = faults.hold("s3:GetObject")
            first = pool.submit(one.fetch, found, tmp_path / "got")
            assert hold.reached.wait(60)
            waits = waits_for_lock(monkeypatch)
            second = pool.submit(two.fetch, found, tmp_path / "got", force=force)
            has_waited = waits.wait(60)
            started = faults.count("s3:HeadObject")
            # Before anything can fail: the pool waits for both.
            hold.released.set()
            assert has_waited
            assert first.result(60).complete
            if force:
                assert second.result(60).complete
            else:
                with pytest.raises(InputError, match="already exists"):
                    second.result(60)
                assert faults.count("s3:GetObject") - before == len(FILES)
            assert started <= len(FILES)
        assert there(tmp_path / "got") == FILES
        assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".got")] == []

    def test_a_file_in_place_of_the_folder(self, own: Deployed, room: Jobs, tmp_path: Path) -> None:
        job = forgotten()
        put(own, job, FILES)
        put_record(own, job, 3)
        (tmp_path / "got").write_text("mine")
        seen: list[int] = []
        with pytest.raises(InputError, match="got is not a folder"):
            room.fetch(
                room.find_outputs(job),
                tmp_path / "got",
                force=True,
                progress=lambda done, _: seen.append(done),
            )
        assert (seen, [each.name for each in tmp_path.iterdir()]) == ([], ["got"])

    @pytest.mark.parametrize("name", ["../up", "a/../../up", "a//b", "./a"])
    def test_no_name_leaves_the_folder(
        self, own: Deployed, room: Jobs, tmp_path: Path, name: str
    ) -> None:
        found = room_with(own, room, name)
        assert "invalid name of an object" in str(found)
        assert list(tmp_path.glob("**/up")) == []


def room_with(own: Deployed, room: Jobs, name: str) -> MngenError:
    """Return the error that an object of a name leads to.

    Clients and the emulator tidy up paths in URLs, so the listing is made here.
    """
    from mngen.jobs._outputs import _listed

    class Pages:
        def get_paginator(self, _name: str) -> Pages:
            return self

        def paginate(self, **_where: str) -> list[dict[str, Any]]:
            return [{"Contents": [{"Key": f"mngen/x/outputs/j/1/{name}", "Size": 1}]}]

    pages: Any = Pages()
    with pytest.raises(InputError) as caught:
        _listed(pages, "bucket", "mngen/x/outputs/j/")
    return caught.value


class TestNothing:
    def refusal(self, jobs: Jobs, job: str, **wanted: Any) -> str:
        with pytest.raises(InputError) as caught:
            jobs.find_outputs(job, **wanted)
        [problem] = caught.value.problems
        return f"{problem.message} ({problem.hint})"

    def test_a_job_that_is_running(self, own: Deployed, room: Jobs) -> None:
        job = hold(room, "RUNNING", "one")
        try:
            found = self.refusal(room, job)
            assert found.startswith(f"job `{job}` is RUNNING: outputs are uploaded when the")
            assert f"mngen wait {job}" in found
            # Of an attempt that failed before it, there are some.
            put(own, job, {"n": b"1"})
            put_record(own, job, 1)
            assert room.find_outputs(job, attempt=1).objects == {"n": 1}
            assert "no outputs of attempt 2" in self.refusal(room, job, attempt=2)
        finally:
            room.cancel(job)

    def test_a_job_without_the_key(self, room: Jobs) -> None:
        job = ended(room, "mpi")
        assert f"job `{job}` was submitted without `outputs` (add" in self.refusal(room, job)

    def test_a_job_that_has_never_run(self, room: Jobs) -> None:
        job = hold(room, "RUNNABLE", "one")
        room.cancel(job)
        room.wait(job)
        assert f"job `{job}` has never run" in self.refusal(room, job)

    def test_a_job_whose_upload_failed_or_whose_outputs_were_deleted(self, room: Jobs) -> None:
        job = ended(room)
        found = self.refusal(room, job)
        assert found.startswith(f"no outputs of job `{job}` in s3://")
        assert "though it has succeeded" in found
        assert "its container image may be older than `outputs`" in found
        assert "lifecycle rule" in found

    @pytest.mark.parametrize(("code", "attempts"), [(71, 1), (1, 3)])
    def test_a_job_that_failed(self, own: Deployed, room: Jobs, code: int, attempts: int) -> None:
        """A job whose upload alone has failed is not computed again."""
        job = hold(room, "RUNNABLE", "one", attempts=3)
        own.control(jobs={job: {"seconds": 0, "hold": None, "exits": [code]}})
        done = room.wait(job, timeout=180)
        assert (done.state, done.attempt) == ("FAILED", attempts)
        found = self.refusal(room, job)
        assert "though it has succeeded" not in found
        assert f"mngen logs {job} shows why" in found

    @pytest.mark.parametrize("job", ["", "../../other", "a/b", "x" * 70])
    def test_what_is_no_id(self, room: Jobs, job: str) -> None:
        assert f"job `{job}` not found" in self.refusal(room, job)

    def test_a_job_that_batch_has_forgotten(self, room: Jobs) -> None:
        found = self.refusal(room, forgotten())
        assert "AWS Batch has no record of the job (check the ID; AWS Batch keeps" in found

    def test_all_expired(self, own: Deployed, room: Jobs) -> None:
        job = forgotten()
        put_record(own, job, 3)
        assert f"the 3 files of job `{job}` are no longer in" in self.refusal(room, job)

    def test_a_job_that_wrote_nothing(self, own: Deployed, room: Jobs, tmp_path: Path) -> None:
        job = forgotten()
        put_record(own, job, 0)
        done = room.fetch(room.find_outputs(job), tmp_path / "got")
        assert (done.files, done.folder, done.complete) == (0, None, True)
        assert not (tmp_path / "got").exists()

    def test_a_damaged_record(self, own: Deployed, room: Jobs) -> None:
        job = forgotten()
        put_record(own, job, 0, body=b"{}")
        with pytest.raises(ToolError, match=r"/1\.json is damaged"):
            room.find_outputs(job)


class TestCommand:
    @pytest.fixture
    def run(self, own: Deployed, tmp_path: Path) -> Callable[..., Any]:
        (tmp_path / "mngen.yaml").write_text(text_of(own.name), encoding="utf-8")
        env = {**own.sandbox.environment(), "XDG_STATE_HOME": str(tmp_path / "state")}
        return lambda *words: mngen("fetch", *words, cwd=tmp_path, env=env)

    def test_none_is_downloaded_if_one_has_nothing(
        self, own: Deployed, tmp_path: Path, run: Callable[..., Any]
    ) -> None:
        job, nothing = forgotten(), forgotten()
        put(own, job, {"n": b"1"})
        put_record(own, job, 1)
        done = run(job, nothing, "--format", "json")
        assert done.returncode != 0
        assert f"no outputs of job `{nothing}`" in done.stderr
        assert not (tmp_path / job).exists()

    def test_several_jobs(self, own: Deployed, tmp_path: Path, run: Callable[..., Any]) -> None:
        jobs = [forgotten(), forgotten()]
        for number, job in enumerate(jobs):
            put(own, job, {"n": str(number).encode()})
            put_record(own, job, 1)
        done = run(*jobs, "--to", "all", "--format", "json")
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert [(each["id"], each["folder"]) for each in found] == [
            (job, f"all/{job}") for job in jobs
        ]
        assert [there(tmp_path / "all" / job) for job in jobs] == [{"n": b"0"}, {"n": b"1"}]

    def test_by_default_a_folder_of_the_jobs_id(
        self, own: Deployed, tmp_path: Path, run: Callable[..., Any]
    ) -> None:
        job = forgotten()
        put(own, job, FILES)
        put_record(own, job, 3)
        done = run(job)
        assert done.returncode == 0, done.stderr
        assert there(tmp_path / job) == FILES

    def test_the_folder_of_a_row_of_a_sweep_has_no_colon(
        self, own: Deployed, tmp_path: Path, run: Callable[..., Any]
    ) -> None:
        array = forgotten()
        put(own, f"{array}:4", FILES)
        put_record(own, f"{array}:4", 3)
        done = run(f"{array}:4")
        assert done.returncode == 0, done.stderr
        assert there(tmp_path / f"{array}-4") == FILES

    def test_what_is_incomplete_is_downloaded_and_reported(
        self, own: Deployed, tmp_path: Path, run: Callable[..., Any]
    ) -> None:
        unfinished, partly_gone = forgotten(), forgotten()
        put(own, unfinished, {"n": b"1"})
        put(own, partly_gone, {"n": b"1"})
        put_record(own, partly_gone, 3)
        done = run(unfinished, partly_gone, "--format", "json")
        assert done.returncode == 3
        found = {each["id"]: each for each in json.loads(done.stdout)}
        assert not found[unfinished]["complete"]
        assert (found[partly_gone]["complete"], found[partly_gone]["missing"]) == (False, 2)
        assert f"warning: the upload of job `{unfinished}` was not finished" in done.stderr
        assert f"warning: 2 files of job `{partly_gone}` are no longer in s3://" in done.stderr
        assert there(tmp_path / unfinished) == {"n": b"1"}

    def test_nothing_written(self, own: Deployed, run: Callable[..., Any]) -> None:
        job = forgotten()
        put_record(own, job, 0)
        done = run(job)
        assert done.returncode == 0, done.stderr
        assert f"{job}: the job wrote no files to /efs/runs/x" in done.stdout + done.stderr

    def test_of_an_array_a_folder_for_each_of_its_jobs(
        self, own: Deployed, room: Jobs, tmp_path: Path, run: Callable[..., Any]
    ) -> None:
        array = array_of(own, 3, variables={"MNGEN_SANDBOX_SECONDS": "0"})
        room.wait(array, timeout=180)
        for index in range(3):
            put(own, f"{array}:{index}", {"out.txt": b"%d" % index})
            put_record(own, f"{array}:{index}", 1)
        done = run(array, "--format", "json")
        assert done.returncode == 0, done.stderr
        assert [each["id"] for each in json.loads(done.stdout)] == [
            f"{array}:{index}" for index in range(3)
        ]
        expected = {f"{index}/out.txt": b"%d" % index for index in range(3)}
        assert there(tmp_path / array) == expected
        # One of them, and the array again, by the name of the bucket's keys alone.
        assert run(f"{array}:1", "--to", "one").returncode == 0
        assert there(tmp_path / "one") == {"out.txt": b"1"}
        own.control(forget=[array])
        assert run(array, "--to", "again").returncode == 0
        assert there(tmp_path / "again") == expected

    def test_jobs_of_an_array_without_outputs_are_named(
        self, own: Deployed, room: Jobs, tmp_path: Path, run: Callable[..., Any]
    ) -> None:
        array = array_of(own, 2, variables={"MNGEN_SANDBOX_HOLD": "RUNNING"})
        own.reached(f"{array}:0", "RUNNING")
        with pytest.raises(InputError, match="none of the 2 jobs of the array") as caught:
            room.find_array_outputs(array)
        assert f"job `{array}:0` is RUNNING" in str(caught.value)
        own.control(jobs={f"{array}:0": {"hold": None, "seconds": 0}})
        own.reached(f"{array}:0", "SUCCEEDED")
        put(own, f"{array}:0", {"out.txt": b"0"})
        put_record(own, f"{array}:0", 1)
        done = run(array, "--to", "got")
        assert done.returncode == 3
        assert f"warning: job `{array}:1` is RUNNING" in done.stderr
        assert there(tmp_path / "got") == {"0/out.txt": b"0"}
        room.cancel(array)


class TestRights:
    @pytest.mark.usefixtures("state_home")
    def test_a_submitter_may_ask_all_that_fetch_asks(
        self, own: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        job = forgotten()
        put(own, job, FILES)
        put_record(own, job, 3)
        with Faults(own.sandbox.endpoint) as faults:
            faults.redirect(monkeypatch)
            jobs = Jobs(own.cluster)
            jobs.fetch(jobs.find_outputs(job), tmp_path / "got")
            calls = [call for call in faults.calls if call.service == "s3"]
        document = policy(Part.SUBMITTER, own.cluster, ACCOUNT_ID)
        asked = {call.operation for call in calls}
        assert asked == {"GetObject", "HeadObject", "ListObjectsV2"}
        for call in calls:
            bucket = f"arn:aws:s3:::{call.values['Bucket']}"
            request = Request("s3:GetObject", f"{bucket}/{call.values.get('Key')}")
            if call.operation.startswith("ListObjects"):
                request = Request("s3:ListBucket", bucket, {"s3:prefix": call.values["prefix"]})
            assert allows([document], request), call
        for prefix in ("", f"mngen/{own.name}/inputs/", f"mngen/{own.name}x/outputs/"):
            other = Request("s3:ListBucket", bucket, {"s3:prefix": prefix})
            assert not allows([document], other)
            assert not allows([document], Request("s3:GetObject", f"{bucket}/{prefix}a"))

    def warnings(self, jobs: Jobs) -> list[str]:
        problems = jobs.prepare(Order(job="one")).problems
        assert {each.severity for each in problems} <= {Severity.WARNING}
        return [f"{each.rule}: {each.message} ({each.hint})" for each in problems]

    def test_a_role_that_may_write_them(self, room: Jobs) -> None:
        assert self.warnings(room) == []

    @pytest.mark.usefixtures("state_home", "inside")
    def test_one_that_may_not_yet(self, sandbox: Sandbox, connect: Any) -> None:
        name = f"j{uuid4().hex[:10]}"
        other = Deployed(sandbox, text_of(name))
        other.iam.delete_role_policy(RoleName=other.job_role, PolicyName="outputs")
        (found,) = self.warnings(Jobs(other.cluster, connect))
        assert found.startswith(f"MN323: the role `{other.job_role}` may not write to s3://{name}-")
        assert found.endswith("(run `mngen apply`)")

    @pytest.mark.usefixtures("state_home", "inside")
    def test_one_of_the_users_own(self, own: Deployed, connect: Any) -> None:
        job = next(each for each in own.cluster.jobs if each.name == "one")
        spec = msgspec.structs.replace(job.spec, role="arn:aws:iam::123456789012:role/path/mine")
        own.register(
            msgspec.structs.replace(job, spec=spec),
            jobRoleArn="arn:aws:iam::123456789012:role/path/mine",
        )
        try:
            assert self.warnings(Jobs(own.cluster, connect)) == []
        finally:
            own.register(job)
