"""Sound specs for tests: every feature in every combination, and free text of the worst kind.

`FEATURES` lists what a spec can have; `make_spec` builds one from a choice, `pairwise` gives few
choices in which every two options meet, and `specs` is the hypothesis strategy of them all.
"""

from __future__ import annotations

import itertools
import unicodedata
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from hypothesis import strategies as st

from mngen.catalog import load_catalog
from mngen.rules import require
from mngen.spec import load_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mngen.cluster import Cluster

_DEFINITIONS = Path(__file__).resolve().parents[1] / "specs" / "definitions"

Data = dict[str, Any]
Choice = dict[str, str]

_ACCOUNT = "123456789012"
_ARN = f"arn:aws:iam::{_ACCOUNT}:"
_BATCH = f"arn:aws:batch:us-east-1:{_ACCOUNT}:"
_ID = "0a1b2c3d4e5f60718"
_ZONES = ["us-east-1a", "us-east-1b", "us-east-1c"]
_ALL_ENDPOINTS = [
    *("s3", "ecr.api", "ecr.dkr", "ecs", "ecs-agent", "ecs-telemetry", "logs"),
    *("secretsmanager", "ssm", "ssmmessages"),
]

FEATURES: dict[str, tuple[str, ...]] = {
    "vpc": ("default", "existing", "existing with tables", "new"),
    "zones": ("none", "one", "three"),
    "nat": ("default", "yes", "no"),
    "endpoints": ("default", "none", "registry", "all"),
    "ssh": ("no", "yes"),
    "groups": ("no", "yes"),
    "efs": (
        *("new", "new protected", "new by iam", "new with key"),
        *("existing", "existing with group", "existing by access point"),
    ),
    "fsx": ("no", "scratch", "linked", "persistent", "existing", "existing with group"),
    "bucket": ("no", "yes"),
    "service": ("service-linked", "create", "arn"),
    "profile": ("create", "arn"),
    "fleet": ("none", "create", "arn"),
    "job role": ("create", "none", "arn"),
    "policies": ("no", "yes"),
    "execution": ("create", "arn"),
    "boundary": ("no", "yes"),
    "gpus": ("no", "all", "one"),
    "scratch": ("no", "yes"),
    "types": ("one", "several"),
    "machines": ("mpi", "efa", "serial", "spot", "best-fit spot", "arm", "many"),
    "capacity": ("no", "block", "reservation", "group", "group by ARN"),
    "jobs": ("none", "single", "multi", "both"),
    "chain": ("no", "yes"),
    "node groups": ("no", "commands", "all"),
    "container": ("default", "named", "elsewhere"),
    "in container": ("nothing", "limits", "all"),
    "state": ("local", "short", "full"),
    "account": ("any", "one"),
    "provider": ("5", "6"),
    "base": ("amazon-linux-2023", "amazon-linux-2"),
    "key": ("no", "yes"),
    "own base": ("no", "yes"),
    "software": ("none", "packages"),
    "installer": ("no", "yes"),
    "preload": ("no", "yes"),
    "tags": ("no", "yes"),
    "existing": ("nothing", "definitions", "names", "parts"),
    "logs": ("default", "a week", "never"),
    "notify": ("no", "addresses", "with key", "existing topic"),
    "budget": ("no", "yes", "denying", "denying with both"),
    "dashboard": ("no", "yes"),
}

# Fragments that mean something to HCL, YAML, a shell, a terminal or a careless template.
FRAGMENTS = (
    *("${", "$${", "$$${", "%{", "%%{", "%%%{", "}", "~}", "$", "%", "$$", "%%"),
    *('"', "'", "\\", "\\\\", "\\n", '\\"', "\n", "\t", "\n\n", " ", "  "),
    *(
        "<<EOT\n",
        "<<-EOT\n",
        "\nEOT\n",
        "EOT",
        "#",
        "//",
        "/*",
        "*/",
        "# {",
        "{{",
        "}}",
        "{%",
        "%}",
    ),
    *("{#", "#}", "[", "]", "(", ")", "=", " = ", ",", ":", ": ", "- ", "?", "|", ">", "&a", "*a"),
    *("!tag", "@", "`", "`id`", "$(id)", "null", "true", "no", "~", "1", "0x10", "1_000", "1e3"),
    *("2026-01-01", "12:30:45", ".inf", "...", "---", "<<", "for", "in", "if", "var.amis"),
    *("é", "ß", "中", "ทำ", "🧪", "👩\u200d🔬", "\u2028", "\u2029", "\u00a0", "\u200b", "\u202e"),
    *("\uffff", "\U0001f1e6", "\U000e0001", "\U0010ffff", "\u0345", "\ue000"),
)


def _carried(text: str) -> str:
    """Returns text as a spec may hold it: in NFC."""
    return unicodedata.normalize("NFC", text)


# Made once and shared: hypothesis looks through a new strategy before it first draws from it, which
# takes longer than the drawing.
_CHARACTERS = st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="\ufeff")


@cache
def texts(*, min_size: int = 0) -> st.SearchStrategy[str]:
    """Strategy of all text that a spec may hold, most of it nasty."""
    part = st.one_of(st.sampled_from(FRAGMENTS), st.text(_CHARACTERS, max_size=6))
    return st.lists(part, min_size=min_size, max_size=6).map("".join).map(_carried)


@cache
def names(*, max_size: int = 20) -> st.SearchStrategy[str]:
    """Strategy of the names that AWS Batch takes."""
    letters = "abcXYZ019"
    return st.builds(
        str.__add__,
        st.sampled_from(letters),
        st.text(letters + "-_", max_size=max_size - 1),
    )


def make_spec(choice: Mapping[str, str]) -> Data:
    """Builds the data of a sound spec with the chosen features.

    Args:
        choice: An option of each of `FEATURES`. Where one needs another (no NAT needs all
            endpoints, a new VPC needs zones), the other is added.
    """
    data: Data = {"name": "test-1", "region": "us-east-1", "provider": int(choice["provider"])}
    if choice["account"] == "one":
        data["account"] = _ACCOUNT
    if choice["tags"] == "yes":
        data["tags"] = {"project": "seismic", "cost-center": "4711"}
    if choice["state"] != "local":
        data["state"] = {"bucket": "my-terraform-state"}
        if choice["state"] == "full":
            data["state"] |= {"key": "here/state", "region": "eu-central-1"}
    data["network"] = _network(choice)
    data["storage"] = _storage(choice)
    data["image"] = _image(choice, reaches_out=data["network"].get("nat") is not False)
    data["roles"] = _roles(choice)
    data["environments"] = _environments(choice)
    data["queues"] = _queues(data["environments"])
    if choice["container"] == "named":
        data["container"] = {"repository": "my/app", "tag": "v1.1"}
    elif choice["container"] == "elsewhere":
        data["container"] = {"image": "docker.io/me/app:v1.1"}
    data |= _observed(choice)
    data["jobs"] = _jobs(choice, data["environments"])
    for job in data["jobs"].values():
        _add_groups(job, choice["node groups"])
    # Jobs with these keys stand beside others without.
    for job in list(data["jobs"].values())[::2]:
        job.update(_in_container(choice["in container"]))
        if data["roles"].get("job") == "none":
            # A shell needs a role, and so do outputs.
            job.pop("shell", None)
            job.pop("outputs", None)
        if choice["bucket"] != "yes":
            job.pop("outputs", None)
    _add_chain(data["jobs"], choice["chain"])
    if choice["existing"] != "nothing":
        _add_existing(data, choice["existing"])
    return data


def _add_chain(jobs: Data, option: str) -> None:
    """Lets each job be after the one before it, by its name or in a list."""
    if option == "yes":
        for number, (earlier, later) in enumerate(itertools.pairwise(jobs)):
            jobs[later]["after"] = earlier if number % 2 else [earlier]


def _add_groups(job: Data, option: str) -> None:
    """Gives the nodes of a multi-node job groups, which have a command or all that they can."""
    nodes = job.get("nodes")
    if option == "no" or nodes is None:
        return
    last: Data = {"nodes": f"1:{nodes - 1}"}
    if option == "all":
        last = {
            "nodes": "1:",
            "command": ["/opt/ocean", "${x}"],
            "vcpus": 1,
            "memory": 2048,
            "gpus": 0,
            "shared_memory": 128,
            "ranks_per_node": 1,
            "threads_per_rank": 1,
            "environment": {"DEBUG": "2", "STEP": "600"},
            "image": "docker.io/me/ocean:v3",
            "registry_credentials": f"arn:aws:secretsmanager:us-east-1:{_ACCOUNT}:secret:r-AbCdEf",
        }
    job["groups"] = {"z-last": last, "Main_1": {"nodes": "0:0", "command": ["/opt/coupler"]}}


def _in_container(option: str) -> Data:
    """Returns the keys of a job about its container: none, its limits alone, or all of them."""
    if option == "nothing":
        return {}
    secrets = f"arn:aws:secretsmanager:us-east-1:{_ACCOUNT}:secret:lab-AbCdEf"
    limits = {"stack": -1, "nofile": {"soft": 1024, "hard": 65_536}}
    if option == "limits":
        return {"ulimits": limits}
    return {
        "ulimits": {**limits, "memlock": -1},
        "tmpfs": [{"path": "/work", "size": 64, "options": ["noexec", "mode=1777"]}],
        "mounts": [
            {"host": "/opt/licences", "path": "/licences", "read_only": True},
            {"host": "/var/work", "path": "/var/work"},
        ],
        "secrets": {"TOKEN": f"{secrets}:token::", "LAB_USER": "/lab/user"},
        "attempts": 3,
        "retry": ["lost-node", 75, {"exit_code": "13*", "reason": "DockerTimeoutError: *"}],
        "outputs": "/work/of-{job}",
        "user": "1000:1000",
        "privileged": True,
        "shell": True,
        "container_properties": {
            "readonlyRootFilesystem": True,
            "linuxParameters": {
                "initProcessEnabled": True,
                "devices": [{"hostPath": "/dev/fuse", "permissions": ["READ", "WRITE"]}],
            },
            "volumes": [{"name": "of-node", "host": {"sourcePath": "/opt/${x}"}}],
            "mountPoints": [{"sourceVolume": "of-node", "containerPath": "/of node"}],
        },
    }


def _image(choice: Mapping[str, str], *, reaches_out: bool) -> Data:
    image: Data = {"base": choice["base"]}
    if choice["key"] == "yes":
        image["kms_key"] = f"arn:aws:kms:us-east-1:{_ACCOUNT}:key/1234abcd-12ab-34cd"
    if choice["own base"] == "yes":
        image["base_amis"] = {
            "x86_64": f"ami-{_ID}",
            "arm64": f"ami-{_ID[::-1]}",
            "gpu": f"ami-{_ID}",
        }
    if choice["preload"] == "yes":
        image["preload"] = True
    if choice["software"] != "none":
        image["packages"] = ["htop", "gcc-c++-11.5.0"]
    # What builders without a way out cannot download is in a bucket.
    if choice["installer"] == "yes" or not reaches_out:
        image["efa_installer"] = "s3://my-software/efa/"
        image["efa_version"] = "1.49.0"
    return image


def _add_existing(data: Data, option: str) -> None:
    """Gives the names, the parts or the job definitions of what existed before."""
    added = {"names": _add_names, "parts": _add_parts, "definitions": _add_definitions}
    added[option](data)


def _add_definitions(data: Data) -> None:
    for number, (name, job) in enumerate(list(data["jobs"].items())):
        file = "post.json" if "nodes" not in job else "wave.json"
        data["jobs"][name] = {
            "queue": job["queue"],
            "aws_name": f"post_single-{number}",
            "definition": str(_DEFINITIONS / file),
            "protect": number % 2 == 0,
        }


def _add_names(data: Data) -> None:
    for section, prefix in (("queues", "LabQueue_"), ("jobs", "lab_job_")):
        for number, entry in enumerate(data[section].values()):
            entry["aws_name"] = f"{prefix}{number}"
    for environment in data["environments"].values():
        if not environment.get("hyperthreading"):
            environment["cpus"] = 2
    if "image" not in data.get("container", {}):
        data["container"] = {"aws_name": "lab/app.2", "tag": "v1.1", "protect": True}


def _add_parts(data: Data) -> None:
    blocks = {
        name for name, each in data["environments"].items() if "block" in each.get("capacity", {})
    }
    for number, queue in enumerate(data["queues"].values()):
        if len(queue["environments"]) < 3 and blocks.isdisjoint(queue["environments"]):
            queue["legacy"] = [f"{_BATCH}compute-environment/Old_{number}"]
        fair = (
            {"shares": {"weights": {"alice": 0.0001, "physics*": 2}, "reserve": 20}}
            if number == 0
            else {"scheduling_policy": f"{_BATCH}scheduling-policy/fair"}
        )
        queue |= {**fair, "protect": number % 2 == 0}
    for number, job in enumerate(data["jobs"].values()):
        job["protect"] = number % 2 == 0
        if number % 2:
            job["role"] = f"{_ARN}role/path/other"
        else:
            job["share"] = "wing7"
    for environment in data["environments"].values():
        environment["image"] = f"ami-{_ID}"
        if environment.get("multi_node", True) and "block" not in environment.get("capacity", {}):
            environment["placement_group"] = {"existing": 'Our "group" ${x}'}
    data["logs"] = {"group": "/aws/batch/job"}


def _network(choice: Mapping[str, str]) -> Data:
    network: Data = {}
    if choice["vpc"] == "new":
        network |= {"vpc": "new", "cidr": "10.40.0.0/16"}
        if choice["nat"] != "default":
            network["nat"] = choice["nat"] == "yes"
    elif choice["vpc"] != "default":
        network |= {"vpc": f"vpc-{_ID}", "subnets": [f"subnet-{_ID}", "subnet-0b1c2d3e4f5a60718"]}
        if choice["vpc"] == "existing with tables":
            network["route_tables"] = [f"rtb-{_ID}"]
    if choice["zones"] != "none":
        network["zones"] = _ZONES[: 1 if choice["zones"] == "one" else 3]
    elif choice["vpc"] == "new":
        network["zones"] = _ZONES[:2]
    closed = network.get("nat") is False
    if closed or choice["endpoints"] == "all":
        network["endpoints"] = _ALL_ENDPOINTS
    elif choice["endpoints"] != "default":
        network["endpoints"] = [] if choice["endpoints"] == "none" else ["ecr.dkr", "s3", "ecr.api"]
    if choice["groups"] == "yes":
        network["security_groups"] = [f"sg-{_ID}", "sg-0b1c2d3e4f5a60718"]
    if choice["ssh"] == "yes":
        network["ssh"] = {"key_pair": "my key", "from": ["10.0.0.0/8", "192.168.0.0/16"]}
    return network


def _storage(choice: Mapping[str, str]) -> Data:
    storage: Data = {"efs": _efs(choice["efs"])}
    if choice["fsx"] != "no":
        storage["fsx"] = _fsx(choice["fsx"])
    if choice["bucket"] == "yes":
        storage["bucket"] = "my-inputs"
    return storage


def _efs(option: str) -> Data:
    if option == "existing":
        return {"id": f"fs-{_ID}", "mount": "/shared"}
    if option == "existing with group":
        return {"id": f"fs-{_ID}", "security_group": "sg-0c1d2e3f4a5b60718"}
    if option == "existing by access point":
        return {"id": f"fs-{_ID}", "iam": True, "access_point": f"fsap-{_ID}"}
    if option == "new by iam":
        return {"iam": True}
    if option == "new with key":
        return {"kms_key": f"arn:aws:kms:us-east-1:{_ACCOUNT}:key/1234abcd-12ab-34cd"}
    if option == "new protected":
        return {"protect": True, "throughput": "elastic", "backup": False}
    return {"mount": "/efs"}


def _fsx(option: str) -> Data:
    if option == "existing":
        return {"id": f"fs-{_ID}", "mount": "/lustre"}
    if option == "existing with group":
        return {"id": f"fs-{_ID}", "security_group": "sg-0c1d2e3f4a5b60718"}
    if option == "linked":
        return {
            "type": "persistent-1",
            "throughput": 100,
            "zone": _ZONES[0],
            "s3": {
                "cases": {"path": "s3://my-cases/wing", "import": ["deleted", "new"]},
                "results-1": {"path": "s3://my-results", "import": [], "export": ["changed"]},
            },
        }
    if option == "persistent":
        return {
            "type": "persistent-2",
            "size": 4800,
            "kms_key": f"arn:aws:kms:us-east-1:{_ACCOUNT}:key/1234abcd-12ab-34cd",
            "backup_days": 7,
            "maintenance": "7:03:00",
            "protect": True,
        }
    return {"size": 2400, "compression": False}


def _roles(choice: Mapping[str, str]) -> Data:
    service, fleet = choice["service"], choice["fleet"]
    if fleet == "none" and choice["machines"] in {"best-fit spot", "many"}:
        fleet = "create"
    roles: Data = {
        "service": f"{_ARN}role/batch" if service == "arn" else service,
        "instance_profile": (
            f"{_ARN}instance-profile/nodes" if choice["profile"] == "arn" else "create"
        ),
        "spot_fleet": f"{_ARN}role/fleet" if fleet == "arn" else fleet,
    }
    if choice["policies"] == "yes" and choice["profile"] != "arn":
        roles["instance_policies"] = ["arn:aws:iam::aws:policy/CloudWatchAgentServerPolicy"]
    if choice["job role"] != "create":
        roles["job"] = f"{_ARN}role/jobs" if choice["job role"] == "arn" else "none"
    elif choice["policies"] == "yes":
        roles["job_policies"] = [
            "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess",
            f"{_ARN}policy/mine",
        ]
    if choice["execution"] == "arn":
        roles["execution"] = f"{_ARN}role/execution"
    if choice["boundary"] == "yes":
        roles["permissions_boundary"] = f"{_ARN}policy/department-boundary"
    return roles


def _observed(choice: Mapping[str, str]) -> Data:
    """Returns the sections about what a deployment shows of itself."""
    sections: Data = {}
    if choice["logs"] != "default":
        sections["logs"] = {"retention": "never" if choice["logs"] == "never" else 7}
    if choice["notify"] != "no":
        sections["notify"] = _notify(choice["notify"])
    if choice["budget"] != "no":
        emails = ["lab@example.org", "${x}%{y}@example.org"]
        sections["budget"] = {"monthly": 5000, "emails": emails, "alerts": [100, 50]}
    if choice["budget"] == "denying with both":
        sections["budget"]["deny_submit"] = {
            "users": ["bob"],
            "policy": "arn:aws:iam::123456789012:policy/lab/no-submissions",
            "role": "arn:aws:iam::123456789012:role/lab/budgets",
        }
    if choice["budget"] == "denying":
        sections["budget"]["deny_submit"] = {
            "at": 120,
            "roles": ["hpc/submitters", "batch+users@lab"],
            "groups": ["lab"],
            "users": ["alice", "bob"],
        }
    if choice["dashboard"] == "yes":
        sections["dashboard"] = True
    return sections


def _notify(option: str) -> Data:
    if option == "existing topic":
        return {"topic": f"arn:aws:sns:us-east-1:{_ACCOUNT}:lab"}
    if option == "addresses":
        return {"events": ["blocked"], "webhooks": ["https://hooks.example.org/${x}?a=%{b}"]}
    return {
        "events": ["succeeded", "failed", "blocked"],
        "emails": ["lab@example.org", "a${x}%{b}@example.org"],
        "kms_key": f"arn:aws:kms:us-east-1:{_ACCOUNT}:key/1234abcd-12ab-34cd",
    }


def _environments(choice: Mapping[str, str]) -> dict[str, Data]:
    zone = {} if choice["zones"] == "none" else {"zones": _ZONES[:1]}
    serial = {"multi_node": False, "max_nodes": 20}
    every: dict[str, Data] = {
        "mpi": {"instance": "r5.12xlarge", "max_nodes": 16, "min_nodes": 1},
        "efa": {
            "instance": "c5n.18xlarge",
            "max_nodes": 8,
            "efa": True,
            "placement_group": "MPIgroup",
            **zone,
        },
        "serial": {"instance": "m5.4xlarge", "hyperthreading": True, **serial},
        "spot": {
            "instance": "m4.4xlarge",
            "purchase": "spot",
            "bid_percentage": 60,
            "root_volume": 100,
            **serial,
        },
        "best-fit spot": {
            "instance": "m4.4xlarge",
            "purchase": "spot",
            "allocation": "best-fit",
            **serial,
        },
        "arm": {"instance": "c7g.16xlarge", "max_nodes": 4, "placement_group": False},
    }
    if choice["gpus"] != "no":
        every["efa"]["instance"] = "p4d.24xlarge"
        every["serial"] |= {"instance": "g5.12xlarge", "hyperthreading": choice["gpus"] == "all"}
    if choice["scratch"] == "yes":
        every["mpi"]["instance"] = "r5d.12xlarge"
    if choice["types"] == "several":
        # The types of a reservation are one.
        every["spot"] |= {
            "alternatives": ["m5.4xlarge", "m5a.4xlarge"],
            "allocation": "spot-price-capacity-optimized",
        }
        if choice["gpus"] == "no" and choice["capacity"] != "reservation":
            every["serial"]["alternatives"] = ["r5.4xlarge"]
    _add_capacity(every, choice["capacity"])
    if choice["scratch"] == "yes":
        for environment in every.values():
            if load_catalog().require(environment["instance"]).scratch_disks:
                environment["scratch"] = "/mnt/local"
    chosen = choice["machines"]
    kept = every if chosen == "many" else {chosen: every[chosen]}
    return {name.replace(" ", "_"): environment for name, environment in kept.items()}


def _add_capacity(every: dict[str, Data], option: str) -> None:
    """Gives environments reserved capacity; only a type with GPUs is sold in blocks."""
    reserved = {
        "reservation": {"reservation": f"cr-{_ID}"},
        "group": {"group": "lab_reservations.1"},
        "group by ARN": {
            "group": f"arn:aws:resource-groups:us-east-1:{_ACCOUNT}:group/lab_reservations.1"
        },
    }
    if option in reserved:
        every["mpi"]["capacity"] = reserved[option]
        every["serial"] |= {"capacity": reserved[option], "zones": _ZONES[:1]}
    elif option == "block" and every["efa"]["instance"].startswith("p4d"):
        every["efa"]["capacity"] = {"block": f"cr-{_ID}"}
        del every["efa"]["placement_group"]


def _queues(environments: dict[str, Data]) -> dict[str, Data]:
    queues = {
        f"{name}-queue": {"environments": [name], "priority": 1 + index}
        for index, name in enumerate(environments)
    }
    if {"mpi", "efa"} <= environments.keys() and "block" not in environments["efa"].get(
        "capacity", {}
    ):
        queues["two"] = {
            "environments": ["mpi", "efa"],
            "enabled": False,
            "cancel_after": {"capacity": 3600, "misconfiguration": None},
        }
    return queues


def _jobs(choice: Mapping[str, str], environments: dict[str, Data]) -> dict[str, Data]:
    jobs: dict[str, Data] = {}
    option = choice["jobs"]
    for name, environment in environments.items():
        multi = environment.get("multi_node", True)
        has_gpus = environment["instance"].startswith(("g", "p"))
        gpus = {"gpus": 1} if has_gpus and choice["gpus"] == "one" else {}
        if option in {"single", "both"}:
            jobs[f"one-{name}"] = {
                "queue": f"{name}-queue",
                "command": ["true"],
                "vcpus": 1,
                "memory": 2048,
                "shared_memory": 64,
                **gpus,
            }
        if option in {"multi", "both"} and multi:
            jobs[f"all-{name}"] = {
                "queue": f"{name}-queue",
                "nodes": 2,
                "command": ["python3", "/efs/mpi_example.py"],
                "ranks_per_node": 4,
                "threads_per_rank": 2,
                "launcher": "openmpi",
                "mpi_args": ["--bind-to", "core"],
                "environment": {"DEBUG": "1"},
                "image": "docker.io/me/other:v2",
                "attempts": 2,
                "timeout": 3600,
                **gpus,
            }
        if option == "both" and multi:
            jobs[f"main-{name}"] = {
                "queue": f"{name}-queue",
                "nodes": 3,
                "command": ["/efs/run.sh"],
                "launcher": "main",
            }
    return jobs


def pairwise() -> list[Choice]:
    """Returns few choices in which every option of a feature meets every option of another."""
    return [dict(choice) for choice in _pairwise()]


@cache
def _pairwise() -> list[Choice]:
    # A feature with many options leaves least to choose, and goes first.
    keys = sorted(FEATURES, key=lambda key: -len(FEATURES[key]))
    options = [(key, option) for key in keys for option in FEATURES[key]]
    of = {key: [n for n, (other, _) in enumerate(options) if other == key] for key in keys}
    # For each option, a number with a bit for each one that it has yet to meet.
    unmet = [
        sum(1 << n for n, (other, _) in enumerate(options) if other != key) for key, _ in options
    ]
    choices: list[Choice] = []
    while any(unmet):
        # The option that has most to meet, then of each other feature the one that meets most.
        first = max(range(len(options)), key=lambda n: unmet[n].bit_count())
        chosen = {options[first][0]: first}
        bits = 1 << first
        for key in keys:
            if key not in chosen:
                met = {n: (unmet[n] & bits).bit_count() for n in of[key]}
                chosen[key] = max(met, key=met.__getitem__)
                bits |= 1 << chosen[key]
        for option in chosen.values():
            unmet[option] &= ~bits
        choices.append({key: options[chosen[key]][1] for key in FEATURES})
    return choices


_TAG = st.text(
    st.characters(categories=("Lu", "Ll", "Lt", "Lo", "Nd"), include_characters="_ .:/=+@-"),
    min_size=1,
    max_size=12,
).map(_carried)
# Composed, some letters fall apart into one and a mark, which no tag may have.
_TAG = _TAG.filter(lambda text: all(char.isalnum() or char in "_ .:/=+@-" for char in text))


def _is_free_tag(key: str) -> bool:
    return not key.casefold().startswith(("aws:", "mngen:")) and len(key) <= 128


@cache
def variables() -> st.SearchStrategy[dict[str, str]]:
    """Strategy of a job's environment variables."""
    free = texts(min_size=1).filter(
        lambda name: name != "" and "=" not in name and not name.upper().startswith("AWS_BATCH")
    )
    return st.dictionaries(free, texts(), max_size=4)


def choices() -> st.SearchStrategy[Choice]:
    """Strategy of the features of a spec."""
    return _CHOICES


_CHOICES = st.fixed_dictionaries(
    {name: st.sampled_from(options) for name, options in FEATURES.items()}
)

_TAGS = st.dictionaries(_TAG.filter(_is_free_tag), _TAG | st.just(""), max_size=4).filter(
    lambda tags: len({key.casefold() for key in tags}) == len(tags)
)

_KEY_PAIR = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)

_ARGUMENTS = st.lists(texts(), max_size=3)


@cache
def _unique_names(count: int) -> st.SearchStrategy[list[str]]:
    return st.lists(names(), min_size=count, max_size=count, unique_by=str.lower)


def specs() -> st.SearchStrategy[Data]:
    """Strategy of the data of sound specs."""
    return _SPECS


@st.composite
def _specs(draw: st.DrawFn) -> Data:
    data = make_spec(draw(_CHOICES))
    if "tags" in data:
        data["tags"] = draw(_TAGS)
    if "ssh" in data["network"]:
        data["network"]["ssh"]["key_pair"] = draw(_KEY_PAIR)
    for job in data["jobs"].values():
        if "definition" in job:
            continue
        job["command"] = ["run", *draw(_ARGUMENTS)]
        job["environment"] = draw(variables())
        for group in job.get("groups", {}).values():
            group["command"] = ["run", *draw(_ARGUMENTS)]
            group["environment"] = draw(variables())
        if "mpi_args" in job:
            job["mpi_args"] = draw(_ARGUMENTS)
    for section in ("environments", "queues", "jobs"):
        old = list(data[section])
        _rename(data, section, dict(zip(old, draw(_unique_names(len(old))), strict=True)))
    return data


_SPECS = _specs()


def _rename(data: Data, section: str, renamed: dict[str, str]) -> None:
    data[section] = {renamed[name]: entry for name, entry in data[section].items()}
    if section == "environments":
        for queue in data["queues"].values():
            queue["environments"] = [renamed[name] for name in queue["environments"]]
    if section == "queues":
        for job in data["jobs"].values():
            job["queue"] = renamed[job["queue"]]
    if section == "jobs":
        for job in data["jobs"].values():
            after = job.get("after")
            if isinstance(after, str):
                job["after"] = renamed[after]
            elif after is not None:
                job["after"] = [renamed[name] for name in after]


def to_yaml(data: Data) -> bytes:
    """Writes a spec's data as YAML."""
    # PyYAML's writer in C: without it, writing a spec takes longer than what a test asks of it.
    text: str = yaml.dump(data, Dumper=yaml.CSafeDumper, allow_unicode=True, sort_keys=False)
    return text.encode()


def to_cluster(data: Data) -> Cluster:
    """Loads a spec's data through YAML, judges it and resolves it, as `mngen render` does.

    Raises:
        InputError: The spec is not sound.
    """
    return require(load_text(to_yaml(data)), load_catalog())
