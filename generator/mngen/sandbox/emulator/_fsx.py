"""FSx for Lustre: moto keeps what it is sent, and refuses nothing; it has no links to S3.

File systems and links are here made, described, changed and deleted as Amazon's API reference has
it, with what it refuses: sizes, throughput, versions, keys and backups that a deployment type does
not have; more than one subnet; groups that keep Lustre out; links whose paths overlap, or whose
bucket does not exist. A state that takes minutes on AWS is over with the next question: what is
created is then available, and what is changed or deleted is done.

Groups must let Lustre through among the file servers on all ports of AWS's page, in both
directions; the error that AWS documents speaks of port 988 alone, here it names the first port that
is closed.

The first link of a file system has FSx make the role with which it reads buckets. Another link
that is asked for meanwhile fails, as users of Terraform report. No source describes what FSx does
inside: here, meanwhile lasts until the state of the first one is asked for.

Not here: other kinds of file systems, other storage than SSD, EFA, metadata performance, root
squash, tasks of data repositories, file caches, whether a KMS key exists, and what the caller and
FSx may do with a bucket.

Source: the model `fsx` of botocore 1.44 and the API reference that is made from it,
https://docs.aws.amazon.com/fsx/latest/APIReference/API_CreateFileSystem.html,
API_CreateFileSystemLustreConfiguration.html, API_UpdateFileSystem.html,
API_CreateDataRepositoryAssociation.html; for groups,
https://docs.aws.amazon.com/fsx/latest/LustreGuide/cannot-create-fs.html; for paths of links,
https://docs.aws.amazon.com/fsx/latest/LustreGuide/create-dra-linked-data-repo.html; for states of
links, https://docs.aws.amazon.com/fsx/latest/LustreGuide/dra-lifecycles.html; for a bucket that
FSx does not reach, https://docs.aws.amazon.com/fsx/latest/LustreGuide/s3-validation-error.html; for
links that fail, https://github.com/hashicorp/terraform-provider-aws/issues/24678.
"""

from __future__ import annotations

import json
import secrets
import time
from ipaddress import IPv4Network
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.ec2.exceptions import InvalidSubnetIdError
from moto.ec2.models import ec2_backends
from moto.fsx.responses import FSxResponse
from moto.s3.models import s3_backends

from mngen.sandbox.emulator._patch import patch

_LNET_PORTS = ((988, 988), (1018, 1023))
_MOST_LINKS = 8
_UNREACHABLE = (
    "Amazon FSx is unable to validate access to the S3 bucket. Ensure the IAM role or user you are "
    "using has s3:Get*, s3:List* and s3:PutObject permissions to the S3 bucket prefix."
)
_NO_ROLE_YET = (
    "Amazon FSx does not have the required permissions for the S3 bucket. Verify that FSx has "
    "correct permissions by checking the bucket policy."
)
_VERSIONS = ("2.10", "2.12", "2.15")
_PERSISTENT = {"PERSISTENT_1": (50, 100, 200), "PERSISTENT_2": (125, 250, 500, 1000)}
_TYPES = ("SCRATCH_1", "SCRATCH_2", *_PERSISTENT)
_PERSISTENT_ONLY = ("AutomaticBackupRetentionDays", "PerUnitStorageThroughput")
_NOT_HERE = (
    *("AutoImportPolicy", "DataReadCacheConfiguration", "DriveCacheType", "EfaEnabled"),
    *("ExportPath", "ImportPath", "ImportedFileChunkSize", "MetadataConfiguration"),
    *("RootSquashConfiguration", "ThroughputCapacity"),
)

Data = dict[str, Any]


class Lustre:
    """The actions, in the place of moto's."""

    body: Any
    fsx_backend: Any

    def create_file_system(self) -> str:
        """Makes a file system, or refuses what FSx does not offer."""
        asked = json.loads(self.body)
        if asked.get("FileSystemType") != "LUSTRE":
            raise NotImplementedError(f"FileSystemType {asked.get('FileSystemType')}")
        return json.dumps({"FileSystem": _create(self.fsx_backend, asked)})

    def describe_file_systems(self) -> str:
        """Describes file systems; an id that there is not is an error."""
        asked = json.loads(self.body)
        systems = _systems(self.fsx_backend)
        names = asked.get("FileSystemIds") or list(systems)
        found = [_tagged(self.fsx_backend, _system(self.fsx_backend, name)) for name in names]
        return json.dumps({"FileSystems": found})

    def update_file_system(self) -> str:
        """Changes a file system in place."""
        asked = json.loads(self.body)
        system = _system(self.fsx_backend, asked["FileSystemId"])
        _update(self.fsx_backend, system, asked)
        return json.dumps({"FileSystem": _tagged(self.fsx_backend, system)})

    def delete_file_system(self) -> str:
        """Deletes a file system with its links and its network interfaces."""
        asked = json.loads(self.body)
        backend = self.fsx_backend
        system = _system(backend, asked["FileSystemId"])
        for interface in system["NetworkInterfaceIds"]:
            _ec2(backend).delete_network_interface(interface)
        for name, link in list(_links(backend).items()):
            if link["FileSystemId"] == system["FileSystemId"]:
                del _links(backend)[name]
        del _systems(backend)[system["FileSystemId"]]
        return json.dumps({"FileSystemId": system["FileSystemId"], "Lifecycle": "DELETING"})

    def create_data_repository_association(self) -> str:
        """Links a folder to S3, or refuses a path that overlaps or that FSx does not reach."""
        link = _link(self.fsx_backend, json.loads(self.body))
        return json.dumps({"Association": {**link, "Lifecycle": "CREATING"}})

    def describe_data_repository_associations(self) -> str:
        """Describes links by their ids, or those that filters name."""
        asked = json.loads(self.body)
        links = _links(self.fsx_backend)
        for name in asked.get("AssociationIds") or ():
            if name not in links:
                raise _no_link(name)
        found = [
            link
            for name, link in links.items()
            if name in (asked.get("AssociationIds") or links)
            and all(_passes(link, each) for each in asked.get("Filters") or ())
        ]
        for link in found:
            if link["Lifecycle"] == "CREATING":
                link["Lifecycle"] = "AVAILABLE"
        answer = [_tagged(self.fsx_backend, link) for link in found]
        return json.dumps({"Associations": answer})

    def update_data_repository_association(self) -> str:
        """Changes what a link imports and exports; a policy that is not sent stays."""
        asked = json.loads(self.body)
        link = _links(self.fsx_backend).get(asked["AssociationId"])
        if link is None:
            raise _no_link(asked["AssociationId"])
        if "ImportedFileChunkSize" in asked:
            link["ImportedFileChunkSize"] = asked["ImportedFileChunkSize"]
        link["S3"] = {**link["S3"], **(asked.get("S3") or {})}
        return json.dumps({"Association": _tagged(self.fsx_backend, link)})

    def delete_data_repository_association(self) -> str:
        """Removes a link."""
        asked = json.loads(self.body)
        if _links(self.fsx_backend).pop(asked["AssociationId"], None) is None:
            raise _no_link(asked["AssociationId"])
        return json.dumps({"AssociationId": asked["AssociationId"], "Lifecycle": "DELETING"})


def _create(backend: Any, asked: Data) -> Data:
    lustre = asked.get("LustreConfiguration") or {}
    unknown = [name for name in _NOT_HERE if lustre.get(name)]
    if unknown or asked.get("StorageType", "SSD") != "SSD":
        raise NotImplementedError(f"{', '.join(unknown) or asked['StorageType']} of FSx for Lustre")
    kind = lustre.get("DeploymentType", "SCRATCH_1")
    version = asked.get("FileSystemTypeVersion") or (
        "2.12" if kind == "PERSISTENT_2" else _VERSIONS[0]
    )
    _check_kind(kind, version, lustre, asked)
    _check_size(kind, asked.get("StorageCapacity"))
    subnet, groups = _network(backend, asked)
    identifier = f"fs-{secrets.token_hex(9)[1:]}"
    interface = _ec2(backend).create_network_interface(
        subnet, None, group_ids=groups, description=f"Amazon FSx {identifier}"
    )
    system: Data = {
        "OwnerId": backend.account_id,
        "CreationTime": time.time(),
        "FileSystemId": identifier,
        "FileSystemType": "LUSTRE",
        "FileSystemTypeVersion": version,
        "Lifecycle": "AVAILABLE",
        "StorageCapacity": asked["StorageCapacity"],
        "StorageType": "SSD",
        "VpcId": subnet.vpc_id,
        "SubnetIds": [subnet.id],
        "NetworkInterfaceIds": [interface.id],
        "DNSName": f"{identifier}.fsx.{backend.region_name}.amazonaws.com",
        "ResourceARN": f"arn:{backend.partition}:fsx:{backend.region_name}:{backend.account_id}"
        f":file-system/{identifier}",
        "LustreConfiguration": {
            "DeploymentType": kind,
            "MountName": "fsx" if kind == "SCRATCH_1" else secrets.token_hex(4),
            "WeeklyMaintenanceStartTime": lustre.get("WeeklyMaintenanceStartTime", "1:05:00"),
            "DataCompressionType": lustre.get("DataCompressionType", "NONE"),
            "CopyTagsToBackups": bool(lustre.get("CopyTagsToBackups")),
            "LogConfiguration": {"Level": "DISABLED"},
        },
    }
    if kind in _PERSISTENT:
        system["KmsKeyId"] = asked.get("KmsKeyId") or (
            f"arn:{backend.partition}:kms:{backend.region_name}:{backend.account_id}"
            ":key/00000000-0000-4000-8000-00000000f5f5"
        )
        system["LustreConfiguration"] |= {
            "PerUnitStorageThroughput": lustre["PerUnitStorageThroughput"],
            "AutomaticBackupRetentionDays": lustre.get("AutomaticBackupRetentionDays", 0),
        }
    _systems(backend)[identifier] = system
    backend.tagger.tag_resource(system["ResourceARN"], asked.get("Tags") or [])
    return {**_tagged(backend, system), "Lifecycle": "CREATING"}


def _check_kind(kind: str, version: str, lustre: Data, asked: Data) -> None:
    """Refuses what a deployment type does not have."""
    if kind not in _TYPES:
        raise JsonRESTError("BadRequest", f"DeploymentType {kind} is not valid")
    if version not in _VERSIONS or (kind == "PERSISTENT_2" and version == _VERSIONS[0]):
        raise JsonRESTError(
            "BadRequest", f"FileSystemTypeVersion {version} is not supported for {kind}"
        )
    throughput = lustre.get("PerUnitStorageThroughput")
    if kind in _PERSISTENT:
        _check_throughput(kind, throughput)
        return
    for name in _PERSISTENT_ONLY:
        # The provider sends no zeros.
        if lustre.get(name):
            raise JsonRESTError(
                "IncompatibleParameterError", f"{name} is not supported for {kind} file systems"
            )
    if asked.get("KmsKeyId"):
        raise JsonRESTError(
            "IncompatibleParameterError", f"KmsKeyId is not supported for {kind} file systems"
        )


def _check_throughput(kind: str, throughput: int | None) -> None:
    if throughput not in _PERSISTENT[kind]:
        raise JsonRESTError(
            "InvalidPerUnitStorageThroughput",
            f"PerUnitStorageThroughput {throughput} is not valid for {kind}: use one of "
            f"{', '.join(map(str, _PERSISTENT[kind]))}",
        )


def _check_size(kind: str, size: int | None) -> None:
    step = 3600 if kind == "SCRATCH_1" else 2400
    if size not in (1200, 2400) and (not size or size % step):
        raise JsonRESTError("BadRequest", f"StorageCapacity {size} is not valid for {kind}")


def _network(backend: Any, asked: Data) -> tuple[Any, list[str]]:
    """Returns subnet and groups, or refuses those that FSx does not take."""
    ec2 = _ec2(backend)
    if len(asked.get("SubnetIds") or ()) != 1:
        raise JsonRESTError("InvalidNetworkSettings", "Exactly one subnet ID must be provided")
    try:
        subnet = ec2.get_subnet(asked["SubnetIds"][0])
    except InvalidSubnetIdError as error:
        raise JsonRESTError("InvalidNetworkSettings", str(error)) from error
    names = asked.get("SecurityGroupIds") or [ec2.get_default_security_group(subnet.vpc_id).id]
    groups = [ec2.get_security_group_from_id(name) for name in names]
    if None in groups or any(group.vpc_id != subnet.vpc_id for group in groups):
        raise JsonRESTError("InvalidNetworkSettings", f"{names} are not groups of {subnet.vpc_id}")
    own = IPv4Network(subnet.cidr_block)
    for first, last in _LNET_PORTS:
        ways = (
            [rule for group in groups for rule in group.ingress_rules],
            [rule for group in groups for rule in group.egress_rules],
        )
        if not all(any(_lets(rule, first, last, names, own) for rule in way) for way in ways):
            raise JsonRESTError(
                "InvalidNetworkSettings",
                "The file system cannot be created because the default security group in the "
                "subnet provided or the provided security groups do not permit Lustre LNET network "
                f"traffic on port {first}",
            )
    return subnet, names


def _lets(rule: Any, first: int, last: int, groups: list[str], subnet: IPv4Network) -> bool:
    """Whether a rule is about some ports, and about the groups themselves or the whole subnet."""
    ported = rule.ip_protocol == "-1" or (
        rule.ip_protocol == "tcp" and int(rule.from_port) <= first and last <= int(rule.to_port)
    )
    cidr = rule.ip_range.get("CidrIp")
    return bool(
        ported
        and (
            rule.source_group.get("GroupId") in groups
            or (cidr and subnet.subnet_of(IPv4Network(cidr)))
        )
    )


def _update(backend: Any, system: Data, asked: Data) -> None:
    lustre, changes = system["LustreConfiguration"], asked.get("LustreConfiguration") or {}
    kind, size = lustre["DeploymentType"], asked.get("StorageCapacity")
    unknown = [name for name in _NOT_HERE if changes.get(name)]
    if unknown:
        raise NotImplementedError(f"{', '.join(unknown)} of FSx for Lustre")
    if size is not None:
        if kind == "SCRATCH_1" or size <= system["StorageCapacity"] or size % 2400:
            raise JsonRESTError(
                "BadRequest",
                f"StorageCapacity {size} must be a multiple of 2400 and larger than "
                f"{system['StorageCapacity']}",
            )
        system["StorageCapacity"] = size
    version = asked.get("FileSystemTypeVersion")
    if version is not None:
        if version not in _VERSIONS or version <= system["FileSystemTypeVersion"]:
            raise JsonRESTError("BadRequest", f"FileSystemTypeVersion {version} is not newer")
        system["FileSystemTypeVersion"] = version
    for name in _PERSISTENT_ONLY:
        if changes.get(name) and kind not in _PERSISTENT:
            raise JsonRESTError("IncompatibleParameterError", f"{name} is not supported for {kind}")
    if changes.get("PerUnitStorageThroughput"):
        _check_throughput(kind, changes["PerUnitStorageThroughput"])
    if changes.get("AutomaticBackupRetentionDays") and any(
        link["FileSystemId"] == system["FileSystemId"] for link in _links(backend).values()
    ):
        raise _linked_with_backups()
    lustre |= changes
    system["AdministrativeActions"] = [
        {
            "AdministrativeActionType": "FILE_SYSTEM_UPDATE",
            "RequestTime": time.time(),
            "Status": "COMPLETED",
        }
    ]


def _link(backend: Any, asked: Data) -> Data:
    system = _system(backend, asked["FileSystemId"])
    lustre = system["LustreConfiguration"]
    if lustre["DeploymentType"] == "SCRATCH_1" or system["FileSystemTypeVersion"] == _VERSIONS[0]:
        raise JsonRESTError(
            "UnsupportedOperation", "Data repository associations need Lustre 2.12 or 2.15"
        )
    if lustre.get("AutomaticBackupRetentionDays"):
        raise _linked_with_backups()
    others = [
        each for each in _links(backend).values() if each["FileSystemId"] == system["FileSystemId"]
    ]
    if len(others) == _MOST_LINKS:
        raise JsonRESTError("ServiceLimitExceeded", "8 data repository associations exist already")
    folder = asked.get("FileSystemPath", "/")
    path = asked["DataRepositoryPath"]
    for each in others:
        if _overlap(each["FileSystemPath"], folder) or _overlap(each["DataRepositoryPath"], path):
            raise JsonRESTError(
                "BadRequest", f"{folder} or {path} overlaps with {each['AssociationId']}"
            )
    bucket = path.removeprefix("s3://").partition("/")[0]
    if bucket not in s3_backends[backend.account_id][backend.partition].buckets:
        # AWS has this message for a caller without rights. That a bucket which does not exist is
        # answered alike is inferred.
        raise JsonRESTError("BadRequest", _UNREACHABLE)
    states = {each["Lifecycle"] for each in others}
    has_role = "AVAILABLE" in states or "CREATING" not in states
    identifier = f"dra-{secrets.token_hex(9)[1:]}"
    link: Data = {
        "AssociationId": identifier,
        "ResourceARN": f"arn:{backend.partition}:fsx:{backend.region_name}:{backend.account_id}"
        f":association/{system['FileSystemId']}/{identifier}",
        "FileSystemId": system["FileSystemId"],
        "Lifecycle": "CREATING" if has_role else "FAILED",
        **({} if has_role else {"FailureDetails": {"Message": _NO_ROLE_YET}}),
        "FileSystemPath": folder,
        "DataRepositoryPath": path,
        "BatchImportMetaDataOnCreate": bool(asked.get("BatchImportMetaDataOnCreate")),
        "ImportedFileChunkSize": asked.get("ImportedFileChunkSize", 1024),
        "S3": asked.get("S3") or {},
        "CreationTime": time.time(),
    }
    _links(backend)[identifier] = link
    backend.tagger.tag_resource(link["ResourceARN"], asked.get("Tags") or [])
    return _tagged(backend, link)


def _overlap(one: str, other: str) -> bool:
    first, second = f"{one.rstrip('/')}/", f"{other.rstrip('/')}/"
    return first.startswith(second) or second.startswith(first)


def _passes(link: Data, wanted: Data) -> bool:
    kept = {"file-system-id": link["FileSystemId"], "data-repository-type": "S3"}
    if wanted["Name"] not in kept:
        raise NotImplementedError(f"the filter {wanted['Name']} of FSx")
    return kept[wanted["Name"]] in wanted["Values"]


def _tagged(backend: Any, resource: Data) -> Data:
    """Returns a file system or a link with its tags, which the tagging actions may have changed."""
    tags = backend.list_tags_for_resource(resource["ResourceARN"])
    return {**resource, **({"Tags": tags} if tags else {})}


def _ec2(backend: Any) -> Any:
    return ec2_backends[backend.account_id][backend.region_name]


def _systems(backend: Any) -> dict[str, Data]:
    """Returns the Lustre file systems of a region, by id."""
    found: dict[str, Data] = vars(backend).setdefault("lustre_systems", {})
    return found


def _links(backend: Any) -> dict[str, Data]:
    found: dict[str, Data] = vars(backend).setdefault("lustre_links", {})
    return found


def _system(backend: Any, name: str) -> Data:
    found = _systems(backend).get(name)
    if found is None:
        raise JsonRESTError("FileSystemNotFound", f"File system '{name}' does not exist.")
    return found


def _no_link(name: str) -> JsonRESTError:
    return JsonRESTError(
        "DataRepositoryAssociationNotFound", f"Data repository association {name} does not exist"
    )


def _linked_with_backups() -> JsonRESTError:
    return JsonRESTError(
        "BadRequest", "Backups cannot be enabled on file systems that are linked to S3"
    )


def close() -> None:
    """Closes the gaps of FSx for Lustre."""
    patch(
        FSxResponse,
        Lustre,
        adds=(
            "update_file_system",
            "create_data_repository_association",
            "describe_data_repository_associations",
            "update_data_repository_association",
            "delete_data_repository_association",
        ),
    )
