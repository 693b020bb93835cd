"""Rules about how instances are bought and how many are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.errors import Severity
from mngen.rules._rule import Match
from mngen.rules.spec._rule import SpecRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.rules.spec._subject import Subject

_ALLOCATION = (
    "aws batch describe-compute-environments "
    "--query 'computeEnvironments[].computeResources.[type,allocationStrategy]'"
)


class NoMultiNodeOnSpot(SpecRule):
    id = "MN110"
    title = "A Spot environment must be single-node"
    why = "AWS Batch does not run multi-node parallel jobs on Spot instances; they stay RUNNABLE."
    remedy = "write `purchase: on-demand`, or `multi_node: false` for single-node jobs"
    source_url = "https://docs.aws.amazon.com/batch/latest/userguide/mnp-ce.html"
    manual_test = _ALLOCATION
    failing = """\
environments:
  r5:
    instance: r5.12xlarge
    max_nodes: 4
    purchase: spot  #! spot
"""
    passing = """\
environments:
  r5:
    instance: r5.12xlarge
    max_nodes: 4
    purchase: spot
    multi_node: false
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for each in subject.environments:
            if each.spec.purchase == "spot" and each.spec.multi_node:
                yield Match(
                    ("environments", each.name, "purchase"),
                    "AWS Batch does not run multi-node jobs on Spot instances",
                )


class OfferedOnSpot(SpecRule):
    id = "MN111"
    title = "A Spot environment must use types that are sold as Spot"
    why = "EC2 sells some types on demand only, for example hpc6a, hpc7a and hpc7g."
    remedy = "write `purchase: on-demand`, or choose another type"
    source_url = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-spot-instances.html"
    manual_test = (
        "aws ec2 describe-instance-types --instance-types hpc6a.48xlarge "
        "--query 'InstanceTypes[].SupportedUsageClasses'"
    )
    failing = """\
environments:
  hpc:
    instance: hpc6a.48xlarge
    max_nodes: 4
    multi_node: false
    purchase: spot  #! spot
"""
    passing = """\
environments:
  hpc:
    instance: hpc6a.48xlarge
    max_nodes: 4
    multi_node: false
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for each in subject.environments:
            for kind in each.types:
                if each.spec.purchase == "spot" and not kind.spot:
                    yield Match(
                        ("environments", each.name, "purchase"),
                        f"`{kind.name}` is not sold on the Spot market",
                    )


class BidOnSpot(SpecRule):
    id = "MN112"
    severity = Severity.WARNING
    title = "Only a Spot environment should have a bid"
    why = "AWS Batch uses the bid percentage of Spot environments only."
    remedy = "remove `bid_percentage`, or write `purchase: spot` and `multi_node: false`"
    source_url = "https://docs.aws.amazon.com/batch/latest/APIReference/API_ComputeResource.html"
    manual_test = (
        "aws batch describe-compute-environments "
        "--query 'computeEnvironments[].computeResources.[type,bidPercentage]'"
    )
    failing = """\
environments:
  m4:
    instance: m4.4xlarge
    max_nodes: 4
    multi_node: false
    bid_percentage: 60  #! 60
"""
    passing = """\
environments:
  m4:
    instance: m4.4xlarge
    max_nodes: 4
    multi_node: false
    purchase: spot
    bid_percentage: 60
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for each in subject.environments:
            if each.spec.bid_percentage is not None and each.spec.purchase != "spot":
                yield Match(
                    ("environments", each.name, "bid_percentage"),
                    "a bid has no effect on on-demand instances",
                )


class AllocationFits(SpecRule):
    id = "MN113"
    title = "An on-demand environment must not use a Spot allocation strategy"
    why = "AWS Batch rejects an on-demand environment with a SPOT_* strategy."
    remedy = "leave `allocation` out: best-fit-progressive is the default on demand"
    source_url = "https://docs.aws.amazon.com/batch/latest/userguide/allocation-strategies.html"
    manual_test = _ALLOCATION
    failing = """\
environments:
  m4:
    instance: m4.4xlarge
    max_nodes: 4
    multi_node: false
    allocation: spot-capacity-optimized  #! spot-capacity-optimized
"""
    passing = """\
environments:
  m4:
    instance: m4.4xlarge
    max_nodes: 4
    multi_node: false
    purchase: spot
    allocation: spot-capacity-optimized
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for each in subject.environments:
            if each.allocation.startswith("SPOT_") and each.spec.purchase != "spot":
                yield Match(
                    ("environments", each.name, "allocation"),
                    f"`{each.spec.allocation}` is for Spot instances, and these are on demand",
                )


_REPLACED = "every new image or instance type will replace this environment, with the jobs on it"


class UpdatesInPlace(SpecRule):
    id = "MN114"
    severity = Severity.WARNING
    title = "The allocation strategy should allow updates in place"
    why = (
        "AWS Batch cannot change the AMI, the launch template or the instance type of a BEST_FIT "
        "environment. Each such change, also each new AMI, replaces the environment and terminates "
        "its jobs. BEST_FIT also waits for the type that it considers cheapest and uses no other. "
        "Version 5 of the Terraform provider replaces SPOT_PRICE_CAPACITY_OPTIMIZED ones as well."
    )
    remedy = "leave `allocation` out; an environment of one type has nothing to choose from"
    source_url = (
        "https://docs.aws.amazon.com/batch/latest/userguide/updating-compute-environments.html"
    )
    manual_test = _ALLOCATION
    failing = """\
environments:
  m4:
    instance: m4.4xlarge
    max_nodes: 4
    multi_node: false
    allocation: best-fit  #! best-fit
"""
    passing = """\
environments:
  m4:
    instance: m4.4xlarge
    max_nodes: 4
    multi_node: false
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for each in subject.environments:
            # With reserved capacity it is the default.
            if each.allocation == "BEST_FIT" and each.spec.capacity is None:
                yield Match(
                    ("environments", each.name, "allocation"),
                    _REPLACED,
                )
            # See https://github.com/hashicorp/terraform-provider-aws/issues/38695.
            if each.allocation == "SPOT_PRICE_CAPACITY_OPTIMIZED" and subject.spec.provider == 5:
                yield Match(
                    ("environments", each.name, "allocation"),
                    _REPLACED,
                    "use `provider: 6`, or `spot-capacity-optimized`",
                )


class SpotFleetRole(SpecRule):
    id = "MN115"
    title = "A Spot environment with best-fit allocation requires a Spot fleet role"
    why = (
        "With BEST_FIT, AWS Batch buys Spot instances through a Spot fleet request, which needs "
        "its own role. Without the role, AWS Batch rejects the environment."
    )
    remedy = "write `spot_fleet: create` under `roles`, or leave the environment's `allocation` out"
    source_url = "https://docs.aws.amazon.com/batch/latest/userguide/spot_fleet_IAM_role.html"
    manual_test = "aws iam get-role --role-name AmazonEC2SpotFleetTaggingRole"
    besides = ("MN114",)
    failing = """\
roles:
  service: service-linked
environments:
  m4:
    instance: m4.4xlarge
    max_nodes: 4
    multi_node: false
    purchase: spot
    allocation: best-fit  #! best-fit
"""
    passing = """\
roles:
  spot_fleet: create
environments:
  m4:
    instance: m4.4xlarge
    max_nodes: 4
    multi_node: false
    purchase: spot
    allocation: best-fit
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for roles in subject.roles:
            for each in subject.environments:
                if (
                    each.spec.purchase == "spot"
                    and each.allocation == "BEST_FIT"
                    and roles.spot_fleet == "none"
                ):
                    yield Match(
                        ("environments", each.name, "allocation"),
                        "a Spot environment that allocates by best-fit needs a Spot fleet role",
                    )


class MinBelowMax(SpecRule):
    id = "MN116"
    title = "`min_nodes` must not exceed `max_nodes`"
    why = "AWS Batch rejects an environment whose minvCpus exceed its maxvCpus."
    remedy = "lower `min_nodes`, or raise `max_nodes`"
    source_url = "https://docs.aws.amazon.com/batch/latest/APIReference/API_ComputeResource.html"
    manual_test = (
        "aws batch describe-compute-environments "
        "--query 'computeEnvironments[].computeResources.[minvCpus,maxvCpus]'"
    )
    failing = """\
environments:
  r5:
    instance: r5.12xlarge
    max_nodes: 4
    min_nodes: 8  #! 8
"""
    passing = """\
environments:
  r5:
    instance: r5.12xlarge
    max_nodes: 8
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for each in subject.environments:
            if each.spec.min_nodes > each.spec.max_nodes:
                yield Match(
                    ("environments", each.name, "min_nodes"),
                    f"`min_nodes` is {each.spec.min_nodes}, `max_nodes` is {each.spec.max_nodes}",
                )


class IdleMachines(SpecRule):
    id = "MN117"
    severity = Severity.INFO
    title = "`min_nodes` should be 0"
    why = "Instances up to the minimum run, and are billed, day and night, with or without jobs."
    remedy = "remove `min_nodes`: instances are started when jobs arrive"
    source_url = "https://docs.aws.amazon.com/batch/latest/APIReference/API_ComputeResource.html"
    manual_test = (
        "aws batch describe-compute-environments "
        "--query 'computeEnvironments[].computeResources.[minvCpus,desiredvCpus]'"
    )
    failing = """\
environments:
  r5:
    instance: r5.12xlarge
    max_nodes: 4
    min_nodes: 2  #! 2
"""
    passing = """\
environments:
  r5:
    instance: r5.12xlarge
    max_nodes: 4
"""

    @classmethod
    def matches(cls, subject: Subject) -> Iterator[Match]:
        for each in subject.environments:
            if 0 < each.spec.min_nodes <= each.spec.max_nodes:
                yield Match(
                    ("environments", each.name, "min_nodes"),
                    f"{each.spec.min_nodes} of `{each.instance.name}` run and are billed at all "
                    "times, jobs or none",
                )
