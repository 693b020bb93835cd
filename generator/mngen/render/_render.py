"""Renders a cluster: `spec -> {path: text}`, touching nothing but its own templates."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from mngen import __version__, _resources
from mngen.cluster import (
    FSX_PORTS,
    FSX_VERSION,
    SHELL_ACTIONS,
    batch_image_type,
    builder_volume,
    container_properties,
    creates_execution_role,
    creates_roles,
    creates_spot_fleet_role,
    definition_name,
    denied_submitters,
    deployment_tags,
    efa_installer,
    execution_access,
    fsx_deployment_type,
    fsx_folders,
    fsx_link_label,
    fsx_links,
    fsx_throughput,
    grants_mount,
    grants_shell,
    has_secrets,
    job_variables,
    log_group_name,
    names,
    nat_zone,
    policy_name,
    preloaded_images,
    pulled_repositories,
    queue_name,
    recorded_spec,
    repository_name,
    retry_conditions,
    ulimits_of,
    writes_outputs,
    zone_numbers,
)
from mngen.errors import ToolError
from mngen.render._hcl import Hcl, comment
from mngen.render._registered import provider_conditions, registered
from mngen.render._static import static_tree
from mngen.render._templates import render_template
from mngen.spec import DEFAULT_CIDR, DEFAULT_RETENTION, ImageFromFiles, written

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from mngen.cluster import Cluster, ResolvedJob
    from mngen.spec import Job, Queue, Spec

Tree = dict[str, str]
"""Rendered files by their path below the output folder, with forward slashes."""

PROVIDER_RANGES = {5: ">= 5.100.0, < 6.0.0", 6: ">= 6.0.0, < 7.0.0"}
_RANGE_BY_PRICE = ">= 6.10.0, < 7.0.0"
"""Of version 6 where an environment allocates by Spot prices: older ones do not update it in place.

Source: https://github.com/hashicorp/terraform-provider-aws/blob/main/CHANGELOG.md (6.10.0, #40148)
"""
_PACKER = ("packer/images.pkr.hcl.j2", "packer/plugins.pkr.hcl")
_PRELOAD = tuple(f"playbooks/{path}" for path in names.PRELOAD_FILES)
_OF_EVERY_GROUP = ("linuxParameters", "mountPoints", "volumes")
"""Container properties that no key of a node group changes, besides the size of /dev/shm."""
_VPC_TEMPLATES = {"default": "vpc_default.tf.j2", "new": "vpc_new.tf.j2"}


def render(cluster: Cluster, *, provider: int | None = None, source: str = "mngen.yaml") -> Tree:
    """Renders the tree of a cluster.

    Args:
        cluster: The spec joined with the catalog; sound, see `mngen.rules`.
        provider: Major version of the AWS provider, 5 or 6; None for the spec's own.
        source: Name of the spec's file, for the headers.

    Returns:
        The text of every file by its path; equal input gives equal bytes.
    """
    spec = cluster.spec
    values = _values(cluster, provider or spec.provider)
    header = _header(source)
    tree = {}
    for name in _template_names(spec):
        for target, protected in _targets(name, spec).items():
            variant = {**values, "protected": protected}
            body = render_template(name, variant) if name.endswith(".j2") else _static(name)
            # A template that is empty for this spec leaves no file.
            if body.strip():
                tree[f"terraform/{target}"] = header + body
    images, plugins = _PACKER
    tree[images.removesuffix(".j2")] = header + render_template(images, values)
    tree[plugins] = header + (_resources.root() / plugins).read_text(encoding="utf-8")
    tree |= {
        path: text
        for path, text in static_tree(_static_folders(spec)).items()
        if spec.image.preload or not path.startswith(_PRELOAD)
    }
    if isinstance(spec.image, ImageFromFiles):
        tree |= {f"{names.OWN_PLAYBOOKS}/{path}": text for path, text in spec.image.files.items()}
    return dict(sorted(tree.items()))


def _values(cluster: Cluster, provider: int) -> dict[str, object]:
    spec = cluster.spec
    endpoints = dict.fromkeys(spec.network.endpoints)
    properties = {
        job.name: _properties(spec, job) for job in cluster.jobs if not job.spec.definition
    }
    groups = {job.name: [_group(spec, job, part) for part in job.groups] for job in cluster.jobs}
    # Of jobs with other conditions than the default.
    conditions = {
        job.name: provider_conditions(
            retry_conditions(job.spec.retry, uploads=job.spec.outputs is not None)
        )
        for job in cluster.jobs
        if job.spec.retry is not None or job.spec.outputs is not None
    }
    services = {service: names.endpoint_service(spec.region, service) for service in endpoints}
    gateway = services.pop("s3", None)
    nat = spec.network.nat is not False
    spot_by_price = any(
        each.allocation == "SPOT_PRICE_CAPACITY_OPTIMIZED" for each in cluster.environments
    )
    return {
        "spec": spec,
        "cluster": cluster,
        "written": written(recorded_spec(cluster)),
        "tags": deployment_tags(spec),
        "provider": provider,
        "provider_range": (
            _RANGE_BY_PRICE if spot_by_price and provider == 6 else PROVIDER_RANGES[provider]
        ),
        "spot_by_price": spot_by_price,
        "name_prefix": Hcl("compute_environment_name_prefix" if provider == 5 else "name_prefix"),
        "image_types": {
            each.name: batch_image_type(spec.image.base, gpu=each.gpus > 0)
            for each in cluster.environments
        },
        "scratch_jobs": any(job.scratch and not job.spec.definition for job in cluster.jobs),
        "gpu_jobs": any(
            part.gpus and not part.spec.definition
            for job in cluster.jobs
            for part in (job, *job.groups)
        ),
        "groups": groups,
        "grouped_jobs": any(groups.values()),
        "retried_jobs": bool(conditions),
        "conditions": conditions,
        "default_conditions": provider_conditions(retry_conditions()),
        "gateway_endpoint": gateway,
        "interface_endpoints": services,
        "nat": nat,
        "nat_zone": nat_zone(spec),
        "default_cidr": DEFAULT_CIDR,
        "default_group_decides": cluster.default_group_decides,
        "reaches_internet": spec.network.vpc != "new" or nat,
        "job_variables": {job.name: job_variables(spec, job) for job in cluster.jobs},
        "properties": properties,
        "further_properties": any(properties.values()),
        "further_devices": any(
            each.get("linuxParameters", {}).get("devices") for each in properties.values()
        ),
        "creates_roles": creates_roles(spec),
        "creates_execution_role": creates_execution_role(spec),
        "execution_access": execution_access(spec),
        "log_group_name": log_group_name(spec),
        "log_days": _log_days(spec),
        "default_retention": DEFAULT_RETENTION,
        "creates_spot_fleet_role": creates_spot_fleet_role(spec),
        "builder_volume": partial(builder_volume, cluster),
        "efa_installer": efa_installer(cluster),
        "fsx_deployment_type": fsx_deployment_type,
        "fsx_folders": fsx_folders(spec.storage.fsx),
        "fsx_link_label": fsx_link_label,
        "fsx_links": fsx_links,
        "fsx_ports": FSX_PORTS,
        "fsx_throughput": fsx_throughput,
        "fsx_version": FSX_VERSION,
        "grants_mount": grants_mount(spec),
        "grants_shell": grants_shell(spec),
        "writes_outputs": writes_outputs(spec),
        "shell_actions": SHELL_ACTIONS,
        "names": names,
        "preloaded": partial(preloaded_images, cluster),
        "preloads": any(preloaded_images(cluster, each) for each in cluster.machine_images),
        "pulled_repositories": pulled_repositories(cluster),
        "queue_name": queue_name,
        "definition_name": definition_name,
        "registered": registered,
        "repository_name": repository_name(spec),
        "jobs_without_role": spec.roles.job == "none"
        and not all(job.role for job in spec.jobs.values() if not job.definition),
        "scheduling_policies": any(queue.is_fair for queue in spec.queues.values()),
        "shares": {name: _shares(spec, name) for name in spec.queues},
        "any_shares": any(queue.shares is not None for queue in spec.queues.values()),
        "chooses": any(each.alternatives for each in cluster.environments),
        "reserves": any(each.spec.capacity for each in cluster.environments),
        "reservation_groups_by_name": _groups_by_name(spec),
        "ssh_interface": cluster.connection.replace("-", "_"),
        "version": __version__,
        "zone_numbers": zone_numbers(spec),
    }


def _log_days(spec: Spec) -> int:
    """Returns the retention of the log group, as the provider has it: 0 for no end."""
    kept = spec.logs.retention
    return DEFAULT_RETENTION if kept is None else 0 if kept == "never" else kept


def _groups_by_name(spec: Spec) -> frozenset[str]:
    """Returns the groups of capacity reservations that the spec names without their ARNs."""
    named = [each.capacity.group for each in spec.environments.values() if each.capacity]
    return frozenset(group for group in named if group and not group.startswith("arn:"))


def _shares(spec: Spec, queue: str) -> dict[str, object] | None:
    """Returns the scheduling policy that mngen makes for a queue, or None."""
    shares = spec.queues[queue].shares
    if shares is None:
        return None
    return {
        "policy": policy_name(spec, queue),
        "weights": shares.weights,
        "decay_seconds": shares.decay,
        "reserve_percent": shares.reserve,
    }


def _group(spec: Spec, job: ResolvedJob, part: ResolvedJob) -> dict[str, object]:
    """Returns what a node group has in place of what its job has, and which properties it lacks."""
    of_job, own = (
        {**_properties(spec, each), **({"ulimits": limits} if (limits := ulimits_of(each)) else {})}
        for each in (job, part)
    )
    return {
        "name": part.group,
        "nodes": part.target,
        "image": part.spec.image or Hcl("local.container_image"),
        "command": part.spec.command,
        "vcpus": part.vcpus,
        "memory_mib": part.memory,
        "shared_memory_mib": part.shared_memory,
        "environment": job_variables(spec, part),
        **({"gpus": part.gpus} if part.gpus else {}),
        "properties": {
            key: value
            for key, value in own.items()
            if key not in _OF_EVERY_GROUP and value != of_job.get(key)
        },
        "without": sorted(of_job.keys() - own.keys()),
    }


def _properties(spec: Spec, job: ResolvedJob) -> dict[str, Any]:
    """Returns `container_properties` of a job, and of one with secrets the role that reads them."""
    found = container_properties(spec, job)
    if has_secrets(spec, job.spec):
        role = spec.roles.execution
        created = Hcl("module.identity.execution_role_arn")
        found["executionRoleArn"] = created if role == "create" else role
    return found


def _header(source: str) -> str:
    return (
        f"# Generated by mngen {__version__} from {comment(source)}. "
        "Edit that and run `mngen render`.\n\n"
    )


@lru_cache(maxsize=1)
def _all_names() -> tuple[str, ...]:
    root: Path = _resources.templates() / "terraform"
    found = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.tf*"))
    if not found:
        raise ToolError(f"the templates are missing from {root}", hint="install mngen again")
    return tuple(found)


@lru_cache(maxsize=64)
def _static(name: str) -> str:
    return (_resources.templates() / "terraform" / name).read_text(encoding="utf-8")


def _template_names(spec: Spec) -> list[str]:
    vpc = _VPC_TEMPLATES.get(spec.network.vpc, "vpc_existing.tf.j2")
    return [
        name
        for name in _all_names()
        if not name.startswith("modules/network/vpc_") or name.endswith(vpc)
        if not name.startswith("modules/registry/") or not spec.container.image
        if not name.startswith("modules/job_definition/") or _jobs(spec, from_file=False)
        if not name.startswith("modules/job_definition_json/") or _jobs(spec, from_file=True)
        if not name.startswith("modules/identity/") or creates_roles(spec)
        if not name.startswith("modules/fsx/") or spec.storage.fsx is not None
        if not name.startswith("modules/notify/") or spec.notify is not None
        if not name.startswith("modules/dashboard/") or spec.dashboard
        if not name.startswith("modules/deny_submit/") or denied_submitters(spec)
    ]


def _jobs(spec: Spec, *, from_file: bool) -> list[Job]:
    """Returns the jobs with a definition from a file, or those with keys."""
    return [job for job in spec.jobs.values() if (job.definition is not None) is from_file]


def _static_folders(spec: Spec) -> list[tuple[Path, str]]:
    """Returns what is rendered as it is, with its place in the tree."""
    folders = [(_resources.playbooks(), "playbooks")]
    if not spec.container.image:
        folders.append((_resources.container(), "container"))
    return folders


def _targets(name: str, spec: Spec) -> dict[str, bool]:
    """Returns the rendered paths of a template, each with whether it protects what it makes.

    All variants of the VPC land in one file. `prevent_destroy` is a constant of a resource, so what
    the spec protects has another module than the rest.
    """
    path = name.removesuffix(".j2")
    folder, _, file = path.rpartition("/")
    if file.startswith("vpc_"):
        path = f"{folder}/vpc.tf"
    protectable: Mapping[str, Iterable[Queue | Job]] = {
        "modules/job_queue": spec.queues.values(),
        "modules/job_definition": _jobs(spec, from_file=False),
        "modules/job_definition_json": _jobs(spec, from_file=True),
    }
    if folder not in protectable:
        return {path: False}
    return {
        f"{folder}{'_protected' if protect else ''}/{file}": protect
        for protect in sorted({each.protect for each in protectable[folder]})
    }
