"""Instances that run for a waiting job and do not join their ECS cluster, and why.

AWS Batch starts EC2 instances for the job at the head of a queue, and places the job once they have
registered with the ECS cluster of their compute environment. Batch does not report instances that
run and never register: the job stays RUNNABLE without a reason, and they cost money. EC2 knows the
instances, ECS those that have joined, and the console of the others shows how far they came.

An environment's instances are found by the tags of its launch template. An environment that was
replaced may have had the same, so the Auto Scaling group counts as well where there is one: Batch
names it after the environment, `AWSBatch-ENVIRONMENT-asg-UUID`. With a service role of the
account's own, a group without that prefix was seen.
Source: https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-tagging.html,
https://docs.aws.amazon.com/aws-managed-policy/latest/reference/BatchServiceRolePolicy.html,
https://github.com/outerbounds/terraform-aws-metaflow/pull/19

A look is one call where nothing runs. Else there are two more for the queue and its environments,
and for each environment one for each hundred instances that have joined, twice, and up to three for
two consoles: 26 calls at most for 1,000 nodes in one environment.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mngen._text import counted
from mngen.account import image_of, stem_of
from mngen.cluster import DEPLOYMENT_TAG, aws_name, queue_name
from mngen.jobs import _clock
from mngen.jobs._console import mount_state, telling_lines
from mngen.jobs._reasons import STUCK
from mngen.jobs._types import Cause

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.account import Account
    from mngen.cluster import ResolvedQueue

_JOINS_WITHIN = 240.0
"""Seconds in which an instance boots, mounts the file system and registers."""

_MOUNT_GIVEN_UP = 900.0
"""Seconds after which an instance without its file system is gone: it tries for five minutes, then
powers off, and its Auto Scaling group terminates it at one of the next health checks."""

_INSTANCES_A_PAGE = 1000
_MEMBERS_A_CALL = 100
_SHOWN_IDS = 3

_GROUP_TAG = "aws:autoscaling:groupName"
_BATCH_PREFIX = "AWSBatch-"
_WHEN = re.compile(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?:GMT|UTC)\)")

_STATE_REASON = "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StateReason.html"

_MOUNT_REMEDY = (
    "the file system needs a mount target in the instance's zone, its security group must let the "
    "nodes in on port 2049, and the VPC must resolve its name: `mngen check --aws` looks at each"
)
_REACH_REMEDY = (
    "the agent must reach ECS (a NAT gateway, or the endpoints ecs, ecs-agent and ecs-telemetry), "
    "and the instance role needs the policy AmazonEC2ContainerServiceforEC2Role: "
    "`mngen check --aws` looks at the way, and `mngen apply` restores a role of this deployment"
)
_EMPTY_REMEDY = (
    "EC2 shows the console some minutes after the start: ask again. Likely causes, in this order: "
    f"the file system is not mounted ({_MOUNT_REMEDY}); {_REACH_REMEDY}"
)
_NO_LINE_REMEDY = (
    "likely causes, in this order: the AMI is not one that `mngen bake` made; the system does not "
    f"start as far as its network; {_REACH_REMEDY}"
)
_LAUNCH_FAULTS = {
    "Client.InternalError": "EC2 could not start it, most often because EC2 Auto Scaling may not "
    "use the KMS key of its volumes (MN225): `mngen check --aws`",
    "Client.InvalidSnapshot.NotFound": "a snapshot of its AMI is gone: `mngen bake`, `mngen apply`",
    "Client.VolumeLimitExceeded": "the account's limit for EBS volumes is reached: ask for more at "
    "Service Quotas",
    "Server.InternalError": "EC2 failed to start it (an internal error): wait for the next one",
}


def unjoined(account: Account, queue: ResolvedQueue, since: float) -> Iterator[Cause]:
    """Yields why the instances of a queue's environments do not run a job.

    Args:
        account: The deployment and its account.
        queue: The queue that the job waits in.
        since: When the job was submitted, in seconds since the epoch.

    Raises:
        botocore.exceptions.ClientError: AWS refused to list instances.
    """
    deployment = account.cluster.spec.name
    names = {aws_name(deployment, each.name) for each in queue.environments}
    instances = _instances(account, sorted(names))
    if not instances:
        return
    for environment in _environments(account, queue):
        own = [each for each in instances if is_of(each, environment)]
        yield from _running(account, environment, [each for each in own if _is_up(each)])
        # EC2 reports the start in whole seconds.
        gone = [each for each in own if not _is_up(each) and _started(each) >= int(since)]
        yield from _ended(account, environment, gone)


def _instances(account: Account, names: list[str]) -> list[dict[str, Any]]:
    """Returns the instances with the tags of these environments, also those just terminated."""
    pages = account.ec2.get_paginator("describe_instances").paginate(
        Filters=[
            {"Name": f"tag:{DEPLOYMENT_TAG}", "Values": [account.cluster.spec.name]},
            {"Name": "tag:Name", "Values": names},
        ],
        PaginationConfig={"PageSize": _INSTANCES_A_PAGE},
    )
    found: list[Any] = [
        each for page in pages for group in page["Reservations"] for each in group["Instances"]
    ]
    return found


def _environments(account: Account, queue: ResolvedQueue) -> list[Any]:
    batch: Any = account.client("batch")
    name = queue_name(account.cluster.spec, queue.name)
    queues = batch.describe_job_queues(jobQueues=[name])["jobQueues"]
    arns = [
        each["computeEnvironment"] for found in queues for each in found["computeEnvironmentOrder"]
    ]
    if not arns:
        return []
    found: list[Any] = batch.describe_compute_environments(computeEnvironments=arns)[
        "computeEnvironments"
    ]
    return found


def is_of(instance: dict[str, Any], environment: Any) -> bool:
    """Returns whether an instance is one of an environment's, by its group or else its name.

    Args:
        instance: The structure that DescribeInstances holds.
        environment: The structure that DescribeComputeEnvironments holds.
    """
    tags = {each["Key"]: each["Value"] for each in instance.get("Tags", [])}
    group: str = tags.get(_GROUP_TAG, "")
    if group.startswith(_BATCH_PREFIX) or "-asg-" in group:
        own = f"{environment['computeEnvironmentName']}-"
        return group.removeprefix(_BATCH_PREFIX).startswith(own)
    return bool(tags.get("Name") == stem_of(environment))


def _is_up(instance: dict[str, Any]) -> bool:
    return str(instance["State"]["Name"]) in ("pending", "running")


def _started(instance: dict[str, Any]) -> float:
    return float(instance["LaunchTime"].timestamp())


def _running(
    account: Account, environment: Any, instances: list[dict[str, Any]]
) -> Iterator[Cause]:
    """Yields what is wrong with instances that run and have not joined, or lost their agent."""
    if not instances or not environment.get("ecsClusterArn"):
        return
    members = _members(account, environment["ecsClusterArn"])
    name = environment["computeEnvironmentName"]
    lost = [each["InstanceId"] for each in instances if members.get(each["InstanceId"]) is False]
    if lost:
        yield Cause(
            what=f"the ECS agent of {counted(len(lost), 'instance')} of `{name}` is not connected: "
            f"{_listed(lost)}",
            remedy="terminate them, and AWS Batch starts others; if those lose it too, see whether "
            "the way to ECS is stable (a NAT gateway, or the endpoints ecs, ecs-agent and "
            "ecs-telemetry)",
            certain=False,
            instances=tuple(lost),
        )
    missing = sorted(
        (each for each in instances if each["InstanceId"] not in members), key=_started
    )
    late = [each for each in missing if _clock.now() - _started(each) > _JOINS_WITHIN]
    if late:
        yield _never_joined(account, environment, late, of=len(instances))
    elif missing:
        ids = [each["InstanceId"] for each in missing]
        yield Cause(
            what=f"{counted(len(ids), 'instance')} of `{name}` started less than "
            f"{_JOINS_WITHIN / 60:.0f} minutes ago and will join soon",
            remedy="wait a little, and ask again",
            certain=False,
            instances=tuple(ids),
        )


def _never_joined(
    account: Account, environment: Any, late: list[dict[str, Any]], *, of: int
) -> Cause:
    ids = [each["InstanceId"] for each in late]
    minutes = (_clock.now() - _started(late[0])) / 60
    text = _console(account, late[0])
    why, remedy = _judged(late[0], environment, text)
    return Cause(
        what=f"{len(late)} of {of} instances of `{environment['computeEnvironmentName']}` have not "
        f"joined its ECS cluster, the first for {minutes:.0f} min ({_listed(ids)}): {why}",
        remedy=remedy,
        see=STUCK,
        instances=tuple(ids),
        console=telling_lines(text),
    )


def _judged(instance: dict[str, Any], environment: Any, text: str) -> tuple[str, str]:
    """Returns the likeliest cause for an instance that did not join, and what to do about it.

    The order is that of how much each proves: what the console shows, what EC2 knows, what is left.
    """
    mount = mount_state(text)
    image = image_of(environment)
    if mount in ("WARNING", "ERROR"):
        return (
            "the file system is not mounted, so neither Docker nor the ECS agent starts",
            _MOUNT_REMEDY,
        )
    if "IamInstanceProfile" not in instance:
        return (
            "it has no instance profile, without which the agent may not register",
            "run `mngen apply`; then terminate the instances, so that AWS Batch starts others",
        )
    if image is not None and instance.get("ImageId") != image:
        return (
            f"it was started from {instance.get('ImageId')}, and the environment has {image}",
            "run `mngen apply`, and terminate the instances, so that AWS Batch starts others",
        )
    if mount == "OK":
        return (
            "the file system is mounted, so the ECS agent does not reach ECS, or may not register",
            _REACH_REMEDY,
        )
    if not text.strip():
        return "its console is empty so far", _EMPTY_REMEDY
    command = f"aws ec2 get-console-output --latest --instance-id {instance['InstanceId']}"
    return (
        "its console has no line of mngen's mount unit",
        f"see how far it came (`{command}`); {_NO_LINE_REMEDY}",
    )


def _ended(account: Account, environment: Any, gone: list[dict[str, Any]]) -> Iterator[Cause]:
    """Yields why instances that were started for the job are gone again."""
    # One that ran for longer has had its turn: it was the last job's, and Batch terminated it.
    brief = sorted(
        (each for each in gone if (_lifetime(each) or 0.0) < _MOUNT_GIVEN_UP), key=_started
    )
    if not brief:
        return
    last = brief[-1]
    code = last.get("StateReason", {}).get("Code", "")
    text = _console(account, last) if code not in _LAUNCH_FAULTS else ""
    remedy = "see the console of the last one, and the other causes shown here"
    certain = True
    if code in _LAUNCH_FAULTS:
        why, remedy = f"EC2 reports {code}", _LAUNCH_FAULTS[code]
    elif mount_state(text) == "ERROR":
        why = "the last one powered off, because the file system could not be mounted"
        remedy = _MOUNT_REMEDY
    elif code == "Client.InstanceInitiatedShutdown":
        why = "the last one was shut down from inside"
    else:
        why, certain = code or "EC2 gives no reason", False
    ids = [each["InstanceId"] for each in brief]
    yield Cause(
        what=f"{counted(len(ids), 'instance')} of `{environment['computeEnvironmentName']}` "
        f"started since the job was submitted and ended within minutes ({_listed(ids)}): {why}",
        remedy=remedy,
        certain=certain,
        see=_STATE_REASON,
        instances=tuple(ids),
        console=telling_lines(text),
    )


def _lifetime(instance: dict[str, Any]) -> float | None:
    """Returns for how many seconds an instance ran; None if EC2 does not report it."""
    match = _WHEN.search(instance.get("StateTransitionReason", ""))
    if match is None:
        return None
    ended = datetime.strptime(match[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    return ended.timestamp() - _started(instance)


def _members(account: Account, cluster: str) -> dict[str, bool]:
    """Returns whether the agent is connected, by the EC2 instances that have joined a cluster."""
    ecs: Any = account.client("ecs")
    pages = ecs.get_paginator("list_container_instances").paginate(cluster=cluster)
    arns = [arn for page in pages for arn in page["containerInstanceArns"]]
    found: dict[str, bool] = {}
    for first in range(0, len(arns), _MEMBERS_A_CALL):
        answer = ecs.describe_container_instances(
            cluster=cluster, containerInstances=arns[first : first + _MEMBERS_A_CALL]
        )
        for each in answer["containerInstances"]:
            found[each.get("ec2InstanceId", "")] = bool(each.get("agentConnected", True))
    return found


def _console(account: Account, instance: dict[str, Any]) -> str:
    """Returns the console's output; an empty text where there is none, or it may not be read.

    The latest output is available only for types with the Nitro hypervisor, while they run.
    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetConsoleOutput.html
    """
    from botocore.exceptions import BotoCoreError, ClientError

    for latest in (True, False) if _is_up(instance) else (False,):
        try:
            answer = account.ec2.get_console_output(
                InstanceId=instance["InstanceId"], **({"Latest": True} if latest else {})
            )
        except ClientError as error:
            if latest and error.response["Error"]["Code"] == "UnsupportedOperation":
                continue
            return ""
        except BotoCoreError:
            return ""
        return str(answer.get("Output") or "")
    return ""


def _listed(ids: list[str]) -> str:
    more = f" and {len(ids) - _SHOWN_IDS} more" if len(ids) > _SHOWN_IDS else ""
    return ", ".join(ids[:_SHOWN_IDS]) + more
