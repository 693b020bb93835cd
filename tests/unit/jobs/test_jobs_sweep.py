"""Sweeps over HTTP against the sandbox: a job a row, judged before, resumed where they stopped."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from mngen.errors import InputError
from mngen.jobs import Jobs, Order, read_rows
from tests.support.batch import Deployed, spec_text
from tests.support.cli import CHECKOUT
from tests.support.faults import Faults
from tests.support.sandbox import client

if TYPE_CHECKING:
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


class TestSweep:
    def test_columns_are_variables_and_words(self, deployed: Deployed, jobs: Jobs) -> None:
        order = Order(
            job="one",
            name=unique(),
            command=("run", "--n={n}", "{text}", "{other}"),
            environment={"FIXED": "1"},
        )
        rows = [{"n": "1", "text": QUOTES}, {"n": "2", "text": "{n}"}]
        done = jobs.sweep(order, rows)
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
        done = jobs.sweep(order, rows)
        deployed.batch.terminate_job(jobId=done[1].id, reason="test")
        again = jobs.sweep(order, rows)
        assert [each.existed for each in again] == [True, False, True]
        assert (again[0].id, again[2].id) == (done[0].id, done[2].id)

    def test_nothing_is_sent_if_a_row_is_wrong(self, jobs: Jobs) -> None:
        name = unique()
        rows = [{"A": "1"}, {"A": "x" * 9_000}, {"A": "y" * 9_000}]
        with pytest.raises(InputError) as caught:
            jobs.sweep(Order(job="one", name=name), rows)
        assert {each.rule for each in caught.value.problems} == {"MN308"}
        assert jobs.list(name=f"{name}*") == ()

    def test_a_column_that_is_no_variable_must_be_used(self, jobs: Jobs) -> None:
        with pytest.raises(InputError, match="the column `a b`"):
            jobs.sweep(Order(job="one"), [{"a b": "1"}])

    @pytest.mark.usefixtures("state_home")
    def test_many_rows_take_few_calls_beside_the_submissions(
        self, deployed: Deployed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        order, rows = Order(job="one", name=unique()), [{"A": str(n)} for n in range(30)]
        with Faults(deployed.sandbox.endpoint) as faults:
            faults.redirect(monkeypatch)
            through = Jobs(deployed.cluster)
            done = through.sweep(order, rows)
            assert faults.count("batch:SubmitJob") == 30
            assert len(faults.calls) - 30 <= 14
            before = len(faults.calls)
            assert [each.id for each in through.sweep(order, rows)] == [each.id for each in done]
            assert len(faults.calls) - before <= 14

    def test_killed_half_way_and_resumed(
        self, deployed: Deployed, folder: Path, state_home: Path, run: Any
    ) -> None:
        name = unique()
        (folder / "s.csv").write_text("A\n" + "".join(f"{n}\n" for n in range(6)))
        arguments = ["submit", "one", "--name", name, "--sweep", "s.csv"]
        with Faults(deployed.sandbox.endpoint) as faults:
            held = faults.hold_answer("batch:SubmitJob", after=3)
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
        told = [line.split("\t") for line in out.splitlines()]
        assert [each[1] for each in told] == [f"{name}-000{n}" for n in (1, 2, 3)]
        done = run(*arguments, "--format", "json")
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert [each["existed"] for each in found] == [True] * 4 + [False] * 2
        assert [each["id"] for each in found[:3]] == [each[0] for each in told]
        listed = deployed.batch.list_jobs(
            jobQueue=f"{deployed.name}-small",
            filters=[{"name": "JOB_NAME", "values": [f"{name}-*"]}],
        )["jobSummaryList"]
        assert len(listed) == 6

    def test_a_column_and_a_variable_of_one_name(self, jobs: Jobs) -> None:
        order = Order(job="one", environment={"A": "for all"})
        with pytest.raises(InputError, match="the column `A` is a variable that is set for all"):
            jobs.sweep(order, [{"A": "1"}])


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
            seen.append(len(checked))

        sent = jobs.sweep(Order(job="one", name=name), [{"A": "1"}, {"A": "2"}], on_checked=look)
        assert (seen, len(sent)) == ([2], 2)
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
        assert len({each["command"][1] for each in found}) == 1
        assert [each["command"][2] for each in found] == ["x", "y"]
        (kept,) = s3.list_objects_v2(Bucket=f"{name}-inputs")["Contents"]
        # Where the bucket's object is brought to before the job starts.
        digest = kept["Key"].split("/")[-2]
        place = f"/efs/mngen-inputs/{name}/{digest}"
        assert found[0]["command"][1] == f"{place}/rows.csv"
        for each in found:
            assert variables({"container": each})["MNGEN_INPUTS"] == place

    @pytest.mark.parametrize("again", [False, True])
    def test_one_that_stops_half_way_in_json(
        self, deployed: Deployed, jobs: Jobs, run: Any, rows: str, *, again: bool
    ) -> None:
        name = unique()
        options = ["--again"] if again else []
        with Faults(deployed.sandbox.endpoint) as faults:
            faults.fail("batch:SubmitJob", "ClientException", after=1)
            arguments = ("submit", "one", "--sweep", rows, "--name", name, "--format", "json")
            done = run(*arguments, *options, env=faults.environment())
        assert (done.returncode, done.stdout) == (3, "")
        [first] = jobs.list(name=f"{name}-*")
        assert f"{first.id}\t{first.name}\n" in done.stderr
        assert ("to continue, repeat the command" in done.stderr) is not again
        assert ("the other rows from another file" in done.stderr) is again

    def test_a_sweep_is_not_followed(self, jobs: Jobs, run: Any, rows: str) -> None:
        name = unique()
        done = run("submit", "one", "--sweep", rows, "--follow", "--name", name)
        assert done.returncode == 2
        assert f"mngen jobs --name '{name}-*'" in done.stderr
        assert jobs.list(name=f"{name}*") == ()
