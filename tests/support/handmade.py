"""What a reader of the tutorial has made by hand, in a sandbox."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mngen.sandbox import ACCOUNT_ID
from tests.support.adoption import ACCOUNT, DEFINITION, ENVIRONMENT, QUEUE, REGION, changed
from tests.support.builders import base_ami
from tests.support.sandbox import client

if TYPE_CHECKING:
    from mngen.sandbox import Sandbox

HERE = "us-east-1"


@dataclass(frozen=True)
class Handmade:
    """The ARNs and ids of what was made."""

    environment: str
    queue: str
    definition: str
    file_system: str
    repository: str
    group: str
    role: str

    @property
    def queue_name(self) -> str:
        """The name of the queue."""
        return self.queue.rpartition("/")[2]

    @property
    def environment_name(self) -> str:
        """The name of the environment."""
        return self.environment.rpartition("/")[2]


def make(sandbox: Sandbox) -> Handmade:
    """Makes everything of the tutorial, in the default VPC."""
    ec2, efs, ecr, batch, iam = (
        client(sandbox, name, HERE) for name in ("ec2", "efs", "ecr", "batch", "iam")
    )
    vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]
    here = [{"Name": "vpc-id", "Values": [vpc["VpcId"]]}]
    subnet = ec2.describe_subnets(Filters=here)["Subnets"][0]["SubnetId"]
    groups = ec2.describe_security_groups(Filters=here)["SecurityGroups"]
    group = next(each["GroupId"] for each in groups if each["GroupName"] == "default")
    placement = ENVIRONMENT["computeResources"]["placementGroup"]
    ec2.create_placement_group(GroupName=placement, Strategy="cluster")
    system = efs.create_file_system(CreationToken="by-hand", Encrypted=True)["FileSystemId"]
    efs.create_mount_target(FileSystemId=system, SubnetId=subnet, SecurityGroups=[group])
    repository = ecr.create_repository(repositoryName="tsunami")["repository"]["repositoryName"]
    trust = {"Version": "2012-10-17", "Statement": []}
    iam.create_role(RoleName="tsunami", AssumeRolePolicyDocument=json.dumps(trust))
    profile = iam.create_instance_profile(InstanceProfileName="tsunami")["InstanceProfile"]
    environment = _here(
        changed(
            ENVIRONMENT,
            subnets=[subnet],
            securityGroupIds=[group],
            ec2KeyPair=None,
            instanceRole=profile["Arn"],
            imageId=base_ami(sandbox),
        )
    )
    environment.pop("serviceRole")
    return Handmade(
        environment=batch.create_compute_environment(**environment)["computeEnvironmentArn"],
        queue=batch.create_job_queue(**QUEUE)["jobQueueArn"],
        definition=batch.register_job_definition(**_here(DEFINITION))["jobDefinitionArn"],
        file_system=system,
        repository=repository,
        group=placement,
        role="tsunami",
    )


def _here(data: dict[str, Any]) -> dict[str, Any]:
    text = json.dumps(data).replace(ACCOUNT, ACCOUNT_ID).replace(REGION, HERE)
    found: dict[str, Any] = json.loads(text)
    return found
