"""Rules about how builders are reached while images are baked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.errors import Severity
from mngen.rules._rule import Match
from mngen.rules.spec._rule import SpecRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.rules.spec._subject import Subject

_SESSION_ENDPOINTS = frozenset({"ssm", "ssmmessages"})
_SESSIONS = (
    "https://docs.aws.amazon.com/systems-manager/latest/userguide/"
    "setup-create-vpc.html#create-vpc-endpoints"
)
_ADDRESSES = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-instance-addressing.html"

# The lowest and the highest version of the EFA installer for each base. From its ChangeLog:
# Graviton since 1.11.0; up to 1.24.1, no Amazon Linux 2023, so 1.25.0 is the first that may
# support it. From https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa-changelog.html: 1.49.0
# is the last for Amazon Linux 2.
_EFA_VERSIONS: dict[str, tuple[tuple[int, ...], tuple[int, ...] | None]] = {
    "amazon-linux-2": ((1, 11, 0), (1, 49, 0)),
    "amazon-linux-2023": ((1, 25, 0), None),
}


class BuildersKnowWho(SpecRule):
    id = "MN107"
    title = "`image.ssh_from` is required for builders with private addresses"
    why = (
        "A bake from within the network or through a VPN comes from a private address, which mngen "
        "cannot find out as it can a public one."
    )
    remedy = "write the ranges that you bake from: `ssh_from: [10.0.0.0/16]`"
    source_url = _ADDRESSES
    manual_test = "aws ec2 describe-vpcs --query 'Vpcs[].[VpcId,CidrBlock]'"
    failing = """\
image:
  connect: private-ip  #! private-ip
"""
    passing = """\
image:
  connect: private-ip
  ssh_from: [10.0.0.0/16]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        image = subject.spec.image
        if subject.sound("image") and image.connect == "private-ip" and not image.ssh_from:
            yield Match(
                ("image", "connect"),
                "`ssh_from` is missing: builders have private addresses only",
            )


class BuildersHaveAddresses(SpecRule):
    id = "MN108"
    title = "Builders with public addresses require public subnets"
    why = "The subnets of a new VPC are private: nothing outside can reach an instance in them."
    remedy = "leave `connect` out: Session Manager reaches builders with no port open"
    source_url = _ADDRESSES
    manual_test = "aws ec2 describe-subnets --query 'Subnets[].[SubnetId,MapPublicIpOnLaunch]'"
    failing = """\
network:
  vpc: new
  zones: [us-east-1a, us-east-1b]
image:
  connect: public-ip  #! public-ip
"""
    passing = """\
network:
  vpc: new
  zones: [us-east-1a, us-east-1b]
image:
  connect: session-manager
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for network in subject.network:
            if network.vpc == "new" and subject.spec.image.connect == "public-ip":
                yield Match(
                    ("image", "connect"),
                    "the private subnets of the new VPC have no public addresses",
                )


class BuildersReachSessionManager(SpecRule):
    id = "MN109"
    severity = Severity.WARNING
    title = "Builders should reach Session Manager"
    why = (
        "The instance opens the connection to Session Manager. Without NAT it needs endpoints for "
        "that; otherwise the bake times out."
    )
    remedy = "add ssm and ssmmessages to `endpoints`, or write `image: {connect: private-ip}`"
    source_url = _SESSIONS
    manual_test = "aws ec2 describe-vpc-endpoints --query 'VpcEndpoints[].ServiceName'"
    failing = """\
network:
  vpc: new
  zones: [us-east-1a, us-east-1b]
  nat: false
  endpoints: [s3, ecr.api, ecr.dkr, logs, ecs, ecs-agent, ecs-telemetry, ssm]  #! [s3
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
            missing = sorted(_SESSION_ENDPOINTS - set(network.endpoints))
            by_session = subject.cluster.connection == "session-manager"
            if network.vpc == "new" and network.nat is False and missing and by_session:
                yield Match(
                    ("network", "endpoints"),
                    "images are baked through Session Manager, and without a NAT gateway builders "
                    f"cannot reach {' and '.join(missing)}",
                )


class BuildersReachEfaInstaller(SpecRule):
    id = "MN127"
    title = "Builders must reach the EFA installer"
    why = (
        "AMIs with EFA are baked with Amazon's installer, which is downloaded from the internet. "
        "Without NAT a builder cannot reach it, and the bake fails. The packages that the "
        "installer needs come from Amazon Linux's repositories, which are in S3."
    )
    remedy = (
        "download the installer, its signature and aws-efa-installer.key from "
        "https://efa-installer.amazonaws.com, copy them to a bucket of the region and name the "
        "folder: `image: {efa_installer: s3://BUCKET/efa/}`"
    )
    source_url = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa-start.html"
    manual_test = "aws s3 ls s3://BUCKET/efa/"
    failing = """\
network:
  vpc: new
  zones: [us-east-1a]
  nat: false
  endpoints: [s3, ecr.api, ecr.dkr, logs, ecs, ecs-agent, ecs-telemetry, ssm, ssmmessages]
environments:
  c5n: {instance: c5n.18xlarge, max_nodes: 16, efa: true}  #! true
"""
    passing = """\
network:
  vpc: new
  zones: [us-east-1a]
  nat: false
  endpoints: [s3, ecr.api, ecr.dkr, logs, ecs, ecs-agent, ecs-telemetry, ssm, ssmmessages]
image:
  efa_installer: s3://my-software/efa/
environments:
  c5n: {instance: c5n.18xlarge, max_nodes: 16, efa: true}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for network in subject.network:
            closed = network.vpc == "new" and network.nat is False
            if not closed or subject.spec.image.efa_installer or not subject.sound("image"):
                continue
            for each in subject.environments:
                if each.spec.efa and each.instance.efa:
                    yield Match(
                        ("environments", each.name, "efa"),
                        "images with EFA need its installer, and without a NAT gateway builders "
                        "cannot download it",
                    )


class EfaInstallerIsUsed(SpecRule):
    id = "MN118"
    severity = Severity.WARNING
    title = "`image.efa_installer` and `efa_version` require an environment with EFA"
    why = "The installer is only copied to builders of AMIs with EFA."
    remedy = "remove the key, or write `efa: true` in an environment"
    source_url = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa-start.html"
    manual_test = "aws s3 ls s3://BUCKET/efa/"
    failing = """\
image:
  efa_installer: s3://my-software/efa/  #! s3://my-software/efa/
environments:
  r5: {instance: r5.12xlarge, max_nodes: 4}
"""
    passing = """\
environments:
  r5: {instance: r5.12xlarge, max_nodes: 4}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        wanted = any(each.efa for each in subject.spec.environments.values())
        for key in ("efa_installer", "efa_version"):
            if getattr(subject.spec.image, key) and not wanted:
                yield Match(("image", key), "no environment has EFA")


class EfaVersionServesBase(SpecRule):
    id = "MN434"
    title = "`image.efa_version` must support the base of the AMIs"
    why = (
        "Amazon's EFA installer supports Amazon Linux 2 up to version 1.49.0, and there Graviton "
        "since 1.11.0. No version up to 1.24.1 names Amazon Linux 2023 among those it supports. "
        "Elsewhere the installer stops, and the bake fails after it has started an instance."
    )
    remedy = "remove `efa_version`, or name a version that supports the base"
    source_url = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa-changelog.html"
    manual_test = "aws s3 ls s3://BUCKET/efa/"
    failing = """\
image:
  efa_version: 1.19.0  #! 1.19.0
environments:
  c5n: {instance: c5n.18xlarge, max_nodes: 4, efa: true}
"""
    passing = """\
image:
  efa_version: 1.49.0
environments:
  c5n: {instance: c5n.18xlarge, max_nodes: 4, efa: true}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        image = subject.spec.image
        if not subject.sound("image") or image.efa_version is None:
            return
        version = tuple(int(part) for part in image.efa_version.split("."))
        lowest, highest = _EFA_VERSIONS[image.base]
        path = ("image", "efa_version")
        if version < lowest:
            least = ".".join(map(str, lowest))
            yield Match(
                path,
                f"{image.efa_version} does not support {image.base}",
                f"remove `efa_version`, or name {least} or newer",
            )
        elif highest is not None and version > highest:
            last = ".".join(map(str, highest))
            yield Match(
                path,
                f"{image.efa_version} does not support {image.base}: {last} is the last that does",
                f"write `efa_version: {last}`, or remove the key",
            )


class BaseAmisAreUsed(SpecRule):
    id = "MN433"
    severity = Severity.WARNING
    title = "`image.base_amis` requires an AMI of that kind to bake"
    why = (
        "An AMI is baked from the base AMI of its kind: the architecture of the instance type, or "
        "`gpu` for types whose GPUs jobs can use."
    )
    remedy = "remove the key, or name the AMI under the kind that the environments need"
    source_url = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ami-boot.html"
    manual_test = "aws ec2 describe-images --owners self --query 'Images[].[ImageId,Architecture]'"
    failing = """\
image:
  base_amis:
    arm64: ami-0123456789abcdef0  #! ami-
environments:
  r5: {instance: r5.12xlarge, max_nodes: 4}
"""
    passing = """\
image:
  base_amis:
    x86_64: ami-0123456789abcdef0
environments:
  r5: {instance: r5.12xlarge, max_nodes: 4}
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        if not subject.sound("environments") or not subject.sound("image"):
            return
        baked = {each.base_kind for each in subject.cluster.machine_images}
        amis = subject.spec.image.base_amis
        for key, kind in (("x86_64", "x86_64"), ("arm64", "arm64"), ("gpu", "x86_64-gpu")):
            if amis.of(kind) is not None and kind not in baked:
                yield Match(("image", "base_amis", key), "no AMI of this kind is baked")
