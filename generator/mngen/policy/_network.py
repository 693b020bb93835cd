"""What EC2 makes for a deployment: network, security groups, launch templates, placement groups.

EC2 judges a request by every resource in it: what it creates by the tags that it sends, what it
touches by the tags that are on it. So an action such as `CreateSubnet` stands in two statements.
Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.cluster import DEPLOYMENT_TAG
from mngen.policy._shared import Vpc
from mngen.policy._statement import Scope, Statement, merged

if TYPE_CHECKING:
    from mngen.cluster import Cluster
    from mngen.spec import Spec

# Made with the tag of the deployment, out of nothing or inside a VPC.
_CREATES = (
    "ec2:AuthorizeSecurityGroupEgress",
    "ec2:AuthorizeSecurityGroupIngress",
    "ec2:CreateLaunchTemplate",
    "ec2:CreateSecurityGroup",
)
_CREATES_OF_NEW_VPC = ("ec2:CreateRouteTable", "ec2:CreateSubnet", "ec2:CreateVpc")
_CREATES_OF_NAT = ("ec2:AllocateAddress", "ec2:CreateInternetGateway", "ec2:CreateNatGateway")

# Done to what carries the tag.
_CHANGES = (
    "ec2:AuthorizeSecurityGroupEgress",
    "ec2:AuthorizeSecurityGroupIngress",
    "ec2:CreateLaunchTemplateVersion",
    "ec2:CreateTags",
    "ec2:DeleteLaunchTemplate",
    "ec2:DeleteSecurityGroup",
    "ec2:DeleteTags",
    "ec2:ModifyLaunchTemplate",
    "ec2:ModifySecurityGroupRules",
    "ec2:RevokeSecurityGroupEgress",
    "ec2:RevokeSecurityGroupIngress",
)
_CHANGES_OF_NEW_VPC = (
    "ec2:AssociateRouteTable",
    "ec2:CreateRouteTable",
    "ec2:CreateSecurityGroup",
    "ec2:CreateSubnet",
    "ec2:DeleteRouteTable",
    "ec2:DeleteSubnet",
    "ec2:DeleteVpc",
    "ec2:DescribeVpcAttribute",
    "ec2:DisassociateRouteTable",
    "ec2:ModifyVpcAttribute",
    "ec2:ReplaceRouteTableAssociation",
)
_CHANGES_OF_NAT = (
    "ec2:AttachInternetGateway",
    "ec2:CreateNatGateway",
    "ec2:CreateRoute",
    "ec2:DeleteInternetGateway",
    "ec2:DeleteNatGateway",
    "ec2:DeleteRoute",
    "ec2:DetachInternetGateway",
    "ec2:DisassociateAddress",
    "ec2:ReleaseAddress",
)
_CHANGES_OF_ENDPOINTS = (
    "ec2:CreateVpcEndpoint",
    "ec2:DeleteVpcEndpoints",
    "ec2:ModifyVpcEndpoint",
)


def network_statements(cluster: Cluster, scope: Scope) -> list[Statement]:
    """Returns the permissions on EC2 of the user who applies the rendered tree."""
    spec = cluster.spec
    vpc = Vpc.of(spec, scope)
    nat = vpc.new and spec.network.nat is not False
    creates = _CREATES + _CREATES_OF_NEW_VPC * vpc.new + _CREATES_OF_NAT * nat
    changes = _CHANGES + _CHANGES_OF_NEW_VPC * vpc.new + _CHANGES_OF_NAT * nat
    if spec.network.endpoints:
        creates += ("ec2:CreateVpcEndpoint",)
        changes += _CHANGES_OF_ENDPOINTS
    if cluster.placement_groups:
        creates += ("ec2:CreatePlacementGroup",)
        changes += ("ec2:DeletePlacementGroup",)
    if spec.storage.efs.id is None:
        # A mount target's network interface takes the group of the mount targets.
        changes += ("ec2:CreateNetworkInterface",)
    everything = (scope.arn("ec2", "*/*"),)
    names = sorted(action.removeprefix("ec2:") for action in creates)
    at_creation = {"StringEquals": {"ec2:CreateAction": names}}
    return [
        Statement("Ec2Create", creates, everything, scope.tagged),
        Statement(
            "Ec2CreateTags", ("ec2:CreateTags",), everything, merged(scope.tagged, at_creation)
        ),
        Statement("Ec2Change", changes, everything, scope.own),
        *(_nat(scope) if nat else ()),
        *_in_vpc(spec, scope, vpc),
        *_mount_targets(spec, scope, vpc),
        *_lustre_group(spec, scope),
    ]


def _nat(scope: Scope) -> list[Statement]:
    """The other end of an address, which is the gateway's interface and without tags."""
    return [
        Statement(
            "NatAddress",
            ("ec2:DisassociateAddress",),
            (scope.arn("ec2", "network-interface/*"),),
        )
    ]


def _in_vpc(spec: Spec, scope: Scope, vpc: Vpc) -> list[Statement]:
    """What is made in a VPC that was there before, and the oddities of a new one.

    The subnets and route tables of an endpoint are those of its VPC, so naming that is enough.
    """
    statements = []
    if vpc.new:
        # The default security group comes with the VPC, and without tags.
        untagged = {"Null": {f"aws:ResourceTag/{DEPLOYMENT_TAG}": ["true"]}}
        statements.append(
            Statement(
                "DefaultGroup",
                ("ec2:CreateTags",),
                (scope.arn("ec2", "security-group/*"),),
                merged(scope.tagged, untagged),
            )
        )
    else:
        statements.append(Statement("Vpc", ("ec2:CreateSecurityGroup",), (vpc.arn,)))
    if spec.network.endpoints and not vpc.new:
        parts = ("route-table/*", "subnet/*")
        statements += [
            Statement(
                "EndpointIn",
                ("ec2:CreateVpcEndpoint",),
                (vpc.arn, *(scope.arn("ec2", part) for part in parts)),
            ),
            Statement(
                "EndpointParts",
                ("ec2:ModifyVpcEndpoint",),
                tuple(scope.arn("ec2", part) for part in parts),
            ),
        ]
    if set(spec.network.endpoints) - {"s3"}:
        # Private names of an endpoint are a hosted zone that AWS keeps.
        statements.append(
            Statement(
                "EndpointNames",
                ("route53:AssociateVPCWithHostedZone",),
                (scope.global_arn("route53", "hostedzone/*"),),
            )
        )
    return statements


def _mount_targets(spec: Spec, scope: Scope, vpc: Vpc) -> list[Statement]:
    """The network interfaces of mount targets, or the group of those that were there before.

    Source: https://docs.aws.amazon.com/efs/latest/ug/API_CreateMountTarget.html, and likewise
    API_DeleteMountTarget and API_ModifyMountTargetSecurityGroups.
    """
    efs = spec.storage.efs
    if efs.id is None:
        interfaces = scope.arn("ec2", "network-interface/*")
        subnets = () if vpc.new else (scope.arn("ec2", "subnet/*"),)
        return [
            Statement("MountTargetCreate", ("ec2:CreateNetworkInterface",), (interfaces, *subnets)),
            Statement(
                "MountTargetChange",
                ("ec2:DeleteNetworkInterface", "ec2:ModifyNetworkInterfaceAttribute"),
                (interfaces,),
            ),
        ]
    if efs.security_group is None:
        return []
    return [
        Statement(
            "MountTargetGroup",
            (
                "ec2:AuthorizeSecurityGroupIngress",
                "ec2:ModifySecurityGroupRules",
                "ec2:RevokeSecurityGroupIngress",
            ),
            (scope.arn("ec2", f"security-group/{efs.security_group}"),),
        )
    ]


def _lustre_group(spec: Spec, scope: Scope) -> list[Statement]:
    """The group of an FSx for Lustre file system that was there before: open in both directions."""
    fsx = spec.storage.fsx
    if fsx is None or fsx.security_group is None:
        return []
    return [
        Statement(
            "LustreGroup",
            (
                "ec2:AuthorizeSecurityGroupEgress",
                "ec2:AuthorizeSecurityGroupIngress",
                "ec2:ModifySecurityGroupRules",
                "ec2:RevokeSecurityGroupEgress",
                "ec2:RevokeSecurityGroupIngress",
            ),
            (scope.arn("ec2", f"security-group/{fsx.security_group}"),),
        )
    ]
