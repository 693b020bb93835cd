"""The names that a deployment and its bakes are known by on AWS, and those of its records."""

AMIS_FILE = "terraform/amis.auto.tfvars.json"
"""Place of the record of AMIs in the rendered tree."""

DIGESTS_FILE = "container.auto.tfvars.json"
"""Name of the record of pushed container images in the rendered Terraform folder."""

DEPLOYMENT_TAG = "mngen:deployment"
"""Key of the tag with the deployment's name, on all that mngen makes."""

IMAGE_TAG = "mngen:image"
"""Key of the tag that names the machine image.

Everything that a bake starts carries it beside the deployment's own tag, from the request on that
starts it: what carries both may be ended. The nodes of the cluster carry the latter alone.
"""

RUN_TAG = "mngen:bake"
"""Key of the tag that tells the bakes of one deployment apart; on what a bake ends again."""

NR_CPUS_TAG = "mngen:nr-cpus"
"""Key of an AMI's tag with the kernel's CPU limit; 0 for none."""

INPUTS_TAG = "mngen:inputs"
"""Key of an AMI's tag with the digest of what it was baked from."""

BUILDER_LIFETIME = 120
"""Minutes after which a builder ends itself, should whoever started it have vanished."""

BUILDER_USER_DATA = f"""\
#!/bin/sh
shutdown -h +{BUILDER_LIFETIME}
systemctl mask --runtime ecs.service
systemctl --no-block stop ecs.service
"""
"""What a builder runs at its start: its own end, and no ECS agent until it is off.

The agent would register the builder in the cluster `default`, where it may be given tasks. It waits
for cloud-init, which runs this, and is masked in /run alone: what starts from the image has it.
"""

_CHINESE_ENDPOINTS = frozenset({"ecr.api", "ecr.dkr"})
"""Services whose endpoints have another prefix in the China regions; the others' are as elsewhere.

Source: `aws ec2 describe-vpc-endpoint-services` in cn-north-1 and cn-northwest-1, as printed in
https://github.com/aws/aws-cdk/pull/16139 and https://github.com/aws/aws-cdk/pull/25333.
"""


def endpoint_service(region: str, service: str) -> str:
    """Returns the name of an AWS service's VPC endpoint in a region.

    Source: https://docs.aws.amazon.com/vpc/latest/privatelink/aws-services-privatelink-support.html
    """
    prefix = "cn." if region.startswith("cn-") and service in _CHINESE_ENDPOINTS else ""
    return f"{prefix}com.amazonaws.{region}.{service}"
