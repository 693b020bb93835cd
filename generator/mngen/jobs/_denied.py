"""What it means that AWS denies a submission explicitly: the budget may be exceeded."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from mngen.cluster import denied_submitters, names
from mngen.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.spec import Spec

_EXPLICIT = "explicit deny in an identity-based policy"
"""How AWS words a denial by a policy of the caller's role, group or user; its ARN may follow.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
"""


@contextmanager
def budget_named(spec: Spec) -> Iterator[None]:
    """Names the budget if a submission in the `with` block is denied by it.

    Args:
        spec: The spec of the deployment.

    Raises:
        ToolError: The policy of the budget denies it, or another that AWS does not name may.
    """
    from botocore.exceptions import ClientError

    try:
        yield
    except ClientError as error:
        said = denial_by_budget(str(error.response.get("Error", {}).get("Message")), spec)
        if said is None:
            raise
        raise said from error


def denial_by_budget(message: str, spec: Spec) -> ToolError | None:
    """Returns the error for a submission that the budget denies; None for another reason.

    Args:
        message: What AWS answered.
        spec: The spec of the deployment.
    """
    denied = denied_submitters(spec)
    if spec.budget is None or denied is None or _EXPLICIT not in message:
        return None
    own = denied.policy or f":policy/{names.deny_submit_policy(spec.name)}"
    if ":policy/" in message and own not in message:
        return None
    budget = f"the budget `{names.budget(spec.name, spec.region)}`"
    limit = f"{denied.at} % of {spec.budget.monthly} {names.currency_of(spec.region)}"
    return ToolError(
        f"{budget} denies submissions: the costs of this month exceed {limit}"
        if own in message
        else f"an IAM policy denies the submission, probably that of {budget}, which denies "
        f"submissions once the costs of a month exceed {limit}",
        hint="jobs that are submitted already go on; the user who applies the deployment can "
        "allow submissions again: `mngen check --aws` prints the command",
    )
