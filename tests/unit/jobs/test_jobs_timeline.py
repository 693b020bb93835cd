"""A job's timeline, from what Batch and the wire-up's lines in the sandbox tell."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4
from xml.etree import ElementTree as ET

from mngen.timeline import Phase

if TYPE_CHECKING:
    from pathlib import Path

    from mngen.jobs import Jobs
    from tests.support.batch import Deployed


def test_from_submission_to_exit(deployed: Deployed, jobs: Jobs) -> None:
    name = f"n{uuid4().hex[:10]}"
    submitted = jobs.submit("mpi", nodes=3, name=name, environment={"MNGEN_SANDBOX_EXIT": "3"})
    status = jobs.wait(submitted.id)
    found = jobs.timeline(submitted.id)
    assert [row.index for row in found.rows] == [0, 1, 2]
    assert status.stopped is not None
    assert abs(found.seconds - (status.stopped - status.created)) < 0.5
    main = found.rows[0]
    assert main.segments[0].phase is Phase.QUEUED
    assert {Phase.RENDEZVOUS, Phase.RUN} <= {each.phase for each in main.segments}
    assert main.failed
    assert "3" in main.ending
    for row in found.rows:
        for before, after in zip(row.segments, row.segments[1:], strict=False):
            assert before.end <= after.start + 0.01


def test_a_job_that_waits(jobs: Jobs) -> None:
    hold = {"MNGEN_SANDBOX_HOLD": "RUNNABLE"}
    identifier = jobs.submit("mpi", name=f"n{uuid4().hex[:10]}", environment=hold).id
    found = jobs.timeline(identifier)
    assert {each.phase for row in found.rows for each in row.segments} == {Phase.QUEUED}
    jobs.cancel(identifier)


def test_the_command_draws_it(jobs: Jobs, run: Any, folder: Path) -> None:
    submitted = jobs.submit("mpi", name=f"n{uuid4().hex[:10]}")
    jobs.wait(submitted.id)
    done = run("timeline", submitted.id, "--svg", "picture.svg")
    assert done.returncode == 0, done.stderr
    assert submitted.id in done.stdout
    assert "rendezvous" in done.stdout
    assert ET.parse(folder / "picture.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"
    shown = json.loads(run("timeline", submitted.id, "--format", "json").stdout)
    assert [row["index"] for row in shown["rows"]] == [0, 1]
    assert run("timeline", submitted.id, "--svg", "nowhere/picture.svg").returncode == 1
