"""Rules about how machines are bought and how many are kept."""

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
    title = "Spot environments are single-node"
    why = (
        "AWS Batch runs multi-node parallel jobs on on-demand machines alone. On a Spot "
        "environment such a job stays RUNNABLE for ever."
    )
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
                    "AWS Batch never places multi-node jobs on Spot machines",
                )


class OfferedOnSpot(SpecRule):
    id = "MN111"
    title = "Spot environments are of types that are sold on the Spot market"
    why = "EC2 sells some types on demand only, hpc6a, hpc7a and hpc7g among them."
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
            if each.spec.purchase == "spot" and not each.instance.spot:
                yield Match(
                    ("environments", each.name, "purchase"),
                    f"`{each.instance.name}` is not sold on the Spot market",
                )


class BidOnSpot(SpecRule):
    id = "MN112"
    severity = Severity.WARNING
    title = "Only Spot environments have a bid"
    why = "AWS Batch looks at the bid percentage of Spot environments alone."
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
                    "a bid has no effect on on-demand machines",
                )


class AllocationFits(SpecRule):
    id = "MN113"
    title = "On-demand environments do not allocate by a Spot strategy"
    why = "AWS Batch refuses to create an on-demand environment with a SPOT_* strategy."
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
                    f"`{each.spec.allocation}` is for Spot machines, and these are on demand",
                )


class UpdatesInPlace(SpecRule):
    id = "MN114"
    severity = Severity.WARNING
    title = "Environments allocate by a strategy that is updated in place"
    why = (
        "AWS Batch cannot change the image, the launch template or the instance type of a BEST_FIT "
        "environment. Each such change, every newly baked image among them, replaces the "
        "environment and ends the jobs that run on it. BEST_FIT also waits for the one type that "
        "it judged cheapest, and takes no other."
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
            if each.allocation == "BEST_FIT":
                yield Match(
                    ("environments", each.name, "allocation"),
                    "every new image or instance type will replace this environment, with the "
                    "jobs on it",
                )


class SpotFleetRole(SpecRule):
    id = "MN115"
    title = "Spot environments that allocate by best-fit have a Spot fleet role"
    why = (
        "With BEST_FIT, AWS Batch buys Spot machines through a Spot fleet request, which acts with "
        "a role of its own. Without it Batch refuses the environment."
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
    title = "No more machines are kept than there may be"
    why = "AWS Batch refuses an environment whose minvCpus exceed its maxvCpus."
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
                    f"{each.spec.min_nodes} machines are kept, and there may be at most "
                    f"{each.spec.max_nodes}",
                )


class IdleMachines(SpecRule):
    id = "MN117"
    severity = Severity.INFO
    title = "No machines are paid for without jobs"
    why = "Machines below the minimum run, and are billed, day and night, with or without jobs."
    remedy = "leave `min_nodes` out, and machines are started when jobs come"
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
