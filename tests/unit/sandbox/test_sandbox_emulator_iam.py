"""AWS's managed policies in the emulated IAM, which are made once for all resets."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from tests.support.sandbox import client, error_code

if TYPE_CHECKING:
    from mngen.sandbox import Sandbox

ARN = "arn:aws:iam::aws:policy/service-role/AWSBatchServiceRole"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "batch.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}


def policy(iam: Any) -> dict[str, Any]:
    found: dict[str, Any] = iam.get_policy(PolicyArn=ARN)["Policy"]
    return found


def test_after_a_reset_they_are_those_of_a_new_account(sandbox: Sandbox) -> None:
    iam = client(sandbox, "iam")
    sandbox.reset()
    new = policy(iam)
    assert new["AttachmentCount"] == 0
    iam.create_role(RoleName="service", AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.attach_role_policy(RoleName="service", PolicyArn=ARN)
    assert policy(iam)["AttachmentCount"] == 1
    sandbox.reset()
    assert policy(iam) == new
    assert error_code(iam.get_role, RoleName="service") == "NoSuchEntity"


def test_ids_of_ec2_are_as_long_as_its_own(sandbox: Sandbox) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/resource-ids.html."""
    ec2 = client(sandbox, "ec2")
    found = [ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"] for _ in range(20)]
    for each in found:
        ec2.delete_vpc(VpcId=each)
    assert all(re.fullmatch("vpc-[0-9a-f]{17}", each) for each in found)
    assert len(set(found)) == len(found)
