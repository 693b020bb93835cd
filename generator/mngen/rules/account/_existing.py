"""Rules that ask AWS about what existed before the deployment."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from mngen.catalog import load_catalog
from mngen.cluster import policy_name, queue_name
from mngen.errors import Severity, did_you_mean
from mngen.rules._rule import Match
from mngen.rules.account._rule import AwsRule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mypy_boto3_batch.client import BatchClient
    from mypy_boto3_batch.type_defs import ComputeEnvironmentDetailTypeDef
    from mypy_boto3_logs.client import CloudWatchLogsClient

    from mngen.account import Account
    from mngen.catalog import Architecture

_BUNDLES: Mapping[str, Architecture] = MappingProxyType(
    {"optimal": "x86_64", "default_x86_64": "x86_64", "default_arm64": "arm64"}
)
"""What an environment may list in place of types and families.

Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_ComputeResource.html
"""
_QUEUE = "https://docs.aws.amazon.com/batch/latest/APIReference/API_CreateJobQueue.html"


class LegacyEnvironmentsValid(AwsRule):
    id = "MN230"
    title = "Environments in `legacy` must exist, be valid and have EC2 instances like the queue's"
    why = (
        "AWS Batch associates a compute environment with a job queue only if it is VALID. It mixes "
        "neither EC2 instances with others, nor architectures, and does not run jobs for Amazon "
        "ECS on Amazon EKS."
    )
    remedy = "correct the ARN, or remove it from `legacy`"
    source_url = _QUEUE
    manual_test = (
        "aws batch describe-compute-environments "
        "--query 'computeEnvironments[].[computeEnvironmentArn,status,statusReason]'"
    )
    calls = ("batch:DescribeComputeEnvironments",)

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        batch: BatchClient = account.client("batch")
        for queue in account.cluster.queues:
            legacy = queue.spec.legacy
            if not legacy:
                continue
            answer = batch.describe_compute_environments(computeEnvironments=list(legacy))
            found = {each["computeEnvironmentArn"]: each for each in answer["computeEnvironments"]}
            own = {each.instance.architecture for each in queue.environments}
            for index, arn in enumerate(legacy):
                wrong = _wrong(found.get(arn), own)
                if wrong is not None:
                    yield Match(
                        ("queues", queue.name, "legacy", index),
                        f"the compute environment `{arn.rpartition('/')[2]}` {wrong}",
                    )


def _wrong(
    environment: ComputeEnvironmentDetailTypeDef | None, own: set[Architecture]
) -> str | None:
    if environment is None:
        return "does not exist"
    if environment.get("status") != "VALID":
        reason = environment.get("statusReason")
        return f"is {environment.get('status')}" + (f": {reason}" if reason else "")
    kind = environment.get("computeResources", {}).get("type", "EC2")
    if kind not in {"EC2", "SPOT"}:
        return f"has the type {kind}"
    if environment.get("eksConfiguration"):
        return "is of Amazon EKS"
    architectures = _architectures(environment.get("computeResources", {}).get("instanceTypes", []))
    if architectures and not architectures & own:
        return f"is for {' and '.join(sorted(architectures))}, and the queue for {min(own)}"
    return None


def _architectures(types: Iterable[str]) -> set[Architecture]:
    """Returns the architectures of what an environment lists, as far as the catalog has it."""
    catalog = load_catalog()
    found: set[Architecture] = set()
    for each in types:
        if each in _BUNDLES:
            found.add(_BUNDLES[each])
        else:
            found.update(instance.architecture for instance in catalog.match(each))
    return found


class SchedulingPolicyExists(AwsRule):
    id = "MN231"
    title = "The scheduling policy of a queue must exist"
    why = "AWS Batch rejects a job queue whose scheduling policy does not exist."
    remedy = "correct the ARN, or create the policy: `aws batch create-scheduling-policy`"
    source_url = _QUEUE
    manual_test = "aws batch list-scheduling-policies"
    calls = ("batch:DescribeSchedulingPolicies",)

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        batch: BatchClient = account.client("batch")
        for name, queue in account.cluster.spec.queues.items():
            if queue.scheduling_policy is None:
                continue
            answer = batch.describe_scheduling_policies(arns=[queue.scheduling_policy])
            if not answer["schedulingPolicies"]:
                policy = queue.scheduling_policy.rpartition("/")[2]
                yield Match(
                    ("queues", name, "scheduling_policy"),
                    f"there is no scheduling policy `{policy}`",
                )


class SchedulingKept(AwsRule):
    id = "MN232"
    severity = Severity.WARNING
    title = "A queue that exists should stay with or without a scheduling policy"
    why = (
        "AWS Batch replaces a queue's scheduling policy, but neither adds nor removes one: "
        "`mngen apply` deletes the queue with all its jobs, and creates it again."
    )
    remedy = "add a queue beside it, and remove the old one when its jobs have finished"
    source_url = _QUEUE
    manual_test = "aws batch describe-job-queues --query 'jobQueues[].schedulingPolicyArn'"
    calls = ("batch:DescribeJobQueues",)

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        spec = account.cluster.spec
        batch: BatchClient = account.client("batch")
        wanted = {queue_name(spec, name): name for name in spec.queues}
        for each in batch.describe_job_queues(jobQueues=sorted(wanted))["jobQueues"]:
            name = wanted[each["jobQueueName"]]
            queue = spec.queues[name]
            current = each.get("schedulingPolicyArn")
            if queue.is_fair and current is None:
                yield Match(
                    ("queues", name, "shares" if queue.shares else "scheduling_policy"),
                    f"the queue `{each['jobQueueName']}` has no scheduling policy",
                )
            elif not queue.is_fair and current is not None:
                own = current.endswith(f":scheduling-policy/{policy_name(spec, name)}")
                key = (
                    "`shares: {}`, with its weights," if own else f"`scheduling_policy: {current}`"
                )
                yield Match(
                    ("queues", name),
                    f"the queue `{each['jobQueueName']}` has the scheduling policy `{current}`",
                    f"write {key} to keep it",
                )


class ExistingGroupFits(AwsRule):
    id = "MN233"
    title = "An existing placement group must have the cluster strategy"
    why = (
        "AWS Batch marks an environment INVALID if its placement group does not exist. Groups with "
        "another strategy place instances apart, which slows MPI down, and limit their number."
    )
    remedy = "name a group with the cluster strategy, or let mngen create one"
    source_url = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/placement-strategies.html"
    manual_test = (
        "aws ec2 describe-placement-groups --query 'PlacementGroups[].[GroupName,Strategy,State]'"
    )
    calls = ("ec2:DescribePlacementGroups",)

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        named = [
            (each.name, each.placement_group)
            for each in account.cluster.environments
            if each.placement_group is not None and not each.has_own_group
        ]
        if not named:
            return
        groups = {
            each["GroupName"]: each
            for each in account.ec2.describe_placement_groups()["PlacementGroups"]
        }
        for name, group in named:
            path = ("environments", name, "placement_group")
            if group not in groups:
                yield Match(
                    path,
                    f"there is no placement group `{group}` in {account.cluster.spec.region}",
                    did_you_mean(group, groups),
                )
            elif groups[group]["Strategy"] != "cluster":
                yield Match(
                    path,
                    f"the placement group `{group}` has the strategy {groups[group]['Strategy']}",
                )


class LogGroupExists(AwsRule):
    id = "MN234"
    title = "The log group in `logs.group` must exist"
    why = "A container does not start if its log group does not exist."
    remedy = "correct the name, or create it: `aws logs create-log-group`"
    source_url = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using_awslogs.html"
    manual_test = "aws logs describe-log-groups --query 'logGroups[].logGroupName'"
    calls = ("logs:DescribeLogGroups",)

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        group = account.cluster.spec.logs.group
        if group is None:
            return
        logs: CloudWatchLogsClient = account.client("logs")
        found = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
        if group not in {each.get("logGroupName") for each in found}:
            yield Match(
                ("logs", "group"),
                f"there is no log group `{group}` in {account.cluster.spec.region}",
            )
