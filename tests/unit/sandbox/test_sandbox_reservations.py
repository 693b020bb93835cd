"""The emulated EC2 has capacity reservations and blocks, and Batch runs jobs in them."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.batch import make_block
from tests.support.sandbox import client, control, error_code, unique

if TYPE_CHECKING:
    from mngen.sandbox import Sandbox

ZONE = "us-east-1a"
R5 = {"InstanceType": "r5.12xlarge", "InstancePlatform": "Linux/UNIX", "AvailabilityZone": ZONE}
UNKNOWN = "cr-0123456789abcdef0"


@pytest.fixture(scope="module")
def ec2(sandbox: Sandbox) -> Any:
    return client(sandbox, "ec2")


def described(ec2: Any, identifier: str) -> dict[str, Any]:
    [found] = ec2.describe_capacity_reservations(CapacityReservationIds=[identifier])[
        "CapacityReservations"
    ]
    return dict(found)


def reserve(ec2: Any, count: int = 4, **more: Any) -> str:
    made = ec2.create_capacity_reservation(**R5, InstanceCount=count, **more)
    return str(made["CapacityReservation"]["CapacityReservationId"])


class TestReservations:
    def test_one_lives_and_is_cancelled(self, ec2: Any) -> None:
        identifier = reserve(ec2, InstanceMatchCriteria="targeted")
        found = described(ec2, identifier)
        assert (found["State"], found["EndDateType"], found["ReservationType"]) == (
            "active",
            "unlimited",
            "default",
        )
        assert (found["TotalInstanceCount"], found["AvailableInstanceCount"]) == (4, 4)
        ec2.cancel_capacity_reservation(CapacityReservationId=identifier)
        assert described(ec2, identifier)["State"] == "cancelled"

    def test_what_ec2_refuses(self, ec2: Any) -> None:
        for question, code in (
            (UNKNOWN, "InvalidCapacityReservationId.NotFound"),
            ("mine", "InvalidCapacityReservationId.Malformed"),
        ):
            assert (
                error_code(ec2.describe_capacity_reservations, CapacityReservationIds=[question])
                == code
            )
        wrong: dict[str, Any] = {**R5, "InstanceCount": 1, "EndDateType": "limited"}
        assert error_code(ec2.create_capacity_reservation, **wrong) == "InvalidParameterCombination"
        wrong = {**R5, "InstanceCount": 1, "AvailabilityZone": "us-east-1z"}
        assert error_code(ec2.create_capacity_reservation, **wrong) == "InvalidParameterValue"

    def test_it_ends_at_its_date(self, ec2: Any, sandbox: Sandbox) -> None:
        ends = datetime.now(UTC) + timedelta(hours=1)
        identifier = reserve(ec2, EndDateType="limited", EndDate=ends)
        assert described(ec2, identifier)["State"] == "active"
        control(sandbox, reservations={identifier: {"ends": time.time() - 1}})
        assert described(ec2, identifier)["State"] == "expired"


class TestBlocks:
    def test_one_begins_and_ends(self, ec2: Any, sandbox: Sandbox) -> None:
        identifier = make_block(ec2)
        found = described(ec2, identifier)
        assert (found["State"], found["ReservationType"]) == ("scheduled", "capacity-block")
        assert found["EndDate"] - found["StartDate"] == timedelta(hours=48)
        assert found["AvailableInstanceCount"] == 0
        control(sandbox, reservations={identifier: {"starts": time.time() - 1}})
        assert described(ec2, identifier)["AvailableInstanceCount"] == 4
        control(sandbox, reservations={identifier: {"ends": time.time() - 1}})
        assert described(ec2, identifier)["State"] == "expired"

    def test_it_cannot_be_cancelled_or_bought_of_any_type(self, ec2: Any) -> None:
        identifier = make_block(ec2)
        assert (
            error_code(ec2.cancel_capacity_reservation, CapacityReservationId=identifier)
            == "UnsupportedOperation"
        )
        offered = ec2.describe_capacity_block_offerings(
            InstanceType="r5.12xlarge", InstanceCount=1, CapacityDurationHours=24
        )
        assert offered["CapacityBlockOfferings"] == []
        code = error_code(
            ec2.purchase_capacity_block,
            CapacityBlockOfferingId="cbo-0123456789abcdef0",
            InstancePlatform="Linux/UNIX",
        )
        # https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
        assert code == "InvalidCapacityBlockOfferingIdNotFound"


def test_a_group_lists_its_reservations(ec2: Any, sandbox: Sandbox) -> None:
    groups = client(sandbox, "resource-groups")
    name, arn = unique("mpi"), described(ec2, reserve(ec2))["CapacityReservationArn"]
    pool = [{"Type": "AWS::EC2::CapacityReservationPool"}]
    made = groups.create_group(Name=name, Configuration=pool)["Group"]["GroupArn"]
    groups.group_resources(Group=name, ResourceArns=[arn])
    for asked in (name, made):
        found = groups.list_group_resources(Group=asked)["Resources"]
        assert [each["Identifier"]["ResourceArn"] for each in found] == [arn]
        shown = groups.get_group_configuration(Group=asked)["GroupConfiguration"]
        assert shown["Configuration"] == pool
    for call in (groups.list_group_resources, groups.get_group_configuration):
        assert error_code(call, Group="nowhere") == "NotFoundException"
