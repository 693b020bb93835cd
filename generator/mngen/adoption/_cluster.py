"""A cluster file of AWS ParallelCluster with the scheduler awsbatch.

ParallelCluster 3.16.0 (2026) no longer has that scheduler. The keys and their defaults are those of
its schema: https://github.com/aws/aws-parallelcluster/blob/v3.15.0/cli/src/pcluster/schemas/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mngen.adoption._draft import Draft, key_of
from mngen.adoption._environments import Mapped, choose_instances, node_counts
from mngen.adoption._inventory import Inventory
from mngen.adoption._item import Item
from mngen.adoption._lines import Place
from mngen.cluster import TAG_PREFIX
from mngen.errors import InputError
from mngen.spec import parse, read_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# https://docs.aws.amazon.com/parallelcluster/latest/ug/Scheduling-v3.html (AwsBatchQueues)
_MAX_VCPUS = 10
_BASES = {"alinux2023": "amazon-linux-2023", "alinux2": "amazon-linux-2"}
_ANYWHERE = "0.0.0.0/0"
_RESERVED_TAGS = ("aws:", TAG_PREFIX, "parallelcluster:")

_NETWORKING = {"SubnetIds": [str], "SecurityGroups": [str], "AdditionalSecurityGroups": [str]}
_FORM: dict[str, Any] = {
    "Image": {"Os": str},
    "HeadNode": {"Networking": {}, "Ssh": {"KeyName": str, "AllowedIps": str}},
    "Scheduling": {
        "AwsBatchQueues": [
            {
                "Name": str,
                "CapacityType": str,
                "Networking": _NETWORKING,
                "Iam": {"AdditionalIamPolicies": [{"Policy": str}]},
                "ComputeResources": [
                    {
                        "Name": str,
                        "InstanceTypes": (str, [str]),
                        "MinvCpus": int,
                        "MaxvCpus": int,
                        "DesiredvCpus": int,
                        "SpotBidPercentage": int,
                    }
                ],
            }
        ]
    },
    "SharedStorage": [
        {"MountDir": str, "StorageType": str, "EfsSettings": {}, "FsxLustreSettings": {}}
    ],
    "Tags": [{}],
}
"""The types of what is read here.

A list has one form for all that is in it, and a tuple the form of one value and that of several.
"""

_Fault = tuple[tuple[str | int, ...], str]
_UNSAYABLE = {
    "CustomActions": "no scripts run when an instance starts: put what they do into a container, "
    "or into a playbook in `image.playbooks`",
    "CustomAmi": "mngen bakes its own AMI: put what this one adds into a container, or into "
    "`image.packages` and `image.playbooks`",
    "Dcv": "no head node, so no remote desktop",
    "S3Access": "add a policy with this access to `roles.job_policies`",
    "Proxy": "no head node: nodes reach AWS through endpoints or a NAT gateway",
}
"""Settings that change what a job sees, and what takes their place."""
_SETTINGS = {"efs": "EfsSettings", "fsx": "FsxLustreSettings"}
"""Where the settings of a file system are, by its service.

Source: `EfsSettingsSchema` and `FsxLustreSettingsSchema` in cli/src/pcluster/schemas/
cluster_schema.py of https://github.com/aws/aws-parallelcluster
"""


def read_cluster(file: Path) -> Inventory:
    """Reads a cluster file.

    Raises:
        InputError: It cannot be read, or is not a cluster file with the scheduler awsbatch.
    """
    name = str(file)
    document = parse(name, read_file(file))
    if document.problems:
        raise InputError(*document.problems)
    data = document.data
    scheduling = data.get("Scheduling") if isinstance(data, dict) else None
    if not isinstance(scheduling, dict):
        raise InputError(document.problem("expected a cluster file with a section Scheduling", ()))
    scheduler = scheduling.get("Scheduler")
    if scheduler != "awsbatch":
        raise InputError(
            document.problem(
                f'scheduler "{scheduler}": mngen imports clusters with the scheduler awsbatch',
                ("Scheduling", "Scheduler"),
            )
        )
    faults = [document.problem(words, path) for path, words in _faults(data, _FORM)]
    if faults:
        raise InputError(*faults)
    region = data.get("Region")
    return Inventory(
        source=name,
        cluster=Item(data, Place(name)),
        region=region if isinstance(region, str) else None,
    )


def _faults(value: Any, form: Any, path: tuple[str | int, ...] = ()) -> Iterator[_Fault]:
    """Yields the places where a value is not of the form that the schema gives it."""
    if value is None:
        return
    if isinstance(form, tuple):
        form = form[isinstance(value, list)]
    if isinstance(form, dict):
        if not isinstance(value, dict):
            yield path, "expected a section"
            return
        for key, below in form.items():
            yield from _faults(value.get(key), below, (*path, key))
    elif isinstance(form, list):
        if not isinstance(value, list):
            yield path, "expected a list"
            return
        for number, each in enumerate(value):
            if each is None:
                yield (*path, number), "expected a value"
            yield from _faults(each, form[0], (*path, number))
    elif not isinstance(value, form) or isinstance(value, bool):
        yield path, "expected a number" if form is int else "expected text"


def subnets_of_cluster(cluster: Item) -> list[str]:
    """Returns the subnets that a cluster file's queues name."""
    return [
        str(each)
        for queue in cluster.child("Scheduling").children("AwsBatchQueues")
        for each in queue.child("Networking").take("SubnetIds", [])
    ]


def map_cluster(draft: Draft, cluster: Item) -> tuple[list[Mapped], dict[str, Any]]:
    """Adds a cluster's queue, environment and jobs to the spec.

    Returns:
        The environments, and the sections of the spec that this file decides.
    """
    cluster.take("Region")
    sections: dict[str, Any] = {"storage": _storage(draft, cluster)}
    image = _image(draft, cluster.child("Image"))
    if image:
        sections["image"] = image
    head = cluster.child("HeadNode")
    ssh = _head_node(draft, head)
    tags = _tags(draft, cluster)
    if tags:
        sections["tags"] = tags
    scheduling = cluster.child("Scheduling")
    scheduling.take("Scheduler")
    environments = []
    policies: list[str] = []
    for queue in scheduling.children("AwsBatchQueues"):
        environments += _queue(draft, queue, policies)
    if policies:
        sections["roles"] = {"job_policies": policies}
    if ssh:
        sections["ssh"] = ssh
    for part in (scheduling, cluster):
        for key in part.left():
            draft.changed(part.at(key), "", "not carried over: it has no effect on jobs of Batch")
    draft.changed(
        Place(cluster.place.file, "/HeadNode"),
        "storage.efs",
        "/home of the head node is not shared with jobs any more",
        "copy what jobs read there to the file system",
        breaks=True,
    )
    return environments, sections


def _queue(draft: Draft, queue: Item, policies: list[str]) -> list[Mapped]:
    name = str(queue.take("Name", "queue"))
    networking = queue.child("Networking")
    groups = []
    for key in ("SecurityGroups", "AdditionalSecurityGroups"):
        groups += [
            (str(each), networking.at(key, number))
            for number, each in enumerate(networking.take(key, []))
        ]
    subnets = [
        (str(each), networking.at("SubnetIds", number))
        for number, each in enumerate(networking.take("SubnetIds", []))
    ]
    spot = str(queue.take("CapacityType", "ONDEMAND")).upper() == "SPOT"
    _policies(draft, queue, policies)
    found = []
    for resources in queue.children("ComputeResources"):
        mapped = _environment(draft, resources, spot=spot)
        if mapped:
            mapped.subnets, mapped.groups = subnets, groups
            found.append(mapped)
    for part in (networking, queue):
        _left(draft, part)
    key = key_of(name, draft.queues)
    place = queue.at("Name")
    if not found:
        draft.cannot(
            place,
            f"queues.{key}",
            "none of its compute resources can be written in a spec",
            "see the lines about them",
        )
        return []
    draft.queues[key] = {
        "environments": [each.key for each in found],
        "cancel_after": {"misconfiguration": None},
    }
    draft.changed(
        place,
        f"queues.{key}",
        f"{key}, in AWS with the name of the deployment before it: the old name is "
        "CloudFormation's",
    )
    _jobs(draft, key, place, spot=spot)
    return found


def _environment(draft: Draft, resources: Item, *, spot: bool) -> Mapped | None:
    key = key_of(str(resources.take("Name", "compute")), draft.environments)
    path = f"environments.{key}"
    types = resources.take("InstanceTypes", [])
    names = [each.strip() for each in types.split(",")] if isinstance(types, str) else types
    # The GPUs of a type do not matter where there is only one.
    chosen = choose_instances(
        draft,
        [str(each) for each in names],
        resources.at("InstanceTypes"),
        path,
        base="amazon-linux-2023",
        most=1,
    )
    instance = chosen[0] if chosen else None
    given = resources.take("MaxvCpus")
    place = resources.at("MaxvCpus")
    if given is None:
        given = _MAX_VCPUS
        draft.kept(place, f"{path}.max_nodes", f"{given} vCPUs, ParallelCluster's default")
    least = resources.take("MinvCpus", 0)
    if resources.take("DesiredvCpus") is not None:
        draft.changed(
            resources.at("DesiredvCpus"), "", "dropped: Batch decides how many instances run"
        )
    bid = resources.take("SpotBidPercentage")
    _left(draft, resources)
    if instance is None:
        return None
    sizes = node_counts(draft, path, instance, (given, place), (least, resources.at("MinvCpus")))
    if sizes is None:
        return None
    entry: dict[str, Any] = {"instance": instance.name}
    types_at = resources.at("InstanceTypes")
    draft.kept(types_at, f"{path}.instance", instance.name)
    if instance.threads_per_core > 1:
        entry["hyperthreading"] = True
        draft.kept(
            types_at,
            f"{path}.hyperthreading",
            f"on, as in ParallelCluster: {instance.vcpus} CPUs",
            f"without it, programs that compute have {instance.cores} whole cores",
        )
    entry |= sizes
    _bought(draft, entry, resources, path, bid, spot=spot)
    draft.environments[key] = entry
    return Mapped(
        name=key,
        key=key,
        arn="",
        instance=instance,
        cpus=instance.vcpus,
        subnets=[],
        groups=[],
        spot=spot,
    )


def _bought(
    draft: Draft, entry: dict[str, Any], resources: Item, path: str, bid: Any, *, spot: bool
) -> None:
    place = resources.at("SpotBidPercentage")
    if spot:
        entry |= {"purchase": "spot", "multi_node": False}
        draft.changed(
            resources.place,
            f"{path}.multi_node",
            "false: Batch runs no multi-node jobs on Spot instances (MN110)",
            "add an environment that buys on demand for them",
            breaks=True,
        )
        if bid:
            entry["bid_percentage"] = bid
            draft.kept(place, f"{path}.bid_percentage", f"{bid} %")
        return
    if bid is not None:
        draft.changed(place, "", "dropped: it has no effect on demand (MN112)")
    entry["placement_group"] = False
    draft.kept(
        resources.place,
        f"{path}.placement_group",
        "none, as in ParallelCluster",
        "remove the key to place nodes close together",
    )


def _jobs(draft: Draft, queue: str, place: Place, *, spot: bool) -> None:
    """Adds what `awsbsub` submits: a single-node job and, on demand, a multi-node job.

    A command runs as it is there, also one that calls mpirun: mngen must not make it a rank.
    ParallelCluster writes ${HOME}/hostfile on the main node, with lines `10.0.1.10 slots=4`, and
    runs the command on every node. Source: cli/src/pcluster/resources/batch/docker/scripts/
    entrypoint.sh and generate_hostfile.sh of aws-parallelcluster v3.9.3.

    Source: `_get_container_properties` in https://github.com/aws/aws-parallelcluster/blob/
    007b0877ef76dbf6561c1d86f6d2e3d838aa7972/cli/src/pcluster/templates/awsbatch_builder.py
    """
    size = {"command": ["hostname"], "vcpus": 1, "memory": 512}
    single = key_of("single", draft.jobs)
    draft.jobs[single] = {"queue": queue, "launcher": "none", **size}
    keys = [single]
    if not spot:
        multi = key_of("multi", draft.jobs)
        draft.jobs[multi] = {"queue": queue, "nodes": 2, "launcher": "main", **size}
        keys.append(multi)
        draft.changed(
            place,
            f"jobs.{multi}.launcher",
            "the command runs once, on the main node, with ssh to all nodes; in ParallelCluster, "
            "on every node",
            "use ${MNGEN_HOSTFILE} in scripts in place of ${HOME}/hostfile",
        )
    for key in keys:
        draft.changed(
            place,
            f"jobs.{key}",
            "in place of ParallelCluster's job definition: 1 vCPU and 512 MiB as there, but not "
            "privileged",
            f"use `mngen submit {key} -- COMMAND` in place of awsbsub",
        )


def _storage(draft: Draft, cluster: Item) -> dict[str, Any]:
    efs: dict[str, Any] = {}
    fsx: dict[str, Any] = {}
    # A file system of the cluster comes first: its data is what can be lost.
    for item in sorted(
        cluster.children("SharedStorage"),
        key=lambda each: each.data.get("StorageType") not in ("Efs", "FsxLustre"),
    ):
        kind = str(item.take("StorageType", ""))
        folder = str(item.take("MountDir", ""))
        folder = folder if folder.startswith("/") else f"/{folder}"
        if kind == "FsxLustre" and not fsx:
            fsx = _lustre(draft, item, folder)
            continue
        if kind != "Efs" or efs:
            draft.cannot(
                item.place,
                "storage",
                f"{folder} ({kind or 'no StorageType'}): nodes of mngen share one file system of "
                "EFS and one of FSx for Lustre",
                f"copy what jobs need from {folder} to it",
                breaks=True,
            )
            continue
        efs["mount"] = folder
        draft.kept(item.at("MountDir"), "storage.efs.mount", folder)
        _efs(draft, item, item.child(_SETTINGS["efs"]), efs)
    return ({"efs": efs} if efs else {}) | ({"fsx": fsx} if fsx else {})


def _lustre(draft: Draft, item: Item, folder: str) -> dict[str, Any]:
    """Returns the section of FSx for Lustre: the existing one, or a new one of the same kind.

    Containers of ParallelCluster mount EFS and what the head node shares, and no FSx: its
    cli/src/pcluster/resources/batch/docker/scripts/entrypoint.sh.
    """
    fsx: dict[str, Any] = {"mount": folder}
    draft.changed(
        item.at("MountDir"),
        "storage.fsx.mount",
        f"{folder} on all nodes and in all jobs; ParallelCluster mounts it on the head node alone",
    )
    settings = item.child(_SETTINGS["fsx"])
    return fsx | _file_system(draft, item, settings, "fsx", "a new, empty one of type scratch-2")


def _efs(draft: Draft, item: Item, settings: Item, efs: dict[str, Any]) -> None:
    encrypted = bool(settings.take("EncryptionInTransit", False))
    efs["tls"] = encrypted
    draft.kept(
        settings.at("EncryptionInTransit"),
        "storage.efs.tls",
        "encrypted traffic" if encrypted else "plain NFS, as in ParallelCluster",
    )
    if settings.take("IamAuthorization"):
        efs["iam"] = True
        draft.kept(settings.at("IamAuthorization"), "storage.efs.iam", "true")
    point = settings.take("AccessPointId")
    if point:
        efs["access_point"] = point
        draft.kept(settings.at("AccessPointId"), "storage.efs.access_point", str(point))
    efs |= _file_system(draft, item, settings, "efs", "a new, empty one")


def _file_system(
    draft: Draft, item: Item, settings: Item, service: str, new: str
) -> dict[str, str]:
    """Returns the id of a file system that outlives the cluster; reports one that belongs to it.

    Args:
        draft: The spec in the making.
        item: Its entry in the cluster file.
        settings: What is left of its settings there.
        service: `efs` or `fsx`, as the spec and the AWS CLI call it.
        new: What mngen creates without an id.
    """
    system = settings.take("FileSystemId")
    policy = settings.take("DeletionPolicy", "Delete")
    if system:
        draft.kept(
            settings.at("FileSystemId"), f"storage.{service}.id", f"{system}, used by its id"
        )
    else:
        name = item.data.get("Name")
        if policy == "Retain":
            why = f"the file system {name} outlives the cluster: its DeletionPolicy is Retain"
            first = ""
        else:
            why = (
                f"the file system {name} belongs to the cluster and its DeletionPolicy is Delete, "
                "the default: deleting the cluster deletes its data"
            )
            first = (
                f"set {_SETTINGS[service]}.DeletionPolicy to Retain and run `pcluster "
                "update-cluster` before anything else; then "
            )
        draft.changed(
            settings.at("DeletionPolicy"),
            f"storage.{service}.id",
            why,
            f"{first}write its id, which `aws {service} describe-file-systems` shows, into the "
            f"spec; without it mngen creates {new}",
            breaks=True,
        )
        draft.note(("storage", service), f"id: fs-… of {name}, before the first apply")
    for key in settings.left():
        draft.kept(settings.at(key), "", "stays a property of the file system")
    return {"id": str(system)} if system else {}


def _image(draft: Draft, image: Item) -> dict[str, Any]:
    system = str(image.take("Os", ""))
    base = _BASES.get(system)
    if base:
        draft.kept(image.at("Os"), "image.base", base)
    elif system:
        draft.changed(
            image.at("Os"),
            "image.base",
            f"Amazon Linux 2023 instead of {system}, on the nodes; the system in containers stays",
        )
    _left(draft, image)
    return {"base": base} if base == "amazon-linux-2" else {}


def _head_node(draft: Draft, head: Item) -> dict[str, Any]:
    """Reports what is lost with the head node; returns the section `network.ssh`."""
    if head.take("InstanceType"):
        draft.changed(
            head.at("InstanceType"),
            "",
            "no head node: jobs are submitted from your own machine",
            "set up mngen there, and AWS credentials",
        )
    networking = head.child("Networking")
    if networking.take("SubnetId"):
        draft.changed(networking.at("SubnetId"), "", "dropped with the head node")
    for key in ("SecurityGroups", "AdditionalSecurityGroups", "ElasticIp"):
        if networking.take(key):
            draft.changed(networking.at(key), "", "dropped with the head node")
    ssh = head.child("Ssh")
    pair, ranges = ssh.take("KeyName"), str(ssh.take("AllowedIps", _ANYWHERE))
    for part in (networking, ssh, head):
        _left(draft, part)
    if not pair:
        return {}
    if ranges == _ANYWHERE:
        draft.changed(
            ssh.at("AllowedIps"),
            "network.ssh",
            f"not carried over: {ranges} opens SSH to the whole internet (MN173)",
            "write your own range into the comment in the spec, to use SSH",
        )
        draft.note(("network", "endpoints"), f"ssh: {{key_pair: {pair}, from: [10.0.0.0/8]}}")
        return {}
    draft.kept(ssh.at("KeyName"), "network.ssh.key_pair", str(pair))
    draft.kept(ssh.at("AllowedIps"), "network.ssh.from", f"{ranges}, now for the nodes")
    return {"key_pair": pair, "from": [ranges]}


def _policies(draft: Draft, queue: Item, policies: list[str]) -> None:
    iam = queue.child("Iam")
    for each in iam.children("AdditionalIamPolicies"):
        policy = each.take("Policy")
        if policy:
            policies.append(str(policy))
            draft.kept(each.at("Policy"), "roles.job_policies", f"{policy}, for the containers")
    _left(draft, iam)


def _tags(draft: Draft, cluster: Item) -> dict[str, str]:
    tags = {}
    for each in cluster.children("Tags"):
        key, value = str(each.take("Key", "")), str(each.take("Value", ""))
        if key.casefold().startswith(_RESERVED_TAGS) or key == "Name" or not key:
            draft.changed(each.place, "tags", f"{key or 'no key'}: left out, it is reserved")
        else:
            tags[key] = value
            draft.kept(each.place, "tags", key)
    return tags


def _left(draft: Draft, item: Item) -> None:
    for key in item.left():
        if key in _UNSAYABLE:
            draft.cannot(item.at(key), "", f"no place in a spec: {_UNSAYABLE[key]}")
        elif isinstance(item.data[key], dict) and _UNSAYABLE.keys() & item.data[key].keys():
            _left(draft, item.child(key))
        else:
            draft.changed(item.at(key), "", "not carried over: mngen's own setting applies")
