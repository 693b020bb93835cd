"""Renders a cluster: `spec -> {path: text}`, touching nothing but its own templates."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from mngen import __version__, _resources, amis
from mngen._tags import DEPLOYMENT_TAG
from mngen.cluster import job_variables
from mngen.errors import ToolError
from mngen.render._hcl import Hcl, comment
from mngen.render._static import static_tree
from mngen.render._templates import render_template

if TYPE_CHECKING:
    from pathlib import Path

    from mngen.cluster import Cluster
    from mngen.spec import Spec

Tree = dict[str, str]
"""Rendered files by their path below the output folder, with forward slashes."""

PROVIDER_RANGES = {5: ">= 5.100.0, < 6.0.0", 6: ">= 6.0.0, < 7.0.0"}
_PACKER = ("packer/images.pkr.hcl.j2", "packer/plugins.pkr.hcl")
_IMAGE_TYPES = {"amazon-linux-2023": "ECS_AL2023", "amazon-linux-2": "ECS_AL2"}
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
        body = render_template(name, values) if name.endswith(".j2") else _static(name)
        # A template that has nothing to say for this spec leaves no file.
        if body.strip():
            tree[f"terraform/{_target(name)}"] = header + body
    images, plugins = _PACKER
    tree[images.removesuffix(".j2")] = header + render_template(images, values)
    tree[plugins] = header + (_resources.root() / plugins).read_text(encoding="utf-8")
    tree |= static_tree(_static_folders(spec))
    return dict(sorted(tree.items()))


_CHINESE_ENDPOINTS = frozenset({"ecr.api", "ecr.dkr"})
"""Services whose endpoints have another prefix in the China regions; the others' are as elsewhere.

Source: `aws ec2 describe-vpc-endpoint-services` in cn-north-1 and cn-northwest-1, as printed in
https://github.com/aws/aws-cdk/pull/16139 and https://github.com/aws/aws-cdk/pull/25333.
"""


def endpoint_service(region: str, service: str) -> str:
    """Returns the name of an AWS service's VPC endpoint in a region.

    Source: https://docs.aws.amazon.com/vpc/latest/privatelink/aws-services-privatelink-support.html
    """
    prefix = "cn." if region.startswith("cn-") and service in _CHINESE_ENDPOINTS else ""
    return f"{prefix}com.amazonaws.{region}.{service}"


def creates_spot_fleet_role(spec: Spec) -> bool:
    """Tells whether a role for the Spot fleet is made: asked for, and with a Spot environment."""
    return spec.roles.spot_fleet == "create" and any(
        environment.purchase == "spot" for environment in spec.environments.values()
    )


def efa_installer(cluster: Cluster) -> str | None:
    """Returns bucket and folder of the EFA installer where a role must be let read it."""
    place = cluster.spec.image.efa_installer
    efa = any(image.efa for image in cluster.machine_images)
    created = cluster.spec.roles.instance_profile == "create"
    return place.removeprefix("s3://") if place and efa and created else None


def deployment_tags(spec: Spec) -> dict[str, str]:
    """Returns the tags of every resource: the spec's, and the deployment's name."""
    return {**spec.tags, DEPLOYMENT_TAG: spec.name}


def _values(cluster: Cluster, provider: int) -> dict[str, object]:
    spec = cluster.spec
    endpoints = dict.fromkeys(spec.network.endpoints)
    names = {service: endpoint_service(spec.region, service) for service in endpoints}
    gateway = names.pop("s3", None)
    nat = spec.network.nat is not False
    return {
        "spec": spec,
        "cluster": cluster,
        "tags": deployment_tags(spec),
        "provider_range": PROVIDER_RANGES[provider],
        "name_prefix": Hcl("compute_environment_name_prefix" if provider == 5 else "name_prefix"),
        "image_type": _IMAGE_TYPES[spec.image.base],
        "gateway_endpoint": gateway,
        "interface_endpoints": names,
        "nat": nat,
        "default_group_decides": cluster.default_group_decides,
        "reaches_internet": spec.network.vpc != "new" or nat,
        "job_variables": {job.name: job_variables(spec, job) for job in cluster.jobs},
        "creates_spot_fleet_role": creates_spot_fleet_role(spec),
        "efa_installer": efa_installer(cluster),
        "amis": amis,
        "ssh_interface": cluster.connection.replace("-", "_"),
        "version": __version__,
    }


def _header(source: str) -> str:
    return (
        f"# Generated by mngen {__version__} from {comment(source)}. "
        "Edit that and run `mngen render`.\n\n"
    )


@lru_cache(maxsize=1)
def _all_names() -> tuple[str, ...]:
    root: Path = _resources.templates() / "terraform"
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.tf*"))
    if not names:
        raise ToolError(f"the templates are missing from {root}", hint="install mngen again")
    return tuple(names)


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
        if not name.startswith("modules/job_definition/") or spec.jobs
    ]


def _static_folders(spec: Spec) -> list[tuple[Path, str]]:
    """Returns what is rendered as it is, with its place in the tree."""
    folders = [(_resources.playbooks(), "playbooks")]
    if not spec.container.image:
        folders.append((_resources.container(), "container"))
    return folders


def _target(name: str) -> str:
    """Returns the rendered path of a template: all variants of the VPC land in one file."""
    path = name.removesuffix(".j2")
    folder, _, file = path.rpartition("/")
    if file.startswith("vpc_"):
        path = f"{folder}/vpc.tf"
    return path
