"""What a rule is that asks AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from mngen.rules._rule import Match, Rule, Waiting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.account import Account


class AwsRule(Rule):
    """A rule that asks AWS (MN2xx).

    Attributes:
        calls: The IAM actions that it needs, such as `ec2:DescribeSubnets`.
        waiting: What it means for a job that waits if it does not hold.
    """

    calls: ClassVar[tuple[str, ...]]
    waiting: ClassVar[Waiting] = Waiting.NOTHING

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        """Yields each place where the rule does not hold.

        Raises:
            ToolError: AWS did not answer.
            botocore.exceptions.ClientError: AWS refused the call.
        """
        raise NotImplementedError
