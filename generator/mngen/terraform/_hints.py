"""What to do about the failures of Terraform that we know."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mngen._budget_action import detach_commands

if TYPE_CHECKING:
    from collections.abc import Mapping

_REGISTRY = re.compile(
    r"Failed to (query available|resolve) provider packages|could not connect to registry"
    r"|Failed to install provider|registry service is unreachable",
    re.IGNORECASE,
)
_CREDENTIALS = re.compile(
    r"No valid credential sources|ExpiredToken|InvalidClientTokenId|UnrecognizedClientException"
    r"|AuthFailure|security token included in the request is (expired|invalid)"
    r"|SSO (session|token) .{0,80}(expired|invalid)|failed to refresh cached credentials"
    r"|failed to get shared config profile|no EC2 IMDS role found",
    re.IGNORECASE | re.DOTALL,
)
_DENIED = re.compile(
    r"AccessDenied|UnauthorizedOperation|is not authorized to perform", re.IGNORECASE
)
_LOCK = re.compile(r"Error acquiring the state lock", re.IGNORECASE)
_LOCK_FIELD = re.compile(r"^\s*(ID|Operation|Who|Created):\s*(.*?)\s*$", re.MULTILINE)
_STATE_NOT_SAVED = re.compile(r"errored\.tfstate|Failed to (save|persist) state", re.IGNORECASE)
_BACKEND = re.compile(
    r"Backend configuration (has )?changed|Backend type changed|state migration", re.IGNORECASE
)
_NO_BUCKET = re.compile(r"NoSuchBucket|S3 bucket .{0,80}does not exist", re.IGNORECASE | re.DOTALL)
_CORE_VERSION = re.compile(r"Unsupported (Terraform|OpenTofu) Core version", re.IGNORECASE)
_UPGRADE = re.compile(
    r"init -upgrade|locked provider .{0,200}does not match", re.IGNORECASE | re.DOTALL
)
_STALE = re.compile(r"Saved plan is stale", re.IGNORECASE)
_EXISTS = re.compile(
    r"already exists?\b|AlreadyExists|AlreadyAssociated|EntityAlreadyExists"
    r"|MountTargetConflict|InvalidSubnet\.Conflict|Invalid\w+\.Duplicate",
    re.IGNORECASE,
)
# The words of CreateMountTarget.
# https://docs.aws.amazon.com/efs/latest/ug/API_CreateMountTarget.html
_NO_EFS = re.compile(
    r"UnsupportedAvailabilityZone|Mount targets are not supported in subnet", re.IGNORECASE
)
_DISK = re.compile(r"no space left on device", re.IGNORECASE)


ROLE_IS_GONE = "Batch cannot delete its environment without the service role"
"""How the hint begins that must come before any repetition."""

# Batch acts through the environment's service role also when it deletes it. Without the role the
# environment turns INVALID and stays.
# https://docs.aws.amazon.com/batch/latest/userguide/invalid_compute_environment.html
_ENVIRONMENT = re.compile(r"Batch Compute Environment|compute environment", re.IGNORECASE)
_NO_ROLE = re.compile(
    r"sts:AssumeRole|AWSSecurityTokenService|CLIENT_ERROR .{0,400}not authorized to perform",
    re.IGNORECASE | re.DOTALL,
)

# What DeletePolicy answers: https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeletePolicy.html
_ATTACHED = re.compile(
    r"(arn:[\w-]+:iam::\d{12}:policy/[\w+=,.@/-]+)\b.{0,600}DeleteConflict",
    re.IGNORECASE | re.DOTALL,
)

# First what endangers the state: its text may well hold one of the others too.
_HINTS = (
    (
        _STATE_NOT_SAVED,
        (
            "before anything else, while errored.tfstate is in that folder: "
            "`{command} state push errored.tfstate`"
        ),
    ),
    (
        _BACKEND,
        (
            "to take the state along to the new place: `{command} init -migrate-state`; "
            "to leave it and use what is there: `{command} init -reconfigure`"
        ),
    ),
    (_NO_BUCKET, "create the bucket for the state first, or correct its name in the spec"),
    (
        _CORE_VERSION,
        (
            "this is {where}: install a newer one, or use the one from "
            "`pip install 'mngen[embedded]'` with MNGEN_TERRAFORM=embedded"
        ),
    ),
    (
        _REGISTRY,
        (
            "the provider comes from registry.terraform.io: check the network and HTTPS_PROXY, "
            "or name a provider mirror in ~/.terraformrc"
        ),
    ),
    (
        _UPGRADE,
        (
            "the lock file holds another version of the provider than the configuration asks "
            "for: `{command} init -upgrade`"
        ),
    ),
    (
        _CREDENTIALS,
        (
            "AWS did not accept who you are: log in (`aws sso login`) or set AWS_PROFILE, and "
            "check with `aws sts get-caller-identity`"
        ),
    ),
    (
        _DENIED,
        (
            "`mngen policy deployer` prints the permissions that this needs, for your "
            "administrator to attach"
        ),
    ),
    (
        _EXISTS,
        (
            "run `mngen apply` again: it imports what an interrupted apply has left, if it carries "
            "the deployment's tag. What does not is another's: choose another `name` in the spec"
        ),
    ),
    (
        _NO_EFS,
        (
            "the zone of this mount target does not offer EFS: no node can run there. Leave it out "
            "by naming the others in `network: {{zones: […]}}`, then `mngen render` and "
            "`mngen apply`"
        ),
    ),
    (_STALE, "something changed the state since the plan was made: run the command again"),
    (_DISK, "free some space there: the AWS provider alone takes some 700 MB"),
)


@dataclass(frozen=True, slots=True)
class Situation:
    """Where a failure happened, as far as its hint needs it.

    Attributes:
        command: What a person types to run the same Terraform in the same folder, such as
            `terraform -chdir=deploy/terraform`.
        where: The path of the Terraform that ran, or `embedded`.
        service_role: ARN of the role that Batch acts through; None for the service-linked one.
    """

    command: str
    where: str
    service_role: str | None = None


def hint_for(text: str, situation: Situation) -> str | None:
    """Returns what to do about a failure, or None if we know no more than Terraform's message.

    Args:
        text: Summary and detail of Terraform's diagnostic.
        situation: Where it happened.
    """
    command = situation.command
    if _LOCK.search(text):
        return _lock_hint(text, command)
    if situation.service_role and _ENVIRONMENT.search(text) and _NO_ROLE.search(text):
        return _role_hint(situation.service_role)
    if found := _ATTACHED.search(text):
        return _attached_hint(found[1])
    for pattern, hint in _HINTS:
        if pattern.search(text):
            return hint.format(command=command, where=situation.where)
    return None


def service_role_of(plan: Mapping[str, Any]) -> str | None:
    """Returns the service role of the compute environments in a plan, or None.

    Args:
        plan: What `terraform show -json PLAN` prints, parsed.
    """
    for each in plan.get("resource_changes", []):
        role = (each["change"].get("before") or {}).get("service_role")
        if each["type"] == "aws_batch_compute_environment" and role:
            return None if "/aws-service-role/" in role else str(role)
    return None


def _role_hint(role: str) -> str:
    partition, name = role.split(":")[1], role.rpartition("/")[2]
    trust = (
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole",'
        '"Principal":{"Service":"batch.amazonaws.com"}}]}'
    )
    return (
        f"{ROLE_IS_GONE}. If it was deleted or lost its policy, restore it under the same name:\n"
        f"  aws iam create-role --role-name {name} --assume-role-policy-document '{trust}'\n"
        f"  aws iam attach-role-policy --role-name {name} --policy-arn "
        f"arn:{partition}:iam::aws:policy/service-role/AWSBatchServiceRole\n"
        "run the command again, and delete the role afterwards:\n"
        f"  aws iam detach-role-policy --role-name {name} --policy-arn "
        f"arn:{partition}:iam::aws:policy/service-role/AWSBatchServiceRole\n"
        f"  aws iam delete-role --role-name {name}"
    )


def _attached_hint(policy: str) -> str:
    return (
        "the policy is attached, by AWS Budgets if costs exceeded the budget. List to whom:\n"
        f"  aws iam list-entities-for-policy --policy-arn {policy}\n"
        "detach it from each (an IAM administrator can), and run the command again:\n"
        + "\n".join(f"  {command}" for command in detach_commands(policy))
    )


def _lock_hint(text: str, command: str) -> str:
    fields = dict(_LOCK_FIELD.findall(text))
    who = fields.get("Who") or "someone"
    since = f" since {fields['Created']}" if fields.get("Created") else ""
    what = f" ({fields['Operation']})" if fields.get("Operation") else ""
    hint = f"{who} holds the state{since}{what}: wait until that run is done"
    if fields.get("ID"):
        hint += f"; only if it is dead, unlock with `{command} force-unlock {fields['ID']}`"
    return hint
