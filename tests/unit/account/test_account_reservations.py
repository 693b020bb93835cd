"""Why a job waits for reserved capacity, by what EC2 describes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from mngen.account import Reservation

NOW = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)
BLOCK = Reservation(
    id="cr-0123456789abcdef0",
    instance="p5.48xlarge",
    zone="us-west-2c",
    platform="Linux/UNIX",
    tenancy="default",
    state="active",
    total=4,
    available=4,
    starts=NOW - timedelta(hours=1),
    ends=NOW + timedelta(hours=23),
    group=None,
    is_block=True,
    is_open=False,
)


def test_a_job_that_fits_does_not_wait() -> None:
    assert BLOCK.wait(4, NOW) is None


@pytest.mark.parametrize(
    ("changes", "nodes", "said", "certain"),
    [
        (
            {"state": "scheduled", "starts": datetime(2026, 12, 3, 11, 30, tzinfo=UTC)},
            2,
            "the capacity block `cr-0123456789abcdef0` begins at 2026-12-03 11:30 UTC, in 2 d 2 h",
            True,
        ),
        (
            {"state": "scheduled", "starts": NOW + timedelta(minutes=95)},
            2,
            (
                "the capacity block `cr-0123456789abcdef0` begins at 2026-12-01 10:35 UTC, in 1 h "
                "35 min"
            ),
            True,
        ),
        (
            {"is_block": False, "state": "pending", "starts": None},
            2,
            "the capacity reservation `cr-0123456789abcdef0` is pending",
            True,
        ),
        (
            {"ends": NOW + timedelta(minutes=30)},
            2,
            (
                "the capacity block `cr-0123456789abcdef0` ends at 2026-12-01 09:30 UTC, and EC2 "
                "has terminated its instances"
            ),
            True,
        ),
        (
            {},
            5,
            "the capacity block `cr-0123456789abcdef0` has 4 instances, and the job needs 5",
            True,
        ),
        (
            {"available": 1},
            2,
            (
                "1 of the 4 instances of the capacity block `cr-0123456789abcdef0` are left, and "
                "the job needs 2"
            ),
            False,
        ),
    ],
)
def test_why_a_job_waits(changes: dict[str, object], nodes: int, said: str, certain: bool) -> None:
    wait = replace(BLOCK, **changes).wait(nodes, NOW)
    assert wait is not None
    assert (wait.what, wait.certain) == (said, certain)
    assert wait.remedy


def test_instances_of_an_on_demand_reservation_outlive_it() -> None:
    reservation = replace(BLOCK, is_block=False, ends=NOW + timedelta(minutes=5))
    assert reservation.instances_until is None
    assert reservation.wait(4, NOW) is None


@pytest.mark.parametrize("state", ["expired", "cancelled", "payment-failed"])
def test_what_has_ended_is_not_waited_for(state: str) -> None:
    ended = replace(BLOCK, state=state)
    assert ended.has_ended
    assert ended.wait(1, NOW) is None
