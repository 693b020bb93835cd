"""What an account shows of a deployment that mngen made, beside Batch's own objects.

Everything is found by the tag `mngen:deployment`, or by its id in Batch's objects.
"""

from __future__ import annotations

import json
import re
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from mngen._tags import tags_of, with_tags
from mngen.account import image_of
from mngen.adoption._budget import budget_of
from mngen.adoption._file_systems import (
    MOST_FILE_SYSTEMS,
    all_file_systems,
    links_of,
    lustre_systems,
    mounted,
)
from mngen.adoption._jobs import containers_of
from mngen.adoption._notify import notify_of
from mngen.adoption._reserved import reserved_in, template_data
from mngen.cluster import (
    AGENT_POLICY,
    DEPLOYMENT_TAG,
    ECR_IMAGE,
    FSX_PORTS,
    IMAGE_TAG,
    REGION_TAG,
    UNIQUE_SUFFIX,
    inputs_prefix,
)
from mngen.cluster.names import dashboard, log_group

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mypy_boto3_batch.client import BatchClient
    from mypy_boto3_ec2.client import EC2Client
    from mypy_boto3_ecr.client import ECRClient
    from mypy_boto3_efs.client import EFSClient
    from mypy_boto3_iam.client import IAMClient
    from mypy_boto3_logs.client import CloudWatchLogsClient

    from mngen.adoption._inventory import FileSystem
    from mngen.adoption._item import Item

    Connect = Callable[[str, str], Any]
    Try = Callable[[Callable[[], None]], object]

_SSH = 22
_GONE = frozenset({"deleted", "deleting", "failed"})


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """The launch template of an environment.

    Attributes:
        efa: Whether it has an Elastic Fabric Adapter.
        root_volume: Size of the root volume, GiB; None for that of the AMI.
        kms_key: ARN of the key of its volumes; None for the account's default.
        groups: Security groups of its network interfaces.
        capacity: Reserved capacity that it targets, as the spec has it; empty for none.
    """

    efa: bool = False
    root_volume: int | None = None
    kms_key: str | None = None
    groups: tuple[str, ...] = ()
    capacity: dict[str, str] = {}


class Vpc(msgspec.Struct, frozen=True, kw_only=True):
    """The VPC of a deployment.

    Attributes:
        id: Its id.
        cidr: Its first range.
        default: Whether it is the account's default VPC.
        own: Whether the deployment made it.
        zones: Zones of its subnets for nodes by subnet: those that the deployment made, or those
            that the default VPC came with.
        everywhere: Zones of all its subnets by subnet.
        main_table: Its main route table.
    """

    id: str
    cidr: str = ""
    default: bool = False
    own: bool = False
    zones: dict[str, str] = {}
    everywhere: dict[str, str] = {}
    main_table: str = ""


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """A container image in Amazon ECR.

    Attributes:
        own: Whether the deployment made or took over its repository.
        tag: Its tag, if AWS shows one.
    """

    own: bool
    tag: str = ""


class Deployed(msgspec.Struct, kw_only=True):
    """What AWS shows of a deployment; what it denied is empty.

    Attributes:
        name: Name of the deployment.
        templates: Launch templates by id.
        amis: Tags of AMIs by id.
        vpc: Its VPC.
        nat: Whether it made a NAT gateway.
        endpoints: Services of the endpoints that it made.
        route_tables: Route tables of its endpoint for S3.
        groups: Ids of the security groups that it made.
        ssh_from: Ranges from which its nodes take SSH.
        mounts_from: Security groups that take NFS from its nodes.
        file_system: The file system, if it is known which.
        own_file_system: Whether the deployment made it.
        elastic: Whether that has elastic throughput.
        backup: Whether it is backed up.
        lustre: The FSx for Lustre file system that jobs mount, as AWS describes it; under `Links`
            its links to S3, if the deployment made it. Empty if it is not known which it is.
        own_lustre: Whether the deployment made it.
        file_system_key: Key that encrypts its own file system; None if it did not make it.
        keys: Keys of its file systems that AWS does not manage.
        lustre_from: Security groups that take Lustre from its nodes, if it did not make it.
        job_role: Whether it made a role for jobs.
        policies: Policies of that role.
        instance_policies: Policies of the role that it made for nodes, but for the agent's own.
        boundary: Permissions boundary of the roles that were made.
        bucket: Bucket for inputs that jobs may read.
        preload: Whether builders may pull the container images of jobs.
        efa_installer: Folder of the EFA installer that builders may read.
        mount_role: Whether nodes may mount the file system with their role.
        access_point: The access point that they may do so through.
        images: Container images in ECR by their name.
        retention: Days for which its own log group keeps the output of jobs, or `never`; None if
            there is no such group.
        notify: How messages about its jobs are sent, as the spec has it; empty if none are.
        budget: Its budget, likewise.
        dashboard: Whether it has a dashboard.
        shares: Content of the scheduling policies that it made by their ARN, as Batch has it.
    """

    name: str
    templates: dict[str, Template] = {}
    amis: dict[str, dict[str, str]] = {}
    vpc: Vpc | None = None
    nat: bool = False
    endpoints: tuple[str, ...] = ()
    route_tables: tuple[str, ...] = ()
    groups: frozenset[str] = frozenset()
    ssh_from: tuple[str, ...] = ()
    mounts_from: frozenset[str] = frozenset()
    file_system: FileSystem | None = None
    own_file_system: bool = False
    elastic: bool = False
    backup: bool = True
    lustre: dict[str, Any] = {}
    own_lustre: bool = False
    file_system_key: str | None = None
    keys: frozenset[str] = frozenset()
    lustre_from: frozenset[str] = frozenset()
    job_role: bool = False
    policies: tuple[str, ...] = ()
    instance_policies: tuple[str, ...] = ()
    boundary: str | None = None
    bucket: str | None = None
    preload: bool = False
    efa_installer: str | None = None
    mount_role: bool = False
    access_point: str | None = None
    images: dict[str, Image] = {}
    retention: int | str | None = None
    notify: dict[str, Any] = {}
    budget: dict[str, Any] = {}
    dashboard: bool = False
    shares: dict[str, dict[str, Any]] = {}


def job_roles(definitions: Iterable[Item]) -> list[str]:
    """Returns the ARNs of the roles of containers, one for each container that has one."""
    found = [each.get("jobRoleArn") for item in definitions for _, each in containers_of(item)]
    return [str(each) for each in found if each]


def mount_of(definitions: Iterable[Item], volume: str) -> str | None:
    """Returns where nodes have a file system that containers of jobs get; None if none does.

    Args:
        definitions: Job definitions that mngen made.
        volume: What they call it: `efs` or `fsx`.
    """
    found = (
        each["host"]["sourcePath"]
        for item in definitions
        for _, container in containers_of(item)
        for each in container.get("volumes", [])
        if each.get("name") == volume and each.get("host", {}).get("sourcePath")
    )
    return next(found, None)


def read_deployed(
    name: str,
    environments: list[Item],
    queues: list[Item],
    definitions: list[Item],
    region: str,
    connect: Connect,
    attempt: Try,
) -> Deployed:
    """Asks what Batch's objects do not show of a deployment.

    Args:
        name: Name of the deployment.
        environments: Its compute environments.
        queues: Its job queues.
        definitions: Its job definitions.
        region: AWS region.
        connect: Makes a client of a service in a region.
        attempt: Runs a question, and reports what AWS denies.
    """
    found = Deployed(name=name)
    ec2: EC2Client = connect("ec2", region)
    efs: EFSClient = connect("efs", region)
    iam: IAMClient = connect("iam", region)
    ecr: ECRClient = connect("ecr", region)
    tagged = with_tags({DEPLOYMENT_TAG: name})
    resources = [each.data.get("computeResources", {}) for each in environments]
    for each in resources:
        template = each.get("launchTemplate", {})
        if template.get("launchTemplateId"):
            attempt(partial(_read_template, found, ec2, template))
    amis = sorted(filter(None, {image_of(each.data) for each in environments}))
    attempt(partial(_read_amis, found, ec2, amis))
    subnets = sorted({str(subnet) for each in resources for subnet in each.get("subnets", [])})
    attempt(partial(_read_vpc, found, ec2, subnets))
    attempt(partial(_read_groups, found, ec2, tagged))
    attempt(partial(_read_endpoints, found, ec2, tagged, region))
    attempt(partial(_read_file_systems, found, efs))
    attempt(partial(_read_mount_groups, found, ec2))
    if mount_of(definitions, "fsx"):
        attempt(partial(_read_lustre, found, connect("fsx", region)))
        attempt(partial(_read_lustre_groups, found, ec2))
    attempt(partial(_read_keys, found, connect("kms", region)))
    attempt(partial(_read_roles, found, iam, region))
    attempt(partial(_read_logs, found, connect("logs", region)))
    attempt(partial(_read_notify, found, region, connect))
    attempt(partial(_read_budget, found, region, connect))
    attempt(partial(_read_dashboard, found, region, connect("cloudwatch", region)))
    policies = sorted(filter(None, {each.data.get("schedulingPolicyArn") for each in queues}))
    if policies:
        attempt(partial(_read_shares, found, connect("batch", region), policies))
    images = {str(each["image"]) for item in definitions for _, each in containers_of(item)}
    for image in sorted(images):
        attempt(partial(_read_image, found, ecr, image))
    return found


def _read_template(found: Deployed, ec2: EC2Client, template: dict[str, Any]) -> None:
    data = template_data(ec2, template)
    interfaces = data.get("NetworkInterfaces", [])
    volumes = [each["Ebs"] for each in data.get("BlockDeviceMappings", []) if "Ebs" in each]
    found.templates[str(template["launchTemplateId"])] = Template(
        efa=any(str(each.get("InterfaceType", "")).startswith("efa") for each in interfaces),
        root_volume=next((each["VolumeSize"] for each in volumes if "VolumeSize" in each), None),
        kms_key=next((each["KmsKeyId"] for each in volumes if "KmsKeyId" in each), None),
        groups=tuple(interfaces[0].get("Groups", [])) if interfaces else (),
        capacity=reserved_in(data),
    )


def _read_shares(found: Deployed, batch: BatchClient, policies: list[str]) -> None:
    # 100 in a call, and a deployment has fewer queues with one (50 in a region by default).
    for each in batch.describe_scheduling_policies(arns=policies[:100])["schedulingPolicies"]:
        if each.get("tags", {}).get(DEPLOYMENT_TAG) == found.name:
            found.shares[each["arn"]] = dict(each.get("fairsharePolicy", {}))


def _read_amis(found: Deployed, ec2: EC2Client, amis: list[str]) -> None:
    if amis:
        # A filter, unlike ImageIds, leaves out what there is not.
        images = ec2.describe_images(Filters=[{"Name": "image-id", "Values": amis}])["Images"]
        found.amis = {each["ImageId"]: tags_of(each) for each in images}


def _read_vpc(found: Deployed, ec2: EC2Client, subnets: list[str]) -> None:
    named = ec2.describe_subnets(Filters=[{"Name": "subnet-id", "Values": subnets}])["Subnets"]
    if not named:
        return
    here: Any = [{"Name": "vpc-id", "Values": [named[0]["VpcId"]]}]
    [vpc] = ec2.describe_vpcs(Filters=here)["Vpcs"]
    own = tags_of(vpc).get(DEPLOYMENT_TAG) == found.name
    gateways: list[Any] = []
    if own:
        # The parameter is `Filter`, though the types of newer versions call it otherwise.
        arguments: Any = {"Filter": here}
        gateways = [
            each
            for each in ec2.describe_nat_gateways(**arguments)["NatGateways"]
            if each["State"] not in _GONE
        ]
    public = {each["SubnetId"] for each in gateways}
    listed = [
        each
        for page in ec2.get_paginator("describe_subnets").paginate(Filters=here)
        for each in page["Subnets"]
    ]
    main = [*here, {"Name": "association.main", "Values": ["true"]}]
    tables = ec2.describe_route_tables(Filters=main)["RouteTables"]
    found.nat = bool(gateways)
    found.vpc = Vpc(
        id=vpc["VpcId"],
        cidr=vpc["CidrBlock"],
        default=bool(vpc.get("IsDefault")),
        own=own,
        zones={
            each["SubnetId"]: each["AvailabilityZone"]
            for each in listed
            if each["SubnetId"] not in public and (own or each.get("DefaultForAz"))
        },
        everywhere={each["SubnetId"]: each["AvailabilityZone"] for each in listed},
        main_table=tables[0]["RouteTableId"] if tables else "",
    )


def _read_groups(found: Deployed, ec2: EC2Client, tagged: Any) -> None:
    groups = [
        each
        for page in ec2.get_paginator("describe_security_groups").paginate(Filters=tagged)
        for each in page["SecurityGroups"]
        # A bake that was interrupted may have left one.
        if IMAGE_TAG not in tags_of(each)
    ]
    found.groups = frozenset(each["GroupId"] for each in groups)
    found.ssh_from = tuple(
        sorted(
            where["CidrIp"]
            for each in groups
            if each["GroupName"].startswith(f"{found.name}-nodes-")
            for rule in each.get("IpPermissions", [])
            if rule.get("FromPort") == rule.get("ToPort") == _SSH
            for where in rule.get("IpRanges", [])
        )
    )


def _read_endpoints(found: Deployed, ec2: EC2Client, tagged: Any, region: str) -> None:
    endpoints = [
        each
        for page in ec2.get_paginator("describe_vpc_endpoints").paginate(Filters=tagged)
        for each in page["VpcEndpoints"]
        if str(each.get("State", "")).lower() not in _GONE
    ]
    found.endpoints = tuple(
        sorted(each["ServiceName"].partition(f"{region}.")[2] for each in endpoints)
    )
    found.route_tables = tuple(
        sorted({table for each in endpoints for table in each.get("RouteTableIds", [])})
    )


def _read_file_systems(found: Deployed, efs: EFSClient) -> None:
    """Finds the file system: the deployment's own, or the only one that is mounted in its VPC."""
    if found.vpc is None:
        return
    systems = all_file_systems(efs)
    own = [each for each in systems if tags_of(each).get(DEPLOYMENT_TAG) == found.name]
    if not own and len(systems) > MOST_FILE_SYSTEMS:
        return
    near = mounted(efs, own or systems, {found.vpc.id})
    if len(near) != 1:
        return
    found.file_system = near[0]
    found.own_file_system = bool(own)
    if own:
        found.file_system_key = own[0].get("KmsKeyId")
        found.elastic = own[0].get("ThroughputMode") == "elastic"
        backup = efs.describe_backup_policy(FileSystemId=near[0].id)["BackupPolicy"]
        found.backup = backup.get("Status") in ("ENABLED", "ENABLING")


def _read_lustre(found: Deployed, fsx: Any) -> None:
    """Finds FSx for Lustre: the deployment's own, or the only file system of its VPC."""
    systems = lustre_systems(fsx)
    own = [each for each in systems if tags_of(each).get(DEPLOYMENT_TAG) == found.name]
    near = own or [each for each in systems if found.vpc and each.get("VpcId") == found.vpc.id]
    if len(near) == 1:
        links = links_of(fsx, near[0]["FileSystemId"]) if own else []
        found.lustre = {**near[0], "Links": links}
        found.own_lustre = bool(own)


def _read_keys(found: Deployed, kms: Any) -> None:
    """Finds which keys of its file systems were chosen: AWS manages the default ones.

    Source: https://docs.aws.amazon.com/kms/latest/APIReference/API_KeyMetadata.html (KeyManager)
    """
    used = {found.file_system_key, found.lustre.get("KmsKeyId") if found.own_lustre else None}
    for key in sorted(each for each in used if each):
        try:
            manager = kms.describe_key(KeyId=key)["KeyMetadata"]["KeyManager"]
        except kms.exceptions.NotFoundException:
            continue
        if manager == "CUSTOMER":
            found.keys |= {key}


def _read_lustre_groups(found: Deployed, ec2: EC2Client) -> None:
    """Finds the groups that mngen opened to the nodes: they take the one port of a rule of its."""
    if found.vpc is None or not found.lustre or found.own_lustre:
        return
    here: Any = [{"Name": "vpc-id", "Values": [found.vpc.id]}]
    port = FSX_PORTS[0]
    found.lustre_from = frozenset(
        each["GroupId"]
        for page in ec2.get_paginator("describe_security_groups").paginate(Filters=here)
        for each in page["SecurityGroups"]
        if each["GroupId"] not in found.groups
        for rule in each.get("IpPermissions", [])
        if (rule.get("FromPort"), rule.get("ToPort")) == port
        if {pair.get("GroupId") for pair in rule.get("UserIdGroupPairs", [])} & found.groups
    )


def _read_mount_groups(found: Deployed, ec2: EC2Client) -> None:
    if found.file_system is None or found.own_file_system:
        return
    groups = ec2.describe_security_groups(
        Filters=[{"Name": "group-id", "Values": list(found.file_system.groups)}]
    )["SecurityGroups"]
    found.mounts_from = frozenset(
        each["GroupId"]
        for each in groups
        for rule in each.get("IpPermissions", [])
        if {pair.get("GroupId") for pair in rule.get("UserIdGroupPairs", [])} & found.groups
    )


def _read_roles(found: Deployed, iam: IAMClient, region: str) -> None:
    """Reads what the roles that mngen made may do, which follows from keys of the spec."""
    # Another region may have a deployment of this name, whose roles have such names too.
    kinds = [
        (kind, each["RoleName"])
        for page in iam.get_paginator("list_roles").paginate()
        for each in page["Roles"]
        for kind in ("job", "builder", "instance")
        if is_made(each["RoleName"], found.name, kind)
    ]
    for kind, name in kinds:
        role = iam.get_role(RoleName=name)["Role"]
        if tags_of(role).get(REGION_TAG) != region:
            continue
        boundary = role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
        found.boundary = boundary or found.boundary
        if kind == "job":
            found.job_role = True
            found.policies = _attached(iam, name)
        if kind == "instance":
            found.instance_policies = tuple(
                arn for arn in _attached(iam, name) if not arn.endswith(f"/{AGENT_POLICY}")
            )
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
            inline = iam.get_role_policy(RoleName=name, PolicyName=policy)
            _read_permissions(found, policy, json.dumps(inline["PolicyDocument"]))


def _attached(iam: IAMClient, role: str) -> tuple[str, ...]:
    attached = iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
    return tuple(sorted(each["PolicyArn"] for each in attached))


def _read_permissions(found: Deployed, policy: str, document: str) -> None:
    """Reads the one key of the spec that each of mngen's inline policies follows from."""
    if policy == "inputs":
        bucket = re.search(rf":s3:::([^/\"]+)/{re.escape(inputs_prefix(found.name))}", document)
        found.bucket = bucket[1] if bucket else found.bucket
    elif policy == "efa-installer":
        folder = re.search(r":s3:::([^\"*]+)", document)
        found.efa_installer = f"s3://{folder[1]}" if folder else found.efa_installer
    elif policy == "preload":
        found.preload = True
    elif policy == "file-system":
        point = re.search(r"access-point/(fsap-[0-9a-f]+)", document)
        found.mount_role = True
        found.access_point = point[1] if point else found.access_point


def _read_image(found: Deployed, ecr: ECRClient, image: str) -> None:
    parts = ECR_IMAGE.fullmatch(image)
    if parts is None:
        return
    repository, tag = parts["repository"], parts["tag"] or ""
    own = repository.startswith(f"{found.name}/")
    if not own:
        [described] = ecr.describe_repositories(
            registryId=parts["account"], repositoryNames=[repository]
        )["repositories"]
        tags = ecr.list_tags_for_resource(resourceArn=described["repositoryArn"])["tags"]
        own = tags_of({"Tags": tags}).get(DEPLOYMENT_TAG) == found.name
    found.images[image] = Image(own=own, tag=tag)
    if own and parts["digest"] and not tag:
        [details] = ecr.describe_images(
            repositoryName=repository, imageIds=[{"imageDigest": parts["digest"]}]
        )["imageDetails"]
        found.images[image] = Image(own=own, tag=min(details.get("imageTags", [""])))


def _read_logs(found: Deployed, logs: CloudWatchLogsClient) -> None:
    name = log_group(found.name)
    for each in logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]:
        if each.get("logGroupName") == name:
            found.retention = each.get("retentionInDays", "never")


def _read_notify(found: Deployed, region: str, connect: Connect) -> None:
    found.notify = notify_of(found.name, region, connect)


def _read_budget(found: Deployed, region: str, connect: Connect) -> None:
    found.budget = budget_of(found.name, region, connect)


def _read_dashboard(found: Deployed, region: str, cloudwatch: Any) -> None:
    from botocore.exceptions import ClientError

    try:
        cloudwatch.get_dashboard(DashboardName=dashboard(found.name, region))
    except ClientError as error:
        # Two errors of the API have this code, so botocore has no class for this one alone.
        if error.response["Error"]["Code"] != "ResourceNotFound":
            raise
        return
    found.dashboard = True


def is_made(name: str, deployment: str, kind: str) -> bool:
    """Returns whether mngen has made a role or an instance profile, by its name.

    Args:
        name: Its name in AWS.
        deployment: Name of the deployment.
        kind: What it is for, as its name has it, such as `job`.
    """
    return re.fullmatch(rf"{re.escape(deployment)}-{kind}-{UNIQUE_SUFFIX}", name) is not None


def role_name(arn: str) -> str:
    """Returns the name in the ARN of a role or an instance profile; a name stays as it is."""
    return arn.rpartition("/")[2]
