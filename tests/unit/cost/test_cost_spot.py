"""Spot prices: as EC2 describes their history, beside the price on demand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.loaders import Loader
from botocore.stub import ANY, Stubber

from mngen.account import spot_history
from mngen.catalog import load_catalog, load_prices
from mngen.cli._main import run
from mngen.cost import SpotPrice, spot_prices, spot_types
from mngen.rules import require
from mngen.spec import load_text

if TYPE_CHECKING:
    from pathlib import Path

    from mngen.cluster import Cluster

SPEC = """\
name: lab
region: us-east-1
network:
  vpc: vpc-0a1b2c3d
  subnets: [subnet-0a1b2c3d, subnet-1a1b2c3d]
  zones: [us-east-1a, us-east-1b]
environments:
  few:
    instance: m4.4xlarge
    max_nodes: 8
    multi_node: false
    purchase: spot
    alternatives: [m5.4xlarge]
  pinned:
    instance: m4.4xlarge
    max_nodes: 8
    multi_node: false
    purchase: spot
    zones: [us-east-1b]
  large: {instance: r5.12xlarge, max_nodes: 4}
queues:
  small: {environments: [few]}
  other: {environments: [pinned]}
  big: {environments: [large]}
jobs:
  one: {queue: small, command: [hostname]}
"""
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


def cluster_of(text: str = SPEC) -> Cluster:
    return require(load_text(text.encode()), load_catalog())


def change(zone: str, price: str, hours: float, kind: str = "m4.4xlarge") -> Any:
    """What EC2 describes: a price, and since when it holds."""
    return {
        "AvailabilityZone": f"us-east-1{zone}",
        "InstanceType": kind,
        "ProductDescription": "Linux/UNIX",
        "SpotPrice": price,
        "Timestamp": NOW - timedelta(hours=hours),
    }


def test_types_of_spot_environments_are_asked_for_once() -> None:
    assert spot_types(cluster_of()) == ["m4.4xlarge", "m5.4xlarge"]
    assert spot_types(cluster_of(SPEC.replace("purchase: spot", "purchase: on-demand"))) == []


def test_the_newest_change_of_each_zone_is_what_holds_now() -> None:
    history = [
        change("b", "0.310000", 1),
        change("a", "0.290000", 30),
        change("a", "0.350000", 2),
        change("a", "0.280000", 200),
        change("b", "0.400000", 90),
        # The environments have no nodes there.
        change("c", "0.100000", 1),
    ]
    few, other, pinned = spot_prices(cluster_of(), load_prices(), history)
    assert few == SpotPrice(
        environment="few",
        instance="m4.4xlarge",
        now=(0.31, 0.35),
        lately=(0.28, 0.40),
        on_demand=0.80,
        currency="USD",
    )
    assert few.line() == (
        "spot: few m4.4xlarge 0.31 to 0.35 USD/h now, 0.28 to 0.4 USD in the last 7 days; "
        "on demand 0.8 USD"
    )
    assert other.line() == "spot: few m5.4xlarge is not sold on the Spot market of its zones"
    assert (pinned.now, pinned.lately) == ((0.31, 0.31), (0.31, 0.40))
    steady = spot_prices(cluster_of(), load_prices(), [change("b", "0.310000", 100)])[2]
    assert steady.line() == "spot: pinned m4.4xlarge 0.31 USD/h now; on demand 0.8 USD"


@pytest.mark.parametrize(("percent", "starts"), [(39, True), (38, False)])
def test_a_limit_that_no_zone_is_below_is_named(percent: int, starts: bool) -> None:
    """The price must be less than the percentage: API_ComputeResource, bidPercentage."""
    text = SPEC.replace("    alternatives", f"    bid_percentage: {percent}\n    alternatives")
    history = [change("a", "0.305000", 1), change("b", "0.5", 1)]
    few = spot_prices(cluster_of(text), load_prices(), history)[0]
    limit = f"limit {0.008 * percent:.3g} USD (bid_percentage {percent})"
    assert few.line().endswith(limit if starts else f"{limit}: AWS Batch starts none now")


def test_the_history_is_read_as_botocore_describes_it() -> None:
    """AWS's own example of an answer, on two pages."""
    example = Loader().load_service_model("ec2", "examples-1")["examples"]
    [answer] = [each["output"] for each in example["DescribeSpotPriceHistory"]]
    first, second = answer["SpotPriceHistory"]
    ec2: Any = boto3.client(
        "ec2", "us-west-1", aws_access_key_id="test", aws_secret_access_key="test"
    )
    asked = {
        "InstanceTypes": ["m1.xlarge"],
        "ProductDescriptions": ["Linux/UNIX", "Linux/UNIX (Amazon VPC)"],
        "StartTime": ANY,
        "EndTime": ANY,
    }
    with Stubber(ec2) as stub:
        name = "describe_spot_price_history"
        page = {"SpotPriceHistory": [first], "NextToken": "more"}
        stub.add_response(name, page, asked)
        stub.add_response(name, {"SpotPriceHistory": [second]}, {**asked, "NextToken": "more"})
        assert spot_history(ec2, ["m1.xlarge"], days=7) == [first, second]
        stub.assert_no_pending_responses()


@pytest.mark.parametrize("fails", [False, True])
def test_check_shows_them_where_aws_is_asked(
    fails: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "mngen.yaml").write_text(SPEC, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for name, value in (("ID", "test"), ("SECRET", "test")):
        monkeypatch.setenv(f"AWS_{'ACCESS_KEY_ID' if name == 'ID' else 'SECRET_ACCESS_KEY'}", value)
    ec2: Any = boto3.client("ec2", "us-east-1")
    monkeypatch.setattr("mngen._aws.client", lambda *_: ec2)
    monkeypatch.setattr("mngen.rules.checks._account.check_aws", lambda *_, **__: Answers())
    with Stubber(ec2) as stub:
        name = "describe_spot_price_history"
        if fails:
            stub.add_client_error(name, "UnauthorizedOperation", "not authorized", 403)
        else:
            stub.add_response(name, {"SpotPriceHistory": [change("a", "0.310000", 1)]})
        assert run(["check", "--aws"]) == 0
    shown = capsys.readouterr().out
    if fails:
        assert "spot: prices not known: AWS denies DescribeSpotPriceHistory" in shown
    else:
        assert "spot: few m4.4xlarge 0.31 USD/h now; on demand 0.8 USD" in shown


class Answers:
    """Rules that ask AWS found nothing."""

    problems = ()
    unanswered = ()
