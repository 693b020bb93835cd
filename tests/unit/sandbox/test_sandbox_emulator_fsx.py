"""The emulated FSx for Lustre offers what AWS offers, and refuses the rest.

What is valid, and the names of errors, are those of AWS's own model of the API, which botocore
ships.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest

from tests.support.sandbox import client, error_code, unique

if TYPE_CHECKING:
    from mngen.sandbox import Sandbox

# https://docs.aws.amazon.com/fsx/latest/LustreGuide/limit-access-security-groups.html
_LNET = [
    {"IpProtocol": "tcp", "FromPort": first, "ToPort": last}
    for first, last in ((988, 988), (1018, 1023))
]


@pytest.fixture(scope="module")
def fsx(sandbox: Sandbox) -> Any:
    return client(sandbox, "fsx")


@pytest.fixture(scope="module")
def place(sandbox: Sandbox) -> dict[str, Any]:
    """A subnet, and a group that lets Lustre through among its members."""
    ec2 = client(sandbox, "ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.0.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName=unique("g"), Description="x", VpcId=vpc)["GroupId"]
    itself = [{**each, "UserIdGroupPairs": [{"GroupId": group}]} for each in _LNET]
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=itself)
    return {"SubnetIds": [subnet], "SecurityGroupIds": [group]}


def asked(place: dict[str, Any], kind: str, size: int = 1200, **settings: Any) -> dict[str, Any]:
    return {
        "FileSystemType": "LUSTRE",
        "FileSystemTypeVersion": "2.15",
        "StorageCapacity": size,
        "LustreConfiguration": {"DeploymentType": kind, **settings},
        **place,
    }


def documented(shape: str, member: str) -> str:
    model = botocore.session.get_session().get_service_model("fsx")
    text: str = model.shape_for(shape).members[member].documentation  # type: ignore[attr-defined]
    return re.sub(r"<[^>]+>", "", text)


@pytest.mark.parametrize("kind", ["PERSISTENT_1", "PERSISTENT_2"])
def test_throughput_is_what_the_model_lists(kind: str, fsx: Any, place: dict[str, Any]) -> None:
    text = documented("CreateFileSystemLustreConfiguration", "PerUnitStorageThroughput")
    [listed] = re.findall(rf"For {kind} SSD storage: ([0-9, ]+) MB", text)
    for value in map(int, listed.split(",")):
        made = fsx.create_file_system(**asked(place, kind, PerUnitStorageThroughput=value))
        assert made["FileSystem"]["Lifecycle"] == "CREATING"
        fsx.delete_file_system(FileSystemId=made["FileSystem"]["FileSystemId"])
    for wrong in ({}, {"PerUnitStorageThroughput": 75}):
        assert error_code(fsx.create_file_system, **asked(place, kind, **wrong)) == (
            "InvalidPerUnitStorageThroughput"
        )


def test_sizes_are_what_the_model_lists(fsx: Any, place: dict[str, Any]) -> None:
    text = documented("CreateFileSystemRequest", "StorageCapacity")
    assert "SCRATCH_2, PERSISTENT_2, and PERSISTENT_1 deployment types using SSD" in text
    assert "valid values are 1200 GiB, 2400 GiB, and increments of 2400 GiB" in text
    for size in (1200, 2400, 7200):
        made = fsx.create_file_system(**asked(place, "SCRATCH_2", size))["FileSystem"]
        fsx.delete_file_system(FileSystemId=made["FileSystemId"])
    for size in (1000, 3600):
        assert error_code(fsx.create_file_system, **asked(place, "SCRATCH_2", size)) == "BadRequest"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (
            {
                "LustreConfiguration": {
                    "DeploymentType": "SCRATCH_2",
                    "PerUnitStorageThroughput": 50,
                }
            },
            "IncompatibleParameterError",
        ),
        (
            {
                "LustreConfiguration": {
                    "DeploymentType": "SCRATCH_2",
                    "AutomaticBackupRetentionDays": 1,
                }
            },
            "IncompatibleParameterError",
        ),
        ({"KmsKeyId": "arn:aws:kms:us-east-1:123456789012:key/1"}, "IncompatibleParameterError"),
        ({"FileSystemTypeVersion": "2.14"}, "BadRequest"),
        ({"SubnetIds": ["subnet-0a1b2c3d4e5f60718"]}, "InvalidNetworkSettings"),
        ({"SecurityGroupIds": ["sg-0a1b2c3d4e5f60718"]}, "InvalidNetworkSettings"),
        ({"FileSystemType": "ONTAP"}, "SandboxNotImplemented"),
    ],
)
def test_what_fsx_does_not_offer_is_refused(
    change: dict[str, Any], code: str, fsx: Any, place: dict[str, Any]
) -> None:
    assert error_code(fsx.create_file_system, **{**asked(place, "SCRATCH_2"), **change}) == code


def test_only_one_subnet_is_taken(fsx: Any, place: dict[str, Any]) -> None:
    twice = {"SubnetIds": place["SubnetIds"] * 2}
    request = {**asked(place, "SCRATCH_2"), **twice}
    assert error_code(fsx.create_file_system, **request) == "InvalidNetworkSettings"


@pytest.mark.parametrize(
    ("ingress", "egress", "closed"),
    [
        (_LNET, True, ""),
        ([], True, "988"),
        (_LNET[1:], True, "988"),
        (_LNET[:1], True, "1018"),
        (_LNET, False, "988"),
    ],
    ids=["open", "closed", "no 988", "only 988", "no way out"],
)
@pytest.mark.parametrize("cidr", ["10.9.0.0/24", "10.9.0.0/25"], ids=["subnet", "half of it"])
def test_a_group_that_keeps_lustre_out_is_refused(
    ingress: list[dict[str, Any]],
    egress: bool,
    closed: str,
    cidr: str,
    sandbox: Sandbox,
    fsx: Any,
    place: dict[str, Any],
) -> None:
    """What cannot-create-fs.html asks for: from the group itself or the full subnet."""
    ec2 = client(sandbox, "ec2")
    [subnet] = ec2.describe_subnets(SubnetIds=place["SubnetIds"])["Subnets"]
    group = ec2.create_security_group(
        GroupName=unique("g"), Description="x", VpcId=subnet["VpcId"]
    )["GroupId"]
    rules = [{**each, "IpRanges": [{"CidrIp": cidr}]} for each in ingress]
    if rules:
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=rules)
    if not egress:
        [made] = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
        ec2.revoke_security_group_egress(GroupId=group, IpPermissions=made["IpPermissionsEgress"])
    request = {**asked(place, "SCRATCH_2"), "SecurityGroupIds": [group]}
    if closed or cidr.endswith("/25"):
        with pytest.raises(fsx.exceptions.InvalidNetworkSettings) as refused:
            fsx.create_file_system(**request)
        port = closed if cidr.endswith("/24") else "988"
        assert refused.value.response["Error"]["Message"].endswith(f"traffic on port {port}")
    else:
        made = fsx.create_file_system(**request)["FileSystem"]
        fsx.delete_file_system(FileSystemId=made["FileSystemId"])


def test_a_file_system_grows_and_is_gone_when_it_is_deleted(
    sandbox: Sandbox, fsx: Any, place: dict[str, Any]
) -> None:
    made = fsx.create_file_system(**asked(place, "SCRATCH_2"), Tags=[{"Key": "a", "Value": "b"}])
    name = made["FileSystem"]["FileSystemId"]
    [there] = fsx.describe_file_systems(FileSystemIds=[name])["FileSystems"]
    assert there["Lifecycle"] == "AVAILABLE"
    assert there["Tags"] == [{"Key": "a", "Value": "b"}]
    # What AWS's model requires of the name that clients mount.
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,8}", there["LustreConfiguration"]["MountName"])
    assert there["DNSName"] == f"{name}.fsx.us-east-1.amazonaws.com"
    ec2 = client(sandbox, "ec2")
    group = {"Name": "group-id", "Values": place["SecurityGroupIds"]}
    interfaces = ec2.describe_network_interfaces(Filters=[group])["NetworkInterfaces"]
    assert [each["NetworkInterfaceId"] for each in interfaces] == there["NetworkInterfaceIds"]
    for size in (1200, 3600):
        assert error_code(fsx.update_file_system, FileSystemId=name, StorageCapacity=size) == (
            "BadRequest"
        )
    fsx.update_file_system(FileSystemId=name, StorageCapacity=2400)
    [grown] = fsx.describe_file_systems(FileSystemIds=[name])["FileSystems"]
    assert grown["StorageCapacity"] == 2400
    fsx.delete_file_system(FileSystemId=name)
    assert error_code(fsx.describe_file_systems, FileSystemIds=[name]) == "FileSystemNotFound"
    assert ec2.describe_network_interfaces(Filters=[group])["NetworkInterfaces"] == []


def test_links_do_not_overlap_and_exclude_backups(
    sandbox: Sandbox, fsx: Any, place: dict[str, Any]
) -> None:
    client(sandbox, "s3").create_bucket(Bucket="cases")
    persistent = asked(place, "PERSISTENT_2", PerUnitStorageThroughput=125)
    name = fsx.create_file_system(**persistent)["FileSystem"]["FileSystemId"]
    link = {"FileSystemId": name, "FileSystemPath": "/a", "DataRepositoryPath": "s3://cases/a"}
    made = fsx.create_data_repository_association(**link)["Association"]
    by_system = [{"Name": "file-system-id", "Values": [name]}]
    [there] = fsx.describe_data_repository_associations(Filters=by_system)["Associations"]
    assert (there["Lifecycle"], there["DataRepositoryPath"]) == ("AVAILABLE", "s3://cases/a")
    for change in (
        {"DataRepositoryPath": "s3://cases/b"},
        {"FileSystemPath": "/a/b", "DataRepositoryPath": "s3://cases/b"},
        {"FileSystemPath": "/b", "DataRepositoryPath": "s3://cases/a/b"},
        {"FileSystemPath": "/b", "DataRepositoryPath": "s3://cases/"},
    ):
        assert error_code(fsx.create_data_repository_association, **{**link, **change}) == (
            "BadRequest"
        )
    daily = {"AutomaticBackupRetentionDays": 7}
    assert error_code(fsx.update_file_system, FileSystemId=name, LustreConfiguration=daily) == (
        "BadRequest"
    )
    other = {**link, "FileSystemPath": "/c", "DataRepositoryPath": "s3://no-such-bucket/"}
    assert error_code(fsx.create_data_repository_association, **other) == "BadRequest"
    fsx.delete_data_repository_association(AssociationId=made["AssociationId"])
    assert (
        error_code(
            fsx.describe_data_repository_associations, AssociationIds=[made["AssociationId"]]
        )
        == "DataRepositoryAssociationNotFound"
    )


def test_a_link_fails_while_the_first_one_of_a_file_system_is_made(
    sandbox: Sandbox, fsx: Any, place: dict[str, Any]
) -> None:
    """https://github.com/hashicorp/terraform-provider-aws/issues/24678"""
    client(sandbox, "s3").create_bucket(Bucket="several")
    name = fsx.create_file_system(**asked(place, "SCRATCH_2"))["FileSystem"]["FileSystemId"]

    def link(folder: str) -> str:
        made = fsx.create_data_repository_association(
            FileSystemId=name,
            FileSystemPath=f"/{folder}",
            DataRepositoryPath=f"s3://several/{folder}/",
        )["Association"]
        assert made["Lifecycle"] == "CREATING"
        identifier: str = made["AssociationId"]
        return identifier

    def state(identifier: str) -> tuple[str, str]:
        [found] = fsx.describe_data_repository_associations(AssociationIds=[identifier])[
            "Associations"
        ]
        return found["Lifecycle"], found.get("FailureDetails", {}).get("Message", "")

    first, second = link("a"), link("b")
    lifecycle, why = state(second)
    assert lifecycle == "FAILED"
    assert why.startswith("Amazon FSx does not have the required permissions for the S3 bucket.")
    assert state(first) == ("AVAILABLE", "")
    fsx.delete_data_repository_association(AssociationId=second)
    # With the role, more than one is made at a time.
    third, fourth = link("b"), link("c")
    assert state(third) == state(fourth) == ("AVAILABLE", "")


def test_an_older_lustre_has_no_links(fsx: Any, place: dict[str, Any]) -> None:
    old = {**asked(place, "SCRATCH_2"), "FileSystemTypeVersion": "2.10"}
    name = fsx.create_file_system(**old)["FileSystem"]["FileSystemId"]
    assert (
        error_code(
            fsx.create_data_repository_association,
            FileSystemId=name,
            FileSystemPath="/a",
            DataRepositoryPath="s3://cases/",
        )
        == "UnsupportedOperation"
    )
