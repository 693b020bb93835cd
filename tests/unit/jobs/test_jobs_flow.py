"""Flows over HTTP against the sandbox: in order, each job once, continued where they stopped."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from mngen.errors import InputError
from mngen.jobs import Jobs, Order, Submission
from tests.support.batch import Deployed, spec_text
from tests.support.cli import CHECKOUT, mngen
from tests.support.faults import Faults

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mngen.sandbox import Sandbox

# `post` is after `solve` and `plot`, both after `mesh`: a diamond, in no useful order in the file.
CHAIN = """\
  post: {queue: small, command: [post], after: [solve, plot]}
  plot: {queue: small, command: [plot], after: mesh}
  solve: {queue: big, nodes: 2, command: [solve], after: mesh}
  mesh: {queue: small, command: [mesh]}
"""
ORDER = ["mesh", "solve", "plot", "post"]


@pytest.fixture(scope="module")
def chained(sandbox: Sandbox) -> Deployed:
    return Deployed(sandbox, spec_text(f"j{uuid4().hex[:10]}", more=CHAIN))


@pytest.fixture
def flows(
    chained: Deployed, state_home: Path, inside: None, connect: Callable[[str, str], Any]
) -> Jobs:
    return Jobs(chained.cluster, connect)


@pytest.fixture
def folder(tmp_path: Path, chained: Deployed) -> Path:
    (tmp_path / "mngen.yaml").write_text(spec_text(chained.name, more=CHAIN), encoding="utf-8")
    return tmp_path


def unique() -> str:
    return f"n{uuid4().hex[:10]}"


def quick(**more: str) -> dict[str, str]:
    return {"MNGEN_SANDBOX_SECONDS": "0.01", **more}


def send(jobs: Jobs, order: Order) -> dict[str, Submission]:
    done = jobs.send_flow(jobs.prepare_flow(order))
    names = [each.name.rpartition("-")[2] for each in done[:-1]]
    return dict(zip([*names, order.job], done, strict=True))


def waits(deployed: Deployed, submission: Submission) -> set[str]:
    return {each["jobId"] for each in deployed.job(submission.id)["dependsOn"]}


def test_each_job_once_after_those_that_it_is_after(chained: Deployed, flows: Jobs) -> None:
    name = unique()
    done = send(flows, Order(job="post", name=name, environment=quick(CASE="7")))
    assert list(done) == ORDER
    assert [each.name for each in done.values()] == [f"{name}-{each}" for each in ORDER[:3]] + [
        name
    ]
    assert waits(chained, done["mesh"]) == set()
    assert waits(chained, done["solve"]) == waits(chained, done["plot"]) == {done["mesh"].id}
    assert waits(chained, done["post"]) == {done["solve"].id, done["plot"].id}
    for each in ("mesh", "post"):
        found = chained.job(done[each].id)["container"]["environment"]
        assert {"name": "CASE", "value": "7"} in found
    assert flows.wait(done["post"].id, timeout=180).state == "SUCCEEDED"
    ends = {each: flows.status(one.id, instances=False) for each, one in done.items()}
    assert (ends["mesh"].stopped or 0) <= (ends["solve"].started or 0)
    assert (ends["solve"].stopped or 0) <= (ends["post"].started or 0)


def test_again_it_is_the_same_flow(flows: Jobs) -> None:
    order = Order(job="post", name=unique(), environment=quick())
    first, second = send(flows, order), send(flows, order)
    assert {key: each.id for key, each in first.items()} == {
        key: each.id for key, each in second.items()
    }
    assert all(each.existed for each in second.values())


def test_what_failed_is_submitted_again_with_all_that_follows(
    chained: Deployed, flows: Jobs
) -> None:
    held = quick(MNGEN_SANDBOX_HOLD="RUNNABLE")
    prepared = flows.prepare_flow(Order(job="post", name=unique(), environment=held))
    mesh, solve, plot, post = (each.id for each in flows.send_flow(prepared))
    for each in (mesh, plot):
        chained.control(jobs={each: {"hold": None}})
        assert flows.wait(each, timeout=180).state == "SUCCEEDED"
    flows.cancel(solve)
    assert flows.wait(post, timeout=180).state == "FAILED"
    again = flows.send_flow(prepared)
    assert [each.existed for each in again] == [True, False, True, False]
    assert waits(chained, again[3]) == {again[1].id, plot}
    flows.cancel(again[1].id)


def test_the_first_jobs_wait_for_another_one(chained: Deployed, flows: Jobs) -> None:
    name = unique()
    held = flows.submit("one", name=name, environment={"MNGEN_SANDBOX_HOLD": "RUNNING"})
    done = send(flows, Order(job="solve", name=name, after=(held.id,)))
    assert waits(chained, done["mesh"]) == {held.id}
    assert waits(chained, done["solve"]) == {done["mesh"].id}
    flows.cancel(held.id)


def test_a_job_that_is_after_none_is_its_own_flow(flows: Jobs) -> None:
    assert list(send(flows, Order(job="mesh", name=unique()))) == ["mesh"]


def test_nothing_is_sent_if_one_of_them_is_wrong(flows: Jobs) -> None:
    name = unique()
    with pytest.raises(InputError, match="no job `pots`"):
        flows.prepare_flow(Order(job="pots", name=name))
    prepared = flows.prepare_flow(Order(job="post", name=name, environment={"AWS_BATCH_X": "1"}))
    assert {each.rule for one in prepared for each in one.problems} == {"MN309"}
    with pytest.raises(InputError, match="invalid job name"):
        flows.prepare_flow(Order(job="post", name="x" * 125))


def test_killed_half_way_and_continued(
    chained: Deployed, folder: Path, state_home: Path, flows: Jobs
) -> None:
    """The answer to the second submission is lost with the process that waited for it."""
    name = unique()
    arguments = ["submit", "post", "--flow", "--name", name]
    with Faults(chained.sandbox.endpoint) as faults:
        held = faults.hold_answer("batch:SubmitJob", after=1)
        process = subprocess.Popen(
            [*CHECKOUT, *arguments],
            cwd=folder,
            env={**faults.environment(), "XDG_STATE_HOME": str(state_home)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert held.reached.wait(180)
        process.send_signal(signal.SIGKILL)
        out, _ = process.communicate()
        held.released.set()
    assert [line.split("\t")[1] for line in out.splitlines()] == [f"{name}-mesh"]
    environment: Any = chained.sandbox.environment()
    done = mngen(*arguments, cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    names = [f"{name}-{each}" for each in ORDER[:3]] + [name]
    assert [line.split("\t")[1] for line in done.stdout.splitlines()] == names
    found = flows.list(name=f"{name}*")
    assert sorted(each.name for each in found) == sorted(names)
    assert done.stderr.count("was submitted earlier") == 2


@pytest.mark.parametrize("again", [False, True])
def test_a_flow_that_stops_half_way_in_json(
    chained: Deployed, folder: Path, state_home: Path, flows: Jobs, *, again: bool
) -> None:
    """The IDs are shown before anything can fail, and how to continue is what continues."""
    name = unique()
    options = ["--again"] if again else []
    with Faults(chained.sandbox.endpoint) as faults:
        faults.fail("batch:SubmitJob", "ClientException", after=1)
        environment: Any = faults.environment()
        arguments = ("submit", "post", "--flow", "--name", name, "--format", "json", *options)
        done = mngen(*arguments, cwd=folder, env=environment)
    assert (done.returncode, done.stdout) == (3, "")
    [mesh] = flows.list(name=f"{name}*")
    assert f"{mesh.id}\t{name}-mesh\n" in done.stderr
    assert ("to continue, repeat the command" in done.stderr) is not again
    assert ("to continue, submit the other jobs with --after" in done.stderr) is again
    flows.cancel(mesh.id)


def test_the_command(chained: Deployed, folder: Path, state_home: Path, flows: Jobs) -> None:
    name = unique()
    environment: Any = chained.sandbox.environment()

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return mngen("submit", "--name", name, *arguments, cwd=folder, env=environment)

    plan = run("post", "--flow", "--dry-run", "--", "post", "--all")
    shown = json.loads(plan.stdout)
    assert [each["jobName"].rpartition("-")[2] for each in shown[:3]] == ORDER[:3]
    assert shown[1]["dependsOn"] == [{"jobId": "(ID of mesh)"}]
    assert shown[3]["containerOverrides"]["command"] == ["post", "--all"]
    assert "command" not in shown[0].get("containerOverrides", {})
    assert flows.list(name=f"{name}*") == ()
    done = run("solve", "--flow", "--format", "json")
    data = json.loads(done.stdout)
    assert data[1]["after"] == [data[0]["id"]]
    alone = run("solve", "--again")
    assert "`solve` is after `mesh` in the spec, but does not wait" in alone.stderr


class TestSweeps:
    """A flow whose last job is a sweep: the earlier jobs once, and each row after them."""

    rows = ({"case": "a"}, {"case": "b"})

    def test_the_rows_wait_for_the_jobs_that_come_first(
        self, chained: Deployed, flows: Jobs
    ) -> None:
        order = Order(job="plot", name=unique(), environment=quick())
        mesh, *rows = flows.sweep(order, self.rows, flow=True)
        assert (mesh.name, waits(chained, mesh)) == (f"{order.name}-mesh", set())
        [array] = {each.id.partition(":")[0] for each in rows}
        parent = chained.job(array)
        assert parent["dependsOn"] == [{"jobId": mesh.id}]
        assert parent["arrayProperties"]["size"] == 2
        assert chained.reached(array, "SUCCEEDED", "FAILED")["status"] == "SUCCEEDED"
        again = flows.sweep(order, self.rows, flow=True)
        assert [(each.id, each.existed) for each in again] == [
            (each.id, True) for each in (mesh, *rows)
        ]

    def test_rows_of_several_nodes_wait_too(self, chained: Deployed, flows: Jobs) -> None:
        order = Order(job="solve", name=unique(), environment=quick())
        mesh, *rows = flows.sweep(order, self.rows, flow=True)
        assert [waits(chained, each) for each in rows] == [{mesh.id}] * 2
        for each in rows:
            assert flows.wait(each.id, timeout=180).state == "SUCCEEDED"

    def test_after_a_first_job_that_failed_all_rows_are_new(
        self, chained: Deployed, flows: Jobs
    ) -> None:
        held = quick(MNGEN_SANDBOX_HOLD="RUNNABLE")
        order = Order(job="plot", name=unique(), environment=held)
        mesh, *rows = flows.sweep(order, self.rows, flow=True)
        array = rows[0].id.partition(":")[0]
        chained.batch.terminate_job(jobId=mesh.id, reason="test")
        assert chained.reached(array, "FAILED")["statusReason"] == "Dependent Job failed"
        again = flows.sweep(order, self.rows, flow=True)
        assert not any(each.existed for each in again)
        chained.drain()

    def test_the_command(self, chained: Deployed, folder: Path, flows: Jobs) -> None:
        name = unique()
        environment: Any = chained.sandbox.environment()
        (folder / "rows.csv").write_text("case\na\nb\n")
        arguments = ("submit", "plot", "--flow", "--sweep", "rows.csv", "--name", name)
        plan = mngen(*arguments, "--dry-run", cwd=folder, env=environment)
        shown = json.loads(plan.stdout)
        assert [each["jobName"] for each in shown] == [f"{name}-mesh", f"{name}-0001-0002"]
        assert shown[1]["dependsOn"] == [{"jobId": "(ID of mesh)"}]
        assert plan.stderr.count("price: at most") == 2
        assert plan.stderr.count("; times 2 jobs") == 1
        assert flows.list(name=f"{name}*") == ()
        done = mngen(*arguments, cwd=folder, env=environment)
        assert done.returncode == 0, done.stderr
        told = [line.split("\t") for line in done.stdout.splitlines()]
        assert [each[1] for each in told] == [f"{name}-mesh", f"{name}-0001", f"{name}-0002"]
        assert chained.job(told[1][0].partition(":")[0])["dependsOn"] == [{"jobId": told[0][0]}]
        assert "3 of 3 jobs, 0 of them submitted earlier" in done.stderr
        chained.drain()
