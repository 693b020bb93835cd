"""For each key of the spec, a spec before and after a change of it.

Keys of environments, queues and jobs are changed all at once in one deployment, `many`: each in
a separate entry, which bears the key's name. The others are changed one at a time or in groups in
another one, `few`.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

Data = dict[str, Any]
Key = tuple[str, ...]

_MPI = {"instance": "r5.12xlarge", "max_nodes": 4}
_SINGLE = {**_MPI, "multi_node": False}
_P5 = {"instance": "p5.48xlarge", "max_nodes": 4}
_RESERVED = "cr-0a1b2c3d4e5f60718"
_ROLE = "arn:aws:iam::123456789012:role/lab-jobs"
_SECRETS = "arn:aws:secretsmanager:us-east-1:123456789012:secret:"
_KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
_FAIR = "arn:aws:batch:us-east-1:123456789012:scheduling-policy/fair"
_DEFINITIONS = Path(__file__).resolve().parents[1] / "specs" / "definitions"
_POLICY = "arn:aws:iam::aws:policy/PowerUserAccess"
_ENDPOINTS = [
    *("s3", "ecr.api", "ecr.dkr", "ecs", "ecs-agent", "ecs-telemetry", "logs"),
    *("ssm", "ssmmessages", "ec2messages", "secretsmanager"),
]

ENVIRONMENTS: dict[str, tuple[Data, Data]] = {
    "instance": (_MPI, {"instance": "r5.24xlarge"}),
    "alternatives": (_SINGLE, {"alternatives": ["m5.12xlarge"]}),
    "max_nodes": (_MPI, {"max_nodes": 8}),
    "min_nodes": (_MPI, {"min_nodes": 1}),
    "hyperthreading": (_MPI, {"hyperthreading": True}),
    "cpus": (_MPI, {"cpus": 12}),
    "image": (_MPI, {"image": "ami-0a1b2c3d4e5f60718"}),
    "multi_node": (_MPI, {"multi_node": False}),
    "purchase": (_SINGLE, {"purchase": "spot"}),
    "bid_percentage": ({**_SINGLE, "purchase": "spot"}, {"bid_percentage": 60}),
    "placement_group": (_MPI, {"placement_group": "tight"}),
    "zones": (_MPI, {"zones": ["us-east-1b"]}),
    "efa": ({**_MPI, "instance": "c5n.18xlarge"}, {"efa": True}),
    "scratch": ({**_MPI, "instance": "c5d.18xlarge"}, {"scratch": "/scratch"}),
    "allocation": (_SINGLE, {"allocation": "best-fit"}),
    "root_volume": (_MPI, {"root_volume": 128}),
    "capacity.reservation": (_MPI, {"capacity": {"reservation": _RESERVED}}),
    "capacity.group": (_MPI, {"capacity": {"group": "mpi"}}),
    "capacity.block": (_P5, {"capacity": {"block": _RESERVED}}),
}
"""What an environment has before, and what is changed in it, by its key."""

QUEUES: dict[Key, Any] = {
    ("environments",): ["plain", "root-volume"],
    ("priority",): 7,
    ("enabled",): False,
    ("cancel_after", "capacity"): 3600,
    ("cancel_after", "misconfiguration"): None,
    ("aws_name",): "LabQueue",
    ("legacy",): ["arn:aws:batch:us-east-1:123456789012:compute-environment/old"],
    ("shares",): {"weights": {"alice": 0.5}},
    ("shares", "weights"): {"alice": 0.1, "physics*": 2},
    ("shares", "decay"): 3600,
    ("shares", "reserve"): 20,
    ("scheduling_policy",): _FAIR,
    ("protect",): True,
}
JOBS: dict[str, Any] = {
    "queue": "instance",
    "command": ["true"],
    "definition": str(_DEFINITIONS / "wave.json"),
    "nodes": 2,
    "vcpus": 2,
    "memory": 4096,
    "gpus": 2,
    "shared_memory": 64,
    "ranks_per_node": 2,
    "threads_per_rank": 2,
    "launcher": "main",
    "mpi_args": ["-v"],
    "environment": {"A": "b"},
    "secrets": {"TOKEN": "/lab/token"},
    "registry_credentials": f"{_SECRETS}registry-AbCdEf",
    "ulimits": {"stack": -1},
    "tmpfs": [{"path": "/work", "size": 64}],
    "mounts": [{"host": "/opt", "path": "/opt/of-node", "read_only": True}],
    "user": "root",
    "privileged": True,
    "shell": True,
    "container_properties": {"readonlyRootFilesystem": True},
    "attempts": 3,
    "retry": ["lost-host", 75],
    "outputs": "/efs/runs/{job}",
    "timeout": 600,
    "after": ["timeout"],
    "share": "wing",
    "image": "docker.io/me/app:v2",
    "role": _ROLE,
    "aws_name": "lab_job",
    "protect": True,
}

GROUPS: dict[str, Any] = {
    "nodes": "0:1",
    "command": ["true"],
    "vcpus": 2,
    "memory": 4096,
    "shared_memory": 64,
    "ranks_per_node": 2,
    "threads_per_rank": 2,
    "environment": {"A": "b"},
    "registry_credentials": f"{_SECRETS}registry-AbCdEf",
    "image": "docker.io/me/app:v2",
}
"""Keys of a node group: that of the main node of a job with three nodes, which bears their name.

With `nodes`, the other group gives a node up.
"""

_GPUS = {"instance": "g5.12xlarge", "max_nodes": 4, "multi_node": False}
"""An environment for the one key that needs GPUs; it and its queue bear the key's name."""

_WITH_JOBS = frozenset({"alternatives", "instance", "hyperthreading", "cpus", "efa", "scratch"})
"""Keys of an environment that decide over the defaults of jobs: a queue and a job look at it."""

_BLOCK = "capacity.block"

MANY_STATES = "many-states"
"""The bucket of the state of `many`."""

UNBAKED = "unbaked"
"""An environment of `many` that gets an instance type whose AMI is not baked."""

IN_PLACE: dict[Key, Any] = {
    ("network", "nat"): False,
    ("network", "endpoints"): _ENDPOINTS,
    ("network", "ssh", "from"): ["10.1.0.0/16"],
    ("storage", "efs", "throughput"): "elastic",
    ("storage", "efs", "backup"): False,
    ("storage", "efs", "protect"): True,
    ("storage", "efs", "iam"): True,
    ("container", "protect"): True,
    ("image", "connect"): "private-ip",
    ("image", "ssh_from"): ["10.0.0.0/8"],
    ("image", "efa_installer"): "s3://my-software/efa/",
    ("image", "preload"): True,
    ("roles", "instance_policies"): [_POLICY],
    ("roles", "job_policies"): [_POLICY],
    ("roles", "secret_keys"): [_KEY],
    ("roles", "permissions_boundary"): _POLICY,
}
"""Keys for all of a deployment that leave its environments, queues and jobs alone."""

COMMON: dict[Key, Any] = {
    ("account",): "123456789012",
    ("tags",): {"project": "x"},
    ("network", "ssh", "key_pair"): "other",
    ("network", "security_groups"): ["sg-0a1b2c3d4e5f60718"],
    ("storage", "efs", "mount"): "/data",
    ("storage", "fsx", "mount"): "/fast",
    ("storage", "bucket"): "other-inputs",
    ("image", "base"): "amazon-linux-2",
    ("image", "packages"): ["htop"],
    ("image", "base_amis", "x86_64"): "ami-0a1b2c3d4e5f60718",
    ("image", "kms_key"): _KEY,
    ("roles", "instance_profile"): "arn:aws:iam::123456789012:instance-profile/nodes",
    ("roles", "spot_fleet"): "create",
    ("container", "tag"): "v2",
}
"""Keys that reach into environments and jobs, each at a separate attribute."""

ALONE: dict[str, dict[Key, Any]] = {
    "service": {
        ("roles", "service"): "create",
        ("container", "image"): "docker.io/me/app:v1",
    },
    "cidr": {
        ("network", "cidr"): "10.9.0.0/16",
        ("container", "repository"): "other",
        ("logs", "retention"): 7,
    },
    "name": {("name",): "other"},
    "aws_name": {
        ("container", "aws_name"): "lab/app",
        ("notify", "topic"): "arn:aws:sns:us-east-1:123456789012:lab",
        ("notify", "emails"): [],
    },
    "execution": {
        ("roles", "execution"): _ROLE,
        ("network", "zones"): ["us-east-1c", "us-east-1b"],
        ("storage", "efs", "tls"): False,
        ("notify", "events"): ["blocked"],
        ("notify", "emails"): ["other@example.org"],
        ("notify", "webhooks"): ["https://hooks.example.org/few"],
        ("notify", "kms_key"): _KEY,
        ("budget", "monthly"): 7000,
        ("budget", "emails"): ["other@example.org"],
        ("budget", "alerts"): [50],
        ("budget", "deny_submit", "at"): 120,
        ("budget", "deny_submit", "roles"): ["hpc/others"],
        ("budget", "deny_submit", "groups"): ["others"],
        ("budget", "deny_submit", "users"): ["other"],
        ("budget", "deny_submit", "policy"): _POLICY,
        ("budget", "deny_submit", "role"): _ROLE,
        ("dashboard",): True,
    },
    "jobs": {
        ("roles", "job"): _ROLE,
        ("logs", "group"): "/aws/batch/job",
        ("network", "vpc"): "default",
        ("storage", "fsx", "type"): "persistent-1",
    },
    "lustre": {
        ("storage", "efs", "kms_key"): _KEY,
        ("storage", "fsx", "size"): 2400,
        ("storage", "fsx", "throughput"): 250,
        ("storage", "fsx", "compression"): False,
        ("storage", "fsx", "zone"): "us-east-1a",
        ("storage", "fsx", "s3"): {},
        ("storage", "fsx", "kms_key"): _KEY,
        ("storage", "fsx", "backup_days"): 7,
        ("storage", "fsx", "maintenance"): "7:03:00",
    },
}
"""Changes that need a separate plan: each hides what another one would do."""


LINKS: dict[str, tuple[str, Any]] = {
    "path": ("cases", "s3://few-cases/b/"),
    "import": ("results", ["new"]),
    "export": ("results", []),
}
"""For each key of a link, the folder that is linked and what is changed."""


def entry(key: str) -> str:
    """Name the entry in which a key is changed."""
    return key.replace("_", "-").replace(".", "-")


def group_entry(key: str) -> str:
    """Name the job in which a key of a node group is changed."""
    return f"group-{entry(key)}"


def _network() -> Data:
    return {
        "vpc": "new",
        "zones": ["us-east-1a", "us-east-1b"],
        "ssh": {"key_pair": "mine", "from": ["10.0.0.0/8"]},
    }


def many() -> Data:
    """Return the deployment of the keys that stand in an entry."""
    environments = {entry(key): dict(before) for key, (before, _) in ENVIRONMENTS.items()}
    environments |= {"plain": dict(_MPI), "removed": dict(_MPI), UNBAKED: dict(_MPI)}
    environments["gpus"] = dict(_GPUS)
    queues: Data = {name: {"environments": [name]} for name in ("plain", "removed", "gpus")}
    jobs: Data = {"removed": {"queue": "plain", "nodes": 2, "command": ["hostname"]}}
    for key in _WITH_JOBS:
        queues[key] = {"environments": [entry(key)]}
        nodes = {} if key == "alternatives" else {"nodes": 2}
        jobs[f"on-{key}"] = {"queue": key, "command": ["hostname"], **nodes}
    # No more than three environments in a queue.
    others = [entry(key) for key in ENVIRONMENTS if key not in {*_WITH_JOBS, _BLOCK}]
    # A capacity block has a queue to itself.
    queues[entry(_BLOCK)] = {"environments": [entry(_BLOCK)]}
    for number, first in enumerate(range(0, len(others), 3)):
        queues[f"others-{number}"] = {"environments": others[first : first + 3]}
    for path in QUEUES:
        shares = {"shares": {"weights": {"bob": 3}}} if path[0] == "shares" and path[1:] else {}
        queues[entry(path[-1])] = {"environments": ["plain"], **shares}
    for key in JOBS:
        nodes = {} if key in {"nodes", "gpus"} else {"nodes": 2}
        # A share is for a queue with shares.
        queue = {"gpus": "gpus", "share": entry("decay")}.get(key, "plain")
        # Credentials are for an image elsewhere.
        image = {"image": "docker.io/me/app:v1"} if key == "registry_credentials" else {}
        jobs[entry(key)] = {"queue": queue, "command": ["hostname"], **nodes, **image}
    for key in GROUPS:
        image = {"image": "docker.io/me/app:v1"} if key == "registry_credentials" else {}
        jobs[group_entry(key)] = {
            "queue": "plain",
            "command": ["hostname"],
            "nodes": 3,
            "groups": {"main": {"nodes": "0:0", **image}, "others": {"nodes": "1:"}},
        }
    # A definition takes the place of the other keys.
    jobs["definition"] = {"queue": "plain", "definition": str(_DEFINITIONS / "post.json")}
    return {
        "name": "many",
        "region": "us-east-1",
        # A state in a file is written again for each of the 200 resources.
        "state": {"bucket": MANY_STATES},
        "network": _network(),
        "storage": {"bucket": "many-inputs"},
        "environments": environments,
        "queues": queues,
        "jobs": jobs,
    }


def many_changed() -> Data:
    """Return `many` with every change in an entry, and those of `IN_PLACE`."""
    data = changed(many(), IN_PLACE)
    for key, (_, after) in ENVIRONMENTS.items():
        data["environments"][entry(key)] |= after
    for path, value in QUEUES.items():
        _put(data["queues"][entry(path[-1])], path, value)
    for key, value in JOBS.items():
        data["jobs"][entry(key)][key] = value
    for key, value in GROUPS.items():
        data["jobs"][group_entry(key)]["groups"]["main"][key] = value
    data["jobs"][group_entry("nodes")]["groups"]["others"]["nodes"] = "2:"
    data["environments"][UNBAKED]["instance"] = "r6i.32xlarge"
    for kind in ("environments", "queues", "jobs"):
        del data[kind]["removed"]
    return data


def few() -> Data:
    """Return the deployment of the keys for all of it."""
    return {
        "name": "few",
        "region": "us-east-1",
        "network": _network(),
        "storage": {
            "bucket": "few-inputs",
            "fsx": {
                "type": "persistent-2",
                # That of the two which stays where the other gives way to a third.
                "zone": "us-east-1b",
                "s3": {
                    "cases": {"path": "s3://few-cases/a/"},
                    "results": {"path": "s3://few-results/", "import": [], "export": ["new"]},
                },
            },
        },
        "notify": {"emails": ["few@example.org"]},
        "budget": {
            "monthly": 5000,
            "emails": ["few@example.org"],
            "deny_submit": {"roles": ["few"], "groups": ["few"], "users": ["few"]},
        },
        "environments": {"mpi": dict(_MPI), "spot": {**_SINGLE, "purchase": "spot"}},
        "queues": {"mpi": {"environments": ["mpi"]}, "spot": {"environments": ["spot"]}},
        "jobs": {
            "hello": {
                "queue": "mpi",
                "nodes": 2,
                "command": ["hostname"],
                "secrets": {"TOKEN": "/lab/token"},
                "outputs": "/tmp/of-{job}",
            }
        },
    }


def links() -> dict[Key, Any]:
    """Return every change of a link, for `few`."""
    return {("storage", "fsx", "s3", name, key): value for key, (name, value) in LINKS.items()}


def links_exchanged() -> Data:
    """Return `few` with another link in place of its first one."""
    data = few()
    links = data["storage"]["fsx"]["s3"]
    links["new.cases"] = {**links.pop("cases"), "path": "s3://few-cases/b/"}
    return data


def changed(data: Data, changes: dict[Key, Any]) -> Data:
    """Return a copy of a spec with other values of some keys."""
    data = copy.deepcopy(data)
    for path, value in changes.items():
        _put(data, path, value)
    if data["network"]["vpc"] == "default":
        # Zones are those of a new VPC.
        data["network"].pop("zones", None)
    return data


def _put(data: Data, path: Key, value: Any) -> None:
    *sections, key = path
    for section in sections:
        data = data.setdefault(section, {})
    data[key] = value
