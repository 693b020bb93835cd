"""Rules about instance types and the image that they boot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.errors import Severity
from mngen.rules._rule import Match
from mngen.rules.spec._rule import SpecRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.rules.spec._subject import Subject
    from mngen.spec import Path


class KnownInstanceType(SpecRule):
    id = "MN101"
    title = "Every instance type must exist"
    why = "EC2 rejects an unknown type, and AWS Batch marks the environment INVALID."
    remedy = "correct the name; `mngen instances` lists the types"
    source_url = "https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-types.html"
    manual_test = "aws ec2 describe-instance-types --instance-types r5.12xlarge"
    failing = """\
environments:
  r5:
    instance: r5.12xlrge  #! r5.12xlrge
    max_nodes: 16
"""
    passing = """\
environments:
  r5:
    instance: r5.12xlarge
    max_nodes: 16
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for name, environment in subject.spec.environments.items():
            for index, each in enumerate(environment.types):
                if each not in subject.catalog:
                    place: Path = ("alternatives", index - 1) if index else ("instance",)
                    problem = subject.catalog.unknown(each)
                    yield Match(("environments", name, *place), problem.message, problem.hint)


class LinuxInstanceType(SpecRule):
    id = "MN102"
    title = "An environment must not use Mac instances"
    why = (
        "A Mac instance runs macOS on a dedicated host. AWS Batch runs Linux containers and does "
        "not use dedicated hosts."
    )
    remedy = "choose an x86_64 or arm64 type; `mngen instances` lists them"
    source_url = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-mac-instances.html"
    manual_test = (
        "aws ec2 describe-instance-types --instance-types mac2.metal "
        "--query 'InstanceTypes[].ProcessorInfo.SupportedArchitectures'"
    )
    failing = """\
environments:
  mac:
    instance: mac2.metal  #! mac2.metal
    max_nodes: 2
    multi_node: false
"""
    passing = """\
environments:
  arm:
    instance: c7g.16xlarge
    max_nodes: 2
    multi_node: false
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for name, environment in subject.spec.environments.items():
            instance = subject.catalog.get(environment.instance)
            if instance is not None and instance.architecture.endswith("_mac"):
                yield Match(
                    ("environments", name, "instance"),
                    f"`{instance.name}` runs macOS, and AWS Batch needs Linux",
                )


class SecondThreads(SpecRule):
    id = "MN103"
    severity = Severity.INFO
    title = "`hyperthreading: true` requires a type with hyper-threading"
    why = (
        "Types with one thread per core (hpc6a, hpc7a, c7a, Graviton) have no hyper-threading: "
        "every vCPU is a core."
    )
    remedy = "remove the line: it has no effect on this type"
    source_url = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/cpu-options-supported-instances-values.html"
    manual_test = (
        "aws ec2 describe-instance-types --instance-types hpc7a.96xlarge "
        "--query 'InstanceTypes[].VCpuInfo'"
    )
    failing = """\
environments:
  hpc:
    instance: c7a.8xlarge
    max_nodes: 4
    hyperthreading: true  #! true
"""
    passing = """\
environments:
  hpc:
    instance: c7a.8xlarge
    max_nodes: 4
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for each in subject.environments:
            if each.spec.hyperthreading and each.instance.threads_per_core == 1:
                yield Match(
                    ("environments", each.name, "hyperthreading"),
                    f"`{each.instance.name}` has one thread a core, so there is no hyper-threading "
                    "to keep on",
                )


class SteadyCpu(SpecRule):
    id = "MN104"
    severity = Severity.WARNING
    title = "A multi-node environment should not use burstable types"
    why = (
        "A burstable type is throttled to a fraction of its CPU when its credits are spent, or "
        "bills for more of them. In an MPI job every rank waits for the slowest one."
    )
    remedy = "choose a type of a c, m, r or hpc family"
    source_url = (
        "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/burstable-performance-instances.html"
    )
    manual_test = (
        "aws ec2 describe-instance-types --instance-types t3.2xlarge "
        "--query 'InstanceTypes[].BurstablePerformanceSupported'"
    )
    failing = """\
environments:
  cheap:
    instance: t3.2xlarge  #! t3.2xlarge
    max_nodes: 4
    placement_group: false
    zones: [us-east-1a]
"""
    passing = """\
environments:
  steady:
    instance: c5.2xlarge
    max_nodes: 4
    zones: [us-east-1a]
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for each in subject.environments:
            if each.instance.burstable and each.spec.multi_node:
                yield Match(
                    ("environments", each.name, "instance"),
                    f"`{each.instance.name}` is burstable: without CPU credits it is throttled, "
                    "and the whole MPI job with it",
                )


class SupportedBase(SpecRule):
    id = "MN106"
    severity = Severity.WARNING
    title = "The base AMI should be a supported Amazon Linux"
    why = (
        "Amazon Linux 2 reached the end of its support on 2026-06-30 and gets no more security "
        "fixes. AWS Batch uses Amazon Linux 2023 by default and blocks new compute environments on "
        "its own Amazon Linux 2 AMIs. AMIs baked from Amazon Linux 2 still start, without fixes."
    )
    remedy = "write `base: amazon-linux-2023`, or leave it out"
    source_url = "https://docs.aws.amazon.com/batch/latest/userguide/ecs-migration-2023.html"
    manual_test = (
        "aws ssm get-parameter "
        "--name /aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id"
    )
    failing = """\
image:
  base: amazon-linux-2  #! amazon-linux-2
"""
    passing = """\
image:
  base: amazon-linux-2023
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        if subject.spec.image.base == "amazon-linux-2":
            yield Match(
                ("image", "base"),
                "Amazon Linux 2 has had no security fixes since 2026-06-30, its end of support",
            )
