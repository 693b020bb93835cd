"""An account that answers what an import asks, through real clients of botocore."""

from __future__ import annotations

from functools import cache
from typing import Any

import botocore.session
from botocore.exceptions import ClientError

REGION = "eu-west-1"


@cache
def _client(service: str, region: str) -> Any:
    # Reading a service's description takes longer than a test.
    session = botocore.session.Session()
    session.set_credentials("AKIDEXAMPLE", "secret")
    return session.create_client(service, region_name=region)


class Account:
    """An account with one subnet.

    Args:
        denied: Operations that are denied, such as `DescribeSubnets`.
    """

    def __init__(self, *, denied: tuple[str, ...] = ()) -> None:
        self._denied = denied
        self._answers: dict[str, Any] = {
            "GetCallerIdentity": {"Account": "210987654321"},
            "DescribeSubnets": {
                "Subnets": [
                    {
                        "SubnetId": "subnet-0123456789abcdef0",
                        "VpcId": "vpc-0123456789abcdef0",
                        "AvailabilityZone": f"{REGION}b",
                    }
                ]
            },
            "DescribeVpcEndpoints": {"VpcEndpoints": [{"VpcEndpointId": "vpce-1"}]},
        }

    def connect(self, service: str, region: str) -> Any:
        """Returns a real client whose requests this account answers."""
        client = _client(service, region)
        client._make_api_call = self._answer
        return client

    def _answer(self, operation: str, arguments: dict[str, Any]) -> Any:
        del arguments
        if operation in self._denied:
            raise ClientError(
                {"Error": {"Code": "AccessDeniedException", "Message": "not authorized"}},
                operation,
            )
        return self._answers[operation]
