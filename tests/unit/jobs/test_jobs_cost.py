"""What jobs cost, over HTTP against the sandbox: the sum by hand, in few calls."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from collections import Counter
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from mngen.catalog import load_prices
from mngen.cost import By, report
from mngen.jobs import Jobs
from mngen.sandbox import ACCOUNT_ID
from tests.support.batch import Deployed, array_of, hold

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.clock import MovedClock
    from tests.support.faults import Faults

JOBS = 10_000
# USD an hour in us-east-1 on demand.
R5_12XLARGE, M4_4XLARGE = 3.024, 0.80


def ended(jobs: Jobs, job: str = "mpi", **wanted: Any) -> str:
    """Submit a job and wait until it has ended."""
    variables = {"MNGEN_SANDBOX_SECONDS": "0.3", **wanted.pop("environment", {})}
    name = f"n{uuid4().hex[:10]}"
    identifier = jobs.submit(job, name=name, environment=variables, **wanted).id
    jobs.wait(identifier, timeout=180)
    return identifier


def seconds_of(deployed: Deployed, *identifiers: str) -> float:
    """Sum the attempts of jobs or nodes, as AWS Batch describes them."""
    described = [deployed.job(each) for each in identifiers]
    assert all(each["attempts"] for each in described)
    milliseconds: int = sum(
        attempt["stoppedAt"] - attempt["startedAt"]
        for each in described
        for attempt in each["attempts"]
    )
    return milliseconds / 1000


def test_a_job_costs_the_attempts_of_its_nodes(deployed: Deployed, jobs: Jobs, run: Any) -> None:
    job = ended(jobs, nodes=3, attempts=2, environment={"MNGEN_SANDBOX_EXIT": "1,0"})
    seconds = seconds_of(deployed, *(f"{job}#{node}" for node in range(3)))
    done = run("cost", job, "--format", "json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [each["attempts"] for each in found["usage"]["by_node"]] == [2, 2, 2]
    assert found["total"]["amount"] == pytest.approx(seconds * R5_12XLARGE / 3600)
    assert (found["currency"], found["date"]) == ("USD", "2026-07-20")
    shown = run("cost", job)
    assert shown.stdout.splitlines()[-1].split()[0] == "total"
    assert "prices on demand of 2026-07-20" in shown.stderr
    assert "not counted: the start of instances" in shown.stderr
    lines = run("cost", job, "--format", "csv").stdout.splitlines()
    assert len(lines) == 4
    assert run("cost", job, "--by", "user").returncode == 2
    assert "not found" in run("cost", "00000000-0000-0000-0000-000000000000").stderr


def test_jobs_are_summed_by_user_job_and_queue(
    deployed: Deployed, jobs: Jobs, run: Any, folder: Path, clock: MovedClock
) -> None:
    many = [ended(jobs), ended(jobs, nodes=3)]
    one = ended(jobs, "one", vcpus=2, memory=1000)
    running = hold(jobs, "RUNNING")
    # 2 of the 8 CPUs that the AMI leaves of an m4.4xlarge.
    expected = {
        "one": 0.25 * seconds_of(deployed, one) * M4_4XLARGE / 3600,
        "mpi": (2 * seconds_of(deployed, many[0]) + 3 * seconds_of(deployed, many[1]))
        * (R5_12XLARGE / 3600),
    }
    deployed.control(jobs={running: {"hold": None, "seconds": 0}})
    jobs.wait(running, timeout=180)
    expected["mpi"] += 2 * seconds_of(deployed, running) * R5_12XLARGE / 3600
    clock.return_to_present()
    since = f"{deployed.job(many[0])['createdAt'] / 1000 - 0.001:.3f}"
    read = csv.DictReader(io.StringIO(run("cost", "--since", since, "--format", "csv").stdout))
    rows = {each["job"]: each for each in read}
    assert {name: float(each["amount"]) for name, each in rows.items()} == {
        name: pytest.approx(amount, abs=1e-6) for name, amount in expected.items()
    }
    assert (rows["mpi"]["jobs"], rows["one"]["jobs"]) == ("3", "1")
    by_queue = json.loads(run("cost", "--since", since, "--by", "queue", "--format", "json").stdout)
    assert {each["name"] for each in by_queue["rows"]} == {"big", "small"}
    assert by_queue["total"]["amount"] == pytest.approx(sum(expected.values()))
    by_user = run("cost", "--since", since, "--by", "user")
    assert len(by_user.stdout.splitlines()) == 3
    assert "no jobs" in run("cost", "--since", f"{time.time() + 60:.0f}").stderr.lower()
    assert "older ones may be missing" in run("cost", "--since", "30d").stderr
    # What AWS Batch forgets is summed from the file, and what is in it is not counted twice.
    keep = ("cost", "--since", since, "--by", "user", "--keep", "kept.csv", "--format", "json")
    first = run(*keep, "--picture", "cost.svg")
    assert "jobs added" in first.stderr, first.stderr
    kept = csv.DictReader(io.StringIO((folder / "kept.csv").read_text(encoding="utf-8")))
    # arn:aws:batch:REGION:ACCOUNT:job/ID
    assert {each["account"] for each in kept} == {deployed.job(one)["jobArn"].split(":")[4]}
    deployed.control(forget=[*many, one])
    for done in (first, run(*keep)):
        found = json.loads(done.stdout)
        assert found["total"]["jobs"] == 4
        assert found["total"]["amount"] == pytest.approx(sum(expected.values()), abs=1e-5)
    picture = (folder / "cost.svg").read_text(encoding="utf-8")
    # Three digits of kept amounts, each of which is rounded as well.
    [total] = re.findall(r"total ([0-9.e-]+) USD", picture)
    assert float(total) == pytest.approx(sum(expected.values()), rel=0.01)
    assert run("cost", running, "--keep", "kept.csv").returncode == 2
    # In a bucket as in a file; of the jobs, AWS Batch still has the last one.
    bucket = f"{deployed.name}-costs"
    deployed.client("s3").create_bucket(Bucket=bucket)
    done = run(*keep, "--keep", f"s3://{bucket}/kept.csv")
    assert json.loads(done.stdout)["total"]["jobs"] == 1
    content = deployed.client("s3").get_object(Bucket=bucket, Key="kept.csv")["Body"].read()
    assert f"{deployed.name},{ACCOUNT_ID},us-east-1,{running}," in content.decode()
    refused = run("cost", "--keep", f"s3://{bucket}")
    assert (refused.returncode, "is not an object in a bucket" in refused.stderr) == (1, True)


def test_ten_thousand_jobs_take_at_most_120_calls(large: Deployed, faults: Faults) -> None:
    jobs = Jobs(large.cluster)
    job = ended(jobs)
    large.control(copies={job: JOBS - 1})
    before = len(faults.calls)
    usages = jobs.usage()
    calls = Counter(call.action for call in faults.calls[before:])
    assert sum(calls.values()) <= 120, calls
    found = report(usages, load_prices(), "us-east-1", By.USER)
    assert found.total.jobs == JOBS
    hours = 2 * seconds_of(large, job) / 3600
    assert found.total.amount == pytest.approx(JOBS * hours * R5_12XLARGE)
    assert [each.name for each in found.rows] == [usages[0].user]
    assert found.rows[0].name


def test_an_array_costs_what_its_jobs_do(
    deployed: Deployed, jobs: Jobs, run: Any, clock: MovedClock
) -> None:
    variables = {"MNGEN_SANDBOX_HOLD": "RUNNABLE", "MNGEN_SANDBOX_SECONDS": "0.3"}
    array = array_of(deployed, 3, variables=variables, tags={"mngen:submitter": "ada"})
    failing = {"hold": None, "exits": [1]}
    deployed.control(jobs={f"{array}:{index}": {"hold": None} for index in (0, 2)})
    deployed.control(jobs={f"{array}:1": failing})
    jobs.wait(array, timeout=180)
    clock.return_to_present()
    since = f"{deployed.job(array)['createdAt'] / 1000 - 0.001:.3f}"
    ids = [f"{array}:{index}" for index in range(3)]
    # A job of an array has the whole instance, as the definition has it.
    expected = seconds_of(deployed, *ids) * M4_4XLARGE / 3600
    found = json.loads(run("cost", array, "--format", "json").stdout)
    assert found["total"]["amount"] == pytest.approx(expected)
    assert [each["name"] for each in found["nodes"]] == ["0", "1", "2"]
    shown = run("cost", array)
    assert shown.stdout.splitlines()[0].split()[0] == "index"
    child = json.loads(run("cost", ids[1], "--format", "json").stdout)
    assert (child["usage"]["user"], child["usage"]["id"]) == ("ada", ids[1])
    by_user = ("cost", "--since", since, "--by", "user", "--format", "json")
    found = json.loads(run(*by_user).stdout)
    (row,) = [each for each in found["rows"] if each["name"] == "ada"]
    assert (row["jobs"], row["unpriced"]) == (3, 0)
    assert row["amount"] == pytest.approx(expected)


def test_an_array_of_ten_thousand_takes_at_most_120_calls(large: Deployed, faults: Faults) -> None:
    jobs = Jobs(large.cluster)
    array = array_of(large, JOBS, variables={"MNGEN_SANDBOX_HOLD": "RUNNABLE"})
    large.control(jobs={f"{array}:0": {"hold": None}, f"{array}:7": {"hold": None}})
    for index in (0, 7):
        large.reached(f"{array}:{index}", "SUCCEEDED")
    before = len(faults.calls)
    usages = jobs.usage()
    calls = Counter(call.action for call in faults.calls[before:])
    assert sum(calls.values()) <= 120, calls
    assert [each.id for each in usages] == [f"{array}:0", f"{array}:7"]
    before = len(faults.calls)
    found = jobs.usage_of(array)
    calls = Counter(call.action for call in faults.calls[before:])
    assert sum(calls.values()) <= 120, calls
    assert found.seconds == pytest.approx(seconds_of(large, f"{array}:0", f"{array}:7"))
    jobs.cancel(array)
