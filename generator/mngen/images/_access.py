"""How builders are reached: a security group for the length of a bake."""

from __future__ import annotations

import ipaddress
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mngen._aws import translated
from mngen._tags import tag_specifications
from mngen.cluster import IMAGE_TAG, RUN_TAG
from mngen.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mypy_boto3_ec2.client import EC2Client

_CALLER = "https://checkip.amazonaws.com"
_SECONDS = 10


@contextmanager
def ssh_group(
    ec2: EC2Client,
    *,
    name: str,
    suffix: str,
    vpc_id: str,
    port: int,
    sources: Sequence[str],
    tags: Mapping[str, str],
) -> Iterator[str]:
    """Makes a security group that lets SSH in, for as long as images are baked.

    Args:
        ec2: The client.
        name: The deployment.
        suffix: What makes this bake's names unique.
        vpc_id: The VPC.
        port: The port of sshd.
        sources: IPv4 ranges that may connect.
        tags: Tags of the deployment.

    Yields:
        Its id.

    Raises:
        ToolError: AWS refused.
    """
    marks = {**tags, IMAGE_TAG: "all", RUN_TAG: suffix}
    with translated():
        group = ec2.create_security_group(
            GroupName=f"{name}-bake-{suffix}",
            Description="SSH to the builders of AMIs during a bake",
            VpcId=vpc_id,
            TagSpecifications=tag_specifications(marks, "security-group"),
        )["GroupId"]
    try:
        with translated():
            ec2.authorize_security_group_ingress(
                GroupId=group,
                IpPermissions=[
                    {
                        "IpProtocol": "tcp",
                        "FromPort": port,
                        "ToPort": port,
                        "IpRanges": [
                            {"CidrIp": source, "Description": "baking"} for source in sources
                        ],
                    }
                ],
            )
        yield group
    finally:
        with translated():
            ec2.delete_security_group(GroupId=group)


def callers_range() -> str:
    """Returns the public IPv4 address that this machine is seen with, as a range of one.

    Raises:
        ToolError: It cannot be found out.
    """
    try:
        with urllib.request.urlopen(_CALLER, timeout=_SECONDS) as answer:
            address = ipaddress.IPv4Address(answer.read(64).decode("ascii", "replace").strip())
    except (OSError, ValueError) as error:
        raise ToolError(
            f"cannot determine this machine's public address: {error}",
            hint="write the ranges that you bake from into the spec: `image: {ssh_from: [...]}`; "
            "or bake with no port open: `image: {connect: session-manager}`",
        ) from None
    return f"{address}/32"
