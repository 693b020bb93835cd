"""The policy of a part, whole and in documents that IAM takes."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from mngen.errors import InputError
from mngen.policy._baker import baker_statements
from mngen.policy._debugger import debugger_statements
from mngen.policy._deployer import deployer_statements
from mngen.policy._importer import finish_statements, importer_statements
from mngen.policy._statement import Scope, document, split
from mngen.policy._submitter import submitter_statements

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from mngen.cluster import Cluster
    from mngen.policy._statement import Statement


class Part(StrEnum):
    """The parts that people have in a deployment."""

    DEPLOYER = "deployer"
    BAKER = "baker"
    SUBMITTER = "submitter"
    DEBUGGER = "debugger"
    IMPORTER = "importer"


_STATEMENTS: dict[Part, Callable[[Cluster, Scope], list[Statement]]] = {
    Part.DEPLOYER: deployer_statements,
    Part.BAKER: baker_statements,
    Part.SUBMITTER: submitter_statements,
    Part.DEBUGGER: debugger_statements,
    Part.IMPORTER: lambda _, scope: importer_statements(scope),
}

_PRINTS = "`aws sts get-caller-identity --query Account --output text` prints yours"


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


def import_documents(region: str, account: str | None) -> list[dict[str, Any]]:
    """Returns the policy of the importer, who has no spec yet, as documents that IAM takes.

    Args:
        region: The AWS region to import from.
        account: The 12 digits of the AWS account.

    Raises:
        InputError: There is no account, or it is not a valid one.
    """
    if account is None:
        raise InputError("the AWS account is not known", hint=f"pass --account ID; {_PRINTS}")
    scope = Scope("", region, _valid(account))
    return split(document(importer_statements(scope)))


def finish_documents(environments: Collection[str]) -> list[dict[str, Any]]:
    """Returns the policy for `mngen import --finish`, as documents that IAM takes.

    Args:
        environments: ARNs of the compute environments to delete, one at least, all of one account
            and region.
    """
    region, account = next(iter(environments)).split(":")[3:5]
    return split(document(finish_statements(Scope("", region, account), environments)))


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
            hint=f"pass --account ID, or set `account` in the spec; {_PRINTS}",
        )
    if known is not None and known != _valid(given):
        raise InputError(
            f"the spec is for the account {known}, not for {given}",
            hint="leave --account out, or change `account` in the spec",
        )
    return _valid(given)


def _valid(account: str) -> str:
    if len(account) != 12 or not account.isascii() or not account.isdigit():
        raise InputError(
            f'invalid AWS account "{account}"', hint="use 12 digits, such as 123456789012"
        )
    return account
