"""What an account answers is asked for once, however many rules need it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from mngen.account import Account
from mngen.catalog import load_catalog
from mngen.rules import require
from mngen.spec import load_text

if TYPE_CHECKING:
    from collections.abc import Iterator

SPEC = """\
name: seismic
region: cn-north-1
network: {vpc: default, endpoints: [s3, ecr.api, logs]}
storage: {efs: {id: fs-0123456789abcdef0, security_group: sg-0123456789abcdef0}}
environments:
  r5: {instance: r5.12xlarge, max_nodes: 4}
queues:
  mpi: {environments: [r5]}
"""


class FileSystemNotFoundError(Exception):
    """As a client of EFS raises it."""


class NoSuchEntityError(Exception):
    """As a client of IAM raises it."""


class Client:
    """A client that notes what it is asked for."""

    exceptions = SimpleNamespace(
        FileSystemNotFound=FileSystemNotFoundError, NoSuchEntityException=NoSuchEntityError
    )

    def __init__(self, *, empty: bool = False) -> None:
        self.asked: list[str] = []
        self.empty = empty

    def describe_file_systems(self, **named: str) -> dict[str, Any]:
        self.asked.append("describe_file_systems")
        if self.empty:
            raise FileSystemNotFoundError
        return {"FileSystems": [named]}

    def get_role(self, **named: str) -> dict[str, Any]:
        self.asked.append("get_role")
        if self.empty:
            raise NoSuchEntityError
        return {"Role": {"Arn": f"arn:aws-cn:iam::123456789012:role/lab/{named['RoleName']}"}}

    def get_paginator(self, operation: str) -> SimpleNamespace:
        def paginate(**named: Any) -> Iterator[dict[str, Any]]:
            self.asked.append(operation)
            if operation == "describe_mount_targets":
                yield {"MountTargets": [{"MountTargetId": "fsmt-1"}]}
                yield {"MountTargets": [{"MountTargetId": "fsmt-2"}]}
                return
            for name in named["Filters"][0]["Values"]:
                zones = [] if self.empty else ["cn-north-1a"]
                yield {"ServiceDetails": [{"ServiceName": name, "AvailabilityZones": zones}]}

        return SimpleNamespace(paginate=paginate)


def account(client: Client, spec: str = SPEC) -> Account:
    cluster = require(load_text(spec.encode()), load_catalog())
    return Account(cluster, {}, lambda _service, _region: client)


def test_mount_targets_of_a_file_system() -> None:
    client = Client()
    asking = account(client)
    for _ in range(2):
        assert [each["MountTargetId"] for each in asking.mount_targets] == ["fsmt-1", "fsmt-2"]
        assert asking.file_system is not None
        assert asking.file_system["FileSystemId"] == "fs-0123456789abcdef0"
    assert client.asked == ["describe_file_systems", "describe_mount_targets"]


def test_a_file_system_that_is_not_there_has_no_mount_targets() -> None:
    client = Client(empty=True)
    asking = account(client)
    assert (asking.file_system, asking.mount_targets) == (None, [])
    assert client.asked == ["describe_file_systems"]


def test_a_new_file_system_is_not_asked_for() -> None:
    client = Client()
    spec = "".join(line for line in SPEC.splitlines(keepends=True) if "storage" not in line)
    assert account(client, spec).mount_targets == []
    assert client.asked == []


def test_zones_of_endpoint_services() -> None:
    client = Client()
    asking = account(client)
    for _ in range(2):
        # The gateway endpoint of S3 has no zones.
        assert asking.endpoint_zones == {"ecr.api": {"cn-north-1a"}, "logs": {"cn-north-1a"}}
    assert client.asked == ["describe_vpc_endpoint_services"]
    assert account(Client(empty=True)).endpoint_zones == {"ecr.api": set(), "logs": set()}


def test_a_role_is_that_of_its_whole_arn() -> None:
    client = Client()
    asking = account(client)
    arn = "arn:aws-cn:iam::123456789012:role/lab/jobs"
    for _ in range(2):
        role = asking.role(arn)
        assert role is not None
        assert role["Arn"] == arn
        assert asking.role(arn.replace("/lab", "")) is None
    assert client.asked == ["get_role", "get_role"]


def test_a_role_that_is_not_there_is_asked_for_once() -> None:
    client = Client(empty=True)
    asking = account(client)
    for _ in range(2):
        assert asking.role("arn:aws-cn:iam::123456789012:role/gone") is None
    assert client.asked == ["get_role"]
