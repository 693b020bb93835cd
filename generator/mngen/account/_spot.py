"""The history of Spot prices."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_ec2.client import EC2Client
    from mypy_boto3_ec2.type_defs import SpotPriceTypeDef

# Accounts that once had EC2-Classic have the second one.
_LINUX = ("Linux/UNIX", "Linux/UNIX (Amazon VPC)")


def spot_history(ec2: EC2Client, types: Sequence[str], *, days: int) -> list[SpotPriceTypeDef]:
    """Returns the changes of Spot prices in all zones of a region, as EC2 describes them.

    The price that was effective at the beginning of the time is the first one of each zone.
    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSpotPriceHistory.html

    Args:
        ec2: The client.
        types: Names of instance types.
        days: How many days until now, at most 90.

    Raises:
        botocore.exceptions.ClientError: AWS refused.
    """
    now = datetime.now(UTC)
    pages = ec2.get_paginator("describe_spot_price_history").paginate(
        InstanceTypes=list(types),  # type: ignore[arg-type]  # any name is one for EC2
        ProductDescriptions=list(_LINUX),
        StartTime=now - timedelta(days=days),
        EndTime=now,
    )
    return [each for page in pages for each in page["SpotPriceHistory"]]
