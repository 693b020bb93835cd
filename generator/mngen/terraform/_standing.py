"""Looks on AWS for what exists but is missing in the state."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from mngen._aws import client, translate
from mngen._budget_action import action_arn
from mngen._tags import tags_of, with_tags
from mngen.cluster import DEPLOYMENT_TAG
from mngen.cluster.names import partition_of
from mngen.terraform._missing import Found, Search, Standing, match

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mngen.errors import ToolError

    Connect = Callable[[str], Any]
    Finder = Callable[[Connect, Search], Iterator[Found]]

_GONE = frozenset({"deleted", "deleting", "failed", "rejected", "expired", "DELETED", "DELETING"})
_ALL = "-1"

# Each is found by the deployment's tag: operation, key of its answer, key of the id.
_EC2 = {
    "aws_eip": ("describe_addresses", "Addresses", "AllocationId"),
    "aws_internet_gateway": ("describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
    "aws_launch_template": ("describe_launch_templates", "LaunchTemplates", "LaunchTemplateId"),
    "aws_nat_gateway": ("describe_nat_gateways", "NatGateways", "NatGatewayId"),
    "aws_route_table": ("describe_route_tables", "RouteTables", "RouteTableId"),
    "aws_security_group": ("describe_security_groups", "SecurityGroups", "GroupId"),
    "aws_subnet": ("describe_subnets", "Subnets", "SubnetId"),
    "aws_vpc": ("describe_vpcs", "Vpcs", "VpcId"),
    "aws_vpc_endpoint": ("describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId"),
}
_EC2_NAMES = {"aws_launch_template": "LaunchTemplateName", "aws_security_group": "GroupName"}


def standing(
    search: Search, connect: Callable[[str, str], Any] = client
) -> tuple[Standing, tuple[ToolError, ...]]:
    """Looks for what an interrupted apply has left.

    Args:
        search: What the plan has about it.
        connect: Makes a boto3 client of a service and a region.

    Returns:
        What exists, and what AWS refused to show: a search that fails must not prevent an
        apply.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    @lru_cache
    def connected(service: str) -> Any:
        return connect(service, search.region)

    found: list[Found] = []
    refused: list[ToolError] = []
    finders: list[Finder] = [_FINDERS[each] for each in sorted(search.types & set(_FINDERS))]
    finders += [partial(_tagged, each) for each in sorted(search.types & set(_EC2))]
    # One finder may serve several types.
    for finder in dict.fromkeys(finders):
        try:
            found += finder(connected, search)
        except ClientError as error:
            refused.append(translate(error))
        except BotoCoreError as error:
            # No credentials, no network: the next finder would fail as well.
            return Standing(), (translate(error),)
    return match(search, found), tuple(refused)


def close_egress(found: Iterable[Found], region: str, connect: Callable[[str, str], Any]) -> None:
    """Takes from half-made security groups the rule that lets everything out.

    EC2 creates a group with it, and the provider removes it as its next step. It is in no
    configuration, so a group that is imported with it would keep it without any plan saying so.

    Raises:
        botocore.exceptions.ClientError: EC2 refused.
    """
    for each in found:
        if each.open_egress:
            connect("ec2", region).revoke_security_group_egress(
                GroupId=each.id,
                IpPermissions=[{"IpProtocol": _ALL, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}],
            )


def _tagged(resource: str, connect: Connect, search: Search) -> Iterator[Found]:
    operation, key, identifier = _EC2[resource]
    where = "Filter" if resource == "aws_nat_gateway" else "Filters"
    filters = {where: with_tags({DEPLOYMENT_TAG: search.deployment})}
    for each in _all(connect("ec2"), operation, key, **filters):
        if each.get("State") in _GONE:
            continue
        name = each.get(_EC2_NAMES.get(resource, ""), "")
        if name == "default":
            # The security group that a VPC comes with is taken over, never created.
            continue
        yield Found(
            resource,
            each[identifier],
            each[identifier],
            name=name,
            tags=tags_of(each),
            open_egress=any(map(_is_open, each.get("IpPermissionsEgress", []))),
        )


def _is_open(permission: dict[str, Any]) -> bool:
    ranges = [each["CidrIp"] for each in permission.get("IpRanges", [])]
    return permission["IpProtocol"] == _ALL and "0.0.0.0/0" in ranges


def _placement_groups(connect: Connect, search: Search) -> Iterator[Found]:
    names = _names(search, "aws_placement_group")
    filters = [{"Name": "group-name", "Values": names}]
    for each in _all(
        connect("ec2"), "describe_placement_groups", "PlacementGroups", Filters=filters
    ):
        if each.get("State") not in _GONE:
            name = each["GroupName"]
            yield Found("aws_placement_group", name, name, name, tags_of(each))


def _rules(connect: Connect, search: Search) -> Iterator[Found]:
    filters = with_tags({DEPLOYMENT_TAG: search.deployment})
    ec2 = connect("ec2")
    for each in _all(ec2, "describe_security_group_rules", "SecurityGroupRules", Filters=filters):
        everything = each["IpProtocol"] == _ALL
        kind = "egress" if each["IsEgress"] else "ingress"
        identifier = each["SecurityGroupRuleId"]
        yield Found(
            f"aws_vpc_security_group_{kind}_rule",
            identifier,
            identifier,
            tags=tags_of(each),
            values={
                "security_group_id": each["GroupId"],
                "ip_protocol": each["IpProtocol"],
                "from_port": None if everything else each["FromPort"],
                "to_port": None if everything else each["ToPort"],
                "cidr_ipv4": each.get("CidrIpv4"),
                "prefix_list_id": each.get("PrefixListId"),
                "referenced_security_group_id": each.get("ReferencedGroupInfo", {}).get("GroupId"),
            },
        )


def _route_tables(connect: Connect, search: Search) -> Iterator[Found]:
    """Finds routes and associations of the route tables that are in the state."""
    tables = _joined(search, "route_table_id", "aws_route_table")
    if not tables:
        return
    for table in _all(connect("ec2"), "describe_route_tables", "RouteTables", RouteTableIds=tables):
        identifier = table["RouteTableId"]
        for route in table.get("Routes", []):
            target = route.get("DestinationCidrBlock")
            if target and route.get("GatewayId") != "local":
                yield Found(
                    "aws_route",
                    f"{identifier}_{target}",
                    f"{identifier}_{target}",
                    values={"route_table_id": identifier, "destination_cidr_block": target},
                )
        for each in table.get("Associations", []):
            if "SubnetId" in each:
                yield Found(
                    "aws_route_table_association",
                    each["RouteTableAssociationId"],
                    f"{each['SubnetId']}/{identifier}",
                    values={"route_table_id": identifier, "subnet_id": each["SubnetId"]},
                )


def _mount_targets(connect: Connect, search: Search) -> Iterator[Found]:
    """Finds the mount targets of the file systems that are in the state."""
    for file_system in _joined(search, "file_system_id", "aws_efs_file_system"):
        for each in _all(
            connect("efs"), "describe_mount_targets", "MountTargets", FileSystemId=file_system
        ):
            if each["LifeCycleState"] not in _GONE:
                yield Found(
                    "aws_efs_mount_target",
                    each["MountTargetId"],
                    each["MountTargetId"],
                    values={"file_system_id": file_system, "subnet_id": each["SubnetId"]},
                )


def _file_systems(connect: Connect, _search: Search) -> Iterator[Found]:
    for each in _all(connect("efs"), "describe_file_systems", "FileSystems"):
        if each["LifeCycleState"] not in _GONE:
            identifier = each["FileSystemId"]
            yield Found("aws_efs_file_system", identifier, identifier, tags=tags_of(each))


def _lustre(connect: Connect, _search: Search) -> Iterator[Found]:
    for each in _all(connect("fsx"), "describe_file_systems", "FileSystems"):
        if each["FileSystemType"] == "LUSTRE" and each["Lifecycle"] not in _GONE:
            identifier = each["FileSystemId"]
            yield Found("aws_fsx_lustre_file_system", identifier, identifier, tags=tags_of(each))


def _lustre_links(connect: Connect, search: Search) -> Iterator[Found]:
    """Finds the links to S3 of the file systems that are in the state."""
    for file_system in _joined(search, "file_system_id", "aws_fsx_lustre_file_system"):
        for each in _all(
            connect("fsx"),
            "describe_data_repository_associations",
            "Associations",
            Filters=[{"Name": "file-system-id", "Values": [file_system]}],
        ):
            if each["Lifecycle"] not in _GONE:
                yield Found(
                    "aws_fsx_data_repository_association",
                    each["AssociationId"],
                    each["AssociationId"],
                    values={
                        "file_system_id": file_system,
                        "file_system_path": each["FileSystemPath"],
                    },
                )


def _environments(connect: Connect, _search: Search) -> Iterator[Found]:
    batch = connect("batch")
    for each in _all(batch, "describe_compute_environments", "computeEnvironments"):
        if each["status"] not in _GONE:
            name = each["computeEnvironmentName"]
            yield Found("aws_batch_compute_environment", name, name, name, each.get("tags", {}))


def _queues(connect: Connect, search: Search) -> Iterator[Found]:
    batch = connect("batch")
    names = _names(search, "aws_batch_job_queue")
    if not names:
        return
    for each in _all(batch, "describe_job_queues", "jobQueues", jobQueues=names):
        if each["status"] not in _GONE:
            arn, name = each["jobQueueArn"], each["jobQueueName"]
            yield Found("aws_batch_job_queue", arn, arn, name, each.get("tags", {}))


def _policies(connect: Connect, search: Search) -> Iterator[Found]:
    names = _names(search, "aws_batch_scheduling_policy")
    if not names:
        return
    batch = connect("batch")
    arns = [
        each["arn"]
        for each in _all(batch, "list_scheduling_policies", "schedulingPolicies")
        if each["arn"].rpartition("/")[2] in names
    ]
    # 100 in a call: https://docs.aws.amazon.com/batch/latest/APIReference/API_DescribeSchedulingPolicies.html
    for first in range(0, len(arns), 100):
        found = batch.describe_scheduling_policies(arns=arns[first : first + 100])
        for each in found["schedulingPolicies"]:
            arn, name = each["arn"], each["name"]
            yield Found("aws_batch_scheduling_policy", arn, arn, name, each.get("tags", {}))


def _roles(connect: Connect, search: Search) -> Iterator[Found]:
    iam = connect("iam")
    prefixes = _prefixes(search, "aws_iam_role")
    for each in _all(iam, "list_roles", "Roles"):
        name = each["RoleName"]
        if name.startswith(prefixes):
            # A list of roles comes without their tags.
            role = iam.get_role(RoleName=name)["Role"]
            yield Found("aws_iam_role", name, name, name, tags_of(role))


def _instance_profiles(connect: Connect, search: Search) -> Iterator[Found]:
    iam = connect("iam")
    prefixes = _prefixes(search, "aws_iam_instance_profile")
    for each in _all(iam, "list_instance_profiles", "InstanceProfiles"):
        name = each["InstanceProfileName"]
        if name.startswith(prefixes):
            profile = iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
            yield Found("aws_iam_instance_profile", name, name, name, tags_of(profile))


def _log_groups(connect: Connect, search: Search) -> Iterator[Found]:
    logs = connect("logs")
    for name in _names(search, "aws_cloudwatch_log_group"):
        for each in _all(logs, "describe_log_groups", "logGroups", logGroupNamePrefix=name):
            if each["logGroupName"] == name:
                arn = each["arn"].removesuffix(":*")
                tags = logs.list_tags_for_resource(resourceArn=arn)["tags"]
                yield Found("aws_cloudwatch_log_group", name, name, name, tags)


def _repositories(connect: Connect, search: Search) -> Iterator[Found]:
    ecr = connect("ecr")
    for name in _names(search, "aws_ecr_repository"):
        try:
            [each] = ecr.describe_repositories(repositoryNames=[name])["repositories"]
        except ecr.exceptions.RepositoryNotFoundException:
            continue
        tags = ecr.list_tags_for_resource(resourceArn=each["repositoryArn"])["tags"]
        yield Found("aws_ecr_repository", name, name, name, tags_of({"Tags": tags}))


def _budgets(connect: Connect, search: Search) -> Iterator[Found]:
    budgets = connect("budgets")
    account = connect("sts").get_caller_identity()["Account"]
    for name in _names(search, "aws_budgets_budget"):
        try:
            budgets.describe_budget(AccountId=account, BudgetName=name)
        except budgets.exceptions.NotFoundException:
            continue
        arn = f"arn:{partition_of(search.region)}:budgets::{account}:budget/{name}"
        tags = budgets.list_tags_for_resource(ResourceARN=arn)["ResourceTags"]
        identifier = f"{account}:{name}"
        yield Found("aws_budgets_budget", identifier, identifier, name, tags_of({"Tags": tags}))


def _budget_actions(connect: Connect, search: Search) -> Iterator[Found]:
    """Finds the actions of the budgets that are in the state, with their tags.

    Others may have made one for the same budget.
    """
    budgets = connect("budgets")
    account = connect("sts").get_caller_identity()["Account"]
    wanted = {
        str(each.values.get("budget_name"))
        for each in search.wanted
        if each.type == "aws_budgets_budget_action"
    }
    for name in sorted(wanted):
        if ("aws_budgets_budget", f"{account}:{name}") not in search.known:
            continue
        for each in _all(
            budgets,
            "describe_budget_actions_for_budget",
            "Actions",
            AccountId=account,
            BudgetName=name,
        ):
            identifier = f"{account}:{each['ActionId']}:{name}"
            arn = action_arn(partition_of(search.region), account, name, each["ActionId"])
            tags = budgets.list_tags_for_resource(ResourceARN=arn)
            yield Found(
                "aws_budgets_budget_action",
                identifier,
                identifier,
                tags=tags_of({"Tags": tags["ResourceTags"]}),
                values={"action_type": each["ActionType"], "budget_name": name},
            )


def _managed_policies(connect: Connect, search: Search) -> Iterator[Found]:
    iam = connect("iam")
    prefixes = _prefixes(search, "aws_iam_policy")
    for each in _all(iam, "list_policies", "Policies", Scope="Local"):
        name, arn = each["PolicyName"], each["Arn"]
        if name.startswith(prefixes):
            # A list of policies comes without their tags.
            policy = iam.get_policy(PolicyArn=arn)["Policy"]
            yield Found("aws_iam_policy", arn, arn, name, tags_of(policy))


def _topics(connect: Connect, search: Search) -> Iterator[Found]:
    """Yields topics: Amazon SNS takes one twice only with the same tags.

    Source: https://docs.aws.amazon.com/sns/latest/api/API_CreateTopic.html
    """
    sns = connect("sns")
    account = connect("sts").get_caller_identity()["Account"]
    for name in _names(search, "aws_sns_topic"):
        arn = f"arn:{partition_of(search.region)}:sns:{search.region}:{account}:{name}"
        try:
            tags = sns.list_tags_for_resource(ResourceArn=arn)["Tags"]
        except sns.exceptions.ResourceNotFoundException:
            continue
        yield Found("aws_sns_topic", arn, arn, name, tags_of({"Tags": tags}))


_FINDERS: dict[str, Finder] = {
    "aws_batch_compute_environment": _environments,
    "aws_batch_job_queue": _queues,
    "aws_batch_scheduling_policy": _policies,
    "aws_budgets_budget": _budgets,
    "aws_budgets_budget_action": _budget_actions,
    "aws_cloudwatch_log_group": _log_groups,
    "aws_ecr_repository": _repositories,
    "aws_efs_file_system": _file_systems,
    "aws_efs_mount_target": _mount_targets,
    "aws_fsx_data_repository_association": _lustre_links,
    "aws_fsx_lustre_file_system": _lustre,
    "aws_iam_instance_profile": _instance_profiles,
    "aws_iam_policy": _managed_policies,
    "aws_iam_role": _roles,
    "aws_placement_group": _placement_groups,
    "aws_route": _route_tables,
    "aws_route_table_association": _route_tables,
    "aws_sns_topic": _topics,
    "aws_vpc_security_group_egress_rule": _rules,
    "aws_vpc_security_group_ingress_rule": _rules,
}

_BY_PARENT = frozenset(
    {
        "aws_budgets_budget_action",
        "aws_fsx_data_repository_association",
        "aws_route",
        "aws_route_table_association",
    }
)

IF_PLANNED = frozenset(
    {
        "aws_batch_scheduling_policy",
        "aws_budgets_budget",
        "aws_fsx_lustre_file_system",
        "aws_iam_policy",
        "aws_sns_topic",
    }
)
"""Types that only a deployment with one is looked for: others may lack the permission."""

SEARCHED = frozenset({*_FINDERS, *_EC2}) - _BY_PARENT - IF_PLANNED
"""The types that can be looked for by the deployment's tag alone."""


def _all(service: Any, operation: str, key: str, **arguments: Any) -> Iterator[dict[str, Any]]:
    """Yields all that an operation lists, page by page where it has pages."""
    if not service.can_paginate(operation):
        yield from getattr(service, operation)(**arguments)[key]
        return
    for page in service.get_paginator(operation).paginate(**arguments):
        yield from page[key]


def _names(search: Search, resource: str) -> list[str]:
    names = [each.fixed_name for each in search.wanted if each.type == resource]
    return sorted({name for name in names if name})


def _prefixes(search: Search, resource: str) -> tuple[str, ...]:
    """Returns how names begin; all of the deployment's where a replacement may have left one."""
    found = {each.name_prefix for each in search.wanted if each.type == resource}
    if resource in search.replaced:
        found.add(f"{search.deployment}-")
    return tuple(sorted(each for each in found if each))


def _joined(search: Search, key: str, parent: str) -> list[str]:
    """Returns the ids of parents in the state that something to create joins."""
    ids = {str(each.values.get(key)) for each in search.wanted}
    return sorted(each for each in ids if (parent, each) in search.known)
