"""Rules that ask AWS about the account, IAM and the state's bucket."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mngen.account import covers, services, statements
from mngen.errors import Severity
from mngen.rules._rule import Match
from mngen.rules.account._rule import AwsRule
from mngen.rules.spec._identity import arns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_iam.client import IAMClient
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_sts.client import STSClient

    from mngen.account import Account

_SERVICES = {"service": "batch.amazonaws.com", "spot_fleet": "spotfleet.amazonaws.com"}
"""The services that use roles, by the key of the spec; all others are of containers.

Source: https://docs.aws.amazon.com/batch/latest/userguide/service_IAM_role.html and
spot_fleet_IAM_role.html
"""
_ROLES = "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles.html"


class RightAccount(AwsRule):
    id = "MN201"
    title = "The credentials must be for the account of the spec"
    why = "With credentials for another account, everything would be created and billed there."
    remedy = "use the credentials of that account (AWS_PROFILE), or correct `account`"
    source_url = "https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html"
    manual_test = "aws sts get-caller-identity"
    calls = ("sts:GetCallerIdentity",)

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        sts: STSClient = account.client("sts")
        own = sts.get_caller_identity()["Account"]
        wanted = account.cluster.spec.account
        if wanted is not None and own != wanted:
            yield Match(("account",), f"the credentials are of the account {own}, not {wanted}")


class RolesExist(AwsRule):
    id = "MN214"
    title = "Roles, instance profiles and policies must exist"
    why = "AWS Batch marks an environment INVALID if its roles do not exist."
    remedy = "correct the ARN, or leave it out and mngen creates what is needed"
    source_url = _ROLES
    manual_test = "aws iam list-roles --query 'Roles[].Arn'"
    calls = ("iam:GetRole", "iam:GetInstanceProfile", "iam:GetPolicy")

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        for path, arn in arns(account.cluster.spec):
            kind = arn.split(":")[5].partition("/")[0]
            if kind == "instance-profile":
                yield from _instance_profile(account, arn)
            elif not (account.role(arn) if kind == "role" else _policy_exists(account, arn)):
                yield Match(path, f"there is no {kind} {arn}")


def _policy_exists(account: Account, arn: str) -> bool:
    iam: IAMClient = account.client("iam")
    try:
        iam.get_policy(PolicyArn=arn)
    except iam.exceptions.NoSuchEntityException:
        return False
    return True


def _instance_profile(account: Account, arn: str) -> Iterator[Match]:
    iam: IAMClient = account.client("iam")
    path = ("roles", "instance_profile")
    try:
        found = iam.get_instance_profile(InstanceProfileName=arn.rpartition("/")[2])
    except iam.exceptions.NoSuchEntityException:
        yield Match(path, f"there is no instance profile {arn}")
        return
    profile = found["InstanceProfile"]
    if profile["Arn"] != arn:
        yield Match(path, f"the instance profile is {profile['Arn']}, not {arn}")
    elif not profile["Roles"]:
        yield Match(
            path,
            f"the instance profile {arn} has no role, so nodes could not join the cluster",
            "add a role with the policy AmazonEC2ContainerServiceforEC2Role to it",
        )


class RolesTrusted(AwsRule):
    id = "MN235"
    title = "Roles of your own must trust the service that uses them"
    why = (
        "A service assumes a role only if the role's trust policy allows it. A job whose role does "
        "not trust Amazon ECS fails as it starts; with another service role, AWS Batch marks the "
        "environment INVALID."
    )
    remedy = "allow `sts:AssumeRole` to the service in the role's trust policy"
    source_url = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html"
    manual_test = "aws iam get-role --role-name ROLE --query Role.AssumeRolePolicyDocument"
    calls = ("iam:GetRole",)

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        for path, arn in arns(account.cluster.spec):
            role = account.role(arn) if ":role/" in arn else None
            if role is None:
                # The rule about its existence reports it.
                continue
            service = _SERVICES.get(str(path[-1]), "ecs-tasks.amazonaws.com")
            trust = json.dumps(role.get("AssumeRolePolicyDocument", {}))
            if not any(
                covers(each, "sts:AssumeRole") and {"*", service} & services(each)
                for each in statements(trust, "Allow")
            ):
                yield Match(path, f"the role {arn} does not trust {service}")


class StateBucketExists(AwsRule):
    id = "MN216"
    title = "The state's bucket must exist and be accessible"
    why = "`terraform init` fails without the bucket: Terraform does not create it."
    remedy = "create it, with versioning: `aws s3 mb s3://BUCKET`"
    source_url = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html"
    manual_test = "aws s3api head-bucket --bucket my-state"
    calls = ("s3:ListBucket",)

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        from botocore.exceptions import ClientError

        state = account.cluster.spec.state
        if state is None:
            return
        region = state.region or account.cluster.spec.region
        s3: S3Client = account.client("s3", region)
        path = ("state", "bucket")
        try:
            s3.head_bucket(Bucket=state.bucket)
        except ClientError as error:
            answer = error.response
            # HEAD has no body, so the code is the HTTP status.
            match answer["Error"]["Code"]:
                case "404" | "NoSuchBucket":
                    yield Match(path, f"there is no bucket `{state.bucket}`")
                case "403":
                    yield Match(
                        path,
                        f"the bucket `{state.bucket}` may not be used: it is another account's, or "
                        "the credentials lack s3:ListBucket",
                        "name a bucket of your own, or ask its owner",
                    )
                case "301":
                    headers = answer["ResponseMetadata"]["HTTPHeaders"]
                    there = headers.get("x-amz-bucket-region", "another region")
                    yield Match(
                        path,
                        f"the bucket `{state.bucket}` is in {there}, not in {region}",
                        f"write `region: {there}` under `state`",
                    )
                case _:
                    raise


class StateIsVersioned(AwsRule):
    id = "MN217"
    severity = Severity.WARNING
    title = "The state's bucket should have versioning"
    why = (
        "Only Terraform's state connects the deployment to what was created. Without versioning, a "
        "damaged or deleted state cannot be restored."
    )
    remedy = (
        "run `aws s3api put-bucket-versioning --bucket BUCKET "
        "--versioning-configuration Status=Enabled`"
    )
    source_url = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/Versioning.html"
    manual_test = "aws s3api get-bucket-versioning --bucket my-state"
    calls = ("s3:GetBucketVersioning",)

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        from botocore.exceptions import ClientError

        state = account.cluster.spec.state
        if state is None:
            return
        s3: S3Client = account.client("s3", state.region)
        try:
            status = s3.get_bucket_versioning(Bucket=state.bucket).get("Status")
        except ClientError as error:
            if error.response["Error"]["Code"] in {"NoSuchBucket", "PermanentRedirect"}:
                # The rule about the bucket itself reports it.
                return
            raise
        if status != "Enabled":
            yield Match(("state", "bucket"), f"the bucket `{state.bucket}` keeps no old versions")
