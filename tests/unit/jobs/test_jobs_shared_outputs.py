"""Outputs of jobs on a shared file system, from a machine that has it mounted and one that has not.

A file system is a folder in a mount of its own, in a mount namespace.
"""

from __future__ import annotations

import json
import os
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from mngen.catalog import load_catalog
from mngen.errors import InputError, ToolError
from mngen.jobs import Jobs
from mngen.jobs._outputs import Outputs, fetch_outputs
from mngen.jobs._shared_outputs import folder_of, listed
from mngen.rules import require
from mngen.spec import load_text
from mngen_wireup.plan import plan_from
from tests.support.batch import Deployed, hold, spec_text
from tests.support.cli import CHECKOUT, mngen
from tests.support.needs import skip_without

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from mngen.sandbox import Sandbox

NOTHING: Any = None
"""In place of a client: S3 has no part in a copy."""
MOUNT = "/mnt/lab"
_MOUNTED = """\
mount -t tmpfs none /mnt && mkdir /mnt/lab && mount --bind "$1" /mnt/lab && shift && exec "$@"
"""


@pytest.fixture(scope="module")
def own(sandbox: Sandbox) -> Deployed:
    """A deployment without a bucket, of jobs with outputs on its file system and elsewhere."""
    return Deployed(sandbox, text_of(f"j{uuid4().hex[:10]}"))


def text_of(name: str) -> str:
    storage = f"storage: {{efs: {{mount: {MOUNT}}}}}\n"
    text = spec_text(name, more=storage).replace("/efs/", f"{MOUNT}/")
    return text.replace("[hostname]}", f"[hostname], outputs: '{MOUNT}/runs/{{job}}'}}")


@pytest.fixture
def room(own: Deployed, state_home: Path, inside: None, connect: Any) -> Jobs:
    return Jobs(own.cluster, connect)


def test_the_folder_of_a_row_is_the_one_that_the_wire_up_makes() -> None:
    spec = require(load_text(text_of("lab").encode()), load_catalog()).spec
    row = "0f3b8a52-7a3d-4bb4-8a51-0d3c5f3a9c55:4"
    environment = {"AWS_BATCH_JOB_ID": row, "MNGEN_OUTPUTS": f"{MOUNT}/runs/{{job}}"}
    made = plan_from(environment, ["app"]).outputs
    assert ":" not in made
    with pytest.raises(InputError, match=f"are in {made}, and {MOUNT} is not mounted"):
        folder_of(spec, row, [environment])


def ended(jobs: Jobs, job: str = "one") -> str:
    identifier = jobs.submit(job, name=f"n{uuid4().hex[:8]}").id
    jobs.wait(identifier)
    return identifier


def refusal(jobs: Jobs, job: str, **wanted: Any) -> str:
    with pytest.raises(InputError) as caught:
        jobs.find_outputs(job, **wanted)
    [problem] = caught.value.problems
    return f"{problem.message} ({problem.hint})"


class TestNotMounted:
    def test_where_they_are_is_said(self, room: Jobs) -> None:
        job = ended(room)
        found = refusal(room, job)
        assert f"in {MOUNT}/runs/{job}, and {MOUNT} is not mounted on this machine" in found
        assert "storage: {bucket: NAME}" in found

    def test_of_a_forgotten_job_too(self, room: Jobs) -> None:
        job = str(uuid4())
        assert f"in {MOUNT}/runs/{job}, and {MOUNT} is not mounted" in refusal(room, job)

    def test_a_job_without_the_key(self, room: Jobs) -> None:
        job = ended(room, "mpi")
        assert f"job `{job}` was submitted without `outputs` (add" in refusal(room, job)

    def test_a_forgotten_job_of_a_spec_without_outputs(self, jobs: Jobs) -> None:
        job = str(uuid4())
        assert f"AWS Batch has no record of job `{job}`, and no `outputs`" in refusal(jobs, job)

    @pytest.mark.parametrize("folder", ["/results", f"{MOUNT}/../etc", MOUNT])
    def test_what_was_in_the_container_is_gone(self, room: Jobs, folder: str) -> None:
        """A job may have been submitted with another folder than the spec has now."""
        name = f"n{uuid4().hex[:8]}"
        job = room.submit("one", name=name, environment={"MNGEN_OUTPUTS": folder}).id
        room.wait(job)
        assert f"were in its container, in {folder}, and are gone" in refusal(room, job)


class TestMounted:
    @pytest.fixture
    def run(self, own: Deployed, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
        """Run `mngen fetch` where `lab` in the test's folder is the file system."""
        skip_without("root", "unshare", "mount")
        (tmp_path / "mngen.yaml").write_text(text_of(own.name), encoding="utf-8")
        (tmp_path / "lab").mkdir()
        env = {**own.sandbox.environment(), "XDG_STATE_HOME": str(tmp_path / "state")}
        mounted = ("unshare", "--mount", "sh", "-c", _MOUNTED, "sh", str(tmp_path / "lab"))
        return partial(mngen, "fetch", cwd=tmp_path, env=env, program=(*mounted, *CHECKOUT))

    def write(self, tmp_path: Path, job: str) -> Path:
        """Write what a job leaves: files, a link, a pipe."""
        folder = tmp_path / "lab" / "runs" / job
        (folder / "sub").mkdir(parents=True)
        (folder / "a.txt").write_bytes(b"first\n")
        (folder / "sub" / "run.sh").write_bytes(b"#!/bin/sh\n")
        (folder / "sub" / "run.sh").chmod(0o750)
        (folder / "last").symlink_to("sub")
        os.mkfifo(folder / "pipe")
        return folder

    def test_they_are_copied(
        self, room: Jobs, tmp_path: Path, run: Callable[..., subprocess.CompletedProcess[str]]
    ) -> None:
        job = ended(room)
        self.write(tmp_path, job)
        done = run(job, "--to", "got", "--format", "json")
        assert done.returncode == 0, done.stderr
        [found] = json.loads(done.stdout)
        assert found == {
            "id": job,
            "attempt": None,
            "url": f"{MOUNT}/runs/{job}/",
            "folder": "got",
            "files": 2,
            "bytes": 16,
            "left_out": 2,
            "missing": 0,
            "complete": True,
        }
        got = tmp_path / "got"
        assert sorted(each.name for each in got.rglob("*")) == ["a.txt", "run.sh", "sub"]
        assert (got / "a.txt").read_bytes() == b"first\n"
        assert (got / "sub" / "run.sh").stat().st_mode & 0o777 == 0o750
        assert "got already exists" in run(job, "--to", "got").stderr

    def test_of_a_forgotten_job_by_the_spec(
        self, tmp_path: Path, run: Callable[..., subprocess.CompletedProcess[str]]
    ) -> None:
        job = str(uuid4())
        self.write(tmp_path, job)
        done = run(job)
        assert done.returncode == 0, done.stderr
        assert "2 links and special files left out" in done.stdout + done.stderr
        assert (tmp_path / job / "a.txt").read_bytes() == b"first\n"

    def test_a_job_that_runs(
        self, room: Jobs, tmp_path: Path, run: Callable[..., subprocess.CompletedProcess[str]]
    ) -> None:
        job = hold(room, "RUNNING", "one")
        try:
            self.write(tmp_path, job)
            done = run(job)
            assert done.returncode == 1
            assert f"job `{job}` is RUNNING, and may still write to {MOUNT}/runs" in done.stderr
            assert "leave --attempt out" in run(job, "--attempt", "1").stderr
        finally:
            room.cancel(job)

    def test_no_folder(
        self, room: Jobs, run: Callable[..., subprocess.CompletedProcess[str]]
    ) -> None:
        job = ended(room)
        done = run(job)
        assert done.returncode == 1
        assert f"no folder {MOUNT}/runs/{job} with outputs of job `{job}`" in done.stderr


class TestCopy:
    """From one folder to another, as the file system's mount has no part in it."""

    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        folder = tmp_path / "source"
        folder.mkdir()
        for name in ("a", "b", "c"):
            (folder / name).write_bytes(name.encode() * 10)
        return folder

    def outputs(self, source: Path) -> Outputs:
        objects, left_out = listed(source)
        return Outputs("j", None, f"{source}/", objects, str(source), len(objects), left_out)

    def test_an_interrupted_one_is_continued(self, source: Path, tmp_path: Path) -> None:
        def interrupt(done: int, _total: int) -> None:
            if done == 2:
                raise KeyboardInterrupt

        outputs = self.outputs(source)
        target = tmp_path / "got"
        with pytest.raises(KeyboardInterrupt):
            fetch_outputs(NOTHING, outputs, target, progress=interrupt)
        assert not target.exists()
        # Half a file, as a killed process leaves it.
        (tmp_path / ".got.j-0.part" / "files" / "b").write_bytes(b"bbbb")
        seen: list[tuple[int, int]] = []
        fetch_outputs(NOTHING, outputs, target, progress=lambda *each: seen.append(each))
        assert seen == [(1, 3), (2, 3), (3, 3)]
        assert {each.name: each.read_bytes() for each in target.iterdir()} == {
            name: name.encode() * 10 for name in ("a", "b", "c")
        }
        assert sorted(each.name for each in tmp_path.iterdir()) == ["got", "source"]

    def test_a_file_that_grows(self, source: Path, tmp_path: Path) -> None:
        outputs = self.outputs(source)
        (source / "b").write_bytes(b"b" * 11)
        with pytest.raises(ToolError, match="b has changed during the copy: 11 bytes, not 10"):
            fetch_outputs(NOTHING, outputs, tmp_path / "got")

    def test_one_that_is_gone(self, source: Path, tmp_path: Path) -> None:
        outputs = self.outputs(source)
        (source / "b").unlink()
        with pytest.raises(InputError, match=f"cannot read {source}/b: No such file"):
            fetch_outputs(NOTHING, outputs, tmp_path / "got")
