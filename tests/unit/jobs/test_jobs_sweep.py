"""Sweeps over HTTP against the sandbox: a job a row, judged before, resumed where they stopped."""

from __future__ import annotations

import json
import secrets
import signal
import subprocess
import time
from contextlib import nullcontext
from random import Random
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec
import pytest

from mngen.cluster import ROWS_GUARD, ROWS_VARIABLE
from mngen.errors import InputError, ToolError
from mngen.jobs import Jobs, Order, _sweep, _swept, read_rows
from mngen.jobs._journal import Entry
from mngen.jobs._rows import Rows, unpack
from tests.support.batch import Deployed, hold, spec_text
from tests.support.cli import CHECKOUT
from tests.support.faults import Faults
from tests.support.sandbox import client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mngen.sandbox import Sandbox

QUOTES = """it's "quoted", $HOME `id` {n} \\ é"""


def unique() -> str:
    return f"n{uuid4().hex[:10]}"


def variables(job: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in job["container"]["environment"]}


class TestRows:
    def write(self, folder: Path, text: str, encoding: str = "utf-8") -> Path:
        file = folder / "sweep.csv"
        file.write_bytes(text.encode(encoding))
        return file

    def test_a_table_with_quotes_and_blank_lines(self, tmp_path: Path) -> None:
        text = '\ufeffA, B \r\n1,"x, ""y"""\r\n\r\n2,\r\n'
        assert read_rows(self.write(tmp_path, text)) == [
            {"A": "1", "B": 'x, "y"'},
            {"A": "2", "B": ""},
        ]

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("", "no rows"),
            ("A,B\n", "no rows"),
            ("A,A\n1,2\n", "unique and not empty"),
            ("A,\n1,2\n", "unique and not empty"),
            ("A,B\n1\n1,2,3\n", r"sweep.csv:2: 1 values .*sweep.csv:3: 3 values"),
            ('A\n"open\n', "invalid CSV file"),
        ],
    )
    def test_what_is_no_table(self, tmp_path: Path, text: str, says: str) -> None:
        with pytest.raises(InputError, match=says):
            read_rows(self.write(tmp_path, text))

    def test_what_cannot_be_read(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="cannot read"):
            read_rows(tmp_path / "absent.csv")
        with pytest.raises(InputError, match="invalid CSV file"):
            read_rows(self.write(tmp_path, "A\né\n", "latin-1"))


def rows_of(job: dict[str, Any]) -> Rows:
    rows = unpack(variables(job)[ROWS_VARIABLE])
    assert rows is not None
    return rows


HELD = {"MNGEN_SANDBOX_HOLD": "RUNNING"}


class TestOneByOne:
    """Each row is a job: what several nodes need, or --no-array asks for."""

    def test_columns_are_variables_and_words(self, deployed: Deployed, jobs: Jobs) -> None:
        order = Order(
            job="one",
            name=unique(),
            command=("run", "--n={n}", "{text}", "{other}"),
            environment={"FIXED": "1"},
        )
        rows = [{"n": "1", "text": QUOTES}, {"n": "2", "text": "{n}"}]
        done = jobs.sweep(order, rows, arrays=False)
        assert [each.name for each in done] == [f"{order.name}-0001", f"{order.name}-0002"]
        first, second = (deployed.job(each.id) for each in done)
        # A value that looks like a column stays as it is, and so does what is no column.
        assert first["container"]["command"] == ["run", "--n=1", QUOTES, "{other}"]
        assert second["container"]["command"] == ["run", "--n=2", "{n}", "{other}"]
        assert variables(first)["text"] == QUOTES
        assert variables(second)["n"] == "2"
        assert variables(second)["FIXED"] == "1"

    def test_a_row_that_failed_is_submitted_again_and_no_other(
        self, deployed: Deployed, jobs: Jobs
    ) -> None:
        order = Order(job="one", name=unique())
        rows = [{"A": str(n)} for n in range(3)]
        done = jobs.sweep(order, rows, arrays=False)
        deployed.batch.terminate_job(jobId=done[1].id, reason="test")
        again = jobs.sweep(order, rows, arrays=False)
        assert [each.existed for each in again] == [True, False, True]
        assert (again[0].id, again[2].id) == (done[0].id, done[2].id)

    def test_nothing_is_sent_if_a_row_is_wrong(self, jobs: Jobs) -> None:
        name = unique()
        rows = [{"A": "1"}, {"A": "x" * 9_000}, {"A": "y" * 9_000}]
        with pytest.raises(InputError) as caught:
            jobs.sweep(Order(job="one", name=name), rows, arrays=False)
        assert {each.rule for each in caught.value.problems} == {"MN308"}
        assert jobs.list(name=f"{name}*") == ()

    def test_a_column_that_is_no_variable_must_be_used(self, jobs: Jobs) -> None:
        with pytest.raises(InputError, match="the column `a b`"):
            jobs.sweep(Order(job="one"), [{"a b": "1"}])

    @pytest.mark.usefixtures("state_home", "clock")
    def test_many_rows_take_few_calls_beside_the_submissions(
        self, deployed: Deployed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        order, rows = Order(job="one", name=unique()), [{"A": str(n)} for n in range(30)]
        with Faults(deployed.sandbox.endpoint) as faults:
            faults.redirect(monkeypatch)
            through = Jobs(deployed.cluster)
            done = through.sweep(order, rows, arrays=False)
            assert faults.count("batch:SubmitJob") == 30
            assert len(faults.calls) - 30 <= 14
            before = len(faults.calls)
            again = through.sweep(order, rows, arrays=False)
            assert [each.id for each in again] == [each.id for each in done]
            assert len(faults.calls) - before <= 14

    def test_killed_half_way_and_resumed(
        self, deployed: Deployed, folder: Path, state_home: Path, run: Any
    ) -> None:
        name = unique()
        (folder / "s.csv").write_text("A\n" + "".join(f"{n}\n" for n in range(6)))
        arguments = ["submit", "one", "--name", name, "--sweep", "s.csv", "--no-array"]
        out = killed(arguments, deployed, folder, state_home, answered=3)
        told = [line.split("\t") for line in out.splitlines()]
        assert [each[1] for each in told] == [f"{name}-000{n}" for n in (1, 2, 3)]
        done = run(*arguments, "--format", "json")
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert [each["existed"] for each in found] == [True] * 4 + [False] * 2
        assert [each["id"] for each in found[:3]] == [each[0] for each in told]
        assert len(listed(deployed, name)) == 6

    def test_a_column_and_a_variable_of_one_name(self, jobs: Jobs) -> None:
        order = Order(job="one", environment={"A": "for all"})
        with pytest.raises(InputError, match="the column `A` is a variable that is set for all"):
            jobs.sweep(order, [{"A": "1"}])


def killed(
    arguments: list[str], deployed: Deployed, folder: Path, state_home: Path, *, answered: int
) -> str:
    """Run mngen, and kill it while it waits for the answer after these many; return its output."""
    with Faults(deployed.sandbox.endpoint) as faults:
        held = faults.hold_answer("batch:SubmitJob", after=answered)
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
    return out


def listed(deployed: Deployed, name: str) -> list[dict[str, Any]]:
    """List the jobs of a sweep as the queue has them: an array is one of them."""
    found: list[dict[str, Any]] = deployed.batch.list_jobs(
        jobQueue=f"{deployed.name}-small", filters=[{"name": "JOB_NAME", "values": [f"{name}-*"]}]
    )["jobSummaryList"]
    return found


class TestArrays:
    """Rows of jobs of one node go into arrays, and each counts for itself."""

    @pytest.fixture(autouse=True)
    def emptied(self, deployed: Deployed) -> Iterator[None]:
        yield
        deployed.drain()

    def test_rows_are_children_of_one_array(self, deployed: Deployed, jobs: Jobs) -> None:
        order = Order(
            job="one",
            name=unique(),
            command=("run", "--n={n}", "{text}"),
            environment={"FIXED": "1"},
            tags={"project": "wing"},
        )
        rows = [{"n": "1", "text": QUOTES}, {"n": "2", "text": "{n}"}]
        done = jobs.sweep(order, rows)
        assert [each.name for each in done] == [f"{order.name}-0001", f"{order.name}-0002"]
        [array] = {each.id.partition(":")[0] for each in done}
        assert [each.id for each in done] == [f"{array}:0", f"{array}:1"]
        parent = deployed.job(array)
        assert parent["jobName"] == f"{order.name}-0001-0002"
        assert parent["arrayProperties"]["size"] == 2
        assert parent["tags"]["project"] == "wing"
        assert parent["container"]["command"] == [ROWS_GUARD, "run", "--n={n}", "{text}"]
        assert variables(parent)["FIXED"] == "1"
        assert rows_of(parent).values == tuple(rows)
        assert deployed.job(done[1].id)["arrayProperties"]["index"] == 1
        again = jobs.sweep(order, rows)
        assert [(each.id, each.existed) for each in again] == [(each.id, True) for each in done]

    def test_what_failed_goes_into_a_new_array_and_nothing_else(
        self, deployed: Deployed, jobs: Jobs
    ) -> None:
        order = Order(job="one", name=unique(), environment=HELD)
        rows = [{"A": str(n)} for n in range(5)]
        done = jobs.sweep(order, rows)
        for index in (0, 1, 3):
            deployed.reached(done[index].id, "RUNNING")
        deployed.control(jobs={done[0].id: {"hold": None, "seconds": 0}})
        deployed.reached(done[0].id, "SUCCEEDED")
        for index in (1, 3):
            deployed.batch.terminate_job(jobId=done[index].id, reason="test")
        again = jobs.sweep(order, rows)
        assert [each.existed for each in again] == [True, False, True, False, True]
        assert again[0].state == "SUCCEEDED"
        assert [again[n].id for n in (0, 2, 4)] == [done[n].id for n in (0, 2, 4)]
        [array] = {again[n].id.partition(":")[0] for n in (1, 3)}
        assert rows_of(deployed.job(array)).numbers == (2, 4)
        assert deployed.job(array)["jobName"] == f"{order.name}-0002-0004"
        # One row alone is a job as any other, and is found as one.
        deployed.batch.terminate_job(jobId=again[1].id, reason="test")
        third = jobs.sweep(order, rows)
        assert [each.existed for each in third] == [True, False, True, True, True]
        alone = deployed.job(third[1].id)
        assert (alone["jobName"], "arrayProperties" in alone) == (f"{order.name}-0002", False)
        assert variables(alone)["A"] == "1"
        fourth = jobs.sweep(order, rows)
        assert [(each.id, each.existed) for each in fourth] == [(each.id, True) for each in third]

    def test_an_array_that_ended_counts_row_by_row(self, deployed: Deployed, jobs: Jobs) -> None:
        order = Order(job="one", name=unique(), environment={"MNGEN_SANDBOX_HOLD": "RUNNABLE"})
        rows = [{"A": str(n)} for n in range(3)]
        done = jobs.sweep(order, rows)
        array = done[0].id.partition(":")[0]
        ends: dict[str, dict[str, Any]]
        ends = {each.id: {"hold": None, "seconds": 0} for each in done}
        ends[done[1].id]["exits"] = [1]
        deployed.control(jobs=ends)
        assert deployed.reached(array, "SUCCEEDED", "FAILED")["status"] == "FAILED"
        again = jobs.sweep(order, rows)
        assert [each.existed for each in again] == [True, False, True]
        assert [each.state for each in again] == ["SUCCEEDED", "SUBMITTED", "SUCCEEDED"]

    def test_of_a_cancelled_array_only_what_has_succeeded_counts(
        self, deployed: Deployed, jobs: Jobs
    ) -> None:
        order = Order(job="one", name=unique(), environment=HELD)
        rows = [{"A": str(n)} for n in range(3)]
        done = jobs.sweep(order, rows)
        for each in done:
            deployed.reached(each.id, "RUNNING")
        deployed.control(jobs={done[2].id: {"hold": None, "seconds": 0}})
        deployed.reached(done[2].id, "SUCCEEDED")
        array = done[0].id.partition(":")[0]
        deployed.batch.terminate_job(jobId=array, reason="test")
        again = jobs.sweep(order, rows)
        assert [each.existed for each in again] == [False, False, True]
        assert rows_of(deployed.job(again[0].id.partition(":")[0])).numbers == (1, 2)

    def test_children_that_a_cancelled_array_spares_count(
        self, deployed: Deployed, jobs: Jobs
    ) -> None:
        order = Order(job="one", name=unique(), environment={"MNGEN_SANDBOX_HOLD": "RUNNABLE"})
        rows = [{"A": str(n)} for n in range(3)]
        done = jobs.sweep(order, rows)
        deployed.control(jobs={done[0].id: {"hold": "RUNNING"}})
        deployed.reached(done[0].id, "RUNNING")
        deployed.batch.cancel_job(jobId=done[0].id.partition(":")[0], reason="test")
        assert [each.existed for each in jobs.sweep(order, rows)] == [True, False, False]

    def test_an_array_whose_dependency_failed_counts_for_no_row(
        self, deployed: Deployed, jobs: Jobs
    ) -> None:
        first = hold(jobs, "RUNNING", "one")
        order = Order(job="one", name=unique(), after=(first,))
        rows = [{"A": "1"}, {"A": "2"}]
        done = jobs.sweep(order, rows)
        array = done[0].id.partition(":")[0]
        assert deployed.job(array)["dependsOn"] == [{"jobId": first}]
        deployed.batch.terminate_job(jobId=first, reason="test")
        deployed.reached(array, "FAILED")
        with pytest.raises(InputError, match="to wait for has failed"):
            jobs.sweep(order, rows)

    def test_a_row_whose_image_is_too_old_is_explained(
        self, deployed: Deployed, jobs: Jobs
    ) -> None:
        order = Order(job="one", name=unique(), environment={"MNGEN_SANDBOX_EXIT": "127"})
        done = jobs.sweep(order, [{"A": "1"}, {"A": "2"}])
        deployed.reached(done[0].id, "FAILED")
        [cause] = jobs.status(done[0].id).causes
        assert ROWS_GUARD in cause.what

    def test_other_rows_are_other_jobs(self, deployed: Deployed, jobs: Jobs) -> None:
        order = Order(job="one", name=unique(), environment=HELD)
        rows = [{"A": "1"}, {"A": "2"}, {"A": "3"}]
        done = jobs.sweep(order, rows)
        changed = [{"A": "1"}, {"A": "two"}, {"A": "3"}, {"A": "4"}]
        again = jobs.sweep(order, changed)
        assert [each.existed for each in again] == [True, False, True, False]
        assert rows_of(deployed.job(again[1].id.partition(":")[0])).values == (
            {"A": "two"},
            {"A": "4"},
        )
        other = jobs.sweep(msgspec.structs.replace(order, timeout=600), rows)
        assert not any(each.existed for each in other)
        assert [each.id for each in jobs.sweep(order, rows)] == [each.id for each in done]

    def test_rows_that_were_submitted_one_by_one_count(self, jobs: Jobs) -> None:
        order = Order(job="one", name=unique(), environment=HELD)
        rows = [{"A": str(n)} for n in range(4)]
        alone = jobs.sweep(order, rows[:2], arrays=False)
        done = jobs.sweep(order, rows)
        assert [each.id for each in done[:2]] == [each.id for each in alone]
        assert [each.existed for each in done] == [True, True, False, False]
        assert [each.id for each in jobs.sweep(order, rows, arrays=False)] == [
            each.id for each in done
        ]

    def test_all_are_submitted_again_where_that_is_asked_for(
        self, deployed: Deployed, jobs: Jobs
    ) -> None:
        order = Order(job="one", name=unique(), environment=HELD)
        rows = [{"A": "1"}, {"A": "2"}]
        first = jobs.sweep(order, rows)
        second = jobs.sweep(order, rows, again=True)
        assert not {each.id for each in first} & {each.id for each in second}
        assert len(listed(deployed, order.name or "")) == 2

    def test_nothing_is_sent_if_a_column_is_wrong(self, jobs: Jobs) -> None:
        name = unique()
        with pytest.raises(InputError) as caught:
            jobs.sweep(Order(job="one", name=name), [{"AWS_BATCH_A": "1"}, {"AWS_BATCH_A": "2"}])
        assert {each.rule for each in caught.value.problems} == {"MN309"}
        assert jobs.list(name=f"{name}*") == ()

    def test_each_row_of_an_array_that_is_filled_up_runs(
        self, deployed: Deployed, jobs: Jobs
    ) -> None:
        """ECS counts what Batch adds, which it does not before a child is about to start."""
        random = Random(1)
        rows = [{"A": random.randbytes(6).hex()} for _ in range(2000)]
        order = Order(job="one", name=unique(), environment={"MNGEN_SANDBOX_SECONDS": "0"})
        done = jobs.sweep(order, rows)
        arrays = list(dict.fromkeys(each.id.partition(":")[0] for each in done))
        assert len(arrays) > 2
        found = deployed.reached(f"{arrays[0]}:0", "SUCCEEDED", "FAILED")
        assert (found["status"], found.get("statusReason")) == (
            "SUCCEEDED",
            "Essential container in task exited",
        )

    def test_a_job_whose_overrides_are_too_long_is_explained(
        self, deployed: Deployed, jobs: Jobs
    ) -> None:
        job = deployed.batch.submit_job(
            jobName=unique(),
            jobQueue=f"{deployed.name}-small",
            jobDefinition=f"{deployed.name}-one",
            containerOverrides={"command": ["x" * 8000]},
        )["jobId"]
        deployed.reached(job, "FAILED")
        [cause] = jobs.status(job).causes
        assert (cause.rule, cause.certain) == ("MN308", True)
        assert "Container Overrides length must be at most 8192" in cause.what

    def test_rows_that_failed_are_sent_while_their_array_does_not_show_it(
        self, deployed: Deployed, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An array is PENDING until all its children have ended, and AWS shows that later."""
        order = Order(job="one", name=unique(), environment={"MNGEN_SANDBOX_EXIT": "1"})
        rows = [{"A": "1"}, {"A": "2"}]
        first = jobs.sweep(order, rows)
        array = first[0].id.partition(":")[0]
        for each in first:
            deployed.reached(each.id, "FAILED")
        seen = jobs.batch.describe_jobs

        def described(**asked: Any) -> Any:
            answer = seen(**asked)
            for each in answer["jobs"]:
                if each["jobId"] == array:
                    each["status"] = "PENDING"
            return answer

        monkeypatch.setattr(jobs.batch, "describe_jobs", described)
        second = jobs.sweep(order, rows)
        assert [each.existed for each in second] == [False, False]
        assert second[0].id.partition(":")[0] != array

    def test_an_array_that_shows_no_variables_is_read_through_its_first_child(
        self, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Published answers of AWS show its container: https://github.com/boto/boto3/issues/3719"""
        order = Order(job="one", name=unique(), environment=HELD)
        rows = [{"A": "1"}, {"A": "2"}]
        first = jobs.sweep(order, rows)
        array = first[0].id.partition(":")[0]
        hidden = {array}
        seen = jobs.batch.describe_jobs

        def described(**asked: Any) -> Any:
            answer = seen(**asked)
            for each in answer["jobs"]:
                if each["jobId"] in hidden:
                    each["container"].pop("environment")
            return answer

        monkeypatch.setattr(jobs.batch, "describe_jobs", described)
        assert [each.id for each in jobs.sweep(order, rows)] == [each.id for each in first]
        # Nothing is sent twice for want of an answer.
        hidden.add(f"{array}:0")
        with pytest.raises(ToolError, match=f"which rows the array job {array} has"):
            jobs.sweep(order, rows)

    @pytest.mark.usefixtures("state_home")
    def test_an_array_that_is_never_listed_counts_if_this_machine_has_sent_it(
        self, deployed: Deployed, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        order = Order(job="one", name=unique(), environment=HELD)
        rows = [{"number": str(n), "text": secrets.token_hex(1300)} for n in range(ROWS)]
        first = jobs.sweep(order, rows)
        arrays = {each.id.partition(":")[0] for each in first}
        assert len(arrays) > 2
        # Of several arrays any may be listed late, not only the last one. What is left is cut
        # otherwise, so that no request is the same.
        deployed.reached(first[0].id, "RUNNING")
        deployed.batch.terminate_job(jobId=first[0].id, reason="test")
        monkeypatch.setattr(_swept, "list_filtered", lambda *_: [])
        again = jobs.sweep(order, rows)
        assert [each.existed for each in again] == [False] + [True] * (ROWS - 1)
        assert [each.id for each in again[1:]] == [each.id for each in first[1:]]
        deployed.drain()

    def test_two_who_submit_a_sweep_at_once_run_it_once(
        self, deployed: Deployed, jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        order = Order(job="one", name=unique(), environment=HELD)
        rows = [{"A": "1"}, {"A": "2"}]
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "one"))
        first = jobs.sweep(order, rows)
        # Another machine looked a moment before, and found nothing.
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
        monkeypatch.setattr(_swept, "list_filtered", lambda *_: [])
        second = jobs.sweep(order, rows)
        assert [each.id for each in second] == [each.id for each in first]
        states = {
            each["jobId"]: deployed.job(each["jobId"])
            for each in listed(deployed, order.name or "")
        }
        assert len(states) == 2
        [other] = states.keys() - {first[0].id.partition(":")[0]}
        assert states[other]["isTerminated"]

    @pytest.mark.usefixtures("state_home")
    def test_many_rows_take_few_calls(
        self, deployed: Deployed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        order, rows = Order(job="one", name=unique()), [{"A": str(n)} for n in range(1000)]
        with Faults(deployed.sandbox.endpoint) as faults:
            faults.redirect(monkeypatch)
            through = Jobs(deployed.cluster)
            done = through.sweep(order, rows)
            assert faults.count("batch:SubmitJob") == 1
            assert len(faults.calls) <= 15
            before = len(faults.calls)
            again = through.sweep(order, rows)
            assert [each.id for each in again] == [each.id for each in done]
            # Beside the checks: the list, the array, and its children by state.
            assert len(faults.calls) - before <= 22
            assert faults.count("batch:SubmitJob") == 1

    def test_killed_half_way_and_resumed(
        self, deployed: Deployed, folder: Path, state_home: Path, run: Any
    ) -> None:
        """Three arrays are made, the answer to the third is lost, and a row of the first fails."""
        name = unique()
        write_rows(folder / "s.csv")
        arguments = ["submit", "one", "--name", name, "--sweep", "s.csv"]
        arguments += ["--env", "MNGEN_SANDBOX_HOLD=RUNNABLE"]
        out = killed(arguments, deployed, folder, state_home, answered=2)
        told = {name: job for job, name in (line.split("\t") for line in out.splitlines())}
        before = listed(deployed, name)
        assert len(before) == 3
        # What is left is cut otherwise then, so the third array is found by its rows alone.
        failed = told[f"{name}-0001"]
        deployed.batch.terminate_job(jobId=failed, reason="test")
        done = run(*arguments, "--format", "json")
        assert done.returncode == 0, done.stderr
        found = {each["name"]: each for each in json.loads(done.stdout)}
        assert list(found) == [f"{name}-{number:04}" for number in range(1, ROWS + 1)]
        assert not found[f"{name}-0001"]["existed"]
        assert all(found[row]["id"] == told[row] for row in list(told)[1:])
        carried = [
            number
            for each in listed(deployed, name)
            for number in (
                rows_of(deployed.job(each["jobId"])).numbers
                if "arrayProperties" in each
                else [int(each["jobName"][-4:])]
            )
        ]
        assert sorted(carried) == [1, *range(1, ROWS + 1)]
        assert (
            sum(each["existed"] for each in found.values())
            == sum(each["arrayProperties"]["size"] for each in before) - 1
        )

    def test_an_array_that_batch_does_not_list_yet_is_waited_for(
        self, deployed: Deployed, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        order = Order(job="one", name=unique(), environment=HELD)
        rows = [{"A": "1"}, {"A": "2"}, {"A": "3"}]
        done = jobs.sweep(order, rows)
        deployed.reached(done[0].id, "RUNNING")
        deployed.batch.terminate_job(jobId=done[0].id, reason="test")
        # This machine was killed before it read the answer.
        token = deployed.job(done[0].id.partition(":")[0])["tags"]["mngen:submission"]
        entry = Entry(began=time.time(), part=token)
        monkeypatch.setattr(_sweep, "recorded", lambda _: nullcontext(entry))
        lists = iter([[], list(listed(deployed, order.name or ""))])
        monkeypatch.setattr(_swept, "list_filtered", lambda *_: next(lists))
        assert [each.existed for each in jobs.sweep(order, rows)] == [False, True, True]
        assert next(lists, None) is None

    def test_an_answer_that_is_lost_makes_no_second_array(
        self, deployed: Deployed, folder: Path, run: Any
    ) -> None:
        name = unique()
        (folder / "s.csv").write_text("A\n1\n2\n")
        with Faults(deployed.sandbox.endpoint) as faults:
            faults.lose("batch:SubmitJob", times=1)
            arguments = ("submit", "one", "--name", name, "--sweep", "s.csv")
            done = run(*arguments, env=faults.environment())
        assert done.returncode == 0, done.stderr
        [array] = listed(deployed, name)
        assert done.stdout.split()[::2] == [f"{array['jobId']}:{index}" for index in (0, 1)]


ROWS = 15


def write_rows(file: Path) -> None:
    """Write rows that cannot be compressed: a few of them fit into an array."""
    lines = (f"{number},{secrets.token_hex(1300)}\n" for number in range(ROWS))
    file.write_text("number,text\n" + "".join(lines))


class TestOptions:
    """What else the command can be told goes together with a sweep, or is refused at once."""

    @pytest.fixture
    def rows(self, folder: Path) -> str:
        (folder / "rows.csv").write_text("A,n\n1,x\n2,y\n")
        return "rows.csv"

    @pytest.fixture
    def own(self, sandbox: Sandbox, folder: Path) -> Deployed:
        """A deployment in AWS from which the spec in the folder differs by now."""
        deployed = Deployed(sandbox, spec_text(f"j{uuid4().hex[:10]}"))
        text = spec_text(deployed.name).replace("timeout: 3600", "timeout: 7200")
        (folder / "mngen.yaml").write_text(text, encoding="utf-8")
        return deployed

    def test_a_dry_run_shows_each_request_and_sends_nothing(
        self, jobs: Jobs, run: Any, rows: str
    ) -> None:
        name = unique()
        done = run(
            *("submit", "mpi", "--sweep", rows, "--dry-run", "--name", name, "--nodes", "3"),
            *("-e", "B=all", "--", "run", "{n}"),
        )
        assert done.returncode == 0, done.stderr
        shown = json.loads(done.stdout)
        assert [each["jobName"] for each in shown] == [f"{name}-0001", f"{name}-0002"]
        for each, row in zip(shown, ({"A": "1", "n": "x"}, {"A": "2", "n": "y"}), strict=True):
            assert each["nodeOverrides"]["numNodes"] == 3
            (override,) = each["nodeOverrides"]["nodePropertyOverrides"]
            container = override["containerOverrides"]
            assert container["command"] == ["run", row["n"]]
            given = {one["name"]: one["value"] for one in container["environment"]}
            assert given == {**row, "B": "all", "MNGEN_SECRET": "*" * 64}
        assert "nothing was submitted" in done.stderr
        assert "price: at most mpi 9.07 USD (3 x r5.12xlarge x 1 h)" in done.stderr
        assert "; times 2 jobs" in done.stderr
        assert jobs.list(name=f"{name}*") == ()

    def test_a_dry_run_says_what_is_wrong(self, jobs: Jobs, run: Any, rows: str) -> None:
        name = unique()
        done = run("submit", "mpi", "--sweep", rows, "--dry-run", "--name", name, "--nodes", "5")
        assert done.returncode == 1
        assert "error[MN305]" in done.stderr
        assert len(json.loads(done.stdout)) == 2
        assert jobs.list(name=f"{name}*") == ()

    def test_nodes_and_variables_are_those_of_each_job(
        self, deployed: Deployed, run: Any, rows: str
    ) -> None:
        options = ("--nodes", "3", "-e", "B=all", "--format", "json", "--name", unique())
        done = run("submit", "mpi", "--sweep", rows, *options)
        assert done.returncode == 0, done.stderr
        for each, number in zip(json.loads(done.stdout), ("1", "2"), strict=True):
            properties = deployed.job(each["id"])["nodeProperties"]
            assert properties["numNodes"] == 3
            found = variables({"container": properties["nodeRangeProperties"][0]["container"]})
            assert (found["A"], found["B"]) == (number, "all")
            deployed.batch.terminate_job(jobId=each["id"], reason="test")

    def test_one_revision_is_registered_for_all(self, own: Deployed, run: Any, rows: str) -> None:
        arguments = ("submit", "mpi", "--sweep", rows, "--register", "--format", "json")
        shown = run(*arguments, "--dry-run")
        assert shown.returncode == 0, shown.stderr
        assert {each["jobDefinition"].rpartition(":")[2] for each in json.loads(shown.stdout)} == {
            "(new revision)"
        }
        first = run(*arguments)
        assert first.returncode == 0, first.stderr
        done = json.loads(first.stdout)
        assert [each["definition"] for each in done] == [f"{own.name}-mpi:2"] * 2
        again = json.loads(run(*arguments).stdout)
        assert [each["id"] for each in again] == [each["id"] for each in done]
        revisions = own.batch.describe_job_definitions(jobDefinitionName=f"{own.name}-mpi")
        assert [each["revision"] for each in revisions["jobDefinitions"]] == [1, 2]
        for each in done:
            assert own.job(each["id"])["timeout"] == {"attemptDurationSeconds": 7200}

    def test_the_price_is_that_of_the_revision_in_aws(
        self, own: Deployed, run: Any, rows: str
    ) -> None:
        done = run("submit", "mpi", "--sweep", rows)
        assert done.returncode == 0, done.stderr
        # The spec has a timeout of 2 hours by now, the revision one of an hour.
        assert "price: at most mpi 6.05 USD (2 x r5.12xlarge x 1 h)" in done.stderr
        assert done.stderr.index("; times 2 jobs") < done.stderr.index("2 of 2 jobs")
        for line in done.stdout.splitlines():
            identifier = line.split("\t")[0]
            assert own.job(identifier)["timeout"] == {"attemptDurationSeconds": 3600}

    def test_checked_submissions_are_shown_before_any_is_sent(self, jobs: Jobs) -> None:
        name = unique()
        seen = []

        def look(checked: Any) -> None:
            assert jobs.list(name=f"{name}-*") == ()
            seen.append([each.count for each in checked])

        sent = jobs.sweep(Order(job="one", name=name), [{"A": "1"}, {"A": "2"}], on_checked=look)
        assert (seen, len(sent)) == ([[2]], 2)
        for each in sent:
            jobs.cancel(each.id)

    def test_inputs_are_brought_once_and_named_to_all(
        self, sandbox: Sandbox, folder: Path, run: Any, rows: str
    ) -> None:
        name = f"j{uuid4().hex[:10]}"
        s3 = client(sandbox, "s3")
        s3.create_bucket(Bucket=f"{name}-inputs")
        text = spec_text(name, more=f"storage: {{bucket: {name}-inputs}}\n")
        own = Deployed(sandbox, text)
        (folder / "mngen.yaml").write_text(text, encoding="utf-8")
        arguments = ("submit", "one", "--sweep", rows, "--upload", rows, "--format", "json")
        command = ("--", "run", "{inputs}/rows.csv", "{n}")
        assert run(*arguments, "--dry-run", *command).returncode == 0
        assert "Contents" not in s3.list_objects_v2(Bucket=f"{name}-inputs")
        done = run(*arguments, *command)
        assert done.returncode == 0, done.stderr
        found = [own.job(each["id"])["container"] for each in json.loads(done.stdout)]
        [words] = {tuple(each["command"]) for each in found}
        assert words[:2] == (ROWS_GUARD, "run")
        assert words[3] == "{n}"
        (kept,) = s3.list_objects_v2(Bucket=f"{name}-inputs")["Contents"]
        # Where the bucket's object is brought to before the job starts.
        digest = kept["Key"].split("/")[-2]
        place = f"/efs/mngen-inputs/{name}/{digest}"
        assert words[2] == f"{place}/rows.csv"
        for each in found:
            assert variables({"container": each})["MNGEN_INPUTS"] == place

    @pytest.mark.parametrize("again", [False, True])
    @pytest.mark.parametrize("arrays", [False, True])
    def test_one_that_stops_half_way_in_json(
        self, deployed: Deployed, folder: Path, run: Any, *, again: bool, arrays: bool
    ) -> None:
        name = unique()
        write_rows(folder / "many.csv")
        options = ["--again"] * again + ["--no-array"] * (not arrays)
        with Faults(deployed.sandbox.endpoint) as faults:
            faults.fail("batch:SubmitJob", "ClientException", after=1)
            arguments = ("submit", "one", "--sweep", "many.csv", "--name", name)
            done = run(*arguments, "--format", "json", *options, env=faults.environment())
        assert (done.returncode, done.stdout) == (3, "")
        [first] = listed(deployed, name)
        size = first["arrayProperties"]["size"] if arrays else 0
        ids = [f"{first['jobId']}:{index}" for index in range(size)] or [first["jobId"]]
        assert len(ids) < ROWS
        for number, each in enumerate(ids, start=1):
            assert f"{each}\t{name}-{number:04}\n" in done.stderr
        assert f"{len(ids)} of {ROWS} jobs, 0 of them submitted earlier" in done.stderr
        assert ("to continue, repeat the command" in done.stderr) is not again
        assert ("the other rows from another file" in done.stderr) is again
        deployed.drain()

    def test_a_dry_run_shows_the_request_of_each_array(
        self, deployed: Deployed, run: Any, rows: str
    ) -> None:
        name = unique()
        arguments = ("submit", "one", "--sweep", rows, "--dry-run", "--name", name)
        done = run(*arguments, "--", "run", "{n}")
        assert done.returncode == 0, done.stderr
        [shown] = json.loads(done.stdout)
        assert (shown["jobName"], shown["arrayProperties"]) == (f"{name}-0001-0002", {"size": 2})
        assert shown["containerOverrides"]["command"] == [ROWS_GUARD, "run", "{n}"]
        packed = rows_of({"container": shown["containerOverrides"]})
        assert packed.values == ({"A": "1", "n": "x"}, {"A": "2", "n": "y"})
        assert f"{name}-0001-0002: rows 1-2; row 1 runs run x\n" in done.stderr
        assert "; times 2 jobs" in done.stderr
        done = run(*arguments, "--no-array", "--", "run", "{n}")
        assert [each["jobName"] for each in json.loads(done.stdout)] == [
            f"{name}-0001",
            f"{name}-0002",
        ]
        assert "; times 2 jobs" in done.stderr
        assert listed(deployed, name) == []

    def test_an_array_is_shown_as_its_rows(self, deployed: Deployed, run: Any, rows: str) -> None:
        name = unique()
        arguments = ("submit", "one", "--sweep", rows, "--name", name)
        done = run(*arguments)
        assert done.returncode == 0, done.stderr
        [array] = listed(deployed, name)
        assert done.stdout.splitlines() == [
            f"{array['jobId']}:{index}\t{name}-000{index + 1}" for index in range(2)
        ]
        assert "2 of 2 jobs, 0 of them submitted earlier" in done.stderr
        assert f"next: mngen jobs --name '{name}-*'\n" in done.stderr
        again = json.loads(run(*arguments, "--format", "json").stdout)
        assert [each["id"] for each in again] == [f"{array['jobId']}:{index}" for index in range(2)]
        assert all(each["existed"] for each in again)

    @pytest.mark.parametrize("option", ["--array", "--no-array"])
    def test_without_a_sweep_there_is_no_array(self, run: Any, option: str) -> None:
        done = run("submit", "one", option)
        assert done.returncode == 2
        assert "only with --sweep" in done.stderr

    def test_a_sweep_is_not_followed(self, jobs: Jobs, run: Any, rows: str) -> None:
        name = unique()
        done = run("submit", "one", "--sweep", rows, "--follow", "--name", name)
        assert done.returncode == 2
        assert f"mngen jobs --name '{name}-*'" in done.stderr
        assert jobs.list(name=f"{name}*") == ()
