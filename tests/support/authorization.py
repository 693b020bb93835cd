"""From recorded calls to what IAM would have had to decide on: actions, resources, condition keys.

A call to EC2 is judged by each resource in it, a call with tags by the right to tag as well,
one that names a role by the right to pass it. What AWS does unseen in the caller's name (the roles
that services make for themselves, the hosted zone of an endpoint) is added here, with its source.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from tests.support.iam import Request, action_named, actions_like

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.recording import Call

Tags = dict[str, str]

_EC2_KINDS = {
    "eipalloc": "elastic-ip",
    "eni": "network-interface",
    "igw": "internet-gateway",
    "lt": "launch-template",
    "nat": "natgateway",
    "pg": "placement-group",
    "rtb": "route-table",
    "sg": "security-group",
    "sgr": "security-group-rule",
    "subnet": "subnet",
    "vpc": "vpc",
    "vpce": "vpc-endpoint",
}
_EC2_ID = re.compile(r"\b([a-z]+)-[0-9a-f]{8,17}\b")
_BATCH_KINDS = {
    "computeEnvironment": "compute-environment",
    "computeEnvironmentName": "compute-environment",
    "jobDefinition": "job-definition",
    "jobDefinitionName": "job-definition",
    "jobQueue": "job-queue",
    "jobQueueName": "job-queue",
}
# Clients of S3 name operations as its API does, policies as its first version did.
_S3_ACTIONS = {
    "DeleteObject": "s3:DeleteObject",
    "GetObject": "s3:GetObject",
    "HeadObject": "s3:GetObject",
    "ListObjectsV2": "s3:ListBucket",
    "PutObject": "s3:PutObject",
}


_NAMED_IN_IAM = {
    "role": "RoleName",
    "instance-profile": "InstanceProfileName",
    "policy": "PolicyName",
    "group": "GroupName",
    "user": "UserName",
}
"""The key of a request that names a resource of IAM, by the kind of the resource."""


class Authorizer:
    """Reads calls in their order, and remembers what they made.

    Args:
        account: The account that all resources are in.
    """

    def __init__(self, account: str) -> None:
        self._account = account
        self._tags: dict[str, Tags] = defaultdict(dict)
        self._parents: dict[str, set[str]] = defaultdict(set)
        self._boundaries: dict[str, str] = {}
        self._roles: dict[str, str] = {}
        self._links: dict[str, str] = {}

    def requests(self, call: Call) -> list[Request]:
        """Return what IAM decides on when a call is made, and remember what it made.

        Raises:
            KeyError: AWS has no action of the operation's name.
        """
        self._learn_associations(call)
        readers: dict[str, Callable[[Call], Iterator[Request]]] = {
            "batch": self._batch,
            "budgets": self._budgets,
            "kms": self._kms,
            "monitoring": self._cloudwatch,
            "ec2": self._ec2,
            "ecr": self._ecr,
            "ecs": self._ecs,
            "elasticfilesystem": self._efs,
            "events": self._events,
            "fsx": self._fsx,
            "iam": self._iam,
            "logs": self._logs,
            "s3": self._s3,
            "sns": self._sns,
            "sts": _sts,
        }
        found = list(readers[call.service](call))
        for request in found:
            action_named(request.action)
        return [
            Request(
                each.action, each.resource, {"aws:RequestedRegion": call.region, **each.context}
            )
            for each in found
        ]

    def _arn(self, call: Call, resource: str) -> str:
        return f"arn:aws:{call.service}:{call.region}:{self._account}:{resource}"

    def _role(self, name: str) -> str:
        return f"arn:aws:iam::{self._account}:role/{name}"

    def _own(self, arn: str) -> Tags:
        return {f"aws:ResourceTag/{key}": value for key, value in self._tags[arn].items()}

    def _service_linked(self, service: str, role: str) -> Request:
        return Request(
            "iam:CreateServiceLinkedRole",
            self._role(f"aws-service-role/{service}/{role}"),
            {"iam:AWSServiceName": service},
        )

    # EC2

    def _ec2(self, call: Call) -> Iterator[Request]:
        name = f"ec2:{call.operation}"
        kinds = {kind.name: kind for kind in action_named(name).types}
        if not kinds:
            yield Request(name, "*")
            return
        made = _tag_specifications(call.values)
        if call.operation in ("CreateTags", "DeleteTags"):
            yield from self._ec2_tags(call)
            return
        for arn in self._ec2_existing(call):
            if _kind(arn) in kinds and _kind(arn) not in made:
                yield Request(name, arn, self._own(arn))
        for kind, tags in made.items():
            brought = {f"aws:RequestTag/{key}": value for key, value in tags.items()}
            arn = self._arn(call, f"{kind}/new")
            yield Request(name, arn, brought)
            yield Request("ec2:CreateTags", arn, {**brought, "ec2:CreateAction": call.operation})
        self._learn_ec2(call, made)
        if call.values.get("PrivateDnsEnabled") == "true":
            # Source: AWS's table of actions, by which CreateVpcEndpoint depends on it.
            yield Request("route53:AssociateVPCWithHostedZone", "arn:aws:route53:::hostedzone/new")

    def _ec2_tags(self, call: Call) -> Iterator[Request]:
        brought = _numbered_tags(call.values, "Tag")
        for key, value in call.values.items():
            if not key.startswith("ResourceId."):
                continue
            arn = self._ec2_arn(call, value)
            context = self._own(arn)
            if call.operation == "CreateTags":
                context |= {f"aws:RequestTag/{tag}": text for tag, text in brought.items()}
            yield Request(f"ec2:{call.operation}", arn, context)
            if call.operation == "CreateTags" and call.status < 400:
                self._tags[arn] |= brought

    def _ec2_existing(self, call: Call) -> list[str]:
        """The resources that a request names itself; those inside a rule or a template are not."""
        found = []
        for key, value in call.values.items():
            if re.fullmatch(r"\w+(\.\d+)?", key):
                ids = [match[0] for match in _EC2_ID.finditer(value)]
                found += [self._ec2_arn(call, each) for each in ids]
        if call.operation == "DeletePlacementGroup":
            found.append(self._arn(call, f"placement-group/{call.values['GroupName']}"))
        for arn in list(found):
            found += sorted(self._parents[arn])
        return list(dict.fromkeys(found))

    def _ec2_arn(self, call: Call, identifier: str) -> str:
        prefix = identifier.partition("-")[0]
        return self._arn(call, f"{_EC2_KINDS.get(prefix, prefix)}/{identifier}")

    def _learn_ec2(self, call: Call, made: dict[str, Tags]) -> None:
        if call.status >= 400:
            return
        asked = " ".join(call.values.values())
        for match in _EC2_ID.finditer(call.answer):
            arn = self._ec2_arn(call, match[0])
            if match[0] not in asked and _kind(arn) in made:
                self._tags[arn] |= made[_kind(arn)]
        if call.operation == "CreatePlacementGroup":
            by_name = self._arn(call, f"placement-group/{call.values['GroupName']}")
            self._tags[by_name] |= made["placement-group"]

    def _learn_associations(self, call: Call) -> None:
        """Remember what an answer of EC2 has about associations: requests name them by id alone."""
        if call.service != "ec2" or call.status >= 400 or "ssociationId" not in call.answer:
            return
        asked = [value for key, value in call.values.items() if key.endswith("Id")]
        for element in ET.fromstring(call.answer).iter():
            values = {_local(child.tag): child.text or "" for child in element}
            for key in ("associationId", "routeTableAssociationId"):
                if identifier := values.get(key):
                    others = [value for name, value in values.items() if name != key]
                    ids = _EC2_ID.finditer(" ".join([*others, *asked]))
                    arns = {self._ec2_arn(call, match[0]) for match in ids}
                    self._parents[self._ec2_arn(call, identifier)] |= arns

    # The others

    def _batch(self, call: Call) -> Iterator[Request]:
        name = f"batch:{call.operation}"
        values = call.values
        if not action_named(name).types:
            yield Request(name, "*")
            return
        policy = call.operation.endswith("SchedulingPolicy")
        arns = []
        for key, value in values.items():
            if key == "resourceArn" or (key == "arn" and policy):
                arns.append(value)
            elif key == "name" and policy:
                arns.append(self._arn(call, f"scheduling-policy/{value}"))
            elif key in _BATCH_KINDS:
                kind = _BATCH_KINDS[key]
                own = value if value.startswith("arn:") else self._arn(call, f"{kind}/{value}")
                arns.append(own)
        order = values.get("computeEnvironmentOrder", [])
        brought = {f"aws:RequestTag/{key}": text for key, text in values.get("tags", {}).items()}
        yield from (Request(name, arn, brought) for arn in arns)
        yield from (Request(name, each["computeEnvironment"], brought) for each in order)
        if queue_policy := values.get("schedulingPolicyArn"):
            yield Request(name, queue_policy, brought)
        if brought and call.operation != "TagResource":
            yield from (Request("batch:TagResource", arn, brought) for arn in arns)
        if call.operation == "CreateComputeEnvironment" and not values.get("serviceRole"):
            yield self._service_linked("batch.amazonaws.com", "AWSServiceRoleForBatch")
        yield from self._passed_roles(values)

    def _passed_roles(self, values: Any) -> Iterator[Request]:
        """Every role in a request to Batch, with the services that it is passed to.

        AWS documents the one that uses it in the end, and callers in the field had to be let pass
        all of them to Batch.
        Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_batch.html
        and https://docs.seqera.io/platform-cloud/compute-envs/aws-batch-iam-policy
        """
        services = {
            "jobRoleArn": "ecs-tasks.amazonaws.com",
            "serviceRole": "batch.amazonaws.com",
            "spotIamFleetRole": "spotfleet.amazonaws.com",
        }

        def passed(role: str, service: str) -> Iterator[Request]:
            for each in dict.fromkeys((service, "batch.amazonaws.com")):
                yield Request("iam:PassRole", role, {"iam:PassedToService": each})

        if isinstance(values, list):
            for each in values:
                yield from self._passed_roles(each)
        elif isinstance(values, dict):
            for key, value in values.items():
                if not value:
                    continue
                if key in services:
                    yield from passed(value, services[key])
                elif key == "instanceRole":
                    profile = value.partition("/")[2]
                    role = self._role(self._roles.get(profile, profile))
                    yield from passed(role, "ec2.amazonaws.com")
                else:
                    yield from self._passed_roles(value)

    def _iam(self, call: Call) -> Iterator[Request]:
        name = f"iam:{call.operation}"
        values = call.values
        kinds = {kind.name for kind in action_named(name).types}
        if not kinds:
            yield Request(name, "*")
            return
        context: dict[str, str] = {}
        if policy := values.get("PolicyArn"):
            context["iam:PolicyARN"] = policy
        role, profile = values.get("RoleName"), values.get("InstanceProfileName")
        if role and (boundary := values.get("PermissionsBoundary")):
            self._boundaries[role] = boundary
        if role in self._boundaries:
            context["iam:PermissionsBoundary"] = self._boundaries[role]
        brought = {
            f"aws:RequestTag/{key}": value
            for key, value in _numbered_tags(values, "Tags.member").items()
        }
        arns = [policy] if policy and "policy" in kinds else []
        arns += [
            f"arn:aws:iam::{self._account}:{kind}/{values[key]}"
            for kind, key in _NAMED_IN_IAM.items()
            if kind in kinds and values.get(key)
        ]
        for arn in arns:
            yield Request(name, arn, {**context, **brought})
            if brought and call.operation.startswith("Create"):
                yield Request(name.replace("Create", "Tag"), arn, brought)
        if call.operation == "AddRoleToInstanceProfile" and role and profile:
            self._roles[profile] = role
            yield Request(
                "iam:PassRole", self._role(role), {"iam:PassedToService": "ec2.amazonaws.com"}
            )

    def _efs(self, call: Call) -> Iterator[Request]:
        name = f"elasticfilesystem:{call.operation}"
        values = call.values
        brought = {each["Key"]: each["Value"] for each in values.get("Tags", [])}
        keys = {f"aws:RequestTag/{key}": value for key, value in brought.items()}
        linked = self._service_linked(
            "elasticfilesystem.amazonaws.com", "AWSServiceRoleForAmazonElasticFileSystem"
        )
        if call.operation == "CreateFileSystem":
            yield Request(name, "*", keys)
            yield Request(
                "elasticfilesystem:TagResource",
                self._arn(call, "file-system/new"),
                {**keys, "elasticfilesystem:CreateAction": "CreateFileSystem"},
            )
            yield linked
            made = json.loads(call.answer)["FileSystemId"]
            self._tags[self._arn(call, f"file-system/{made}")] = brought
            return
        identifier = values.get("FileSystemId") or values.get("ResourceId", "")
        target = values.get("MountTargetId", "")
        if call.operation == "CreateMountTarget":
            yield linked
            self._parents[json.loads(call.answer)["MountTargetId"]] = {identifier}
        identifier = identifier or next(iter(self._parents[target]), "")
        arn = self._arn(call, f"file-system/{identifier}")
        yield Request(name, arn, {**self._own(arn), **keys})

    def _fsx(self, call: Call) -> Iterator[Request]:
        """Read a call about FSx for Lustre.

        Source of what FSx asks for in the caller's name:
        https://docs.aws.amazon.com/fsx/latest/LustreGuide/setting-up.html and
        s3-validation-error.html there (links to S3), AWS's table of actions (groups),
        https://docs.aws.amazon.com/fsx/latest/LustreGuide/using-service-linked-roles.html.
        """
        name, values = f"fsx:{call.operation}", call.values
        if not action_named(name).types:
            yield Request(name, "*")
            return
        keys = {f"aws:RequestTag/{each['Key']}": each["Value"] for each in values.get("Tags", [])}
        if call.operation == "CreateFileSystem":
            yield from self._fsx_made(call, keys, "file-system/new", "FileSystem")
            # A deployment is in one VPC: one that it made, or else one that it was given.
            vpc = next((arn for arn in self._tags if ":vpc/" in arn), "")
            vpc = vpc or f"arn:aws:ec2:{call.region}:{self._account}:vpc/vpc-0a1b2c3d4e5f60718"
            yield Request("ec2:GetSecurityGroupsForVpc", vpc, self._own(vpc))
            yield self._service_linked("fsx.amazonaws.com", "AWSServiceRoleForAmazonFSx")
            return
        if call.operation == "CreateDataRepositoryAssociation":
            system = self._arn(call, f"file-system/{values['FileSystemId']}")
            yield Request(name, system, {**self._own(system), **keys})
            yield from self._fsx_made(call, keys, "association/new/new", "Association")
            role = "s3.data-source.lustre.fsx.amazonaws.com", "AWSServiceRoleForFSxS3Access_new"
            yield self._service_linked(*role)
            for action in ("iam:AttachRolePolicy", "iam:PutRolePolicy"):
                yield Request(action, self._role("aws-service-role/" + "/".join(role)))
            yield from linked(values["DataRepositoryPath"])
            return
        arn = values.get("ResourceARN") or self._links.get(values.get("AssociationId", ""))
        arn = arn or self._arn(call, f"file-system/{values.get('FileSystemId')}")
        yield Request(name, arn, {**self._own(arn), **keys})

    def _fsx_made(
        self, call: Call, keys: dict[str, str], resource: str, answer: str
    ) -> Iterator[Request]:
        arn = self._arn(call, resource)
        yield Request(f"fsx:{call.operation}", arn, keys)
        yield Request("fsx:TagResource", arn, keys)
        made = json.loads(call.answer)[answer]
        brought = {each["Key"]: each["Value"] for each in call.values.get("Tags", [])}
        self._tags[made["ResourceARN"]] = brought
        if "AssociationId" in made:
            self._links[made["AssociationId"]] = made["ResourceARN"]

    def _ecr(self, call: Call) -> Iterator[Request]:
        values = call.values
        names = [values["repositoryName"]] if "repositoryName" in values else []
        names += values.get("repositoryNames", [])
        arns = [self._arn(call, f"repository/{name}") for name in names]
        arns += [values["resourceArn"]] if "resourceArn" in values else []
        for arn in arns:
            yield Request(f"ecr:{call.operation}", arn)
            if values.get("tags") and call.operation != "TagResource":
                yield Request("ecr:TagResource", arn)

    def _ecs(self, call: Call) -> Iterator[Request]:
        for each in call.values["clusters"]:
            arn = each if each.startswith("arn:") else self._arn(call, f"cluster/{each}")
            yield Request(f"ecs:{call.operation}", arn)

    def _logs(self, call: Call) -> Iterator[Request]:
        name = f"logs:{call.operation}"
        values = call.values
        if not action_named(name).types:
            yield Request(name, "*")
            return
        arn = values.get("resourceArn") or self._arn(call, f"log-group:{values['logGroupName']}")
        yield Request(name, arn)
        if values.get("tags") and call.operation == "CreateLogGroup":
            yield Request("logs:TagResource", arn)

    def _budgets(self, call: Call) -> Iterator[Request]:
        """Read a call about a budget; IAM has two actions for the many of the API.

        Source: https://docs.aws.amazon.com/cost-management/latest/userguide/billing-permissions-ref.html
        """
        values = call.values
        name = values.get("BudgetName") or values.get("Budget", values.get("NewBudget", {})).get(
            "BudgetName"
        )
        arn = values.get("ResourceARN") or f"arn:aws:budgets::{self._account}:budget/{name}"
        if call.operation.endswith("Resource"):
            yield Request(f"budgets:{call.operation}", arn)
            return
        if "BudgetAction" in call.operation:
            yield from self._budget_action(call, arn)
            return
        reads = call.operation.startswith("Describe")
        yield Request("budgets:ViewBudget" if reads else "budgets:ModifyBudget", arn)
        if values.get("ResourceTags"):
            yield Request("budgets:TagResource", arn)

    def _kms(self, call: Call) -> Iterator[Request]:
        """Read a call about a key, named by its ARN."""
        yield Request(f"kms:{call.operation}", call.values["KeyId"])

    def _budget_action(self, call: Call, budget: str) -> Iterator[Request]:
        """Read a call about an action of a budget; a new one has no ID yet.

        Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsbudgetservice.html
        """
        values, name = call.values, f"budgets:{call.operation}"
        if call.operation == "DescribeBudgetActionsForBudget":
            yield Request(name, budget)
            return
        arn = f"{budget}/action/{values.get('ActionId', 'new')}"
        yield Request(name, arn)
        if values.get("ResourceTags"):
            yield Request("budgets:TagResource", arn)
        if role := values.get("ExecutionRoleArn"):
            yield Request("iam:PassRole", role, {"iam:PassedToService": "budgets.amazonaws.com"})

    def _cloudwatch(self, call: Call) -> Iterator[Request]:
        """Read a call about a dashboard, which CloudWatch has for all regions."""
        values = call.values
        name = (
            values.get("DashboardName")
            or values.get("DashboardNames.member.1")
            or values["DashboardNames"][0]
        )
        arn = f"arn:aws:cloudwatch::{self._account}:dashboard/{name}"
        yield Request(f"cloudwatch:{call.operation}", arn)

    def _events(self, call: Call) -> Iterator[Request]:
        """Read a call about a rule of the default bus, which alone gets events of AWS."""
        values = call.values
        name = values.get("Rule") or values.get("Name")
        arn = values.get("ResourceARN") or self._arn(call, f"rule/{name}")
        yield Request(f"events:{call.operation}", arn)
        if values.get("Tags") and call.operation == "PutRule":
            yield Request("events:TagResource", arn)

    def _sns(self, call: Call) -> Iterator[Request]:
        name, values = f"sns:{call.operation}", call.values
        if not action_named(name).types:
            yield Request(name, "*")
            return
        arn = values.get("TopicArn") or values.get("ResourceArn")
        arn = arn or self._arn(call, values["Name"])
        yield Request(name, arn)
        if call.operation == "CreateTopic" and _numbered_tags(values, "Tags.member"):
            yield Request("sns:TagResource", arn)

    def _s3(self, call: Call) -> Iterator[Request]:
        action = _S3_ACTIONS[call.operation]
        bucket = f"arn:aws:s3:::{call.values['Bucket']}"
        if action == "s3:ListBucket":
            yield Request(action, bucket, {"s3:prefix": call.values["prefix"]})
            return
        yield Request(action, f"{bucket}/{call.values['Key']}")
        if call.status == 404:
            # A user who may not list gets 403 for what is not there, and Terraform gives up.
            yield Request("s3:ListBucket", bucket)


def linked(path: str) -> Iterator[Request]:
    """Yield what FSx asks for about the S3 path of a link.

    Source: "Ensure the IAM role or user you are using has s3:Get*, s3:List* and s3:PutObject
    permissions to the S3 bucket prefix",
    https://docs.aws.amazon.com/fsx/latest/LustreGuide/s3-validation-error.html
    """
    bucket, _, prefix = path.removeprefix("s3://").rstrip("/").partition("/")
    arn = f"arn:aws:s3:::{bucket}"
    for pattern in ("s3:Get*", "s3:List*", "s3:PutObject"):
        for name in actions_like(pattern, "bucket"):
            yield Request(name, arn)
        for name in actions_like(pattern, "object"):
            yield Request(name, f"{arn}/{prefix}/a" if prefix else f"{arn}/a")


def _sts(call: Call) -> Iterator[Request]:
    """AWS lets all callers ask who they are.

    Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
    """
    assert call.operation == "GetCallerIdentity"
    return iter(())


def _kind(arn: str) -> str:
    return arn.rsplit(":", 1)[1].partition("/")[0]


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _numbered_tags(values: dict[str, str], prefix: str) -> Tags:
    keys = re.compile(rf"{re.escape(prefix)}\.(\d+)\.Key")
    return {
        value: values.get(f"{prefix}.{match[1]}.Value", "")
        for key, value in values.items()
        if (match := keys.fullmatch(key))
    }


def _tag_specifications(values: dict[str, str]) -> dict[str, Tags]:
    specified = re.compile(r"(TagSpecification\.\d+)\.ResourceType")
    return {
        value: _numbered_tags(values, f"{match[1]}.Tag")
        for key, value in values.items()
        if (match := specified.fullmatch(key))
    }
