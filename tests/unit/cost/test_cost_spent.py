"""What jobs cost, from how long they used instances; each figure is a sum by hand."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from mngen.catalog import load_prices
from mngen.cli.cost import _show, _show_job
from mngen.cost import By, job_report, report
from mngen.jobs import NodeUsage, Usage

# USD an hour in us-east-1: r5.24xlarge 6.048, r5.12xlarge 3.024, m4.4xlarge 0.80.
HOUR = 3600.0


def usage(**keys: Any) -> Usage:
    wanted: dict[str, Any] = {
        "id": "1",
        "name": "a",
        "job": "solve",
        "queue": "mpi",
        "user": "ada",
        "state": "SUCCEEDED",
        "created": 1.0,
        "nodes": 2,
        "attempts": 1,
        "seconds": 2 * HOUR,
        "shares": {"r5.24xlarge": 1.0},
    }
    return Usage(**{**wanted, **keys})


def rows(by: By, *usages: Usage, region: str = "us-east-1") -> dict[str, Any]:
    found = report(usages, load_prices(), region, by)
    return {each.name: each for each in found.rows}


def test_sums_are_those_by_hand() -> None:
    usages = [
        # Two nodes for 1.5 hours.
        usage(seconds=2 * 1.5 * HOUR),
        # The same job by another user: 16 nodes for 90 seconds.
        usage(user="bob", nodes=16, seconds=16 * 90.0),
        # A job of one node that took a quarter of the instance for an hour.
        usage(
            user="bob",
            job="post",
            queue="spot",
            nodes=1,
            seconds=HOUR,
            shares={"m4.4xlarge": 0.25},
        ),
    ]
    by_user = rows(By.USER, *usages)
    assert by_user["ada"].amount == pytest.approx(3 * 6.048)
    assert by_user["bob"].amount == pytest.approx(0.4 * 6.048 + 0.25 * 0.80)
    assert by_user["bob"].node_hours == pytest.approx(0.4 + 1)
    by_job = rows(By.JOB, *usages)
    assert by_job["solve"].amount == pytest.approx(3.4 * 6.048)
    assert (by_job["solve"].jobs, by_job["post"].jobs) == (2, 1)
    assert list(rows(By.QUEUE, *usages)) == ["mpi", "spot"]
    total = report(usages, load_prices(), "us-east-1", By.QUEUE).total
    assert total.amount == pytest.approx(3.4 * 6.048 + 0.2)
    assert (total.jobs, total.unpriced) == (3, 0)


def test_of_several_instance_types_the_dearest_counts_by_the_part_that_is_taken() -> None:
    # Half of an r5.12xlarge is 1.512 USD an hour, a quarter of an r5.24xlarge the same and a bit.
    found = rows(By.JOB, usage(seconds=HOUR, shares={"r5.12xlarge": 0.5, "r5.24xlarge": 0.26}))
    assert found["solve"].amount == pytest.approx(0.26 * 6.048)


def test_what_counts_at_the_dearest_type_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    several = usage(nodes=1, seconds=HOUR, shares={"r5.24xlarge": 0.26, "r5.12xlarge": 0.5})
    prices = load_prices()
    _show(report([usage(), several], prices, "us-east-1", By.JOB))
    assert "1 job counted at the dearest of several possible" in capsys.readouterr().err
    _show_job(job_report(several, prices, "us-east-1"), "us-east-1")
    words = " ".join(capsys.readouterr().err.split())
    assert "of the possible instance types r5.12xlarge, r5.24xlarge, the dearest counts" in words
    # AWS Batch reports the type of a node of a multi-node job.
    node = NodeUsage(index=0, seconds=HOUR, attempts=1, instance="r5.12xlarge")
    known = usage(nodes=1, shares=several.shares, by_node=(node,))
    _show_job(job_report(known, prices, "us-east-1"), "us-east-1")
    assert "possible" not in capsys.readouterr().err


def test_what_has_no_price_is_counted_as_such_with_the_reason() -> None:
    found = report(
        [
            usage(),
            usage(shares={"hpc7a.96xlarge": 1.0}),
            usage(in_block=True),
            usage(is_existing=True, shares={}),
            # It never ran: it cost nothing wherever it would have.
            usage(in_block=True, seconds=0.0),
        ],
        load_prices(),
        "us-east-1",
        By.JOB,
    )
    (row,) = found.rows
    assert (row.jobs, row.unpriced) == (5, 3)
    assert row.amount == pytest.approx(2 * 6.048)
    assert sorted(found.reasons.values()) == [1, 1, 1]
    assert "no price of hpc7a.96xlarge in us-east-1" in found.reasons


def test_a_region_without_prices_has_no_currency_and_no_amount() -> None:
    found = report([usage()], load_prices(), "eu-west-1", By.JOB)
    assert (found.currency, found.date, found.total.unpriced) == (None, None, 1)
    (row,) = found.rows
    assert (row.amount, found.total.amount) == (None, None)
    (read,) = csv.DictReader(io.StringIO(found.csv()))
    assert (read["amount"], read["currency"], read["unpriced"]) == ("", "", "1")


def test_what_never_ran_does_not_make_an_unknown_amount_known() -> None:
    idle = usage(seconds=0.0)
    found = report([usage(), idle], load_prices(), "eu-west-1", By.JOB)
    assert (found.total.amount, found.total.jobs, found.total.unpriced) == (None, 2, 1)
    assert report([idle], load_prices(), "eu-west-1", By.JOB).total.amount == 0.0
    assert report([], load_prices(), "eu-west-1", By.JOB).total.amount == 0.0


def test_csv_has_what_the_rows_have() -> None:
    found = report(
        [usage(user="o'hara, ada"), usage(user=None)], load_prices(), "us-east-1", By.USER
    )
    read = list(csv.DictReader(io.StringIO(found.csv())))
    assert [each["user"] for each in read] == ["", "o'hara, ada"]
    assert {each["amount"] for each in read} == {"12.096000"}
    assert {each["currency"] for each in read} == {"USD"}


def test_one_job_is_the_sum_of_its_nodes() -> None:
    nodes = (
        NodeUsage(index=0, seconds=HOUR, attempts=2, instance="r5.24xlarge"),
        # A node that ended early, on the other environment of the queue.
        NodeUsage(index=1, seconds=0.5 * HOUR, attempts=1, instance="r5.12xlarge"),
        NodeUsage(index=2, seconds=0.0, attempts=0),
    )
    found = job_report(usage(nodes=3, by_node=nodes), load_prices(), "us-east-1")
    assert [each.amount for each in found.nodes] == [
        pytest.approx(6.048),
        pytest.approx(0.5 * 3.024),
        0.0,
    ]
    assert found.total.amount == pytest.approx(6.048 + 1.512)
    assert found.total.hours == pytest.approx(1.5)
    assert len(found.csv().splitlines()) == 4


def test_one_node_without_a_price_leaves_the_job_without() -> None:
    nodes = (
        NodeUsage(index=0, seconds=HOUR, attempts=1, instance="r5.24xlarge"),
        NodeUsage(index=1, seconds=HOUR, attempts=1, instance="hpc7a.96xlarge"),
    )
    found = job_report(usage(by_node=nodes), load_prices(), "us-east-1")
    assert found.total.amount is None
    assert "hpc7a.96xlarge" in found.total.reason


def test_a_job_of_one_node_is_that_node() -> None:
    found = job_report(
        usage(nodes=1, seconds=HOUR, shares={"m4.4xlarge": 0.5}), load_prices(), "us-east-1"
    )
    (node,) = found.nodes
    assert (node.name, node.instance) == ("0", "m4.4xlarge")
    assert node.amount == pytest.approx(0.40)
    assert found.total.amount == node.amount
