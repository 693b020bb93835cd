"""Permissions that more than one part needs: reading, Terraform's state, passing roles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mngen.cluster import denied_submitters, names
from mngen.policy._statement import Scope, Statement
from mngen.rules import aws_calls
from mngen.spec import JobFromFile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mngen.policy._statement import Conditions
    from mngen.spec import Spec

_OF_THE_VPC = "ec2:DescribeVpcAttribute"

LISTED_STATES = "env:/"
"""What Terraform lists at `init`, to know the workspaces."""


@dataclass(frozen=True, slots=True)
class Vpc:
    """How permissions speak of the VPC.

    Attributes:
        arn: The VPC, or any, where the id is unknown: the default one is the account's choice, a
            new one is made later.
        conditions: What must hold of it and of the subnets and route tables in it: the tag of the
            deployment where they are new; nothing where they were there before.
        new: Whether the deployment makes it.
    """

    arn: str
    conditions: Conditions
    new: bool

    @classmethod
    def of(cls, spec: Spec, scope: Scope) -> Vpc:
        """Returns the VPC of a spec."""
        chosen = spec.network.vpc
        if chosen == "new":
            return cls(scope.arn("ec2", "vpc/*"), scope.own, new=True)
        return cls(
            scope.arn("ec2", "vpc/*" if chosen == "default" else f"vpc/{chosen}"), {}, new=False
        )


def look(spec: Spec, scope: Scope, actions: Iterable[str]) -> list[Statement]:
    """Returns what looking at things needs: the given actions, and what `mngen check --aws` asks.

    The checks are listed by its rules themselves. Asking who one is (`sts:GetCallerIdentity`)
    needs no permission.

    Args:
        spec: The spec.
        scope: The deployment.
        actions: Actions that know no resources.
    """
    calls = aws_calls()
    # Of what the checks ask AWS Batch and CloudWatch Logs, IAM knows no resources either.
    general = {call for call in calls if call.startswith(("batch:", "ec2:", "logs:"))}
    general -= {_OF_THE_VPC, *unasked(spec)}
    if any(each.purchase == "spot" for each in spec.environments.values()):
        general.add("ec2:DescribeSpotPriceHistory")
    groups = reservation_groups(spec, scope)
    vpc = Vpc.of(spec, scope)
    given = [
        *(spec.roles.service, spec.roles.spot_fleet, spec.roles.instance_profile),
        *job_roles(spec),
    ]
    policies = [
        *spec.roles.instance_policies,
        *spec.roles.job_policies,
        *filter(None, [spec.roles.permissions_boundary]),
    ]
    return [
        Statement(
            "Look",
            (*actions, *general, "servicequotas:GetAWSDefaultServiceQuota"),
            ("*",),
            scope.here,
        ),
        Statement(
            "CheckQuotas",
            ("servicequotas:GetServiceQuota",),
            (scope.arn("servicequotas", "ec2/*"),),
        ),
        Statement(
            "CheckBaseImages",
            ("ssm:GetParameters",),
            (scope.public_arn("ssm", "parameter/aws/service/ecs/optimized-ami/*"),),
        ),
        Statement(
            "CheckRoles", ("iam:GetRole",), tuple(each for each in given if ":role/" in each)
        ),
        Statement(
            "CheckProfile",
            ("iam:GetInstanceProfile",),
            tuple(each for each in given if ":instance-profile/" in each),
        ),
        Statement("CheckPolicies", ("iam:GetPolicy",), tuple(policies)),
        Statement("CheckVpc", () if vpc.new else (_OF_THE_VPC,), (vpc.arn,)),
        # The account's default key for EBS can be any, and so can that of a bucket.
        Statement(
            "CheckKey",
            tuple(call for call in calls if call.startswith("kms:")),
            (scope.arn("kms", "key/*"),)
            if spec.image.kms_key is None or spec.image.efa_installer
            else (spec.image.kms_key, *_key_of_messages(spec)),
        ),
        Statement(
            "CheckReservationGroups",
            tuple(call for call in calls if call.startswith("resource-groups:")) if groups else (),
            groups,
        ),
        *_efa_installer(spec, scope),
        Statement(
            "CheckBucket",
            ("s3:ListBucket",),
            (scope.global_arn("s3", spec.storage.bucket),) if spec.storage.bucket else (),
        ),
        Statement(
            "CheckMessages",
            tuple(call for call in calls if call.startswith(("events:", "sns:"))),
            (*event_rules(scope), topic(spec, scope)) if spec.notify else (),
        ),
        *_check_denied(spec, scope),
        # IAM knows no resources of it, and Cost Explorer answers in one region alone.
        Statement("CheckCostTags", ("ce:ListCostAllocationTags",) if spec.budget else (), ("*",)),
        # IAM knows no resource of it.
        Statement(
            "LookLustre",
            ("fsx:DescribeFileSystems",) if spec.storage.fsx else (),
            ("*",),
            scope.here,
        ),
        Statement(
            "CheckFileSystem",
            tuple(call for call in calls if call.startswith("elasticfilesystem:")),
            (file_system(spec, scope), *_access_points(spec, scope)),
        ),
    ]


def _check_denied(spec: Spec, scope: Scope) -> list[Statement]:
    """Returns what the checks ask about the budget's action, and whom it denies submissions."""
    denied = denied_submitters(spec)
    if denied is None:
        return []
    budget = f"budget/{names.budget(scope.name, scope.region)}"
    made = scope.iam_arn(f"policy/{names.deny_submit_policy(scope.name)}*")
    return [
        Statement(
            "CheckBudget",
            ("budgets:DescribeBudgetActionsForBudget",),
            (scope.account_arn("budgets", budget),),
        ),
        # IAM knows no resources of it, and answers in us-east-1 alone.
        Statement("CheckAccount", ("iam:GetAccountSummary",), ("*",)),
        Statement("CheckDenial", ("iam:ListEntitiesForPolicy",), (denied.policy or made,)),
        *(
            Statement(
                f"CheckDenied{kind.capitalize()}s",
                (f"iam:Get{kind.capitalize()}", f"iam:ListAttached{kind.capitalize()}Policies"),
                tuple(scope.iam_arn(f"{kind}/{each}") for each in given),
            )
            for kind, given in denied.by_kind.items()
        ),
    ]


def _key_of_messages(spec: Spec) -> tuple[str, ...]:
    """Names the key of the topic for messages, if the spec has one."""
    key = spec.notify.kms_key if spec.notify else None
    return (key,) if key else ()


def event_rules(scope: Scope) -> tuple[str, ...]:
    """Names the EventBridge rules that send messages about jobs."""
    found = names.event_rules(scope.name, ("failed", "blocked"))
    return tuple(scope.arn("events", f"rule/{name}") for name in found)


def topic(spec: Spec, scope: Scope) -> str:
    """Names the SNS topic of these messages: that of the spec, or the deployment's own."""
    given = spec.notify.topic if spec.notify else None
    return given or scope.arn("sns", names.topic(scope.name))


def unasked(spec: Spec) -> set[str]:
    """Returns what rules ask of EC2 for keys that the spec does not use."""
    reserved = any(each.capacity for each in spec.environments.values())
    return set() if reserved else {"ec2:DescribeCapacityReservations"}


def reservation_groups(spec: Spec, scope: Scope) -> tuple[str, ...]:
    """Names the resource groups of capacity reservations, by their ARNs, each once."""
    named = [each.capacity.group for each in spec.environments.values() if each.capacity]
    arns = {
        group if group.startswith("arn:") else scope.arn("resource-groups", f"group/{group}")
        for group in named
        if group
    }
    return tuple(sorted(arns))


def job_roles(spec: Spec) -> list[str]:
    """Returns the ARNs of the roles that the spec gives to containers, each once."""
    named = [
        spec.roles.job,
        spec.roles.execution,
        *(job.role for job in spec.jobs.values() if job.role),
    ]
    named += [
        arn
        for job in spec.jobs.values()
        if isinstance(job, JobFromFile)
        for _, arn in job.from_file.roles
    ]
    return sorted({each for each in named if each.startswith("arn:")})


def queues(spec: Spec, scope: Scope) -> tuple[str, ...]:
    """Names the job queues: by the deployment's prefix, and those with `aws_name`."""
    own = [queue.aws_name for queue in spec.queues.values() if queue.aws_name]
    return tuple(scope.arn("batch", f"job-queue/{name}") for name in (f"{scope.name}-*", *own))


def definitions(spec: Spec, scope: Scope) -> tuple[str, ...]:
    """Names the job definitions likewise, and their revisions."""
    own = [job.aws_name for job in spec.jobs.values() if job.aws_name]
    names = [f"{scope.name}-*", *own, *(f"{name}:*" for name in own)]
    return tuple(scope.arn("batch", f"job-definition/{name}") for name in names)


def ecs_clusters(spec: Spec, scope: Scope) -> list[str]:
    """Returns patterns of the names of the ECS clusters that Batch creates for the environments.

    With the service-linked role, which may only use clusters of this name, it is
    `AWSBatch-ENVIRONMENT-UUID`; with another role, it was seen as `ENVIRONMENT_Batch_UUID`. AWS
    documents neither name, so a spec with another role gets both.
    Source: https://docs.aws.amazon.com/aws-managed-policy/latest/reference/BatchServiceRolePolicy.html,
    https://docs.aws.amazon.com/cli/latest/reference/batch/describe-compute-environments.html,
    https://github.com/hashicorp/terraform-provider-aws/pull/38050
    """
    linked = [f"AWSBatch-{scope.name}-*"]
    if spec.roles.service == "service-linked":
        return linked
    return [*linked, f"{scope.name}-*_Batch_*"]


def repository(spec: Spec, scope: Scope) -> str:
    """Names the ECR repository: by the deployment's prefix, or by its `aws_name`."""
    return scope.arn("ecr", f"repository/{spec.container.aws_name or f'{scope.name}/*'}")


def file_system(spec: Spec, scope: Scope) -> str:
    """Names the file system: the existing one, or any, since AWS chooses the id of a new one."""
    return scope.arn("elasticfilesystem", f"file-system/{spec.storage.efs.id or '*'}")


def _efa_installer(spec: Spec, scope: Scope) -> list[Statement]:
    """What looking at the EFA installer in a bucket needs; nothing where there is none."""
    if not spec.image.efa_installer:
        return []
    place = spec.image.efa_installer.removeprefix("s3://")
    return [
        Statement(
            "CheckInstallerBucket",
            ("s3:GetBucketPolicy", "s3:ListBucket"),
            (scope.global_arn("s3", place.partition("/")[0]),),
        ),
        Statement("CheckInstaller", ("s3:GetObject",), (f"{scope.global_arn('s3', place)}*",)),
    ]


def _access_points(spec: Spec, scope: Scope) -> tuple[str, ...]:
    """Names the access point that the spec mounts through, if there is one."""
    point = spec.storage.efs.access_point
    return (scope.arn("elasticfilesystem", f"access-point/{point}"),) if point else ()


def state_key(spec: Spec) -> str:
    """Returns the object key of the state."""
    key = spec.state.key if spec.state else None
    return key or f"mngen/{spec.name}/terraform.tfstate"


def read_state(spec: Spec, scope: Scope) -> list[Statement]:
    """Returns what reading the outputs needs where the state is in a bucket; else nothing.

    The look for a state that is not there yet, and the check for the bucket, name no prefix:
    without the right to list, S3 answers 403 in place of 404, and Terraform gives up. Hence
    `IfExists`, which lets a listing without a prefix through as well.
    Source: https://developer.hashicorp.com/terraform/language/backend/s3#permissions-required
    """
    if spec.state is None:
        return []
    bucket = scope.global_arn("s3", spec.state.bucket)
    return [
        Statement(
            "StateList",
            ("s3:ListBucket",),
            (bucket,),
            {"StringEqualsIfExists": {"s3:prefix": [state_key(spec), LISTED_STATES]}},
        ),
        Statement("StateRead", ("s3:GetObject",), (f"{bucket}/{state_key(spec)}",)),
        Statement("CheckState", ("s3:GetBucketVersioning",), (bucket,)),
    ]


def instance_role(spec: Spec, scope: Scope) -> str:
    """Names the role of the instances: a pattern for the created one.

    Of an instance profile that the spec names, the role is taken to have the profile's own name,
    as every role that the console makes for EC2.
    """
    profile = spec.roles.instance_profile
    if profile == "create":
        return scope.iam_arn(f"role/{scope.name}-*")
    return profile.replace(":instance-profile/", ":role/", 1)


def builder_role(spec: Spec, scope: Scope) -> str:
    """Names the role of the builders: their own, or that of the spec's instance profile."""
    if spec.roles.instance_profile == "create":
        return scope.iam_arn(f"role/{scope.name}-builder-*")
    return instance_role(spec, scope)


def ec2_service(scope: Scope) -> str:
    """Returns EC2's name in roles, which in China has a different domain.

    Source: https://docs.amazonaws.cn/en_us/aws/latest/userguide/iam.html
    """
    return f"ec2.{domain(scope)}"


def domain(scope: Scope) -> str:
    """Returns the domain of AWS's services in a partition."""
    return "amazonaws.com" + (".cn" if scope.partition == "aws-cn" else "")


def service_key(scope: Scope, name: str, service: str, key: str | None) -> list[Statement]:
    """Returns the use of a file system's key by its service, which asks in the caller's name."""
    if key is None:
        return []
    via = {"StringEquals": {"kms:ViaService": [f"{service}.{scope.region}.{domain(scope)}"]}}
    actions = ("CreateGrant", "Decrypt", "DescribeKey", "GenerateDataKeyWithoutPlaintext")
    return [Statement(name, tuple(f"kms:{each}" for each in actions), (key,), via)]
