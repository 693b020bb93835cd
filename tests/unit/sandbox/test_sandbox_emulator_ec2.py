"""The emulated EC2, EFS, SSM and quotas answer as AWS does, over HTTP."""

from __future__ import annotations

import base64
import re
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from mngen.catalog import load_catalog, vcpu_quota
from tests.support.sandbox import client, error_code, unique

if TYPE_CHECKING:
    from mngen.sandbox import Sandbox


@pytest.fixture(scope="module")
def ec2(sandbox: Sandbox) -> Any:
    return client(sandbox, "ec2")


def test_a_request_that_is_sent_again_with_its_token_does_nothing_twice(ec2: Any) -> None:
    vpc = ec2.create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.8.0.0/24")["Subnet"]["SubnetId"]
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    asked = {"SubnetId": subnet, "AllocationId": address, "ClientToken": unique("token")}
    first = ec2.create_nat_gateway(**asked)["NatGateway"]
    assert ec2.create_nat_gateway(**asked)["NatGateway"] == first
    there = ec2.describe_nat_gateways(Filters=[{"Name": "subnet-id", "Values": [subnet]}])
    assert [each["NatGatewayId"] for each in there["NatGateways"]] == [first["NatGatewayId"]]
    assert error_code(ec2.create_nat_gateway, **{**asked, "ClientToken": unique("token")}) == (
        "Resource.AlreadyAssociated"
    )


def test_a_resource_has_its_tags_and_is_found_by_them(ec2: Any) -> None:
    vpc = ec2.create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
    names = [unique("g") for _ in range(3)]
    ids = [
        ec2.create_security_group(GroupName=name, Description="x", VpcId=vpc)["GroupId"]
        for name in names
    ]
    for group, name in zip(ids[:2], names, strict=False):
        ec2.create_tags(Resources=[group], Tags=[{"Key": "Name", "Value": name}])
    ec2.delete_tags(Resources=[ids[0]], Tags=[{"Key": "Name"}])
    found = ec2.describe_security_groups(GroupIds=ids)["SecurityGroups"]
    told = {each["GroupId"]: each.get("Tags", []) for each in found}
    assert told == {ids[0]: [], ids[1]: [{"Key": "Name", "Value": names[1]}], ids[2]: []}
    for name, expected in ((names[0], []), (names[1], [ids[1]])):
        filters = [{"Name": "tag:Name", "Values": [name]}]
        groups = ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
        assert [each["GroupId"] for each in groups] == expected


@pytest.mark.parametrize(("agent", "lenient"), [("Terraform/1.11.4", True), ("Boto3/1", False)])
def test_a_call_that_terraform_attempts_again_is_made_once(
    sandbox: Sandbox, agent: str, lenient: bool
) -> None:
    ec2 = client(sandbox, "ec2")
    vpc = ec2.create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
    group = ec2.create_security_group(GroupName=unique("g"), Description="x", VpcId=vpc)["GroupId"]
    rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])
    ids = [each["SecurityGroupRuleId"] for each in rules["SecurityGroupRules"]]
    invocation = str(uuid.uuid4())

    def send_as(request: Any, **_: Any) -> None:
        request.headers["User-Agent"] = agent
        request.headers["amz-sdk-invocation-id"] = invocation

    ec2.meta.events.register("before-send.ec2.RevokeSecurityGroupEgress", send_as)
    revoke = {"GroupId": group, "SecurityGroupRuleIds": ids}
    ec2.revoke_security_group_egress(**revoke)
    if lenient:
        assert ec2.revoke_security_group_egress(**revoke)["Return"] is True
    else:
        assert error_code(ec2.revoke_security_group_egress, **revoke).endswith("NotFound")
    invocation = str(uuid.uuid4())
    assert error_code(ec2.revoke_security_group_egress, **revoke).endswith("NotFound")


class TestPlacementGroups:
    def test_one_lives_and_dies(self, ec2: Any) -> None:
        name = unique("MPIgroup")
        tags = [{"ResourceType": "placement-group", "Tags": [{"Key": "a", "Value": "b"}]}]
        made = ec2.create_placement_group(
            GroupName=name, Strategy="cluster", TagSpecifications=tags
        )["PlacementGroup"]
        assert (made["GroupName"], made["State"], made["Strategy"]) == (
            name,
            "available",
            "cluster",
        )
        assert made["Tags"] == [{"Key": "a", "Value": "b"}]
        for question in (
            {"GroupNames": [name]},
            {"GroupIds": [made["GroupId"]]},
            {"Filters": [{"Name": "group-name", "Values": [name]}]},
            {"Filters": [{"Name": "tag:a", "Values": ["b"]}]},
        ):
            found = ec2.describe_placement_groups(**question)["PlacementGroups"]
            assert [group["GroupArn"] for group in found] == [made["GroupArn"]]
        ec2.create_tags(Resources=[made["GroupId"]], Tags=[{"Key": "c", "Value": "d"}])
        tags = ec2.describe_placement_groups(GroupNames=[name])["PlacementGroups"][0]["Tags"]
        assert {tag["Key"] for tag in tags} == {"a", "c"}
        ec2.delete_placement_group(GroupName=name)
        assert (
            error_code(ec2.describe_placement_groups, GroupNames=[name])
            == "InvalidPlacementGroup.Unknown"
        )

    def test_a_taken_name_and_an_unknown_one_are_refused(self, ec2: Any) -> None:
        name = unique("pg")
        ec2.create_placement_group(GroupName=name, Strategy="cluster")
        assert (
            error_code(ec2.create_placement_group, GroupName=name, Strategy="cluster")
            == "InvalidPlacementGroup.Duplicate"
        )
        assert (
            error_code(ec2.delete_placement_group, GroupName="nowhere")
            == "InvalidPlacementGroup.Unknown"
        )

    def test_a_reset_empties_them(self, ec2: Any, sandbox: Sandbox) -> None:
        ec2.create_placement_group(GroupName=unique("pg"), Strategy="cluster")
        sandbox.reset()
        assert ec2.describe_placement_groups()["PlacementGroups"] == []
        assert len(ec2.describe_vpcs()["Vpcs"]) == 1


class TestLaunchTemplates:
    def test_its_own_tags_stay_out_of_its_data(self, ec2: Any) -> None:
        name = unique("lt")
        inner = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "node"}]}]
        ec2.create_launch_template(
            LaunchTemplateName=name,
            LaunchTemplateData={"TagSpecifications": inner},
            TagSpecifications=[
                {"ResourceType": "launch-template", "Tags": [{"Key": "a", "Value": "b"}]}
            ],
        )
        version = ec2.describe_launch_template_versions(LaunchTemplateName=name)[
            "LaunchTemplateVersions"
        ][0]
        assert version["LaunchTemplateData"]["TagSpecifications"] == inner
        template = ec2.describe_launch_templates(LaunchTemplateNames=[name])["LaunchTemplates"][0]
        assert template["Tags"] == [{"Key": "a", "Value": "b"}]

    def test_a_later_version_keeps_its_user_data_and_interfaces(self, ec2: Any) -> None:
        name = unique("lt")
        data = {
            "UserData": base64.b64encode(b"Content-Type: multipart/mixed").decode(),
            "NetworkInterfaces": [{"DeviceIndex": 0, "InterfaceType": "efa"}],
        }
        ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData={})
        ec2.create_launch_template_version(LaunchTemplateName=name, LaunchTemplateData=data)
        version = ec2.describe_launch_template_versions(
            LaunchTemplateName=name, Versions=["$Latest"]
        )["LaunchTemplateVersions"][0]
        assert version["VersionNumber"] == 2
        assert version["LaunchTemplateData"] == data


class TestSecurityGroups:
    @pytest.fixture
    def group(self, ec2: Any) -> str:
        vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        made = ec2.create_security_group(GroupName=unique("sg"), Description="x", VpcId=vpc)
        return str(made["GroupId"])

    def test_a_rule_about_a_group_keeps_its_description_and_can_be_changed(
        self, ec2: Any, group: str
    ) -> None:
        pair = {"GroupId": group, "Description": "each other"}
        rule = ec2.authorize_security_group_ingress(
            GroupId=group, IpPermissions=[{"IpProtocol": "-1", "UserIdGroupPairs": [pair]}]
        )["SecurityGroupRules"][0]
        assert rule["Description"] == "each other"
        identifier = rule["SecurityGroupRuleId"]
        change = {
            "IpProtocol": "-1",
            "ReferencedGroupId": group,
            "Description": "all of them",
        }
        ec2.modify_security_group_rules(
            GroupId=group,
            SecurityGroupRules=[{"SecurityGroupRuleId": identifier, "SecurityGroupRule": change}],
        )
        seen = ec2.describe_security_group_rules(SecurityGroupRuleIds=[identifier])
        changed = seen["SecurityGroupRules"][0]
        assert changed["Description"] == "all of them"
        assert changed["ReferencedGroupInfo"]["GroupId"] == group

    def test_one_that_is_needed_is_not_deleted(self, ec2: Any, group: str) -> None:
        subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
        eni = ec2.create_network_interface(SubnetId=subnet, Groups=[group])["NetworkInterface"]
        assert error_code(ec2.delete_security_group, GroupId=group) == "DependencyViolation"
        ec2.delete_network_interface(NetworkInterfaceId=eni["NetworkInterfaceId"])
        ec2.delete_security_group(GroupId=group)
        assert error_code(ec2.describe_security_groups, GroupIds=[group]) == "InvalidGroup.NotFound"


class TestEfs:
    def test_throughput_backup_and_policy_can_be_changed(self, sandbox: Sandbox) -> None:
        efs = client(sandbox, "efs")
        identifier = efs.create_file_system(CreationToken=unique("t"))["FileSystemId"]
        efs.update_file_system(FileSystemId=identifier, ThroughputMode="elastic")
        found = efs.describe_file_systems(FileSystemId=identifier)["FileSystems"][0]
        assert found["ThroughputMode"] == "elastic"
        for status in ("ENABLED", "DISABLED"):
            efs.put_backup_policy(FileSystemId=identifier, BackupPolicy={"Status": status})
            policy = efs.describe_backup_policy(FileSystemId=identifier)["BackupPolicy"]
            assert policy["Status"] == status
        efs.put_file_system_policy(FileSystemId=identifier, Policy='{"Statement": []}')
        efs.delete_file_system_policy(FileSystemId=identifier)
        assert (
            error_code(efs.describe_file_system_policy, FileSystemId=identifier) == "PolicyNotFound"
        )
        assert (
            error_code(efs.update_file_system, FileSystemId="fs-00000000") == "FileSystemNotFound"
        )

    def test_access_points_are_those_of_a_file_system(self, sandbox: Sandbox) -> None:
        efs = client(sandbox, "efs")
        identifier = efs.create_file_system(CreationToken=unique("t"))["FileSystemId"]
        made = efs.create_access_point(ClientToken=unique("t"), FileSystemId=identifier)
        point = made["AccessPointId"]
        # As efs-utils requires them: AP_REGEX_PATTERN in src/efs_utils_common/constants.py
        assert re.fullmatch("fsap-[0-9a-f]{17}", point)
        assert made["AccessPointArn"].endswith(f":access-point/{point}")
        [found] = efs.describe_access_points(AccessPointId=point)["AccessPoints"]
        assert (found["FileSystemId"], found["LifeCycleState"]) == (identifier, "available")
        wanted = {"ClientToken": unique("t"), "FileSystemId": "fs-00000000"}
        assert error_code(efs.create_access_point, **wanted) == "FileSystemNotFound"


class TestAccountFacts:
    @pytest.mark.parametrize("region", ["us-east-1", "eu-west-1"])
    @pytest.mark.parametrize(
        "image",
        [
            "amazon-linux-2023",
            "amazon-linux-2023/arm64",
            "amazon-linux-2",
            "amazon-linux-2/arm64",
        ],
    )
    def test_the_images_that_ssm_recommends_exist(
        self, sandbox: Sandbox, image: str, region: str
    ) -> None:
        name = f"/aws/service/ecs/optimized-ami/{image}/recommended/image_id"
        value = client(sandbox, "ssm", region).get_parameter(Name=name)["Parameter"]["Value"]
        found = client(sandbox, "ec2", region).describe_images(ImageIds=[value])["Images"][0]
        assert found["Architecture"] == ("arm64" if "arm64" in image else "x86_64")

    def test_every_instance_type_of_the_field_is_known(self, ec2: Any) -> None:
        found = ec2.describe_instance_types(InstanceTypes=["r5.24xlarge", "c5n.18xlarge"])
        cores = {
            item["InstanceType"]: item["VCpuInfo"]["DefaultCores"]
            for item in found["InstanceTypes"]
        }
        assert cores == {"r5.24xlarge": 48, "c5n.18xlarge": 36}

    def test_managed_policies_are_loaded(self, sandbox: Sandbox) -> None:
        arn = "arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role"
        policy = client(sandbox, "iam").get_policy(PolicyArn=arn)["Policy"]
        assert policy["PolicyName"] == "AmazonEC2ContainerServiceforEC2Role"

    def test_vcpu_quotas_can_be_read_and_set(self, sandbox: Sandbox) -> None:
        quotas = client(sandbox, "service-quotas")
        question = {"ServiceCode": "ec2", "QuotaCode": "L-1216C47A"}
        assert quotas.get_aws_default_service_quota(**question)["Quota"]["Value"] == 5.0
        assert quotas.get_service_quota(**question)["Quota"]["Value"] > 1000
        quotas.request_service_quota_increase(**question, DesiredValue=64.0)
        assert quotas.get_service_quota(**question)["Quota"]["Value"] == 64.0
        listed = quotas.list_service_quotas(ServiceCode="ec2")["Quotas"]
        assert {"L-1216C47A": 64.0}.items() <= {
            quota["QuotaCode"]: quota["Value"] for quota in listed
        }.items()
        unknown = {"ServiceCode": "ec2", "QuotaCode": "L-0"}
        assert error_code(quotas.get_service_quota, **unknown) == "NoSuchResourceException"

    def test_every_quota_that_the_catalog_names_is_there(self, sandbox: Sandbox) -> None:
        named = {
            quota.code
            for instance in load_catalog()
            for spot in (False, True)
            if (quota := vcpu_quota(instance, spot=spot)) is not None
        }
        listed = client(sandbox, "service-quotas").list_service_quotas(ServiceCode="ec2")
        assert named <= {quota["QuotaCode"] for quota in listed["Quotas"]}
        assert len(named) > 10


class TestStateBucket:
    def test_a_lock_file_is_written_once(self, sandbox: Sandbox) -> None:
        s3 = client(sandbox, "s3")
        bucket = unique("state")
        s3.create_bucket(Bucket=bucket)
        lock = {"Bucket": bucket, "Key": "terraform.tfstate.tflock", "IfNoneMatch": "*"}
        s3.put_object(**lock, Body=b"mine")
        assert error_code(s3.put_object, **lock, Body=b"yours") == "PreconditionFailed"
        body = s3.get_object(Bucket=bucket, Key=lock["Key"])["Body"].read()
        assert body == b"mine"


class TestFaults:
    @pytest.mark.parametrize(
        ("service", "call", "arguments"),
        [
            ("ec2", "describe_fast_snapshot_restores", {}),
            ("iam", "list_organizations_features", {}),
            ("batch", "list_consumable_resources", {}),
            ("efs", "describe_replication_configurations", {}),
            ("ecr", "describe_pull_through_cache_rules", {}),
            ("service-quotas", "list_services", {}),
        ],
    )
    def test_an_unknown_action_is_a_client_error_that_names_it(
        self, sandbox: Sandbox, service: str, call: str, arguments: dict[str, Any]
    ) -> None:
        with pytest.raises(ClientError) as caught:
            getattr(client(sandbox, service), call)(**arguments)
        response = caught.value.response
        assert response["Error"]["Code"] == "SandboxNotImplemented"
        assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert response["ResponseMetadata"]["RetryAttempts"] == 0

    def test_a_fault_inside_is_a_client_error(self, sandbox: Sandbox) -> None:
        ec2 = client(sandbox, "ec2")
        with pytest.raises(ClientError) as caught:
            ec2.delete_nat_gateway(NatGatewayId="nat-00000000000000000")
        response = caught.value.response
        assert response["Error"]["Code"] == "SandboxFault"
        assert "ec2 DeleteNatGateway" in response["Error"]["Message"]
        assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
