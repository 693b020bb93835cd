"""The policy of a part, whole and in documents that IAM takes."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from mngen.errors import InputError
from mngen.policy._baker import baker_statements
from mngen.policy._deployer import deployer_statements
from mngen.policy._statement import Scope, document, split
from mngen.policy._submitter import submitter_statements

if TYPE_CHECKING:
    from mngen.cluster import Cluster


class Part(StrEnum):
    """The parts that people have in a deployment."""

    DEPLOYER = "deployer"
    BAKER = "baker"
    SUBMITTER = "submitter"


_STATEMENTS = {
    Part.DEPLOYER: deployer_statements,
    Part.BAKER: baker_statements,
    Part.SUBMITTER: submitter_statements,
}


def policy(part: Part, cluster: Cluster, account: str) -> dict[str, Any]:
    """Returns all that a part may do, as one policy document.

    Args:
        part: Whose.
        cluster: The spec joined with the catalog; sound, see `mngen.rules`.
        account: The 12 digits of the AWS account.

    Returns:
        A policy document, JSON-ready. Equal input gives an equal one. It may be longer than IAM
        takes at once; see `documents`.
    """
    scope = Scope(cluster.spec.name, cluster.spec.region, account)
    return document(_STATEMENTS[part](cluster, scope))


def documents(part: Part, cluster: Cluster, account: str) -> list[dict[str, Any]]:
    """Returns the policy of a part as documents that IAM takes, all of which are to be attached.

    Args:
        part: Whose.
        cluster: The spec joined with the catalog; sound, see `mngen.rules`.
        account: The 12 digits of the AWS account.
    """
    return split(policy(part, cluster, account))


def account_of(cluster: Cluster, given: str | None) -> str:
    """Returns the account to write into the ARNs: the given one, or the spec's.

    Raises:
        InputError: There is neither, the two differ, or it is not a valid account.
    """
    known = cluster.spec.account
    if given is None:
        if known is not None:
            return known
        raise InputError(
            "the AWS account is not known",
            hint="pass --account ID, or set `account` in the spec; "
            "`aws sts get-caller-identity --query Account --output text` prints yours",
        )
    if len(given) != 12 or not given.isascii() or not given.isdigit():
        raise InputError(
            f'invalid AWS account "{given}"', hint="use 12 digits, such as 123456789012"
        )
    if known is not None and known != given:
        raise InputError(
            f"the spec is for the account {known}, not for {given}",
            hint="leave --account out, or change `account` in the spec",
        )
    return given
