"""A fault that a test asks for is what an AWS client meets."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from tests.support.faults import Faults
from tests.support.sandbox import client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.sandbox import Sandbox

ONCE = Config(retries={"total_max_attempts": 1}, connect_timeout=30, read_timeout=30)
IMAGE = "/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id"


@pytest.fixture
def faults(sandbox: Sandbox) -> Iterator[Faults]:
    with Faults(sandbox.endpoint) as running:
        yield running


def through(faults: Faults, service: str, config: Config | None = ONCE) -> Any:
    session: Any = boto3.session.Session(
        aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1"
    )
    return session.client(service, endpoint_url=faults.endpoint, config=config)


@pytest.mark.parametrize(
    ("service", "call", "arguments", "action"),
    [
        ("ec2", "describe_vpcs", {}, "ec2:DescribeVpcs"),
        ("ssm", "get_parameter", {"Name": IMAGE}, "ssm:GetParameter"),
        ("efs", "describe_file_systems", {}, "elasticfilesystem:DescribeFileSystems"),
        ("batch", "describe_job_queues", {}, "batch:DescribeJobQueues"),
        ("iam", "list_roles", {}, "iam:ListRoles"),
        ("sts", "get_caller_identity", {}, "sts:GetCallerIdentity"),
        ("s3", "list_buckets", {}, "s3:ListBuckets"),
    ],
)
def test_an_error_is_told_in_each_protocol(
    faults: Faults, service: str, call: str, arguments: dict[str, Any], action: str
) -> None:
    ask = getattr(through(faults, service), call)
    faults.fail(action, "ExpiredToken", "The token has <expired>.", status=403, times=1)
    with pytest.raises(ClientError) as caught:
        ask(**arguments)
    error = caught.value.response["Error"]
    assert (error["Code"], error["Message"]) == ("ExpiredToken", "The token has <expired>.")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    ask(**arguments)
    assert [(each.action, each.status) for each in faults.calls] == [(action, 403), (action, 200)]


def test_a_fault_begins_and_ends_where_it_is_told(faults: Faults) -> None:
    ec2 = through(faults, "ec2")
    faults.fail("ec2:DescribeVpcs", "First", after=1, times=1)
    faults.fail("ec2:DescribeVpcs", "Second", after=2)
    codes = []
    for _ in range(4):
        try:
            ec2.describe_vpcs()
            codes.append("")
        except ClientError as error:
            codes.append(error.response["Error"]["Code"])
    assert codes == ["", "First", "Second", "Second"]
    ec2.describe_subnets()
    faults.clear()
    ec2.describe_vpcs()
    assert faults.count("ec2:DescribeVpcs") == 5
    assert faults.count("ec2:DescribeVpcs", status=200) == 2


def test_throttling_is_retried_by_the_client_itself(faults: Faults) -> None:
    faults.fail("ec2:DescribeVpcs", "RequestLimitExceeded", status=503, times=1)
    ec2 = through(faults, "ec2", Config(retries={"total_max_attempts": 2}))
    assert ec2.describe_vpcs()["ResponseMetadata"]["RetryAttempts"] == 1


def test_a_dropped_call_is_not_carried_out_and_a_lost_one_is(
    faults: Faults, sandbox: Sandbox
) -> None:
    ec2 = through(faults, "ec2")
    for name, fault in (("dropped", faults.drop), ("lost", faults.lose)):
        fault("ec2:CreateKeyPair", times=1)
        with pytest.raises(ConnectionClosedError):
            ec2.create_key_pair(KeyName=name)
    found = client(sandbox, "ec2").describe_key_pairs()["KeyPairs"]
    assert {pair["KeyName"] for pair in found} & {"dropped", "lost"} == {"lost"}
    assert faults.count("ec2:CreateKeyPair", status=0) == 2


def test_a_held_call_waits_while_others_pass(faults: Faults) -> None:
    hold = faults.hold("ec2:CreateKeyPair")
    ec2 = through(faults, "ec2")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ec2.create_key_pair, KeyName="held")
        assert hold.reached.wait(30)
        pairs = through(faults, "ec2").describe_key_pairs()["KeyPairs"]
        assert "held" not in {pair["KeyName"] for pair in pairs}
        hold.released.set()
        assert waiting.result(30)["KeyName"] == "held"


def test_a_delayed_call_is_answered_all_the_same(faults: Faults) -> None:
    faults.delay("ec2:DescribeVpcs", 0.01)
    assert through(faults, "ec2").describe_vpcs()["Vpcs"]


def test_it_counts_calls_of_many_at_once(faults: Faults) -> None:
    faults.fail("ec2:DescribeVpcs", "Refused", times=20)
    barrier = threading.Barrier(4)

    def ask(_: int) -> int:
        ec2 = through(faults, "ec2")
        barrier.wait(60)
        refused = 0
        for _ in range(10):
            try:
                ec2.describe_vpcs()
            except ClientError:
                refused += 1
        return refused

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(ask, range(4))) == 20
    assert faults.count("ec2:DescribeVpcs") == 40
