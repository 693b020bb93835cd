"""What a destroy leaves and costs money is named, on the emulated AWS."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from mngen.terraform._plan import Plan
from mngen.terraform._summary import PlanSummary
from mngen.terraform._survivors import survivors
from tests.support.builders import base_ami
from tests.support.sandbox import client

if TYPE_CHECKING:
    from mngen.errors import Problem
    from mngen.sandbox import Sandbox

ARN = "arn:aws:elasticfilesystem:us-east-1:123456789012:file-system/fs-6a6def55"


def remaining(sandbox: Sandbox, name: str, *, backup: str = "DISABLED") -> list[Problem]:
    """Ask after a destroy, whose plan Terraform 1.11.4 describes so with provider 5.100."""
    policy = {"id": "fs-6a6def55", "file_system_id": "fs-6a6def55"}
    before = {
        "aws_efs_file_system": {"id": "fs-6a6def55", "arn": ARN},
        "aws_efs_backup_policy": {**policy, "backup_policy": [{"status": backup}]},
    }
    network = {"expressions": {"name": {"constant_value": name}}}
    identity = {"expressions": {"inputs_bucket": {"constant_value": "inputs"}}}
    aws = {"name": "aws", "expressions": {"region": {"constant_value": "us-east-1"}}}
    data: dict[str, Any] = {
        "resource_changes": [
            {
                "address": f"module.storage.{kind}.this",
                "mode": "managed",
                "type": kind,
                "change": {"actions": ["delete"], "before": values, "after": None},
            }
            for kind, values in before.items()
        ],
        "configuration": {
            "provider_config": {"aws": aws},
            "root_module": {"module_calls": {"network": network, "identity": identity}},
        },
    }
    plan = Plan(PlanSummary(()), is_destroy=True, has_changes=True, descriptor=-1, data=data)
    return list(survivors(plan, Path("deploy/terraform"), partial(client, sandbox)))


def test_what_is_paid_for_is_named_with_its_command(sandbox: Sandbox) -> None:
    name = f"s{uuid4().hex[:10]}"
    ec2, efs = client(sandbox, "ec2"), client(sandbox, "efs")
    tags = [{"Key": "mngen:deployment", "Value": name}]
    base = base_ami(sandbox)
    instance = ec2.run_instances(ImageId=base, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    image = ec2.create_image(
        InstanceId=instance,
        Name=name,
        TagSpecifications=[{"ResourceType": "image", "Tags": tags}],
    )["ImageId"]
    kept = efs.create_file_system(CreationToken=name, Tags=tags)["FileSystemId"]
    other = efs.create_file_system(CreationToken=f"{name}-other")["FileSystemId"]
    found = remaining(sandbox, name, backup="ENABLED")
    text = "\n".join(f"{each.message}\n{each.hint}" for each in found)
    assert f"--resource-arn {ARN}" in text
    assert f"aws s3 rm --recursive s3://inputs/mngen/{name}/inputs/" in text
    assert f"aws efs delete-file-system --file-system-id {kept}" in text
    assert image in text
    assert "rm deploy/terraform/amis.auto.tfvars.json, then mngen ami prune" in text
    assert other not in text
    assert "looked for" not in text


def test_without_backups_none_are_named(sandbox: Sandbox) -> None:
    found = remaining(sandbox, f"s{uuid4().hex[:10]}")
    assert [each.message for each in found if "backup" in each.message] == []
