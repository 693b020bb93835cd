"""The emulated EC2 launches, images and ends instances as AWS does, over HTTP.

The instances here are metadata: machines that can be logged into are among the end-to-end tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.sandbox import client, error_code, unique

if TYPE_CHECKING:
    from mngen.sandbox import Sandbox

XVDA = "/dev/xvda"


@pytest.fixture(scope="module")
def ec2(sandbox: Sandbox) -> Any:
    return client(sandbox, "ec2")


@pytest.fixture
def base(sandbox: Sandbox) -> str:
    name = "/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id"
    return str(client(sandbox, "ssm").get_parameter(Name=name)["Parameter"]["Value"])


def run(ec2: Any, image: str, **arguments: Any) -> str:
    one = {"ImageId": image, "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1}
    return str(ec2.run_instances(**one, **arguments)["Instances"][0]["InstanceId"])


def described(ec2: Any, instance: str) -> dict[str, Any]:
    found: dict[str, Any] = ec2.describe_instances(InstanceIds=[instance])
    described: dict[str, Any] = found["Reservations"][0]["Instances"][0]
    return described


def tagged(*kinds: str, **tags: str) -> list[dict[str, Any]]:
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    return [{"ResourceType": kind, "Tags": listed} for kind in kinds]


def with_tag(key: str, value: str) -> list[dict[str, Any]]:
    return [{"Name": f"tag:{key}", "Values": [value]}]


class TestALaunch:
    def test_it_has_the_disks_of_its_image(self, ec2: Any, base: str) -> None:
        disk = ec2.describe_images(ImageIds=[base])["Images"][0]["BlockDeviceMappings"][0]
        assert disk["DeviceName"] == XVDA
        assert disk["Ebs"]["VolumeSize"] == 30
        assert disk["Ebs"]["DeleteOnTermination"] is True
        instance = run(ec2, base)
        mapping = described(ec2, instance)["BlockDeviceMappings"]
        assert [each["DeviceName"] for each in mapping] == [XVDA]
        volume_id = mapping[0]["Ebs"]["VolumeId"]
        volume = ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"][0]
        assert (volume["Size"], volume["VolumeType"], volume["Encrypted"]) == (30, "gp3", False)
        assert volume["SnapshotId"] == disk["Ebs"]["SnapshotId"]
        ec2.terminate_instances(InstanceIds=[instance])
        assert error_code(ec2.describe_volumes, VolumeIds=[volume_id]) == "InvalidVolume.NotFound"

    def test_what_it_asks_for_lies_over_the_disks_of_its_image(self, ec2: Any, base: str) -> None:
        run_tag = unique("volume")
        instance = run(
            ec2,
            base,
            TagSpecifications=tagged("instance", "volume", bake=run_tag),
            BlockDeviceMappings=[
                {"DeviceName": XVDA, "Ebs": {"Encrypted": True, "VolumeSize": 40}},
                {"DeviceName": "/dev/sdb", "Ebs": {"VolumeSize": 1}},
            ],
        )
        volumes = ec2.describe_volumes(Filters=with_tag("bake", run_tag))["Volumes"]
        seen = {
            each["Attachments"][0]["Device"]: (each["Size"], each["Encrypted"]) for each in volumes
        }
        assert seen == {XVDA: (40, True), "/dev/sdb": (1, False)}
        ec2.terminate_instances(InstanceIds=[instance])
        left = ec2.describe_volumes(Filters=with_tag("bake", run_tag))["Volumes"]
        assert [each["State"] for each in left] == ["available"]
        ec2.delete_volume(VolumeId=left[0]["VolumeId"])

    def test_a_disk_smaller_than_its_snapshot_is_refused(self, ec2: Any, base: str) -> None:
        small = [{"DeviceName": XVDA, "Ebs": {"VolumeSize": 8}}]
        refused = error_code(
            ec2.run_instances,
            ImageId=base,
            MinCount=1,
            MaxCount=1,
            BlockDeviceMappings=small,
        )
        assert refused == "InvalidBlockDeviceMapping"

    @pytest.mark.parametrize(
        ("wrong", "expected"),
        [
            ({"ImageId": "ami-00000000000000000"}, "InvalidAMIID.NotFound"),
            ({"KeyName": "nobody's"}, "InvalidKeyPair.NotFound"),
            ({"IamInstanceProfile": {"Name": "nobody's"}}, "InvalidParameterValue"),
            ({"SecurityGroupIds": ["sg-00000000000000000"]}, "InvalidGroup.NotFound"),
            ({"SubnetId": "subnet-00000000000000000"}, "InvalidSubnetID.NotFound"),
        ],
    )
    def test_what_is_not_there_is_refused(
        self, ec2: Any, base: str, wrong: dict[str, Any], expected: str
    ) -> None:
        arguments = {"ImageId": base, "MinCount": 1, "MaxCount": 1, **wrong}
        assert error_code(ec2.run_instances, **arguments) == expected

    def test_it_has_the_profile_and_the_options_that_it_asks_for(
        self, ec2: Any, base: str, sandbox: Sandbox
    ) -> None:
        profile = client(sandbox, "iam").create_instance_profile(
            InstanceProfileName=unique("nodes")
        )["InstanceProfile"]["Arn"]
        seen = described(
            ec2,
            run(
                ec2,
                base,
                IamInstanceProfile={"Arn": profile},
                MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
            ),
        )
        assert seen["IamInstanceProfile"]["Arn"] == profile
        assert seen["MetadataOptions"]["HttpTokens"] == "required"

    def test_its_group_can_be_deleted_once_it_is_terminated(self, ec2: Any, base: str) -> None:
        vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        group = ec2.create_security_group(
            GroupName=unique("builders"),
            Description="x",
            VpcId=vpc,
            TagSpecifications=tagged("security-group", bake="one"),
        )
        seen = ec2.describe_security_groups(GroupIds=[group["GroupId"]])["SecurityGroups"][0]
        assert seen["Tags"] == [{"Key": "bake", "Value": "one"}]
        instance = run(ec2, base, SecurityGroupIds=[group["GroupId"]])
        seen = described(ec2, instance)
        assert [each["GroupId"] for each in seen["SecurityGroups"]] == [group["GroupId"]]
        refused = error_code(ec2.delete_security_group, GroupId=group["GroupId"])
        assert refused == "DependencyViolation"
        ec2.terminate_instances(InstanceIds=[instance])
        ec2.delete_security_group(GroupId=group["GroupId"])


class TestItsLife:
    def test_it_is_found_by_its_tags_and_state(self, ec2: Any, base: str) -> None:
        name = unique("tag")
        instance = run(ec2, base, TagSpecifications=tagged("instance", bake=name))

        def found(*states: str) -> list[str]:
            by_state = [{"Name": "instance-state-name", "Values": list(states)}]
            pages = ec2.get_paginator("describe_instances").paginate(
                Filters=[*with_tag("bake", name), *by_state]
            )
            return [
                each["InstanceId"]
                for page in pages
                for reservation in page["Reservations"]
                for each in reservation["Instances"]
            ]

        assert found("pending", "running") == [instance]
        ec2.stop_instances(InstanceIds=[instance])
        ec2.get_waiter("instance_stopped").wait(InstanceIds=[instance])
        assert found("running") == []
        assert found("stopped") == [instance]
        ec2.start_instances(InstanceIds=[instance])
        ec2.get_waiter("instance_running").wait(InstanceIds=[instance])
        ec2.terminate_instances(InstanceIds=[instance])
        ec2.get_waiter("instance_terminated").wait(InstanceIds=[instance])
        assert found("terminated") == [instance]
        by_key = [{"Name": "tag-key", "Values": ["bake"]}]
        assert ec2.describe_instances(Filters=by_key)["Reservations"]

    def test_terminated_it_has_no_address_and_cannot_be_started(self, ec2: Any, base: str) -> None:
        instance = run(ec2, base)
        ec2.terminate_instances(InstanceIds=[instance])
        seen = described(ec2, instance)
        assert "PrivateIpAddress" not in seen
        assert (seen["NetworkInterfaces"], seen.get("PrivateDnsName", "")) == ([], "")
        assert error_code(ec2.start_instances, InstanceIds=[instance]) == "IncorrectInstanceState"
        assert error_code(ec2.stop_instances, InstanceIds=[instance]) == "IncorrectInstanceState"
        ec2.terminate_instances(InstanceIds=[instance])


class TestAnImage:
    def test_it_is_made_of_the_instance_and_tagged(self, ec2: Any, base: str) -> None:
        instance = run(
            ec2, base, BlockDeviceMappings=[{"DeviceName": XVDA, "Ebs": {"Encrypted": True}}]
        )
        name = unique("image")
        ami = ec2.create_image(
            InstanceId=instance, Name=name, TagSpecifications=tagged("image", "snapshot", a=name)
        )["ImageId"]
        ec2.get_waiter("image_available").wait(ImageIds=[ami])
        images = ec2.describe_images(Owners=["self"], Filters=with_tag("a", name))["Images"]
        assert [each["ImageId"] for each in images] == [ami]
        image = images[0]
        assert (image["RootDeviceName"], image["RootDeviceType"]) == (XVDA, "ebs")
        assert (image["Architecture"], image["VirtualizationType"]) == ("x86_64", "hvm")
        disk = image["BlockDeviceMappings"][0]["Ebs"]
        assert (disk["Encrypted"], disk["VolumeSize"], disk["DeleteOnTermination"]) == (
            True,
            30,
            True,
        )
        snapshots = ec2.describe_snapshots(OwnerIds=["self"], Filters=with_tag("a", name))
        assert [each["SnapshotId"] for each in snapshots["Snapshots"]] == [disk["SnapshotId"]]
        assert snapshots["Snapshots"][0]["Encrypted"] is True
        assert ami in snapshots["Snapshots"][0]["Description"]

    def test_a_wrong_name_is_refused(self, ec2: Any, base: str) -> None:
        refused = error_code(ec2.create_image, InstanceId=run(ec2, base), Name="semi;colon")
        assert refused == "InvalidAMIName.Malformed"

    def test_a_name_is_taken_until_its_image_is_deregistered(self, ec2: Any, base: str) -> None:
        instance, name = run(ec2, base), unique("image")
        ami = ec2.create_image(InstanceId=instance, Name=name)["ImageId"]
        refused = error_code(ec2.create_image, InstanceId=instance, Name=name)
        assert refused == "InvalidAMIName.Duplicate"
        ec2.deregister_image(ImageId=ami)
        ec2.create_image(InstanceId=instance, Name=name)

    def test_its_snapshot_is_kept_from_deletion_while_it_is_there(
        self, ec2: Any, base: str
    ) -> None:
        ami = ec2.create_image(InstanceId=run(ec2, base), Name=unique("image"))["ImageId"]
        image = ec2.describe_images(ImageIds=[ami])["Images"][0]
        snapshot = image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
        assert error_code(ec2.delete_snapshot, SnapshotId=snapshot) == "InvalidSnapshot.InUse"
        ec2.deregister_image(ImageId=ami)
        assert ec2.describe_images(ImageIds=[ami])["Images"] == []
        arguments = {"ImageId": ami, "MinCount": 1, "MaxCount": 1}
        assert error_code(ec2.run_instances, **arguments) == "InvalidAMIID.Unavailable"
        ec2.delete_snapshot(SnapshotId=snapshot)
        refused = error_code(ec2.describe_snapshots, SnapshotIds=[snapshot])
        assert refused == "InvalidSnapshot.NotFound"

    def test_ids_filters_and_owners_all_count(self, ec2: Any, base: str) -> None:
        ami = ec2.create_image(InstanceId=run(ec2, base), Name=unique("image"))["ImageId"]

        def found(**arguments: Any) -> list[str]:
            images = ec2.describe_images(ImageIds=[ami, base], **arguments)["Images"]
            return sorted(each["ImageId"] for each in images)

        assert found() == sorted([ami, base])
        assert found(Owners=["self"]) == [ami]
        assert found(Owners=["amazon"]) == [base]
        assert found(Filters=[{"Name": "name", "Values": ["al2023-*"]}]) == [base]
        unknown = ["ami-00000000000000000"]
        refused = error_code(ec2.describe_images, ImageIds=[ami, *unknown])
        assert refused == "InvalidAMIID.NotFound"

    def test_ones_own_snapshots_are_not_amazons(self, ec2: Any, base: str) -> None:
        ec2.create_image(InstanceId=run(ec2, base), Name=unique("image"))
        own = ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
        amazons = ec2.describe_snapshots(OwnerIds=["amazon"])["Snapshots"]
        assert {each["OwnerId"] for each in own} == {"123456789012"}
        assert own
        assert len(amazons) > 100
        assert not {each["SnapshotId"] for each in own} & {each["SnapshotId"] for each in amazons}


class TestKeyPairs:
    def test_they_are_found_by_tag_and_deleted_by_id(self, ec2: Any) -> None:
        name = unique("key")
        made = ec2.create_key_pair(KeyName=name, TagSpecifications=tagged("key-pair", bake=name))
        found = ec2.describe_key_pairs(Filters=with_tag("bake", name))["KeyPairs"]
        assert [(each["KeyName"], each["KeyPairId"]) for each in found] == [
            (name, made["KeyPairId"])
        ]
        ec2.delete_key_pair(KeyPairId=made["KeyPairId"])
        assert ec2.describe_key_pairs(Filters=with_tag("bake", name))["KeyPairs"] == []
        ec2.delete_key_pair(KeyName=name)
