"""What a rule is that judges a submission."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from mngen.rules._rule import Match, Rule, Waiting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.account import Target


class SubmissionRule(Rule):
    """A rule that judges a submission before it is sent (MN3xx).

    Attributes:
        calls: The IAM actions that it needs.
        waiting: What it means for a job that waits if it does not hold. Each rule sets it.
    """

    waiting: ClassVar[Waiting]
    calls: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def matches(cls, target: Target) -> Iterator[Match]:
        """Yields each thing that AWS would reject, or that would make the job wait indefinitely.

        Raises:
            botocore.exceptions.ClientError: AWS refused a call.
        """
        raise NotImplementedError
