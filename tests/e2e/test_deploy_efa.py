"""EFA environments, applied by real Terraform where Batch and EC2 refuse as on AWS."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from tests.support.builders import base_ami
from tests.support.deployments import everything
from tests.support.sandbox import client, control

if TYPE_CHECKING:
    from mngen.sandbox import Sandbox
    from tests.support.stack import Stack

SPEC = """\
name: efa
region: us-east-1
network:
  vpc: new
  zones: [us-east-1a]
  nat: false
  endpoints: [s3, ecr.api, ecr.dkr, ecs, ecs-agent, ecs-telemetry, logs]
image:
  efa_installer: s3://climate-software/efa/
environments:
  c5n: {instance: c5n.18xlarge, max_nodes: 4, efa: true}
  b300: {instance: p6-b300.48xlarge, max_nodes: 2, efa: true}
  hpc6id: {instance: hpc6id.32xlarge, max_nodes: 2, efa: true}
queues:
  c5n: {environments: [c5n]}
  b300: {environments: [b300]}
  hpc6id: {environments: [hpc6id]}
jobs:
  mpi: {queue: c5n, nodes: 2, command: [hostname]}
  small: {queue: hpc6id, nodes: 2, command: [hostname]}
"""

Rules = set[tuple[str, int, int, str]]


def rules(permissions: list[dict[str, Any]]) -> Rules:
    """Return rules as protocol, ports, and what they name: a group, a range or a prefix list."""
    found = set()
    for each in permissions:
        ports = each["IpProtocol"], each.get("FromPort", 0), each.get("ToPort", 0)
        found |= {(*ports, pair["GroupId"]) for pair in each.get("UserIdGroupPairs", [])}
        found |= {(*ports, pair["CidrIp"]) for pair in each.get("IpRanges", [])}
        found |= {(*ports, pair["PrefixListId"]) for pair in each.get("PrefixListIds", [])}
    return found


def ended(batch: Any, job: str) -> dict[str, Any]:
    deadline = time.monotonic() + 120
    while True:
        found: dict[str, Any] = batch.describe_jobs(jobs=[job])["jobs"][0]
        if found["status"] in ("SUCCEEDED", "FAILED"):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def test_environments_are_valid_and_their_nodes_meet(sandbox: Sandbox, stack: Stack) -> None:
    sandbox.reset()
    batch, ec2 = client(sandbox, "batch"), client(sandbox, "ec2")
    quotas = client(sandbox, "service-quotas")
    for code in ("L-1216C47A", "L-F7808C92", "L-417A185B"):
        quotas.request_service_quota_increase(
            ServiceCode="ec2", QuotaCode=code, DesiredValue=100_000
        )
    stack.render(SPEC)
    base = base_ami(sandbox)
    images = {}
    for name in ("c5n.18xlarge-efa", "x86_64-gpu-efa", "x86_64-efa"):
        copied = ec2.copy_image(Name=name, SourceImageId=base, SourceRegion="us-east-1")["ImageId"]
        ec2.create_tags(Resources=[copied], Tags=[{"Key": "mngen:image", "Value": name}])
        images[name] = {"id": copied, "note": "x"}
    record = stack.terraform_folder / "amis.auto.tfvars.json"
    record.write_text(json.dumps({"amis": images}), encoding="utf-8")
    stack.apply()
    # Resources by count and by keys, modules and data sources.
    assert stack.attributes() == stack.printed_attributes()
    assert stack.unchanged()

    found = {
        each["computeResources"]["instanceTypes"][0]: each
        for each in batch.describe_compute_environments()["computeEnvironments"]
    }
    assert {name: each["statusReason"] for name, each in found.items()} == dict.fromkeys(
        ("c5n.18xlarge", "p6-b300.48xlarge", "hpc6id.32xlarge"), "ComputeEnvironment Healthy"
    )
    interfaces = {}
    for name, each in found.items():
        # Groups here and interfaces in the template exclude each other.
        assert not each["computeResources"].get("securityGroupIds")
        template = each["computeResources"]["launchTemplate"]
        data = ec2.describe_launch_template_versions(
            LaunchTemplateId=template["launchTemplateId"], Versions=[template["version"]]
        )["LaunchTemplateVersions"][0]["LaunchTemplateData"]
        interfaces[name] = [
            (one["NetworkCardIndex"], one["DeviceIndex"], one["InterfaceType"], *one["Groups"])
            for one in data["NetworkInterfaces"]
        ]
    [nodes] = stack.outputs()["network"]["security_group_ids"]
    assert interfaces["c5n.18xlarge"] == [(0, 0, "efa", nodes)]
    assert interfaces["hpc6id.32xlarge"] == [(0, 0, "efa", nodes)]
    assert interfaces["p6-b300.48xlarge"] == [
        (0, 0, "interface", nodes),
        *((card, 0, "efa-only", nodes) for card in range(1, 17)),
    ]

    # Of the containers' own interfaces, the VPC's default group decides.
    vpc = stack.outputs()["network"]["vpc_id"]
    [default] = ec2.describe_security_groups(
        Filters=[{"Name": "vpc-id", "Values": [vpc]}, {"Name": "group-name", "Values": ["default"]}]
    )["SecurityGroups"]
    own = default["GroupId"]
    assert rules(default["IpPermissions"]) == {("-1", 0, 0, own)}
    egress = rules(default["IpPermissionsEgress"])
    assert {("-1", 0, 0, own), ("tcp", 443, 443, "10.0.0.0/16")} < egress
    assert len(egress) == 3
    endpoints = ec2.describe_vpc_endpoints()["VpcEndpoints"]
    [of_endpoints] = {
        group["GroupId"] for each in endpoints for group in each.get("Groups", []) if group
    }
    [group] = ec2.describe_security_groups(GroupIds=[of_endpoints])["SecurityGroups"]
    assert ("tcp", 443, 443, own) in rules(group["IpPermissions"])

    for queue, job in (("c5n", "mpi"), ("hpc6id", "small")):
        submitted = batch.submit_job(
            jobName=job, jobQueue=f"efa-{queue}", jobDefinition=f"efa-{job}"
        )["jobId"]
        assert ended(batch, submitted)["status"] == "SUCCEEDED"

    # What the closed group of before would have come to.
    ec2.revoke_security_group_ingress(GroupId=own, IpPermissions=default["IpPermissions"])
    submitted = batch.submit_job(jobName="mpi", jobQueue="efa-c5n", jobDefinition="efa-mpi")
    assert ended(batch, submitted["jobId"])["status"] == "FAILED"

    # What a destroy leaves of such a deployment is looked at with the example `private-network`.
    sandbox.reset()


def test_a_vpc_with_a_second_range_and_other_hosts(sandbox: Sandbox, stack: Stack) -> None:
    """NFS may go to every range, and whoever is in one reaches the endpoints.

    The file system is mounted with IAM, through an access point; a zone lacks an endpoint service.
    """
    sandbox.reset()
    ec2, efs = client(sandbox, "ec2"), client(sandbox, "efs")
    vpc = ec2.create_vpc(CidrBlock="10.20.0.0/16")["Vpc"]["VpcId"]
    ec2.associate_vpc_cidr_block(VpcId=vpc, CidrBlock="100.64.0.0/16")
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="100.64.1.0/24", AvailabilityZone="us-east-1a")[
        "Subnet"
    ]["SubnetId"]
    apart = ec2.create_subnet(VpcId=vpc, CidrBlock="10.20.1.0/24", AvailabilityZone="us-east-1b")[
        "Subnet"
    ]["SubnetId"]
    control(sandbox, lacking={"us-east-1b": ["logs"]})
    file_system = efs.create_file_system(CreationToken="existing")["FileSystemId"]
    efs.create_mount_target(FileSystemId=file_system, SubnetId=subnet)
    point = efs.create_access_point(ClientToken="existing", FileSystemId=file_system)
    before = everything(sandbox, "us-east-1")
    stack.render(
        "name: shared\nregion: us-east-1\n"
        f"network: {{vpc: {vpc}, subnets: [{subnet}, {apart}], endpoints: [s3, logs, ecs]}}\n"
        "storage:\n"
        f"  efs: {{id: {file_system}, iam: true, access_point: {point['AccessPointId']}}}\n"
        "environments: {r5: {instance: r5.large, max_nodes: 2}}\n"
        "queues: {q: {environments: [r5]}}\n"
    )
    stack.apply()
    assert stack.unchanged()
    [nodes] = stack.outputs()["network"]["security_group_ids"]
    [group] = ec2.describe_security_groups(GroupIds=[nodes])["SecurityGroups"]
    ranges = {"10.20.0.0/16", "100.64.0.0/16"}
    nfs = {rule[3] for rule in rules(group["IpPermissionsEgress"]) if rule[1] == 2049}
    assert nfs == ranges
    [of_endpoints] = {
        one["GroupId"]
        for each in ec2.describe_vpc_endpoints()["VpcEndpoints"]
        for one in each.get("Groups", [])
    }
    [group] = ec2.describe_security_groups(GroupIds=[of_endpoints])["SecurityGroups"]
    assert rules(group["IpPermissions"]) == {("tcp", 443, 443, each) for each in ranges}
    subnets = {
        each["ServiceName"].rpartition(".")[2]: set(each["SubnetIds"])
        for each in ec2.describe_vpc_endpoints()["VpcEndpoints"]
        if each["VpcEndpointType"] == "Interface"
    }
    assert subnets == {"logs": {subnet}, "ecs": {subnet, apart}}
    iam = client(sandbox, "iam")
    for name in ("instance_profile_arn", "builder_profile_arn"):
        profile = stack.outputs()[name].rpartition("/")[2]
        [role] = iam.get_instance_profile(InstanceProfileName=profile)["InstanceProfile"]["Roles"]
        allowed = iam.get_role_policy(RoleName=role["RoleName"], PolicyName="file-system")
        [statement] = allowed["PolicyDocument"]["Statement"]
        assert statement["Resource"].endswith(f":file-system/{file_system}")
        # As the documentation grants it:
        # https://docs.aws.amazon.com/efs/latest/ug/iam-access-control-nfs-efs.html
        assert statement["Condition"] == {
            "StringEquals": {"elasticfilesystem:AccessPointArn": point["AccessPointArn"]}
        }
    # No other deployment has endpoints, with their group and its rules, in a VPC that stays.
    stack.destroy()
    assert stack.resources() == []
    assert everything(sandbox, "us-east-1") == before
