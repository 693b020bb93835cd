"""Which FSx for Lustre file system a deployment has, and what is asked about it."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from mngen.adoption._deployed import (
    Deployed,
    Vpc,
    _read_keys,
    _read_lustre,
    _read_lustre_groups,
)

LINK = {"FileSystemPath": "/cases", "DataRepositoryPath": "s3://my-cases/"}


def system(identifier: str, **more: Any) -> dict[str, Any]:
    return {"FileSystemId": identifier, "FileSystemType": "LUSTRE", "VpcId": "vpc-1", **more}


class Fsx:
    """A client that remembers of which file systems the links were asked for."""

    def __init__(self, *systems: dict[str, Any]) -> None:
        self.systems = systems
        self.asked: list[str] = []

    def get_paginator(self, operation: str) -> Fsx:
        assert operation == "describe_file_systems"
        return self

    def paginate(self) -> list[dict[str, Any]]:
        return [{"FileSystems": [each]} for each in self.systems]

    def describe_data_repository_associations(self, **wanted: Any) -> dict[str, Any]:
        [by_id] = wanted["Filters"]
        self.asked += by_id["Values"]
        return {"Associations": [LINK]}


NODES, LUSTRE = "sg-nodes", "sg-lustre"


def group(name: str, *rules: tuple[str, int, int]) -> dict[str, Any]:
    permissions = [
        {"FromPort": first, "ToPort": last, "UserIdGroupPairs": [{"GroupId": peer}]}
        for peer, first, last in rules
    ]
    return {"GroupId": name, "IpPermissions": permissions}


class Ec2:
    """A client with the security groups of a VPC."""

    def __init__(self, *groups: dict[str, Any]) -> None:
        self.groups = groups

    def get_paginator(self, operation: str) -> Ec2:
        assert operation == "describe_security_groups"
        return self

    def paginate(self, **wanted: Any) -> list[dict[str, Any]]:
        assert wanted == {"Filters": [{"Name": "vpc-id", "Values": ["vpc-1"]}]}
        return [{"SecurityGroups": [each]} for each in self.groups]


@pytest.mark.parametrize("own", [True, False])
def test_the_group_that_was_opened_to_the_nodes_is_found(own: bool) -> None:
    groups = (
        group(NODES, (NODES, 988, 988), (LUSTRE, 988, 988)),
        group(LUSTRE, (LUSTRE, 988, 988), (NODES, 988, 988), (NODES, 1018, 1023)),
        group("sg-wide", (NODES, 0, 65535)),
        group("sg-nfs", (NODES, 2049, 2049)),
        group("sg-other", ("sg-others", 988, 988)),
    )
    made = Deployed(name="seismic", vpc=Vpc(id="vpc-1"), groups=frozenset({NODES}))
    made.lustre, made.own_lustre = system("fs-1"), own
    client: Any = Ec2(*groups)
    _read_lustre_groups(made, client)
    assert made.lustre_from == (set() if own else {LUSTRE})


@pytest.mark.parametrize(
    ("systems", "chosen", "own", "asked"),
    [
        (
            [
                system("fs-1"),
                system("fs-2", Tags=[{"Key": "mngen:deployment", "Value": "seismic"}]),
            ],
            "fs-2",
            True,
            ["fs-2"],
        ),
        (
            [system("fs-1"), system("fs-2", VpcId="vpc-2"), system("fs-3", FileSystemType="ONTAP")],
            "fs-1",
            False,
            [],
        ),
        ([system("fs-1"), system("fs-2")], None, False, []),
        ([], None, False, []),
    ],
    ids=["own", "the only one of the VPC", "several", "none"],
)
def test_links_are_asked_for_of_the_own_file_system_alone(
    systems: list[dict[str, Any]], chosen: str | None, own: bool, asked: list[str]
) -> None:
    made, fsx = Deployed(name="seismic", vpc=Vpc(id="vpc-1")), Fsx(*systems)
    _read_lustre(made, fsx)
    assert (made.lustre.get("FileSystemId"), made.own_lustre, fsx.asked) == (chosen, own, asked)
    assert made.lustre.get("Links", []) == ([LINK] if own else [])


KEYS = {
    name: f"arn:aws:kms:us-east-1:123456789012:key/{name}"
    for name in ("of-aws", "chosen", "deleted")
}


@pytest.mark.parametrize(("lustre", "found"), [("chosen", {KEYS["chosen"]}), ("deleted", set())])
def test_keys_that_someone_chose_are_those_that_aws_does_not_manage(
    lustre: str, found: set[str]
) -> None:
    kms = boto3.client(
        "kms", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    made = Deployed(name="seismic", file_system_key=KEYS["of-aws"], own_lustre=True)
    made.lustre = system("fs-1", KmsKeyId=KEYS[lustre])
    with Stubber(kms) as stub:
        if lustre == "deleted":
            stub.add_client_error("describe_key", "NotFoundException")
        else:
            chosen = {"KeyMetadata": {"KeyId": lustre, "KeyManager": "CUSTOMER"}}
            stub.add_response("describe_key", chosen, {"KeyId": KEYS[lustre]})
        of_aws = {"KeyMetadata": {"KeyId": "of-aws", "KeyManager": "AWS"}}
        stub.add_response("describe_key", of_aws, {"KeyId": KEYS["of-aws"]})
        _read_keys(made, kms)
    assert made.keys == found
