"""The baker: `mngen bake`, `mngen ami` and `mngen container push`.

AMIs and container images are the work of the same person, at the same time: someone changes what
jobs run on. So the right to push into the repository is here, and not with those who
only submit.

Everything that a bake starts carries two tags from the request on that starts it:
`mngen:deployment`, and `mngen:image` with the name of the image. What carries both may be deleted;
the instances of the cluster carry the first alone, and bakers have no access to them. With Packer
that means `run_tags`, `run_volume_tags`, `tags` and `snapshot_tags`, which its Amazon plugin sends
at creation since version 1. The temporary key pair is known by its name instead,
`<deployment>-bake-…`, because EC2 names key pairs in ARNs by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.cluster import IMAGE_TAG
from mngen.policy._shared import Vpc, builder_role, ec2_service, look, read_state, repository
from mngen.policy._statement import Scope, Statement, merged

if TYPE_CHECKING:
    from mngen.cluster import Cluster
    from mngen.policy._statement import Conditions
    from mngen.spec import Spec

_READS = (
    # What starts nodes from an image, which is therefore not to be withdrawn.
    "batch:DescribeComputeEnvironments",
    "ec2:DescribeInstanceStatus",
    "ec2:DescribeInstanceTypes",
    "ec2:DescribeInstances",
    "ec2:DescribeRegions",
    "ec2:DescribeSnapshots",
    "ec2:DescribeTags",
    "ec2:DescribeVolumes",
)

_CREATING = ("CreateImage", "CreateKeyPair", "CreateSecurityGroup", "ImportKeyPair", "RunInstances")


def baker_statements(cluster: Cluster, scope: Scope) -> list[Statement]:
    """Returns the permissions to bake AMIs and push container images."""
    spec = cluster.spec
    return [
        *look(spec, scope, _READS),
        # Takes no resources, and is asked in a region that has the price list.
        Statement(
            "Prices",
            () if scope.partition == "aws-us-gov" else ("pricing:GetProducts",),
            ("*",),
        ),
        # The ids of the public images to start from.
        Statement(
            "BaseImages",
            ("ssm:GetParameter",),
            (scope.public_arn("ssm", "parameter/aws/service/ecs/optimized-ami/*"),),
        ),
        *_builder(spec, scope),
        *_access(spec, scope),
        *(_sessions(scope) if cluster.connection == "session-manager" else ()),
        *_image(scope),
        *read_state(spec, scope),
        *_push(spec, scope),
    ]


def _begun(scope: Scope) -> Conditions:
    """Condition: the request gives the resource both tags of a bake."""
    return merged(scope.tagged, {"Null": {f"aws:RequestTag/{IMAGE_TAG}": ["false"]}})


def _baked(scope: Scope) -> Conditions:
    """Condition: the resource carries both tags of a bake."""
    return merged(scope.own, {"Null": {f"aws:ResourceTag/{IMAGE_TAG}": ["false"]}})


def _builder(spec: Spec, scope: Scope) -> list[Statement]:
    """The instance that an image is made of, with its tag from the start.

    It starts from Amazon's image, or from one that the spec names.
    """
    vpc = Vpc.of(spec, scope)

    def ec2(*kinds: str) -> tuple[str, ...]:
        return tuple(scope.arn("ec2", kind) for kind in kinds)

    run = ("ec2:RunInstances",)
    groups = (f"security-group/{group}" for group in spec.network.security_groups)
    # The ARN of an AMI in a request has no account, also if the caller owns it.
    amis = spec.image.base_amis
    own = tuple(
        scope.public_arn("ec2", f"image/{ami}")
        for ami in (amis.x86_64, amis.arm64, amis.gpu)
        if ami
    )
    subnets = Statement("BuilderSubnet", run, ec2("subnet/*"), vpc.conditions)
    if not vpc.new and spec.network.vpc != "default":
        subnets = Statement(
            "BuilderSubnet", run, ec2("subnet/*"), {"ArnEquals": {"ec2:Vpc": [vpc.arn]}}
        )
    return [
        Statement("Builder", run, ec2("instance/*", "volume/*"), _begun(scope)),
        Statement("BuilderFromOwn", run if own else (), own),
        Statement(
            "BuilderFrom",
            run,
            (scope.public_arn("ec2", "image/*"),),
            {"StringEquals": {"ec2:Owner": ["amazon"]}},
        ),
        subnets,
        Statement("BuilderGroup", run, ec2("security-group/*"), scope.own),
        Statement(
            "BuilderWith",
            run,
            (
                *ec2("network-interface/*", f"key-pair/{scope.name}-bake-*", *groups),
                scope.public_arn("ec2", "snapshot/*"),
            ),
        ),
        # A profile lets the builder be reached without an open port.
        Statement(
            "BuilderRole",
            ("iam:PassRole",),
            (builder_role(spec, scope),),
            {"StringEquals": {"iam:PassedToService": [ec2_service(scope)]}},
        ),
        Statement(
            "BuilderProfile",
            ("iam:GetInstanceProfile",) if spec.roles.instance_profile == "create" else (),
            (scope.iam_arn(f"instance-profile/{scope.name}-builder-*"),),
        ),
        *_key(spec),
        Statement(
            "BuilderEnd",
            (
                "ec2:DeleteVolume",
                "ec2:GetConsoleOutput",
                "ec2:StopInstances",
                "ec2:TerminateInstances",
            ),
            ec2("instance/*", "volume/*"),
            _baked(scope),
        ),
    ]


def _key(spec: Spec) -> list[Statement]:
    """The spec's own key for volumes, which EC2 uses in the caller's name.

    Source: https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html
    """
    if spec.image.kms_key is None:
        return []
    key = (spec.image.kms_key,)
    return [
        Statement(
            "Key",
            (
                "kms:Decrypt",
                "kms:GenerateDataKeyWithoutPlaintext",
                "kms:ReEncryptFrom",
                "kms:ReEncryptTo",
            ),
            key,
        ),
        Statement(
            "KeyGrant",
            ("kms:CreateGrant",),
            key,
            {"Bool": {"kms:GrantIsForAWSResource": ["true"]}},
        ),
    ]


def _access(spec: Spec, scope: Scope) -> list[Statement]:
    """The temporary key pair and security group, by which the builder is reached over SSH."""
    vpc = Vpc.of(spec, scope)
    groups = (scope.arn("ec2", "security-group/*"),)
    return [
        Statement(
            "KeyPair",
            ("ec2:CreateKeyPair", "ec2:DeleteKeyPair", "ec2:ImportKeyPair"),
            (scope.arn("ec2", f"key-pair/{scope.name}-bake-*"),),
        ),
        Statement("GroupCreate", ("ec2:CreateSecurityGroup",), groups, _begun(scope)),
        Statement("GroupIn", ("ec2:CreateSecurityGroup",), (vpc.arn,), vpc.conditions),
        Statement(
            "Group",
            (
                "ec2:AuthorizeSecurityGroupIngress",
                "ec2:DeleteSecurityGroup",
                "ec2:RevokeSecurityGroupIngress",
            ),
            groups,
            _baked(scope),
        ),
        Statement(
            "GroupRule",
            ("ec2:AuthorizeSecurityGroupIngress",),
            (scope.arn("ec2", "security-group-rule/*"),),
        ),
    ]


def _sessions(scope: Scope) -> list[Statement]:
    """SSH to builders through Session Manager; a session belongs to the user who started it.

    Source: https://docs.aws.amazon.com/systems-manager/latest/userguide/
    getting-started-restrict-access-examples.html
    """
    return [
        Statement("SessionSeen", ("ssm:DescribeInstanceInformation",), ("*",), scope.here),
        Statement(
            "Session",
            ("ssm:GetConnectionStatus", "ssm:StartSession"),
            (scope.arn("ec2", "instance/*"),),
            _baked(scope),
        ),
        Statement(
            "SessionSsh",
            ("ssm:StartSession",),
            # The second is Packer's way: it forwards a local port to that of sshd.
            (
                scope.public_arn("ssm", "document/AWS-StartSSHSession"),
                scope.public_arn("ssm", "document/AWS-StartPortForwardingSession"),
            ),
        ),
        Statement(
            "SessionEnd",
            ("ssm:ResumeSession", "ssm:TerminateSession"),
            (scope.arn("ssm", "session/${aws:userid}-*"),),
        ),
    ]


def _image(scope: Scope) -> list[Statement]:
    """The image with its snapshots; what carries the tag may be withdrawn again."""
    images = (scope.public_arn("ec2", "image/*"), scope.public_arn("ec2", "snapshot/*"))
    everything = (scope.arn("ec2", "*/*"), scope.public_arn("ec2", "*/*"))
    at_creation = {"StringEquals": {"ec2:CreateAction": list(_CREATING)}}
    return [
        Statement("ImageCreate", ("ec2:CreateImage",), images, _begun(scope)),
        Statement(
            "ImageFrom", ("ec2:CreateImage",), (scope.arn("ec2", "instance/*"),), _baked(scope)
        ),
        Statement(
            "ImageDelete",
            ("ec2:DeleteSnapshot", "ec2:DeregisterImage"),
            images,
            _baked(scope),
        ),
        Statement(
            "CreateTags", ("ec2:CreateTags",), everything, merged(_begun(scope), at_creation)
        ),
        # The record of an image, such as when it was verified, is added once it is known.
        Statement("ImageTags", ("ec2:CreateTags",), images, _baked(scope)),
    ]


def _push(spec: Spec, scope: Scope) -> list[Statement]:
    """Pushing the container image; pulling, because a build starts from the layers before."""
    if spec.container.image:
        return []
    return [
        Statement("PushLogin", ("ecr:GetAuthorizationToken",), ("*",), scope.here),
        Statement(
            "Push",
            (
                "ecr:BatchCheckLayerAvailability",
                "ecr:BatchGetImage",
                "ecr:CompleteLayerUpload",
                "ecr:DescribeImages",
                "ecr:DescribeRepositories",
                "ecr:GetDownloadUrlForLayer",
                "ecr:InitiateLayerUpload",
                "ecr:PutImage",
                "ecr:UploadLayerPart",
            ),
            (repository(spec, scope),),
        ),
    ]
