"""Every example, applied by real Terraform with the real provider: the two passes and the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mngen.spec import load_text
from tests.support.sandbox import client
from tests.support.stack import Stack, TerraformError

if TYPE_CHECKING:
    from mngen.sandbox import Sandbox

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


def everything_left(sandbox: Sandbox, region: str) -> dict[str, list[str]]:
    """List what a deployment could have left behind, by kind."""

    def names(service: str, call: str, items: str, key: str, **arguments: Any) -> list[str]:
        api = client(sandbox, service, region)
        found = getattr(api, call)(**arguments)[items]
        # EC2 goes on showing for a while what is gone.
        return [item[key] for item in found if item.get("State") != "deleted"]

    found = {
        "environments": names(
            "batch",
            "describe_compute_environments",
            "computeEnvironments",
            "computeEnvironmentName",
        ),
        "queues": names("batch", "describe_job_queues", "jobQueues", "jobQueueName"),
        "templates": names(
            "ec2", "describe_launch_templates", "LaunchTemplates", "LaunchTemplateName"
        ),
        "groups": names("ec2", "describe_placement_groups", "PlacementGroups", "GroupName"),
        "security groups": names("ec2", "describe_security_groups", "SecurityGroups", "GroupName"),
        "endpoints": names("ec2", "describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId"),
        "nat": names("ec2", "describe_nat_gateways", "NatGateways", "NatGatewayId"),
        "addresses": names("ec2", "describe_addresses", "Addresses", "AllocationId"),
        "vpcs": names("ec2", "describe_vpcs", "Vpcs", "VpcId"),
        "file systems": names("efs", "describe_file_systems", "FileSystems", "FileSystemId"),
        "repositories": names("ecr", "describe_repositories", "repositories", "repositoryName"),
        # AWS makes the service-linked one by itself, for the account and not for a deployment.
        "roles": [
            role
            for role in names("iam", "list_roles", "Roles", "RoleName")
            if not role.startswith("AWSServiceRoleFor")
        ],
        "profiles": names(
            "iam", "list_instance_profiles", "InstanceProfiles", "InstanceProfileName"
        ),
        "log groups": names("logs", "describe_log_groups", "logGroups", "logGroupName"),
        "active job definitions": names(
            "batch",
            "describe_job_definitions",
            "jobDefinitions",
            "jobDefinitionName",
            status="ACTIVE",
        ),
    }
    return {kind: sorted(items) for kind, items in found.items()}


def prepared(name: str, sandbox: Sandbox) -> tuple[str, str]:
    """Return an example's text and region, with what it expects to exist made in the sandbox."""
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    spec = load_text(text.encode()).require()
    if spec.state is not None:
        client(sandbox, "s3").create_bucket(Bucket=spec.state.bucket)
    if spec.network.vpc.startswith("vpc-"):
        text = _with_existing_network(text, sandbox, spec.region)
    return text, spec.region


def _with_existing_network(text: str, sandbox: Sandbox, region: str) -> str:
    spec = load_text(text.encode()).require()
    ec2, efs = client(sandbox, "ec2", region), client(sandbox, "efs", region)
    iam = client(sandbox, "iam", region)
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    made = {spec.network.vpc: vpc}
    for number, subnet in enumerate(spec.network.subnets):
        made[subnet] = ec2.create_subnet(
            VpcId=vpc,
            CidrBlock=f"10.9.{number}.0/24",
            AvailabilityZone=f"{region}{'ab'[number]}",
        )["Subnet"]["SubnetId"]
    for table in spec.network.route_tables:
        made[table] = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    efs_group = spec.storage.efs.security_group
    assert efs_group is not None
    for number, group in enumerate([*spec.network.security_groups, efs_group]):
        made[group] = ec2.create_security_group(
            VpcId=vpc, GroupName=f"group-{number}", Description="existing"
        )["GroupId"]
    assert spec.storage.efs.id is not None
    made[spec.storage.efs.id] = efs.create_file_system(CreationToken="existing")["FileSystemId"]
    _make_roles(iam)
    for old, new in made.items():
        text = text.replace(old, new)
    return text


def _make_roles(iam: Any) -> None:
    """Make the roles that the example names; Batch refuses a service role without its policy."""
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole"}
    for role, service, policy in (
        ("AWSBatchServiceRole", "batch", "AWSBatchServiceRole"),
        ("ecsInstanceRole", "ec2", "AmazonEC2ContainerServiceforEC2Role"),
    ):
        principal = {"Principal": {"Service": f"{service}.amazonaws.com"}}
        document = {"Version": "2012-10-17", "Statement": [{**trust, **principal}]}
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(document))
        iam.attach_role_policy(
            RoleName=role, PolicyArn=f"arn:aws:iam::aws:policy/service-role/{policy}"
        )
    iam.create_instance_profile(InstanceProfileName="ecsInstanceRole")
    iam.add_role_to_instance_profile(
        InstanceProfileName="ecsInstanceRole", RoleName="ecsInstanceRole"
    )
    allowed = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    iam.create_policy(
        PolicyName="department-boundary",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allowed]}),
    )


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.yaml")))
def test_two_passes_and_nothing_left(
    name: str,
    tmp_path: Path,
    sandbox: Sandbox,
    terraform_env: dict[str, str],
    requires_provider: None,
) -> None:
    sandbox.reset()
    text, region = prepared(name, sandbox)
    before = everything_left(sandbox, region)
    stack = Stack(tmp_path, sandbox, terraform_env, region)
    stack.render(text)

    first = stack.plan()
    assert set(map(tuple, first.values())) == {("create",)}
    stack.apply()
    assert stack.plan() == {}
    waiting = stack.outputs()["images_to_bake"]
    assert waiting
    assert everything_left(sandbox, region)["environments"] == []

    stack.record_images(*waiting)
    second = stack.plan()
    assert set(map(tuple, second.values())) == {("create",)}
    assert not set(second) & set(first)
    stack.apply()
    assert stack.plan() == {}

    spec = load_text(text.encode()).require()
    outputs = stack.outputs()
    assert outputs["images_to_bake"] == []
    assert set(outputs["compute_environments"]) == set(spec.environments)
    assert outputs["queues"] == {queue: f"{spec.name}-{queue}" for queue in spec.queues}
    assert outputs["job_definitions"] == {job: f"{spec.name}-{job}" for job in spec.jobs}
    for environment in client(sandbox, "batch", region).describe_compute_environments()[
        "computeEnvironments"
    ]:
        assert environment["status"] == "VALID"

    if spec.storage.efs.protect:
        with pytest.raises(TerraformError, match="prevent_destroy"):
            stack.destroy()
        stack.render(text.replace("protect: true", "protect: false"))
    stack.destroy()
    assert stack.resources() == []
    assert everything_left(sandbox, region) == before


def test_two_deployments_share_an_account(
    tmp_path: Path, sandbox: Sandbox, terraform_env: dict[str, str], requires_provider: None
) -> None:
    sandbox.reset()
    text = (EXAMPLES / "minimal.yaml").read_text(encoding="utf-8")
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        stack = Stack(folder, sandbox, terraform_env)
        # A VPC takes each endpoint once, so the second goes without.
        endpoints = "[s3]" if name == "one" else "[]"
        stack.render(
            text.replace("name: minimal", f"name: {name}")
            + f"network: {{endpoints: {endpoints}}}\n"
        )
        stack.plan()
        stack.apply()
    repositories = client(sandbox, "ecr").describe_repositories()["repositories"]
    assert {each["repositoryName"] for each in repositories} == {"one/mpi", "two/mpi"}


def test_batch_gets_what_the_tutorial_sends(
    tmp_path: Path, sandbox: Sandbox, terraform_env: dict[str, str], requires_provider: None
) -> None:
    """Compare the 24-core environment and its queue with the tutorial's parameter files.

    The tutorial names the fields of its files and says what goes into each; what it leaves to the
    reader (ids) is looked up here. Where we differ on purpose, the field stands in `differs` with
    the reason.
    """
    sandbox.reset()
    text = (EXAMPLES / "tutorial.yaml").read_text(encoding="utf-8")
    stack = Stack(tmp_path, sandbox, terraform_env)
    stack.render(text)
    stack.record_images("r5.12xlarge")
    stack.plan()
    stack.apply()
    batch, ec2 = client(sandbox, "batch"), client(sandbox, "ec2")
    [environment] = batch.describe_compute_environments()["computeEnvironments"]
    [queue] = batch.describe_job_queues()["jobQueues"]
    outputs = stack.outputs()
    zone_a = outputs["network"]["subnets_by_zone"]["us-east-1a"]

    resources = environment["computeResources"]
    tutorial = {
        "type": "EC2",
        "instanceTypes": ["r5.12xlarge"],
        "minvCpus": 0,
        "ec2KeyPair": "user_key_pair",
        "instanceRole": outputs["instance_profile_arn"],
    }
    assert {field: resources[field] for field in tutorial} == tutorial
    assert (environment["type"], environment["state"]) == ("MANAGED", "ENABLED")

    differs = {
        # The tutorial lists every subnet, but a cluster placement group lives in one zone.
        "subnets": zone_a,
        # The default group lets in whatever else is in it; ours lets in the nodes alone.
        "securityGroupIds": outputs["network"]["security_group_ids"],
        # A fixed name would stop a second deployment in the account.
        "placementGroup": "tutorial-MPIgroup",
        # `imageId` is deprecated and not updated in place.
        "ec2Configuration": [
            {"imageType": "ECS_AL2023", "imageIdOverride": stack.ami("r5.12xlarge")}
        ],
        # Unset there, which means BEST_FIT, with which nothing is updated in place.
        "allocationStrategy": "BEST_FIT_PROGRESSIVE",
    }
    assert {field: resources[field] for field in differs} == differs
    assert "imageId" not in resources
    # Needed for Spot alone, where the tutorial fills it in for every environment.
    assert "spotIamFleetRole" not in resources
    # The tutorial's AWSBatchServiceRole would have each change replace the environment.
    assert environment["serviceRole"].endswith("/AWSServiceRoleForBatch")

    assert queue["jobQueueName"] == "tutorial-MultiNodeQueue_R5_MAX_24"
    assert queue["state"] == "ENABLED"
    assert queue["computeEnvironmentOrder"] == [
        {"order": 0, "computeEnvironment": environment["computeEnvironmentArn"]}
    ]
    [group] = ec2.describe_placement_groups()["PlacementGroups"]
    assert (group["GroupName"], group["Strategy"]) == ("tutorial-MPIgroup", "cluster")
    [endpoint] = ec2.describe_vpc_endpoints()["VpcEndpoints"]
    assert endpoint["ServiceName"] == "com.amazonaws.us-east-1.s3"
