"""Rules of a submission: whether what it needs is there in the account."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from mngen.account import (
    differences_of,
    fault_of,
    image_of,
    largest_quota,
    quota_value,
)
from mngen.cluster import ECR_IMAGE, definition_name, queue_name
from mngen.errors import Severity
from mngen.rules._rule import Match, Waiting
from mngen.rules.submission._rule import SubmissionRule

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

    from mypy_boto3_ecr.client import ECRClient
    from mypy_boto3_ecr.type_defs import ImageIdentifierTypeDef
    from mypy_boto3_iam.client import IAMClient

    from mngen.account import Target

_STUCK = "https://docs.aws.amazon.com/batch/latest/userguide/job_stuck_in_runnable.html"


class DefinitionExists(SubmissionRule):
    id = "MN301"
    title = "The job definition must exist"
    why = "A job is submitted with the name of its definition, which `mngen apply` creates."
    remedy = "run `mngen apply`"
    source_url = "https://docs.aws.amazon.com/batch/latest/userguide/job_definitions.html"
    manual_test = (
        "aws batch describe-job-definitions --status ACTIVE "
        "--query 'jobDefinitions[].[jobDefinitionName,revision]'"
    )
    calls = ("batch:DescribeJobDefinitions",)
    waiting = Waiting.NOTHING

    @classmethod
    def matches(cls, target: Target) -> Iterator[Match]:
        if target.definition is None:
            name, spec = target.intent.job.name, target.account.cluster.spec
            yield Match(
                ("jobs", name),
                f"there is no job definition `{definition_name(spec, name)}` in {spec.region}",
            )


class QueueIsThere(SubmissionRule):
    id = "MN302"
    title = "The queue must exist and be enabled"
    why = (
        "A queue is created when one of its environments exists, and an environment when its AMI "
        "is baked. A disabled queue rejects every job."
    )
    remedy = "bake the images (`mngen bake`) and run `mngen apply`"
    source_url = "https://docs.aws.amazon.com/batch/latest/userguide/job_queues.html"
    manual_test = "aws batch describe-job-queues --query 'jobQueues[].[jobQueueName,state,status]'"
    calls = ("batch:DescribeJobQueues",)
    waiting = Waiting.NOTHING

    @classmethod
    def matches(cls, target: Target) -> Iterator[Match]:
        name, spec = target.intent.queue.name, target.account.cluster.spec
        queue = target.queue
        if queue is None:
            yield Match(
                ("queues", name),
                f"there is no queue `{queue_name(spec, name)}` in {spec.region}",
            )
        elif queue["state"] != "ENABLED":
            yield Match(
                ("queues", name),
                f"the queue `{name}` is disabled and takes no jobs",
                "remove `enabled: false` and run `mngen apply`",
            )
        elif queue.get("status") in ("INVALID", "DELETING", "DELETED"):
            yield Match(
                ("queues", name),
                f"the queue `{name}` is {queue.get('status')}: {queue.get('statusReason')}",
                "run `mngen apply`",
            )


class EnvironmentTakesJobs(SubmissionRule):
    id = "MN311"
    title = "An environment of the queue must be valid and enabled"
    why = (
        "AWS Batch starts no instance in an environment that is INVALID or DISABLED. A job stays "
        "RUNNABLE until one environment of its queue is neither."
    )
    remedy = "mend what the reason names and run `mngen apply`"
    source_url = (
        "https://docs.aws.amazon.com/batch/latest/userguide/invalid_compute_environment.html"
    )
    manual_test = (
        "aws batch describe-compute-environments "
        "--query 'computeEnvironments[].[computeEnvironmentName,state,status,statusReason]'"
    )
    calls = ("batch:DescribeComputeEnvironments", "batch:DescribeJobQueues")
    waiting = Waiting.CAUSE

    @classmethod
    def matches(cls, target: Target) -> Iterator[Match]:
        broken = []
        for each in target.environments:
            fault = fault_of(each)
            if fault is None:
                return
            broken.append(f"`{each['computeEnvironmentName']}` {fault}")
        if broken:
            name = target.intent.queue.name
            yield Match(
                ("queues", name),
                f"no environment of the queue `{name}` takes jobs: {'; '.join(broken)}",
            )


class ContainerImageExists(SubmissionRule):
    id = "MN312"
    title = "The container image must be in its repository"
    why = (
        "EC2 starts, and bills, the instances before the image is pulled; then the job fails with "
        "CannotPullContainerError."
    )
    remedy = "build and push it, or correct `container.tag`"
    source_url = (
        "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_cannot_pull_image.html"
    )
    manual_test = (
        "aws ecr describe-images --repository-name NAME --query 'imageDetails[].imageTags'"
    )
    calls = ("ecr:DescribeImages",)
    waiting = Waiting.POSSIBLE

    @classmethod
    def matches(cls, target: Target) -> Iterator[Match]:
        images = dict.fromkeys(str(each.get("image", "")) for each in target.containers)
        for image in images:
            # AWS does not know registries other than ECR.
            named = ECR_IMAGE.fullmatch(image)
            message = _missing(target, named) if named else None
            if message:
                yield Match(("jobs", target.intent.job.name), message)


def _missing(target: Target, named: re.Match[str]) -> str | None:
    """Returns what is missing of an image in ECR; None if it is there."""
    client: ECRClient = target.account.client("ecr", named["region"])
    wanted: ImageIdentifierTypeDef = {"imageTag": named["tag"] or "latest"}
    if named["digest"]:
        wanted = {"imageDigest": named["digest"]}
    try:
        client.describe_images(
            registryId=named["account"],
            repositoryName=named["repository"],
            imageIds=[wanted],
        )
    except client.exceptions.ImageNotFoundException:
        what = named["digest"] or f"tag `{named['tag'] or 'latest'}`"
        message = f"the repository `{named['repository']}` has no image with the {what}"
    except client.exceptions.RepositoryNotFoundException:
        message = f"there is no repository `{named['repository']}`"
    else:
        return None
    return message


class MachineImagesExist(SubmissionRule):
    id = "MN313"
    title = "The AMIs of the environments must exist"
    why = "Without its AMI, no instance starts: the job stays RUNNABLE."
    remedy = "bake the image again (`mngen bake`) and run `mngen apply`"
    source_url = _STUCK
    manual_test = "aws ec2 describe-images --owners self --filters Name=tag-key,Values=mngen:image"
    calls = (
        "batch:DescribeComputeEnvironments",
        "batch:DescribeJobQueues",
        "ec2:DescribeImages",
    )
    waiting = Waiting.CAUSE

    @classmethod
    def matches(cls, target: Target) -> Iterator[Match]:
        wanted = {
            each["computeEnvironmentName"]: image
            for each in target.environments
            for image in [image_of(each)]
            if image
        }
        if not wanted:
            return
        # Another account's AMI is left out once it is deprecated, but still starts instances.
        found = target.account.ec2.describe_images(
            Filters=[{"Name": "image-id", "Values": sorted(set(wanted.values()))}],
            IncludeDeprecated=True,
        )
        states = {each.get("ImageId"): each.get("State") for each in found["Images"]}
        for environment, image in wanted.items():
            state = states.get(image)
            if state == "available":
                continue
            fault = "is not there, or not shared with this account"
            if state is not None:
                fault = f"is {state}, not available"
            yield Match(
                ("queues", target.intent.queue.name),
                f"the AMI {image} of `{environment}` {fault}",
            )


class InstanceProfileExists(SubmissionRule):
    id = "MN315"
    title = "The instance profile of the instances must exist"
    why = (
        "EC2 starts no instance if the instance profile does not exist or has no role. The job "
        "stays RUNNABLE, and the environment may become INVALID."
    )
    remedy = "run `mngen apply`, or give the profile its role back"
    source_url = "https://docs.aws.amazon.com/batch/latest/userguide/instance_IAM_role.html"
    manual_test = "aws iam get-instance-profile --instance-profile-name NAME"
    calls = (
        "batch:DescribeComputeEnvironments",
        "batch:DescribeJobQueues",
        "iam:GetInstanceProfile",
    )
    waiting = Waiting.CAUSE

    @classmethod
    def matches(cls, target: Target) -> Iterator[Match]:
        # Who submits may not look at the profiles of environments that were there before.
        legacy = target.account.cluster.spec.queues[target.intent.queue.name].legacy
        roles = (
            each.get("computeResources", {})
            for each in target.environments
            if each["computeEnvironmentArn"] not in legacy
        )
        names = {each.get("instanceRole", "").rpartition("/")[2] for each in roles}
        client: IAMClient = target.account.client("iam")
        for name in sorted(names - {""}):
            try:
                found = client.get_instance_profile(InstanceProfileName=name)
            except client.exceptions.NoSuchEntityException:
                message = f"there is no instance profile `{name}`"
            else:
                if found["InstanceProfile"]["Roles"]:
                    continue
                message = f"the instance profile `{name}` has no role"
            yield Match(("queues", target.intent.queue.name), message)


class QuotaCoversJob(SubmissionRule):
    id = "MN316"
    title = "The account's quota must cover all nodes of the job"
    why = (
        "EC2 counts the vCPUs of all running instances of a class of families and starts no more "
        "at the quota. A job that alone needs more stays RUNNABLE, and AWS shows no reason."
    )
    remedy = "request more at Service Quotas, which can take days, or submit with fewer `--nodes`"
    source_url = (
        "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-on-demand-instances.html"
        "#ec2-on-demand-instances-limits"
    )
    manual_test = (
        "aws service-quotas get-service-quota --service-code ec2 --quota-code L-1216C47A "
        "--query Quota.Value"
    )
    calls = ("servicequotas:GetServiceQuota", "servicequotas:GetAWSDefaultServiceQuota")
    waiting = Waiting.CAUSE

    @classmethod
    def matches(cls, target: Target) -> Iterator[Match]:
        obstacles = []
        for each in target.intent.queue.environments:
            needed = target.nodes * each.instance.vcpus
            found = largest_quota(each, partial(quota_value, target.account))
            if found is None or found[1] >= needed:
                return
            quota, value = found
            fit = int(value) // each.instance.vcpus
            fewer = f", or submit with fewer `--nodes`: {fit} fit" if fit else ""
            obstacles.append(
                Match(
                    ("jobs", target.intent.job.name),
                    f"{target.nodes} nodes of `{each.instance.name}` are {needed} vCPUs, and the "
                    f'quota "{quota.name}" is {value:g}',
                    f"request more (Service Quotas, code {quota.code}), which can take days{fewer}",
                )
            )
        yield from obstacles


class ReservedCapacityIsFree(SubmissionRule):
    id = "MN320"
    severity = Severity.WARNING
    title = "A job should find its nodes in the reserved capacity"
    why = (
        "EC2 starts no instance before a reservation begins, or beyond those that are reserved. "
        "The job stays RUNNABLE until then, and the jobs behind it wait too."
    )
    remedy = "wait, or submit to another queue"
    source_url = (
        "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/capacity-reservations-launch.html"
    )
    manual_test = (
        "aws ec2 describe-capacity-reservations --query 'CapacityReservations[].["
        "CapacityReservationId,State,StartDate,AvailableInstanceCount]'"
    )
    calls = ("ec2:DescribeCapacityReservations",)
    # `mngen.jobs` explains it of a job that waits, with more precision.
    waiting = Waiting.NOTHING

    @classmethod
    def matches(cls, target: Target) -> Iterator[Match]:
        for environment, wait in target.waits_for_capacity(datetime.now(UTC)):
            yield Match(
                ("jobs", target.intent.job.name),
                f"the job will wait: {wait.what} (environment `{environment.name}`)",
                wait.remedy,
            )


class DefinitionIsOfSpec(SubmissionRule):
    id = "MN314"
    severity = Severity.WARNING
    title = "The job definition should match the spec"
    why = (
        "A job runs with the definition that is in AWS. A change of the spec since the last apply "
        "has no effect yet."
    )
    remedy = "run `mngen apply`, or submit with `--register`"
    source_url = "https://docs.aws.amazon.com/batch/latest/userguide/job_definitions.html"
    manual_test = "aws batch describe-job-definitions --status ACTIVE"
    calls = ("batch:DescribeJobDefinitions", "ecr:DescribeImages")
    waiting = Waiting.NOTHING

    @classmethod
    def matches(cls, target: Target) -> Iterator[Match]:
        if target.definition is None or target.intent.registering:
            return
        differences = differences_of(target)
        if differences:
            yield Match(
                ("jobs", target.intent.job.name),
                f"the job definition in AWS (revision {target.definition['revision']}) differs "
                f"from the spec in {', '.join(differences)}",
            )
