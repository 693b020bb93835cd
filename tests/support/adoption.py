"""What people have: files for the AWS CLI, and an account that pages as AWS documents it.

The objects have the keys that `aws batch create-compute-environment`, `create-job-queue` and
`register-job-definition` print with `--generate-cli-skeleton`, and those that the describe commands
add; botocore's own validator checks the former in a test.
"""

from __future__ import annotations

import copy
import json
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ACCOUNT = "210987654321"
REGION = "eu-west-1"
ARN = f"arn:aws:batch:{REGION}:{ACCOUNT}:"
IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/tsunami:v3"

ENVIRONMENT: dict[str, Any] = {
    "computeEnvironmentName": "TSUNAMI_ON_DEMAND_MAXCPU_12",
    "type": "MANAGED",
    "state": "ENABLED",
    "computeResources": {
        "type": "EC2",
        "minvCpus": 0,
        "maxvCpus": 1000,
        "desiredvCpus": 0,
        "instanceTypes": ["r5.12xlarge"],
        "subnets": ["subnet-0123456789abcdef0"],
        "securityGroupIds": ["sg-0123456789abcdef0"],
        "placementGroup": "TsunamiGroup",
        "ec2KeyPair": "tsunami_key",
        "imageId": "ami-0123456789abcdef0",
        "instanceRole": f"arn:aws:iam::{ACCOUNT}:instance-profile/tsunami",
        "tags": {"Name": "tsunami"},
    },
    "serviceRole": f"arn:aws:iam::{ACCOUNT}:role/AWSBatchServiceRole",
}
QUEUE: dict[str, Any] = {
    "jobQueueName": "TsunamiQueue_MAX_12",
    "state": "ENABLED",
    "priority": 1000,
    "computeEnvironmentOrder": [{"order": 1, "computeEnvironment": "TSUNAMI_ON_DEMAND_MAXCPU_12"}],
}
DEFINITION: dict[str, Any] = {
    "jobDefinitionName": "tsunami_nodes",
    "type": "multinode",
    "nodeProperties": {
        "numNodes": 2,
        "mainNode": 0,
        "nodeRangeProperties": [
            {
                "targetNodes": "0:1",
                "container": {
                    "image": IMAGE,
                    "vcpus": 12,
                    "memory": 20000,
                    "environment": [
                        {"name": "BUCKET", "value": "waves"},
                        {"name": "NOTHING", "value": ""},
                    ],
                    "privileged": True,
                    "volumes": [
                        {"name": "efs", "host": {"sourcePath": "/efs"}},
                        {"name": "local", "host": {"sourcePath": "/local"}},
                    ],
                    "mountPoints": [
                        {"sourceVolume": "efs", "containerPath": "/efs"},
                        {"sourceVolume": "local", "containerPath": "/local"},
                    ],
                    "instanceType": "r5.12xlarge",
                },
            }
        ],
    },
    "retryStrategy": {"attempts": 3, "evaluateOnExit": [{"action": "EXIT", "onReason": "*"}]},
}
SPOT: dict[str, Any] = {
    "computeEnvironmentName": "TSUNAMI_SPOT",
    "type": "MANAGED",
    "computeResources": {
        "type": "SPOT",
        "minvCpus": 0,
        "maxvCpus": 1000,
        "bidPercentage": 40,
        "instanceTypes": ["m5.4xlarge"],
        "subnets": ["subnet-0123456789abcdef0"],
        "securityGroupIds": ["sg-0123456789abcdef0"],
        "instanceRole": "tsunami",
        "spotIamFleetRole": "AmazonEC2SpotFleetRole",
    },
}
_PAGE = 100
_OPERATIONS = {
    "computeEnvironmentName": "CreateComputeEnvironment",
    "jobQueueName": "CreateJobQueue",
    "jobDefinitionName": "RegisterJobDefinition",
}


@cache
def _client(service: str, region: str) -> Any:
    # Reading a service's description takes longer than a test.
    session = botocore.session.Session()
    session.set_credentials("AKIDEXAMPLE", "secret")
    return session.create_client(service, region_name=region)


def operation_of(data: dict[str, Any]) -> str:
    """Returns the operation of Batch whose input an object is."""
    return next(_OPERATIONS[key] for key in data if key in _OPERATIONS)


def changed(data: dict[str, Any], **resources: Any) -> dict[str, Any]:
    """Returns an environment with other compute resources; None leaves one out."""
    made = copy.deepcopy(data)
    for key, value in resources.items():
        if value is None:
            made["computeResources"].pop(key, None)
        else:
            made["computeResources"][key] = value
    return made


def write(folder: Path, *objects: dict[str, Any]) -> list[Path]:
    """Writes each object into one file."""
    files = []
    for number, each in enumerate(objects):
        file = folder / f"{number}.json"
        file.write_text(json.dumps(each, indent=2), encoding="utf-8")
        files.append(file)
    return files


def described(
    environment: dict[str, Any], queue: dict[str, Any], definition: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Returns a file's objects as the describe commands show them once they exist."""
    name = environment["computeEnvironmentName"]
    arn = f"{ARN}compute-environment/{name}"
    return (
        {
            **copy.deepcopy(environment),
            "computeEnvironmentArn": arn,
            "ecsClusterArn": f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/{name}_Batch_1",
            "status": "VALID",
            "statusReason": "ComputeEnvironment Healthy",
            "containerOrchestrationType": "ECS",
            "uuid": "7f4e",
        },
        {
            **queue,
            "jobQueueArn": f"{ARN}job-queue/{queue['jobQueueName']}",
            "status": "VALID",
            "computeEnvironmentOrder": [{"order": 1, "computeEnvironment": arn}],
        },
        {
            **copy.deepcopy(definition),
            "jobDefinitionArn": f"{ARN}job-definition/{definition['jobDefinitionName']}:1",
            "revision": 1,
            "status": "ACTIVE",
        },
    )


_REFERENCE = {
    "DescribeSubnets": ("Subnets", {"subnet-id": "SubnetId", "vpc-id": "VpcId"}),
    "DescribeVpcEndpoints": ("VpcEndpoints", {"service-name": "ServiceName", "vpc-id": "VpcId"}),
}
"""Filters of EC2's describe calls, and the field that each compares.

Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSubnets.html and
API_DescribeVpcEndpoints.html (Filter.N)
"""
_KEYS = {
    "DescribeMountTargets": ("MountTargets", "FileSystemId", "FileSystemNotFound"),
    "DescribeMountTargetSecurityGroups": ("SecurityGroups", "MountTargetId", "MountTargetNotFound"),
}
"""What a call of EFS selects by, and the error if there is none such.

Source: https://docs.aws.amazon.com/efs/latest/ug/API_DescribeMountTargets.html and
API_DescribeMountTargetSecurityGroups.html
"""


class Account:
    """An account that answers as the API reference has it, in pages of 100.

    A filter selects; one that the reference does not have, and a name that does not exist, is
    refused with the error of the reference. Source for Batch, which returns at most 100 of each:
    https://docs.aws.amazon.com/batch/latest/APIReference/API_DescribeJobQueues.html (maxResults);
    for IAM: https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetInstanceProfile.html

    Args:
        environments: Compute environments, as described.
        queues: Job queues.
        definitions: Job definitions.
        denied: Operations that are denied, such as `DescribeFileSystems`.
        file_systems: Answers of DescribeFileSystems.
        templates: Data of launch templates by id, of which each has one version.
    """

    def __init__(
        self,
        environments: list[dict[str, Any]],
        queues: list[dict[str, Any]],
        definitions: list[dict[str, Any]],
        *,
        denied: tuple[str, ...] = (),
        file_systems: tuple[dict[str, Any], ...] = (),
        templates: Mapping[str, dict[str, Any]] = MappingProxyType({}),
    ) -> None:
        self.calls: list[str] = []
        self._denied = denied
        self._templates = templates
        self._answers: dict[str, Any] = {
            "GetCallerIdentity": {"Account": ACCOUNT},
            "DescribeSubnets": {
                "Subnets": [
                    {
                        "SubnetId": "subnet-0123456789abcdef0",
                        "VpcId": "vpc-0123456789abcdef0",
                        "AvailabilityZone": f"{REGION}b",
                    }
                ]
            },
            "DescribeVpcEndpoints": {
                "VpcEndpoints": [
                    {
                        "VpcEndpointId": "vpce-1",
                        "VpcId": "vpc-0123456789abcdef0",
                        "ServiceName": f"com.amazonaws.{REGION}.s3",
                    }
                ]
            },
            "DescribeFileSystems": {"FileSystems": list(file_systems)},
            "DescribeMountTargets": {
                "MountTargets": [
                    {
                        "MountTargetId": "fsmt-1",
                        "FileSystemId": "fs-0123456789abcdef0",
                        "SubnetId": "subnet-0123456789abcdef0",
                        "LifeCycleState": "available",
                        "VpcId": "vpc-0123456789abcdef0",
                    }
                ]
            },
            "DescribeMountTargetSecurityGroups": {"SecurityGroups": ["sg-00000000000000efd"]},
            "GetInstanceProfile": {
                "InstanceProfile": {
                    "InstanceProfileName": "tsunami",
                    "Arn": f"arn:aws:iam::{ACCOUNT}:instance-profile/batch/tsunami",
                }
            },
        }
        self._lists = {
            "DescribeComputeEnvironments": ("computeEnvironments", environments),
            "DescribeJobQueues": ("jobQueues", queues),
            "DescribeJobDefinitions": ("jobDefinitions", definitions),
        }

    def connect(self, service: str, region: str) -> Any:
        """Returns a real client whose requests this account answers."""
        client = _client(service, region)
        client._make_api_call = self._answer
        return client

    def _answer(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        self.calls.append(operation)
        if operation in self._denied:
            raise _refused("AccessDeniedException", operation)
        if operation == "DescribeLaunchTemplateVersions":
            # Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
            if arguments["LaunchTemplateId"] not in self._templates:
                raise _refused("InvalidLaunchTemplateId.NotFound", operation)
            data = self._templates[arguments["LaunchTemplateId"]]
            return {"LaunchTemplateVersions": [{"VersionNumber": 1, "LaunchTemplateData": data}]}
        if operation not in self._lists:
            return self._selected(operation, arguments)
        key, items = self._lists[operation]
        named = arguments.get(key)
        if named is not None:
            assert len(named) <= _PAGE
            wanted = set(named)
            items = [
                each
                for each in items
                if wanted & {each["computeEnvironmentArn"], each["computeEnvironmentName"]}
            ]
        start = int(arguments.get("nextToken") or 0)
        page: dict[str, Any] = {key: items[start : start + _PAGE]}
        if start + _PAGE < len(items):
            page["nextToken"] = str(start + _PAGE)
        return page

    def _selected(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self._answers[operation]
        if operation in _REFERENCE:
            key, fields = _REFERENCE[operation]
            items = found[key]
            for each in arguments.get("Filters", []):
                if each["Name"] not in fields:
                    raise _refused("InvalidParameterValue", operation)
                field, values = fields[each["Name"]], set(each["Values"])
                items = [item for item in items if item[field] in values]
            return {key: items}
        if operation in _KEYS:
            key, selects, missing = _KEYS[operation]
            targets = self._answers["DescribeMountTargets"]["MountTargets"]
            systems = self._answers["DescribeFileSystems"]["FileSystems"]
            known = targets if selects == "MountTargetId" else systems
            if arguments[selects] not in [each[selects] for each in known]:
                raise _refused(missing, operation)
            chosen = [each for each in targets if each[selects] == arguments[selects]]
            return {key: chosen} if operation == "DescribeMountTargets" else found
        profile = found.get("InstanceProfile", {})
        if profile and arguments["InstanceProfileName"] != profile["InstanceProfileName"]:
            raise _refused("NoSuchEntity", operation)
        return found


def _refused(code: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "refused"}}, operation)
