"""Compute environments of the emulated Batch, created, changed and described as Batch does."""

from __future__ import annotations

import copy
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from moto.batch.exceptions import ClientException
from moto.iam.exceptions import NotFoundException as RoleNotFoundError
from moto.moto_api._internal import mock_random

from mngen.catalog import load_catalog
from mngen.sandbox.batch._interfaces import (
    check_security_groups,
    interface_fault,
    with_security_groups,
)
from mngen.sandbox.batch._reserved import reservation_fault
from mngen.sandbox.emulator._ec2 import placement_groups

if TYPE_CHECKING:
    from moto.batch.models import ComputeEnvironment

    from mngen.catalog import Catalog

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_STATES = ("ENABLED", "DISABLED")
_SERVICE_LINKED_ROLE = "AWSServiceRoleForBatch"
_IMAGE_TYPES = ("ECS_AL2", "ECS_AL2_NVIDIA", "ECS_AL2023", "ECS_AL2023_NVIDIA")
"""Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_Ec2Configuration.html"""
_SCALING_KEYS = {"minvCpus", "maxvCpus", "desiredvCpus"}
_CHANGED_IN_GOVCLOUD = {"state", "computeResources", "serviceRole", "unmanagedvCpus"}
_UPDATABLE_STRATEGIES = {
    "BEST_FIT_PROGRESSIVE",
    "SPOT_CAPACITY_OPTIMIZED",
    "SPOT_PRICE_CAPACITY_OPTIMIZED",
}


_STRATEGIES = sorted({"BEST_FIT", "BEST_FIT_PROGRESSIVE_ORDERED", *_UPDATABLE_STRATEGIES})


def create_environment(backend: Any, request: dict[str, Any]) -> ComputeEnvironment:
    """Creates a compute environment from a CreateComputeEnvironment request.

    Raises:
        ClientException: Batch would refuse the request.
    """
    name = request.get("computeEnvironmentName") or ""
    check_name("computeEnvironmentName", name)
    check_state(request.get("state"))
    if backend.get_compute_environment_by_name(name) is not None:
        raise ClientException("Object already exists")
    role = _service_role(backend, request.get("serviceRole"))
    resources = copy.deepcopy(request.get("computeResources"))
    if resources is not None:
        _check_spot_role(resources)
        _check_types(resources)
        _check_image_types(resources)
        check_security_groups(backend.ec2_backend, resources)
    environment: ComputeEnvironment = backend.create_compute_environment(
        compute_environment_name=name,
        _type=request.get("type"),
        state=request.get("state") or "ENABLED",
        compute_resources=with_security_groups(backend.ec2_backend, resources),
        service_role=role,
        tags=request.get("tags"),
    )
    if resources is not None:
        environment.compute_resources = resources
    _name_cluster(backend, environment)
    extra: Any = environment
    extra.update_policy = request.get("updatePolicy")
    extra.unmanaged_vcpus = request.get("unmanagedvCpus")
    _complete(backend, environment)
    return environment


def update_environment(backend: Any, request: dict[str, Any]) -> ComputeEnvironment:
    """Changes a compute environment as UpdateComputeEnvironment asks.

    Scaling is always possible. Everything else ("infrastructure update") needs the service-linked
    role and an allocation strategy other than BEST_FIT, see
    https://docs.aws.amazon.com/batch/latest/userguide/updating-compute-environments.html. No other
    role can replace that one, and that one can replace no other:
    https://docs.aws.amazon.com/batch/latest/APIReference/API_UpdateComputeEnvironment.html.
    In the GovCloud regions an update policy alone is refused, in the words of
    https://github.com/hashicorp/terraform-provider-aws/issues/43969.

    Raises:
        ClientException: Batch would refuse the request.
    """
    name = request.get("computeEnvironment")
    environment: ComputeEnvironment | None = backend.get_compute_environment(name)
    if environment is None:
        raise ClientException(f"Compute environment {name} does not exist")
    check_state(request.get("state"))
    if backend.region_name.startswith("us-gov-") and not _CHANGED_IN_GOVCLOUD & set(request):
        raise ClientException(
            "One of [state | compute-resources | service-role | unmanaged-vcpus] is required."
        )
    changes = request.get("computeResources") or {}
    if changes:
        _check_infrastructure_update(environment, changes)
        merged = {**environment.compute_resources, **copy.deepcopy(changes)}
        merged.pop("updateToLatestImageVersion", None)
        merged["desiredvCpus"] = min(
            max(merged.get("desiredvCpus") or 0, merged.get("minvCpus", 0)), merged["maxvCpus"]
        )
        _check_types(merged)
        _check_image_types(merged)
        check_security_groups(backend.ec2_backend, merged)
        backend.check_compute_resources(with_security_groups(backend.ec2_backend, merged))
        environment.compute_resources = merged
    if request.get("serviceRole"):
        role = _service_role(backend, request["serviceRole"])
        if _is_linked(role) is not _is_linked(environment.service_role):
            raise ClientException(
                "Error executing request, Exception : a service role cannot be changed to or from "
                "the service-linked role"
            )
        environment.service_role = role
    environment.state = request.get("state") or environment.state
    extra: Any = environment
    if request.get("updatePolicy") is not None:
        extra.update_policy = request["updatePolicy"]
    if request.get("unmanagedvCpus") is not None:
        extra.unmanaged_vcpus = request["unmanagedvCpus"]
    _complete(backend, environment)
    return environment


def describe_environment(backend: Any, environment: ComputeEnvironment) -> dict[str, Any]:
    """Returns the structure that DescribeComputeEnvironments holds."""
    extra: Any = environment
    fault = fault_of(backend, environment)
    described: dict[str, Any] = {
        "computeEnvironmentArn": environment.arn,
        "computeEnvironmentName": environment.name,
        "containerOrchestrationType": "ECS",
        "ecsClusterArn": environment.ecs_arn,
        "serviceRole": environment.service_role,
        "state": environment.state,
        "type": environment.env_type,
        "status": "INVALID" if fault else "VALID",
        "statusReason": fault or "ComputeEnvironment Healthy",
        "tags": backend.list_tags_for_resource(environment.arn),
    }
    if environment.env_type == "MANAGED":
        described["computeResources"] = environment.compute_resources
    if extra.update_policy is not None:
        described["updatePolicy"] = extra.update_policy
    if extra.unmanaged_vcpus is not None:
        described["unmanagedvCpus"] = extra.unmanaged_vcpus
    return described


def fault_of(backend: Any, environment: ComputeEnvironment) -> str | None:
    """Returns why an environment is INVALID; None for a valid one."""
    extra: Any = environment
    fault: str | None = extra.fault
    if fault or environment.env_type != "MANAGED":
        return fault
    return reservation_fault(backend.ec2_backend, environment.compute_resources)


def check_name(field: str, name: str) -> None:
    """Refuses a name that Batch refuses."""
    if not _NAME.fullmatch(name):
        raise ClientException(
            f"Error executing request, Exception : {field} {name!r} must be up to 128 letters, "
            "digits, hyphens and underscores, beginning with a letter or a digit"
        )


def check_state(state: str | None) -> None:
    """Refuses a state that Batch does not know."""
    if state and state not in _STATES:
        raise ClientException(f"state {state} must be one of {' | '.join(_STATES)}")


def _check_types(resources: dict[str, Any]) -> None:
    """Refuses types of several architectures, and strategies that Batch does not have for a market.

    The words about a strategy that exists nowhere are inferred: AWS documents the rules alone.
    Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_ComputeResource.html; of the
    words https://github.com/aws/aws-cdk/issues/31148 (architectures) and
    https://github.com/seqeralabs/nf-tower/issues/262 (strategies)
    """
    found = [catalog().get(name) for name in resources.get("instanceTypes") or []]
    if len({each.architecture for each in found if each is not None}) > 1:
        raise ClientException(
            "Error executing request, Exception : arm-based instance type cannot be used with "
            "other instance types."
        )
    strategy = resources.get("allocationStrategy") or "BEST_FIT"
    if strategy not in _STRATEGIES:
        raise ClientException(
            f"allocationStrategy {strategy} must be one of {' | '.join(_STRATEGIES)}"
        )
    if strategy.startswith("SPOT_") and resources.get("type") != "SPOT":
        raise ClientException(
            "Error executing request, Exception : Invalid compute resource allocation strategy "
            f"{strategy} for type {resources.get('type')}"
        )


def _check_image_types(resources: dict[str, Any]) -> None:
    """Refuses types of images that Batch does not have, or not for the instances.

    Its documentation lists what each supports, but not the messages of a refusal.
    Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_Ec2Configuration.html
    """
    for each in resources.get("ec2Configuration") or []:
        kind = each.get("imageType")
        if kind not in _IMAGE_TYPES:
            raise ClientException(f"imageType {kind} must be one of {' | '.join(_IMAGE_TYPES)}")
        for name in resources.get("instanceTypes") or []:
            instance = catalog().get(name)
            graviton = instance is not None and instance.architecture == "arm64"
            old = kind == "ECS_AL2023_NVIDIA" and name.startswith(("p3", "g3"))
            if kind.endswith("_NVIDIA") and (graviton or old):
                raise ClientException(
                    f"Error executing request, Exception : {kind} does not support instance type "
                    f"{name}"
                )


@lru_cache
def catalog() -> Catalog:
    """Returns the instance types that mngen knows, read once."""
    return load_catalog()


def _default_image_type(resources: dict[str, Any]) -> str:
    """Returns the type of image where none is given: with drivers for all families with GPUs.

    Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_Ec2Configuration.html
    """
    types = [catalog().get(each) for each in resources.get("instanceTypes") or []]
    gpus = any(each is not None and each.gpu_maker == "NVIDIA" for each in types)
    arm = any(each is not None and each.architecture == "arm64" for each in types)
    return "ECS_AL2023_NVIDIA" if gpus and not arm else "ECS_AL2023"


def _check_spot_role(resources: dict[str, Any]) -> None:
    strategy = resources.get("allocationStrategy") or "BEST_FIT"
    if (
        resources.get("type") == "SPOT"
        and strategy == "BEST_FIT"
        and not resources.get("spotIamFleetRole")
    ):
        raise ClientException(
            "Error executing request, Exception : spotIamFleetRole is required for SPOT "
            "compute environments with the BEST_FIT allocation strategy"
        )


def _check_infrastructure_update(environment: ComputeEnvironment, changes: dict[str, Any]) -> None:
    resources = environment.compute_resources
    if "FARGATE" in resources["type"] or not set(changes) - _SCALING_KEYS:
        return
    strategy = changes.get("allocationStrategy") or resources.get("allocationStrategy")
    if strategy not in _UPDATABLE_STRATEGIES or not _is_linked(environment.service_role):
        raise ClientException(
            "Error executing request, Exception : "
            f"{', '.join(sorted(set(changes) - _SCALING_KEYS))} can only be updated with the "
            "service-linked role and an allocation strategy other than BEST_FIT"
        )


def _name_cluster(backend: Any, environment: ComputeEnvironment) -> None:
    """Gives an environment's ECS cluster the name that Batch gives it, which policies rely on.

    It depends on the service role: the service-linked one may only use clusters whose names begin
    with `AWSBatch`; the clusters of other roles were seen with another name.
    Source: https://docs.aws.amazon.com/aws-managed-policy/latest/reference/BatchServiceRolePolicy.html,
    https://docs.aws.amazon.com/cli/latest/reference/batch/describe-compute-environments.html,
    https://github.com/hashicorp/terraform-provider-aws/pull/38050
    """
    del backend.ecs_backend.clusters[environment.ecs_name]
    linked = _is_linked(environment.service_role)
    uuid = mock_random.uuid4()
    name = f"AWSBatch-{environment.name}-{uuid}" if linked else f"{environment.name}_Batch_{uuid}"
    environment.set_ecs(backend.ecs_backend.create_cluster(name).arn, name)


def _is_linked(role: str) -> bool:
    return role.endswith(f"/{_SERVICE_LINKED_ROLE}")


def _service_role(backend: Any, role: str | None) -> str:
    """Returns the ARN of the role named, or of the service-linked one, made where missing."""
    iam = backend.iam_backend
    if role:
        try:
            iam.get_role_by_arn(role)
        except RoleNotFoundError:
            raise ClientException(
                f"Error executing request, Exception : Could not find IAM role {role}"
            ) from None
        return role
    for existing in iam.get_roles():
        if existing.name == _SERVICE_LINKED_ROLE:
            return str(existing.arn)
    made = iam.create_service_linked_role("batch.amazonaws.com", "", "")
    return str(made.arn)


def _complete(backend: Any, environment: ComputeEnvironment) -> None:
    """Fills in what Batch fills in, and notes what makes an environment INVALID."""
    resources = environment.compute_resources
    extra: Any = environment
    extra.fault = role_fault(backend, environment.service_role)
    if not resources or "FARGATE" in resources["type"]:
        return
    resources.setdefault("desiredvCpus", resources.get("minvCpus", 0))
    if not resources.get("ec2Configuration"):
        resources["ec2Configuration"] = [{"imageType": _default_image_type(resources)}]
    template = resources.get("launchTemplate") or {}
    if template and not template.get("version"):
        template["version"] = "$Default"
    extra.fault = extra.fault or _launch_fault(backend.ec2_backend, resources)


def role_fault(backend: Any, role_arn: str) -> str | None:
    """Returns what keeps Batch from acting through a service role, or None.

    Source: https://github.com/hashicorp/terraform-provider-aws/pull/21281, and pull/38050
    """
    iam = backend.iam_backend
    role = next((role for role in iam.get_roles() if role.arn == role_arn), None)
    if role is None:
        return (
            "CLIENT_ERROR - User: batch.amazonaws.com is not authorized to perform: sts:AssumeRole "
            f"on resource: {role_arn} (Service: AWSSecurityTokenService; Status Code: 403; Error "
            "Code: AccessDenied; Proxy: null)"
        )
    if role.name == _SERVICE_LINKED_ROLE or role.managed_policies or role.policies:
        return None
    return f"CLIENT_ERROR - {role_arn} is not authorized to perform: autoscaling:*, ec2:*, ecs:*"


def _launch_fault(ec2: Any, resources: dict[str, Any]) -> str | None:
    """Returns why EC2 could not launch an instance for these resources, or None."""
    group = resources.get("placementGroup")
    if group and group not in placement_groups(ec2):
        return f"CLIENT_ERROR - The Placement Group '{group}' is unknown"
    template = resources.get("launchTemplate") or {}
    template_id = template.get("launchTemplateId")
    name = template.get("launchTemplateName")
    if template_id and template_id not in ec2.launch_templates:
        return f"CLIENT_ERROR - The launch template {template_id} does not exist"
    if name and name not in ec2.launch_template_name_to_ids:
        return f"CLIENT_ERROR - The launch template {name} does not exist"
    return interface_fault(ec2, resources)
