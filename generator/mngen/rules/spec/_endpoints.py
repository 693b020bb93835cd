"""Rules about how nodes and containers reach AWS without the internet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.errors import Severity
from mngen.rules._rule import Match
from mngen.rules.spec._rule import SpecRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.rules.spec._subject import Subject

NODE_ENDPOINTS = frozenset(
    {"s3", "ecr.api", "ecr.dkr", "logs", "ecs", "ecs-agent", "ecs-telemetry"}
)
"""What a node without the internet needs: its agent, logs, and images, with their layers in S3."""


class EndpointsWithoutNat(SpecRule):
    id = "MN160"
    title = "A VPC without NAT must have all endpoints that nodes need"
    why = (
        "Without a NAT gateway, private subnets have no route out. A node that cannot reach ECS "
        "never joins the cluster. One that cannot reach ECR, or its layers in S3, pulls no image, "
        "and without CloudWatch Logs the container does not start. The S3 endpoint alone is not "
        "enough."
    )
    remedy = "add the endpoints, or leave `nat` out"
    source_url = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/vpc-endpoints.html"
    manual_test = "aws ec2 describe-vpc-endpoints --query 'VpcEndpoints[].ServiceName'"
    failing = """\
network:
  vpc: new
  zones: [us-east-1a, us-east-1b]
  nat: false
  endpoints: [s3, ecr.api, ecr.dkr, logs, ssm, ssmmessages]  #! [
"""
    passing = """\
network:
  vpc: new
  zones: [us-east-1a, us-east-1b]
  nat: false
  endpoints: [s3, ecr.api, ecr.dkr, logs, ecs, ecs-agent, ecs-telemetry, ssm, ssmmessages]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for network in subject.network:
            missing = sorted(NODE_ENDPOINTS - set(network.endpoints))
            if network.vpc == "new" and network.nat is False and missing:
                yield Match(
                    ("network", "endpoints"),
                    "without a NAT gateway the nodes cannot reach " + ", ".join(missing),
                    f"add {', '.join(missing)} to `endpoints`, or leave `nat` out",
                )


class ContainersReachAws(SpecRule):
    id = "MN161"
    severity = Severity.INFO
    title = "Containers of multi-node jobs should have a route out"
    why = (
        "The container of a multi-node job has its own network interface, without a public "
        "address. In a public subnet, for example in the default VPC, it reaches the other nodes "
        "and nothing else. The instance pulls images and writes logs; the application itself needs "
        "an endpoint for each service that it calls."
    )
    remedy = (
        "add an endpoint for each service that the application calls, or write `vpc: new` for "
        "private subnets with NAT"
    )
    source_url = "https://docs.aws.amazon.com/batch/latest/userguide/mnp-ce.html"
    manual_test = (
        "aws ec2 describe-route-tables --query "
        "'RouteTables[].Routes[].[DestinationCidrBlock,GatewayId,NatGatewayId]'"
    )
    failing = """\
network:
  vpc: default  #! default
environments:
  r5: {instance: r5.12xlarge, max_nodes: 4}
"""
    passing = """\
network:
  vpc: new
  zones: [us-east-1a, us-east-1b]
environments:
  r5: {instance: r5.12xlarge, max_nodes: 4}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for network in subject.network:
            if network.vpc == "default" and any(
                each.spec.multi_node for each in subject.environments
            ):
                own = ", ".join(sorted(network.endpoints))
                reached = own or "services that the VPC already has an endpoint for"
                yield Match(
                    ("network", "vpc"),
                    "in the default VPC, containers of multi-node jobs have no public address and "
                    f"reach only {reached}",
                )


class ImagesNeedS3(SpecRule):
    id = "MN162"
    severity = Severity.WARNING
    title = "ECR endpoints should be complete and come with S3"
    why = (
        "An image is pulled through ecr.api for the login, ecr.dkr for the manifest and S3 for the "
        "layers. With one of them as an endpoint and the others over the internet, you pay for the "
        "endpoint without getting the privacy."
    )
    remedy = "list all of s3, ecr.api and ecr.dkr, or neither of the ecr ones"
    source_url = "https://docs.aws.amazon.com/AmazonECR/latest/userguide/vpc-endpoints.html"
    manual_test = "aws ec2 describe-vpc-endpoints --query 'VpcEndpoints[].ServiceName'"
    failing = """\
network:
  vpc: new
  zones: [us-east-1a, us-east-1b]
  endpoints: [s3, ecr.dkr]  #! [
"""
    passing = """\
network:
  vpc: new
  zones: [us-east-1a, us-east-1b]
  endpoints: [s3, ecr.api, ecr.dkr]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for network in subject.network:
            given = set(network.endpoints)
            pulling = {"s3", "ecr.api", "ecr.dkr"}
            missing = sorted(pulling - given)
            own_vpc = network.vpc in {"new", "default"}
            if own_vpc and given & {"ecr.api", "ecr.dkr"} and missing and network.nat is not False:
                yield Match(
                    ("network", "endpoints"),
                    "images are pulled through ecr.api, ecr.dkr and s3 together; there is no "
                    "endpoint for " + " and ".join(missing),
                )
