"""What a job's keys set in its container beyond the command and the resources, in Batch's words.

Source of all of it: https://docs.aws.amazon.com/batch/latest/APIReference/API_ContainerProperties.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mngen.spec import Ulimit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mngen.cluster._resolve import ResolvedJob
    from mngen.spec import Job, Spec

_MOUNT = "mount-"
"""What the names of the volumes of `mounts` begin with in a job definition."""

_SHELL = "enableExecuteCommand"
_ADDED_LISTS = ("mountPoints", "volumes")
"""Container properties that are added to those of every job, item by item."""
_UNLIMITED = Ulimit(soft=-1, hard=-1)
_OF_GPUS = {
    "nofile": Ulimit(soft=1_024_000, hard=1_024_000),
    "stack": Ulimit(soft=67_108_864, hard=67_108_864),
}
"""What AWS's examples set for jobs with GPUs.

Source: https://github.com/awslabs/awsome-distributed-ai (1.architectures/3.aws-batch)
"""


def job_ulimits(job: ResolvedJob) -> dict[str, Ulimit]:
    """Returns the limits of a job's processes, sorted by name: its own, and those by default.

    EFA registers the memory that it sends from, and so does NCCL.
    """
    limits = {"memlock": _UNLIMITED} if job.efa_interfaces or job.gpus else {}
    limits |= _OF_GPUS if job.gpus else {}
    for name, limit in job.spec.ulimits.items():
        limits[name] = Ulimit(soft=limit, hard=limit) if isinstance(limit, int) else limit
    return dict(sorted(limits.items()))


def credentials_of(spec: Spec, job: Job) -> str | None:
    """Returns the secret with the credentials of the registry of a job's image, or None."""
    if job.image is not None or job.registry_credentials is not None:
        return job.registry_credentials
    return spec.container.registry_credentials


def container_properties(spec: Spec, job: ResolvedJob) -> dict[str, Any]:
    """Returns the container properties that follow from a job's keys, besides those of every job.

    Of `linuxParameters`, `mountPoints` and `volumes` they are what is added to those of every job;
    a job with none of these keys has none. The role that reads secrets is not among them.
    """
    credentials = credentials_of(spec, job.spec)
    found = _of_job(job)
    if job.spec.secrets:
        found["secrets"] = [
            {"name": name, "valueFrom": place} for name, place in sorted(job.spec.secrets.items())
        ]
    if credentials is not None:
        found["repositoryCredentials"] = {"credentialsParameter": credentials}
    for key, value in job.spec.container_properties.items():
        if key in _ADDED_LISTS:
            found[key] = [*found.get(key, []), *value]
        elif key == "linuxParameters":
            found[key] = {**value, **found.get(key, {})}
        else:
            found[key] = value
    return found


def _of_job(job: ResolvedJob) -> dict[str, Any]:
    spec = job.spec
    found: dict[str, Any] = {}
    if spec.ulimits:
        found["ulimits"] = ulimits_of(job)
    if spec.tmpfs:
        found["linuxParameters"] = {"tmpfs": _tmpfs(job)}
    if spec.mounts:
        found["mountPoints"] = [
            {
                "containerPath": mount.path,
                "readOnly": mount.read_only,
                "sourceVolume": f"{_MOUNT}{number}",
            }
            for number, mount in enumerate(spec.mounts)
        ]
        found["volumes"] = [
            {"name": f"{_MOUNT}{number}", "host": {"sourcePath": mount.host}}
            for number, mount in enumerate(spec.mounts)
        ]
    if spec.user is not None:
        found["user"] = spec.user
    if spec.privileged:
        found["privileged"] = True
    if spec.shell:
        found[_SHELL] = True
    return found


def apply_properties(spec: Spec, job: ResolvedJob, container: dict[str, Any]) -> None:
    """Changes a container of the account to what the job's keys ask for.

    The file systems, devices and all else that these keys do not stand for stay.
    """
    wanted = container_properties(spec, job)
    wanted["ulimits"] = ulimits_of(job)
    parameters = container.setdefault("linuxParameters", {})
    linux = {"tmpfs": [], **wanted.pop("linuxParameters", {})}
    devices = linux.pop("devices", [])
    parameters |= linux
    if devices:
        own = {each["hostPath"] for each in devices}
        others = [each for each in parameters.get("devices", []) if each["hostPath"] not in own]
        parameters["devices"] = [*others, *devices]
    for key, name in (("mountPoints", "sourceVolume"), ("volumes", "name")):
        added = wanted.pop(key, [])
        kept = [
            each
            for each in container.get(key, [])
            if not each[name].startswith(_MOUNT) and each not in added
        ]
        container[key] = [*kept, *added]
    container["ulimits"] = wanted.pop("ulimits")
    for key in ("user", "privileged", "secrets", "repositoryCredentials", _SHELL):
        container.pop(key, None)
    container |= wanted


def keys_of_properties(job: Job, container: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what the keys of a job stand for in a container, in a form that can be compared.

    Args:
        job: The job, whose `container_properties` name further ones to look at.
        container: A container as a job definition has it.
    """
    parameters = container.get("linuxParameters") or {}
    paths = {
        each["name"]: (each.get("host") or {}).get("sourcePath")
        for each in container.get("volumes") or []
    }
    return {
        "ulimits": sorted(
            (each["name"], each["softLimit"], each["hardLimit"])
            for each in container.get("ulimits") or []
        ),
        "tmpfs": [
            (each["containerPath"], each["size"], list(each.get("mountOptions") or []))
            for each in parameters.get("tmpfs") or []
        ],
        "mounts": [
            (paths.get(each["sourceVolume"]), each["containerPath"], bool(each.get("readOnly")))
            for each in container.get("mountPoints") or []
            if each.get("sourceVolume", "").startswith(_MOUNT)
        ],
        "secrets": {each["name"]: each["valueFrom"] for each in container.get("secrets") or []},
        "registry_credentials": (container.get("repositoryCredentials") or {}).get(
            "credentialsParameter"
        ),
        "user": container.get("user"),
        "privileged": bool(container.get("privileged")),
        "shell": bool(container.get(_SHELL)),
        "container_properties": {
            key: container.get(key)
            for key in job.container_properties
            if key not in (*_ADDED_LISTS, "linuxParameters")
        },
    }


def wanted_keys(spec: Spec, job: ResolvedJob) -> dict[str, Any]:
    """Returns `keys_of_properties` of the container that the spec asks for."""
    return keys_of_properties(
        job.spec, {**container_properties(spec, job), "ulimits": ulimits_of(job)}
    )


def ulimits_of(job: ResolvedJob) -> list[dict[str, Any]]:
    """Returns `job_ulimits` as AWS Batch takes them."""
    return [
        {"name": name, "hardLimit": limit.hard, "softLimit": limit.soft}
        for name, limit in job_ulimits(job).items()
    ]


def _tmpfs(job: ResolvedJob) -> list[dict[str, Any]]:
    return [
        {
            "containerPath": each.path,
            "size": each.size,
            **({"mountOptions": list(each.options)} if each.options else {}),
        }
        for each in job.spec.tmpfs
    ]


def memory_in_files(job: ResolvedJob) -> int:
    """Returns how much of a job's memory its file systems in memory may take, in MiB."""
    return job.shared_memory + sum(each.size for each in job.spec.tmpfs)
